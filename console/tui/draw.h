/* Drawing on the screen of curses, clipped to an area.
 *
 * Every text goes through str_clean here, so foreign text can be passed as it is. Widths are columns. */
#pragma once

#include "console/tui/theme.h"
#include "proto/base/error.h"

struct area {
	int y, x, h, w;
};

/* A colour and an attribute, with `more` attributes added. */
struct theme_look draw_look(const struct theme *theme, enum theme_role role, attr_t more);

/* Columns that the cleaned text takes. */
int draw_width(const char *text);
/* At most `width` columns, ended by a sign where it was cut. Returns the columns that were used. */
int draw_text(const struct theme *theme, int y, int x, int width, struct theme_look look, const char *text);
int draw_bytes(const struct theme *theme, int y, int x, int width, struct theme_look look, const void *text, size_t len);
/* The same, then blanks up to `width`. */
void draw_field(const struct theme *theme, int y, int x, int width, struct theme_look look, const char *text);
void draw_fill(struct area area, struct theme_look look);
/* `count` times a sign. */
void draw_repeat(const struct theme *theme, int y, int x, int count, struct theme_look look, enum theme_sign sign);
void draw_box(const struct theme *theme, struct area area, struct theme_look look);
/* Box with a title in its upper line; returns the area inside. */
struct area draw_pane(const struct theme *theme, struct area area, bool focus, const char *title);
/* A bar of `width` columns, `percent` of it full. */
void draw_meter(const struct theme *theme, int y, int x, int width, struct theme_look look, unsigned int percent);
/* Text broken at blanks into lines of the area, from line `skip` on. Returns how many lines the whole text has. */
int draw_wrapped(const struct theme *theme, struct area area, struct theme_look look, const void *text, size_t len, int skip);
/* A thumb in column x where `shown` of `total` lines are seen from `first` on. */
void draw_scrollbar(const struct theme *theme, int y, int x, int height, size_t first, size_t shown, size_t total);

/* Rows and columns of a session's screen from (top, left) into the area. `only_changed`: rows whose generation is
 * in `seen` (area.h entries, updated) already are left as they are; NULL draws all. */
void draw_cells(struct theme *theme, struct area area, const struct screen *screen, unsigned int top, unsigned int left,
	uint64_t *seen);
