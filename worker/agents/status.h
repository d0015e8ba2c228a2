/* One status out of several sources: what the agent said over MCP or `maestro-agent status`, its hooks, its screen,
 * its process. Pure.
 *
 * The rule: the newest report counts, but a weaker source (mcp > hook > screen > process) does not speak over a
 * stronger one until that one's word is older than STATUS_HOLD_MS; and the process alone (output came, output
 * stopped) never takes back a complete, needs_input, error or limited that the agent or its hooks reported. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/schema/types.pb-c.h"

#define STATUS_HOLD_MS 3000u
#define STATUS_NO_PROGRESS UINT32_MAX

struct status_report {
	Maestro__AgentState state;
	Maestro__StatusSource source;
	char *message, *file; /* NULL: none */
	uint32_t progress;    /* percent, or STATUS_NO_PROGRESS */
	uint64_t limited_ms;  /* for so long from time_ms; 0: not known */
	uint64_t time_ms;     /* CLOCK_BOOTTIME */
};

struct status {
	bool known;
	struct status_report current;
};

void status_init(struct status *status);
void status_deinit(struct status *status);
/* Takes a report (copied). *ret_changed (may be NULL): whether what is shown changed, time apart. -ENOMEM. */
int status_take(struct status *status, const struct status_report *report, bool *ret_changed);
/* The same from a message of the wire; time_ms is now less its age. */
int status_take_message(struct status *status, const Maestro__AgentStatus *message, uint64_t now_ms, bool *ret_changed);
/* Fills a message for the wire, age counted to now. Its bytes are borrowed from `status`. False: nothing is known. */
bool status_message(const struct status *status, uint64_t now_ms, Maestro__AgentStatus *ret_message);
