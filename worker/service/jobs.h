/* Runs maestro-git, one process a job, a bounded number at a time. The job goes in on descriptor 0, progress and the
 * result come back on descriptor 1. A job that takes too long, or is cancelled, is killed with all it started. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/base/log.h"
#include "proto/schema/git.pb-c.h"

struct jobs;
struct job;

/* Exactly once, never from within job_start; always a result, made up if the process did not give one. Borrowed. */
typedef void (*job_done_fn)(void *userdata, const Maestro__GitResult *result);

int jobs_new(struct jobs **ret_jobs, sd_event *event, struct log *log, const char *program, unsigned int at_a_time);
/* Kills what runs, without callbacks. */
void jobs_free(struct jobs *jobs);
DEFINE_CLEANUP(struct jobs *, jobs_free)

/* The message is copied. `not_after_ms` (CLOCK_BOOTTIME, 0: none): if it cannot begin by then, it never does, and
 * job_expired is true in the callback. ret_job (may be NULL) is valid until `done` is called. */
int job_start(struct jobs *jobs, const Maestro__GitJob *message, uint64_t limit_ms, uint64_t not_after_ms,
	job_done_fn done, void *userdata, struct job **ret_job);
bool job_expired(const struct job *job);
/* `done` follows, with a failure. */
void job_cancel(struct job *job);
/* As job_cancel, but nobody is told. */
void job_abandon(struct job *job);
