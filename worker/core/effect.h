/* What the core wants done: its outputs, in order. The executor makes all JOURNAL records of a batch durable before
 * it does anything else of that batch. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/list.h"
#include "proto/schema/journal.pb-c.h"
#include "worker/core/event.h"

enum effect_kind {
	EFFECT_JOURNAL,
	EFFECT_GIT,        /* run the job `work` of the attempt; GIT_DONE follows */
	EFFECT_GIT_CANCEL, /* end the attempt's job; its GIT_DONE still comes */
	EFFECT_SPAWN,      /* HOLDER_STARTED or HOLDER_REFUSED follows */
	EFFECT_KILL,
	EFFECT_FORGET,     /* the exit is journalled: the holder may go */
	EFFECT_REPORT,     /* attempts_report(number) */
	EFFECT_ASK,        /* PUSH_REQUEST; GRANTED or GRANT_REFUSED follows */
	EFFECT_STATUS,     /* the attempt's newest status */
	EFFECT_REPLY,      /* to `request` */
	EFFECT_CLEAN,      /* of the session only its output stays, for a while */
};

struct effect {
	struct list link;
	enum effect_kind kind;
	uint64_t task;
	uint32_t attempt;
	Maestro__JournalRecord *record; /* JOURNAL; owned */
	enum work work;                 /* GIT */
	uint64_t not_after_ms;          /* GIT with WORK_PUSH: may not begin later */
	uint64_t grace_ms;              /* KILL; 0: the holder's default */
	uint64_t number;                /* REPORT */
	uint64_t request;               /* REPLY */
	bool ok;                        /* REPLY */
	char *why, *hint;               /* REPLY; owned */
};

/* A list of effects; owns them. */
struct effects {
	struct list list;
	bool failed; /* memory ran out: the batch is incomplete and must not be executed */
};

void effects_init(struct effects *effects);
void effects_deinit(struct effects *effects);
/* NULL (and `failed`) when out of memory. */
struct effect *effects_add(struct effects *effects, enum effect_kind kind, uint64_t task, uint32_t attempt);
/* Copies the record. */
void effects_add_record(struct effects *effects, const Maestro__JournalRecord *record);
/* Takes all of `from` behind what `to` has. */
void effects_move(struct effects *to, struct effects *from);
void effect_free(struct effect *effect);
