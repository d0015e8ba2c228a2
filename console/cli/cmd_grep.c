#include "console/cli/command.h"
#include "console/cli/finder.h"
#include "console/cli/listing.h"
#include "console/cli/print.h"
#include "console/cli/repository.h"
#include "proto/base/clock.h"

#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#define NOT_ALL 2 /* grep's status when something could not be searched, whatever was found */

struct values {
	struct cli_common common;
	char *project, *agent;
	bool ignore_case, fixed, names_only, times;
	uint64_t max, context;
};

static const struct option_spec specs[] = {
	{ .name = "project", .short_name = 'p', .type = OPTION_STRING, .offset = offsetof(struct values, project), .arg = "NAME",
		.help = "of this project; else of the repository's one stands in, else of all" },
	{ .name = "agent", .short_name = 'a', .type = OPTION_STRING, .offset = offsetof(struct values, agent), .arg = "AGENT",
		.help = "only what sessions of this agent printed" },
	{ .name = "ignore-case", .short_name = 'i', .type = OPTION_FLAG, .offset = offsetof(struct values, ignore_case),
		.help = "capital or not is the same" },
	{ .name = "fixed", .short_name = 'F', .type = OPTION_FLAG, .offset = offsetof(struct values, fixed),
		.help = "the pattern is plain text" },
	{ .name = "context", .short_name = 'C', .type = OPTION_NUMBER, .offset = offsetof(struct values, context), .arg = "N",
		.max = 20, .help = "so many lines before and after each too" },
	{ .name = "time", .short_name = 't', .type = OPTION_FLAG, .offset = offsetof(struct values, times),
		.help = "print when each line was printed" },
	{ .name = "tasks-only", .short_name = 'l', .type = OPTION_FLAG, .offset = offsetof(struct values, names_only),
		.help = "only the numbers of the tasks that have it" },
	{ .name = "max", .short_name = 'm', .type = OPTION_NUMBER, .offset = offsetof(struct values, max), .arg = "N", .min = 1,
		.max = 1000000, .initial = "1000", .help = "stop after so many matching lines" },
	CLI_COMMON_OPTIONS,
};

struct grep {
	struct cli *cli;
	const struct values *values;
	struct finder finder;
	uint64_t found, without; /* lines; attempts that have no recording */
	bool not_all;            /* something was not searched */
	uint64_t task, number;   /* of the line printed last */
	uint32_t attempt;
};

/* --- printing ------------------------------------------------------------------------------------------------- */

static int print_task(struct grep *grep, const Maestro__SearchLine *line)
{
	if (grep->task == line->task)
		return 0; /* of another attempt of it */
	if (grep->cli->json)
		return cli_print_line(json_pack("{sI sI}", "task", (json_int_t)line->task, "attempt", (json_int_t)line->attempt));
	return printf("%" PRIu64 "\n", line->task) < 0 ? -EIO : 0;
}

static int print_json(const Maestro__SearchLine *line)
{
	char time[CLOCK_RFC3339_MAX];

	return cli_print_line(json_pack("{sI sI sI ss so sb}", "task", (json_int_t)line->task, "attempt", (json_int_t)line->attempt,
		"line", (json_int_t)line->number, "time", clock_format_rfc3339(line->time_ms, time), "text",
		json_of_bytes(line->text.data, line->text.len), "context", (int)line->context));
}

/* As grep: a colon where it matches, a dash where it only stands beside, two dashes where lines are left out. */
static int print_text(struct grep *grep, const Maestro__SearchLine *line)
{
	bool apart = grep->task != line->task || grep->attempt != line->attempt || grep->number + 1 != line->number;
	_cleanup_free_ char *text = print_clean(line->text.data, line->text.len);
	bool colours = grep->cli->colours;
	char mark = line->context ? '-' : ':', time[CLOCK_RFC3339_MAX] = "";

	if (grep->values->context && grep->task && apart)
		puts("--");
	if (grep->values->times)
		clock_format_rfc3339(line->time_ms, time);
	if (!text)
		return -ENOMEM;
	return printf("%s%" PRIu64 ".%u%c%" PRIu64 "%c%s%s%s%s\n", colour_begin(colours, COLOUR_FAINT), line->task, line->attempt, mark,
		       line->number, mark, time, *time ? " " : "", colour_end(colours, COLOUR_FAINT), text) < 0 ? -EIO : 0;
}

