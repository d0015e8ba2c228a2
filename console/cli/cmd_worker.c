#include "console/cli/command.h"
#include "console/cli/print.h"
#include "console/cli/question.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	bool lost;
};

static const struct option_spec plain_specs[] = { CLI_COMMON_OPTIONS };
static const struct option_spec remove_specs[] = {
	{ .name = "lost", .type = OPTION_FLAG, .offset = offsetof(struct values, lost),
		.help = "it does not answer and will not come back: its attempts are lost" },
	CLI_COMMON_OPTIONS,
};

static int list_workers(struct cli *cli, struct message *ret_reply, const Maestro__WorkerList **ret_list,
	struct error *error)
{
	Maestro__ListWorkers list = MAESTRO__LIST_WORKERS__INIT;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_WORKERS, &list, MAESTRO__ENVELOPE__BODY_WORKER_LIST,
		CLIENT_DEADLINE_MS, ret_reply, error);
	if (!r)
		*ret_list = client_reply_of(ret_reply)->worker_list;
	return r;
}

static const char *flags(const Maestro__Worker *worker)
{
	if (worker->draining)
		return " (draining)";
	return worker->cordoned ? " (cordoned)" : "";
}

static void add_agents(struct table *table, const Maestro__Worker *worker)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < worker->n_agents; i++)
		buf_printf(&text, "%s%s", i ? " " : "", worker->agents[i]->name);
	table_add(table, COLOUR_NONE, buf_text(&text));
}

static void add_worker(struct table *table, const Maestro__Worker *worker)
{
	char text[64], bytes[PRINT_BYTES_MAX];

	table_add(table, COLOUR_NONE, worker->name);
	snprintf(text, sizeof(text), "%s%s", name_worker_state(worker->state), flags(worker));
	table_add(table, colour_of_worker(worker->state), text);
	snprintf(text, sizeof(text), "%u/%u", worker->used, worker->slots);
	table_add(table, COLOUR_NONE, text);
	snprintf(text, sizeof(text), "%.2f", worker->load_percent / 100.0);
	table_add(table, COLOUR_NONE, worker->has_load_percent ? text : NULL);
	table_add(table, COLOUR_NONE, print_bytes(worker->has_memory_free_bytes, worker->memory_free_bytes, bytes));
	table_add(table, COLOUR_NONE, print_bytes(worker->has_disk_free_bytes, worker->disk_free_bytes, bytes));
	add_agents(table, worker);
}

static int run_ls(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	static const struct table_column columns[] = {
		{ .title = "NAME" }, { .title = "STATE" }, { .title = "USED", .right = true },
		{ .title = "LOAD", .right = true }, { .title = "MEMORY", .right = true }, { .title = "DISK", .right = true },
		{ .title = "AGENTS", .flexible = true },
	};
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__WorkerList *list;
	json_t *array;
	int r;

	r = list_workers(cli, &reply, &list, error);
	if (r)
		return r;
	array = json_array();
	for (size_t i = 0; i < list->n_workers; i++) {
		json_array_append_new(array, json_of_worker(list->workers[i]));
		add_worker(&table, list->workers[i]);
	}
	if (cli->json)
		return cli_print_json(array);
	json_decref(array);
	if (!list->n_workers && cli->terminal)
		puts("No workers. 'maestro up' starts one here; 'maestro-worker join ADDRESS' enrols another machine.");
	return table_print(&table, cli, stdout);
}

static void print_questions(struct cli *cli, const char *worker)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__QuestionList *list;

	if (question_list(cli, false, &reply, &list, &error))
		return; /* an older coordinator asks nothing */
	for (size_t i = 0; i < list->n_questions; i++) {
		_cleanup_free_ char *text = bytes_dup(&list->questions[i]->text);
		_cleanup_free_ char *line = NULL;

		if (strcmp(str_or(list->questions[i]->worker, ""), worker) != 0)
			continue;
		if (asprintf(&line, "%" PRIu64 ": %s (maestro question show %" PRIu64 ")", list->questions[i]->id, str_or(text, ""),
			    list->questions[i]->id) < 0)
			line = NULL;
		print_field(cli, "question", line);
	}
}

static void print_agent(const struct cli *cli, const char *label, const Maestro__AgentProgram *agent)
{
	_cleanup_free_ char *version = agent->has_version ? bytes_dup(&agent->version) : NULL;
	char text[160], time[CLOCK_RFC3339_MAX];

	snprintf(text, sizeof(text), "%s %.40s%s%s%s", agent->name, str_or(version, ""),
		agent->has_logged_in && !agent->logged_in ? " (not logged in)" : "",
		agent->has_limited_until_ms ? " (limited until " : "",
		agent->has_limited_until_ms ? clock_format_rfc3339(agent->limited_until_ms, time) : "");
	if (agent->has_limited_until_ms)
		strcat(text, ")");
	print_field(cli, label, text);
}

