#include "console/cli/cli.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static unsigned int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return 80;
	return size.ws_col;
}

int cli_init(struct cli *cli, struct error *error)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	int r;

	*cli = (struct cli){ .profile = PROFILE_NULL };
	log_init(&cli->log, "maestro", STDERR_FILENO, LOG_LEVEL_ERROR);
	cli->terminal = isatty(STDOUT_FILENO);
	cli->colours = cli->terminal && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
	cli->width = cli->terminal ? terminal_width() : 0;
	r = id_init();
	if (!r)
		r = paths_init(&cli->paths, false, error);
	if (!r)
		r = sd_event_new(&cli->event);
	return r < 0 ? r : 0;
}

void cli_deinit(struct cli *cli)
{
	client_free(cli->client);
	profile_deinit(&cli->profile);
	sd_event_unref(cli->event);
	paths_deinit(&cli->paths);
}

static int profile_condition(int r)
{
	if (r == PROFILE_E_USAGE)
		return CLIENT_E_USAGE;
	return r == PROFILE_E_NOT_FOUND ? CLIENT_E_NOT_FOUND : r;
}

int cli_connect_to(struct cli *cli, const char *address, struct error *error)
{
	int r;

	if (cli->client)
		return 0;
	r = profile_load(&cli->paths, address, NULL, &cli->profile, error);
	if (r)
		return profile_condition(r);
	r = client_new(&cli->client, cli->event, &cli->log, &cli->profile, false, error);
	return r ? r : client_wait_connected(cli->client, error);
}

int cli_connect(struct cli *cli, struct error *error)
{
	return cli_connect_to(cli, cli->coordinator, error);
}

int cli_call(struct cli *cli, Maestro__Envelope__BodyCase body, void *message, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error)
{
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	int r = cli_connect(cli, error);

	if (r)
		return r;
	request.body_case = body;
	request.submit = message; /* all members of the union are pointers */
	return client_call(cli->client, &request, expected, deadline_ms, ret_reply, error);
}

int cli_parse_task(const char *text, uint64_t *ret_task, struct error *error)
{
	if (str_parse_u64(text, 1, UINT64_MAX >> 1, ret_task) == 0)
		return 0;
	error_set(error, CLIENT_E_USAGE, "'%s' is no task: a task is named by its number", text);
	error_hint(error, "'maestro ls' lists them");
	return CLIENT_E_USAGE;
}

int cli_parse_tasks(char *const *texts, int count, uint64_t **ret_tasks, struct error *error)
{
	_cleanup_free_ uint64_t *tasks = calloc((size_t)count + 1, sizeof(*tasks));

	if (!tasks)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		int r = cli_parse_task(texts[i], &tasks[i], error);

		if (r)
			return r;
	}
	*ret_tasks = take(tasks);
	return 0;
}

int cli_get_task(struct cli *cli, uint64_t id, struct message *ret_reply, const Maestro__Task **ret_task,
	struct error *error)
{
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	const Maestro__TaskList *tasks;
	int r;

	list.n_tasks = 1;
	list.tasks = &id;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_TASKS, &list, MAESTRO__ENVELOPE__BODY_TASK_LIST,
		CLIENT_DEADLINE_MS, ret_reply, error);
	if (r)
		return r;
	tasks = client_reply_of(ret_reply)->task_list;
	if (tasks->n_tasks != 1 || tasks->tasks[0]->id != id) {
		message_deinit(ret_reply);
		error_set(error, CLIENT_E_NOT_FOUND, "%" PRIu64 ": no such task", id);
		error_hint(error, "'maestro ls --all' lists them");
		return CLIENT_E_NOT_FOUND;
	}
	*ret_task = tasks->tasks[0];
	return 0;
}

static int read_input(size_t limit_bytes, struct buf *text)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buf_append(text, chunk, (size_t)n))
			return -ENOMEM;
		if (text->len > limit_bytes)
			return 0;
	}
	return 0;
}

int cli_read_text(const char *text, const char *what, size_t limit_bytes, struct buf *ret_text, struct error *error)
{
	int r = strcmp(text, "-") == 0 ? read_input(limit_bytes, ret_text) : buf_append_str(ret_text, text);

	if (r < 0)
		return error_set(error, r, "%s: cannot be read from standard input: %s", what, strerror(-r));
	if (ret_text->len > limit_bytes) {
		error_set(error, CLIENT_E_USAGE, "%s: longer than %zu KiB", what, limit_bytes / 1024);
		error_hint(error, "put the rest into a file that the session can read");
		return CLIENT_E_USAGE;
	}
	return 0;
}

int cli_usage(int r)
{
	return r > 0 || r == -EINVAL || r == -ERANGE || r == -EMSGSIZE ? CLIENT_E_USAGE : r;
}

static int print_json(json_t *json, size_t flags)
{
	int r;

	if (!json)
		return -ENOMEM;
	r = json_dumpf(json, stdout, flags | JSON_ENCODE_ANY);
	json_decref(json);
	if (r || fputc('\n', stdout) == EOF || fflush(stdout))
		return -EIO;
	return 0;
}

int cli_print_json(json_t *json)
{
	return print_json(json, JSON_INDENT(2));
}

int cli_print_line(json_t *json)
{
	return print_json(json, JSON_COMPACT);
}
