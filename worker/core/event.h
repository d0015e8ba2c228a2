/* What happens to attempts: the inputs of the core. Everything in an event is borrowed for the call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/schema/worker.pb-c.h"

/* CLOCK_BOOTTIME decides, the wall clock is written into reports for people. */
struct moment {
	uint64_t boot_ms;
	int64_t wall_ms;
};

/* What a git job of an attempt is for. One is under way at a time. */
enum work {
	WORK_NONE,
	WORK_PREPARE,
	WORK_COMMIT,
	WORK_ASK, /* no job: the coordinator was asked for a push grant */
	WORK_PUSH,
	WORK_CHECKPOINT,
	WORK_REMOVE,
	WORK_COUNT,
};

/* What was found of an attempt's session when the worker started. */
enum found {
	FOUND_TOMBSTONE, /* never started: ours now lies where its state file would be */
	FOUND_ALIVE,     /* its holder runs; HOLDER_STARTED or HOLDER_ENDED follows */
	FOUND_DEAD,      /* a holder was there in this boot and is not any more */
	FOUND_REBOOT,    /* it ran before this boot of the machine */
};

enum event_kind {
	/* from the coordinator */
	EVENT_START,
	EVENT_STOP,
	EVENT_PUBLISH,
	EVENT_RELEASE,
	EVENT_VERDICT,
	EVENT_ACK,
	EVENT_GRANTED,
	EVENT_GRANT_REFUSED,
	EVENT_READY,        /* verdicts are applied: reports may go */
	EVENT_DISCONNECTED,
	/* from this host */
	EVENT_HOLDER_STARTED,
	EVENT_HOLDER_REFUSED, /* could not be started */
	EVENT_HOLDER_ENDED,   /* the program's exit, or the holder's death */
	EVENT_ACTIVITY,       /* output, input or a hook */
	EVENT_STATUS,
	EVENT_GIT_DONE,
	EVENT_FOUND,
	EVENT_TICK,
	EVENT_COUNT,
};

struct event {
	enum event_kind kind;
	uint64_t task;
	uint32_t attempt;
	uint64_t request; /* STOP, PUBLISH, RELEASE: to be answered; 0: no answer is wanted */
	union {
		struct {
			const Maestro__Start *message;
			const char *refusal; /* it cannot run on this worker: why */
			bool retryable;      /* but perhaps on another */
		} start;
		struct {
			uint64_t grace_ms; /* 0: the default */
		} stop;
		struct {
			bool remove_worktree;
			bool force;
		} release;
		struct {
			Maestro__Verdict verdict;
			const uint8_t *run_id; /* 16 bytes */
		} verdict;
		struct {
			uint64_t number;
		} ack;
		struct {
			uint32_t lease_ms;
			const char *last_pushed; /* NULL: never */
			const char *suffix;      /* where the name is taken; NULL: none */
		} granted;
		struct {
			const char *why;
			bool later; /* not now; ask again */
		} grant_refused;
		struct {
			bool has_code;
			int32_t code, signal;
			const char *reason; /* NULL, or why there is no exit to tell */
		} ended;
		struct {
			const char *why;
			bool retryable;
		} refused;
		struct {
			const Maestro__AgentStatus *status;
		} status;
		struct {
			enum work work;
			const Maestro__GitResult *result;
			bool expired; /* the push was not begun: its grant ran out */
		} git;
		struct {
			enum found found;
		} found;
	};
};
