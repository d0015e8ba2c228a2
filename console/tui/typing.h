/* Keys on their way into a session: the bytes that the person's terminal sends, made what the session's program
 * asked for. Arrow keys depend on a mode that our terminal and the session's need not share, pastes are marked only
 * where the program wants it, and one key ends the typing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct typing {
	bool pasting; /* between the terminal's marks */
	char held[8]; /* the beginning of what may be the end mark */
	size_t held_len;
};

#define TYPING_DETACH 0x1c /* Ctrl-\ */

/* Appends what the session is to get. `modes`: enum screen_mode. Returns how many bytes it took: all, or up to and
 * with the key that detaches (*ret_detach). */
size_t typing_translate(struct typing *typing, uint32_t modes, const char *data, size_t len, struct buf *out,
	bool *ret_detach);
