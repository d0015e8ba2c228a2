/* The grid: making, copying, resizing, scrolling and reading it. */
#include "proto/wire/screen.h"

#include <stdatomic.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"

/* Each screen gives its rows generations from a range of its own. */
void screen_renew_generation(struct screen *screen)
{
	static atomic_uint_least32_t last_range;

	screen->generation = (uint64_t)(atomic_fetch_add_explicit(&last_range, 1, memory_order_relaxed) + 1)
		<< 40 | 1;
}

static void cells_blank(struct screen_cell *cells, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cells[i] = SCREEN_CELL_BLANK;
}

int screen_grid_new(struct screen *screen, unsigned int cols, unsigned int rows, struct screen_row **ret_row,
	struct screen_cell **ret_slab)
{
	struct screen_cell *slab = malloc((size_t)cols * rows * sizeof(*slab));
	struct screen_row *row = calloc(rows, sizeof(*row));

	if (!slab || !row) {
		free(slab);
		free(row);
		return -ENOMEM;
	}
	cells_blank(slab, (size_t)cols * rows);
	for (unsigned int i = 0; i < rows; i++) {
		row[i].cells = slab + (size_t)i * cols;
		screen_touch(screen, &row[i]);
	}
	*ret_row = row;
	*ret_slab = slab;
	return 0;
}

static bool size_allowed(unsigned int cols, unsigned int rows)
{
	return cols >= 1 && cols <= SCREEN_COLS_MAX && rows >= 1 && rows <= SCREEN_ROWS_MAX;
}

int screen_init(struct screen *screen, unsigned int cols, unsigned int rows)
{
	struct screen made = SCREEN_NULL;
	int r;

	if (!size_allowed(cols, rows))
		return -EINVAL;
	r = screen_style_define(&made, 0, &(struct screen_style){ 0 });
	if (r == 0)
		r = screen_grid_new(&made, cols, rows, &made.row, &made.slab);
	if (r < 0) {
		screen_deinit(&made);
		return r;
	}
	made.cols = cols;
	made.rows = rows;
	*screen = made;
	return 0;
}

void screen_deinit(struct screen *screen)
{
	free(screen->row);
	free(screen->slab);
	screen_styles_deinit(&screen->styles);
	screen_clusters_deinit(&screen->clusters);
	screen_links_deinit(&screen->links);
	*screen = SCREEN_NULL;
}

static void copy_state(struct screen *to, const struct screen *from)
{
	to->frame = from->frame;
	to->cursor_row = from->cursor_row;
	to->cursor_col = from->cursor_col;
	to->cursor_visible = from->cursor_visible;
	to->cursor_shape = from->cursor_shape;
	to->modes = from->modes;
	to->mouse_mode = from->mouse_mode;
	to->mouse_encoding = from->mouse_encoding;
	to->kitty_flags = from->kitty_flags;
	to->modify_other_keys = from->modify_other_keys;
	memcpy(to->palette, from->palette, sizeof(to->palette));
	to->title_len = from->title_len;
	memcpy(to->title, from->title, sizeof(to->title));
}

static void copy_row(struct screen_row *to, const struct screen_row *from)
{
	if (to->generation == from->generation)
		return;
	memcpy(to->cells, from->cells, from->used * sizeof(*to->cells));
	if (to->used > from->used)
		cells_blank(to->cells + from->used, to->used - from->used);
	to->used = from->used;
	to->wrapped = from->wrapped;
	to->mark = from->mark;
	to->generation = from->generation;
}

int screen_copy(struct screen *to, const struct screen *from)
{
	struct screen_row *row;
	struct screen_cell *slab;
	int r;

	if (to == from)
		return 0;
	if (from->rows && (to->cols != from->cols || to->rows != from->rows)) {
		r = screen_grid_new(to, from->cols, from->rows, &row, &slab);
		if (r < 0)
			return r;
		free(to->row);
		free(to->slab);
		to->row = row;
		to->slab = slab;
		to->cols = from->cols;
		to->rows = from->rows;
	} else if (!from->rows) {
		screen_deinit(to);
	}
	r = screen_styles_copy(&to->styles, &from->styles);
	if (r == 0)
		r = screen_clusters_copy(&to->clusters, &from->clusters);
	if (r == 0)
		r = screen_links_copy(&to->links, &from->links);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < from->rows; i++)
		copy_row(&to->row[i], &from->row[i]);
	copy_state(to, from);
	return 0;
}

