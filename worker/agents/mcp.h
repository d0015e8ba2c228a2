/* The Model Context Protocol, server side: one JSON message in, at most one out. Pure but for the report it makes.
 *
 * Two eras of the protocol are told apart by each request: one that names its version in params._meta is answered as
 * 2026-07-28 wants it (stateless), everything else as 2025-11-25 and before (initialize first).
 *
 * One tool: report_status {state, message, file, progress, until}. Values that are wrong are a result with isError and a
 * sentence that says what is right, so that a model can do better; wrong messages are JSON-RPC errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/schema/types.pb-c.h"

#define MCP_LINE_BYTES_MAX (1024u * 1024)

struct mcp_report {
	Maestro__AgentState state;
	const char *message, *file; /* NULL: none */
	bool has_progress;
	uint32_t progress;          /* 0 to 100 */
	uint64_t limited_ms;        /* for so long; 0: not said */
};

struct mcp {
	/* Passes a checked report on. Not 0: the sentence goes back to the model. */
	int (*report)(void *userdata, const struct mcp_report *report, struct error *error);
	void *userdata;
	bool initialized; /* the older era's handshake was made; false at the beginning */
};

/* Reads a time into the report: how long the account is limited. -EINVAL with a sentence. */
int mcp_take_until(const char *text, struct mcp_report *report, struct error *error);
/* Appends the answer (one object, no newline), or nothing for a notification. -ENOMEM, and the buffer's -EMSGSIZE. */
int mcp_handle(struct mcp *mcp, const char *json, size_t len, struct buf *out);
