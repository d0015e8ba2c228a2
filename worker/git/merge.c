/* A reviewed commit into the base branch of the remote. What is merged is the commit that was reviewed, or nothing. */
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"
#include "worker/git/destination.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/result.h"

struct merge {
	const Maestro__GitMerge *want;
	git_oid commit; /* of the branch */
	git_oid base;   /* the base's tip on the remote */
	git_oid merged; /* what becomes the base's tip */
	git_signature *author;
	char *note;
};

static int check_names(struct job *job, const Maestro__GitMerge *want)
{
	if (!name_branch_valid(want->base_branch) || !name_branch_valid(want->branch))
		return error_set(&job->error, JOB_E_BAD_REQUEST, "a branch's name is not valid");
	return strcmp(want->base_branch, want->branch) ? 0 :
		error_set(&job->error, JOB_E_BAD_REQUEST, "a branch cannot be merged into itself");
}

static int branch_moved(struct job *job, struct merge *merge, const struct head *there)
{
	char hex[GIT_OID_HEXSZ + 1];

	if (!there)
		error_set(&job->error, JOB_E_CONFLICT, "the branch %s is not on the remote any more", merge->want->branch);
	else
		error_set(&job->error, JOB_E_CONFLICT, "the branch %s moved since it was reviewed: it is at %s now",
			merge->want->branch, library_hex(&there->id, hex));
	error_hint(&job->error, "review it again, then merge");
	return JOB_E_CONFLICT;
}

/* *ret_done: the base has the commit already. */
static int check_remote(struct job *job, struct merge *merge, const struct head_list *heads, bool *ret_done)
{
	const struct head *base = head_list_branch(heads, merge->want->base_branch);
	const struct head *branch = head_list_branch(heads, merge->want->branch);

	if (!base) {
		_cleanup_free_ char *names = head_list_names(heads);

		error_set(&job->error, JOB_E_NOT_FOUND, "the remote has no branch %s", merge->want->base_branch);
		error_hint(&job->error, "its branches: %s", str_or(names, ""));
		return JOB_E_NOT_FOUND;
	}
	merge->base = base->id;
	*ret_done = git_oid_equal(&base->id, &merge->commit) ||
		git_graph_descendant_of(job->repo, &base->id, &merge->commit) == 1;
	if (*ret_done)
		return 0;
	return branch && git_oid_equal(&branch->id, &merge->commit) ? 0 : branch_moved(job, merge, branch);
}

/* --- the ways ------------------------------------------------------------------------------------------------ */

static int merge_ff(struct job *job, struct merge *merge)
{
	size_t ahead, behind;
	int r = git_graph_ahead_behind(&ahead, &behind, job->repo, &merge->commit, &merge->base);

	if (r < 0)
		return library_error(&job->error, r, "the branches cannot be compared");
	merge->merged = merge->commit;
	if (!behind)
		return 0;
	error_set(&job->error, JOB_E_CONFLICT, "%s cannot be fast-forwarded: it has %zu commit%s that %s does not have",
		merge->want->base_branch, behind, behind == 1 ? "" : "s", merge->want->branch);
	error_hint(&job->error, "merge without --ff-only, or bring the branch up to date first");
	return JOB_E_CONFLICT;
}

static int report_conflicts(struct job *job, struct merge *merge, git_index *index)
{
	_cleanup_(buf_deinit) struct buf paths = BUF_NULL;
	git_index_conflict_iterator *iterator = NULL;
	const git_index_entry *ancestor, *ours, *theirs;
	unsigned int count = 0;

	if (git_index_conflict_iterator_new(&iterator, index) < 0)
		return -ENOMEM;
	while (!git_index_conflict_next(&ancestor, &ours, &theirs, iterator)) {
		const git_index_entry *entry = ours ? ours : theirs ? theirs : ancestor;

		if (count++ < 10)
			buf_printf(&paths, "%s%s", paths.len ? ", " : "", entry->path);
	}
	git_index_conflict_iterator_free(iterator);
	error_set(&job->error, JOB_E_CONFLICT, "%s conflicts with %s in %u file%s: %s", merge->want->branch,
		merge->want->base_branch, count, count == 1 ? "" : "s", buf_text(&paths));
	error_hint(&job->error, "bring the branch up to date with %s and resolve them there", merge->want->base_branch);
	return JOB_E_CONFLICT;
}

static char *merge_message(struct merge *merge)
{
	_cleanup_free_ char *given = merge->want->has_message ? bytes_dup(&merge->want->message) : NULL;
	char *text = NULL;

	if (given && given[0])
		return take(given);
	return asprintf(&text, "Merge branch '%s'\n", merge->want->branch) < 0 ? NULL : text;
}

