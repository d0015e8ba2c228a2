/* Rectangles (VT420): checksum, fill, erase, copy. Sides are one-based and inclusive, and in origin mode they count
 * from the margins. */
#include "worker/screen/internal.h"

#include <string.h>

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

static unsigned int cell_sum(const struct screen *screen, const struct screen_cell *cell, bool *ret_shows)
{
	static const struct {
		uint16_t attribute;
		unsigned int weight;
	} weights[] = { { SCREEN_REVERSE, 0x20 }, { SCREEN_BLINK, 0x40 }, { SCREEN_BOLD, 0x80 } };
	const struct screen_style *style = screen_style(screen, cell->style);
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(screen, cell, buffer, &text);
	unsigned int sum = 0, drawn;

	if (cell->glyph & SCREEN_GLYPH_CLUSTER)
		for (size_t i = 0; i < len; i++)
			sum += (unsigned char)text[i];
	else
		sum = cell->glyph;
	drawn = sum != ' ' && sum != 0;
	for (size_t i = 0; i < ARRAY_SIZE(weights); i++)
		if (style->attributes & weights[i].attribute)
			sum += weights[i].weight, drawn = 1;
	if (style->underline)
		sum += 0x10, drawn = 1;
	if (cell->flags & SCREEN_CELL_PROTECTED)
		sum += 0x04;
	*ret_shows = drawn;
	return sum;
}

/* DECRQCRA. As xterm counts by default: the negated sum of characters and attributes, without blanks at the end. */
void rect_checksum(struct emulator *e)
{
	unsigned int sum = 0, trimmed = 0;
	struct rect rect;
	bool first = true;

	if (take_rect(e, 2, &rect)) {
		for (unsigned int y = rect.top; y < rect.bottom; y++) {
			for (unsigned int x = rect.left; x < rect.right; x++) {
				bool shows;

				sum += cell_sum(&e->screen, &e->screen.row[y].cells[x], &shows);
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
