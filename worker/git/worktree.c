/* Several programs adding worktrees at once trip over each other, so adding happens under the mirror's lock. A prepare
 * that is repeated (the worker died in between) finds what the first one made and goes on with it. */
#include "worker/git/worktree.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/result.h"

static bool same_dir(const char *a, const char *b)
{
	_cleanup_free_ char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);

	return real_a && real_b && !strcmp(real_a, real_b);
}

/* Why there is no repository at the worktree's path; what can be done, if its files are still there. */
static int worktree_broken(struct job *job, const char *path, int r)
{
	_cleanup_free_ char *link = io_join(path, ".git");
	struct stat st;

	if (!link)
		return -ENOMEM;
	if (lstat(path, &st) < 0 && errno == ENOENT)
		return error_set(&job->error, JOB_E_NOT_FOUND, "the worktree %s is not there any more", path);
	if (r != GIT_ENOTFOUND)
		library_error(&job->error, r, "the worktree %s cannot be opened", path);
	else if (lstat(link, &st) < 0 && errno == ENOENT)
		error_set(&job->error, JOB_E_NOT_FOUND, "%s was deleted, so git does not know this worktree", link);
	else
		error_set(&job->error, JOB_E_NOT_FOUND, "%s is broken: it does not lead to a repository", link);
	error_hint(&job->error, "the session's files are still there; on the worker move away what is left of %s, run "
		"`git -C %s worktree repair`, then commit and push there by hand", link, job->mirror);
	return JOB_E_NOT_FOUND;
}

int worktree_open(struct job *job, const char *path, git_repository **ret_repo)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	int r = mirror_open(job);

	if (r)
		return r;
	r = git_repository_open_ext(&repo, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (r == GIT_EOWNER)
		return library_error(&job->error, r, "the worktree %s cannot be opened", path);
	if (r < 0)
		return worktree_broken(job, path, r);
	if (!git_repository_is_worktree(repo) || !same_dir(git_repository_commondir(repo), job->mirror)) {
		error_set(&job->error, JOB_E_BAD_REQUEST, "%s/.git does not lead to the project's mirror any more", path);
		error_hint(&job->error, "the session replaced it; its files are still there: what is to be kept, commit and push by hand");
		return JOB_E_BAD_REQUEST;
	}
	*ret_repo = take(repo);
	return 0;
}

char *worktree_name(const char *branch)
{
	char *name = strdup(branch);

	for (char *p = name; p && *p; p++)
		if (*p == '/')
			*p = '+';
	return name;
}

int worktree_forget(struct job *job, const char *name)
{
	_cleanup_(git_worktree_free_p) git_worktree *worktree = NULL;
	git_worktree_prune_options options = GIT_WORKTREE_PRUNE_OPTIONS_INIT;
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/worktrees/%s", job->mirror, name) < 0)
		return -ENOMEM;
	if (git_worktree_lookup(&worktree, job->repo, name) < 0) {
		/* Half made: there is a directory, but it is no worktree. */
		r = io_remove_tree(path);
		return r < 0 ? r : 0;
	}
	options.flags = GIT_WORKTREE_PRUNE_VALID | GIT_WORKTREE_PRUNE_LOCKED;
	r = git_worktree_prune(worktree, &options);
	return r < 0 ? library_error(&job->error, r, "the worktree's record cannot be removed") : 0;
}

/* --- prepare ------------------------------------------------------------------------------------------------- */

struct plan {
	const Maestro__GitPrepare *want;
	char *path, *name, *ref_name;
	git_oid base, start; /* the base's tip; where the branch begins */
	git_oid tip;         /* of the branch, when it is there */
	bool made_branch;
};

static void plan_deinit(struct plan *plan)
{
	free(plan->path);
	free(plan->name);
	free(plan->ref_name);
}

static int plan_init(struct plan *plan, struct job *job, const Maestro__GitPrepare *want)
{
	*plan = (struct plan){ .want = want, .path = bytes_dup(&want->worktree), .name = worktree_name(want->branch) };
	if (!plan->path || !plan->name || asprintf(&plan->ref_name, "refs/heads/%s", want->branch) < 0)
		return -ENOMEM;
	if (!name_branch_valid(want->branch))
		return error_set(&job->error, JOB_E_BAD_REQUEST, "the branch's name is not valid");
	return plan->path[0] == '/' ? 0 : error_set(&job->error, JOB_E_BAD_REQUEST, "the worktree's path is not absolute");
}

static int find_start(struct job *job, struct plan *plan)
{
	const char *from = plan->want->from_commit;
	int r = mirror_branch(job, plan->want->base_branch, &plan->base);

	plan->start = plan->base;
	if (r || !from || !from[0])
		return r;
	r = library_oid(from, &plan->start, &job->error);
	return r ? r : mirror_need(job, &plan->start);
}

/* A branch of ours from an earlier try: what was committed on it is kept; if nothing was, it begins anew. */
static int find_branch(struct job *job, struct plan *plan)
{
	_cleanup_(git_reference_free_p) git_reference *ref = NULL;
	int r = git_reference_name_to_id(&plan->tip, job->repo, plan->ref_name);

	if (r >= 0 && git_graph_descendant_of(job->repo, &plan->start, &plan->tip) != 1)
		return 0;
	if (r < 0 && r != GIT_ENOTFOUND)
		return library_error(&job->error, r, "the branch %s cannot be read", plan->want->branch);
	plan->made_branch = r < 0;
	plan->tip = plan->start;
	r = git_reference_create(&ref, job->repo, plan->ref_name, &plan->start, true, "maestro: prepare");
	return r < 0 ? library_error(&job->error, r, "the branch %s cannot be made", plan->want->branch) : 0;
}

