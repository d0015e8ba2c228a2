/* The key that belongs to `maestro attach` and not to the session: finds it among the keys, as a terminal sends them
 * in the old way and in kitty's (CSI 92;5u). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"

#define PREFIX_KEY_DEFAULT 0x1c /* Ctrl-\ */

enum prefix_action {
	PREFIX_NONE,      /* all was taken; what is for the session was appended */
	PREFIX_PRESSED,   /* the next key is a command: tell which there are */
	PREFIX_DETACH,    /* d */
	PREFIX_SCROLL,    /* [ */
	PREFIX_TAKE_OVER, /* t */
	PREFIX_YES,       /* y, n, a: while `asks` */
	PREFIX_NO,
	PREFIX_ALWAYS,
};

struct prefix {
	uint8_t key;  /* a control character */
	bool pressed;
	bool asks; /* a question waits: y, n and a answer it */
};

/* "C-a", "^a", "ctrl-\" -> the control character. -EINVAL. */
int prefix_parse(const char *text, uint8_t *ret_key);
/* How it is shown: "Ctrl-\". `buffer` holds 8 bytes. */
const char *prefix_name(uint8_t key, char *buffer);
/* Takes keys up to the next action; *ret_used says how many. Appends those for the session. The key pressed twice is
 * sent once; with any other key that is no command, both are. */
enum prefix_action prefix_take(struct prefix *prefix, const uint8_t *keys, size_t len, size_t *ret_used, struct buf *out);
