/* Changing the grid. */
#include <string.h>
#include "worker/screen/internal.h"

#define COLLECT_MIN 1024U
#define FULL_BACKOFF 65536U
#define LINK_BACKOFF 64U

/* Frees table entries that no cell of screen, hidden screen or scrollback shows. */
static void collect(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;
	struct screen_marks marks;

	if (screen_collect_begin(screen, &marks) < 0)
		return;
	for (unsigned int i = 0; emulator->hidden_row && i < screen->rows; i++)
		screen_collect_mark(&marks, emulator->hidden_row[i].cells, emulator->hidden_row[i].used);
	scrollback_mark(&emulator->scrollback, &marks);
	marks.styles[emulator->pen_style] = 1;
	marks.links[emulator->pen.link] = 1;
	marks.styles[emulator->erase_style] = 1;
	screen_collect_sweep(screen, &marks);
}

/* Collects, and says when to do it next. A table that stays nearly full costs the oldest half of the scrollback. */
static void collect_grown(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	collect(emulator);
	if (screen->styles.live > SCREEN_STYLES_MAX / 8 * 7 || screen->clusters.live > SCREEN_CLUSTERS_MAX / 8 * 7) {
		scrollback_halve(&emulator->scrollback);
		collect(emulator);
	}
	emulator->styles_limit = screen->styles.live * 2 > COLLECT_MIN ? screen->styles.live * 2 : COLLECT_MIN;
	emulator->clusters_limit = screen->clusters.live * 2 > COLLECT_MIN ? screen->clusters.live * 2 : COLLECT_MIN;
	emulator->full_backoff = FULL_BACKOFF;
}

uint16_t edit_intern_link(struct emulator *emulator, const struct screen_address *address)
{
	uint16_t link = screen_link_intern(&emulator->screen, address);

	if (link || !screen_link_allowed(address))
		return link;
	/* Full, most often of links that are gone. Looking again at each further one would let a flood of them hold us. */
	if (emulator->link_backoff) {
		emulator->link_backoff--;
		return 0;
	}
	collect(emulator);
	link = screen_link_intern(&emulator->screen, address);
	emulator->link_backoff = LINK_BACKOFF;
	return link;
}

uint16_t edit_intern_style(struct emulator *emulator, const struct screen_style *style)
{
	struct screen *screen = &emulator->screen;
	uint32_t index;

	if (screen->styles.live >= emulator->styles_limit)
		collect_grown(emulator);
	index = screen_style_intern(screen, style);
	if (index < SCREEN_STYLES_MAX)
		return (uint16_t)index;
	if (emulator->full_backoff) {
		emulator->full_backoff--;
		return 0;
	}
	collect_grown(emulator);
	index = screen_style_intern(screen, style);
	return index < SCREEN_STYLES_MAX ? (uint16_t)index : 0;
}

uint32_t edit_intern_cluster(struct emulator *emulator, const char *text, size_t len)
{
	uint32_t glyph;

	if (emulator->screen.clusters.live >= emulator->clusters_limit)
		collect_grown(emulator);
	glyph = screen_cluster_intern(&emulator->screen, text, len);
	if (glyph)
		return glyph;
	if (emulator->full_backoff) {
		emulator->full_backoff--;
		return 0;
	}
	collect_grown(emulator);
	return screen_cluster_intern(&emulator->screen, text, len);
}

void edit_update_pen(struct emulator *emulator)
{
	struct screen_style erase = { .background = emulator->pen.background };

	emulator->pen_stale = false;
	emulator->pen_style = edit_intern_style(emulator, &emulator->pen);
	emulator->erase_style = erase.background ? edit_intern_style(emulator, &erase) : 0;
}

static uint16_t erase_style(struct emulator *emulator)
{
	if (emulator->pen_stale)
		edit_update_pen(emulator);
	return emulator->erase_style;
}

/* Makes a single cell a blank of its own style. */
static void blank_cell(struct screen_row *row, unsigned int col)
{
	row->cells[col] = (struct screen_cell){ .glyph = ' ', .style = row->cells[col].style, .width = 1 };
}

