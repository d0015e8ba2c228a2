/* maestro-coordinator: reads its options, builds the service, runs the loop. */
#include "coordinator/core/core.h"
#include "coordinator/service/service.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/option.h"
#include "proto/base/str.h"
#include "proto/link/link.h"
#include "proto/wire/names.h"
#include "proto/wire/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

struct options {
	struct option_list listen, notify_kinds, project_slots, agent_slots;
	uint64_t ready_fd, heartbeat_ms, keep_events, notify_time_ms, min_disk, min_memory, max_load, max_idle_sessions, linger_ms, keep_tasks_ms;
	char *notify;
	int log_level;
	bool system, accept_restore;
};

static const char *const levels[] = { "error", "warning", "info", "debug", NULL };

#define FILES_WANTED 65536u
#define FIELD(name) offsetof(struct options, name)

static const struct option_spec run_specs[] = {
	{ .name = "listen", .type = OPTION_LIST, .offset = FIELD(listen), .arg = "HOST:PORT", .in_file = true,
		.help = "listen there too, with TLS (port 0: a free one); several are possible" },
	{ .name = "heartbeat", .type = OPTION_DURATION, .offset = FIELD(heartbeat_ms), .arg = "TIME", .initial = "5s",
		.min = 100, .max = 600000, .in_file = true, .help = "how often workers say that they are there" },
	{ .name = "project-slots", .type = OPTION_LIST, .offset = FIELD(project_slots), .arg = "NAME=N", .in_file = true,
		.help = "at most N sessions of this project at once; several are possible" },
	{ .name = "agent-slots", .type = OPTION_LIST, .offset = FIELD(agent_slots), .arg = "NAME=N", .in_file = true,
		.help = "at most N sessions of this agent at once, on all workers; several are possible" },
	{ .name = "min-disk", .type = OPTION_NUMBER, .offset = FIELD(min_disk), .arg = "MIB", .initial = "512",
		.max = 1u << 30, .in_file = true,
		.help = "nothing new on a worker with less free disk (MiB; 0: however little)" },
	{ .name = "min-memory", .type = OPTION_NUMBER, .offset = FIELD(min_memory), .arg = "MIB", .initial = "128",
		.max = 1u << 30, .in_file = true,
		.help = "nothing new on a worker with less free memory (MiB; 0: however little)" },
	{ .name = "max-load", .type = OPTION_NUMBER, .offset = FIELD(max_load), .arg = "PERCENT", .initial = "0",
		.max = 1000000, .in_file = true,
		.help = "nothing new on a worker with a higher load (its 1-minute average times 100; 0: however high)" },
	{ .name = "max-idle-sessions", .type = OPTION_NUMBER, .offset = FIELD(max_idle_sessions), .arg = "N", .initial = "16",
		.max = 100000, .in_file = true,
		.help = "live sessions in review on one worker; beyond it the oldest is ended (0: any number)" },
	{ .name = "linger", .type = OPTION_DURATION, .offset = FIELD(linger_ms), .arg = "TIME", .initial = "12h",
		.max = UINT64_C(366) * 86400000, .in_file = true,
		.help = "how long a session in review may be silent before it is ended (0s: for ever)" },
	{ .name = "keep-tasks", .type = OPTION_DURATION, .offset = FIELD(keep_tasks_ms), .arg = "TIME", .initial = "90d",
		.max = UINT64_C(36600) * 86400000, .in_file = true,
		.help = "how long a task is kept after it ended (0s: for ever); what a worker holds unpushed work of stays" },
	{ .name = "keep-events", .type = OPTION_NUMBER, .offset = FIELD(keep_events), .arg = "N", .initial = "200000",
		.min = 1000, .in_file = true, .help = "how many of the newest events are kept; the audit log is kept whole" },
	{ .name = "notify", .type = OPTION_STRING, .offset = FIELD(notify), .arg = "COMMAND", .in_file = true,
		.file_only = true, .help = "a shell command to run for events, which are JSON on its standard input" },
	{ .name = "notify-time", .type = OPTION_DURATION, .offset = FIELD(notify_time_ms), .arg = "TIME", .initial = "30s",
		.min = 1000, .max = 3600000, .in_file = true, .file_only = true, .help = "how long it may take" },
	{ .name = "notify-kinds", .type = OPTION_LIST, .offset = FIELD(notify_kinds), .arg = "KIND", .in_file = true,
		.file_only = true, .help = "which: needs_input, review, failed, lost, limited, question; without it all of them" },
	{ .name = "log-level", .type = OPTION_CHOICE, .offset = FIELD(log_level), .arg = "LEVEL", .initial = "info",
		.choices = levels, .in_file = true, .help = "error, warning, info or debug" },
	{ .name = "ready-fd", .type = OPTION_NUMBER, .offset = FIELD(ready_fd), .arg = "N", .initial = "0", .max = 1023,
		.help = "write the addresses and an empty line to this descriptor when ready" },
	{ .name = "accept-restore", .type = OPTION_FLAG, .offset = FIELD(accept_restore),
		.help = "go on with a database that was restored from a backup: sessions that it does not know are ended, "
			"their worktrees stay (needed once; `maestro question` asks more finely)" },
	{ .name = "system", .type = OPTION_FLAG, .offset = FIELD(system),
		.help = "use /etc/maestro, /var/lib/maestro and /run/maestro" },
};

