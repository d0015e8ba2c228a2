/* A session's branch to the remote. Whose a name is, is decided by what lies there: nothing (ours now), what we pushed
 * last (ours), anything else (somebody else's). */
#include <stdio.h>
#include <string.h>
#include "proto/wire/names.h"
#include "worker/git/destination.h"
#include "worker/git/job.h"
#include "worker/git/library.h"
#include "worker/git/mirror.h"
#include "worker/git/result.h"

struct push {
	const Maestro__GitPush *want;
	git_oid commit, last;
	bool has_last;
	char *branch; /* as it will be on the remote */
};

static int push_init(struct push *push, struct job *job, const Maestro__GitPush *want)
{
	int r;

	*push = (struct push){ .want = want, .has_last = want->last_pushed && want->last_pushed[0], .branch = strdup(want->branch) };
	if (!push->branch)
		return -ENOMEM;
	if (!name_branch_valid(want->branch))
		return error_set(&job->error, JOB_E_BAD_REQUEST, "the branch's name is not valid");
	r = library_oid(want->commit, &push->commit, &job->error);
	return r || !push->has_last ? r : library_oid(want->last_pushed, &push->last, &job->error);
}

static int moved(struct job *job, struct push *push, const struct head *there)
{
	char hex[GIT_OID_HEXSZ + 1];

	if (there)
		error_set(&job->error, JOB_E_CONFLICT, "the branch %s was moved on the remote by somebody else, to %s", push->branch,
			library_hex(&there->id, hex));
	else
		error_set(&job->error, JOB_E_CONFLICT, "the branch %s was deleted on the remote", push->branch);
	error_hint(&job->error, "look at what is there");
	return JOB_E_CONFLICT;
}

/* The name is somebody else's: the same with a suffix, once. */
static int take_other_name(struct job *job, struct push *push, const struct head_list *heads, bool *ret_done)
{
	const char *suffix = push->want->taken_suffix;
	char *other = NULL;
	const struct head *there;

	if (suffix && suffix[0] && asprintf(&other, "%s%s", push->want->branch, suffix) < 0)
		return -ENOMEM;
	there = other ? head_list_branch(heads, other) : NULL;
	if (!other || !name_branch_valid(other) || (there && !git_oid_equal(&there->id, &push->commit))) {
		error_set(&job->error, JOB_E_CONFLICT, "the name %s is taken on the remote by somebody else", other ? other : push->branch);
		error_hint(&job->error, "delete or rename that branch on the remote");
		free(other);
		return JOB_E_CONFLICT;
	}
	free(push->branch);
	push->branch = other;
	*ret_done = there;
	return 0;
}

/* *ret_done: it is there already (an answer was lost). */
static int decide(struct job *job, struct push *push, const struct head_list *heads, bool *ret_done)
{
	const struct head *there = head_list_branch(heads, push->branch);

	*ret_done = there && git_oid_equal(&there->id, &push->commit);
	if (*ret_done)
		return 0;
	if (push->has_last)
		return there && git_oid_equal(&there->id, &push->last) ? 0 : moved(job, push, there);
	return there ? take_other_name(job, push, heads, ret_done) : 0;
}

static int push_commit(struct job *job, struct push *push)
{
	_cleanup_(destination_deinit) struct destination destination = { 0 };
	bool done, force;
	int r = destination_open(&destination, job);

	if (!r)
		r = decide(job, push, &destination.heads, &done);
	if (r || done)
		return r;
	force = push->has_last && git_graph_descendant_of(job->repo, &push->commit, &push->last) != 1;
	return destination_put(&destination, &push->commit, push->branch, force, NULL);
}

static int pushed(struct push *push, Maestro__GitResult *result)
{
	result->pushed = result_new(Maestro__GitPushed, maestro__git_pushed__init);
	if (!result->pushed)
		return -ENOMEM;
	result->pushed->commit = NULL;
	result->pushed->branch = take(push->branch);
	result->result_case = MAESTRO__GIT_RESULT__RESULT_PUSHED;
	return result_commit(&result->pushed->commit, &push->commit);
}

/* The commit is in the mirror, so that it can be pushed from there whatever became of its session. */
static int hint_by_hand(struct job *job, const struct push *push, int r)
{
	_cleanup_free_ char *first = NULL;

	if (r != JOB_E_REFUSED && r != JOB_E_CONFLICT)
		return r;
	first = job->error.hint ? strdup(job->error.hint) : NULL;
	error_hint(&job->error, "%s%s`maestro publish` if its session lives, else on the worker "
		"`git -C %s push origin %s:refs/heads/%s`", first ? first : "", first ? "; then " : "", job->mirror,
		push->want->commit, push->want->branch);
	return r;
}

int push_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	struct push push;
	int r = push_init(&push, job, message->push);

	if (!r)
		r = mirror_open(job);
	if (!r && !mirror_has(job, &push.commit))
		r = error_set(&job->error, JOB_E_NOT_FOUND, "the commit %s is not on this worker", message->push->commit);
	if (!r)
		r = hint_by_hand(job, &push, push_commit(job, &push));
	if (!r)
		r = pushed(&push, result);
	free(push.branch);
	return r;
}
