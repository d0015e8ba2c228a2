/* The whole of a terminal written down as a stream that brings a new terminal to the same state. Ordinary sequences
 * only, so that any version of the emulator, and any other terminal, can take it.
 *
 * The order matters: what moves the cursor (margins, origin) goes before the cursor, and what would let the next
 * character join the last one, or forget that the line is full, goes before the last character, which is printed
 * again where it stands. One thing is not kept: an emoji that the edge of the screen left one column wide, and that a resize
 * took away from there, becomes two columns wide. */
#include <stdio.h>
#include <string.h>
#include "worker/screen/internal.h"

struct dump {
	const struct emulator *e;
	struct buf *out;
	int r; /* the first failure; nothing is appended after it */
	uint16_t style;
	uint8_t flags;
	uint16_t link;
};

static void put(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct dump *dump, const char *format, ...)
{
	char text[SCREEN_TITLE_BYTES_MAX + 64];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!dump->r && len > 0)
		dump->r = buf_append(dump->out, text, (size_t)len);
}

/* --- cells ---------------------------------------------------------------------------------------------------- */

static void put_link(struct dump *dump, uint16_t link)
{
	const char *address = "", *id = "";
	size_t len = screen_link_text(&dump->e->screen, link, &address);
	size_t id_len = screen_link_id(&dump->e->screen, link, &id);

	put(dump, id_len ? "\033]8;id=%.*s;" : "\033]8;;", (int)id_len, id);
	if (!dump->r)
		dump->r = buf_append(dump->out, address, len);
	put(dump, "\033\\");
	dump->link = link;
}

static void put_pen(struct dump *dump, const struct screen_style *style, uint8_t flags)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	sgr_report(style, &text);
	put(dump, "\033[%sm", buf_text(&text));
	if (style->link != dump->link)
		put_link(dump, style->link);
	if (flags != dump->flags)
		put(dump, "\033[%u\"q", flags ? 1U : 0U);
	dump->flags = flags;
}

static void put_cell(struct dump *dump, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(&dump->e->screen, cell, buffer, &text);

	if (cell->style != dump->style || cell->flags != dump->flags)
		put_pen(dump, screen_style(&dump->e->screen, cell->style), cell->flags);
	dump->style = cell->style;
	if (cell->glyph >= 0x300)
		put(dump, "\033>"); /* changes nothing yet, but what follows stands for itself */
	if (!dump->r)
		dump->r = buf_append(dump->out, text, len);
}

static void put_rows(struct dump *dump, const struct screen_row *rows)
{
	const struct screen *screen = &dump->e->screen;
	bool wrapped = false;

	for (unsigned int i = 0; i < screen->rows && !dump->r; i++) {
		unsigned int count = rows[i].wrapped && i + 1 < screen->rows ? screen->cols : rows[i].used;

		if (!count && wrapped)
			count = 1; /* only a character makes the line above go on here */
		if (!wrapped && (count || rows[i].mark.kinds))
			put(dump, "\033[%uH", i + 1);
		if (count)
			put_cell(dump, &rows[i].cells[0]); /* only now a line that goes on here has come to this row */
		if (!dump->r)
			dump->r = screen_mark_put(rows[i].mark, dump->out);
		for (unsigned int j = 1; j < count && !dump->r; j++)
			if (rows[i].cells[j].width)
				put_cell(dump, &rows[i].cells[j]);
		wrapped = rows[i].wrapped;
	}
}

/* --- what belongs to each of the two screens ------------------------------------------------------------------ */

static void put_charsets(struct dump *dump, const uint8_t charset[4], uint8_t gl)
{
	static const char *const shifts[] = { "\017", "\016", "\033n", "\033o" };

	for (unsigned int i = 0; i < 4; i++)
		put(dump, "\033%c%c", '(' + (int)i, charset[i]);
	put(dump, "%s", shifts[gl & 3]);
}

