/* What was typed into a session until its holder is known to have it, so that keys which were under way when a worker or a
 * connection died are sent again, once. Pure.
 *
 * The bytes of a stream are numbered from 0 under a random name, its source; the holder counts what it has taken of
 * each. On every new connection nothing is sent before that count is known. What the far side cannot count (an older
 * worker or holder) is sent once, as it is, and not kept. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"

#define TYPED_BYTES_MAX (1024u * 1024)
#define TYPED_ASK_BYTES (16u * 1024)
#define TYPED_WAIT_MS 30000u /* typed longer ago it might mean something else by then */

enum typed_counts {
	TYPED_UNKNOWN,
	TYPED_COUNTED,
	TYPED_UNCOUNTED,
};

struct typed {
	uint64_t source;
	uint64_t taken;   /* by the holder, as far as is known */
	struct buf bytes; /* from there on */
	uint64_t asked;   /* up to here the holder was asked what it has taken */
	enum typed_counts counts;
	bool waits;       /* nothing is sent before it is known what was taken */
	bool counted;     /* it ever was */
	uint64_t lost_ms; /* since when nobody can take keys, 0: somebody can */
	uint64_t lost_end; /* what was sent before that */
};

void typed_init(struct typed *typed);
void typed_deinit(struct typed *typed);
/* Where the next byte stands. */
uint64_t typed_end(const struct typed *typed);
/* -ENOBUFS: the far side has not taken 1 MiB. */
int typed_add(struct typed *typed, const void *data, size_t len);
/* It could not be sent after all. */
void typed_take_back(struct typed *typed, size_t len);
/* Whether the holder is to be asked with what is sent now; it is then, once for many bytes. */
bool typed_asks(struct typed *typed);

/* The connection or the worker is gone. */
void typed_lost(struct typed *typed, uint64_t now_ms);
/* Whether what is typed now is kept for when somebody can take it. */
bool typed_keeps(const struct typed *typed, uint64_t now_ms);
/* What was typed since then. */
size_t typed_waiting(const struct typed *typed);
/* A stream is opened (again). */
void typed_opened(struct typed *typed);
/* What the far side says of it. Return how many bytes are given up by that: they are not sent (again). */
size_t typed_told_counts(struct typed *typed, bool counts);
/* *ret_send: what is in `bytes` is to be sent now, all of it. */
size_t typed_told_taken(struct typed *typed, uint64_t taken, bool gap, uint64_t now_ms, bool *ret_send);
/* A new name and nothing kept: what is under way is the far side's to take or drop. */
size_t typed_restart(struct typed *typed);
