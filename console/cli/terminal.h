/* The person's terminal while a command has all of it: taken once, given back on every way out, crashes included. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"

/* Raw mode and the alternate screen. What was there is remembered in this process. */
int terminal_take(struct error *error);
/* Harmless when it is not taken. Only what a signal handler may do. */
void terminal_give_back(void);
/* The cursor has been given a colour, which is to be taken from it at the end. */
void terminal_note_coloured_cursor(void);
/* 80 x 24 if the terminal does not say. */
void terminal_size(unsigned int *ret_cols, unsigned int *ret_rows);
/* Blocks the signals that a full-screen command lives by (a new size, and every polite way to end it) and brings them,
 * and keys, to the loop. The sources are the loop's. -errno. */
int terminal_watch(sd_event *event, sd_event_signal_handler_t on_signal, sd_event_io_handler_t on_input, void *userdata);
