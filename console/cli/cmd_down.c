#include "console/cli/command.h"
#include "console/cli/local.h"
#include "console/cli/print.h"
#include "console/client/model.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STOP_DEADLINE_MS 20000u
#define SESSIONS_DEADLINE_MS 60000u

struct values {
	struct cli_common common;
	bool force, keep_sessions;
};

static const struct option_spec specs[] = {
	{ .name = "force", .type = OPTION_FLAG, .offset = offsetof(struct values, force),
		.help = "stop live sessions first (what they did is kept in a checkpoint)" },
	{ .name = "keep-sessions", .type = OPTION_FLAG, .offset = offsetof(struct values, keep_sessions),
		.help = "let live sessions run on; the next 'maestro up' finds them" },
	CLI_COMMON_OPTIONS,
};

static bool is_live(const Maestro__Task *task)
{
	return task->session == MAESTRO__SESSION_STATE__SESSION_LIVE ||
		task->state == MAESTRO__TASK_STATE__TASK_STARTING || task->state == MAESTRO__TASK_STATE__TASK_RUNNING;
}


static void on_changed(struct model *model, unsigned int parts, uint64_t task, void *userdata)
{
	/* the loop below looks after each turn */
}

static const struct model_ops model_ops = { .changed = on_changed };

static size_t name_live(const struct model *model, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *task = model_task_at(model, i);
		_cleanup_free_ char *title = NULL;

		if (!is_live(task))
			continue;
		n++;
		title = print_clean_bytes(task->has_title, &task->title);
		if (out)
			buf_printf(out, "\n    %" PRIu64 "  %s%s%s", task->id, title ? title : "", task->worker ? " on " : "",
				task->worker ? task->worker : "");
	}
	return n;
}

static int run_until(struct cli *cli, struct model *model, bool (*done)(const struct model *), uint64_t deadline_ms)
{
	uint64_t until_us = 0, now_us;

	sd_event_now(cli->event, CLOCK_BOOTTIME, &until_us);
	until_us += deadline_ms * 1000;
	while (!done(model)) {
		int r;

		sd_event_now(cli->event, CLOCK_BOOTTIME, &now_us);
		if (now_us >= until_us || !client_connected(cli->client))
			return -ETIMEDOUT;
		r = sd_event_run(cli->event, until_us - now_us);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool none_live(const struct model *model)
{
	return name_live(model, NULL) == 0;
}

static int stop_all(struct cli *cli, struct model *model, struct error *error)
{
	Maestro__ActOnTask act = MAESTRO__ACT_ON_TASK__INIT;
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;
	_cleanup_free_ uint64_t *ids = calloc(model_task_count(model) + 1, sizeof(*ids));
	size_t n = 0;
	int r;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < model_task_count(model); i++)
		if (is_live(model_task_at(model, i)))
			ids[n++] = model_task_at(model, i)->id;
	act.action = MAESTRO__TASK_ACTION__ACT_STOP;
	for (size_t i = 0; i < n; i++) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		_cleanup_(error_deinit) struct error ignored = ERROR_NULL;

		act.task = ids[i]; /* it may have ended by itself: what counts is looked at below */
		cli_call(cli, MAESTRO__ENVELOPE__BODY_ACT_ON_TASK, &act, 0, CLIENT_DEADLINE_MS, &reply, &ignored);
	}
	r = run_until(cli, model, none_live, SESSIONS_DEADLINE_MS);
	if (!r)
		return 0;
	name_live(model, &names);
	error_set(error, CLIENT_E_FAILED, "these sessions do not end:%s", buf_text(&names));
	error_hint(error, "a worker that does not answer keeps them; 'maestro down --keep-sessions' leaves them");
	return CLIENT_E_FAILED;
}

static int refuse(const char *names, struct error *error)
{
	error_set(error, CLIENT_E_FAILED, "sessions are live:%s", names);
	error_hint(error, "wait for them, or end them with --force, or let them run on with --keep-sessions");
	return CLIENT_E_FAILED;
}

/* With a coordinator: it knows of every session, on other machines too. */
static int end_sessions(struct cli *cli, const struct values *values, const char *url, struct error *error)
{
	_cleanup_(model_free_p) struct model *model = NULL;
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;
	int r;

	r = cli_connect_to(cli, url, error);
	if (!r)
		r = model_new(&model, cli->client, &model_ops, NULL);
	if (!r && run_until(cli, model, model_ready, CLIENT_DEADLINE_MS))
		r = error_set(error, CLIENT_E_FAILED, "the coordinator does not tell its tasks: %s", model_trouble(model));
	if (r || !name_live(model, &names))
		return r;
	return values->force ? stop_all(cli, model, error) : refuse(buf_text(&names), error);
}

/* Without one: whose holders answer here. */
static int look_at_holders(const struct local *local, const struct values *values, struct error *error)
{
	_cleanup_free_ char *names = local_live_sessions(local);
	_cleanup_free_ char *list = NULL;

	if (!names || !*names)
		return names ? 0 : -ENOMEM;
	if (values->force) {
		error_set(error, CLIENT_E_FAILED, "sessions are live (%s) and there is no coordinator to stop them", names);
		error_hint(error, "run 'maestro up --no-console' first, or leave them with --keep-sessions");
		return CLIENT_E_FAILED;
	}
	return asprintf(&list, " %s", names) < 0 ? -ENOMEM : refuse(list, error);
}

static int stop_program(struct cli *cli, const struct local_program *program, bool force, json_t *stopped,
	struct error *error)
{
	int r;

	if (!program->pid)
		return 0;
	r = local_stop(program, SIGTERM, STOP_DEADLINE_MS, error);
	if (r == -ETIMEDOUT && force) {
		error_deinit(error);
		r = local_stop(program, SIGKILL, STOP_DEADLINE_MS, error);
	}
	if (r) {
		error_hint(error, "--force kills it");
		return r < 0 ? CLIENT_E_FAILED : r;
	}
	if (!cli->json)
		printf("Stopped the %s (pid %d).\n", local_title(program), (int)program->pid);
	json_array_append_new(stopped, json_string(local_title(program)));
	return 0;
}

static int stop_programs(struct cli *cli, const struct local *local, bool force, struct error *error)
{
	json_t *stopped = json_array();
	int r = 0;

	for (size_t i = 0; !r && i < local->workers_count; i++)
		r = stop_program(cli, &local->workers[i], force, stopped, error);
	if (!r)
		r = stop_program(cli, &local->coordinator, force, stopped, error);
	if (!r && cli->json)
		return cli_print_json(json_pack("{so}", "stopped", stopped));
	if (!r && !json_array_size(stopped))
		puts("Nothing was running.");
	json_decref(stopped);
	return r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct local local;
	int r;

	r = local_look(&cli->paths, &local, error);
	if (r)
		return r;
	if (!values->keep_sessions) {
		if (local.coordinator.pid)
			r = end_sessions(cli, values, local.url, error);
		else
			r = look_at_holders(&local, values, error);
	}
	client_free(take(cli->client)); /* so that it does not notice the end of its coordinator */
	if (!r)
		r = stop_programs(cli, &local, values->force, error);
	local_deinit(&local);
	return r;
}

const struct command command_down = {
	.name = "down",
	.group = GROUP_START,
	.brief = "stop what 'up' started",
	.table = { "maestro down", "[--force] [--keep-sessions]",
		"Stops the workers and the coordinator of this user on this machine. Refuses while sessions live, and names\n"
		"them.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
