#include "worker/git/destination.h"

#include <stdio.h>
#include <string.h>
#include "worker/git/library.h"
#include "worker/git/local.h"
#include "worker/git/mirror.h"
#include "worker/git/program.h"

int destination_open(struct destination *destination, struct job *job)
{
	int r = mirror_open(job);

	*destination = (struct destination){ .job = job, .heads = HEAD_LIST_NULL };
	if (r)
		return r;
	if (job->url.kind != URL_SSH) {
		r = remote_list_once(job, &destination->heads);
		return !r && job->url.kind == URL_LOCAL ? local_open(job, &destination->local) : r;
	}
	destination->has_remote = true;
	r = remote_init(&destination->remote, job, job->repo);
	if (!r)
		r = remote_connect(&destination->remote, GIT_DIRECTION_PUSH);
	return r ? r : remote_list(&destination->remote, &destination->heads);
}

void destination_deinit(struct destination *destination)
{
	head_list_deinit(&destination->heads);
	if (destination->has_remote)
		remote_deinit(&destination->remote);
	git_repository_free(destination->local);
}

/* libgit2 pushes and fetches references only, so the commit gets one for as long as it takes. */
static int put_by_reference(struct destination *destination, const git_oid *commit, const char *target,
	const git_oid *expected, bool force, char **ret_note)
{
	struct job *job = destination->job;
	_cleanup_(git_reference_free_p) git_reference *ref = NULL;
	char source[64];
	int r;

	snprintf(source, sizeof(source), "refs/maestro/push/%d", getpid());
	r = git_reference_create(&ref, job->repo, source, commit, true, "maestro: push");
	if (r < 0)
		return library_error(&job->error, r, "the commit cannot be named");
	if (destination->local)
		r = local_put(job, destination->local, source, commit, target, expected, ret_note);
	else
		r = remote_push(&destination->remote, source, target, force);
	git_reference_remove(job->repo, source);
	return r;
}

int destination_put(struct destination *destination, const git_oid *commit, const char *branch, bool force,
	char **ret_note)
{
	const struct head *head = head_list_branch(&destination->heads, branch);
	_cleanup_free_ char *target = NULL;

	if (asprintf(&target, "refs/heads/%s", branch) < 0)
		return -ENOMEM;
	if (destination->job->url.kind == URL_PROGRAM)
		return program_push(destination->job, commit, target, head ? &head->id : NULL);
	return put_by_reference(destination, commit, target, head ? &head->id : NULL, force, ret_note);
}
