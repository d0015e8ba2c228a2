/* Draws a struct screen on a real terminal: cells to escape sequences, only rows that changed.
 *
 * No byte of a session reaches the terminal but as the text of a checked cell. */
#pragma once

#include "proto/base/buf.h"
#include "proto/wire/screen.h"

/* What the person's terminal can do beyond what all do. */
struct paint_terminal {
	bool underlines; /* kinds of underline and their colours, with colons (Smulx, Setulc) */
	bool links;      /* OSC 8 */
	bool keys;       /* XTMODKEYS */
	bool cursor;     /* a colour for the cursor (OSC 12, 112) */
};

struct paint {
	unsigned int cols, rows;    /* of the terminal */
	struct paint_terminal terminal;
	struct screen shown;        /* what it shows */
	bool valid;                 /* `shown` is true */
	unsigned int top, left;     /* part of a larger screen that is shown */
};

/* Appends what makes the terminal ready (alternate screen, cleared), and what makes it as it was. */
/* By the terminal's name ($TERM, NULL: none), for none of this can be asked without waiting for an answer that may never
 * come: all but the families that show something wrong. */
struct paint_terminal paint_terminal_named(const char *name);
int paint_begin(struct buf *out);
const char *paint_end_sequence(void);
/* What goes before it where paint_coloured_cursor ever was true: else the cursor keeps the colour that the person gave it. */
#define PAINT_CURSOR_PLAIN "\033]112\033\\"
bool paint_coloured_cursor(const struct paint *paint);
/* For a terminal that can all of it; set `terminal` for another. */
void paint_init(struct paint *paint, unsigned int cols, unsigned int rows);
void paint_deinit(struct paint *paint);
/* A new size, or something else wrote to the terminal: the next update draws everything. */
void paint_invalidate(struct paint *paint, unsigned int cols, unsigned int rows);
/* Appends what turns the terminal's picture into this one. */
int paint_update(struct paint *paint, const struct screen *screen, struct buf *out);