/* Merges the two in memory; with two parents, or as one commit on top of the base. */
static int merge_trees(struct job *job, struct merge *merge, size_t parent_count)
{
	_cleanup_(git_commit_free_p) git_commit *base = NULL, *commit = NULL;
	_cleanup_(git_index_free_p) git_index *index = NULL;
	_cleanup_(git_tree_free_p) git_tree *tree = NULL;
	_cleanup_free_ char *message = merge_message(merge);
	git_oid id;
	int r = git_commit_lookup(&base, job->repo, &merge->base);

	if (r >= 0)
		r = git_commit_lookup(&commit, job->repo, &merge->commit);
	if (r >= 0)
		r = git_merge_commits(&index, job->repo, base, commit, NULL);
	if (r >= 0 && git_index_has_conflicts(index))
		return report_conflicts(job, merge, index);
	if (r >= 0)
		r = git_index_write_tree_to(&id, index, job->repo);
	if (r >= 0)
		r = git_tree_lookup(&tree, job->repo, &id);
	if (r >= 0) {
		const git_commit *parents[] = { base, commit };

		r = git_commit_create(&merge->merged, job->repo, NULL, merge->author, merge->author, NULL,
			str_or(message, "Merge\n"), tree, parent_count, parents);
	}
	return r < 0 ? library_error(&job->error, r, "the branches cannot be merged") : 0;
}

static int merge_commit(struct job *job, struct merge *merge)
{
	return merge_trees(job, merge, 2);
}

static int merge_squash(struct job *job, struct merge *merge)
{
	return merge_trees(job, merge, 1);
}

/* Each commit again on top of the base, in memory; the authors stay. */
static int replay(struct job *job, struct merge *merge, git_rebase *rebase)
{
	git_rebase_operation *operation;
	int r;

	merge->merged = merge->base;
	while (!(r = git_rebase_next(&operation, rebase))) {
		_cleanup_(git_index_free_p) git_index *index = NULL;

		r = git_rebase_inmemory_index(&index, rebase);
		if (r >= 0 && git_index_has_conflicts(index))
			return report_conflicts(job, merge, index);
		if (r >= 0)
			r = git_rebase_commit(&merge->merged, rebase, NULL, merge->author, NULL, NULL);
		if (r < 0 && r != GIT_EAPPLIED)
			break;
	}
	return r < 0 && r != GIT_ITEROVER ? library_error(&job->error, r, "the branch cannot be rebased") : 0;
}

static int merge_rebase(struct job *job, struct merge *merge)
{
	_cleanup_(git_annotated_commit_free_p) git_annotated_commit *branch = NULL, *onto = NULL;
	_cleanup_(git_rebase_free_p) git_rebase *rebase = NULL;
	git_rebase_options options = GIT_REBASE_OPTIONS_INIT;
	int r = git_annotated_commit_lookup(&branch, job->repo, &merge->commit);

	options.inmemory = 1;
	if (r >= 0)
		r = git_annotated_commit_lookup(&onto, job->repo, &merge->base);
	if (r >= 0)
		r = git_rebase_init(&rebase, job->repo, branch, onto, NULL, &options);
	return r < 0 ? library_error(&job->error, r, "the branch cannot be rebased") : replay(job, merge, rebase);
}

static const struct {
	Maestro__MergeMethod method;
	int (*run)(struct job *job, struct merge *merge);
} methods[] = {
	{ MAESTRO__MERGE_METHOD__MERGE_FF_ONLY, merge_ff },
	{ MAESTRO__MERGE_METHOD__MERGE_COMMIT, merge_commit },
	{ MAESTRO__MERGE_METHOD__MERGE_SQUASH, merge_squash },
	{ MAESTRO__MERGE_METHOD__MERGE_REBASE, merge_rebase },
};

static int combine(struct job *job, struct merge *merge)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i].method == merge->want->method)
			return methods[i].run(job, merge);
	return error_set(&job->error, JOB_E_BAD_REQUEST, "that way of merging is not known");
}

static int merge_remote(struct job *job, struct merge *merge)
{
	_cleanup_(destination_deinit) struct destination destination = { 0 };
	bool done = false;
	int r = destination_open(&destination, job);

	if (!r)
		r = check_remote(job, merge, &destination.heads, &done);
	if (!r && done) {
		merge->merged = merge->base;
		return (merge->note = strdup("the base has it already")) ? 0 : -ENOMEM;
	}
	if (!r)
		r = combine(job, merge);
	return r ? r : destination_put(&destination, &merge->merged, merge->want->base_branch, false, &merge->note);
}

static int merged(struct merge *merge, Maestro__GitResult *result)
{
	result->merged = result_new(Maestro__GitMerged, maestro__git_merged__init);
	if (!result->merged)
		return -ENOMEM;
	result->merged->commit = NULL;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_MERGED;
	if (result_commit(&result->merged->commit, &merge->merged))
		return -ENOMEM;
	return merge->note ? result_bytes(&result->merged->note, &result->merged->has_note, merge->note, strlen(merge->note)) : 0;
}

int merge_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	struct merge merge = { .want = message->merge };
	int r = check_names(job, merge.want);

	if (!r)
		r = library_oid(merge.want->commit, &merge.commit, &job->error);
	if (!r)
		r = library_signature(merge.want->author, &merge.author, &job->error);
	/* The base as it is now has to be here to be compared with. */
	if (!r)
		r = mirror_fetch(job);
	if (!r)
		r = mirror_need(job, &merge.commit);
	if (!r)
		r = merge_remote(job, &merge);
	if (!r)
		r = merged(&merge, result);
	git_signature_free(merge.author);
	free(merge.note);
	return r;
}