int screen_resize(struct screen *screen, unsigned int cols, unsigned int rows)
{
	struct screen_row *row;
	struct screen_cell *slab;
	int r;

	if (!size_allowed(cols, rows))
		return -EINVAL;
	if (cols == screen->cols && rows == screen->rows)
		return 0;
	r = screen_grid_new(screen, cols, rows, &row, &slab);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < rows && i < screen->rows; i++) {
		unsigned int used = screen->row[i].used < cols ? screen->row[i].used : cols;

		memcpy(row[i].cells, screen->row[i].cells, used * sizeof(*slab));
		row[i].used = (uint16_t)used;
		row[i].mark = screen->row[i].mark;
	}
	free(screen->row);
	free(screen->slab);
	screen->row = row;
	screen->slab = slab;
	screen->cols = cols;
	screen->rows = rows;
	for (unsigned int i = 0; i < rows; i++)
		screen_row_mend(screen, &row[i]);
	if (screen->cursor_row >= rows)
		screen->cursor_row = rows - 1;
	if (screen->cursor_col >= cols)
		screen->cursor_col = cols - 1;
	return 0;
}

void screen_row_clear(struct screen *screen, struct screen_row *row)
{
	cells_blank(row->cells, row->used);
	row->used = 0;
	row->wrapped = false;
	row->mark = (struct screen_mark){ 0 };
	screen_touch(screen, row);
}

static void rows_reverse(struct screen_row *row, unsigned int count)
{
	for (unsigned int i = 0; i < count / 2; i++) {
		struct screen_row other = row[i];

		row[i] = row[count - 1 - i];
		row[count - 1 - i] = other;
	}
}

/* Turns the first `by` rows to the end. */
static void rows_rotate(struct screen_row *row, unsigned int count, unsigned int by)
{
	struct screen_row first;

	if (by == 1) {
		first = row[0];
		memmove(row, row + 1, (count - 1) * sizeof(*row));
		row[count - 1] = first;
		return;
	}
	rows_reverse(row, by);
	rows_reverse(row + by, count - by);
	rows_reverse(row, count);
}

void screen_scroll(struct screen *screen, unsigned int top, unsigned int bottom, int delta)
{
	unsigned int count = bottom - top, by = delta < 0 ? 0U - (unsigned int)delta : (unsigned int)delta;

	require(top < bottom && bottom <= screen->rows);
	if (by > count)
		by = count;
	rows_rotate(screen->row + top, count, delta < 0 ? count - by : by);
	for (unsigned int i = 0; i < by; i++)
		screen_row_clear(screen, &screen->row[delta < 0 ? top + i : bottom - 1 - i]);
}

void screen_row_mend(struct screen *screen, struct screen_row *row)
{
	for (unsigned int i = 0; i < row->used; i++) {
		struct screen_cell *cell = &row->cells[i];
		uint16_t style = cell->style;

		if (cell->width == 2 && i + 1 < screen->cols && row->cells[i + 1].width == 0) {
			if (i + 2U > row->used)
				row->used = (uint16_t)(i + 2);
			i++;
		} else if (cell->width != 1) {
			*cell = SCREEN_CELL_BLANK;
			cell->style = style;
		}
	}
	screen_touch(screen, row);
}

size_t screen_cell_text(const struct screen *screen, const struct screen_cell *cell, char *buffer, const char **ret_text)
{
	uint32_t index = cell->glyph & ~SCREEN_GLYPH_CLUSTER;

	*ret_text = buffer;
	if (cell->width == 0)
		return 0;
	if (!(cell->glyph & SCREEN_GLYPH_CLUSTER))
		return (size_t)str_utf8_put(cell->glyph, buffer);
	if (index >= screen->clusters.count || !screen->clusters.items[index])
		return (size_t)str_utf8_put(0xfffd, buffer);
	*ret_text = screen->clusters.items[index]->text;
	return screen->clusters.items[index]->len;
}

int screen_row_text(const struct screen *screen, unsigned int row, struct buf *out)
{
	const struct screen_row *line = &screen->row[row];
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	unsigned int used = line->used;
	const char *text;
	size_t len;
	int r;

	while (used && line->cells[used - 1].glyph == ' ')
		used--;
	for (unsigned int i = 0; i < used; i++) {
		len = screen_cell_text(screen, &line->cells[i], buffer, &text);
		r = buf_append(out, text, len);
		if (r < 0)
			return r;
	}
	return 0;
}

