/* Copy mode: the lines above a session's screen and the screen itself, to look through, search, and copy from. They
 * are a picture of the moment at which they were asked for. Knows no terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/wire/emulator.h"

#define COPY_SEARCH_BYTES_MAX 63u

enum copy_result {
	COPY_STAYS,
	COPY_LEAVES,
	COPY_TAKES, /* copy_text has what was selected; then it leaves */
};

struct copy {
	struct emulator *view;
	struct screen shown;      /* the view, with what is selected and found marked */
	struct buf data, lines;   /* with SGR; size_t where each line begins */
	size_t top, cursor, anchor; /* lines */
	bool selecting, typing;
	unsigned int cols, rows;  /* of the lines shown */
	char search[COPY_SEARCH_BYTES_MAX + 1];
	char notice[48];
	uint8_t escape;
};

/* Takes the lines as a worker sends them (text, SGR, marks of prompts, newlines); anything else in them does nothing. -ENOMEM. */
int copy_init(struct copy *copy, const void *data, size_t len, unsigned int cols, unsigned int rows);
void copy_deinit(struct copy *copy);
int copy_resize(struct copy *copy, unsigned int cols, unsigned int rows);
enum copy_result copy_key(struct copy *copy, uint8_t key);
/* An Escape alone and the beginning of an arrow look the same: call when no more keys are there. */
enum copy_result copy_keys_end(struct copy *copy);
/* Borrowed until the next call. NULL: out of memory. */
const struct screen *copy_screen(struct copy *copy);
/* One line of ASCII about where one is. */
void copy_status(const struct copy *copy, char *out, size_t size);
/* The lines that are selected, as plain text. */
int copy_text(const struct copy *copy, struct buf *out);