static void print_worker(struct cli *cli, const Maestro__Worker *worker)
{
	_cleanup_free_ char *version = worker->has_version ? bytes_dup(&worker->version) : NULL;
	_cleanup_free_ char *reason = NULL;
	char text[96], bytes[PRINT_BYTES_MAX];

	print_field(cli, "name", worker->name);
	snprintf(text, sizeof(text), "%s%s", name_worker_state(worker->state), flags(worker));
	print_field(cli, "state", text);
	reason = worker->has_reason ? bytes_dup(&worker->reason) : NULL;
	print_field(cli, "reason", reason);
	snprintf(text, sizeof(text), "%u of %u used, %u idle", worker->used, worker->slots, worker->idle);
	print_field(cli, "slots", text);
	for (size_t i = 0; i < worker->n_labels; i++) {
		snprintf(text, sizeof(text), "%s=%s", worker->labels[i]->key, worker->labels[i]->value);
		print_field(cli, i ? "" : "labels", text);
	}
	for (size_t i = 0; i < worker->n_agents; i++)
		print_agent(cli, i ? "" : "agents", worker->agents[i]);
	print_field(cli, "memory free", print_bytes(worker->has_memory_free_bytes, worker->memory_free_bytes, bytes));
	print_field(cli, "disk free", print_bytes(worker->has_disk_free_bytes, worker->disk_free_bytes, bytes));
	print_field(cli, "may merge", worker->may_merge ? "yes" : "no");
	print_field(cli, "version", version);
	print_questions(cli, worker->name);
}

static int run_show(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__WorkerList *list;
	const char *names[256];
	size_t n = 0;
	int r;

	r = list_workers(cli, &reply, &list, error);
	if (r)
		return r;
	for (size_t i = 0; i < list->n_workers; i++) {
		if (strcmp(list->workers[i]->name, operands[0]) == 0) {
			if (cli->json)
				return cli_print_json(json_of_worker(list->workers[i]));
			print_worker(cli, list->workers[i]);
			return 0;
		}
		if (n < ARRAY_SIZE(names))
			names[n++] = list->workers[i]->name;
	}
	error_set(error, CLIENT_E_NOT_FOUND, "%s: no such worker", operands[0]);
	if (str_nearest(operands[0], names, n))
		error_hint(error, "did you mean '%s'?", str_nearest(operands[0], names, n));
	else
		error_hint(error, "'maestro worker ls' lists them");
	return CLIENT_E_NOT_FOUND;
}

static int act(struct cli *cli, Maestro__WorkerAction action, const char *word, char *name, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ActOnWorker request = MAESTRO__ACT_ON_WORKER__INIT;
	int r;

	if (!name_valid(name))
		return error_set(error, CLIENT_E_USAGE, "'%s' is no name of a worker", name);
	request.name = name;
	request.action = action;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_ACT_ON_WORKER, &request, MAESTRO__ENVELOPE__BODY_DONE,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{ss ss}", "name", name, "done", word));
	printf("Worker %s: %s\n", name, word);
	return 0;
}

#define DEFINE_ACT(word, action, text)                                                                       \
	static int run_##word(struct cli *cli, const void *v, int count, char **operands, struct error *error) \
	{                                                                                                    \
		return act(cli, MAESTRO__WORKER_ACTION__##action, text, operands[0], error);                 \
	}

DEFINE_ACT(cordon, WORKER_CORDON, "cordoned")
DEFINE_ACT(uncordon, WORKER_UNCORDON, "uncordoned")

static int run_rm(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;

	if (values->lost)
		return act(cli, MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST, "declared lost", operands[0], error);
	return act(cli, MAESTRO__WORKER_ACTION__WORKER_REMOVE, "removed", operands[0], error);
}

#define WORKER_COMMAND(id, word, text, usage_, specs, operands)                                              \
	const struct command command_worker_##id = {                                                         \
		.name = "worker " word, .group = GROUP_FLEET, .brief = text,                                 \
		.table = { "maestro worker " word, usage_, text ".", specs, ARRAY_SIZE(specs) },             \
		.values_size = sizeof(struct values), .operands_min = operands, .operands_max = operands, .run = run_##id }

WORKER_COMMAND(ls, "ls", "list workers", "", plain_specs, 0);
WORKER_COMMAND(show, "show", "show one worker", "NAME", plain_specs, 1);
WORKER_COMMAND(cordon, "cordon", "give a worker no new tasks", "NAME", plain_specs, 1);
WORKER_COMMAND(uncordon, "uncordon", "give it tasks again", "NAME", plain_specs, 1);
WORKER_COMMAND(rm, "rm", "forget a worker and its key", "[--lost] NAME", remove_specs, 1);
