/* Putting characters into cells: runs of ASCII at once, everything else by width and grapheme cluster. */
#include <string.h>
#include <utf8proc.h>
#include "proto/base/str.h"
#include "worker/screen/internal.h"

#define ZERO_WIDTH_JOINER 0x200d
#define EMOJI_SELECTOR 0xfe0f

/* Where the line ends for the cursor: the right margin, or the screen's edge when it stands beyond it. */
static unsigned int line_limit(const struct emulator *emulator)
{
	return emulator->screen.cursor_col < emulator->right ? emulator->right : emulator->screen.cols;
}

/* Whether there will be a row below this one. */
static bool goes_on(const struct emulator *emulator)
{
	const struct screen *screen = &emulator->screen;

	return screen->cursor_row + 1 < screen->rows ||
		(emulator->bottom == screen->rows && emulator->left == 0 && emulator->right == screen->cols);
}

static void wrap(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	emulator->pending_wrap = false;
	if (screen->cursor_col + 1 == screen->cols && goes_on(emulator)) {
		cursor_row(emulator)->wrapped = true;
		screen_touch(screen, cursor_row(emulator));
	}
	edit_index(emulator);
	screen->cursor_col = screen->cursor_col < emulator->left ? 0 : emulator->left;
}

/* Opens `count` cells at the cursor for writing: wraps, inserts, splits pairs at both ends. */
static struct screen_row *open_cells(struct emulator *emulator, unsigned int count)
{
	struct screen *screen = &emulator->screen;
	struct screen_row *row = cursor_row(emulator);
	unsigned int col = screen->cursor_col;

	if (emulator->modes & MODE_INSERT)
		edit_insert_cells(emulator, screen->cursor_row, col, count);
	edit_split(emulator, row, col);
	edit_split(emulator, row, col + count);
	if (col + count > row->used)
		row->used = (uint16_t)(col + count);
	screen_touch(screen, row);
	return row;
}

/* Moves on by `count` columns that were just written, the last of them being the cell at hand. */
static void advance(struct emulator *emulator, unsigned int count, unsigned int limit)
{
	struct screen *screen = &emulator->screen;

	screen->cursor_col += count;
	if (screen->cursor_col < limit)
		return;
	screen->cursor_col = limit - 1;
	emulator->pending_wrap = emulator->modes & MODE_WRAP;
}

static void remember(struct emulator *emulator, unsigned int col, uint32_t code)
{
	emulator->last_valid = true;
	emulator->last_row = emulator->screen.cursor_row;
	emulator->last_col = col;
	emulator->last_code = emulator->repeat_code = code;
	emulator->break_state = 0;
}

static bool charset_special(const struct emulator *emulator)
{
	return emulator->single_shift || emulator->charset[emulator->gl] != 'B';
}

static const uint16_t dec_graphics[32] = { 0x00a0, 0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1,
	0x2424, 0x240b, 0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c, 0x2524,
	0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7 };

static uint32_t translate(struct emulator *emulator, uint8_t byte)
{
	uint8_t charset = emulator->charset[emulator->single_shift ? emulator->single_shift : emulator->gl];

	emulator->single_shift = 0;
	if (charset == '0' && byte >= 0x5f && byte < 0x7f)
		return byte == 0x5f ? ' ' : dec_graphics[byte - 0x5f];
	if (charset == 'A' && byte == '#')
		return 0x00a3;
	return byte;
}

/* Room for one line's worth of `len` narrow characters at the cursor; *ret_count of them fit. */
static struct screen_cell *open_part(struct emulator *emulator, size_t len, unsigned int *ret_count)
{
	unsigned int room;

	if (emulator->pen_stale)
		edit_update_pen(emulator);
	if (emulator->pending_wrap)
		wrap(emulator);
	room = line_limit(emulator) - emulator->screen.cursor_col;
	*ret_count = len < room ? (unsigned int)len : room;
	return open_cells(emulator, *ret_count)->cells + emulator->screen.cursor_col;
}

