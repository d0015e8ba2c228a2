#include "console/cli/command.h"
#include "console/cli/local.h"
#include "console/cli/print.h"
#include "console/cli/question.h"
#include "console/client/process.h"
#include "proto/base/str.h"
#include "proto/wire/install.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct values {
	struct cli_common common;
};

static const struct option_spec specs[] = { CLI_COMMON_OPTIONS };

enum verdict {
	GOOD,
	WARNING,
	BAD,
};

struct doctor {
	struct cli *cli;
	json_t *findings;
	bool bad;
};

static void find(struct doctor *doctor, enum verdict verdict, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void find(struct doctor *doctor, enum verdict verdict, const char *what, const char *format, ...)
{
	static const char *const words[] = { "ok", "warning", "bad" };
	static const enum colour colours[] = { COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };
	_cleanup_free_ char *text = NULL, *clean = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	clean = print_clean(str_or(text, ""), strlen(str_or(text, "")));
	doctor->bad |= verdict == BAD;
	json_array_append_new(doctor->findings, json_pack("{ss ss ss}", "check", what, "verdict", words[verdict], "text",
		str_or(clean, "")));
	if (!doctor->cli->json)
		printf("%s%-8s%s %-14s %s\n", colour_begin(doctor->cli->colours, colours[verdict]), words[verdict],
			colour_end(doctor->cli->colours, colours[verdict]), what, str_or(clean, ""));
}

static void check_program(struct doctor *doctor, const char *name, bool in_libexec)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *path = NULL;
	int r = in_libexec ? install_libexec(name, &path, &error) : install_bin(name, &path, &error);

	if (r)
		find(doctor, BAD, name, "%s", error_text(&error, r));
	else
		find(doctor, GOOD, name, "%s", path);
}

static void check_git(struct doctor *doctor)
{
	_cleanup_free_ char *version = NULL;
	int r = process_git(".", &version, "--version", NULL);

	if (r)
		find(doctor, WARNING, "git", "%s ('maestro up' and 'maestro run' look at your repository with it)",
			r < 0 ? strerror(-r) : version);
	else
		find(doctor, GOOD, "git", "%s", version);
}

/* Keys and databases lie in there: nobody else may look. */
static void check_directory(struct doctor *doctor, const char *what, const char *path)
{
	struct statvfs space;
	struct stat info;

	if (stat(path, &info) < 0) {
		find(doctor, errno == ENOENT ? GOOD : BAD, what, "%s: %s", path,
			errno == ENOENT ? "not there yet" : strerror(errno));
		return;
	}
	if (access(path, R_OK | W_OK | X_OK) < 0)
		find(doctor, BAD, what, "%s: %s", path, strerror(errno));
	else if (info.st_mode & 022)
		find(doctor, BAD, what, "%s: others may write to it (chmod go-w)", path);
	else if (statvfs(path, &space) == 0 && (double)space.f_bavail * (double)space.f_frsize < 1e9)
		find(doctor, WARNING, what, "%s: less than 1 GB is free", path);
	else
		find(doctor, GOOD, what, "%s", path);
}

static void check_local(struct doctor *doctor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct local local;

	if (local_look(&doctor->cli->paths, &local, &error))
		return;
	if (paths_check_socket(local.url + strlen("ipc://"), &error))
		find(doctor, BAD, "socket", "%s", error_text(&error, 0));
	if (local.coordinator.pid)
		find(doctor, GOOD, "coordinator", "runs here (pid %d)", (int)local.coordinator.pid);
	for (size_t i = 0; i < local.workers_count; i++)
		find(doctor, local.workers[i].pid ? GOOD : WARNING, "worker", "%s: %s", local.workers[i].name,
			local.workers[i].pid ? "runs" : "does not run ('maestro up' starts it)");
	local_deinit(&local);
}

