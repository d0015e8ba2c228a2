/* The person's terminal: into curses and, on every way out, back to what it was.
 *
 * Curses keeps its state in globals, so there is one terminal a process. A crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGABRT) puts the terminal right from the signal handler and then dies of the same signal.
 *
 * Condition: TERM_E_UNKNOWN (no such terminal type, or it cannot move its cursor; error says what to do). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "proto/base/error.h"

enum {
	TERM_E_UNKNOWN = 1,
};

struct term_config {
	const char *type; /* TERM; NULL: from the environment */
	FILE *in, *out;   /* both the terminal; they outlive it */
};

int term_open(const struct term_config *config, struct error *error);
/* Safe when not open, and twice. */
void term_close(void);
/* Takes the size the terminal has now. */
void term_resize(void);
/* Ctrl-Z: gives the terminal back, stops, and takes it again when continued. */
void term_suspend(void);
/* Mouse reports on or off: off while keys go to a session, so that the terminal's own selection works. */
void term_set_mouse(bool on);
/* What the keyboard sends now, as bytes, past curses' decoding. 0: nothing there; -errno; -EPIPE: hung up. */
int term_read_raw(void *buffer, size_t size, size_t *ret_len);
/* The terminal's bell, once. */
void term_bell(void);