static void close_part(struct emulator *emulator, unsigned int count, uint32_t last)
{
	remember(emulator, emulator->screen.cursor_col + count - 1, last);
	advance(emulator, count, line_limit(emulator));
}

/* One line's worth of text: bytes of ASCII, or codes. Returns how many it took. */
static inline unsigned int print_part(struct emulator *emulator, const uint8_t *bytes, const uint16_t *codes, size_t len)
{
	struct screen_cell cell = { .width = 1 };
	unsigned int count;
	struct screen_cell *cells = open_part(emulator, len, &count);

	cell.style = emulator->pen_style;
	cell.flags = emulator->pen_flags;
	for (unsigned int i = 0; i < count; i++) {
		cell.glyph = bytes ? bytes[i] : codes[i];
		cells[i] = cell;
	}
	close_part(emulator, count, cell.glyph);
	return count;
}

void print_codes(struct emulator *emulator, const uint16_t *codes, size_t len)
{
	for (size_t done = 0; done < len;) {
		if (charset_special(emulator) && codes[done] < 0x80)
			print_code(emulator, translate(emulator, (uint8_t)codes[done++]));
		else if (charset_special(emulator))
			print_code(emulator, codes[done++]);
		else
			done += print_part(emulator, NULL, codes + done, len - done);
	}
}

void print_ascii(struct emulator *emulator, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		if (charset_special(emulator)) {
			print_code(emulator, translate(emulator, data[done++]));
			continue;
		}
		done += print_part(emulator, data + done, NULL, len - done);
	}
}

/* Letters, ideographs and boxes that never join what stands before them; the rest is looked up. */
static bool code_simple(uint32_t code, unsigned int *ret_width)
{
	if (code == 0xfffd || (code >= 0x20 && code < 0x7f) || (code >= 0xa1 && code < 0x300 && code != 0xa9 && code != 0xad && code != 0xae) ||
		(code >= 0x400 && code < 0x483) || (code >= 0x2500 && code < 0x25a0)) {
		*ret_width = 1;
		return true;
	}
	if ((code >= 0x3041 && code < 0x3097) || (code >= 0x30a1 && code < 0x3100) ||
		(code >= 0x4e00 && code < 0xa000) || (code >= 0xac00 && code < 0xd7a4)) {
		*ret_width = 2;
		return true;
	}
	return false;
}

static bool is_regional(uint32_t code)
{
	return code >= 0x1f1e6 && code <= 0x1f1ff;
}

/* Programs count columns by code point (wcwidth), so a character with a width of its own joins the cell before it
 * only where terminals have agreed that it does: after a joiner, as a skin tone, as the second half of a flag. */
static bool joins(struct emulator *emulator, uint32_t code, unsigned int width)
{
	bool together;

	if (!emulator->last_valid)
		return false;
	together = !utf8proc_grapheme_break_stateful((utf8proc_int32_t)emulator->last_code, (utf8proc_int32_t)code,
		&emulator->break_state);
	if (width == 0)
		return together || screen_code_joins(code);
	return together && (emulator->last_code == ZERO_WIDTH_JOINER || (code >= 0x1f3fb && code <= 0x1f3ff) ||
		(is_regional(code) && is_regional(emulator->last_code)));
}

