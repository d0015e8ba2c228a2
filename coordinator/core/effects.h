/* What the core wants done, in order. Rows first and committed, then the rest.
 *
 * A list is used again and again: core_effects_clear between events. Errors are kept in the list (`error`), so that
 * the rules of the core read as rules; core_handle returns it at the end. */
#pragma once

#include <stdint.h>
#include "coordinator/core/rows.h"
#include "proto/schema/envelope.pb-c.h"

enum core_effect_type {
	CORE_EFFECT_PUT,             /* table, row: insert or replace */
	CORE_EFFECT_DROP,            /* table, row: delete by its key */
	CORE_EFFECT_SEND,            /* worker, envelope */
	CORE_EFFECT_ASK,             /* worker, envelope, task, attempt: send, and bring the answer as CORE_EVENT_ANSWERED */
	CORE_EFFECT_REPLY,           /* client, request, envelope */
	CORE_EFFECT_CHANGED_TASK,    /* task: watchers want its new look (or that it is gone) */
	CORE_EFFECT_CHANGED_WORKER,  /* name */
	CORE_EFFECT_CHANGED_PROJECT, /* name */
	CORE_EFFECT_CHANGED_QUESTION, /* task: the question's id */
	CORE_EFFECT_LOAD,            /* name: of a worker whose load moved; watchers may learn it a little later */
	CORE_EFFECT_STATUS,          /* task, attempt: an agent's status, to be forwarded at once; rests on no row */
	CORE_EFFECT_DISCONNECT,      /* worker, name: why */
};

struct core_effect {
	enum core_effect_type type;
	enum row_table table;
	const void *row;
	bool row_owned; /* the list frees it */
	char *worker, *name;
	uint64_t client, request;
	uint64_t task;
	uint32_t attempt;
	Maestro__Envelope *envelope;
};

struct core_effects {
	struct core_effect *items;
	size_t count, size;
	int error;
};

#define CORE_EFFECTS_NULL ((struct core_effects){ NULL, 0, 0, 0 })

void core_effects_clear(struct core_effects *effects);
void core_effects_deinit(struct core_effects *effects);

void effect_put(struct core_effects *effects, enum row_table table, const void *row);
/* The list takes the row over. */
void effect_put_owned(struct core_effects *effects, enum row_table table, void *row);
void effect_drop(struct core_effects *effects, enum row_table table, const void *row);
void effect_drop_owned(struct core_effects *effects, enum row_table table, void *row);
/* The envelope is copied. */
void effect_send(struct core_effects *effects, const char *worker, const Maestro__Envelope *envelope);
void effect_ask(struct core_effects *effects, const char *worker, uint64_t task, uint32_t attempt,
	const Maestro__Envelope *envelope);
void effect_reply(struct core_effects *effects, uint64_t client, uint64_t request, const Maestro__Envelope *envelope);
void effect_changed_task(struct core_effects *effects, uint64_t task);
void effect_changed_question(struct core_effects *effects, uint64_t question);
void effect_changed_worker(struct core_effects *effects, const char *name);
void effect_changed_project(struct core_effects *effects, const char *name);
void effect_load(struct core_effects *effects, const char *worker);
void effect_status(struct core_effects *effects, uint64_t task, uint32_t attempt);
void effect_disconnect(struct core_effects *effects, const char *worker, const char *why);
