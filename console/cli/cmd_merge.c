#include "console/cli/command.h"
#include "console/cli/print.h"
#include "console/cli/repository.h"
#include "console/client/author.h"

#include <inttypes.h>
#include <stdio.h>

struct values {
	struct cli_common common;
	bool squash, rebase, ff_only;
};

#define FLAG(field, word, text) { .name = word, .type = OPTION_FLAG, .offset = offsetof(struct values, field), .help = text }

static const struct option_spec specs[] = {
	FLAG(squash, "squash", "as one commit"),
	FLAG(rebase, "rebase", "its commits on top of the base"),
	FLAG(ff_only, "ff-only", "only if the base has not moved"),
	CLI_COMMON_OPTIONS,
};

static Maestro__MergeMethod method_of(const struct values *values)
{
	if (values->squash)
		return MAESTRO__MERGE_METHOD__MERGE_SQUASH;
	if (values->rebase)
		return MAESTRO__MERGE_METHOD__MERGE_REBASE;
	return values->ff_only ? MAESTRO__MERGE_METHOD__MERGE_FF_ONLY : MAESTRO__MERGE_METHOD__MERGE_COMMIT;
}

/* The commit that the task has now is named: a branch that moves meanwhile is refused. */
static int merge_one(struct cli *cli, Maestro__MergeTask *merge, json_t *array, struct error *error)
{
	_cleanup_(message_deinit) struct message seen = MESSAGE_NULL, reply = MESSAGE_NULL;
	_cleanup_free_ char *note = NULL;
	const Maestro__GitMerged *merged;
	const Maestro__Task *task;
	int r;

	r = cli_get_task(cli, merge->task, &seen, &task, error);
	if (r)
		return r;
	merge->commit = task->commit;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_MERGE_TASK, merge, MAESTRO__ENVELOPE__BODY_MERGED,
		CLIENT_DEADLINE_GIT_MS, &reply, error);
	merge->commit = NULL;
	if (r)
		return r;
	merged = client_reply_of(&reply)->merged;
	note = print_clean_bytes(merged->has_note, &merged->note);
	if (!note)
		return -ENOMEM;
	if (cli->json)
		return json_array_append_new(array, json_pack("{sI ss ss? so}", "task", (json_int_t)merge->task, "commit",
			merged->commit, "base", task->base_branch, "note", *note ? json_string(note) : json_null()));
	printf("%" PRIu64 " merged: %s is at %.12s%s%s\n", merge->task, task->base_branch ? task->base_branch : "its base",
		merged->commit, *note ? "; " : "", note);
	return 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	Maestro__MergeTask merge = MAESTRO__MERGE_TASK__INIT;
	_cleanup_(author_deinit) struct author author = { .name = NULL };
	_cleanup_free_ uint64_t *ids = NULL;
	json_t *array;
	int r;

	if (values->squash + values->rebase + values->ff_only > 1)
		return error_set(error, CLIENT_E_USAGE, "merge: --squash, --rebase and --ff-only exclude each other");
	r = cli_parse_tasks(operands, count, &ids, error);
	if (r)
		return r;
	author_read(&author, ".");
	merge.author = author_message(&author);
	merge.method = method_of(values);
	array = json_array();
	for (int i = 0; !r && i < count; i++) {
		merge.task = ids[i];
		r = merge_one(cli, &merge, array, error);
	}
	if (!r && cli->json)
		r = cli_print_json(json_incref(count == 1 ? json_array_get(array, 0) : array));
	json_decref(array);
	return r;
}

const struct command command_merge = {
	.name = "merge",
	.group = GROUP_REVIEW,
	.brief = "take a task's branch into its base",
	.table = { "maestro merge", "TASK... [--squash|--rebase|--ff-only]",
		"Merges the branches of tasks in review into their base on the remote, one after the other.", specs,
		ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = -1,
	.run = run,
};
