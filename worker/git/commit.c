/* Committing for the agent what it left uncommitted. Only on the session's own branch, and never over a conflict. */
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/wire/message.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/result.h"
#include "worker/git/stage.h"
#include "worker/git/worktree.h"

#define PARENTS_MAX 16u

struct commit {
	const Maestro__GitCommit *want;
	git_repository *repo;
	git_index *index;
	git_signature *author;
	git_commit *parents[PARENTS_MAX];
	size_t parent_count;
	struct skipped skipped;
	git_oid head;
	bool made;
};

static void commit_deinit(struct commit *commit)
{
	for (size_t i = 0; i < commit->parent_count; i++)
		git_commit_free(commit->parents[i]);
	git_signature_free(commit->author);
	git_index_free(commit->index);
	git_repository_free(commit->repo);
	skipped_deinit(&commit->skipped);
}

/* The agent may have gone elsewhere; what it does there is not the session's branch. */
static int check_head(struct job *job, struct commit *commit)
{
	_cleanup_(git_reference_free_p) git_reference *head = NULL;
	_cleanup_free_ char *expected = NULL;
	const char *target;
	int r = git_reference_lookup(&head, commit->repo, "HEAD");

	if (r < 0)
		return library_error(&job->error, r, "the worktree's HEAD cannot be read");
	if (asprintf(&expected, "refs/heads/%s", commit->want->branch) < 0)
		return -ENOMEM;
	target = git_reference_type(head) == GIT_REFERENCE_SYMBOLIC ? git_reference_symbolic_target(head) : NULL;
	if (target && !strcmp(target, expected))
		return 0;
	if (!target)
		error_set(&job->error, JOB_E_BAD_REQUEST, "the session left its branch: HEAD is detached, or a rebase is under way");
	else
		error_set(&job->error, JOB_E_BAD_REQUEST, "the session left its branch: it is on %s", target);
	error_hint(&job->error, "in %s run `git checkout %s`; then " JOB_HINT_COMMIT, git_repository_workdir(commit->repo),
		commit->want->branch);
	return JOB_E_BAD_REQUEST;
}

static int check_conflicts(struct job *job, struct commit *commit)
{
	if (!git_index_has_conflicts(commit->index))
		return 0;
	error_set(&job->error, JOB_E_CONFLICT, "a merge in the worktree has conflicts that are not resolved");
	error_hint(&job->error, "resolve them in %s (git status names them); then " JOB_HINT_COMMIT,
		git_repository_workdir(commit->repo));
	return JOB_E_CONFLICT;
}

static int add_parent(const git_oid *id, void *payload)
{
	struct commit *commit = payload;

	if (commit->parent_count >= PARENTS_MAX)
		return GIT_EUSER;
	if (git_commit_lookup(&commit->parents[commit->parent_count], commit->repo, id) < 0)
		return GIT_EUSER;
	commit->parent_count++;
	return 0;
}

/* HEAD, and what is being merged into it. */
static int find_parents(struct job *job, struct commit *commit)
{
	int r = git_reference_name_to_id(&commit->head, commit->repo, "HEAD");

	if (r < 0 || add_parent(&commit->head, commit))
		return library_error(&job->error, r < 0 ? r : GIT_ERROR, "the branch's tip cannot be read");
	if (git_repository_state(commit->repo) != GIT_REPOSITORY_STATE_MERGE)
		return 0;
	r = git_repository_mergehead_foreach(commit->repo, add_parent, commit);
	return r < 0 ? library_error(&job->error, r, "what is being merged cannot be read") : 0;
}

static int open_commit(struct job *job, struct commit *commit, const char *path)
{
	int r = worktree_open(job, path, &commit->repo);

	if (!r)
		r = check_head(job, commit);
	if (r)
		return r;
	r = git_repository_index(&commit->index, commit->repo);
	if (r < 0)
		return library_error(&job->error, r, "the worktree's index cannot be read");
	r = check_conflicts(job, commit);
	return r ? r : find_parents(job, commit);
}

