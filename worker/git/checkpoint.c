/* A worktree's state as a commit under refs/maestro/checkpoints/, without touching the agent's index or HEAD. The
 * private index begins as a copy of the agent's, because its cached file times save reading every file again. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <git2/sys/repository.h>
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/result.h"
#include "worker/git/stage.h"
#include "worker/git/worktree.h"

#define INDEX_BYTES_MAX (1024ull * 1024 * 1024)

struct checkpoint {
	const Maestro__GitCheckpoint *want;
	git_repository *repo;
	git_signature *author;
	git_commit *parent;
	struct skipped skipped;
	char *prefix;     /* "refs/maestro/checkpoints/12.1/" */
	char *index_path; /* of the private index; removed at the end */
	git_oid tree, commit;
	uint32_t number;
};

static void checkpoint_deinit(struct checkpoint *checkpoint)
{
	if (checkpoint->index_path)
		unlink(checkpoint->index_path);
	free(checkpoint->index_path);
	free(checkpoint->prefix);
	git_commit_free(checkpoint->parent);
	git_signature_free(checkpoint->author);
	git_repository_free(checkpoint->repo);
	skipped_deinit(&checkpoint->skipped);
}

static int copy_index(struct checkpoint *checkpoint)
{
	_cleanup_free_ char *path = NULL, *data = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%sindex", git_repository_path(checkpoint->repo)) < 0 ||
		asprintf(&checkpoint->index_path, "%smaestro-index.%d", git_repository_path(checkpoint->repo), getpid()) < 0)
		return -ENOMEM;
	r = io_read_file(path, INDEX_BYTES_MAX, &data, &len);
	if (r)
		return r == IO_E_NOT_FOUND ? 0 : r;
	return io_replace_file(checkpoint->index_path, data, len, 0600);
}

static int write_tree(struct job *job, struct checkpoint *checkpoint)
{
	_cleanup_(git_index_free_p) git_index *index = NULL;
	int r = copy_index(checkpoint);

	if (r)
		return r;
	r = git_index_open(&index, checkpoint->index_path);
	if (r >= 0)
		r = git_repository_set_index(checkpoint->repo, index);
	if (r < 0)
		return library_error(&job->error, r, "the worktree's index cannot be copied");
	/* Paths in conflict have no content of their own: what lies in the worktree is taken. */
	git_index_conflict_cleanup(index);
	r = stage_all(job, checkpoint->repo, index, STAGE_FILE_BYTES_MAX, &checkpoint->skipped);
	if (r)
		return r;
	r = git_index_write_tree_to(&checkpoint->tree, index, checkpoint->repo);
	return r < 0 ? library_error(&job->error, r, "the worktree's state cannot be written") : 0;
}

/* The highest number so far (0: none), and its commit. */
static int find_last(struct job *job, struct checkpoint *checkpoint, git_oid *ret_last)
{
	_cleanup_(git_reference_iterator_free_p) git_reference_iterator *iterator = NULL;
	_cleanup_free_ char *glob = NULL;
	const char *name;
	uint64_t number;
	int r;

	if (asprintf(&glob, "%s*", checkpoint->prefix) < 0)
		return -ENOMEM;
	r = git_reference_iterator_glob_new(&iterator, job->repo, glob);
	if (r < 0)
		return library_error(&job->error, r, "the checkpoints cannot be listed");
	while (!git_reference_next_name(&name, iterator))
		if (!str_parse_u64(name + strlen(checkpoint->prefix), 1, UINT32_MAX - 1, &number) &&
			number > checkpoint->number && !git_reference_name_to_id(ret_last, job->repo, name))
			checkpoint->number = (uint32_t)number;
	return 0;
}

/* Nothing changed since: the last one stands for this one too. */
static bool is_same(struct job *job, struct checkpoint *checkpoint, const git_oid *last)
{
	_cleanup_(git_commit_free_p) git_commit *commit = NULL;

	if (!checkpoint->number || git_commit_lookup(&commit, job->repo, last) < 0 ||
		!git_oid_equal(git_commit_tree_id(commit), &checkpoint->tree))
		return false;
	checkpoint->commit = *last;
	return !checkpoint->parent || (git_commit_parentcount(commit) &&
		git_oid_equal(git_commit_parent_id(commit, 0), git_commit_id(checkpoint->parent)));
}

static int create_commit(struct job *job, struct checkpoint *checkpoint)
{
	_cleanup_(git_tree_free_p) git_tree *tree = NULL;
	const git_commit *parents[] = { checkpoint->parent };
	_cleanup_free_ char *message = NULL;
	int r = git_tree_lookup(&tree, checkpoint->repo, &checkpoint->tree);

	if (asprintf(&message, "Checkpoint\n\nMaestro-Task: %llu.%u\n", (unsigned long long)checkpoint->want->task,
		checkpoint->want->attempt) < 0)
		return -ENOMEM;
	if (r >= 0)
		r = git_commit_create(&checkpoint->commit, checkpoint->repo, NULL, checkpoint->author, checkpoint->author, NULL,
			message, tree, checkpoint->parent ? 1 : 0, parents);
	return r < 0 ? library_error(&job->error, r, "the checkpoint cannot be written") : 0;
}

static int name_it(struct job *job, struct checkpoint *checkpoint)
{
	int r;

	do {
		_cleanup_(git_reference_free_p) git_reference *ref = NULL;
		_cleanup_free_ char *name = NULL;

		if (asprintf(&name, "%s%u", checkpoint->prefix, ++checkpoint->number) < 0)
			return -ENOMEM;
		r = git_reference_create(&ref, job->repo, name, &checkpoint->commit, false, "maestro: checkpoint");
	} while (r == GIT_EEXISTS);
	return r < 0 ? library_error(&job->error, r, "the checkpoint cannot be named") : 0;
}

static int make(struct job *job, struct checkpoint *checkpoint)
{
	git_oid last, head;
	int r = write_tree(job, checkpoint);

	if (!r)
		r = find_last(job, checkpoint, &last);
	if (r)
		return r;
	if (!git_reference_name_to_id(&head, checkpoint->repo, "HEAD"))
		git_commit_lookup(&checkpoint->parent, checkpoint->repo, &head);
	if (is_same(job, checkpoint, &last))
		return 0;
	r = create_commit(job, checkpoint);
	return r ? r : name_it(job, checkpoint);
}

int checkpoint_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	_cleanup_(checkpoint_deinit) struct checkpoint checkpoint = { .want = message->checkpoint, .skipped = SKIPPED_NULL };
	_cleanup_free_ char *path = bytes_dup(&message->checkpoint->worktree);
	Maestro__GitCheckpointed *made;
	int r;

	if (!path || asprintf(&checkpoint.prefix, "refs/maestro/checkpoints/%llu.%u/",
		(unsigned long long)message->checkpoint->task, message->checkpoint->attempt) < 0)
		return -ENOMEM;
	r = library_signature(message->checkpoint->author, &checkpoint.author, &job->error);
	if (!r)
		r = worktree_open(job, path, &checkpoint.repo);
	if (!r)
		r = make(job, &checkpoint);
	if (r)
		return r;
	result->checkpointed = made = result_new(Maestro__GitCheckpointed, maestro__git_checkpointed__init);
	if (!made)
		return -ENOMEM;
	made->commit = NULL;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_CHECKPOINTED;
	made->number = checkpoint.number;
	r = result_commit(&made->commit, &checkpoint.commit);
	return r ? r : result_skipped(&checkpoint.skipped, &made->n_skipped, &made->skipped);
}
