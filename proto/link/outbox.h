/* One channel's queue of messages to be sent, and the putting together of received parts. Pure; private to proto/link.
 *
 * A message whose frame would pass LIMIT_PART_BYTES is cut when its turn comes, so that more urgent frames go between
 * its parts. Conditions: LINK_E_FULL. */
#pragma once

#include "proto/base/buf.h"
#include "proto/base/list.h"
#include "proto/link/link.h"

/* A message as it is on the wire, shared by all queues that it waits in. */
struct link_packed {
	unsigned int refs;
	bool exempt;
	struct buf data;
};

struct link_outbox {
	struct list messages;
	size_t queued_bytes, cap_bytes;
	uint32_t cut_count; /* messages that were cut so far */
	bool was_full;      /* somebody was told so and waits for room */
};

void link_outbox_init(struct link_outbox *outbox, size_t cap_bytes);
void link_outbox_deinit(struct link_outbox *outbox);
/* A message longer than the cap is taken when the queue is empty. LINK_E_FULL, -EMSGSIZE, -ENOMEM. */
int link_outbox_add(struct link_outbox *outbox, const Maestro__Envelope *envelope);
/* The same with one that is packed already; takes a reference. */
int link_outbox_add_packed(struct link_outbox *outbox, struct link_packed *packed);
/* Payload of the next frame in bytes and whether credit is not asked of it. False: nothing waits. */
bool link_outbox_peek(const struct link_outbox *outbox, uint32_t *ret_payload_bytes, bool *ret_exempt);
/* Appends the next frame and takes it off. -ENOMEM: nothing changed. */
int link_outbox_next(struct link_outbox *outbox, enum channel channel, struct buf *out);

/* Frames that are neither counted nor held back: keys, and what keeps the link itself going. */
bool link_body_exempt(Maestro__Envelope__BodyCase body_case);

struct link_parts {
	struct buf data;
	uint32_t message, next_index;
	bool open;
};
#define LINK_PARTS_NULL ((struct link_parts){ .data = BUF_LIMIT(LIMIT_MESSAGE_BYTES) })
/* Adds one. *ret_whole: `data` is the packed message now; buf_deinit it after use. -EPROTO, -EMSGSIZE, -ENOMEM. */
int link_parts_add(struct link_parts *parts, const Maestro__Part *part, bool *ret_whole);
