#include "worker/service/jobs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "proto/base/child.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/list.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#define ANSWER_MAX_BYTES (LIMIT_MESSAGE_BYTES + 1024u * 1024)

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
	pid_t pid;
	int out;
	struct buf in;
	sd_event_source *io, *child, *timer;
	struct message result; /* a GitMessage */
	const char *why;       /* it was ended by us */
	bool expired;
};

static void job_free(struct job *job)
{
	list_remove(&job->link);
	sd_event_source_disable_unref(job->io);
	sd_event_source_disable_unref(job->child);
	sd_event_source_disable_unref(job->timer);
	if (job->out >= 0)
		close(job->out);
	buf_deinit(&job->message);
	buf_deinit(&job->in);
	message_deinit(&job->result);
	free(job);
}

static const Maestro__GitResult *job_result(const struct job *job)
{
	const Maestro__GitMessage *message = (const Maestro__GitMessage *)job->result.base;

	return message && message->body_case == MAESTRO__GIT_MESSAGE__BODY_RESULT ? message->result : NULL;
}

/* Gives the answer and frees the job. */
static void job_end(struct job *job, const char *why)
{
	Maestro__GitResult made = MAESTRO__GIT_RESULT__INIT;
	const Maestro__GitResult *result = job->why ? NULL : job_result(job);

	if (!result) {
		made.code = MAESTRO__GIT_CODE__GIT_FAILED;
		made.has_why = true;
		made.why = bytes_of(job->why ? job->why : why);
		result = &made;
	}
	job->done(job->userdata, result);
	job_free(job);
}

static int job_take(struct job *job)
{
	int r = 0;

	while (!job_result(job)) {
		message_deinit(&job->result);
		r = message_take_framed(&job->in, &maestro__git_message__descriptor, ANSWER_MAX_BYTES, &job->result, NULL);
		if (r || !job->result.base)
			return r;
	}
	return 0;
}

/* Reads what is there. 0 at the end of it or when nothing is there for now. */
static int job_read(struct job *job)
{
	for (;;) {
		ssize_t n;
		int r = buf_reserve(&job->in, 65536);

		if (r)
			return r;
		n = read(job->out, job->in.data + job->in.len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0) {
			sd_event_source_set_enabled(job->io, SD_EVENT_OFF);
			return 0;
		}
		job->in.len += (size_t)n;
		r = job_take(job);
		if (r)
			return r;
	}
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct job *job = userdata;

	if (job_read(job)) {
		job->why = "maestro-git gave an answer that makes no sense";
		sd_event_source_set_enabled(job->io, SD_EVENT_OFF);
		child_kill(job->pid);
	}
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct job *job = userdata;

	job->why = "it took too long and was ended";
	child_kill(job->pid);
	return 0;
}

static int on_exit_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct job *job = userdata;
	struct jobs *jobs = job->jobs;
	char why[96];

	if (info->si_code == CLD_EXITED)
		snprintf(why, sizeof(why), "maestro-git ended with status %d and no answer", info->si_status);
	else
		snprintf(why, sizeof(why), "maestro-git was killed by signal %d", info->si_status);
	job_read(job);
	child_kill(job->pid); /* nothing of it outlives it */
	job->pid = 0;
	jobs->running--;
	sd_event_source_set_enabled(jobs->start, SD_EVENT_ONESHOT);
	job_end(job, why);
	return 0;
}

static int watch(struct job *job)
{
	sd_event *event = job->jobs->event;
	int r = sd_event_add_child(event, &job->child, job->pid, WEXITED, on_exit_child, job);

	if (r >= 0)
		r = sd_event_add_io(event, &job->io, job->out, EPOLLIN, on_output, job);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &job->timer, CLOCK_BOOTTIME, job->limit_ms * 1000, 100000, on_timeout, job);
	return r < 0 ? r : 0;
}

static int begin(struct job *job)
{
	const char *argv[] = { job->jobs->program, NULL };
	struct child child = { .program = argv[0], .argv = argv, .err = CHILD_SHARED };
	_cleanup_close_ int in = -1, out = -1;
	int pair[2], r;

	in = child_input("maestro-git-job", job->message.data, job->message.len);
	if (in < 0)
		return in;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	job->out = pair[0];
	out = pair[1];
	child.in = in;
	child.out = out;
	r = io_set_nonblock(job->out, true);
	if (!r)
		r = child_spawn(&child, &job->pid);
	if (!r)
		r = watch(job);
	if (r) {
		child_end(job->pid);
		job->pid = 0;
	}
	return r;
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
			job_end(job, "maestro-git cannot be started on this worker");
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
	while ((job = list_first(&jobs->active, struct job, link))) {
		child_end(job->pid);
		job_free(job);
	}
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
		.userdata = userdata, .out = -1, .in = BUF_LIMIT(ANSWER_MAX_BYTES + 65536) };
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
	job->why = "it was cancelled";
	if (job->pid > 0)
		child_kill(job->pid);
	else
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
