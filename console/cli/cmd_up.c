#include "console/cli/command.h"
#include "console/cli/local.h"
#include "console/cli/place.h"
#include "console/cli/print.h"
#include "console/client/process.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/link/keys.h"
#include "proto/base/str.h"
#include "proto/wire/install.h"
#include "proto/wire/names.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define START_DEADLINE_MS 30000u

struct values {
	struct cli_common common;
	uint64_t workers;
	char *listen;
	bool no_console;
};

static const struct option_spec specs[] = {
	{ .name = "workers", .type = OPTION_NUMBER, .offset = offsetof(struct values, workers), .arg = "N", .max = 32,
		.help = "so many workers on this machine; else those that were here, at least one" },
	{ .name = "listen", .type = OPTION_STRING, .offset = offsetof(struct values, listen), .arg = "HOST:PORT",
		.help = "let other machines connect too (TLS)" },
	{ .name = "no-console", .type = OPTION_FLAG, .offset = offsetof(struct values, no_console),
		.help = "do not open the console" },
	CLI_COMMON_OPTIONS,
};

/* `up` under way. */
struct up {
	struct cli *cli;
	const struct values *values;
	struct local local;
	json_t *workers; /* for --json */
	json_t *project;
	char *addresses; /* of a coordinator that was started now */
	bool started_coordinator;
};