static void check_connection(struct doctor *doctor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__AskStatus ask = MAESTRO__ASK_STATUS__INIT;
	const Maestro__ServerStatus *status;
	_cleanup_free_ char *version = NULL;
	int r;

	r = cli_call(doctor->cli, MAESTRO__ENVELOPE__BODY_ASK_STATUS, &ask, MAESTRO__ENVELOPE__BODY_SERVER_STATUS,
		CLIENT_DEADLINE_MS, &reply, &error);
	if (r) {
		find(doctor, BAD, "connection", "%s%s%s", error_text(&error, r), error.hint ? "; " : "", str_or(error.hint, ""));
		return;
	}
	status = client_reply_of(&reply)->server_status;
	version = bytes_dup(&status->version);
	find(doctor, GOOD, "connection", "%s, version %s, as %s", doctor->cli->profile.address, str_or(version, "?"),
		name_role(client_role(doctor->cli->client)));
	if (status->queue_paused)
		find(doctor, WARNING, "queue", "is paused: 'maestro queue resume'");
}

static void check_workers(struct doctor *doctor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ListWorkers ask = MAESTRO__LIST_WORKERS__INIT;
	const Maestro__WorkerList *list;
	size_t ready = 0;

	if (!doctor->cli->client || cli_call(doctor->cli, MAESTRO__ENVELOPE__BODY_LIST_WORKERS, &ask,
		MAESTRO__ENVELOPE__BODY_WORKER_LIST, CLIENT_DEADLINE_MS, &reply, &error))
		return;
	list = client_reply_of(&reply)->worker_list;
	for (size_t i = 0; i < list->n_workers; i++)
		ready += list->workers[i]->state == MAESTRO__WORKER_STATE__WORKER_READY;
	find(doctor, ready ? GOOD : WARNING, "workers", "%zu of %zu are ready", ready, list->n_workers);
}

static void check_questions(struct doctor *doctor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__QuestionList *list;

	if (!doctor->cli->client || question_list(doctor->cli, false, &reply, &list, &error))
		return;
	for (size_t i = 0; i < list->n_questions; i++) {
		_cleanup_free_ char *text = bytes_dup(&list->questions[i]->text);

		find(doctor, WARNING, "question", "%s; answer it: maestro question show %" PRIu64, str_or(text, ""),
			list->questions[i]->id);
	}
}

static void check_terminal(struct doctor *doctor)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		find(doctor, WARNING, "locale", "the character set is %s: set LANG to a UTF-8 one, as C.UTF-8",
			nl_langinfo(CODESET));
	else
		find(doctor, GOOD, "locale", "UTF-8");
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	struct doctor doctor = { .cli = cli, .findings = json_array() };

	check_program(&doctor, "maestro-coordinator", false);
	check_program(&doctor, "maestro-worker", false);
	check_program(&doctor, "maestro-console", false);
	check_program(&doctor, "maestro-session", true);
	check_program(&doctor, "maestro-git", true);
	check_program(&doctor, "maestro-search", true);
	check_git(&doctor);
	check_terminal(&doctor);
	check_directory(&doctor, "config", cli->paths.config);
	check_directory(&doctor, "state", cli->paths.state);
	check_directory(&doctor, "run", cli->paths.run);
	check_local(&doctor);
	check_connection(&doctor);
	check_workers(&doctor);
	check_questions(&doctor);
	find(&doctor, WARNING, "isolation", "none: agents run with the rights of the worker's user");
	if (cli->json)
		return cli_print_json(doctor.findings) ? -EIO : doctor.bad ? CLIENT_E_FAILED : 0;
	json_decref(doctor.findings);
	return doctor.bad ? CLIENT_E_FAILED : 0;
}

const struct command command_doctor = {
	.name = "doctor",
	.group = GROUP_START,
	.brief = "look for what is wrong with this installation",
	.table = { "maestro doctor", "", "Checks programs, directories, terminal and the way to the coordinator.", specs,
		ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
