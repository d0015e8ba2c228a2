#include "worker/service/jobs.h"

#include <string.h>
#include "proto/base/clock.h"
#include "proto/base/list.h"
#include "proto/wire/message.h"
#include "worker/service/helper.h"

#define CANCELLED "it was cancelled"

struct jobs {
	sd_event *event;
	struct log *log;
	char *program;
	unsigned int at_a_time, running;
	struct list waiting, active; /* struct job */
	sd_event_source *start;      /* begins what waits, from the loop */
};

struct job {
	struct list link;
	struct jobs *jobs;
	struct buf message; /* framed */
	uint64_t limit_ms, not_after_ms;
	job_done_fn done;
	void *userdata;
	struct helper *helper; /* NULL: it waits */
	const char *why;       /* it never begins */
	bool expired;
};

static void job_free(struct job *job)
{
	list_remove(&job->link);
	helper_free(job->helper);
	buf_deinit(&job->message);
	free(job);
}

/* Gives the answer and frees the job. */
static void job_end(struct job *job, const Maestro__GitResult *result, const char *why)
{
	Maestro__GitResult made = MAESTRO__GIT_RESULT__INIT;

	if (!result) {
		made.code = MAESTRO__GIT_CODE__GIT_FAILED;
		made.has_why = true;
		made.why = bytes_of(why);
		result = &made;
	}
	job->done(job->userdata, result);
	job_free(job);
}

/* What came before the result is progress. */
static void on_helper(void *userdata, const ProtobufCMessage *answer, const char *why)
{
	struct job *job = userdata;
	struct jobs *jobs = job->jobs;
	const Maestro__GitMessage *message = (const Maestro__GitMessage *)answer;
	bool result = message && message->body_case == MAESTRO__GIT_MESSAGE__BODY_RESULT;

	job->helper = NULL;
	jobs->running--;
	sd_event_source_set_enabled(jobs->start, SD_EVENT_ONESHOT);
	job_end(job, result ? message->result : NULL, message ? "maestro-git ended without a result" : why);
}

static int begin(struct job *job)
{
	return helper_start(&job->helper, job->jobs->event, job->jobs->program, &job->message, &maestro__git_message__descriptor,
		job->limit_ms, on_helper, job);
}

static int on_start(sd_event_source *source, void *userdata)
{
	struct jobs *jobs = userdata;
	struct job *job;

	while (jobs->running < jobs->at_a_time && (job = list_first(&jobs->waiting, struct job, link))) {
		int r = 0;

		list_remove(&job->link);
		list_append(&jobs->active, &job->link);
		job->expired = job->not_after_ms && clock_boottime_ms() >= job->not_after_ms;
		if (job->expired)
			job->why = "the permission to push ran out";
		if (!job->why)
			r = begin(job);
		if (job->why || r) {
			if (r)
				log_error(jobs->log, "cannot start %s: %s", jobs->program, strerror(-r));
			job_end(job, NULL, job->why ? job->why : "maestro-git cannot be started on this worker");
		} else {
			jobs->running++;
		}
	}
	return 0;
}

int jobs_new(struct jobs **ret_jobs, sd_event *event, struct log *log, const char *program, unsigned int at_a_time)
{
	_cleanup_(jobs_free_p) struct jobs *jobs = calloc(1, sizeof(*jobs));
	int r;

	if (!jobs)
		return -ENOMEM;
	list_init(&jobs->waiting);
	list_init(&jobs->active);
	jobs->event = event;
	jobs->log = log;
	jobs->at_a_time = at_a_time;
	jobs->program = strdup(program);
	if (!jobs->program)
		return -ENOMEM;
	r = sd_event_add_defer(event, &jobs->start, on_start, jobs);
	if (r >= 0)
		r = sd_event_source_set_enabled(jobs->start, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret_jobs = take(jobs);
	return 0;
}

void jobs_free(struct jobs *jobs)
{
	struct job *job;

	if (!jobs)
		return;
	while ((job = list_first(&jobs->waiting, struct job, link)))
		job_free(job);
	while ((job = list_first(&jobs->active, struct job, link)))
		job_free(job);
	sd_event_source_disable_unref(jobs->start);
	free(jobs->program);
	free(jobs);
}

int job_start(struct jobs *jobs, const Maestro__GitJob *message, uint64_t limit_ms, uint64_t not_after_ms,
	job_done_fn done, void *userdata, struct job **ret_job)
{
	Maestro__GitMessage whole = MAESTRO__GIT_MESSAGE__INIT;
	struct job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .jobs = jobs, .limit_ms = limit_ms, .not_after_ms = not_after_ms, .done = done,
		.userdata = userdata };
	list_init(&job->link);
	whole.body_case = MAESTRO__GIT_MESSAGE__BODY_JOB;
	whole.job = (Maestro__GitJob *)(uintptr_t)message;
	r = message_pack_framed(&whole, &job->message);
	if (!r)
		r = sd_event_source_set_enabled(jobs->start, SD_EVENT_ONESHOT);
	if (r < 0) {
		job_free(job);
		return r;
	}
	list_append(&jobs->waiting, &job->link);
	if (ret_job)
		*ret_job = job;
	return 0;
}

bool job_expired(const struct job *job)
{
	return job->expired;
}

void job_cancel(struct job *job)
{
	if (job->helper) {
		helper_kill(job->helper, CANCELLED);
		return;
	}
	job->why = CANCELLED;
	job->not_after_ms = 0; /* still waits: ended by on_start, in its turn */
}

static void ignore(void *userdata, const Maestro__GitResult *result)
{
}

void job_abandon(struct job *job)
{
	job->done = ignore;
	job->userdata = NULL;
	job_cancel(job);
}
