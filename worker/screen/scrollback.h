/* Lines above the screen, packed: a run of one style takes four bytes, and one for each cell if it is ASCII, two if it is
 * other letters or boxes. Bounded by bytes; the oldest go first, a chunk at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/wire/screen.h"

struct scrollback_chunk;

struct scrollback {
	struct scrollback_chunk **chunks; /* oldest first */
	size_t chunk_count, chunk_size; /* in use, and allocated pointers */
	size_t limit_bytes, bytes;
	uint64_t first; /* number of the oldest line */
	size_t count;
};

/* limit 0: keeps nothing. Otherwise at least one chunk (16 KiB) is used. */
void scrollback_init(struct scrollback *scrollback, size_t limit_bytes);
void scrollback_deinit(struct scrollback *scrollback);
void scrollback_set_limit(struct scrollback *scrollback, size_t limit_bytes);
void scrollback_clear(struct scrollback *scrollback);
/* Appends a line; drops the oldest when the limit is reached. -ENOMEM: the line is lost. */
int scrollback_push(struct scrollback *scrollback, const struct screen_cell *cells, unsigned int count, bool wrapped,
	struct screen_mark mark);
/* Copies up to `size` cells; returns how many the line has. line is counted from 0, the oldest. */
unsigned int scrollback_read(const struct scrollback *scrollback, size_t line, struct screen_cell *cells, size_t size,
	bool *ret_wrapped);
struct screen_mark scrollback_prompt(const struct scrollback *scrollback, size_t line);
/* Takes the newest `lines` away again. */
void scrollback_truncate(struct scrollback *scrollback, size_t lines);
/* Drops the oldest half. */
void scrollback_halve(struct scrollback *scrollback);
/* Marks the styles and clusters in use. */
void scrollback_mark(const struct scrollback *scrollback, struct screen_marks *marks);
