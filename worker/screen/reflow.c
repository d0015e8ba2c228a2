/* Lines in a new width. Rows that a program wrapped are joined and cut again: those of the screen, and as many of the
 * newest lines above it as the new screen can show. They pass through a small scrollback, whose newest lines then become
 * the screen and whose others go back. The lines further up keep the width they had, so that a resize costs no more for
 * a long past; whoever shows them cuts them then. */
#include "worker/screen/internal.h"

#include <string.h>

#define PACKED_CELL_BYTES_MAX 24U /* a cell alone on its line, with all heads */
#define CHUNK_SLACK_BYTES (4U << 16)
#define FLOW_CELLS_MAX 65536U /* beyond what the new screen holds; a longer line is cut where it is now */

struct flow {
	struct scrollback out;
	unsigned int cols;
	struct screen_cell line[SCREEN_COLS_MAX]; /* the row being filled */
	unsigned int fill;
	struct screen_mark mark; /* of the row being filled */
	uint64_t screen_first; /* line in which the old screen starts */
	uint64_t cursor_line;
	unsigned int cursor_col;
};

static uint64_t current_line(const struct flow *flow)
{
	return flow->out.first + flow->out.count;
}

static int flush(struct flow *flow, bool wrapped)
{
	int r;

	r = scrollback_push(&flow->out, flow->line, flow->fill, wrapped, flow->mark);
	flow->fill = 0;
	flow->mark = (struct screen_mark){ 0 };
	return r;
}

static int add_cell(struct flow *flow, struct screen_cell cell)
{
	int r;

	if (cell.width == 0)
		return 0;
	if (cell.width == 2 && flow->cols == 1)
		cell = (struct screen_cell){ .glyph = 0xfffd, .style = cell.style, .width = 1 };
	if (flow->fill + cell.width > flow->cols) {
		r = flush(flow, true);
		if (r < 0)
			return r;
	}
	flow->line[flow->fill++] = cell;
	if (cell.width == 2)
		flow->line[flow->fill++] = (struct screen_cell){ .style = cell.style, .flags = cell.flags };
	return 0;
}

/* Where the cursor is if it stands on the cell that comes next. */
static void note_cursor(struct flow *flow, unsigned int beyond)
{
	unsigned int col = flow->fill + beyond;

	flow->cursor_line = current_line(flow);
	if (col >= flow->cols && beyond == 0) {
		/* The cell will start the next row. */
		flow->cursor_line++;
		col = 0;
	}
	flow->cursor_col = col < flow->cols ? col : flow->cols - 1;
}

/* A mark goes where the first cell of its row goes, to those that are there. */
static void add_mark(struct flow *flow, struct screen_mark mark)
{
	flow->mark.kinds |= mark.kinds;
	if (mark.kinds & SCREEN_MARK_EXIT)
		flow->mark.exit_code = mark.exit_code;
}

/* cursor: its column, or -1 if it is not in this row. */
static int add_row(struct flow *flow, const struct screen_cell *cells, unsigned int count, bool wrapped,
	struct screen_mark mark, int cursor)
{
	int r;

	while (!wrapped && count && cells[count - 1].glyph == ' ' && cells[count - 1].style == 0)
		count--;
	for (unsigned int i = 0; i < count; i++) {
		if (cursor == (int)i)
			note_cursor(flow, 0);
		r = add_cell(flow, cells[i]);
		if (r < 0)
			return r;
		if (i == 0)
			add_mark(flow, mark);
	}
	if (count == 0)
		add_mark(flow, mark);
	if (cursor >= (int)count && flow->fill == flow->cols)
		note_cursor(flow, 1);
	else if (cursor >= (int)count)
		note_cursor(flow, (unsigned int)cursor - count);
	return wrapped ? 0 : flush(flow, false);
}

/* How many of the newest lines may come to stand on the new screen, whole lines where they are not too long, and how
 * many cells those have. */
static size_t lines_to_flow(const struct scrollback *from, unsigned int cols, unsigned int rows, size_t *ret_cells)
{
	size_t lines = 0, cells = 0, height = 0, length = 0, limit = (size_t)rows * cols + FLOW_CELLS_MAX;
	unsigned int count;
	bool wrapped;

	for (; lines < from->count && cells < limit; lines++) {
		count = scrollback_read(from, from->count - 1 - lines, NULL, 0, &wrapped);
		if (!wrapped && lines) {
			height += length > cols ? (length + cols - 1) / cols : 1;
			length = 0;
		}
		if (!wrapped && height >= rows)
			break;
		length += count;
		cells += count + 1;
	}
	*ret_cells = cells;
	return lines;
}