static const struct option_table run_table = {
	.program = "maestro-coordinator run",
	.usage = "[OPTION]...",
	.summary = "Keeps the tasks and workers of a cluster. Listens on the local socket always.",
	.specs = run_specs,
	.count = ARRAY_SIZE(run_specs),
};

static const struct option_spec init_specs[] = {
	{ .name = "system", .type = OPTION_FLAG, .offset = FIELD(system), .help = "in /var/lib/maestro" },
};

static const struct option_table init_table = {
	.program = "maestro-coordinator init",
	.usage = "[OPTION]...",
	.summary = "Makes what a coordinator needs: cluster id, certificates, admin key and database. Safe to repeat.",
	.specs = init_specs,
	.count = ARRAY_SIZE(init_specs),
};

static const struct option_spec upkeep_specs[] = {
	{ .name = "system", .type = OPTION_FLAG, .offset = FIELD(system), .help = "of /var/lib/maestro" },
};

static const struct option_table backup_table = {
	.program = "maestro-coordinator backup",
	.usage = "[OPTION]... FILE",
	.summary = "Copies the database into a new file, whole, also while the coordinator runs. Overwrites nothing.",
	.specs = upkeep_specs,
	.count = ARRAY_SIZE(upkeep_specs),
};

static const struct option_table check_table = {
	.program = "maestro-coordinator check",
	.usage = "[OPTION]... [FILE]",
	.summary = "Reads all of the database, or of a backup: whether it is whole, ours, and its audit log unbroken.",
	.specs = upkeep_specs,
	.count = ARRAY_SIZE(upkeep_specs),
};

/* Where everything is, for one run of the program. */
struct places {
	struct paths paths;
	char *state;
};

static void places_deinit(struct places *places)
{
	paths_deinit(&places->paths);
	free(places->state);
}

static int places_init(struct places *places, bool system, struct error *error)
{
	int r;

	r = paths_init(&places->paths, system, error);
	if (r)
		return r;
	places->state = paths_coordinator_state(&places->paths);
	return places->state ? 0 : -ENOMEM;
}

static int say(const struct error *error, int r)
{
	_cleanup_(buf_deinit) struct buf line = BUF_NULL;
	const char *text = error_text(error, r);

	str_escape(&line, text, strlen(text));
	fprintf(stderr, "maestro-coordinator: %s\n", buf_text(&line));
	if (error->hint)
		fprintf(stderr, "%s\n", error->hint);
	return r == OPTION_E_USAGE ? 2 : 1;
}

