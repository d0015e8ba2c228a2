/* `maestro worker drain`: the worker is given nothing new. With --wait until what it had is over there, and whether any of
 * it was abandoned: an operator gave it up, or the worker never came back. */
#include "console/cli/command.h"
#include "console/cli/print.h"
#include "console/client/model.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A coordinator that is started again comes back within this, or we give up. */
#define PATIENCE_MS 120000u

struct values {
	struct cli_common common;
	bool wait;
};

static const struct option_spec specs[] = {
	{ .name = "wait", .type = OPTION_FLAG, .offset = offsetof(struct values, wait),
		.help = "until nothing starts or runs there any more" },
	CLI_COMMON_OPTIONS,
};

struct draining {
	struct cli *cli;
	struct model *model;
	const char *worker;
	struct buf ids; /* uint64_t, what was there at first */
	bool known, over;
};

static int ask(struct cli *cli, char *name, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ActOnWorker request = MAESTRO__ACT_ON_WORKER__INIT;

	if (!name_valid(name))
		return error_set(error, CLIENT_E_USAGE, "'%s' is no name of a worker", name);
	request.name = name;
	request.action = MAESTRO__WORKER_ACTION__WORKER_DRAIN;
	return cli_call(cli, MAESTRO__ENVELOPE__BODY_ACT_ON_WORKER, &request, MAESTRO__ENVELOPE__BODY_DONE,
		CLIENT_DEADLINE_MS, &reply, error);
}

static bool is_there(const Maestro__Task *task, const char *worker)
{
	return task->worker && strcmp(task->worker, worker) == 0 && (task->state == MAESTRO__TASK_STATE__TASK_STARTING ||
		task->state == MAESTRO__TASK_STATE__TASK_RUNNING);
}

static void on_changed(struct model *model, unsigned int parts, uint64_t task, void *userdata)
{
	struct draining *draining = userdata;

	if (!(parts & MODEL_TASKS) || model_age_ms(model))
		return;
	draining->over = true;
	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *one = model_task_at(model, i);

		if (!is_there(one, draining->worker))
			continue;
		draining->over = false;
		if (!draining->known && buf_append(&draining->ids, &one->id, sizeof(one->id)))
			return; /* asked again with the next change */
	}
	draining->known = true;
}

static const struct model_ops model_ops = { .changed = on_changed };

static int run_until_over(struct draining *draining, struct error *error)
{
	while (!draining->over) {
		int r = sd_event_run(draining->cli->event, 5 * 1000000);

		if (r < 0)
			return r;
		if (model_age_ms(draining->model) > PATIENCE_MS)
			return error_set(error, CLIENT_E_UNREACHABLE, "no coordinator any more: %s", model_trouble(draining->model));
	}
	return 0;
}

/* Its last attempt there is lost: nobody knows how it ended. */
static bool was_abandoned(const Maestro__Task *task, const char *worker)
{
	for (size_t i = task->n_attempts; i-- > 0;)
		if (task->attempts[i]->worker && strcmp(task->attempts[i]->worker, worker) == 0)
			return task->attempts[i]->state == MAESTRO__TASK_STATE__TASK_LOST;
	return false;
}

/* What became of each. */
static int look_back(const struct draining *draining, json_t *abandoned, struct error *error)
{
	const uint64_t *ids = (const uint64_t *)(const void *)draining->ids.data;
	struct cli *cli = draining->cli;

	for (size_t i = 0; i < draining->ids.len / sizeof(*ids); i++) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		const Maestro__Task *task;
		bool lost;
		int r = cli_get_task(cli, ids[i], &reply, &task, error);

		if (r == CLIENT_E_NOT_FOUND) {
			error_deinit(error); /* somebody removed it meanwhile */
			continue;
		}
		if (r)
			return r;
		lost = was_abandoned(task, draining->worker);
		if (lost)
			json_array_append_new(abandoned, json_integer((json_int_t)ids[i]));
		if (!cli->json)
			printf("%" PRIu64 " %s%s\n", ids[i], name_task_state(task->state), lost ? " (abandoned)" : "");
	}
	return 0;
}

static int wait_until_drained(struct cli *cli, const char *worker, json_t *abandoned, struct error *error)
{
	struct draining draining = { .cli = cli, .worker = worker };
	int r;

	r = model_new(&draining.model, cli->client, &model_ops, &draining);
	if (!r)
		r = run_until_over(&draining, error);
	if (!r)
		r = look_back(&draining, abandoned, error);
	model_free(draining.model);
	buf_deinit(&draining.ids);
	return r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	json_t *abandoned = json_array();
	size_t lost;
	int r;

	r = ask(cli, operands[0], error);
	if (!r && values->wait)
		r = wait_until_drained(cli, operands[0], abandoned, error);
	lost = json_array_size(abandoned);
	if (r || !cli->json)
		json_decref(abandoned);
	if (r)
		return r;
	if (cli->json)
		r = cli_print_json(json_pack("{ss ss so}", "name", operands[0], "done", values->wait ? "drained" : "draining",
			"abandoned", abandoned));
	else
		printf("Worker %s: %s\n", operands[0], values->wait ? "drained" : "draining");
	if (r || !lost)
		return r;
	return error_set(error, CLIENT_E_FAILED, "%zu of its tasks %s abandoned", lost, lost == 1 ? "was" : "were");
}

const struct command command_worker_drain = {
	.name = "worker drain",
	.group = GROUP_FLEET,
	.brief = "let a worker finish what it has",
	.table = { "maestro worker drain", "[--wait] NAME",
		"Gives the worker nothing new. What it has goes on; 'maestro worker uncordon' takes the word back.\n"
		"With --wait: until all of it is over there, or in review. Ends with 1 if some of it was abandoned.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
