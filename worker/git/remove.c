/* Taking a worktree away: refused while it holds work that is nowhere else, unless it is forced. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/worktree.h"

static int dirty(struct job *job, const char *what)
{
	error_set(&job->error, JOB_E_DIRTY, "the worktree has %s", what);
	error_hint(&job->error, "commit and push it there by hand, or remove it with --force to give that up");
	return JOB_E_DIRTY;
}

static int check_uncommitted(struct job *job, git_repository *repo)
{
	_cleanup_(git_status_list_free_p) git_status_list *list = NULL;
	git_status_options options = GIT_STATUS_OPTIONS_INIT;
	int r;

	options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
	r = git_status_list_new(&list, repo, &options);
	if (r < 0)
		return library_error(&job->error, r, "the worktree's state cannot be read");
	return git_status_list_entrycount(list) ? dirty(job, "changes that are not committed") : 0;
}

/* Whether the commit is `hex` or in its history. */
static bool is_within(struct job *job, const git_oid *commit, const char *hex)
{
	git_oid id;

	if (!hex || !hex[0] || library_oid(hex, &id, NULL))
		return false;
	return git_oid_equal(&id, commit) || git_graph_descendant_of(job->repo, &id, commit) == 1;
}

static bool on_remote_branch(struct job *job, const git_oid *commit)
{
	_cleanup_(git_reference_iterator_free_p) git_reference_iterator *iterator = NULL;
	const char *name;
	git_oid tip;

	if (git_reference_iterator_glob_new(&iterator, job->repo, "refs/remotes/origin/*") < 0)
		return false;
	while (!git_reference_next_name(&name, iterator))
		if (!git_reference_name_to_id(&tip, job->repo, name) &&
			(git_oid_equal(&tip, commit) || git_graph_descendant_of(job->repo, &tip, commit) == 1))
			return true;
	return false;
}

static int check_pushed(struct job *job, const Maestro__GitRemove *want, git_repository *repo, const char *ref_name)
{
	git_oid id;

	if (!git_reference_name_to_id(&id, repo, ref_name) && !is_within(job, &id, want->pushed_commit) &&
		!is_within(job, &id, want->base_commit) && !on_remote_branch(job, &id))
		return dirty(job, "commits that are not on the remote");
	return 0;
}

static int check_work(struct job *job, const Maestro__GitRemove *want, const char *path, const char *ref_name)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	int r = worktree_open(job, path, &repo);

	if (r)
		return r;
	r = check_uncommitted(job, repo);
	if (!r)
		r = check_pushed(job, want, repo, "HEAD");
	return r ? r : check_pushed(job, want, repo, ref_name);
}

static int remove_dir(struct job *job, const char *path)
{
	_cleanup_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));
	int r = io_remove_tree(path);

	if (r < 0)
		return error_set(&job->error, JOB_E_FAILED, "%s cannot be removed: %s", path, strerror(-r));
	/* The attempt's directory, if this was the last in it. */
	if (parent && parent[0])
		rmdir(parent);
	return 0;
}

/* Without its worktree a branch can still hold work. */
static int remove_branch(struct job *job, const Maestro__GitRemove *want, const char *ref_name)
{
	int r = want->force ? 0 : check_pushed(job, want, job->repo, ref_name);

	if (r)
		return r;
	r = git_reference_remove(job->repo, ref_name);
	return r < 0 && r != GIT_ENOTFOUND ? library_error(&job->error, r, "the branch cannot be deleted") : 0;
}

static int remove_all(struct job *job, const Maestro__GitRemove *want, const char *path, const char *ref_name)
{
	_cleanup_free_ char *name = worktree_name(want->branch);
	struct stat st;
	bool there = !lstat(path, &st);
	int r = 0;

	if (!name)
		return -ENOMEM;
	if (there && !want->force)
		r = check_work(job, want, path, ref_name);
	if (!r && there)
		r = remove_dir(job, path);
	if (!r)
		r = worktree_forget(job, name);
	return !r && want->delete_branch ? remove_branch(job, want, ref_name) : r;
}

int remove_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	const Maestro__GitRemove *want = message->remove;
	_cleanup_free_ char *path = bytes_dup(&want->worktree), *ref_name = NULL;
	struct stat st;
	int r;

	if (!path || asprintf(&ref_name, "refs/heads/%s", want->branch) < 0)
		return -ENOMEM;
	if (path[0] != '/' || !path[1])
		return error_set(&job->error, JOB_E_BAD_REQUEST, "the worktree's path is not absolute");
	r = mirror_lock(job);
	if (!r)
		r = mirror_open(job);
	if (r == JOB_E_NOT_FOUND && lstat(path, &st) < 0 && errno == ENOENT) {
		error_deinit(&job->error); /* it never came to a mirror: nothing is left to remove */
		job->error = ERROR_NULL;
		return 0;
	}
	return r ? r : remove_all(job, want, path, ref_name);
}