/* *ret_exit is set when the program is done (help, or wrong use). */
static bool parse_operand(const struct option_table *table, struct options *options, int argc, char **argv,
	const char **ret_operand, int *ret_exit)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	char **operands;
	int r, count = 0, allowed = ret_operand ? 1 : 0;

	r = option_parse(table, options, argc, argv, false, &operands, &count, &error);
	if (!r && count > allowed)
		r = error_set(&error, OPTION_E_USAGE, "'%s' is not expected", operands[allowed]);
	if (!r && count)
		*ret_operand = operands[0];
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		*ret_exit = 0;
	else if (r)
		*ret_exit = say(&error, r);
	return r == 0;
}

static bool parse(const struct option_table *table, struct options *options, int argc, char **argv, int *ret_exit)
{
	return parse_operand(table, options, argc, argv, NULL, ret_exit);
}

/* --- init ---------------------------------------------------------------------------------------------------- */

static int run_init(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(places_deinit) struct places places = { 0 };
	struct options options = { 0 };
	bool made = false;
	int r, code = 0;

	r = option_set_defaults(&init_table, &options);
	if (r)
		return say(&error, r);
	if (!parse(&init_table, &options, argc, argv, &code))
		return code;
	r = places_init(&places, options.system, &error);
	if (!r)
		r = service_init(places.state, &made, &error);
	if (r)
		return say(&error, r);
	printf(made ? "A new cluster in %s\n" : "%s: it is there already\n", places.state);
	return 0;
}

/* --- backup, check ------------------------------------------------------------------------------------------- */

static int run_backup(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(places_deinit) struct places places = { 0 };
	struct options options = { 0 };
	const char *file = NULL;
	int r, code = 0;

	if (!parse_operand(&backup_table, &options, argc, argv, &file, &code))
		return code;
	if (!file) {
		r = error_set(&error, OPTION_E_USAGE, "backup: into which FILE?");
		return say(&error, r);
	}
	r = places_init(&places, options.system, &error);
	if (!r)
		r = service_backup(places.state, file, &error);
	if (r)
		return say(&error, r);
	printf("%s: `maestro-coordinator check %s` reads it over\n", file, file);
	return 0;
}

static int run_check(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(places_deinit) struct places places = { 0 };
	struct options options = { 0 };
	const char *file = NULL;
	int r, code = 0;

	if (!parse_operand(&check_table, &options, argc, argv, &file, &code))
		return code;
	r = places_init(&places, options.system, &error);
	if (!r)
		r = service_check(places.state, file, stdout, &error);
	return r ? say(&error, r) : 0;
}

/* --- run ----------------------------------------------------------------------------------------------------- */

static int lock_state(const char *state, int *ret_fd, struct error *error)
{
	_cleanup_free_ char *path = io_join(state, "lock"), *pid = NULL;
	_cleanup_close_ int fd = -1;
	char text[24];
	int r;

	if (!path)
		return -ENOMEM;
	r = io_lock(path, false, &fd);
	if (r == -EWOULDBLOCK) {
		if (!io_read_file(path, 64, &pid, NULL))
			pid[strcspn(pid, "\n")] = 0;
		error_set(error, r, "a coordinator is running already with this state (pid %s)", str_or(pid, "unknown"));
		error_hint(error, "`maestro down` ends it");
		return r;
	}
	if (r)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	*ret_fd = take_fd(&fd);
	return 0;
}

static int make_run_dir(const char *run, struct error *error)
{
	_cleanup_free_ char *socket = io_join(run, "coordinator.sock");
	int r;

	if (!socket)
		return -ENOMEM;
	r = io_make_dirs(run, 0700);
	return r ? error_set(error, r, "%s: %s", run, strerror(-r)) : paths_check_socket(socket, error);
}

struct addresses {
	char *items[8];
	size_t count;
};

static void addresses_deinit(struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++)
		free(addresses->items[i]);
}

static int parse_addresses(const struct option_list *listen, struct addresses *addresses, struct error *error)
{
	int r;

	if (listen->count >= ARRAY_SIZE(addresses->items))
		return error_set(error, OPTION_E_USAGE, "%zu addresses to listen on, %zu are allowed", listen->count,
			ARRAY_SIZE(addresses->items) - 1);
	for (size_t i = 0; i < listen->count; i++) {
		r = link_address_parse(listen->items[i], &addresses->items[addresses->count], error);
		if (r)
			return r < 0 ? r : OPTION_E_USAGE;
		addresses->count++;
	}
	return 0;
}

