/* Rectangles (VT420): checksum, fill, erase, copy, attributes. Sides are one-based and inclusive, and in origin mode they count
 * from the margins. */
#include "worker/screen/internal.h"

#include <string.h>
#include "proto/base/str.h"

/* Half open, inside the screen. */
struct rect {
	unsigned int top, left, bottom, right;
};

static unsigned int limit(unsigned int value, unsigned int max)
{
	return value < max ? value : max;
}

/* From four parameters; an absent end is the last row or column. false: it holds nothing. */
static bool take_rect(const struct emulator *e, unsigned int index, struct rect *ret_rect)
{
	bool origin = e->modes & MODE_ORIGIN;
	unsigned int first_row = origin ? e->top : 0, first_col = origin ? e->left : 0;
	unsigned int last_row = origin ? e->bottom : e->screen.rows, last_col = origin ? e->right : e->screen.cols;
	unsigned int bottom = param_value(e, index + 2), right = param_value(e, index + 3);
	struct rect rect = {
		.top = first_row + param_count(e, index) - 1,
		.left = first_col + param_count(e, index + 1) - 1,
		.bottom = bottom ? limit(first_row + bottom, last_row) : last_row,
		.right = right ? limit(first_col + right, last_col) : last_col,
	};

	if (rect.top >= rect.bottom || rect.left >= rect.right)
		return false;
	*ret_rect = rect;
	return true;
}

/* The lower eight bits, without combining marks, as xterm has it unless XTCHECKSUM says otherwise; 0xff is its filler
 * behind a wide character. */
static unsigned int cell_text_sum(const struct screen *screen, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	uint32_t code = cell->glyph;
	const char *text;
	size_t len;

	if (cell->width == 0)
		return 0xff;
	if (cell->glyph & SCREEN_GLYPH_CLUSTER) {
		len = screen_cell_text(screen, cell, buffer, &text);
		if (str_utf8_next(text, len, &code) <= 0)
			code = 0xfffd;
	}
	return code & 0xff;
}

static unsigned int cell_sum(const struct emulator *e, const struct screen_cell *cell, bool *ret_shows)
{
	static const struct {
		uint16_t attribute;
		unsigned int weight;
	} weights[] = { { SCREEN_REVERSE, 0x20 }, { SCREEN_BLINK, 0x40 }, { SCREEN_BOLD, 0x80 } };
	const struct screen_style *style = screen_style(&e->screen, cell->style);
	unsigned int sum = cell_text_sum(&e->screen, cell);

	*ret_shows = sum != ' ' && sum != 0;
	for (size_t i = 0; style->attributes && i < ARRAY_SIZE(weights); i++)
		if (style->attributes & weights[i].attribute)
			sum += weights[i].weight, *ret_shows = true;
	if (style->underline)
		sum += 0x10, *ret_shows = true;
	if ((cell->flags & SCREEN_CELL_PROTECTED) && !e->guarded)
		sum += 0x04;
	return sum;
}

/* DECRQCRA. As xterm counts by default: the negated sum of characters and attributes, without blanks at the end. */
void rect_checksum(struct emulator *e)
{
	unsigned int sum = 0, trimmed = 0;
	struct rect rect;
	bool first = true, shows;

	if (take_rect(e, 2, &rect)) {
		spend(e, (size_t)(rect.bottom - rect.top) * (rect.right - rect.left));
		for (unsigned int y = rect.top; y < rect.bottom; y++) {
			for (unsigned int x = rect.left; x < rect.right; x++) {
				sum += cell_sum(e, &e->screen.row[y].cells[x], &shows);
				if (shows || first)
					trimmed = sum;
				first = false;
			}
		}
	}
	report_printf(e, "\033P%u!~%04X\033\\", param_value(e, 0), -trimmed & 0xffffu);
}

/* DECERA, DECSERA */
void rect_erase(struct emulator *e)
{
	struct rect rect;

	if (!take_rect(e, 0, &rect))
		return;
	for (unsigned int y = rect.top; y < rect.bottom; y++)
		edit_erase(e, y, rect.left, rect.right, e->parser.final == '{');
}

/* Puts cells into a row; pairs that are cut at either end become blanks. */
static void put_cells(struct emulator *e, unsigned int y, unsigned int left, const struct screen_cell *cells, unsigned int count)
{
	struct screen_row *row = &e->screen.row[y];

	spend(e, count);
	memcpy(row->cells + left, cells, count * sizeof(*cells));
	if (row->used < left + count)
		row->used = (uint16_t)(left + count);
	screen_row_mend(&e->screen, row);
	screen_touch(&e->screen, row);
	e->last_valid = false;
}

