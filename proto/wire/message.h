/* Bytes to checked protobuf-c messages and back, for every schema (envelopes, holder, git helper, agent).
 *
 * Unpacking may take LIMIT_UNPACK_FACTOR times the message's bytes, and LIMIT_UNPACK_BYTES, so a hostile one costs
 * a bounded amount and none of ours is refused; the message and all in it are freed at once. Everything unpacked has been checked by its
 * descriptor: strings are UTF-8 without control characters, enums are known, repeated fields are at most
 * LIMIT_REPEATED long, booleans are 0 or 1, oneofs that must not be empty are the receiver's to check
 * (body case 0 = a body we do not know).
 *
 * Conditions: MESSAGE_E_BROKEN (no such message, or a check failed; *error says which field). */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"

enum {
	MESSAGE_E_BROKEN = 1,
};

/* An unpacked message and the memory it lives in. */
struct message {
	ProtobufCMessage *base; /* cast to the schema's type */
	struct message_block *blocks;
};

#define MESSAGE_NULL ((struct message){ NULL, NULL })

int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len,
	struct message *ret_message, struct error *error);
void message_deinit(struct message *message);
/* Appends the packed bytes. -EMSGSIZE if the buffer's limit would be passed. */
int message_pack(const void *message, struct buf *out);
/* Appends u32 length and the packed bytes: the framing of the local stream protocols. */
int message_pack_framed(const void *message, struct buf *out);
/* Takes one u32-framed message off the front of `in`. 0 and ret_message->base NULL: more bytes are needed.
 * MESSAGE_E_BROKEN also for a length above limit_bytes. */
int message_take_framed(struct buf *in, const ProtobufCMessageDescriptor *descriptor, size_t limit_bytes,
	struct message *ret_message, struct error *error);
/* A deep copy. Free with protobuf_c_message_free_unpacked(copy, NULL). NULL when out of memory. */
void *message_copy(const void *message);

/* ProtobufCBinaryData of a C string (borrowed), and a C string of it (caller frees). */
static inline ProtobufCBinaryData bytes_of(const char *text)
{
	return (ProtobufCBinaryData){ .len = text ? __builtin_strlen(text) : 0, .data = (uint8_t *)(uintptr_t)text };
}
char *bytes_dup(const ProtobufCBinaryData *data);