/* --- limits -------------------------------------------------------------------------------------------------- */

#define SLOT_LIMITS_MAX 256

struct slots {
	struct core_limit limits[SLOT_LIMITS_MAX];
	size_t count;
};

static void slots_deinit(struct slots *slots)
{
	for (size_t i = 0; i < slots->count; i++)
		free((char *)(uintptr_t)slots->limits[i].name);
}

static int parse_slots(const char *option, const struct option_list *list, struct slots *slots, struct error *error)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *item = list->items[i], *equal = strchr(item, '=');
		_cleanup_free_ char *name = equal ? strndup(item, (size_t)(equal - item)) : NULL;
		uint64_t n = 0;

		if (!name || !name_valid(name) || str_parse_u64(equal + 1, 1, 1000000, &n))
			return error_set(error, OPTION_E_USAGE, "%s: '%s' is not NAME=N with N from 1 to 1000000", option, item);
		if (slots->count == SLOT_LIMITS_MAX)
			return error_set(error, OPTION_E_USAGE, "%s: more than %d entries", option, SLOT_LIMITS_MAX);
		slots->limits[slots->count++] = (struct core_limit){ take(name), (uint32_t)n };
	}
	return 0;
}

static void fill_core(struct core_config *core, const struct options *options, const struct slots *projects,
	const struct slots *agents)
{
	*core = core_config_default;
	core->project_slots = projects->limits;
	core->project_slot_count = projects->count;
	core->agent_slots = agents->limits;
	core->agent_slot_count = agents->count;
	core->min_disk_bytes = options->min_disk << 20;
	core->min_memory_bytes = options->min_memory << 20;
	core->max_load_percent = (uint32_t)options->max_load;
	core->max_idle_sessions = (uint32_t)options->max_idle_sessions;
	core->linger_ms = options->linger_ms;
	core->keep_tasks_ms = options->keep_tasks_ms;
}

static int announce(const struct service *service, int fd)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	int r;

	sd_notify(0, "READY=1");
	if (!fd)
		return 0;
	for (size_t i = 0; i < service_address_count(service); i++)
		buf_printf(&text, "%s\n", service_address(service, i));
	r = buf_append_str(&text, "\n");
	if (!r)
		r = io_write_all(fd, text.data, text.len);
	close(fd);
	return r;
}

/* Before anything starts a thread: nng's threads inherit the mask. */
static int block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD); /* sd-event waits for what `notify` runs */
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int loop_new(sd_event **ret_event)
{
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	int r;

	r = block_signals();
	if (r >= 0)
		r = sd_event_default(&event);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_set_watchdog(event, true);
	if (r < 0)
		return r;
	*ret_event = take(event);
	return 0;
}

static int serve(const struct places *places, const struct options *options, struct log *log, struct error *error)
{
	_cleanup_(slots_deinit) struct slots projects = { .count = 0 }, agents = { .count = 0 }; /* outlive the service */
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(service_free_p) struct service *service = NULL;
	_cleanup_(addresses_deinit) struct addresses addresses = { .count = 0 };
	struct core_config core;
	struct service_config config = { .state = places->state, .run = places->paths.run,
		.heartbeat_ms = options->heartbeat_ms, .core = &core, .keep_events = options->keep_events,
		.accept_restore = options->accept_restore };
	int r;

	r = parse_addresses(&options->listen, &addresses, error);
	if (!r)
		r = parse_slots("project-slots", &options->project_slots, &projects, error);
	if (!r)
		r = parse_slots("agent-slots", &options->agent_slots, &agents, error);
	if (r)
		return r;
	fill_core(&core, options, &projects, &agents);
	config.listen = (const char *const *)addresses.items;
	config.listen_count = addresses.count;
	config.notify = options->notify;
	config.notify_time_ms = options->notify_time_ms;
	config.notify_kinds = (const char *const *)options->notify_kinds.items;
	config.notify_kind_count = options->notify_kinds.count;
	r = loop_new(&event);
	if (!r)
		r = service_new(&service, event, log, &config, error);
	if (!r)
		r = announce(service, (int)options->ready_fd);
	if (r)
		return r;
	for (size_t i = 0; i < service_address_count(service); i++)
		log_info(log, "listening on %s", service_address(service, i));
	r = sd_event_loop(event);
	sd_notify(0, "STOPPING=1");
	return r;
}

