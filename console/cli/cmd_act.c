/* Commands that do one thing to tasks and have nothing to tell but that it was done. */
#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	bool force, fresh, abandon, group, push;
};

#define FLAG(word, text) { .name = #word, .type = OPTION_FLAG, .offset = offsetof(struct values, word), .help = text }

static const struct option_spec plain_specs[] = { CLI_COMMON_OPTIONS };
static const struct option_spec reject_specs[] = {
	FLAG(group, "the other tasks of its group too"), CLI_COMMON_OPTIONS };
static const struct option_spec remove_specs[] = {
	FLAG(force, "even with work that is neither pushed nor committed"), CLI_COMMON_OPTIONS };
static const struct option_spec retry_specs[] = {
	FLAG(fresh, "from the base, not from where the last attempt was"),
	FLAG(push, "of what failed at its push: only the push again, on the worker that has the commits"),
	FLAG(abandon, "give up the last attempt on a worker that does not answer"),
	CLI_COMMON_OPTIONS,
};

/* Prints what became of it: the task, or that it is gone. */
static int print_result(struct cli *cli, uint64_t id, bool removed, json_t *array, const char *said, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__Task *task;
	int r;

	if (!cli->json) {
		_cleanup_free_ char *clean = print_clean(said, strlen(said));

		if (clean && str_starts(clean, "task "))
			printf("%s\n", clean);
		else
			printf("%" PRIu64 " %s\n", id, clean ? clean : "");
		return 0;
	}
	if (removed)
		return json_array_append_new(array, json_pack("{sI sb}", "id", (json_int_t)id, "removed", 1));
	r = cli_get_task(cli, id, &reply, &task, error);
	return r ? r : json_array_append_new(array, json_of_task(task, 0));
}

static int act_on(struct cli *cli, Maestro__ActOnTask *act, const char *otherwise, json_t *array, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *said = NULL;
	const Maestro__Done *done;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_ACT_ON_TASK, act, MAESTRO__ENVELOPE__BODY_DONE, CLIENT_DEADLINE_MS,
		&reply, error);
	if (r)
		return r;
	done = client_reply_of(&reply)->done;
	said = done->has_text && done->text.len ? bytes_dup(&done->text) : NULL;
	return print_result(cli, act->task, act->action == MAESTRO__TASK_ACTION__ACT_REMOVE, array,
		said ? said : otherwise, error);
}

static int act_on_all(struct cli *cli, Maestro__TaskAction action, const struct values *values, int count,
	char **operands, const char *otherwise, struct error *error)
{
	Maestro__ActOnTask act = MAESTRO__ACT_ON_TASK__INIT;
	_cleanup_free_ uint64_t *ids = NULL;
	json_t *array = json_array();
	int r;

	act.action = action;
	act.has_force = act.force = values->force;
	act.has_fresh = act.fresh = values->fresh;
	act.has_abandon = act.abandon = values->abandon;
	act.has_push_only = act.push_only = values->push;
	act.has_whole_group = act.whole_group = values->group;
	if (values->push && (values->fresh || values->abandon))
		r = error_set(error, CLIENT_E_USAGE, "--push runs nothing: it goes with neither --fresh nor --abandon");
	else
		r = cli_parse_tasks(operands, count, &ids, error);
	for (int i = 0; !r && i < count; i++) {
		act.task = ids[i];
		r = act_on(cli, &act, otherwise, array, error);
	}
	if (!r && cli->json)
		r = cli_print_json(json_incref(count == 1 ? json_array_get(array, 0) : array));
	json_decref(array);
	return r;
}

#define DEFINE_ACT(word, action, text)                                                                       \
	static int run_##word(struct cli *cli, const void *values, int count, char **operands, struct error *error) \
	{                                                                                                    \
		return act_on_all(cli, MAESTRO__TASK_ACTION__##action, values, count, operands, text, error);\
	}

DEFINE_ACT(stop, ACT_STOP, "is being stopped")
DEFINE_ACT(retry, ACT_RETRY, "begins again")
DEFINE_ACT(publish, ACT_PUBLISH, "is being committed and pushed")
DEFINE_ACT(reject, ACT_REJECT, "rejected")
DEFINE_ACT(rm, ACT_REMOVE, "removed")

#define ACT_COMMAND(word, where, text, table_)                                                               \
	const struct command command_##word = {                                                              \
		.name = #word, .group = where, .brief = text, .table = table_,                               \
		.values_size = sizeof(struct values), .operands_min = 1, .operands_max = -1, .run = run_##word }
#define TABLE(...) { __VA_ARGS__ }

ACT_COMMAND(stop, GROUP_TASKS, "stop tasks; what they did is kept",
	TABLE("maestro stop", "TASK...",
		"Takes a queued task out of the queue. Ends a running session: a checkpoint keeps what it did, then SIGTERM,\n"
		"and SIGKILL after 10 s. Of a task in review it ends only the session.",
		plain_specs, ARRAY_SIZE(plain_specs)));
ACT_COMMAND(retry, GROUP_TASKS, "start a next attempt",
	TABLE("maestro retry", "[--fresh|--push|--abandon] TASK...",
		"Starts a next attempt of a task that failed, was lost, cancelled or rejected, from where the last one was.\n"
		"With --push nothing runs: the commits of an attempt that could not push them are pushed again, and end in review.",
		retry_specs, ARRAY_SIZE(retry_specs)));
ACT_COMMAND(publish, GROUP_REVIEW, "commit and push what a session has now",
	TABLE("maestro publish", "TASK...", "Commits and pushes what the session's worktree holds now.", plain_specs,
		ARRAY_SIZE(plain_specs)));
ACT_COMMAND(reject, GROUP_REVIEW, "do not take a branch",
	TABLE("maestro reject", "[--group] TASK...", "Marks a task in review as rejected. Its branch stays where it is.",
		reject_specs, ARRAY_SIZE(reject_specs)));
ACT_COMMAND(rm, GROUP_TASKS, "remove tasks that are over, with their worktrees",
	TABLE("maestro rm", "[--force] TASK...",
		"Removes a task that is over, and its worktree. Refused while there is work that is nowhere else, unless --force.",
		remove_specs, ARRAY_SIZE(remove_specs)));
