/* Questions about repositories that the coordinator asks on somebody's behalf. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#define PROBE_LIMIT_MS (2u * 60 * 1000)
#define DIFF_LIMIT_MS (5u * 60 * 1000)
#define MERGE_LIMIT_MS (15u * 60 * 1000)

struct asking {
	struct service *service;
	uint64_t request, peer_number;
};

static void on_answer(void *userdata, const Maestro__GitResult *result)
{
	_cleanup_free_ struct asking *asking = userdata;
	Maestro__GitAnswer answer = MAESTRO__GIT_ANSWER__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	answer.result = (Maestro__GitResult *)(uintptr_t)result;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_GIT_ANSWER;
	envelope.git_answer = &answer;
	uplink_answer(asking->service, CHANNEL_BULK, asking->request, asking->peer_number, &envelope);
}

/* Merging is only done where the worker was told that it may. */
static const char *refused(const struct service *service, const Maestro__GitAsk *ask)
{
	if (!name_valid(ask->project->name))
		return "the project's name is not valid";
	if (ask->op_case == MAESTRO__GIT_ASK__OP_MERGE && !service->config->may_merge)
		return "this worker may not merge (option may-merge)";
	if (ask->op_case == MAESTRO__GIT_ASK__OP_MERGE && !name_branch_valid(ask->merge->base_branch))
		return "the base branch's name is not valid";
	return NULL;
}

static int fill_job(const Maestro__GitAsk *ask, Maestro__GitJob *job, uint64_t *ret_limit_ms)
{
	switch (ask->op_case) {
	case MAESTRO__GIT_ASK__OP_PROBE:
		job->op_case = MAESTRO__GIT_JOB__OP_PROBE;
		job->probe = ask->probe;
		*ret_limit_ms = PROBE_LIMIT_MS;
		return 0;
	case MAESTRO__GIT_ASK__OP_DIFF:
		job->op_case = MAESTRO__GIT_JOB__OP_DIFF;
		job->diff = ask->diff;
		*ret_limit_ms = DIFF_LIMIT_MS;
		return 0;
	case MAESTRO__GIT_ASK__OP_MERGE:
		job->op_case = MAESTRO__GIT_JOB__OP_MERGE;
		job->merge = ask->merge;
		*ret_limit_ms = MERGE_LIMIT_MS;
		return 0;
	default:
		return -EINVAL;
	}
}

static int start(struct service *service, uint64_t request, const Maestro__GitAsk *ask)
{
	_cleanup_(git_place_deinit) struct git_place place = { NULL };
	_cleanup_free_ struct asking *asking = calloc(1, sizeof(*asking));
	bool merging = ask->op_case == MAESTRO__GIT_ASK__OP_MERGE;
	Maestro__GitJob job = MAESTRO__GIT_JOB__INIT;
	Maestro__GitProject project;
	uint64_t limit_ms = 0;
	int r;

	if (!asking)
		return -ENOMEM;
	*asking = (struct asking){ service, request, service->peer_number };
	r = fill_job(ask, &job, &limit_ms);
	if (!r)
		r = gitwork_project(service, ask->project, merging, &project, &place);
	if (r)
		return r;
	job.project = &project;
	r = job_start(service->jobs, &job, limit_ms, 0, on_answer, asking, NULL);
	if (!r)
		asking = NULL; /* on_answer's */
	return r;
}

void asking_git(struct service *service, uint64_t request, const Maestro__GitAsk *ask)
{
	const char *why = refused(service, ask);
	int r;

	if (why) {
		uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_NOT_ALLOWED, NULL, why,
			NULL);
		return;
	}
	r = start(service, request, ask);
	if (r)
		uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL,
			r == -EINVAL ? "this worker does not know that question" : strerror(-r), NULL);
}