static int read_options(struct options *options, struct places *places, int argc, char **argv, int *ret_exit,
	struct error *error)
{
	_cleanup_free_ char *file = NULL;
	struct options early = { 0 };
	int r;

	/* Twice: the command line says where the file is, and overrides what stands in it. */
	r = option_set_defaults(&run_table, &early);
	if (!r && !parse(&run_table, &early, argc, argv, ret_exit))
		r = OPTION_E_HELP;
	if (!r)
		r = places_init(places, early.system, error);
	option_values_deinit(&run_table, &early);
	if (r)
		return r;
	file = io_join(places->paths.config, "coordinator.conf");
	r = file ? option_set_defaults(&run_table, options) : -ENOMEM;
	if (!r)
		r = option_read_file(&run_table, options, file, false, error);
	if (!r && !parse(&run_table, options, argc, argv, ret_exit))
		r = OPTION_E_HELP;
	return r;
}

/* A descriptor for each peer, and two for those with a bulk connection: the usual 1024 are too few for a thousand. */
static void raise_files(struct log *log)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= FILES_WANTED || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_warning(log, "open files stay limited to what they are: %s", strerror(errno));
}

static int run_run(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(places_deinit) struct places places = { 0 };
	_cleanup_close_ int lock = -1;
	struct options options = { 0 };
	struct log log;
	int r, code = 0;

	r = read_options(&options, &places, argc, argv, &code, &error);
	if (r == OPTION_E_HELP)
		goto out;
	log_init(&log, "maestro-coordinator", STDERR_FILENO, (enum log_level)options.log_level);
	raise_files(&log);
	if (!r) {
		r = io_make_dirs(places.state, 0700);
		if (r)
			error_set(&error, r, "%s: %s", places.state, strerror(-r));
	}
	if (!r)
		r = lock_state(places.state, &lock, &error);
	if (!r)
		r = service_init(places.state, NULL, &error);
	if (!r)
		r = make_run_dir(places.paths.run, &error);
	if (!r)
		r = serve(&places, &options, &log, &error);
	code = r ? say(&error, r) : 0;
out:
	option_values_deinit(&run_table, &options);
	return code;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (id_init() < 0) {
		fprintf(stderr, "maestro-coordinator: this system gives no randomness\n");
		return 1;
	}
	umask(0077);
	if (strcmp(command, "init") == 0)
		return run_init(argc - 1, argv + 1);
	if (strcmp(command, "run") == 0)
		return run_run(argc - 1, argv + 1);
	if (strcmp(command, "backup") == 0)
		return run_backup(argc - 1, argv + 1);
	if (strcmp(command, "check") == 0)
		return run_check(argc - 1, argv + 1);
	if (strcmp(command, "--version") == 0) {
		printf("maestro-coordinator %s\n", MAESTRO_VERSION);
		return 0;
	}
	fprintf(strcmp(command, "--help") == 0 ? stdout : stderr,
		"Usage: maestro-coordinator init|run|backup|check [OPTION]...\n"
		"  init   makes cluster id, certificates, admin key and database; safe to repeat\n"
		"  run    keeps the tasks and workers; in the foreground\n"
		"  backup copies the database into a new file, also while it runs\n"
		"  check  reads all of the database, or of a backup, and says whether it is whole\n"
		"`maestro-coordinator run --help` shows the options.\n");
	return strcmp(command, "--help") == 0 ? 0 : 2;
}
