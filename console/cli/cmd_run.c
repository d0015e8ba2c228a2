#include "console/cli/command.h"
#include "console/cli/repository.h"
#include "console/client/author.h"
#include "console/cli/wait.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	char *project, *title, *base, *size, *model, *permission, *request_id, *priority;
	struct option_list agents, labels, after;
	uint64_t copies, max_time_ms, max_idle_ms, retries;
	bool wait;
};

#define VALUE(field) .offset = offsetof(struct values, field)

static const struct option_spec specs[] = {
	{ .name = "project", .short_name = 'p', .type = OPTION_STRING, VALUE(project), .arg = "PROJECT",
		.help = "the project; else the one of this directory, else the only one" },
	{ .name = "agent", .short_name = 'a', .type = OPTION_LIST, VALUE(agents), .arg = "AGENT",
		.help = "the agent; several make a task each" },
	{ .name = "copies", .short_name = 'n', .type = OPTION_NUMBER, VALUE(copies), .arg = "N", .initial = "1",
		.min = 1, .max = LIMIT_COPIES, .help = "so many tasks, to take the best of" },
	{ .name = "label", .short_name = 'l', .type = OPTION_LIST, VALUE(labels), .arg = "KEY=VALUE",
		.help = "only on workers with this label" },
	{ .name = "after", .type = OPTION_LIST, VALUE(after), .arg = "TASK", .help = "begin when this task has ended well" },
	{ .name = "priority", .type = OPTION_STRING, VALUE(priority), .arg = "N", .help = "higher ones go first [0]" },
	{ .name = "title", .type = OPTION_STRING, VALUE(title), .arg = "TITLE",
		.help = "what it is called; else the prompt's first line" },
	{ .name = "base", .type = OPTION_STRING, VALUE(base), .arg = "BRANCH",
		.help = "the branch to begin from; else the project's" },
	{ .name = "max-time", .type = OPTION_DURATION, VALUE(max_time_ms), .arg = "T", .help = "stop it after so long (90s, 15m, 2h)" },
	{ .name = "max-idle", .type = OPTION_DURATION, VALUE(max_idle_ms), .arg = "T",
		.help = "stop it when it was idle for so long" },
	{ .name = "retries", .type = OPTION_NUMBER, VALUE(retries), .arg = "N", .max = 100,
		.help = "try again so often when it fails" },
	{ .name = "size", .type = OPTION_STRING, VALUE(size), .arg = "COLSxROWS", .help = "size of the session's terminal" },
	{ .name = "model", .type = OPTION_STRING, VALUE(model), .arg = "MODEL", .help = "the agent's model" },
	{ .name = "permission", .type = OPTION_STRING, VALUE(permission), .arg = "MODE", .help = "the agent's permission mode" },
	{ .name = "request-id", .type = OPTION_STRING, VALUE(request_id), .arg = "ID",
		.help = "the same id and task again give the same answer, not a second task" },
	{ .name = "wait", .type = OPTION_FLAG, VALUE(wait), .help = "wait as 'maestro wait' does" },
	CLI_COMMON_OPTIONS,
};

/* A SUBMIT and what it points to. */
struct submit {
	Maestro__Submit message;
	Maestro__Label *labels, **label_list;
	uint64_t *after;
	struct author author;
	struct buf prompt;
	char *project;
	char request_id[ID_HEX_MAX(ID_RANDOM_BYTES)];
};

static void submit_deinit(struct submit *submit)
{
	for (size_t i = 0; submit->labels && i < submit->message.n_labels; i++) {
		free(submit->labels[i].key);
		free(submit->labels[i].value);
	}
	free(submit->labels);
	free(submit->label_list);
	free(submit->after);
	free(submit->project);
	author_deinit(&submit->author);
	buf_deinit(&submit->prompt);
}

static int set_labels(struct submit *submit, const struct option_list *list, struct error *error)
{
	if (list->count > LIMIT_LABELS)
		return error_set(error, CLIENT_E_USAGE, "label: at most %u", LIMIT_LABELS);
	submit->labels = calloc(list->count + 1, sizeof(*submit->labels));
	submit->label_list = calloc(list->count + 1, sizeof(*submit->label_list));
	if (!submit->labels || !submit->label_list)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		Maestro__Label *label = &submit->labels[i];
		int r;

		maestro__label__init(label);
		label->key = label->value = NULL;
		r = name_parse_label(list->items[i], &label->key, &label->value, error);
		if (r)
			return cli_usage(r);
		submit->label_list[i] = label;
		submit->message.n_labels = i + 1;
	}
	submit->message.labels = submit->label_list;
	return 0;
}

static int set_size(Maestro__Submit *message, const char *size, struct error *error)
{
	unsigned int cols, rows;
	char end;

	if (!size)
		return 0;
	if (sscanf(size, "%4ux%4u%c", &cols, &rows, &end) != 2 || cols < 2 || rows < 2 || cols > 1000 || rows > 1000)
		return error_set(error, CLIENT_E_USAGE, "size: '%s' is not COLSxROWS, as 120x40, from 2x2 to 1000x1000", size);
	message->has_cols = message->has_rows = true;
	message->cols = cols;
	message->rows = rows;
	return 0;
}

static int set_priority(Maestro__Submit *message, const char *text, struct error *error)
{
	uint64_t value;

	if (!text)
		return 0;
	if (str_parse_u64(text + (*text == '-'), 0, 1000, &value))
		return error_set(error, CLIENT_E_USAGE, "priority: '%s' is no whole number from -1000 to 1000", text);
	message->has_priority = true;
	message->priority = *text == '-' ? -(int32_t)value : (int32_t)value;
	return 0;
}

