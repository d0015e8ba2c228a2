/* What a session printed and when: the packed form in which a transcript travels (ReadKind READ_TIMED).
 *
 * A piece begins with the wall clock as a varint of milliseconds since 1970. Then come items, one after another:
 *
 *   u8 kind, varint milliseconds since the item before (the first: since the piece's clock), varint length, bytes
 *
 * Kinds: 'o' output, 'r' resize (two varints: columns, rows), 'm' mark (its text), 'g' gap (a varint: how many bytes
 * of output are not there; 0: not known, the transcript is damaged here), 'k' keyframe (two varints: columns, rows;
 * then a stream that brings a new terminal of that size to the state here). Varints are LEB128. A clock that was set
 * back counts as no time passed.
 *
 * Pieces are cut between items and each has its own clock, so a piece can be read without those before it.
 *
 * Conditions: TIMELINE_E_END, TIMELINE_E_INVALID. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"

struct buf;

enum {
	TIMELINE_E_END = 1, /* no more items */
	TIMELINE_E_INVALID, /* malformed: nothing after this can be read */
};

enum timeline_kind {
	TIMELINE_OUTPUT = 'o',
	TIMELINE_RESIZE = 'r',
	TIMELINE_MARK = 'm',
	TIMELINE_GAP = 'g',
	TIMELINE_KEYFRAME = 'k', /* only where a reader asked for one */
};

struct timeline_item {
	enum timeline_kind kind;
	int64_t wall_ms;
	const void *data; /* output, a mark's text, a keyframe's stream; borrowed */
	size_t len;
	unsigned int cols, rows;
	uint64_t lost_bytes;
};

struct timeline_writer {
	struct buf *out; /* borrowed */
	int64_t wall_ms;
	size_t count;
};

#define TIMELINE_WRITER(buffer) ((struct timeline_writer){ .out = (buffer) })

/* -ENOMEM, -EMSGSIZE (of the buffer): nothing was appended. */
int timeline_put(struct timeline_writer *writer, const struct timeline_item *item);

struct timeline_reader {
	const uint8_t *data;
	size_t len, at;
	int64_t wall_ms;
};

#define TIMELINE_READER(bytes, length) ((struct timeline_reader){ .data = (bytes), .len = (length) })

/* TIMELINE_E_END, TIMELINE_E_INVALID. The item borrows from the piece. Sizes are at least 1 and below 65536. */
int timeline_next(struct timeline_reader *reader, struct timeline_item *ret_item);