/* A cursor that was saved behind a full line: only printing the last character again brings it there. */
static void put_saved_cursor(struct dump *dump, const struct saved_cursor *saved, const struct screen_row *rows)
{
	static const uint8_t plain[4] = { 'B', 'B', 'B', 'B' };
	const struct screen *screen = &dump->e->screen;
	unsigned int col = saved->col;
	bool full = saved->pending_wrap && col + 1 == screen->cols && saved->row < screen->rows;

	if (!saved->set)
		return;
	if (full && col && !rows[saved->row].cells[col].width)
		col--;
	put(dump, "\033[?6%c\033[%u;%uH", saved->origin ? 'h' : 'l', saved->row + 1, col + 1);
	if (full)
		put_cell(dump, &rows[saved->row].cells[col]);
	put_charsets(dump, saved->charset, saved->gl);
	put_pen(dump, &saved->pen, saved->pen_flags);
	put(dump, "\0337\033[?6l");
	put_charsets(dump, plain, 0);
	put_pen(dump, &(struct screen_style){ 0 }, 0);
	dump->style = 0;
}

static void put_kitty(struct dump *dump, const struct kitty_stack *kitty)
{
	for (unsigned int i = 0; i <= kitty->count; i++) {
		uint32_t flags = i < kitty->count ? kitty->flags[i] : kitty->current;

		if (i || flags)
			put(dump, i ? "\033[>%uu" : "\033[=%uu", flags);
	}
}

static void put_grid(struct dump *dump, bool alternate)
{
	const struct emulator *e = dump->e;

	const struct screen_row *rows = alternate == emulator_alternate(e) ? e->screen.row : e->hidden_row;

	if (rows) {
		put_rows(dump, rows);
		put_saved_cursor(dump, &e->saved[alternate], rows);
	}
	put_kitty(dump, &e->kitty[alternate]);
}

static void put_grids(struct dump *dump)
{
	bool alternate = emulator_alternate(dump->e);

	put(dump, alternate ? "" : "\033[?47h");
	put_grid(dump, !alternate);
	put(dump, alternate ? "\033[m\033[?47h" : "\033[m\033[?47l");
	dump->style = 0;
	put_grid(dump, alternate);
}

/* --- the rest ------------------------------------------------------------------------------------------------- */

static void put_titles(struct dump *dump)
{
	for (unsigned int i = 0; i < dump->e->title_count; i++)
		put(dump, "\033]2;%s\033\\\033[22t", dump->e->titles[i].text);
	if (dump->e->title_count || dump->e->screen.title_len)
		put(dump, "\033]2;%s\033\\", dump->e->screen.title);
}

static void put_tabs(struct dump *dump)
{
	const struct emulator *e = dump->e;
	bool usual = true;

	for (unsigned int i = 0; i < e->screen.cols; i++)
		usual = usual && (e->tabs[i] != 0) == (i % 8 == 0);
	if (usual)
		return;
	put(dump, "\033[3g");
	for (unsigned int i = 0; i < e->screen.cols; i++)
		if (e->tabs[i])
			put(dump, "\033[1;%uH\033H", i + 1);
}

static void put_colours(struct dump *dump)
{
	const uint32_t *palette = dump->e->screen.palette;

	for (unsigned int i = 0; i < SCREEN_PALETTE_COUNT; i++) {
		if (!palette[i])
			continue;
		put(dump, i < 256 ? "\033]4;%u" : "\033]%u", i < 256 ? i : 10 + i - SCREEN_PALETTE_FOREGROUND);
		put(dump, ";rgb:%02x/%02x/%02x\033\\", palette[i] >> 16 & 0xff, palette[i] >> 8 & 0xff, palette[i] & 0xff);
	}
}

/* Modes that do nothing but be on or off. 7 and 4 come at their places in the end. */
static const uint16_t quiet_modes[] = { 1, 5, 25, 40, 45, 66, 1004, 1007, 2004 };
static const uint16_t mouse_modes[] = { 9, 1000, 1002, 1003, 1005, 1006, 1015 };

static bool is_quiet(unsigned int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(quiet_modes); i++)
		if (quiet_modes[i] == number)
			return true;
	return false;
}

