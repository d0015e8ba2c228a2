#include "console/tui/edit.h"
#include "console/tui/keys.h"
#include "proto/base/str.h"

#include <string.h>
#include <wchar.h>

void edit_init(struct edit *edit, bool lines, size_t limit_bytes)
{
	*edit = (struct edit){ .text = BUF_LIMIT(limit_bytes), .lines = lines };
}

void edit_deinit(struct edit *edit)
{
	buf_deinit(&edit->text);
	edit->cursor = 0;
}

void edit_set(struct edit *edit, const char *text)
{
	buf_clear(&edit->text);
	edit->cursor = 0;
	edit->top = 0;
	edit_insert(edit, text, strlen(text));
}

static size_t before(const struct edit *edit, size_t at)
{
	if (at == 0)
		return 0;
	do
		at--;
	while (at > 0 && (edit->text.data[at] & 0xc0) == 0x80);
	return at;
}

static size_t after(const struct edit *edit, size_t at)
{
	if (at >= edit->text.len)
		return edit->text.len;
	do
		at++;
	while (at < edit->text.len && (edit->text.data[at] & 0xc0) == 0x80);
	return at;
}

static void erase_range(struct edit *edit, size_t from, size_t to)
{
	if (from >= to)
		return;
	memmove(edit->text.data + from, edit->text.data + to, edit->text.len - to);
	edit->text.len -= to - from;
	edit->text.data[edit->text.len] = 0;
	edit->cursor = from;
}

static int insert_bytes(struct edit *edit, const char *data, size_t len)
{
	size_t tail = edit->text.len - edit->cursor;
	int r = buf_append(&edit->text, data, len);

	if (r < 0)
		return r;
	memmove(edit->text.data + edit->cursor + len, edit->text.data + edit->cursor, tail);
	memcpy(edit->text.data + edit->cursor, data, len);
	edit->cursor += len;
	return 0;
}

bool edit_insert(struct edit *edit, const char *text, size_t len)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;

	while (len) {
		uint32_t code;
		char out[4];
		int n = str_utf8_next(text, len, &code);

		if (n > 0 && (code == '\r' || code == '\n') && edit->lines) {
			if (!(code == '\n' && clean.len && text[-1] == '\r'))
				buf_append_byte(&clean, '\n');
		} else if (n > 0 && code == '\t' && edit->lines) {
			buf_append_byte(&clean, '\t');
		} else if (n > 0 && (code < 32 || code == 127)) {
			buf_append_byte(&clean, ' ');
		} else if (n > 0) {
			buf_append(&clean, out, (size_t)str_utf8_put(code, out));
		}
		text += n > 0 ? n : 1;
		len -= n > 0 ? (size_t)n : 1;
	}
	return insert_bytes(edit, buf_text(&clean), clean.len) == 0;
}

static size_t line_start(const struct edit *edit, size_t at)
{
	while (at > 0 && edit->text.data[at - 1] != '\n')
		at--;
	return at;
}

static size_t line_end(const struct edit *edit, size_t at)
{
	while (at < edit->text.len && edit->text.data[at] != '\n')
		at++;
	return at;
}

static void move_line(struct edit *edit, bool down)
{
	size_t start = line_start(edit, edit->cursor), column = edit->cursor - start, to, end;

	if (down) {
		to = line_end(edit, edit->cursor);
		if (to == edit->text.len)
			return;
		to++;
	} else {
		if (start == 0)
			return;
		to = line_start(edit, start - 1);
	}
	end = line_end(edit, to);
	edit->cursor = to + column < end ? to + column : end;
	while (edit->cursor > to && edit->cursor < edit->text.len && (edit->text.data[edit->cursor] & 0xc0) == 0x80)
		edit->cursor--;
}

static size_t word_start(const struct edit *edit)
{
	size_t at = edit->cursor;

	while (at > 0 && edit->text.data[at - 1] == ' ')
		at--;
	while (at > 0 && edit->text.data[at - 1] != ' ' && edit->text.data[at - 1] != '\n')
		at--;
	return at;
}

static bool move_key(struct edit *edit, int key)
{
	switch (key) {
	case KEY_CURSES(KEY_LEFT):
		edit->cursor = before(edit, edit->cursor);
		return true;
	case KEY_CURSES(KEY_RIGHT):
		edit->cursor = after(edit, edit->cursor);
		return true;
	case KEY_CURSES(KEY_HOME):
	case KEY_CTRL('A'):
		edit->cursor = line_start(edit, edit->cursor);
		return true;
	case KEY_CURSES(KEY_END):
	case KEY_CTRL('E'):
		edit->cursor = line_end(edit, edit->cursor);
		return true;
	case KEY_CURSES(KEY_UP):
	case KEY_CURSES(KEY_DOWN):
		if (edit->lines)
			move_line(edit, key == KEY_CURSES(KEY_DOWN));
		return edit->lines;
	default:
		return false;
	}
}