static int check_names(const struct values *values, struct error *error)
{
	for (size_t i = 0; i < values->agents.count; i++)
		if (!name_valid(values->agents.items[i]))
			return error_set(error, CLIENT_E_USAGE, "agent: '%s' is no name", values->agents.items[i]);
	if (values->project && !name_valid(values->project))
		return error_set(error, CLIENT_E_USAGE, "project: '%s' is no name", values->project);
	if (values->base && !name_branch_valid(values->base))
		return error_set(error, CLIENT_E_USAGE, "base: '%s' is no name of a branch", values->base);
	if (values->title && strlen(values->title) > LIMIT_TITLE_BYTES)
		return error_set(error, CLIENT_E_USAGE, "title: longer than %u bytes", LIMIT_TITLE_BYTES);
	return 0;
}

#define SET_BYTES(message, field, text)                                                                      \
	do {                                                                                                 \
		(message)->has_##field = (text) != NULL;                                                     \
		(message)->field = bytes_of(text);                                                           \
	} while (0)

static void set_plain(Maestro__Submit *message, const struct values *values)
{
	SET_BYTES(message, title, values->title);
	SET_BYTES(message, model, values->model);
	SET_BYTES(message, permission, values->permission);
	message->n_agents = values->agents.count;
	message->agents = values->agents.items;
	message->base_branch = values->base;
	message->has_copies = true;
	message->copies = (uint32_t)values->copies;
	message->has_max_time_ms = values->max_time_ms != 0;
	message->max_time_ms = values->max_time_ms;
	message->has_max_idle_ms = values->max_idle_ms != 0;
	message->max_idle_ms = values->max_idle_ms;
	message->has_retries = values->retries != 0;
	message->retries = (uint32_t)values->retries;
}

static int fill(struct submit *submit, const struct values *values, const char *prompt, struct error *error)
{
	Maestro__Submit *message = &submit->message;
	uint8_t random[ID_RANDOM_BYTES];
	int r;

	set_plain(message, values);
	r = check_names(values, error);
	if (!r)
		r = set_labels(submit, &values->labels, error);
	if (!r)
		r = set_size(message, values->size, error);
	if (!r)
		r = set_priority(message, values->priority, error);
	if (!r)
		r = cli_parse_tasks(values->after.items, (int)values->after.count, &submit->after, error);
	if (!r)
		r = cli_read_text(prompt, "the prompt", LIMIT_PROMPT_BYTES, &submit->prompt, error);
	if (r)
		return r;
	if (!submit->prompt.len)
		return error_set(error, CLIENT_E_USAGE, "the prompt is empty");
	if (values->request_id && !*values->request_id)
		return error_set(error, CLIENT_E_USAGE, "the request id is empty: nothing would be known again by it");
	message->n_after = values->after.count;
	message->after = submit->after;
	message->prompt = (ProtobufCBinaryData){ .len = submit->prompt.len, .data = submit->prompt.data };
	id_random(random, sizeof(random));
	id_hex(random, sizeof(random), submit->request_id);
	SET_BYTES(message, request_id, values->request_id ? values->request_id : submit->request_id);
	author_read(&submit->author, ".");
	message->author = author_message(&submit->author);
	return 0;
}

static int print_ids(struct cli *cli, const Maestro__Submitted *submitted)
{
	json_t *array;

	if (!cli->json) {
		for (size_t i = 0; i < submitted->n_tasks; i++)
			printf("%" PRIu64 "\n", submitted->tasks[i]);
		return fflush(stdout) ? -EIO : 0;
	}
	array = json_array();
	for (size_t i = 0; i < submitted->n_tasks; i++)
		json_array_append_new(array, json_integer((json_int_t)submitted->tasks[i]));
	return cli_print_json(json_pack("{so}", "tasks", array));
}

/* The id makes it repeatable: a lost reply, or a coordinator that is started again, does no harm. */
static int send(struct cli *cli, Maestro__Submit *message, struct message *ret_reply, struct error *error)
{
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;

	request.body_case = MAESTRO__ENVELOPE__BODY_SUBMIT;
	request.submit = message;
	return client_call_repeatable(cli->client, &request, MAESTRO__ENVELOPE__BODY_SUBMITTED, CLIENT_DEADLINE_MS,
		ret_reply, error);
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(submit_deinit) struct submit submit = { .message = MAESTRO__SUBMIT__INIT };
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__Submitted *submitted;
	int r;

	r = fill(&submit, values, operands[0], error);
	if (!r)
		r = cli_connect(cli, error);
	if (!r && !values->project)
		r = repository_project(cli, ".", &submit.project, error);
	submit.message.project = values->project ? values->project : submit.project;
	if (!r)
		r = send(cli, &submit.message, &reply, error);
	if (r)
		return r;
	submitted = client_reply_of(&reply)->submitted;
	if (!values->wait)
		return print_ids(cli, submitted);
	if (!cli->json)
		print_ids(cli, submitted);
	return wait_for_tasks(cli, submitted->tasks, submitted->n_tasks, 0, error);
}

const struct command command_run_ = {
	.name = "run",
	.group = GROUP_TASKS,
	.brief = "give a task to an agent",
	.table = { "maestro run", "[OPTION]... PROMPT|-",
		"Submits a task and prints its number. The prompt is one argument, or '-' for standard input; 256 KiB\n"
		"at most. It is run as a shell command only with '-a command'.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
