/* Cells of a session onto the screen of curses.
 *
 * Curses and the emulator may not agree on how wide a glyph is. What is drawn must take as many columns as the cell
 * has, or all that stands to the right of it would be moved: so a glyph whose width curses sees otherwise is shown
 * without its modifiers, padded, or as a question mark. */
#include "console/tui/draw.h"
#include "proto/base/str.h"

#include <string.h>
#include <wchar.h>

/* setcchar() refuses more than CCHARW_MAX characters and stops at a second one that takes room. */
static int glyph_of(const struct screen *screen, const struct screen_cell *cell, wchar_t wide[CCHARW_MAX + 1])
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(screen, cell, buffer, &text);
	int n = 0;

	while (len && n < CCHARW_MAX) {
		uint32_t code;
		int bytes = str_utf8_next(text, len, &code);

		if (bytes <= 0 || (n > 0 && wcwidth((wchar_t)code) != 0))
			break;
		wide[n++] = (wchar_t)code;
		text += bytes;
		len -= (size_t)bytes;
	}
	wide[n] = 0;
	return n;
}

/* Lines and blocks for terminals that have only ASCII. */
static wchar_t plain(wchar_t glyph)
{
	if (glyph >= 0x2500 && glyph <= 0x2501)
		return '-';
	if (glyph >= 0x2502 && glyph <= 0x2503)
		return '|';
	if (glyph >= 0x2504 && glyph <= 0x257f)
		return '+';
	if (glyph >= 0x2580 && glyph <= 0x259f)
		return '#';
	if (glyph == 0x2022 || glyph == 0x25cf)
		return '*';
	return '?';
}

static void put_glyph(const wchar_t *wide, struct theme_look look)
{
	cchar_t cell;

	if (setcchar(&cell, wide, look.attributes, 0, &look.pair) == OK)
		add_wch(&cell);
	else
		addch('?');
}

static void put_blank(struct theme_look look)
{
	put_glyph(L" ", look);
}

/* One cell at the cursor, exactly `room` columns (1 or 2) wide. */
static void put_cell(struct theme *theme, const struct screen *screen, const struct screen_cell *cell, int room)
{
	struct theme_look look = theme_cell(theme, screen_style(screen, cell->style));
	wchar_t wide[CCHARW_MAX + 1];
	int width;

	if (cell->glyph == ' ' || cell->width == 0 || cell->width > room || glyph_of(screen, cell, wide) == 0) {
		for (int i = 0; i < room; i++)
			put_blank(look);
		return;
	}
	if (theme->glyphs == THEME_ASCII && wide[0] > 126) {
		wide[0] = plain(wide[0]);
		wide[1] = 0;
	}
	width = wcwidth(wide[0]);
	if (width <= 0 || width > room) {
		wide[0] = L'?';
		wide[1] = 0;
		width = 1;
	} else if (width != cell->width) {
		wide[1] = 0;
	}
	put_glyph(wide, look);
	for (; width < room; width++)
		put_blank(look);
}

static void put_row(struct theme *theme, int y, struct area area, const struct screen *screen, unsigned int row,
	unsigned int left)
{
	const struct screen_cell *cells = screen->row[row].cells;
	int x = 0;

	move(y, area.x);
	while (x < area.w) {
		unsigned int column = left + (unsigned int)x;
		int room;

		if (column >= screen->cols) {
			put_blank((struct theme_look){ A_NORMAL, 0 });
			x++;
			continue;
		}
		room = cells[column].width == 2 && column + 1 < screen->cols && x + 1 < area.w ? 2 : 1;
		put_cell(theme, screen, &cells[column], room);
		x += room;
	}
}

void draw_cells(struct theme *theme, struct area area, const struct screen *screen, unsigned int top, unsigned int left,
	uint64_t *seen)
{
	/* Curses adds the window's own look to every cell that is put. */
	standend();
	for (int i = 0; i < area.h; i++) {
		unsigned int row = top + (unsigned int)i;
		uint64_t generation = row < screen->rows ? screen->row[row].generation : 0;

		if (area.y + i >= LINES)
			return;
		if (seen && seen[i] == generation + 1)
			continue;
		if (seen)
			seen[i] = generation + 1;
		if (row < screen->rows)
			put_row(theme, area.y + i, area, screen, row, left);
		else
			draw_fill((struct area){ area.y + i, area.x, 1, area.w }, (struct theme_look){ A_NORMAL, 0 });
	}
}
