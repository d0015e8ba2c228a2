/* A terminal's output as plain text: escape sequences and controls are taken out, broken UTF-8 becomes U+FFFD.
 *
 * So what a session printed can be shown on a person's terminal without acting on it. Works on a stream: the state
 * is kept between pieces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct plain {
	bool keep_colours; /* SGR sequences (CSI digits ; : m) pass */
	int state;
	bool return_seen;  /* a CR that is not known yet to be followed by LF */
	uint8_t pending[80]; /* a CSI under way, or the start of a UTF-8 sequence */
	size_t pending_len;
	int utf8_left;
};

#define PLAIN_NULL ((struct plain){ .keep_colours = false })

int plain_feed(struct plain *plain, const void *data, size_t len, struct buf *out);
