/* What the files of worker/core share with one another. */
#pragma once

#include <uthash.h>
#include "worker/core/attempts.h"

struct seen {
	uint64_t task; /* key */
	uint32_t attempt;
	UT_hash_handle hh;
};

struct report {
	struct list link;
	Maestro__AttemptReport *message; /* owned */
};

struct attempts {
	struct list list; /* struct attempt, oldest first */
	struct list reports; /* struct report, by number */
	struct seen *seen;
	uint64_t incarnation, epoch, next_report;
	char boot_id[33];
	bool ready; /* the coordinator is there and has decided */
};

/* One call of attempts_handle. */
struct turn {
	struct attempts *core;
	const struct moment *now;
	struct effects *effects;
};

#define RECORD(kind, message)                                                                                    \
	(Maestro__JournalRecord)                                                                                 \
	{                                                                                                        \
		PROTOBUF_C_MESSAGE_INIT(&maestro__journal_record__descriptor),                                   \
			.body_case = MAESTRO__JOURNAL_RECORD__BODY_##kind, .message                               \
	}

/* --- apply.c: journalled state --- */
int apply_record(struct attempts *core, const Maestro__JournalRecord *record);
/* Applies it now and hands it out to be written. Fills in ids and time. */
void turn_put(struct turn *turn, const struct attempt *attempt, Maestro__JournalRecord record);
struct attempt *core_find(struct attempts *core, uint64_t task, uint32_t attempt);
void attempt_free(struct attempt *attempt);
/* Replaces a string that the struct owns. */
int replace_string(char **string, const char *value);

/* --- steps.c: what several handlers do --- */
struct effect *turn_effect(struct turn *turn, enum effect_kind kind, const struct attempt *attempt);
void turn_work(struct turn *turn, struct attempt *attempt, enum work work);
void turn_ending(struct turn *turn, struct attempt *attempt, Maestro__JournalEnding ending);
/* With a reason, when it has none yet. */
void turn_fail(struct turn *turn, struct attempt *attempt, const char *format, ...) __attribute__((format(printf, 3, 4)));
void turn_report(struct turn *turn, const struct attempt *attempt, Maestro__AttemptPhase phase, const char *reason);
/* Reports a push, then notes it: torn apart, it is pushed and told once more. */
void turn_pushed(struct turn *turn, const struct attempt *attempt, Maestro__JournalPushed *pushed);
/* The last word: OVER. */
void turn_finish(struct turn *turn, struct attempt *attempt);
/* What was asked to go is gone, perhaps with its worktree: then the attempt is freed. */
void turn_released(struct turn *turn, struct attempt *attempt, bool removed);
void turn_reply(struct turn *turn, const struct attempt *attempt, uint64_t request, const char *why, const char *hint);
/* Does whatever comes next, if nothing is under way. The attempt may be gone after it. */
void turn_advance(struct turn *turn, struct attempt *attempt);

/* --- handlers: start.c, session.c, publish.c, coordinator.c --- */
typedef void (*handler_fn)(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_start(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_stop(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_publish(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_release(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_verdict(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_ack(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_granted(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_grant_refused(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_ready(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_disconnected(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_holder_started(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_holder_refused(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_holder_ended(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_activity(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_status(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_git_done(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_found(struct turn *turn, struct attempt *attempt, const struct event *event);
void attempt_handle_tick(struct turn *turn, struct attempt *attempt, const struct event *event);
/* Sends the push request of an attempt that waits for its grant. */
void turn_ask(struct turn *turn, struct attempt *attempt);
/* When this attempt wants a TICK, UINT64_MAX: never. */
uint64_t attempt_deadline_ms(const struct attempt *attempt);
