#include "worker/git/local.h"

#include <git2/sys/transport.h>
#include <stdio.h>
#include <string.h>
#include "worker/git/needs.h"
#include "worker/git/library.h"
#include "worker/git/remote.h"

int local_open(struct job *job, git_repository **ret_repo)
{
	int r = git_repository_open(ret_repo, job->url.path);

	if (r >= 0) {
		git_repository_set_ident(*ret_repo, "Maestro", "maestro@localhost");
		return 0;
	}
	r = library_error(&job->error, r, "%s cannot be opened", job->url.path);
	if (!job->error.hint)
		error_hint(&job->error, "check the project's URL");
	return r;
}

static int on_transport(git_transport **out, git_remote *owner, void *payload)
{
	return git_transport_local(out, owner, NULL);
}

/* The objects only: no reference there is touched. */
static int transfer(struct job *job, git_repository *repo, const char *source)
{
	git_remote_create_options create = GIT_REMOTE_CREATE_OPTIONS_INIT;
	_cleanup_(git_remote_free_p) git_remote *remote = NULL;
	git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
	char *spec = (char *)(uintptr_t)source;
	const git_strarray specs = { &spec, 1 };
	int r;

	create.repository = repo;
	create.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	options.callbacks.transport = on_transport;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	r = git_remote_create_with_opts(&remote, job->mirror, &create);
	if (r >= 0)
		r = git_remote_download(remote, &specs, &options);
	return r < 0 ? library_error(&job->error, r, "the commits cannot be brought to %s", job->url.path) : 0;
}

static int set_reference(struct job *job, git_repository *repo, const git_oid *commit, const char *target,
	const git_oid *expected)
{
	_cleanup_(git_reference_free_p) git_reference *ref = NULL;
	int r;

	if (expected)
		r = git_reference_create_matching(&ref, repo, target, commit, true, expected, "maestro: push");
	else
		r = git_reference_create(&ref, repo, target, commit, false, "maestro: push");
	if (r != GIT_EMODIFIED && r != GIT_EEXISTS)
		return r < 0 ? library_error(&job->error, r, "%s cannot be set in %s", target, job->url.path) : 0;
	error_set(&job->error, JOB_E_CONFLICT, "%s moved in %s in the meantime", target, job->url.path);
	error_hint(&job->error, "try again");
	return JOB_E_CONFLICT;
}

static bool head_is(git_repository *repo, const char *target)
{
	_cleanup_(git_reference_free_p) git_reference *head = NULL;

	return git_reference_lookup(&head, repo, "HEAD") >= 0 && git_reference_type(head) == GIT_REFERENCE_SYMBOLIC &&
		!strcmp(git_reference_symbolic_target(head), target);
}

/* The worktree that has the branch checked out: the repository's own, or a linked one. NULL: none that can be opened. */
static git_repository *open_checked_out(git_repository *repo, const char *target)
{
	git_repository *found = NULL;
	git_strarray names = { NULL, 0 };

	if (!git_repository_is_bare(repo) && head_is(repo, target))
		return git_repository_open(&found, git_repository_workdir(repo)) < 0 ? NULL : found;
	if (git_worktree_list(&names, repo) < 0)
		return NULL;
	for (size_t i = 0; !found && i < names.count; i++) {
		_cleanup_(git_worktree_free_p) git_worktree *worktree = NULL;

		if (git_worktree_lookup(&worktree, repo, names.strings[i]) < 0 ||
			git_repository_open_from_worktree(&found, worktree) < 0)
			continue;
		if (!head_is(found, target)) {
			git_repository_free(found);
			found = NULL;
		}
	}
	git_strarray_dispose(&names);
	return found;
}

static int leave_to_person(struct job *job, git_repository *there, const git_oid *commit, const char *why)
{
	char hex[GIT_OID_HEXSZ + 1];

	error_set(&job->error, JOB_E_DIRTY, "the branch is checked out in %s, %s", git_repository_workdir(there), why);
	error_hint(&job->error, "commit or stash there, then merge again; or run `git merge --ff-only %s` there",
		library_hex(commit, hex));
	return JOB_E_DIRTY;
}

/* Files that git does not know are in nobody's way here: the checkout refuses to write over one. */
static int check_clean(struct job *job, git_repository *there, const git_oid *commit)
{
	_cleanup_(git_status_list_free_p) git_status_list *list = NULL;
	git_status_options options = GIT_STATUS_OPTIONS_INIT;
	_cleanup_free_ char *needs = NULL;
	int r;

	options.flags = GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
	r = git_status_list_new(&list, there, &options);
	if (r < 0)
		return library_error(&job->error, r, "the state of %s cannot be read", git_repository_workdir(there));
	if (git_status_list_entrycount(list))
		return leave_to_person(job, there, commit, "which has changes that are not committed");
	if (git_repository_state(there) != GIT_REPOSITORY_STATE_NONE)
		return leave_to_person(job, there, commit, "where a merge or rebase is under way");
	r = needs_find(there, commit, &needs);
	return !r && needs ? leave_to_person(job, there, commit, "and only the git program can update it") : r;
}

static int bring_along(struct job *job, git_repository *there, const git_oid *commit, const char *target,
	const git_oid *expected, char **ret_note)
{
	git_checkout_options options = GIT_CHECKOUT_OPTIONS_INIT;
	_cleanup_(git_object_free_p) git_object *tree = NULL;
	int r = check_clean(job, there, commit);

	if (r)
		return r;
	options.checkout_strategy = GIT_CHECKOUT_SAFE;
	r = git_object_lookup(&tree, there, commit, GIT_OBJECT_COMMIT);
	if (r >= 0)
		r = git_checkout_tree(there, tree, &options);
	if (r == GIT_ECONFLICT)
		return leave_to_person(job, there, commit, "where a file that git does not know is in the way");
	if (r < 0)
		return library_error(&job->error, r, "%s cannot be updated", git_repository_workdir(there));
	r = set_reference(job, there, commit, target, expected);
	if (!r && asprintf(ret_note, "the branch is checked out in %s; its files were updated too",
		git_repository_workdir(there)) < 0)
		return -ENOMEM;
	return r;
}

int local_put(struct job *job, git_repository *repo, const char *source, const git_oid *commit, const char *target,
	const git_oid *expected, char **ret_note)
{
	_cleanup_(git_repository_free_p) git_repository *there = open_checked_out(repo, target);
	int r;

	if (there && !ret_note) {
		error_set(&job->error, JOB_E_REFUSED, "%s is checked out in %s", target, git_repository_workdir(there));
		error_hint(&job->error, "switch that worktree to another branch");
		return JOB_E_REFUSED;
	}
	r = transfer(job, repo, source);
	if (r)
		return r;
	return there ? bring_along(job, there, commit, target, expected, ret_note) :
		set_reference(job, repo, commit, target, expected);
}
