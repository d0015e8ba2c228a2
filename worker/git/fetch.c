/* probe and fetch: what is at the URL, and having it here. */
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"
#include "proto/wire/names.h"
#include "worker/git/needs.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/remote.h"
#include "worker/git/result.h"

#define HEADS "refs/heads/"

static int no_base(struct job *job, const struct head_list *list)
{
	_cleanup_free_ char *names = head_list_names(list);
	bool detached = head_list_find(list, "HEAD");

	error_set(&job->error, JOB_E_BAD_REQUEST, "HEAD of %s %s, so the base branch must be named", job->url.text,
		detached ? "is detached" : "names no branch that is there");
	error_hint(&job->error, "add --base BRANCH; its branches: %s", str_or(names, ""));
	return JOB_E_BAD_REQUEST;
}

static int missing_base(struct job *job, const struct head_list *list, const char *base)
{
	_cleanup_free_ char *names = head_list_names(list);

	error_set(&job->error, JOB_E_NOT_FOUND, "%s has no branch %s", job->url.text, base);
	error_hint(&job->error, "its branches: %s", str_or(names, ""));
	return JOB_E_NOT_FOUND;
}

static int pick_base(struct job *job, const struct head_list *list, const char *wanted, const struct head **ret_head)
{
	const struct head *head = head_list_find(list, "HEAD"), *base;

	if (!list->count) {
		error_set(&job->error, JOB_E_EMPTY, "the repository %s has no commit yet", job->url.text);
		error_hint(&job->error, "make a first commit there and try again");
		return JOB_E_EMPTY;
	}
	if (wanted && wanted[0]) {
		base = head_list_branch(list, wanted);
		if (!base)
			return missing_base(job, list, wanted);
	} else {
		base = head && head->symref ? head_list_find(list, head->symref) : NULL;
		if (!base || !str_starts(base->name, HEADS))
			return no_base(job, list);
	}
	if (!name_branch_valid(base->name + strlen(HEADS)))
		return error_set(&job->error, JOB_E_BAD_REQUEST, "the name of the base branch cannot be used here");
	*ret_head = base;
	return 0;
}

static int set_reason(Maestro__GitProbed *probed, const char *reason)
{
	probed->has_needs_git = true;
	probed->needs_git = reason != NULL;
	return reason ? result_bytes(&probed->reason, &probed->has_reason, reason, strlen(reason)) : 0;
}

/* What libgit2 cannot do is seen in the commit itself, so only where that is at hand: a path, or a mirror from before. */
static int look_at_commit(struct job *job, const git_oid *commit, Maestro__GitProbed *probed)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	_cleanup_free_ char *reason = NULL;
	int r;

	if (job->url.kind == URL_PROGRAM)
		return set_reason(probed, "only the git program speaks this URL's protocol");
	r = git_repository_open(&repo, job->url.kind == URL_LOCAL ? job->url.path : job->mirror);
	if (r < 0)
		return 0;
	r = needs_find(repo, commit, &reason);
	return r ? r : set_reason(probed, reason);
}

int probe_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	_cleanup_(head_list_deinit) struct head_list list = HEAD_LIST_NULL;
	const struct head *base = NULL;
	int r = remote_check_shallow(job);

	if (!r)
		r = remote_list_once(job, &list);
	if (!r)
		r = pick_base(job, &list, message->probe->base_branch, &base);
	if (r)
		return r;
	result->probed = result_new(Maestro__GitProbed, maestro__git_probed__init);
	if (!result->probed)
		return -ENOMEM;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_PROBED;
	result->probed->base_branch = strdup(base->name + strlen(HEADS));
	if (!result->probed->base_branch || result_commit(&result->probed->commit, &base->id))
		return -ENOMEM;
	return look_at_commit(job, &base->id, result->probed);
}

int fetch_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	const char *base = message->fetch->base_branch;
	git_oid id;
	int r = mirror_fetch(job);

	if (!r && base && base[0])
		r = mirror_branch(job, base, &id);
	if (r)
		return r;
	result->fetched = result_new(Maestro__GitFetched, maestro__git_fetched__init);
	if (!result->fetched)
		return -ENOMEM;
	result->result_case = MAESTRO__GIT_RESULT__RESULT_FETCHED;
	return base && base[0] ? result_commit(&result->fetched->commit, &id) : 0;
}
