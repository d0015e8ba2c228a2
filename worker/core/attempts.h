/* The attempts of a worker: what happened to them, and what is to be done next. Pure: events in, effects out.
 *
 * Everything that must survive a crash is a JournalRecord. The core changes its journalled state only by applying a
 * record that it also hands out as an effect, so replaying the journal gives the same state. What is not in a record
 * (a job under way, a holder that was asked to go) is found out again after a restart: jobs can be repeated.
 *
 *   PREPARING --worktree--> STARTING --holder--> RUNNING --exit, commit, push--> OVER --Release--> gone
 *
 * A Start with push_of runs nothing: this attempt takes over the worktree of an earlier one, which failed at its push and
 * stays as it ended, and goes on where that one would have: RUNNING with an exit that went well, commit, push. From then
 * on the worktree goes with the newest attempt that has it.
 *
 * While RUNNING the session may be live or have exited; commits may have been pushed (the task is in review) either
 * way. One piece of work (enum work) is under way at a time for each attempt; whatever else is wanted waits for it.
 *
 * Conditions: ATTEMPTS_E_EPOCH. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/list.h"
#include "worker/core/effect.h"
#include "worker/core/event.h"

enum {
	ATTEMPTS_E_EPOCH = 1, /* the coordinator's epoch is lower than one that was seen: it was restored from a backup */
};

#define ATTEMPT_RUN_ID_BYTES 16u
#define ATTEMPT_ASK_AGAIN_MS 30000u /* a push request without an answer is repeated */

enum attempt_state {
	ATTEMPT_PREPARING, /* INTENT is written; the worktree is being made */
	ATTEMPT_STARTING,  /* the worktree is there, there may be a holder */
	ATTEMPT_RUNNING,   /* the program was started; it runs, or its end is being dealt with */
	ATTEMPT_OVER,      /* the last word was said; kept until it is released */
};

struct attempt {
	struct list link;
	uint64_t task;
	uint32_t attempt;
	uint8_t run_id[ATTEMPT_RUN_ID_BYTES];
	Maestro__Start *start; /* owned */

	/* from the journal */
	enum attempt_state state;
	Maestro__AttemptPhase phase; /* what the coordinator is told */
	char *base_commit, *head;
	char *pushed_commit, *pushed_branch; /* NULL: nothing was pushed */
	uint32_t ahead;
	uint64_t started_ms; /* CLOCK_BOOTTIME of boot_id */
	char boot_id[33];
	bool stop, stale, checkpointed;
	char *reason; /* why it failed */
	bool exited, has_code;
	int32_t code, signal;
	char *exit_reason;
	char *last_pushed; /* by the coordinator's book, from the last grant */
	bool released;
	bool removing; /* its worktree was begun to be removed: there may be half of one */

	/* of this process */
	enum work work;
	bool work_final;    /* it began after the exit: nothing can be left behind it */
	bool killed, publish, quarantined, lost, retryable;
	bool settled;       /* it ended well, and what there was to push is pushed */
	char *suffix;       /* of the last grant */
	char *tip;          /* to be pushed */
	char *left_out;     /* of the last commit, and why; NULL: nothing. After a restart the commit is tried again */
	uint64_t asked_ms, lease_until_ms, activity_ms, grace_ms;
	struct {
		bool wanted, remove_worktree, force;
		uint64_t request;
	} release;
};

struct attempts;

int attempts_new(struct attempts **ret_attempts);
void attempts_free(struct attempts *attempts);
DEFINE_CLEANUP(struct attempts *, attempts_free)

/* --- the journal ------------------------------------------------------------------------------------------------ */

/* Applies one record of the journal, at start. -ENOMEM. A record about an attempt that is not known is ignored. */
int attempts_replay(struct attempts *attempts, const Maestro__JournalRecord *record);
/* Appends framed records that, replayed, give the present state. */
int attempts_snapshot(const struct attempts *attempts, struct buf *out);
/* After the last record: this is a new process of the worker, and what was under way is taken up again. `damaged`:
 * records were lost, so numbers go on well above the last one seen. Then tell FOUND of each attempt that
 * attempt_needs_look. */
void attempts_open(struct attempts *attempts, const char *boot_id, bool damaged, const struct moment *now,
	struct effects *effects);
/* Whether nothing but its session's directory can tell what became of it. */
bool attempt_needs_look(const struct attempt *attempt);

/* --- at work ---------------------------------------------------------------------------------------------------- */

/* Never fails but by effects->failed (out of memory: the process must end, and recover). */
void attempts_handle(struct attempts *attempts, const struct event *event, const struct moment *now,
	struct effects *effects);
/* CLOCK_BOOTTIME of the next TICK that is needed, UINT64_MAX: none. */
uint64_t attempts_deadline_ms(const struct attempts *attempts);
/* A coordinator said its epoch. ATTEMPTS_E_EPOCH unless `force`. */
int attempts_take_epoch(struct attempts *attempts, uint64_t epoch, bool force, struct effects *effects);

/* --- looking ---------------------------------------------------------------------------------------------------- */

uint64_t attempts_incarnation(const struct attempts *attempts);
uint64_t attempts_epoch(const struct attempts *attempts);
/* NULL if it is not known (any more). */
const struct attempt *attempts_find(const struct attempts *attempts, uint64_t task, uint32_t attempt);
/* The newest attempt of a task, NULL if there is none. */
const struct attempt *attempts_newest(const struct attempts *attempts, uint64_t task);
/* All of them: the first with NULL, then the one after `previous`; NULL at the end. */
const struct attempt *attempts_next(const struct attempts *attempts, const struct attempt *previous);
/* An unacknowledged report, NULL if it was acknowledged. */
const Maestro__AttemptReport *attempts_report(const struct attempts *attempts, uint64_t number);
/* Highest attempt ever seen of a task, 0: none. */
uint32_t attempts_seen(const struct attempts *attempts, uint64_t task);
/* The program runs, as far as is known. */
bool attempt_live(const struct attempt *attempt);
/* The number of the attempt that its worktree was made for. */
uint32_t attempt_worktree(const struct attempt *attempt);
/* Whether an inventory names it. */
bool attempt_in_inventory(const struct attempt *attempt);
