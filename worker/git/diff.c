/* What a branch changes, as a review wants it: from where it left its base, file by file. */
#include <stdio.h>
#include <string.h>
#include "proto/wire/limit.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/result.h"

#define CONTEXT_LINES 3u
#define RENAMES_MAX 400u            /* comparing thousands of files pairwise takes minutes */
#define PATCH_BYTES_MAX (8u * 1024 * 1024)
#define DIFF_FILE_BYTES_MAX (32 * 1024 * 1024) /* above it a file counts as binary */

struct diff {
	const Maestro__GitDiff *want;
	git_oid base, commit; /* base: the merge base */
	git_diff *diff;
	uint64_t left_bytes;
	Maestro__GitDiffed *out;
};

/* A branch of the remote, or a commit. */
static int find_base(struct job *job, struct diff *diff)
{
	git_oid base;
	int r = library_oid(diff->want->base_branch, &base, NULL);

	r = r ? mirror_branch(job, diff->want->base_branch, &base) : mirror_need(job, &base);
	if (r)
		return r;
	r = git_merge_base(&diff->base, job->repo, &base, &diff->commit);
	if (r == GIT_ENOTFOUND) {
		diff->base = base; /* no history in common: all of it differs */
		return 0;
	}
	return r < 0 ? library_error(&job->error, r, "the merge base cannot be found") : 0;
}

static int tree_of(git_repository *repo, const git_oid *id, git_tree **ret_tree)
{
	_cleanup_(git_commit_free_p) git_commit *commit = NULL;
	int r = git_commit_lookup(&commit, repo, id);

	return r < 0 ? r : git_commit_tree(ret_tree, commit);
}

static int compare(struct job *job, struct diff *diff)
{
	_cleanup_(git_tree_free_p) git_tree *from = NULL, *to = NULL;
	git_diff_options options = GIT_DIFF_OPTIONS_INIT;
	git_diff_find_options find = GIT_DIFF_FIND_OPTIONS_INIT;
	int r = tree_of(job->repo, &diff->base, &from);

	options.context_lines = diff->want->has_context ? diff->want->context : CONTEXT_LINES;
	options.max_size = DIFF_FILE_BYTES_MAX;
	options.flags = GIT_DIFF_INCLUDE_TYPECHANGE;
	find.flags = GIT_DIFF_FIND_RENAMES;
	find.rename_limit = RENAMES_MAX;
	if (r >= 0)
		r = tree_of(job->repo, &diff->commit, &to);
	if (r >= 0)
		r = git_diff_tree_to_tree(&diff->diff, job->repo, from, to, &options);
	if (r >= 0)
		r = git_diff_find_similar(diff->diff, &find);
	return r < 0 ? library_error(&job->error, r, "the difference cannot be made") : 0;
}

static Maestro__GitFileStatus status_of(git_delta_t status)
{
	switch (status) {
	case GIT_DELTA_ADDED:
		return MAESTRO__GIT_FILE_STATUS__FILE_ADDED;
	case GIT_DELTA_DELETED:
		return MAESTRO__GIT_FILE_STATUS__FILE_DELETED;
	case GIT_DELTA_RENAMED:
		return MAESTRO__GIT_FILE_STATUS__FILE_RENAMED;
	case GIT_DELTA_TYPECHANGE:
		return MAESTRO__GIT_FILE_STATUS__FILE_TYPE_CHANGED;
	default:
		return MAESTRO__GIT_FILE_STATUS__FILE_MODIFIED;
	}
}

static int add_patch(struct diff *diff, git_patch *patch, Maestro__GitDiffFile *file)
{
	git_buf text = GIT_BUF_INIT;
	int r = 0;

	if (diff->want->has_stat_only && diff->want->stat_only)
		return 0;
	if (git_patch_size(patch, 1, 1, 1) > diff->left_bytes) {
		diff->out->has_truncated = diff->out->truncated = true;
		return 0;
	}
	if (git_patch_to_buf(&text, patch) < 0)
		return -ENOMEM;
	diff->left_bytes -= text.size < diff->left_bytes ? text.size : diff->left_bytes;
	r = result_bytes(&file->patch, &file->has_patch, text.ptr, text.size);
	git_buf_dispose(&text);
	return r;
}

static int add_paths(const git_diff_delta *delta, Maestro__GitDiffFile *file)
{
	const char *path = delta->status == GIT_DELTA_DELETED ? delta->old_file.path : delta->new_file.path;
	int r = result_bytes(&file->path, NULL, path, strlen(path));

	if (!r && delta->status == GIT_DELTA_RENAMED)
		r = result_bytes(&file->old_path, &file->has_old_path, delta->old_file.path, strlen(delta->old_file.path));
	return r;
}

static int add_file(struct job *job, struct diff *diff, size_t index)
{
	const git_diff_delta *delta = git_diff_get_delta(diff->diff, index);
	_cleanup_(git_patch_free_p) git_patch *patch = NULL;
	Maestro__GitDiffFile *file = result_new(Maestro__GitDiffFile, maestro__git_diff_file__init);
	size_t added = 0, removed = 0;
	int r;

	if (!file)
		return -ENOMEM;
	diff->out->files[diff->out->n_files++] = file;
	r = git_patch_from_diff(&patch, diff->diff, index);
	if (r >= 0 && patch)
		r = git_patch_line_stats(NULL, &added, &removed, patch);
	if (r < 0)
		return library_error(&job->error, r, "the difference of a file cannot be made");
	file->status = status_of(delta->status);
	file->added = (uint32_t)added;
	file->removed = (uint32_t)removed;
	/* Known only now that the contents were read. */
	file->has_binary = file->binary = patch && git_patch_get_delta(patch)->flags & GIT_DIFF_FLAG_BINARY;
	diff->out->added += file->added;
	diff->out->removed += file->removed;
	r = add_paths(delta, file);
	return r || !patch ? r : add_patch(diff, patch, file);
}

static int add_files(struct job *job, struct diff *diff)
{
	size_t count = git_diff_num_deltas(diff->diff);
	int r = 0;

	if (count > LIMIT_REPEATED) {
		count = LIMIT_REPEATED;
		diff->out->has_truncated = diff->out->truncated = true;
	}
	diff->out->files = calloc(count + 1, sizeof(*diff->out->files));
	if (!diff->out->files)
		return -ENOMEM;
	diff->out->has_added = diff->out->has_removed = true;
	for (size_t i = 0; !r && i < count; i++)
		r = add_file(job, diff, i);
	return r;
}

int diff_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	struct diff diff = { .want = message->diff, .left_bytes = PATCH_BYTES_MAX };
	int r = library_oid(message->diff->commit, &diff.commit, &job->error);

	if (message->diff->has_max_bytes && message->diff->max_bytes < PATCH_BYTES_MAX)
		diff.left_bytes = message->diff->max_bytes;
	if (!r)
		r = mirror_need(job, &diff.commit);
	if (!r)
		r = find_base(job, &diff);
	if (!r)
		r = compare(job, &diff);
	if (r)
		return r;
	result->diffed = diff.out = result_new(Maestro__GitDiffed, maestro__git_diffed__init);
	if (diff.out)
		result->result_case = MAESTRO__GIT_RESULT__RESULT_DIFFED;
	r = diff.out ? add_files(job, &diff) : -ENOMEM;
	git_diff_free(diff.diff);
	if (!r && (result_commit(&diff.out->base_commit, &diff.base) || result_commit(&diff.out->commit, &diff.commit)))
		r = -ENOMEM;
	return r;
}