static void say(const struct up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct up *up, const char *format, ...)
{
	va_list args;

	if (up->cli->json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* The programs run in "/": what is relative to our directory must not be relative for them. */
static int fix_environment(void)
{
	_cleanup_free_ char *home = NULL;
	int r;

	if (!getenv("MAESTRO_HOME") || !*getenv("MAESTRO_HOME"))
		return 0;
	r = io_absolute(getenv("MAESTRO_HOME"), &home);
	return r ? r : setenv("MAESTRO_HOME", home, 1) < 0 ? -errno : 0;
}

/* One `up` at a time: two would start everything twice. */
static int lock_state(const struct paths *paths, int *ret_fd, struct error *error)
{
	_cleanup_free_ char *path = io_join(paths->state, "up.lock");
	int r;

	if (!path)
		return -ENOMEM;
	r = io_make_dirs(paths->state, 0700);
	if (!r)
		r = io_make_dirs(paths->config, 0700);
	if (!r)
		r = io_make_dirs(paths->run, 0700);
	if (!r)
		r = io_lock(path, true, ret_fd);
	return r ? error_set(error, r, "%s: %s", paths->state, strerror(-r)) : 0;
}

static int start_coordinator(struct up *up, struct error *error)
{
	_cleanup_free_ char *program = NULL, *log = NULL;
	const char *argv[] = { NULL, "run", "--ready-fd", "3", NULL, NULL, NULL };
	struct local_program *coordinator = &up->local.coordinator;
	int r;

	if (coordinator->pid) {
		say(up, "The coordinator runs already (pid %d).", (int)coordinator->pid);
		if (up->values->listen)
			say(up, "  --listen has no effect on it: 'maestro down' first, or set it in coordinator.conf.");
		return 0;
	}
	r = install_bin("maestro-coordinator", &program, error);
	if (!r)
		r = io_make_dirs(coordinator->state, 0700);
	log = local_log_path(coordinator);
	if (r || !log)
		return r ? error_fold(r) : -ENOMEM;
	argv[0] = program;
	if (up->values->listen) {
		argv[4] = "--listen";
		argv[5] = up->values->listen;
	}
	r = process_start(&(struct process_start){ argv, log, START_DEADLINE_MS }, &coordinator->pid, &up->addresses, error);
	if (r)
		return r;
	up->started_coordinator = true;
	say(up, "Started the coordinator (pid %d).", (int)coordinator->pid);
	for (char *line = up->addresses; line && *line; line += strcspn(line, "\n") + 1) {
		if (str_starts(line, "tls+tcp://"))
			say(up, "  It listens on %.*s", (int)strcspn(line, "\n"), line);
		if (!line[strcspn(line, "\n")])
			break;
	}
	return 0;
}

/* A fresh token goes through a pipe: never an argument, never a file. */
static int enrol(struct up *up, const struct local_program *worker, const char *program, const char *log,
	struct error *error)
{
	Maestro__TokenCreate create = MAESTRO__TOKEN_CREATE__INIT;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const char *argv[] = { program, "join", up->local.url, "--name", worker->name, "--token-file", "-", NULL };
	const Maestro__Token *token;
	int status, r;

	create.role = MAESTRO__ROLE__ROLE_WORKER;
	create.has_ttl_ms = true;
	create.ttl_ms = 5 * 60 * 1000;
	r = cli_call(up->cli, MAESTRO__ENVELOPE__BODY_TOKEN_CREATE, &create, MAESTRO__ENVELOPE__BODY_TOKEN,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r) {
		error_prefix(error, "worker %s cannot be enrolled", worker->name);
		return r;
	}
	token = client_reply_of(&reply)->token;
	r = process_feed(argv, token->token.data, token->token.len, log, &status);
	id_wipe(token->token.data, token->token.len);
	if (!r && status) {
		_cleanup_free_ char *tail = process_log_tail(log, 5);

		r = error_set(error, CLIENT_E_FAILED, "worker %s could not join; its log (%s) ends:%s", worker->name, log,
			str_or(tail, ""));
	}
	return r;
}

static int start_worker(struct up *up, const char *name, struct error *error)
{
	_cleanup_free_ char *program = NULL, *log = NULL, *ready = NULL;
	struct local_program fresh = { .name = (char *)(uintptr_t)name }, *worker = local_worker(&up->local, name);
	_cleanup_free_ char *state = worker ? NULL : paths_worker_state(&up->cli->paths, name);
	bool was_running;
	int r;

	fresh.state = state;
	if (!worker)
		worker = &fresh;
	was_running = worker->pid != 0;
	if (was_running) {
		say(up, "Worker %s runs already (pid %d).", name, (int)worker->pid);
	} else {
		const char *argv[] = { NULL, "run", "--name", name, "--ready-fd", "3", NULL };

		log = worker->state ? local_log_path(worker) : NULL;
		r = log ? install_bin("maestro-worker", &program, error) : -ENOMEM;
		if (!r)
			r = io_make_dirs(worker->state, 0700);
		if (!r && !worker->enrolled)
			r = enrol(up, worker, program, log, error);
		argv[0] = program;
		if (!r)
			r = process_start(&(struct process_start){ argv, log, START_DEADLINE_MS }, &worker->pid, &ready, error);
		if (r)
			return r < 0 ? r : CLIENT_E_FAILED;
		say(up, "Started worker %s (pid %d).", name, (int)worker->pid);
	}
	json_array_append_new(up->workers, json_pack("{ss si sb}", "name", name, "pid", (int)worker->pid, "started",
		(int)!was_running));
	return 0;
}

static bool was_enrolled(const struct local_program *worker)
{
	_cleanup_free_ char *path = io_join(worker->state, "worker.key.revoked");

	return path && access(path, F_OK) == 0;
}

/* host, host-2, …; without --workers all that were here before. */
static int start_workers(struct up *up, struct error *error)
{
	char host[65] = "";
	_cleanup_free_ char *base = NULL;
	uint64_t wanted = up->values->workers, started = 0;
	int r = 0;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = 0;
	base = local_fold_name(host, "worker");
	if (!base)
		return -ENOMEM;
	base[strnlen(base, 60)] = 0;
	for (size_t i = 0; !r && !wanted && i < up->local.workers_count; i++)
		if ((up->local.workers[i].enrolled || was_enrolled(&up->local.workers[i])) && ++started)
			r = start_worker(up, up->local.workers[i].name, error);
	if (!wanted && !started)
		wanted = 1;
	for (uint64_t i = 1; !r && i <= wanted; i++) {
		char name[72];

		snprintf(name, sizeof(name), i > 1 ? "%s-%llu" : "%s", base, (unsigned long long)i);
		r = start_worker(up, name, error);
	}
	return r;
}

static bool is_revoked(const struct local_program *worker, const Maestro__KeyList *list)
{
	_cleanup_free_ char *path = io_join(worker->state, "worker.key");
	char id[KEY_ID_MAX];
	struct key key;

	if (!path || key_read(path, &key, NULL))
		return false;
	key_id(key.public_key, id);
	key_wipe(&key);
	for (size_t i = 0; i < list->n_keys; i++)
		if (strcmp(list->keys[i]->id, id) == 0)
			return list->keys[i]->has_revoked && list->keys[i]->revoked;
	return false;
}

static int set_aside(const struct local_program *worker, const char *name)
{
	_cleanup_free_ char *from = io_join(worker->state, name), *to = NULL;

	if (!from || asprintf(&to, "%s.revoked", from) < 0)
		return -ENOMEM;
	return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

/* A worker of this machine that was removed since is enrolled anew, with a new key. */
static int renew_removed(struct up *up, struct error *error)
{
	Maestro__ListKeys list = MAESTRO__LIST_KEYS__INIT;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	int r;

	r = cli_call(up->cli, MAESTRO__ENVELOPE__BODY_LIST_KEYS, &list, MAESTRO__ENVELOPE__BODY_KEY_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	for (size_t i = 0; !r && i < up->local.workers_count; i++) {
		struct local_program *worker = &up->local.workers[i];

		if (!worker->enrolled || !is_revoked(worker, client_reply_of(&reply)->key_list))
			continue;
		if (worker->pid) {
			r = error_set(error, CLIENT_E_FAILED, "worker %s was removed, but it runs still", worker->name);
			error_hint(error, "'maestro down', then 'maestro up' enrols it anew");
			break;
		}
		say(up, "Worker %s was removed: it is enrolled anew.", worker->name);
		r = set_aside(worker, "worker.key");
		if (!r)
			r = set_aside(worker, "coordinator");
		worker->enrolled = false;
	}
	return r;
}

static const Maestro__Project *find_by_url(const Maestro__ProjectList *list, const char *url)
{
	for (size_t i = 0; i < list->n_projects; i++)
		if (list->projects[i]->url.len == strlen(url) && memcmp(list->projects[i]->url.data, url, strlen(url)) == 0)
			return list->projects[i];
	return NULL;
}

static bool name_taken(const Maestro__ProjectList *list, const char *name)
{
	for (size_t i = 0; i < list->n_projects; i++)
		if (strcmp(list->projects[i]->name, name) == 0)
			return true;
	return false;
}

static int add_project(struct up *up, const struct place *place, const Maestro__ProjectList *list, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	char name[80];
	int r;

	snprintf(name, sizeof(name), "%s", place->name);
	for (int i = 2; name_taken(list, name); i++)
		snprintf(name, sizeof(name), "%.58s-%d", place->name, i);
	add.name = name;
	add.url = bytes_of(place->path);
	add.base_branch = place->branch;
	r = cli_call(up->cli, MAESTRO__ENVELOPE__BODY_PROJECT_ADD, &add, 0, CLIENT_DEADLINE_GIT_MS, &reply, error);
	if (r) {
		error_prefix(error, "%s cannot become a project", place->path);
		return r;
	}
	up->project = json_pack("{ss ss ss sb}", "name", name, "url", place->path, "base", place->branch, "added", 1);
	say(up, "Added %s as project %s, base %s.%s", place->path, name, place->branch,
		place->detached ? " (HEAD is detached; 'maestro run --base BRANCH' begins elsewhere.)" : "");
	return 0;
}

static int take_repository(struct up *up, struct error *error)
{
	_cleanup_(place_deinit) struct place place = { .found = false };
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ListProjects ask = MAESTRO__LIST_PROJECTS__INIT;
	const Maestro__ProjectList *list;
	const Maestro__Project *known;
	int r;

	r = place_look(".", &place);
	if (r)
		return r;
	if (!place.found) {
		if (place.complaint && !strstr(place.complaint, "not a git repository"))
			say(up, "No repository was added: %s", place.complaint);
		else
			say(up, "This is no git repository. Add one with 'maestro up' in it, or 'maestro project add NAME URL'.");
		return 0;
	}
	r = cli_call(up->cli, MAESTRO__ENVELOPE__BODY_LIST_PROJECTS, &ask, MAESTRO__ENVELOPE__BODY_PROJECT_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	list = client_reply_of(&reply)->project_list;
	known = find_by_url(list, place.path);
	if (known) {
		up->project = json_pack("{ss ss ss* sb}", "name", known->name, "url", place.path, "base",
			known->base_branch, "added", 0);
		say(up, "%s is project %s already, base %s.", place.path, known->name, str_or(known->base_branch, "?"));
	} else {
		r = place_check(&place, error);
		if (!r)
			r = add_project(up, &place, list, error);
	}
	if (!r && place.dirty)
		say(up, "  What is not committed here stays as it is; tasks begin from the last commit of their base.");
	return r;
}

/* What was started here is not what `maestro ls` asks when the environment or client.conf names another one. */
static void warn_of_another(const struct up *up)
{
	_cleanup_(profile_deinit) struct profile profile = PROFILE_NULL;
	int r = profile_load(&up->cli->paths, up->cli->coordinator, NULL, &profile, NULL);

	if (r || strcmp(profile.address, up->local.url) != 0)
		say(up, "\nMAESTRO_COORDINATOR or client.conf names another coordinator; this one is reached with\n"
			"  --coordinator %s", up->local.url);
}

static int finish(struct up *up)
{
	_cleanup_free_ char *console = NULL;
	bool open = !up->values->no_console && !up->cli->json && up->cli->terminal && isatty(STDIN_FILENO);

	if (up->cli->json)
		return cli_print_json(json_pack("{s{si sb} sO sO}", "coordinator", "pid",
			(int)up->local.coordinator.pid, "started", (int)up->started_coordinator, "workers", up->workers,
			"project", up->project ? up->project : json_null()));
	puts("\nAgents run with the rights of this user: what you may do, they can do (isolation: none).");
	warn_of_another(up);
	puts("Next:  maestro run \"what to do\"    maestro-console    maestro ls    maestro down");
	if (open && install_bin("maestro-console", &console, NULL) == 0) {
		fflush(stdout);
		execl(console, console, "--coordinator", up->local.url, (char *)NULL);
		fprintf(stderr, "maestro: %s: %m\n", console);
	}
	return 0;
}

static int run_up(struct up *up, struct error *error)
{
	_cleanup_close_ int lock = -1;
	int r;

	r = fix_environment();
	if (!r)
		r = lock_state(&up->cli->paths, &lock, error);
	if (!r)
		r = local_look(&up->cli->paths, &up->local, error);
	if (!r)
		r = paths_check_socket(up->local.url + strlen("ipc://"), error);
	if (!r)
		r = start_coordinator(up, error);
	if (!r)
		r = cli_connect_to(up->cli, up->local.url, error);
	if (!r)
		r = renew_removed(up, error);
	if (!r)
		r = start_workers(up, error);
	if (!r)
		r = take_repository(up, error);
	return r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	struct up up = { .cli = cli, .values = v, .workers = json_array() };
	int r;

	r = run_up(&up, error);
	if (!r)
		r = finish(&up);
	json_decref(up.workers);
	json_decref(up.project);
	free(up.addresses);
	local_deinit(&up.local);
	return r;
}

const struct command command_up = {
	.name = "up",
	.group = GROUP_START,
	.brief = "start coordinator and workers on this machine; add this repository",
	.table = { "maestro up", "[--workers N] [--listen HOST:PORT] [--no-console]",
		"Starts what is missing of a coordinator and workers on this machine, in the background. In a git repository\n"
		"it adds that as a project: branches of tasks appear in it, its checked-out branch and files are left alone.\n"
		"Then it opens the console. Safe to repeat. Agents run with the rights of this user.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