static int print_found(struct grep *grep, const Maestro__SearchLine *line)
{
	int r = grep->values->names_only ? print_task(grep, line) : grep->cli->json ? print_json(line) : print_text(grep, line);

	grep->task = line->task;
	grep->attempt = line->attempt;
	grep->number = line->number;
	return r ? r : fflush(stdout) ? -EIO : 0;
}

static void note_attempt(struct grep *grep, const Maestro__SearchNote *note)
{
	_cleanup_free_ char *why = print_clean_bytes(note->has_why, &note->why);

	if (note->kind == MAESTRO__SEARCH_NOTE_KIND__SEARCH_NO_TRANSCRIPT) {
		grep->without++;
		return;
	}
	grep->not_all = true;
	fprintf(stderr, "maestro: grep: task %" PRIu64 " attempt %u: ", note->task, note->attempt);
	if (note->kind == MAESTRO__SEARCH_NOTE_KIND__SEARCH_NOT_RECORDED)
		fprintf(stderr, "%" PRIu64 " bytes of output were not recorded\n", note->lost_bytes);
	else if (note->kind == MAESTRO__SEARCH_NOTE_KIND__SEARCH_DAMAGED)
		fprintf(stderr, "the recording is damaged; what is left of it was searched\n");
	else if (note->kind == MAESTRO__SEARCH_NOTE_KIND__SEARCH_CUT_OFF)
		fprintf(stderr, "the end of the recording is missing; what is left of it was searched\n");
	else
		fprintf(stderr, "the recording cannot be read: %s\n", why ? why : "");
}

static void on_note(void *userdata, const Maestro__SearchNote *note, const char *worker, const char *why)
{
	struct grep *grep = userdata;
	_cleanup_free_ char *clean = why ? print_clean(why, strlen(why)) : NULL;

	if (note) {
		note_attempt(grep, note);
		return;
	}
	grep->not_all = true;
	fprintf(stderr, "maestro: grep: the sessions of worker %s were not searched to the end: %s\n", worker, clean ? clean : "");
}

/* --- what is searched ----------------------------------------------------------------------------------------- */

static bool wanted(const struct grep *grep, const Maestro__Task *task, const char *project)
{
	const char *agent = grep->values->agent;

	return (!project || (task->project && strcmp(task->project, project) == 0)) &&
	       (!agent || (task->agent && strcmp(task->agent, agent) == 0));
}

static int add_task(struct grep *grep, const Maestro__Task *task)
{
	int r = 0;

	for (size_t i = 0; !r && i < task->n_attempts; i++)
		if (task->attempts[i]->worker && *task->attempts[i]->worker)
			r = finder_add(&grep->finder, task->attempts[i]->worker, task->id, task->attempts[i]->attempt);
	/* a coordinator that does not tell the attempts of a list's tasks */
	if (!r && !task->n_attempts && task->has_attempt && task->attempt && task->worker)
		r = finder_add(&grep->finder, task->worker, task->id, task->attempt);
	return r;
}

static int add_project(struct grep *grep, struct error *error)
{
	_cleanup_(listing_deinit) struct listing listing = LISTING_NULL;
	_cleanup_free_ char *here = NULL;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	const char *project = grep->values->project;
	int r = 0;

	list.has_all = list.all = list.has_attempts = list.attempts = true;
	if (!project)
		r = repository_project(grep->cli, ".", &here, error);
	if (!r)
		r = listing_fetch(&listing, grep->cli, &list, error);
	for (size_t i = 0; !r && i < listing.list.n_tasks; i++)
		if (wanted(grep, listing.list.tasks[i], project ? project : here))
			r = add_task(grep, listing.list.tasks[i]);
	return r;
}