static bool takes_emoji_selector(const char *text, size_t len)
{
	uint32_t code = 0;

	str_utf8_next(text, len, &code);
	return (code >= '0' && code <= '9') || code == '#' || code == '*' ||
		utf8proc_get_property((utf8proc_int32_t)code)->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

/* Makes the last cell two columns wide, if the cursor still stands right behind it and there is room. */
static void widen(struct emulator *emulator, struct screen_row *row)
{
	struct screen *screen = &emulator->screen;
	unsigned int col = emulator->last_col;

	if (row->cells[col].width != 1 || emulator->pending_wrap || screen->cursor_row != emulator->last_row ||
		screen->cursor_col != col + 1)
		return;
	edit_split(emulator, row, col + 2);
	row->cells[col].width = 2;
	row->cells[col + 1] = (struct screen_cell){ .style = row->cells[col].style, .flags = row->cells[col].flags };
	if (col + 2U > row->used)
		row->used = (uint16_t)(col + 2);
	advance(emulator, 1, line_limit(emulator));
}

static void join(struct emulator *emulator, uint32_t code)
{
	struct screen *screen = &emulator->screen;
	struct screen_row *row = &screen->row[emulator->last_row];
	struct screen_cell *cell = &row->cells[emulator->last_col];
	char text[SCREEN_CLUSTER_BYTES_MAX + 4], buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *before;
	size_t len = screen_cell_text(screen, cell, buffer, &before);
	uint32_t glyph;
	bool regional = is_regional(code);

	memcpy(text, before, len);
	len += (size_t)str_utf8_put(code, text + len);
	emulator->last_code = code;
	if (len > SCREEN_CLUSTER_BYTES_MAX)
		return;
	glyph = edit_intern_cluster(emulator, text, len);
	if (!glyph)
		return;
	cell->glyph = glyph;
	if (regional || (code == EMOJI_SELECTOR && takes_emoji_selector(text, len)))
		widen(emulator, row);
	screen_touch(screen, row);
}

/* A cell of its own. */
static void place(struct emulator *emulator, uint32_t code, unsigned int width)
{
	struct screen *screen = &emulator->screen;
	unsigned int limit, col;
	struct screen_row *row;

	if (emulator->pen_stale)
		edit_update_pen(emulator);
	if (emulator->pending_wrap)
		wrap(emulator);
	limit = line_limit(emulator);
	if (width == 2 && screen->cursor_col + 1 == limit && (emulator->modes & MODE_WRAP)) {
		wrap(emulator);
		limit = line_limit(emulator);
	}
	if (width == 2 && screen->cursor_col + 2 > limit) {
		if (screen->cursor_col == 0 || limit < 2) {
			width = 1;
			code = 0xfffd;
		} else {
			screen->cursor_col--;
		}
	}
	col = screen->cursor_col;
	row = open_cells(emulator, width);
	row->cells[col] = (struct screen_cell){ .glyph = code, .style = emulator->pen_style, .width = (uint8_t)width,
		.flags = emulator->pen_flags };
	if (width == 2)
		row->cells[col + 1] = (struct screen_cell){ .style = emulator->pen_style, .flags = emulator->pen_flags };
	remember(emulator, col, code);
	advance(emulator, width, limit);
}

static unsigned int code_width(uint32_t code)
{
	int width;

	if (is_regional(code))
		return 1;
	width = utf8proc_charwidth((utf8proc_int32_t)code);
	return width < 0 ? 1 : width > 2 ? 2 : (unsigned int)width;
}

void print_code(struct emulator *emulator, uint32_t code)
{
	unsigned int width;

	emulator->single_shift = 0;
	if (code_simple(code, &width)) {
		place(emulator, code, width);
		return;
	}
	if (!screen_code_allowed(code) && !screen_code_joins(code))
		return;
	width = screen_code_allowed(code) ? code_width(code) : 0;
	if (joins(emulator, code, width))
		join(emulator, code);
	else if (width)
		place(emulator, code, width);
}

/* REP: a run of ordinary letters fills rows as text does. */
void print_repeat(struct emulator *emulator, uint32_t code, unsigned int count)
{
	uint8_t text[256];
	unsigned int part;

	spend(emulator, count);
	if (code >= 0x80 || charset_special(emulator)) {
		while (count--)
			print_code(emulator, code);
		return;
	}
	memset(text, (int)code, sizeof(text));
	for (; count; count -= part) {
		part = count < sizeof(text) ? count : (unsigned int)sizeof(text);
		print_ascii(emulator, text, part);
	}
}