void edit_split_pair(struct screen_row *row, unsigned int col)
{
	blank_cell(row, col - 1);
	blank_cell(row, col);
}

/* Fills columns with blanks of a style; the pairs at the edges are split already. */
static void fill(struct screen_row *row, unsigned int from, unsigned int to, uint16_t style)
{
	struct screen_cell blank = SCREEN_CELL_BLANK;
	unsigned int end = to;

	if (style == 0 && end > row->used)
		end = row->used;
	blank.style = style;
	for (unsigned int i = from; i < end; i++)
		row->cells[i] = blank;
	if (style == 0 && to >= row->used && from < row->used)
		row->used = (uint16_t)from;
	else if (style != 0 && to > row->used)
		row->used = (uint16_t)to;
}

static void fill_selective(struct emulator *emulator, struct screen_row *row, unsigned int from, unsigned int to,
	uint16_t style)
{
	for (unsigned int i = from; i < to && i < row->used; i++) {
		if (row->cells[i].flags & SCREEN_CELL_PROTECTED)
			continue;
		edit_split(emulator, row, i);
		edit_split(emulator, row, i + 1);
		row->cells[i] = (struct screen_cell){ .glyph = ' ', .style = style, .width = 1 };
	}
}

void edit_erase(struct emulator *emulator, unsigned int row, unsigned int from, unsigned int to, bool selective)
{
	struct screen_row *line = &emulator->screen.row[row];
	uint16_t style = erase_style(emulator);

	if (to > emulator->screen.cols)
		to = emulator->screen.cols;
	if (from >= to)
		return;
	spend(emulator, to - from);
	if (to == emulator->screen.cols)
		line->wrapped = false;
	if (selective) {
		fill_selective(emulator, line, from, to, style);
	} else {
		edit_split(emulator, line, from);
		edit_split(emulator, line, to);
		fill(line, from, to, style);
	}
	screen_touch(&emulator->screen, line);
}

void edit_erase_rows(struct emulator *emulator, unsigned int from, unsigned int to, bool selective)
{
	for (unsigned int i = from; i < to && i < emulator->screen.rows; i++) {
		edit_erase(emulator, i, 0, emulator->screen.cols, selective);
		emulator->screen.row[i].mark = (struct screen_mark){ 0 };
	}
}

/* Moves cells within a row; both ranges lie inside. */
static void move_cells(struct screen_row *row, unsigned int to, unsigned int from, unsigned int count)
{
	memmove(row->cells + to, row->cells + from, count * sizeof(*row->cells));
	if (to + count > row->used)
		row->used = (uint16_t)(to + count);
}

/* Moves what is right of the column by `count`, and blanks what that opens. */
static void shift_cells(struct emulator *emulator, unsigned int row, unsigned int col, unsigned int count, bool insert)
{
	struct screen_row *line = &emulator->screen.row[row];
	unsigned int right = emulator->right;

	if (col < emulator->left || col >= right)
		return;
	if (count > right - col)
		count = right - col;
	edit_split(emulator, line, col);
	edit_split(emulator, line, insert ? right - count : col + count);
	edit_split(emulator, line, right);
	spend(emulator, right - col);
	if (insert)
		move_cells(line, col + count, col, right - col - count);
	else
		move_cells(line, col, col + count, right - col - count);
	fill(line, insert ? col : right - count, insert ? col + count : right, erase_style(emulator));
	line->wrapped = false;
	screen_touch(&emulator->screen, line);
}

void edit_insert_cells(struct emulator *emulator, unsigned int row, unsigned int col, unsigned int count)
{
	shift_cells(emulator, row, col, count, true);
}

void edit_delete_cells(struct emulator *emulator, unsigned int row, unsigned int col, unsigned int count)
{
	shift_cells(emulator, row, col, count, false);
}

static bool full_width(const struct emulator *emulator)
{
	return emulator->left == 0 && emulator->right == emulator->screen.cols;
}