static void put_modes(struct dump *dump)
{
	const struct emulator *e = dump->e;

	for (unsigned int i = 0; i < e->saved_mode_count; i++)
		if (is_quiet(e->saved_modes[i].number))
			put(dump, "\033[?%u%c\033[?%us", e->saved_modes[i].number, e->saved_modes[i].on ? 'h' : 'l',
				e->saved_modes[i].number);
	for (size_t i = 0; i < ARRAY_SIZE(quiet_modes); i++)
		put(dump, "\033[?%u%c", quiet_modes[i], mode_query(e, true, quiet_modes[i]) == 1 ? 'h' : 'l');
	for (size_t i = 0; i < ARRAY_SIZE(mouse_modes); i++)
		if (mode_query(e, true, mouse_modes[i]) == 1)
			put(dump, "\033[?%uh", mouse_modes[i]);
	if (e->screen.modes & SCREEN_MODE_NEWLINE)
		put(dump, "\033[20h");
	if (e->screen.modify_other_keys)
		put(dump, "\033[>4;%um", e->screen.modify_other_keys);
	if (e->rectangles)
		put(dump, "\033[2*x");
	if (e->screen.cursor_shape)
		put(dump, "\033[%u q", (unsigned int)e->screen.cursor_shape);
}

static void put_margins(struct dump *dump)
{
	const struct emulator *e = dump->e;

	if (e->top || e->bottom != e->screen.rows)
		put(dump, "\033[%u;%ur", e->top + 1, e->bottom);
	if (e->modes & MODE_MARGINS)
		put(dump, "\033[?69h\033[%u;%us", e->left + 1, e->right);
	if (e->modes & MODE_ORIGIN)
		put(dump, "\033[?6h");
	if (!(e->modes & MODE_WRAP))
		put(dump, "\033[?7l");
}

static void put_position(struct dump *dump, unsigned int row, unsigned int col)
{
	const struct emulator *e = dump->e;
	bool origin = e->modes & MODE_ORIGIN;

	put(dump, "\033[%u;%uH", row - (origin && row >= e->top ? e->top : 0) + 1,
		col - (origin && col >= e->left ? e->left : 0) + 1);
}

/* The cell before the cursor, when the next character could join it or has to wrap behind it. */
static const struct screen_cell *last_cell(const struct emulator *e, unsigned int *ret_col)
{
	const struct screen *screen = &e->screen;
	const struct screen_cell *cells = screen->row[screen->cursor_row].cells;
	unsigned int col = screen->cursor_col;

	if (!e->pending_wrap) {
		unsigned int next = e->last_col + cells[e->last_col < screen->cols ? e->last_col : 0].width;

		/* without wrapping the cursor stays on the last cell of the line */
		if (!e->last_valid || e->last_row != screen->cursor_row || e->last_col >= screen->cols ||
			(next != col && (e->modes & MODE_WRAP || next != col + 1)))
			return NULL;
		col = e->last_col;
	} else if (!cells[col].width && col) {
		col--;
	}
	*ret_col = col;
	return cells[col].width ? &cells[col] : NULL;
}

static void put_cursor(struct dump *dump)
{
	const struct emulator *e = dump->e;
	unsigned int col = 0;
	const struct screen_cell *cell = last_cell(e, &col);

	if (e->modes & MODE_INSERT)
		put(dump, "\033[4h");
	put_position(dump, e->screen.cursor_row, cell ? col : e->screen.cursor_col);
	if (cell && e->modes & MODE_INSERT)
		put(dump, "\033[%uP", (unsigned int)cell->width);
	if (cell) {
		put(dump, "\033>");
		put_cell(dump, cell);
	}
	if (!cell || !e->last_valid || e->screen.modes & SCREEN_MODE_APP_KEYPAD)
		put(dump, e->screen.modes & SCREEN_MODE_APP_KEYPAD ? "\033=" : "\033>");
	put_charsets(dump, e->charset, e->gl);
	put_pen(dump, &e->pen, e->pen_flags);
	if (e->modes & MODE_SYNCHRONIZED)
		put(dump, "\033[?2026h");
}

bool emulator_settled(const struct emulator *emulator)
{
	return !emulator->parser.state && !emulator->parser.need && !emulator->single_shift;
}

int emulator_snapshot(const struct emulator *emulator, struct buf *out)
{
	struct dump dump = { .e = emulator, .out = out };
	size_t before = out->len;

	put(&dump, "\033c\033]8;;\033\\");
	put_colours(&dump);
	put_titles(&dump);
	put_tabs(&dump);
	put_grids(&dump);
	put_modes(&dump);
	put_margins(&dump);
	put_cursor(&dump);
	if (dump.r)
		out->len = before;
	return dump.r;
}
