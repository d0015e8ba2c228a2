/* The one place where what was decided becomes durable and is then said.
 *
 * Events of one turn of the loop are gathered into one transaction; when nothing else is pending (or enough has been
 * gathered) it is committed, and only then are messages sent and answers given. If a write fails, the transaction is
 * rolled back, whoever waits for an answer of it is told so, and the core is made anew from what is stored: nothing
 * that was not saved was ever said. Until writing works again (looked for every few seconds) all events are refused:
 * people are told, and workers keep what they have to tell until they come anew. */
#pragma once

#include <systemd/sd-event.h>
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "proto/base/log.h"

struct executor;

struct executor_ops {
	/* After the commit, in order: SEND, ASK, REPLY, CHANGED_…, LOAD, DISCONNECT; STATUS comes at once. */
	void (*deliver)(const struct core_effect *effect, void *userdata);
	/* Everything of this turn was delivered. */
	void (*settled)(void *userdata);
	/* The database cannot be written: the core is new and knows of no worker that is connected. */
	void (*failed)(const char *why, void *userdata);
	/* It can again: the core is new once more, and workers may come. */
	void (*recovered)(void *userdata);
};

int executor_new(struct executor **ret_executor, sd_event *event, struct log *log, struct store *store,
	const struct core_config *config, const struct executor_ops *ops, void *userdata, struct error *error);
void executor_free(struct executor *executor);
DEFINE_CLEANUP(struct executor *, executor_free)

/* Stamps the event with the time and handles it. */
void executor_handle(struct executor *executor, struct core_event *event);
/* Commits and delivers now. */
void executor_flush(struct executor *executor);
struct core *executor_core(struct executor *executor);
/* An empty prompt of a message that was unpacked or copied becomes the task's, from the store. -ENODATA, -EBADMSG, … */
int executor_fill_prompt(struct executor *executor, uint64_t task, ProtobufCBinaryData *prompt);
/* NULL, or why nothing can be written at the moment. */
const char *executor_trouble(const struct executor *executor);
