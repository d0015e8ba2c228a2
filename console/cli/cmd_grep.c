#include "console/cli/command.h"
#include "console/cli/listing.h"
#include "console/cli/plain.h"
#include "console/cli/print.h"
#include "console/cli/repository.h"

#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES (512u * 1024)
#define TASK_BYTES_MAX (128ull * 1024 * 1024) /* of one task's output that are looked at */
#define LINE_BYTES_MAX 4096u                  /* a longer line is cut there and goes on as the next */

struct values {
	struct cli_common common;
	char *project;
	bool ignore_case, fixed, names_only;
	uint64_t max;
};

static const struct option_spec specs[] = {
	{ .name = "project", .short_name = 'p', .type = OPTION_STRING, .offset = offsetof(struct values, project), .arg = "NAME",
		.help = "of this project; else of the repository's one stands in, else of all" },
	{ .name = "ignore-case", .short_name = 'i', .type = OPTION_FLAG, .offset = offsetof(struct values, ignore_case),
		.help = "capital or not is the same" },
	{ .name = "fixed", .short_name = 'F', .type = OPTION_FLAG, .offset = offsetof(struct values, fixed),
		.help = "the pattern is plain text" },
	{ .name = "tasks-only", .short_name = 'l', .type = OPTION_FLAG, .offset = offsetof(struct values, names_only),
		.help = "only the numbers of the tasks that have it" },
	{ .name = "max", .short_name = 'm', .type = OPTION_NUMBER, .offset = offsetof(struct values, max), .arg = "N", .min = 1,
		.max = 1000000, .initial = "1000", .help = "stop after so many lines" },
	CLI_COMMON_OPTIONS,
};

struct grep {
	struct cli *cli;
	const struct values *values;
	regex_t pattern;
	uint64_t found, failed;
	bool stop; /* enough was found */
};

/* One task's output on its way through. */
struct search {
	struct grep *grep;
	uint64_t task, offset, line;
	struct plain plain;
	struct buf text; /* what has no newline yet */
	bool stop;
};

static int print_found(struct search *search, const char *text, size_t len)
{
	const struct cli *cli = search->grep->cli;

	if (search->grep->values->names_only) {
		search->stop = true;
		if (cli->json)
			return cli_print_line(json_pack("{sI}", "task", (json_int_t)search->task));
		return printf("%" PRIu64 "\n", search->task) < 0 ? -EIO : 0;
	}
	if (cli->json)
		return cli_print_line(json_pack("{sI sI so}", "task", (json_int_t)search->task, "line", (json_int_t)search->line,
			"text", json_of_bytes(text, len)));
	return printf("%s%" PRIu64 ":%" PRIu64 ":%s%.*s\n", colour_begin(cli->colours, COLOUR_FAINT), search->task, search->line,
		       colour_end(cli->colours, COLOUR_FAINT), (int)len, text) < 0 ? -EIO : 0;
}

static int look_at_line(struct search *search, char *text, size_t len)
{
	struct grep *grep = search->grep;
	char end = text[len];
	bool match;

	search->line++;
	text[len] = '\0'; /* plain text has no NUL of its own */
	match = regexec(&grep->pattern, text, 0, NULL, 0) == 0;
	text[len] = end;
	if (!match)
		return 0;
	grep->stop = ++grep->found >= grep->values->max;
	return print_found(search, text, len);
}

/* Lines that are whole, or too long to wait for their end. */
static int look_at_lines(struct search *search, bool last)
{
	size_t at = 0;
	int r = 0;

	while (!r && !search->stop && !search->grep->stop && at < search->text.len) {
		char *begin = (char *)search->text.data + at;
		size_t left = search->text.len - at;
		char *newline = memchr(begin, '\n', left);
		size_t len = newline ? (size_t)(newline - begin) : left;

		if (!newline && !last && left < LINE_BYTES_MAX)
			break;
		if (len > LINE_BYTES_MAX) {
			newline = NULL;
			len = LINE_BYTES_MAX;
		}
		r = look_at_line(search, begin, len);
		at += len + (newline != NULL);
	}
	buf_consume(&search->text, at);
	return r;
}