int screen_text(const struct screen *screen, struct buf *out)
{
	size_t end = out->len, before;
	int r;

	for (unsigned int i = 0; i < screen->rows; i++) {
		before = out->len;
		r = screen_row_text(screen, i, out);
		if (r == 0)
			r = buf_append_byte(out, '\n');
		if (r < 0)
			return r;
		if (out->len > before + 1)
			end = out->len;
	}
	out->len = end;
	if (out->data)
		out->data[end] = 0;
	return 0;
}

/* Indices of links mean nothing outside their screen. */
static bool styles_equal(const struct screen *a, const struct screen_style *x, const struct screen *b,
	const struct screen_style *y)
{
	struct screen_style other = *y;

	other.link = x->link;
	return screen_style_equal(x, &other) && screen_link_equal(a, x->link, b, y->link);
}

static bool cell_equal(const struct screen *a, const struct screen_cell *x, const struct screen *b,
	const struct screen_cell *y)
{
	char x_buffer[SCREEN_CLUSTER_BYTES_MAX], y_buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *x_text, *y_text;
	size_t len = screen_cell_text(a, x, x_buffer, &x_text);

	return x->width == y->width && len == screen_cell_text(b, y, y_buffer, &y_text) &&
		!memcmp(x_text, y_text, len) &&
		(x->width == 0 || styles_equal(a, screen_style(a, x->style), b, screen_style(b, y->style)));
}

static bool state_equal(const struct screen *a, const struct screen *b)
{
	return a->cols == b->cols && a->rows == b->rows && a->cursor_row == b->cursor_row &&
		a->cursor_col == b->cursor_col && a->cursor_visible == b->cursor_visible &&
		a->cursor_shape == b->cursor_shape && a->modes == b->modes && a->mouse_mode == b->mouse_mode &&
		a->mouse_encoding == b->mouse_encoding && a->kitty_flags == b->kitty_flags &&
		a->modify_other_keys == b->modify_other_keys && screen_palette_equal(a, b) &&
		a->title_len == b->title_len && !memcmp(a->title, b->title, a->title_len);
}

bool screen_equal(const struct screen *a, const struct screen *b)
{
	if (!state_equal(a, b))
		return false;
	for (unsigned int i = 0; i < a->rows; i++) {
		if (a->row[i].generation == b->row[i].generation)
			continue;
		if (a->row[i].wrapped != b->row[i].wrapped || a->row[i].mark.kinds != b->row[i].mark.kinds ||
			a->row[i].mark.exit_code != b->row[i].mark.exit_code)
			return false;
		for (unsigned int j = 0; j < a->cols; j++)
			if (!cell_equal(a, &a->row[i].cells[j], b, &b->row[i].cells[j]))
				return false;
	}
	return true;
}

static const uint32_t forbidden_ranges[][2] = {
	{ 0x00, 0x1f },       /* C0 */
	{ 0x7f, 0x9f },       /* DEL, C1 */
	{ 0xad, 0xad },       /* soft hyphen: terminals disagree on its width */
	{ 0x061c, 0x061c },   /* Arabic letter mark */
	{ 0x180e, 0x180e },   /* Mongolian vowel separator */
	{ 0x200b, 0x200f },   /* zero width, joiners, direction marks */
	{ 0x2028, 0x202e },   /* separators, embeddings, overrides */
	{ 0x2060, 0x206f },   /* invisible operators, isolates */
	{ 0xd800, 0xdfff },   /* surrogates */
	{ 0xfe00, 0xfe0f },   /* variation selectors */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff0, 0xfffb },   /* interlinear annotation */
	{ 0xe0000, 0xe0fff }, /* tags, more selectors */
	{ 0x110000, UINT32_MAX },
};

bool screen_code_allowed(uint32_t code)
{
	/* Most of what is written. */
	if ((code >= 0x20 && code < 0x7f) || (code >= 0xae && code < 0x61c) || (code >= 0x2070 && code < 0xd800) ||
		(code >= 0x10000 && code < 0xe0000))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(forbidden_ranges); i++)
		if (code >= forbidden_ranges[i][0] && code <= forbidden_ranges[i][1])
			return false;
	return true;
}

bool screen_code_joins(uint32_t code)
{
	return code == 0x200c || code == 0x200d || (code >= 0xfe00 && code <= 0xfe0f) ||
		(code >= 0xe0020 && code <= 0xe01ef) || (code >= 0x300 && screen_code_allowed(code));
}