/* Copies the columns between the margins from one row to another. */
static void copy_between_margins(struct emulator *emulator, unsigned int to, unsigned int from)
{
	struct screen_row *target = &emulator->screen.row[to], *source = &emulator->screen.row[from];
	unsigned int left = emulator->left, right = emulator->right;

	edit_split(emulator, target, left);
	edit_split(emulator, target, right);
	edit_split(emulator, source, left);
	edit_split(emulator, source, right);
	spend(emulator, right - left);
	memcpy(target->cells + left, source->cells + left, (right - left) * sizeof(*target->cells));
	if (right > target->used)
		target->used = (uint16_t)right;
	target->wrapped = false;
	screen_touch(&emulator->screen, target);
	screen_touch(&emulator->screen, source);
}

static void fill_exposed(struct emulator *emulator, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++)
		edit_erase(emulator, i, emulator->left, emulator->right, false);
}

static void keep_lines(struct emulator *emulator, unsigned int top, unsigned int count)
{
	struct screen_row *row = &emulator->screen.row[top];

	for (unsigned int i = 0; i < count; i++)
		spend(emulator, row[i].used);
	for (unsigned int i = 0; i < count; i++)
		scrollback_push(&emulator->scrollback, row[i].cells, row[i].wrapped ? emulator->screen.cols : row[i].used,
			row[i].wrapped, row[i].mark);
}

void edit_scroll_up(struct emulator *emulator, unsigned int top, unsigned int bottom, unsigned int count, bool keep)
{
	unsigned int height = bottom - top;

	if (count > height)
		count = height;
	if (count == 0)
		return;
	emulator->last_valid = false;
	if (!full_width(emulator)) {
		for (unsigned int i = top; i + count < bottom; i++)
			copy_between_margins(emulator, i, i + count);
		fill_exposed(emulator, bottom - count, bottom);
		return;
	}
	if (keep && top == 0 && !emulator_alternate(emulator))
		keep_lines(emulator, top, count);
	spend(emulator, height + (size_t)count * emulator->screen.cols / 4);
	screen_scroll(&emulator->screen, top, bottom, (int)count);
	if (erase_style(emulator))
		fill_exposed(emulator, bottom - count, bottom);
}

void edit_scroll_down(struct emulator *emulator, unsigned int top, unsigned int bottom, unsigned int count)
{
	unsigned int height = bottom - top;
	struct screen_row *last;

	if (count > height)
		count = height;
	if (count == 0)
		return;
	emulator->last_valid = false;
	if (!full_width(emulator)) {
		for (unsigned int i = bottom - 1; i >= top + count; i--)
			copy_between_margins(emulator, i, i - count);
		fill_exposed(emulator, top, top + count);
		return;
	}
	spend(emulator, height + (size_t)count * emulator->screen.cols / 4);
	screen_scroll(&emulator->screen, top, bottom, -(int)count);
	last = &emulator->screen.row[bottom - 1];
	if (bottom == emulator->screen.rows && last->wrapped) { /* what it went on in is gone */
		last->wrapped = false;
		screen_touch(&emulator->screen, last);
	}
	if (erase_style(emulator))
		fill_exposed(emulator, top, top + count);
}

void edit_move_to(struct emulator *emulator, unsigned int row, unsigned int col)
{
	struct screen *screen = &emulator->screen;

	screen->cursor_row = row < screen->rows ? row : screen->rows - 1;
	screen->cursor_col = col < screen->cols ? col : screen->cols - 1;
	emulator->pending_wrap = false;
}

void edit_index(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;
	bool inside = screen->cursor_col >= emulator->left && screen->cursor_col < emulator->right;

	emulator->pending_wrap = false;
	if (screen->cursor_row + 1 == emulator->bottom) {
		if (inside)
			edit_scroll_up(emulator, emulator->top, emulator->bottom, 1, true);
	} else if (screen->cursor_row + 1 < screen->rows) {
		screen->cursor_row++;
	}
}

void edit_reverse_index(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;
	bool inside = screen->cursor_col >= emulator->left && screen->cursor_col < emulator->right;

	emulator->pending_wrap = false;
	if (screen->cursor_row == emulator->top) {
		if (inside)
			edit_scroll_down(emulator, emulator->top, emulator->bottom, 1);
	} else if (screen->cursor_row > 0) {
		screen->cursor_row--;
	}
}