static int search_piece(struct search *search, bool *ret_more, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	const Maestro__SessionBytes *bytes;
	int r;

	read.task = search->task;
	read.kind = MAESTRO__READ_KIND__READ_OUTPUT;
	read.has_offset = read.has_max_bytes = true;
	read.offset = search->offset;
	read.max_bytes = PIECE_BYTES;
	r = cli_call(search->grep->cli, MAESTRO__ENVELOPE__BODY_READ_TASK, &read, MAESTRO__ENVELOPE__BODY_SESSION_BYTES,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	bytes = client_reply_of(&reply)->session_bytes;
	r = plain_feed(&search->plain, bytes->data.data, bytes->data.len, &search->text);
	search->offset = (bytes->has_offset ? bytes->offset : search->offset) + bytes->data.len;
	*ret_more = bytes->data.len && bytes->has_end && search->offset < bytes->end && search->offset < TASK_BYTES_MAX;
	return r ? r : look_at_lines(search, !*ret_more);
}

static int search_task(struct grep *grep, uint64_t task, struct error *error)
{
	struct search search = { .grep = grep, .task = task, .plain = PLAIN_NULL, .text = BUF_NULL };
	bool more = true;
	int r = 0;

	while (!r && more && !search.stop && !grep->stop)
		r = search_piece(&search, &more, error);
	buf_deinit(&search.text);
	return r;
}

/* A worker that is away, or a transcript that was removed, must not hide what the others have. */
static int search_tasks(struct grep *grep, const Maestro__TaskList *list, const char *project)
{
	int r = 0;

	for (size_t i = 0; i < list->n_tasks && !grep->stop && r >= 0; i++) {
		_cleanup_(error_deinit) struct error why = ERROR_NULL;
		_cleanup_free_ char *text = NULL;
		const Maestro__Task *task = list->tasks[i];

		if ((project && (!task->project || strcmp(task->project, project) != 0)) || !task->has_attempt || !task->attempt)
			continue;
		r = search_task(grep, task->id, &why);
		if (r == CLIENT_E_UNREACHABLE || r < 0)
			return r;
		if (!r)
			continue;
		grep->failed++;
		text = print_clean(error_text(&why, r), strlen(error_text(&why, r)));
		fprintf(stderr, "maestro: grep: task %" PRIu64 ": %s\n", task->id, text ? text : "");
	}
	return r < 0 ? r : 0;
}

static int compile(struct grep *grep, const char *pattern, struct error *error)
{
	_cleanup_(buf_deinit) struct buf quoted = BUF_NULL;
	char why[128];
	int r;

	for (const char *p = pattern; *p; p++) {
		if (grep->values->fixed && strchr("\\^$.[]|()*+?{}", *p))
			buf_append_byte(&quoted, '\\');
		buf_append_byte(&quoted, (uint8_t)*p);
	}
	r = regcomp(&grep->pattern, buf_text(&quoted), REG_EXTENDED | REG_NOSUB | (grep->values->ignore_case ? REG_ICASE : 0));
	if (!r)
		return 0;
	regerror(r, &grep->pattern, why, sizeof(why));
	error_set(error, CLIENT_E_USAGE, "grep: the pattern is no regular expression: %s", why);
	error_hint(error, "-F takes it as plain text");
	return CLIENT_E_USAGE;
}

static int search_all(struct grep *grep, struct error *error)
{
	_cleanup_(listing_deinit) struct listing listing = LISTING_NULL;
	_cleanup_free_ char *project = NULL;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	int r = 0;

	list.has_all = list.all = true;
	if (!grep->values->project)
		r = repository_project(grep->cli, ".", &project, error);
	if (!r)
		r = listing_fetch(&listing, grep->cli, &list, error);
	if (!r)
		r = search_tasks(grep, &listing.list, grep->values->project ? grep->values->project : project);
	return r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct grep grep = { .cli = cli, .values = values };
	int r;

	if (!*operands[0])
		return error_set(error, CLIENT_E_USAGE, "grep: the pattern is empty");
	r = compile(&grep, operands[0], error);
	if (r)
		return r;
	r = search_all(&grep, error);
	regfree(&grep.pattern);
	if (r)
		return r;
	if (grep.stop && !values->names_only)
		fprintf(stderr, "maestro: grep: stopped after %" PRIu64 " lines; --max takes more\n", grep.found);
	return grep.found ? 0 : CLIENT_E_FAILED; /* as grep: nothing found is 1, and nothing is said */
}

const struct command command_grep = {
	.name = "grep",
	.group = GROUP_SESSIONS,
	.brief = "search what the sessions printed",
	.table = { "maestro grep", "PATTERN [-p PROJECT] [-i] [-F] [-l] [--max N]",
		"Searches the text that the newest attempt of every task printed, and prints TASK:LINE:TEXT. Lines are counted as\n"
		"'maestro logs' prints them. The pattern is an extended regular expression.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
