#include "console/cli/command.h"
#include "console/cli/listing.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	struct option_list states;
	char *project;
	bool all;
};

static const struct option_spec specs[] = {
	{ .name = "state", .type = OPTION_LIST, .offset = offsetof(struct values, states), .arg = "STATE",
		.help = "only those in this state; may be given several times" },
	{ .name = "project", .short_name = 'p', .type = OPTION_STRING, .offset = offsetof(struct values, project),
		.arg = "PROJECT", .help = "only those of this project" },
	{ .name = "all", .type = OPTION_FLAG, .offset = offsetof(struct values, all), .help = "those long over too" },
	CLI_COMMON_OPTIONS,
};

static const struct table_column columns[] = {
	{ .title = "ID", .right = true }, { .title = "STATE" }, { .title = "AGENT" }, { .title = "SAYS", .flexible = true },
	{ .title = "PROJECT" }, { .title = "WORKER" }, { .title = "AGE", .right = true },
	{ .title = "TITLE", .flexible = true },
};

static enum colour colour_of_status(const Maestro__AgentStatus *status)
{
	if (!status)
		return COLOUR_NONE;
	switch (status->state) {
	case MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT:
		return COLOUR_YELLOW;
	case MAESTRO__AGENT_STATE__AGENT_ERROR:
	case MAESTRO__AGENT_STATE__AGENT_LIMITED:
		return COLOUR_RED;
	default:
		return COLOUR_NONE;
	}
}

/* "working 40% writing the parser"; else why it waits or failed. */
static char *says(const Maestro__Task *task)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	bool live = task->session == MAESTRO__SESSION_STATE__SESSION_LIVE;

	if (!live || !task->status) {
		if (task->has_waiting_for && task->state == MAESTRO__TASK_STATE__TASK_QUEUED)
			return bytes_dup(&task->waiting_for);
		return task->has_reason ? bytes_dup(&task->reason) : strdup("");
	}
	buf_append_str(&out, name_agent_state(task->status->state));
	if (task->status->has_progress)
		buf_printf(&out, " %u%%", task->status->progress);
	if (task->status->has_message && task->status->message.len) {
		buf_append_byte(&out, ' ');
		buf_append(&out, task->status->message.data, task->status->message.len);
	}
	return buf_take(&out);
}

static int add_task(struct table *table, const Maestro__Task *task)
{
	_cleanup_free_ char *text = says(task);
	char age[CLOCK_AGE_MAX];
	int r;

	r = table_add_number(table, COLOUR_NONE, true, task->id);
	if (!r)
		r = table_add(table, colour_of_task(task->state), name_task_state(task->state));
	if (!r)
		r = table_add(table, COLOUR_NONE, task->agent);
	if (!r)
		r = table_add(table, colour_of_status(task->status), text);
	if (!r)
		r = table_add(table, COLOUR_NONE, task->project);
	if (!r)
		r = table_add(table, COLOUR_NONE, task->worker);
	if (!r)
		r = table_add(table, COLOUR_NONE, print_age(task->has_created_ms, task->created_ms, age));
	if (!r)
		r = table_add_bytes(table, COLOUR_NONE, task->has_title, &task->title);
	return r;
}

static bool wanted(const Maestro__Task *task, const char *project)
{
	return !project || (task->project && strcmp(task->project, project) == 0);
}

static int print_people(struct cli *cli, const Maestro__TaskList *list, const char *project)
{
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	int r = 0;

	for (size_t i = 0; !r && i < list->n_tasks; i++)
		if (wanted(list->tasks[i], project))
			r = add_task(&table, list->tasks[i]);
	if (!r && !table.count && cli->terminal)
		puts("No tasks. 'maestro run PROMPT' makes one; 'maestro ls --all' shows those long over too.");
	return r ? r : table_print(&table, cli, stdout);
}

static int print_all(struct cli *cli, const Maestro__TaskList *list, const char *project)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n_tasks; i++)
		if (wanted(list->tasks[i], project))
			json_array_append_new(array, json_of_task(list->tasks[i], 0));
	return cli_print_json(array);
}

static int parse_states(const struct option_list *list, Maestro__TaskState *states, struct error *error)
{
	for (size_t i = 0; i < list->count; i++) {
		int r = name_parse_task_state(list->items[i], &states[i], error);

		if (r)
			return cli_usage(r);
	}
	return 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_free_ Maestro__TaskState *states = calloc(values->states.count + 1, sizeof(*states));
	_cleanup_(listing_deinit) struct listing listing = LISTING_NULL;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	const Maestro__TaskList *tasks = &listing.list;
	int r;

	if (!states)
		return -ENOMEM;
	r = parse_states(&values->states, states, error);
	if (r)
		return r;
	list.n_states = values->states.count;
	list.states = states;
	list.has_all = true;
	list.all = values->all || values->states.count; /* who names a state wants all that are in it */
	r = listing_fetch(&listing, cli, &list, error);
	if (r)
		return r;
	return cli->json ? print_all(cli, tasks, values->project) : print_people(cli, tasks, values->project);
}

const struct command command_ls = {
	.name = "ls",
	.group = GROUP_TASKS,
	.brief = "list tasks",
	.table = { "maestro ls", "[--state STATE]... [--project PROJECT] [--all]",
		"Lists tasks: those that are not over, and those that are over since a short time.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
