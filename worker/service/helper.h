/* Runs a program of ours once: a message goes in on descriptor 0, messages come back on descriptor 1, the last one is its
 * answer. What takes too long, or is not wanted any more, is killed with all that it started. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/buf.h"

struct helper;

/* Exactly once, never from within helper_start; the helper is gone after it. answer NULL: it gave none, and why.
 * Both are borrowed. */
typedef void (*helper_done_fn)(void *userdata, const ProtobufCMessage *answer, const char *why);

/* `message` is framed and copied. */
int helper_start(struct helper **ret_helper, sd_event *event, const char *program, const struct buf *message,
	const ProtobufCMessageDescriptor *answer, uint64_t limit_ms, helper_done_fn done, void *userdata);
/* `done` follows, without an answer. `why` outlives it. */
void helper_kill(struct helper *helper, const char *why);
/* Kills it, and nobody is told. */
void helper_free(struct helper *helper);