static int flow_scrollback(struct flow *flow, const struct scrollback *from, size_t lines)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	unsigned int count;
	bool wrapped;
	int r;

	for (size_t i = from->count - lines; i < from->count; i++) {
		count = scrollback_read(from, i, cells, ARRAY_SIZE(cells), &wrapped);
		r = add_row(flow, cells, count, wrapped, scrollback_prompt(from, i), -1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* How many rows of the screen count: to the last that shows something, or the cursor's. */
static unsigned int content_rows(const struct emulator *emulator, const struct screen_row *old, unsigned int cursor_row)
{
	unsigned int count = emulator->screen.rows;

	while (count > cursor_row + 1 && old[count - 1].used == 0)
		count--;
	return count;
}

static int flow_screen(struct flow *flow, const struct emulator *emulator, const struct screen_row *old,
	unsigned int count, const struct reflow_grid *grid)
{
	int r;

	flow->screen_first = current_line(flow);
	for (unsigned int i = 0; i < count; i++) {
		bool wrapped = old[i].wrapped && i + 1 < count;

		r = add_row(flow, old[i].cells, old[i].wrapped ? emulator->screen.cols : old[i].used, wrapped,
			old[i].mark, i == grid->cursor_row ? (int)grid->cursor_col : -1);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The line that becomes the first row: the newest lines are shown if the screen was full, else it keeps its top. The
 * cursor's line is always there. */
static uint64_t find_top(const struct flow *flow, unsigned int rows, bool was_full)
{
	uint64_t end = current_line(flow), top = flow->screen_first;

	if (end - top >= rows)
		top = end - rows;
	else if (was_full)
		top = end - flow->out.first > rows ? end - rows : flow->out.first;
	return flow->cursor_line < top ? flow->cursor_line : top;
}

static void take_rows(struct flow *flow, unsigned int rows, uint64_t top, struct reflow_grid *grid)
{
	uint64_t end = current_line(flow);

	for (unsigned int i = 0; i < rows && top + i < end; i++) {
		struct screen_row *row = &grid->row[i];

		row->used = (uint16_t)scrollback_read(&flow->out, top + i - flow->out.first, row->cells, flow->cols,
			&row->wrapped);
		row->mark = scrollback_prompt(&flow->out, top + i - flow->out.first);
	}
	if (end - top > rows)
		grid->row[rows - 1].wrapped = false; /* what it went on in is gone */
	scrollback_truncate(&flow->out, end - top);
	grid->cursor_row = (unsigned int)(flow->cursor_line - top);
	if (grid->cursor_row >= rows)
		grid->cursor_row = rows - 1;
	grid->cursor_col = flow->cursor_col;
}

/* Where memory is short a line is lost, as when it scrolls away. */
static void put_back(struct scrollback *to, size_t lines, const struct scrollback *flowed)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	unsigned int count;
	bool wrapped;

	scrollback_truncate(to, lines);
	for (size_t i = 0; i < flowed->count; i++) {
		count = scrollback_read(flowed, i, cells, ARRAY_SIZE(cells), &wrapped);
		(void)scrollback_push(to, cells, count, wrapped, scrollback_prompt(flowed, i));
	}
}

static size_t packed_bytes_max(const struct emulator *emulator, size_t cells)
{
	return ((size_t)emulator->screen.rows * (emulator->screen.cols + 1) + cells) * PACKED_CELL_BYTES_MAX +
		CHUNK_SLACK_BYTES;
}

int reflow(struct emulator *emulator, const struct screen_row *old, unsigned int cols, unsigned int rows,
	struct reflow_grid *grid)
{
	struct flow flow = { .cols = cols };
	struct scrollback *scrollback = &emulator->scrollback;
	unsigned int count;
	size_t lines, cells;
	int r;

	if (grid->cursor_row >= emulator->screen.rows)
		grid->cursor_row = emulator->screen.rows - 1;
	if (grid->cursor_col >= emulator->screen.cols)
		grid->cursor_col = emulator->screen.cols - 1;
	count = content_rows(emulator, old, grid->cursor_row);
	lines = lines_to_flow(scrollback, cols, rows, &cells);
	scrollback_init(&flow.out, packed_bytes_max(emulator, cells));
	flow.out.first = scrollback->first + scrollback->count - lines;
	r = flow_scrollback(&flow, scrollback, lines);
	if (r == 0)
		r = flow_screen(&flow, emulator, old, count, grid);
	if (r == 0)
		r = screen_grid_new(&emulator->screen, cols, rows, &grid->row, &grid->slab);
	if (r == 0) {
		take_rows(&flow, rows, find_top(&flow, rows, count == emulator->screen.rows), grid);
		put_back(scrollback, lines, &flow.out);
	}
	scrollback_deinit(&flow.out);
	return r;
}
