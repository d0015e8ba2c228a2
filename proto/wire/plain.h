/* A terminal's output as plain text: escape sequences and controls are taken out, broken UTF-8 becomes U+FFFD.
 *
 * So what a session printed can be shown on a person's terminal without acting on it, and searched. Works on a stream:
 * the state is kept between pieces. No screen is kept: text comes in the order in which it was printed. Programs that
 * place their words (CUF, CUP and their like) are read as lines all the same: a move to the right within the row
 * becomes spaces, any other move ends the line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct plain {
	bool keep_colours; /* SGR sequences (CSI digits ; : m) pass */
	int state;
	bool moved;        /* elsewhere (a CR is a move too): a new line begins if text follows */
	bool in_line;      /* something was given out since the last newline */
	uint32_t row, column; /* of the cursor, as far as that can be told; from 0 */
	uint32_t filled;   /* columns of the line that were given out */
	uint8_t pending[80]; /* a CSI under way, or the start of a UTF-8 sequence */
	size_t pending_len;
	int utf8_left;
};

#define PLAIN_NULL ((struct plain){ .keep_colours = false })

int plain_feed(struct plain *plain, const void *data, size_t len, struct buf *out);
/* The state as bytes, for who goes on later; PLAIN_SAVED_MAX at most. */
#define PLAIN_SAVED_MAX 96u
int plain_save(const struct plain *plain, struct buf *out);
/* False: these are no saved state, and *plain is as it was. */
bool plain_load(struct plain *plain, const void *data, size_t len);