static int add_named(struct grep *grep, char *const *texts, int count, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ uint64_t *tasks = NULL;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	const Maestro__TaskList *found;
	int r = cli_parse_tasks(texts, count, &tasks, error);

	list.n_tasks = (size_t)count;
	list.tasks = tasks;
	if (!r)
		r = cli_call(grep->cli, MAESTRO__ENVELOPE__BODY_LIST_TASKS, &list, MAESTRO__ENVELOPE__BODY_TASK_LIST, CLIENT_DEADLINE_MS,
			&reply, error);
	found = r ? NULL : client_reply_of(&reply)->task_list;
	for (size_t i = 0; !r && i < found->n_tasks; i++)
		if (wanted(grep, found->tasks[i], grep->values->project))
			r = add_task(grep, found->tasks[i]);
	return r;
}

/* Before anybody is asked; the workers compile it for themselves. */
static int check_pattern(const struct values *values, const char *text, struct error *error)
{
	regex_t pattern;
	char why[128];
	int r;

	if (!*text)
		return error_set(error, CLIENT_E_USAGE, "grep: the pattern is empty");
	if (values->fixed)
		return 0;
	r = regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB);
	if (!r) {
		regfree(&pattern);
		return 0;
	}
	regerror(r, &pattern, why, sizeof(why));
	error_set(error, CLIENT_E_USAGE, "grep: the pattern is no regular expression: %s", why);
	error_hint(error, "-F takes it as plain text");
	return CLIENT_E_USAGE;
}

static void fill_ask(struct grep *grep, const char *pattern)
{
	Maestro__SearchSessions *ask = &grep->finder.ask;
	const struct values *values = grep->values;

	maestro__search_sessions__init(ask);
	ask->pattern = bytes_of(pattern);
	ask->has_fixed = ask->has_ignore_case = ask->has_context = ask->has_once = true;
	ask->fixed = values->fixed;
	ask->ignore_case = values->ignore_case;
	ask->context = values->names_only ? 0 : (uint32_t)values->context;
	ask->once = values->names_only;
	grep->finder.page_matches = values->max < UINT32_MAX ? (uint32_t)values->max + 1 : UINT32_MAX;
}

static int print_all(struct grep *grep, struct error *error)
{
	const Maestro__SearchLine *line;
	int r;

	while (!(r = finder_next(&grep->finder, &line, error)) && line) {
		if (!line->context && ++grep->found > grep->values->max && !grep->values->names_only) {
			fprintf(stderr, "maestro: grep: stopped after %" PRIu64 " lines; --max takes more\n", grep->values->max);
			break;
		}
		r = print_found(grep, line);
		if (r)
			break;
	}
	if (grep->without)
		fprintf(stderr, "maestro: grep: no recording is kept of %" PRIu64 " attempt%s\n", grep->without, grep->without > 1 ? "s" : "");
	return r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	struct grep grep = { .cli = cli, .values = v, .finder = { .cli = cli, .note = on_note, .userdata = &grep } };
	int r = check_pattern(v, operands[0], error);

	if (r)
		return r;
	fill_ask(&grep, operands[0]);
	r = count > 1 ? add_named(&grep, operands + 1, count - 1, error) : add_project(&grep, error);
	if (!r)
		r = print_all(&grep, error);
	finder_deinit(&grep.finder);
	if (r)
		return r;
	return grep.not_all ? NOT_ALL : grep.found ? 0 : CLIENT_E_FAILED; /* as grep; nothing more is said */
}

const struct command command_grep = {
	.name = "grep",
	.group = GROUP_SESSIONS,
	.brief = "search what the sessions printed",
	.table = { "maestro grep", "PATTERN [TASK]... [-p PROJECT] [-a AGENT] [-i] [-F] [-l] [-C N] [-t] [--max N]",
		"Searches what all attempts of the tasks printed, where it lies: on the workers, all at once. Prints TASK.ATTEMPT:LINE:TEXT.\n"
		"Searched is the text that 'maestro logs' prints, and lines are counted as there: in the order in which it was printed,\n"
		"without escape sequences; a line that was written over stands there as often as it was written. The pattern is an\n"
		"extended regular expression. Ends with 0 if something was found, 1 if nothing was, 2 if not all could be searched: a\n"
		"worker that is away or a damaged recording, which is named.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = -1,
	.run = run,
};