/* The trailer joins those that are there, else it is a paragraph of its own. */
static int build_message(const Maestro__GitCommit *want, struct buf *out)
{
	_cleanup_free_ char *raw = bytes_dup(&want->message);
	git_buf clean = GIT_BUF_INIT;
	git_message_trailer_array trailers = { NULL, 0, NULL };
	int r;

	if (!raw || git_message_prettify(&clean, raw, false, '#') < 0)
		return -ENOMEM;
	git_message_trailers(&trailers, clean.size ? clean.ptr : "");
	r = buf_printf(out, "%s%sMaestro-Task: %llu.%u\n", clean.size ? clean.ptr : "Work of a session\n",
		trailers.count ? "" : "\n", (unsigned long long)want->task, want->attempt);
	git_message_trailer_array_free(&trailers);
	git_buf_dispose(&clean);
	return r;
}

static int create_commit(struct job *job, struct commit *commit, const git_tree *tree)
{
	_cleanup_(buf_deinit) struct buf message = BUF_NULL;
	int r = build_message(commit->want, &message);

	if (r)
		return r;
	git_repository_set_ident(commit->repo, commit->author->name, commit->author->email);
	r = git_commit_create(&commit->head, commit->repo, "HEAD", commit->author, commit->author, NULL, buf_text(&message),
		tree, commit->parent_count, (const git_commit **)commit->parents);
	if (r < 0)
		return library_error(&job->error, r, "the commit cannot be made");
	commit->made = true;
	git_repository_state_cleanup(commit->repo);
	return 0;
}

static int commit_changes(struct job *job, struct commit *commit)
{
	_cleanup_(git_tree_free_p) git_tree *tree = NULL;
	git_oid id;
	int r = stage_all(job, commit->repo, commit->index, STAGE_FILE_BYTES_MAX, &commit->skipped);

	if (r)
		return r;
	r = git_index_write(commit->index);
	if (r >= 0)
		r = git_index_write_tree(&id, commit->index);
	if (r >= 0)
		r = git_tree_lookup(&tree, commit->repo, &id);
	if (r < 0)
		return library_error(&job->error, r, "the changes cannot be written");
	if (commit->parent_count == 1 && git_oid_equal(&id, git_commit_tree_id(commit->parents[0])))
		return 0;
	return create_commit(job, commit, tree);
}

static int committed(struct job *job, struct commit *commit, Maestro__GitResult *result)
{
	size_t ahead, behind;
	git_oid base;
	int r = library_oid(commit->want->base_commit, &base, &job->error);

	if (r)
		return r;
	r = git_graph_ahead_behind(&ahead, &behind, commit->repo, &commit->head, &base);
	if (r < 0)
		return library_error(&job->error, r, "the branch cannot be compared with its base");
	result->committed = result_new(Maestro__GitCommitted, maestro__git_committed__init);
	if (!result->committed)
		return -ENOMEM;
	result->committed->head = NULL;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_COMMITTED;
	result->committed->ahead = (uint32_t)ahead;
	result->committed->has_made = true;
	result->committed->made = commit->made;
	result->committed->has_skipped_more = commit->skipped.more;
	result->committed->skipped_more = (uint32_t)commit->skipped.more;
	r = result_commit(&result->committed->head, &commit->head);
	return r ? r : result_skipped(&commit->skipped, &result->committed->n_skipped, &result->committed->skipped);
}

int commit_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	_cleanup_(commit_deinit) struct commit commit = { .want = message->commit, .skipped = SKIPPED_NULL };
	_cleanup_free_ char *path = bytes_dup(&message->commit->worktree);
	int r = path ? library_signature(message->commit->author, &commit.author, &job->error) : -ENOMEM;

	if (!r)
		r = open_commit(job, &commit, path);
	if (!r)
		r = commit_changes(job, &commit);
	return r ? r : committed(job, &commit, result);
}
