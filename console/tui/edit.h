/* Text that a person writes: one line or several, UTF-8, a cursor. And the filter of a list. */
#pragma once

#include <stdbool.h>
#include "console/tui/draw.h"
#include "proto/base/buf.h"

struct edit {
	struct buf text;
	size_t cursor; /* a byte offset, at the start of a character */
	bool lines;    /* Enter makes a new line */
	int top;       /* first line that is shown */
};

void edit_init(struct edit *edit, bool lines, size_t limit_bytes);
void edit_deinit(struct edit *edit);
void edit_set(struct edit *edit, const char *text);
/* Whether the key meant something here. */
bool edit_key(struct edit *edit, int key);
/* Controls become blanks but newlines and tabs; false if it was cut or refused for its length. */
bool edit_insert(struct edit *edit, const char *text, size_t len);
/* Draws it and tells where the cursor is. */
void edit_draw(const struct theme *theme, struct edit *edit, struct area area, struct theme_look look, int *ret_y, int *ret_x);

struct filter {
	struct edit edit;
};
/* Whether all words of the filter stand in the text, without regard to case. An empty filter matches. */
bool filter_match(const struct filter *filter, const char *text);
static inline bool filter_on(const struct filter *filter)
{
	return filter->edit.text.len > 0;
}