/* DECFRA */
void rect_fill(struct emulator *e)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	unsigned int code = param_value(e, 0);
	struct rect rect;

	if (!((code >= 0x20 && code < 0x7f) || (code >= 0xa0 && code <= 0xff)) || !screen_code_allowed(code) || !take_rect(e, 1, &rect))
		return;
	if (e->pen_stale)
		edit_update_pen(e);
	for (unsigned int i = 0; i < rect.right - rect.left; i++)
		cells[i] = (struct screen_cell){ .glyph = code, .style = e->pen_style, .width = 1, .flags = e->pen_flags };
	for (unsigned int y = rect.top; y < rect.bottom; y++)
		put_cells(e, y, rect.left, cells, rect.right - rect.left);
}

/* DECCRA, within the one page that there is. Rows are taken in the order in which none is overwritten before. */
void rect_copy(struct emulator *e)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	unsigned int top, left, rows, cols;
	struct rect from;

	if (!take_rect(e, 0, &from))
		return;
	top = (e->modes & MODE_ORIGIN ? e->top : 0) + param_count(e, 5) - 1;
	left = (e->modes & MODE_ORIGIN ? e->left : 0) + param_count(e, 6) - 1;
	if (top >= e->screen.rows || left >= e->screen.cols)
		return;
	rows = limit(from.bottom - from.top, e->screen.rows - top);
	cols = limit(from.right - from.left, e->screen.cols - left);
	for (unsigned int i = 0; i < rows; i++) {
		unsigned int y = top > from.top ? rows - 1 - i : i;

		memcpy(cells, e->screen.row[from.top + y].cells + from.left, cols * sizeof(*cells));
		put_cells(e, top + y, left, cells, cols);
	}
}

/* --- attributes ----------------------------------------------------------------------------------------------- */

/* DECSACE: 2 is the rectangle itself, else all that is printed from its first corner to its last. */
void rect_extent(struct emulator *e)
{
	if (param_value(e, 0) <= 2)
		e->rectangles = param_value(e, 0) == 2;
}

#define RECT_ATTRIBUTES (SCREEN_BOLD | SCREEN_BLINK | SCREEN_REVERSE | SCREEN_CONCEAL)

/* The codes that both commands know; the others of SGR stay. */
static const struct {
	uint8_t code;
	uint8_t attribute;
	bool underline;
} rect_codes[] = {
	{ 1, SCREEN_BOLD, false }, { 4, 0, true }, { 5, SCREEN_BLINK, false }, { 7, SCREEN_REVERSE, false },
	{ 8, SCREEN_CONCEAL, false },
};

static void change_code(struct screen_style *style, uint32_t code, bool reverse)
{
	if (code == 0) {
		style->attributes = (uint8_t)(reverse ? style->attributes ^ RECT_ATTRIBUTES : style->attributes & ~RECT_ATTRIBUTES);
		style->underline = reverse && !style->underline ? SCREEN_UNDERLINE_SINGLE : SCREEN_UNDERLINE_NONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rect_codes); i++) {
		bool off = code == rect_codes[i].code + 20U || (code == 22 && rect_codes[i].code == 1);

		if (code != rect_codes[i].code && (!off || reverse))
			continue;
		style->attributes = (uint8_t)(off ? style->attributes & ~rect_codes[i].attribute :
			reverse ? style->attributes ^ rect_codes[i].attribute : style->attributes | rect_codes[i].attribute);
		if (rect_codes[i].underline)
			style->underline = off || (reverse && style->underline) ? SCREEN_UNDERLINE_NONE : SCREEN_UNDERLINE_SINGLE;
	}
}

static void change_row(struct emulator *e, unsigned int y, unsigned int left, unsigned int right)
{
	struct screen_row *row = &e->screen.row[y];
	uint16_t was = 0, is = 0;
	bool known = false;

	spend(e, right - left);
	if (row->used < right)
		row->used = (uint16_t)right;
	for (unsigned int x = left; x < right; x++) {
		struct screen_cell *cell = &row->cells[x];

		if (!known || cell->style != was) {
			struct screen_style style = *screen_style(&e->screen, cell->style);

			for (unsigned int i = 4; i < e->parser.param_count; i++)
				change_code(&style, e->parser.param[i], e->parser.final == 't');
			if (e->parser.param_count < 5)
				change_code(&style, 0, e->parser.final == 't');
			was = cell->style;
			is = edit_intern_style(e, &style);
			known = true;
		}
		cell->style = is;
	}
	screen_touch(&e->screen, row);
}

/* DECCARA (r) sets attributes, DECRARA (t) turns them over. */
void rect_change(struct emulator *e)
{
	bool origin = e->modes & MODE_ORIGIN;
	unsigned int first = origin ? e->left : 0, end = origin ? e->right : e->screen.cols;
	struct rect rect;

	if (!take_rect(e, 0, &rect))
		return;
	for (unsigned int y = rect.top; y < rect.bottom; y++)
		change_row(e, y, e->rectangles || y == rect.top ? rect.left : first,
			e->rectangles || y + 1 == rect.bottom ? rect.right : end);
}
