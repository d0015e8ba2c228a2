#include "worker/git/job.h"

#include <stdio.h>
#include <string.h>
#include "proto/base/clock.h"
#include "proto/wire/message.h"
#include "worker/git/library.h"
#include "worker/git/result.h"
#include "worker/git/stale.h"
#include "worker/git/worktree.h"

#define PROGRESS_EVERY_MS 100u

static const struct {
	Maestro__GitJob__OpCase op;
	job_operation_fn run;
	bool changes; /* references of the mirror, or a worktree */
} operations[] = {
	{ MAESTRO__GIT_JOB__OP_PROBE, probe_run, false },
	{ MAESTRO__GIT_JOB__OP_FETCH, fetch_run, true },
	{ MAESTRO__GIT_JOB__OP_PREPARE, prepare_run, true },
	{ MAESTRO__GIT_JOB__OP_COMMIT, commit_run, true },
	{ MAESTRO__GIT_JOB__OP_CHECKPOINT, checkpoint_run, true },
	{ MAESTRO__GIT_JOB__OP_PUSH, push_run, true },
	{ MAESTRO__GIT_JOB__OP_REMOVE, remove_run, true },
	{ MAESTRO__GIT_JOB__OP_DIFF, diff_run, true },
	{ MAESTRO__GIT_JOB__OP_MERGE, merge_run, true },
};

void job_tell(struct job *job, const char *text, uint64_t done, uint64_t total)
{
	uint64_t now_ms = clock_boottime_ms();

	if (!job->progress || (job->progress_at_ms + PROGRESS_EVERY_MS > now_ms && done != total))
		return;
	job->progress_at_ms = now_ms;
	job->progress(text, done, total, job->progress_userdata);
}

static int path_of(const ProtobufCBinaryData *data, char **ret_path)
{
	*ret_path = bytes_dup(data);
	return *ret_path ? 0 : -ENOMEM;
}

static int job_init(struct job *job, const Maestro__GitProject *project)
{
	int r = url_parse(project->url.data, project->url.len, &job->url, &job->error);

	if (!r)
		r = path_of(&project->mirror, &job->mirror);
	if (!r && project->has_ssh_key && project->ssh_key.len)
		r = path_of(&project->ssh_key, &job->ssh_key);
	if (!r && project->has_known_hosts && project->known_hosts.len)
		r = path_of(&project->known_hosts, &job->known_hosts);
	if (!r && job->mirror[0] != '/')
		r = error_set(&job->error, JOB_E_BAD_REQUEST, "the mirror's path is not absolute");
	job->timeout_ms = project->has_timeout_ms && project->timeout_ms ? project->timeout_ms : JOB_TIMEOUT_MS;
	return r;
}

static void job_deinit(struct job *job)
{
	git_repository_free(job->repo);
	if (job->lock_fd >= 0)
		close(job->lock_fd);
	url_deinit(&job->url);
	free(job->mirror);
	free(job->ssh_key);
	free(job->known_hosts);
	error_deinit(&job->error);
}

static int run_marked(struct job *job, job_operation_fn run, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	_cleanup_(stale_end) struct stale_mark mark = STALE_MARK_NULL;
	_cleanup_free_ char *worktree = NULL;

	if (message->op_case == MAESTRO__GIT_JOB__OP_COMMIT) {
		worktree = worktree_name(message->commit->branch);
		if (!worktree)
			return -ENOMEM;
	}
	stale_begin(job, worktree, &mark);
	return run(job, message, result);
}

static int run_operation(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (operations[i].op == message->op_case)
			return operations[i].changes ? run_marked(job, operations[i].run, message, result) :
				operations[i].run(job, message, result);
	return error_set(&job->error, JOB_E_BAD_REQUEST, "this maestro-git does not know that job; is it older than the worker?");
}

/* An errno that came all the way up is a condition for whoever asked. */
static int condition_of(int r)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return JOB_E_NO_SPACE;
	return r < 0 ? JOB_E_FAILED : r;
}

static int set_failure(Maestro__GitResult *result, struct job *job, int r)
{
	const char *why = error_text(&job->error, r);
	int failed;

	result->code = (Maestro__GitCode)condition_of(r);
	failed = result_bytes(&result->why, &result->has_why, why, strlen(why));
	if (!failed && job->error.hint)
		failed = result_bytes(&result->hint, &result->has_hint, job->error.hint, strlen(job->error.hint));
	return failed;
}

int job_run(const Maestro__GitJob *message, job_progress_fn progress, void *userdata, Maestro__GitResult **ret_result)
{
	_cleanup_(job_deinit) struct job job = { .url = URL_NULL, .lock_fd = -1, .error = ERROR_NULL,
		.progress = progress, .progress_userdata = userdata };
	Maestro__GitResult *result = result_new(Maestro__GitResult, maestro__git_result__init), *failure;
	int r;

	if (!result)
		return -ENOMEM;
	r = job_init(&job, message->project);
	if (!r)
		r = run_operation(&job, message, result);
	if (!r) {
		*ret_result = result;
		return 0;
	}
	/* What a failed operation had filled in is of no use. */
	maestro__git_result__free_unpacked(result, NULL);
	failure = result_new(Maestro__GitResult, maestro__git_result__init);
	if (!failure)
		return -ENOMEM;
	r = set_failure(failure, &job, r);
	if (r) {
		maestro__git_result__free_unpacked(failure, NULL);
		return r;
	}
	*ret_result = failure;
	return 0;
}
