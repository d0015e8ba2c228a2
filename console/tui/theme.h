/* What things look like: roles instead of colours, glyphs that the terminal has, and pairs for the colours of cells.
 *
 * The default background is kept, and nothing is told by colour alone, so it works on dark and light, on a terminal
 * without colours, and with NO_COLOR. */
#pragma once

#include <curses.h>
#include <stdbool.h>
#include <stdint.h>
#include "proto/schema/types.pb-c.h"
#include "proto/wire/screen.h"

enum theme_role {
	THEME_TEXT,
	THEME_DIM,
	THEME_STRONG,
	THEME_HEADER,   /* the top line */
	THEME_TAB,
	THEME_TAB_OPEN,
	THEME_BORDER,
	THEME_FOCUS,    /* border of what has the keys */
	THEME_SELECTED,
	THEME_KEY,      /* a key's name in the footer */
	THEME_GOOD,
	THEME_BUSY,
	THEME_REVIEW,
	THEME_WAITING,  /* somebody waits for the person */
	THEME_ALERT,    /* the same, to be seen from across the room */
	THEME_BAD,
	THEME_ADDED,
	THEME_REMOVED,
	THEME_HUNK,
	THEME_ROLE_COUNT,
};

enum theme_glyphs {
	THEME_ASCII,   /* no UTF-8 */
	THEME_CONSOLE, /* UTF-8 with a font of 256 or 512 glyphs: lines and blocks only */
	THEME_FULL,
};

struct theme_look {
	attr_t attributes;
	int pair;
};

struct theme_pair {
	int foreground, background; /* curses' colours, -1: default */
	int pair;                   /* 0: this slot is free */
};

#define THEME_PAIR_SLOTS 16384u /* a power of two; at most half of it is used */

struct theme {
	enum theme_glyphs glyphs;
	bool colour, direct; /* direct: 24 bits without a palette */
	int colours;         /* of the palette */
	struct theme_look looks[THEME_ROLE_COUNT];
	struct theme_pair *pairs; /* THEME_PAIR_SLOTS of them, by hash */
	int pair_next, pair_limit;
	int pair_fixed;      /* below: the roles' own, never given up */
	bool pairs_full;     /* since the last theme_begin_frame a pair could not be had */
};

/* After term_open. `colour` false: none, whatever the terminal can. -ENOMEM. */
int theme_init(struct theme *theme, bool colour);
void theme_deinit(struct theme *theme);
/* Returns true if pairs had run out and were all given up: everything has to be drawn again. */
bool theme_begin_frame(struct theme *theme);

/* The look of a cell of a session. */
struct theme_look theme_cell(struct theme *theme, const struct screen_style *style);

/* Lines of boxes and small signs, by what the terminal has. */
enum theme_sign {
	SIGN_HORIZONTAL,
	SIGN_VERTICAL,
	SIGN_TOP_LEFT,
	SIGN_TOP_RIGHT,
	SIGN_BOTTOM_LEFT,
	SIGN_BOTTOM_RIGHT,
	SIGN_BAR_FULL,
	SIGN_BAR_EMPTY,
	SIGN_MORE,    /* text goes on */
	SIGN_DOT,     /* between facts */
	SIGN_POINTER,
	SIGN_SCROLL,  /* thumb of a scroll bar */
	SIGN_COUNT,
};
const char *theme_sign(const struct theme *theme, enum theme_sign sign);

/* A state as sign, word and role: never by colour alone. */
struct theme_state {
	const char *sign;
	const char *word;
	enum theme_role role;
};
struct theme_state theme_task_state(const struct theme *theme, Maestro__TaskState state);
struct theme_state theme_agent_state(const struct theme *theme, Maestro__AgentState state);
struct theme_state theme_worker_state(const struct theme *theme, Maestro__WorkerState state);