bool edit_key(struct edit *edit, int key)
{
	char out[4];

	if (move_key(edit, key))
		return true;
	switch (key) {
	case KEY_CURSES(KEY_BACKSPACE):
	case 127:
	case KEY_CTRL('H'):
		erase_range(edit, before(edit, edit->cursor), edit->cursor);
		return true;
	case KEY_CURSES(KEY_DC):
		erase_range(edit, edit->cursor, after(edit, edit->cursor));
		return true;
	case KEY_CTRL('U'):
		erase_range(edit, line_start(edit, edit->cursor), edit->cursor);
		return true;
	case KEY_CTRL('K'): {
		size_t at = edit->cursor;

		erase_range(edit, at, line_end(edit, at));
		return true;
	}
	case KEY_CTRL('W'):
		erase_range(edit, word_start(edit), edit->cursor);
		return true;
	case '\r':
	case '\n':
		if (edit->lines)
			insert_bytes(edit, "\n", 1);
		return edit->lines;
	default:
		if (key < 32 || key >= KEY_FUNCTION_BIT)
			return false;
		insert_bytes(edit, out, (size_t)str_utf8_put((uint32_t)key, out));
		return true;
	}
}

/* Where the cursor stands when every line is broken hard at `width` columns, and the start of each line on the way. */
static void place(const struct edit *edit, size_t to, int width, int *ret_line, int *ret_column)
{
	const char *text = buf_text(&edit->text);
	int line = 0, column = 0;

	for (size_t at = 0; at < to;) {
		uint32_t code;
		int n = str_utf8_next(text + at, edit->text.len - at, &code);
		int w = n > 0 ? wcwidth((wchar_t)code) : 1;

		at += n > 0 ? (size_t)n : 1;
		if (n > 0 && code == '\n') {
			line++;
			column = 0;
			continue;
		}
		w = w < 0 ? 1 : w;
		if (column + w > width) {
			line++;
			column = 0;
		}
		column += w;
	}
	if (column >= width) {
		line++;
		column = 0;
	}
	*ret_line = line;
	*ret_column = column;
}

static void draw_lines(const struct theme *theme, const struct edit *edit, struct area area, struct theme_look look)
{
	const char *text = buf_text(&edit->text);
	size_t start = 0;

	while (start < edit->text.len) {
		size_t end = start;
		int line, column, at_line;

		place(edit, start, area.w, &line, &column);
		at_line = line;
		while (end < edit->text.len && text[end] != '\n') {
			size_t next = after(edit, end);
			int next_line, next_column;

			place(edit, next, area.w, &next_line, &next_column);
			end = next;
			if (next_line > at_line)
				break;
		}
		if (line >= edit->top && line - edit->top < area.h)
			draw_bytes(theme, area.y + line - edit->top, area.x, area.w, look, text + start, end - start);
		start = end < edit->text.len && text[end] == '\n' ? end + 1 : end;
	}
}

/* One line is shown from where the cursor can be seen. */
static void draw_line(const struct theme *theme, struct edit *edit, struct area area, struct theme_look look, int *ret_x)
{
	const char *text = buf_text(&edit->text);
	size_t start = 0;
	int line, column;

	for (;;) {
		struct edit part = { .text = edit->text };

		part.text.data = (uint8_t *)text + start;
		part.text.len = edit->text.len - start;
		place(&part, edit->cursor - start, INT16_MAX, &line, &column);
		if (column < area.w || start >= edit->cursor)
			break;
		start = after(edit, start);
	}
	draw_bytes(theme, area.y, area.x, area.w, look, text + start, edit->text.len - start);
	*ret_x = area.x + column;
}

void edit_draw(const struct theme *theme, struct edit *edit, struct area area, struct theme_look look, int *ret_y, int *ret_x)
{
	int line, column;

	*ret_y = area.y;
	*ret_x = area.x;
	if (area.w <= 0 || area.h <= 0)
		return;
	if (!edit->lines) {
		if (edit->text.len)
			draw_line(theme, edit, area, look, ret_x);
		return;
	}
	place(edit, edit->cursor, area.w, &line, &column);
	if (line < edit->top)
		edit->top = line;
	if (line >= edit->top + area.h)
		edit->top = line - area.h + 1;
	draw_lines(theme, edit, area, look);
	*ret_y = area.y + line - edit->top;
	*ret_x = area.x + column;
}

bool filter_match(const struct filter *filter, const char *text)
{
	_cleanup_free_ char *words = strdup(buf_text(&filter->edit.text));
	char *save = NULL;

	for (char *word = words ? strtok_r(words, " \t", &save) : NULL; word; word = strtok_r(NULL, " \t", &save))
		if (!strcasestr(text, word))
			return false;
	return true;
}