/* Whether the whole of it is there already, from a prepare whose answer was lost. */
static bool is_prepared(struct job *job, struct plan *plan)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	_cleanup_(git_reference_free_p) git_reference *head = NULL;
	_cleanup_free_ char *marker = NULL;
	bool done;

	if (worktree_open(job, plan->path, &repo)) {
		error_deinit(&job->error);
		return false;
	}
	/* The checkout writes the index last. */
	done = asprintf(&marker, "%sindex", git_repository_path(repo)) >= 0 && !access(marker, F_OK) &&
		git_reference_lookup(&head, repo, "HEAD") >= 0 && git_reference_type(head) == GIT_REFERENCE_SYMBOLIC &&
		!strcmp(git_reference_symbolic_target(head), plan->ref_name);
	return done && git_reference_name_to_id(&plan->tip, job->repo, plan->ref_name) >= 0;
}

/* A directory with something in it is never touched, unless it is a half-made worktree of this very branch. */
static int clear_place(struct job *job, struct plan *plan)
{
	_cleanup_(git_worktree_free_p) git_worktree *worktree = NULL;
	int r;

	if (!git_worktree_lookup(&worktree, job->repo, plan->name) && same_dir(git_worktree_path(worktree), plan->path)) {
		r = io_remove_tree(plan->path);
		if (r < 0)
			return r;
	}
	r = worktree_forget(job, plan->name);
	if (r)
		return r;
	if (!rmdir(plan->path) || errno == ENOENT)
		return 0;
	error_set(&job->error, JOB_E_BAD_REQUEST, "there is something else at %s: %s", plan->path, strerror(errno));
	error_hint(&job->error, "move it away and try again");
	return JOB_E_BAD_REQUEST;
}

static void on_checkout(const char *path, size_t done, size_t total, void *payload)
{
	job_tell(payload, "checking out", done, total);
}

static int add_worktree(struct job *job, struct plan *plan)
{
	_cleanup_(git_reference_free_p) git_reference *ref = NULL;
	_cleanup_(git_worktree_free_p) git_worktree *worktree = NULL;
	git_worktree_add_options options = GIT_WORKTREE_ADD_OPTIONS_INIT;
	_cleanup_free_ char *parent = strndup(plan->path, (size_t)(strrchr(plan->path, '/') - plan->path));
	int r = parent ? io_make_dirs(parent[0] ? parent : "/", 0700) : -ENOMEM;

	if (r < 0) {
		error_set(&job->error, JOB_E_FAILED, "the worktree's directory cannot be made: %s", strerror(-r));
		return r == -ENOSPC ? JOB_E_NO_SPACE : JOB_E_FAILED;
	}
	r = git_reference_lookup(&ref, job->repo, plan->ref_name);
	if (r < 0)
		return library_error(&job->error, r, "the branch cannot be read");
	options.ref = ref;
	options.checkout_options.checkout_strategy = GIT_CHECKOUT_FORCE;
	options.checkout_options.progress_cb = on_checkout;
	options.checkout_options.progress_payload = job;
	r = git_worktree_add(&worktree, job->repo, plan->name, plan->path, &options);
	return r < 0 ? library_error(&job->error, r, "the worktree cannot be made") : 0;
}

static void roll_back(struct job *job, struct plan *plan)
{
	struct error first = job->error;

	job->error = ERROR_NULL;
	io_remove_tree(plan->path);
	worktree_forget(job, plan->name);
	if (plan->made_branch)
		git_reference_remove(job->repo, plan->ref_name);
	error_deinit(&job->error);
	job->error = first;
}

static int make_worktree(struct job *job, struct plan *plan)
{
	int r = clear_place(job, plan);

	if (!r)
		r = find_branch(job, plan);
	if (r)
		return r;
	r = add_worktree(job, plan);
	if (!r)
		r = mirror_exclude(job, plan->want);
	if (r)
		roll_back(job, plan);
	return r;
}

/* The branch's work is what it has beyond the base: where an old branch is used again, that is the merge base. */
static int prepared(struct job *job, struct plan *plan, Maestro__GitResult *result)
{
	git_oid base;
	int r = git_merge_base(&base, job->repo, &plan->base, &plan->tip);

	if (r < 0 && r != GIT_ENOTFOUND)
		return library_error(&job->error, r, "the branch's beginning cannot be found");
	if (r == GIT_ENOTFOUND)
		base = plan->base;
	result->prepared = result_new(Maestro__GitPrepared, maestro__git_prepared__init);
	if (!result->prepared)
		return -ENOMEM;
	result->prepared->base_commit = result->prepared->head = NULL;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_PREPARED;
	if (result_commit(&result->prepared->base_commit, &base) || result_commit(&result->prepared->head, &plan->tip))
		return -ENOMEM;
	return 0;
}

int prepare_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	_cleanup_(plan_deinit) struct plan plan = { 0 };
	int r = plan_init(&plan, job, message->prepare);

	if (!r)
		r = mirror_fetch(job);
	if (!r)
		r = find_start(job, &plan);
	if (r)
		return r;
	if (!is_prepared(job, &plan))
		r = make_worktree(job, &plan);
	return r ? r : prepared(job, &plan, result);
}
