/* What the cluster asks its admin: list, look, answer. */
#include "console/cli/command.h"
#include "console/cli/print.h"
#include "console/cli/question.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	bool all;
};

static const struct option_spec plain_specs[] = { CLI_COMMON_OPTIONS };
static const struct option_spec list_specs[] = {
	{ .name = "all", .short_name = 'a', .type = OPTION_FLAG, .offset = offsetof(struct values, all),
		.help = "also those that were answered" },
	CLI_COMMON_OPTIONS,
};

int question_list(struct cli *cli, bool all, struct message *ret_reply, const Maestro__QuestionList **ret_list,
	struct error *error)
{
	Maestro__ListQuestions ask = MAESTRO__LIST_QUESTIONS__INIT;
	int r;

	ask.has_all = ask.all = all;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_QUESTIONS, &ask, MAESTRO__ENVELOPE__BODY_QUESTION_LIST,
		CLIENT_DEADLINE_MS, ret_reply, error);
	if (!r)
		*ret_list = client_reply_of(ret_reply)->question_list;
	return r;
}

static int run_ls(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	static const struct table_column columns[] = {
		{ .title = "ID", .right = true }, { .title = "KIND" }, { .title = "WORKER" }, { .title = "ASKED" },
		{ .title = "ANSWER" }, { .title = "QUESTION", .flexible = true },
	};
	const struct values *values = v;
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__QuestionList *list;
	char age[CLOCK_AGE_MAX];
	json_t *array;
	int r;

	r = question_list(cli, values->all, &reply, &list, error);
	if (r)
		return r;
	array = json_array();
	for (size_t i = 0; i < list->n_questions; i++) {
		const Maestro__Question *question = list->questions[i];

		json_array_append_new(array, json_of_question(question));
		table_add_number(&table, COLOUR_NONE, true, question->id);
		table_add(&table, COLOUR_NONE, question->kind);
		table_add(&table, COLOUR_NONE, question->worker);
		table_add(&table, COLOUR_NONE, print_age(question->has_asked_ms, question->asked_ms, age));
		table_add(&table, question->answer ? COLOUR_NONE : COLOUR_YELLOW, question->answer ? question->answer : "open");
		table_add_bytes(&table, COLOUR_NONE, question->has_text, &question->text);
	}
	if (cli->json)
		return cli_print_json(array);
	json_decref(array);
	if (!list->n_questions && cli->terminal)
		puts("Nothing is asked.");
	return table_print(&table, cli, stdout);
}

static void print_choices(const struct cli *cli, const Maestro__Question *question)
{
	for (size_t i = 0; i < question->n_choices; i++) {
		_cleanup_free_ char *text = print_clean_bytes(question->choices[i]->has_text, &question->choices[i]->text);
		_cleanup_free_ char *name = print_clean(question->choices[i]->name, strlen(question->choices[i]->name));

		printf("%s%smaestro question answer %" PRIu64 " %s%s\n    %s\n", i ? "" : "\n",
			colour_begin(cli->colours, COLOUR_BOLD), question->id, str_or(name, ""),
			colour_end(cli->colours, COLOUR_BOLD), str_or(text, ""));
	}
}

static void print_question(const struct cli *cli, const Maestro__Question *question)
{
	_cleanup_free_ char *text = question->has_text ? bytes_dup(&question->text) : NULL;
	_cleanup_free_ char *actor = question->has_actor ? bytes_dup(&question->actor) : NULL;
	char number[32], time[CLOCK_RFC3339_MAX];

	snprintf(number, sizeof(number), "%" PRIu64, question->id);
	print_field(cli, "question", number);
	print_field(cli, "kind", question->kind);
	print_field(cli, "", text);
	print_field(cli, "worker", question->worker);
	snprintf(number, sizeof(number), "%" PRIu64 ".%u", question->task, question->attempt);
	print_field(cli, "task", question->has_task ? number : NULL);
	print_field(cli, "asked", question->has_asked_ms ? clock_format_rfc3339(question->asked_ms, time) : NULL);
	print_field(cli, "answer", question->answer);
	print_field(cli, "by", actor);
	print_field(cli, "at", question->has_answered_ms ? clock_format_rfc3339(question->answered_ms, time) : NULL);
	print_choices(cli, question);
}

static int parse_id(const char *text, uint64_t *ret_id, struct error *error)
{
	if (str_parse_u64(text, 1, INT64_MAX, ret_id))
		return error_set(error, CLIENT_E_USAGE, "'%s' is no number of a question", text);
	return 0;
}

static int run_show(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__QuestionList *list;
	uint64_t id;
	int r;

	r = parse_id(operands[0], &id, error);
	if (!r)
		r = question_list(cli, true, &reply, &list, error);
	if (r)
		return r;
	for (size_t i = 0; i < list->n_questions; i++) {
		if (list->questions[i]->id != id)
			continue;
		if (cli->json)
			return cli_print_json(json_of_question(list->questions[i]));
		print_question(cli, list->questions[i]);
		return 0;
	}
	error_set(error, CLIENT_E_NOT_FOUND, "question %" PRIu64 ": there is no such question", id);
	error_hint(error, "'maestro question ls --all' lists them");
	return CLIENT_E_NOT_FOUND;
}

static int run_answer(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__AnswerQuestion answer = MAESTRO__ANSWER_QUESTION__INIT;
	_cleanup_free_ char *said = NULL;
	const Maestro__Done *done;
	int r;

	r = parse_id(operands[0], &answer.question, error);
	if (r)
		return r;
	answer.choice = operands[1];
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_ANSWER_QUESTION, &answer, MAESTRO__ENVELOPE__BODY_DONE, QUESTION_ANSWER_MS,
		&reply, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{sI ss}", "id", (json_int_t)answer.question, "answer", operands[1]));
	done = client_reply_of(&reply)->done;
	said = print_clean_bytes(done->has_text, &done->text);
	printf("Question %" PRIu64 ": %s\n", answer.question, said && *said ? said : "answered");
	return 0;
}

#define QUESTION_COMMAND(id, word, text, usage_, more, specs, operands)                                      \
	const struct command command_question_##id = {                                                       \
		.name = "question " word, .group = GROUP_ADMIN, .brief = text,                               \
		.table = { "maestro question " word, usage_, more, specs, ARRAY_SIZE(specs) },               \
		.values_size = sizeof(struct values), .operands_min = operands, .operands_max = operands, .run = run_##id }

QUESTION_COMMAND(ls, "ls", "what the cluster asks its admin", "[--all]",
	"Lists what only an admin can decide: whether this database, which seems to be an old backup, is to go on (restored),\n"
	"and what becomes of a session that this coordinator never started (unknown-session).",
	list_specs, 0);
QUESTION_COMMAND(show, "show", "show one question and its choices", "ID", "Shows a question, and what each choice does.",
	plain_specs, 1);
QUESTION_COMMAND(answer, "answer", "answer a question", "ID CHOICE",
	"Answers a question with one of its choices. This needs the admin key, and cannot be taken back.", plain_specs, 2);
