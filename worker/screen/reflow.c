/* Lines in a new width. Rows that a program wrapped are joined and cut again; all lines pass through a new
 * scrollback, whose newest ones then become the screen. */
#include "worker/screen/internal.h"

#include <string.h>

#define PACKED_CELL_BYTES_MAX 24U /* a cell alone on its line, with all heads */
#define CHUNK_SLACK_BYTES (4U << 16)

struct flow {
	struct scrollback out;
	unsigned int cols;
	struct screen_cell line[SCREEN_COLS_MAX]; /* the row being filled */
	unsigned int fill;
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

	r = scrollback_push(&flow->out, flow->line, flow->fill, wrapped);
	flow->fill = 0;
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

/* cursor: its column, or -1 if it is not in this row. */
static int add_row(struct flow *flow, const struct screen_cell *cells, unsigned int count, bool wrapped, int cursor)
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
	}
	if (cursor >= (int)count && flow->fill == flow->cols)
		note_cursor(flow, 1);
	else if (cursor >= (int)count)
		note_cursor(flow, (unsigned int)cursor - count);
	return wrapped ? 0 : flush(flow, false);
}

static int flow_scrollback(struct flow *flow, const struct scrollback *from)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	unsigned int count;
	bool wrapped;
	int r;

	for (size_t i = 0; i < from->count; i++) {
		count = scrollback_read(from, i, cells, ARRAY_SIZE(cells), &wrapped);
		r = add_row(flow, cells, count, wrapped, -1);
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
			i == grid->cursor_row ? (int)grid->cursor_col : -1);
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
	}
	scrollback_truncate(&flow->out, end - top);
	grid->cursor_row = (unsigned int)(flow->cursor_line - top);
	if (grid->cursor_row >= rows)
		grid->cursor_row = rows - 1;
	grid->cursor_col = flow->cursor_col;
}

static size_t packed_bytes_max(const struct emulator *emulator)
{
	return (size_t)emulator->screen.rows * (emulator->screen.cols + 1) * PACKED_CELL_BYTES_MAX + CHUNK_SLACK_BYTES;
}

int reflow(struct emulator *emulator, const struct screen_row *old, unsigned int cols, unsigned int rows,
	struct reflow_grid *grid)
{
	struct flow flow = { .cols = cols };
	struct scrollback *scrollback = &emulator->scrollback;
	size_t limit = scrollback->limit_bytes;
	unsigned int count;
	int r;

	if (grid->cursor_row >= emulator->screen.rows)
		grid->cursor_row = emulator->screen.rows - 1;
	if (grid->cursor_col >= emulator->screen.cols)
		grid->cursor_col = emulator->screen.cols - 1;
	count = content_rows(emulator, old, grid->cursor_row);
	scrollback_init(&flow.out, limit + packed_bytes_max(emulator));
	flow.out.first = scrollback->first;
	r = flow_scrollback(&flow, scrollback);
	if (r == 0)
		r = flow_screen(&flow, emulator, old, count, grid);
	if (r == 0)
		r = screen_grid_new(&emulator->screen, cols, rows, &grid->row, &grid->slab);
	if (r < 0) {
		scrollback_deinit(&flow.out);
		return r;
	}
	take_rows(&flow, rows, find_top(&flow, rows, count == emulator->screen.rows), grid);
	scrollback_set_limit(&flow.out, limit);
	scrollback_deinit(scrollback);
	*scrollback = flow.out;
	return 0;
}
