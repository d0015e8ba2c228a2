#include "console/cli/command.h"
#include "console/cli/print.h"
#include "console/cli/wait.h"
#include "console/client/model.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>

/* A coordinator that is started again comes back within this, or we give up. */
#define PATIENCE_MS 120000u

struct waiting {
	struct cli *cli;
	struct model *model;
	const uint64_t *ids;
	bool *settled;
	size_t count, left;
	Maestro__TaskState until;
	bool bad;
	uint64_t missing; /* a task that is not there (any more) */
	bool said_lost;
};

/* Whether the task is where it was waited for: 1 yes, 0 not yet, -1 never. */
static int judge(const Maestro__Task *task, Maestro__TaskState until)
{
	static const int ranks[] = {
		[MAESTRO__TASK_STATE__TASK_QUEUED] = 0,
		[MAESTRO__TASK_STATE__TASK_STARTING] = 1,
		[MAESTRO__TASK_STATE__TASK_RUNNING] = 2,
		[MAESTRO__TASK_STATE__TASK_REVIEW] = 3,
	};
	Maestro__TaskState state = task->state;

	if (!until) {
		if (!task_state_settled(state))
			return 0;
		return state == MAESTRO__TASK_STATE__TASK_REVIEW || state == MAESTRO__TASK_STATE__TASK_DONE ||
			state == MAESTRO__TASK_STATE__TASK_MERGED ? 1 : -1;
	}
	if (state == until)
		return 1;
	if (task_state_over(state)) /* it may have run through the state that was waited for */
		return until == MAESTRO__TASK_STATE__TASK_QUEUED ||
			(until <= MAESTRO__TASK_STATE__TASK_RUNNING && task->has_started_ms) ? 1 : -1;
	return !task_state_over(until) && ranks[state] > ranks[until] ? 1 : 0;
}

static void print_settled(struct waiting *waiting, const Maestro__Task *task)
{
	struct cli *cli = waiting->cli;
	_cleanup_free_ char *reason = print_clean_bytes(task->has_reason, &task->reason);

	if (cli->json)
		return;
	printf("%" PRIu64 " %s%s%s%s%s\n", task->id, colour_begin(cli->colours, colour_of_task(task->state)),
		name_task_state(task->state), colour_end(cli->colours, colour_of_task(task->state)),
		reason && *reason ? ": " : "", reason && *reason ? reason : "");
	fflush(stdout);
}

static void look(struct waiting *waiting, size_t i)
{
	const Maestro__Task *task = model_task(waiting->model, waiting->ids[i]);
	int verdict;

	if (waiting->settled[i])
		return;
	if (!task) {
		waiting->missing = waiting->ids[i];
		return;
	}
	verdict = judge(task, waiting->until);
	if (!verdict)
		return;
	waiting->settled[i] = true;
	waiting->left--;
	waiting->bad |= verdict < 0;
	print_settled(waiting, task);
}

static void on_changed(struct model *model, unsigned int parts, uint64_t task, void *userdata)
{
	struct waiting *waiting = userdata;

	if (!client_connected(waiting->cli->client) && !waiting->said_lost) {
		fprintf(stderr, "maestro: the connection to the coordinator was lost; trying again\n");
		waiting->said_lost = true;
	}
	if (!(parts & MODEL_TASKS) || model_age_ms(model))
		return;
	waiting->said_lost = false;
	for (size_t i = 0; i < waiting->count; i++)
		look(waiting, i);
}

static const struct model_ops model_ops = { .changed = on_changed };

static int run_until_settled(struct waiting *waiting, struct error *error)
{
	while (waiting->left && !waiting->missing) {
		int r = sd_event_run(waiting->cli->event, 5 * 1000000);

		if (r < 0)
			return r;
		if (model_age_ms(waiting->model) > PATIENCE_MS)
			return error_set(error, CLIENT_E_UNREACHABLE, "no coordinator any more: %s",
				model_trouble(waiting->model));
	}
	if (!waiting->missing)
		return 0;
	return error_set(error, CLIENT_E_NOT_FOUND, "%" PRIu64 ": no such task (any more)", waiting->missing);
}

static int print_tasks(struct cli *cli, const uint64_t *ids, size_t count, struct error *error)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		const Maestro__Task *task;
		int r = cli_get_task(cli, ids[i], &reply, &task, error);

		if (r) {
			json_decref(array);
			return r;
		}
		json_array_append_new(array, json_of_task(task, 0));
	}
	return cli_print_json(array);
}

int wait_for_tasks(struct cli *cli, const uint64_t *ids, size_t count, Maestro__TaskState until, struct error *error)
{
	_cleanup_free_ bool *settled = calloc(count + 1, sizeof(*settled));
	_cleanup_(model_free_p) struct model *model = NULL;
	struct waiting waiting = { .cli = cli, .ids = ids, .settled = settled, .count = count, .left = count,
		.until = until };
	int r;

	if (!settled)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) { /* those long over are perhaps in no snapshot */
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		const Maestro__Task *task;
		int verdict;

		r = cli_get_task(cli, ids[i], &reply, &task, error);
		if (r)
			return r;
		verdict = judge(task, until);
		if (verdict) {
			settled[i] = true;
			waiting.left--;
			waiting.bad |= verdict < 0;
			print_settled(&waiting, task);
		}
	}
	r = waiting.left ? model_new(&model, cli->client, &model_ops, &waiting) : 0;
	waiting.model = model;
	if (!r)
		r = run_until_settled(&waiting, error);
	if (!r && cli->json)
		r = print_tasks(cli, ids, count, error);
	return r ? r : waiting.bad ? CLIENT_E_FAILED : 0;
}

struct values {
	struct cli_common common;
	char *state;
};

static const struct option_spec specs[] = {
	{ .name = "state", .type = OPTION_STRING, .offset = offsetof(struct values, state), .arg = "STATE",
		.help = "wait until each has reached this state" },
	CLI_COMMON_OPTIONS,
};

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_free_ uint64_t *ids = NULL;
	Maestro__TaskState until = 0;
	int r;

	r = values->state ? cli_usage(name_parse_task_state(values->state, &until, error)) : 0;
	if (!r)
		r = cli_parse_tasks(operands, count, &ids, error);
	return r ? r : wait_for_tasks(cli, ids, (size_t)count, until, error);
}

const struct command command_wait = {
	.name = "wait",
	.group = GROUP_TASKS,
	.brief = "wait until tasks are in review, done or over",
	.table = { "maestro wait", "TASK... [--state STATE]",
		"Waits until each task is in review, done or over (or has reached STATE), and prints its state.\n"
		"Ends with 0 when all of them are in review, merged or done (or reached STATE), else with 1.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = -1,
	.run = run,
};
