#include "console/tui/draw.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"

#include <string.h>
#include <wchar.h>

struct theme_look draw_look(const struct theme *theme, enum theme_role role, attr_t more)
{
	struct theme_look look = theme->looks[role];

	look.attributes |= more;
	return look;
}

static void set_look(struct theme_look look)
{
	attr_set(look.attributes, 0, &look.pair);
}

/* One code point as the terminal can show it. */
static wchar_t shown(uint32_t code)
{
	return wcwidth((wchar_t)code) < 0 ? L'?' : (wchar_t)code;
}

/* Decodes cleaned text; stops where the next glyph would pass `width`. *ret_used: bytes. Returns columns. */
static int fit(const char *text, size_t len, int width, size_t *ret_used)
{
	size_t used = 0;
	int columns = 0;

	while (used < len) {
		uint32_t code;
		int n = str_utf8_next(text + used, len - used, &code);
		int w = n > 0 ? wcwidth(shown(code)) : 1;

		if (n == 0 || columns + w > width)
			break;
		used += n > 0 ? (size_t)n : 1;
		columns += w;
	}
	*ret_used = used;
	return columns;
}

static void put(const char *text, size_t len)
{
	while (len) {
		wchar_t wide[64];
		int n = 0;

		while (len && n < 64) {
			uint32_t code;
			int bytes = str_utf8_next(text, len, &code);

			wide[n++] = bytes > 0 ? shown(code) : L'?';
			text += bytes > 0 ? bytes : 1;
			len -= bytes > 0 ? (size_t)bytes : 1;
		}
		addnwstr(wide, n);
	}
}

int draw_width(const char *text)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	size_t used;

	str_clean(&clean, text, strlen(text));
	return fit(buf_text(&clean), clean.len, INT16_MAX, &used);
}

int draw_bytes(const struct theme *theme, int y, int x, int width, struct theme_look look, const void *text, size_t len)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	size_t used;
	int columns;

	if (width <= 0 || y < 0 || y >= LINES || x < 0 || x >= COLS)
		return 0;
	if (width > COLS - x)
		width = COLS - x;
	if (str_clean(&clean, text, len) < 0)
		return 0;
	columns = fit(buf_text(&clean), clean.len, width, &used);
	set_look(look);
	move(y, x);
	if (used == clean.len) {
		put(buf_text(&clean), used);
		return columns;
	}
	columns = fit(buf_text(&clean), clean.len, width - 1, &used);
	put(buf_text(&clean), used);
	put(theme_sign(theme, SIGN_MORE), strlen(theme_sign(theme, SIGN_MORE)));
	return columns + 1;
}

int draw_text(const struct theme *theme, int y, int x, int width, struct theme_look look, const char *text)
{
	return draw_bytes(theme, y, x, width, look, text, strlen(text));
}

void draw_fill(struct area area, struct theme_look look)
{
	set_look(look);
	for (int y = area.y; y < area.y + area.h && y < LINES; y++) {
		if (y < 0 || area.x >= COLS)
			continue;
		move(y, area.x);
		for (int x = area.x; x < area.x + area.w && x < COLS; x++)
			addch(' ');
	}
}

void draw_field(const struct theme *theme, int y, int x, int width, struct theme_look look, const char *text)
{
	int used = draw_text(theme, y, x, width, look, text);

	draw_fill((struct area){ y, x + used, 1, width - used }, look);
}

void draw_repeat(const struct theme *theme, int y, int x, int count, struct theme_look look, enum theme_sign sign)
{
	const char *text = theme_sign(theme, sign);

	if (y < 0 || y >= LINES || x >= COLS)
		return;
	set_look(look);
	move(y, x);
	for (int i = 0; i < count && x + i < COLS; i++)
		put(text, strlen(text));
}

static void draw_sign(const struct theme *theme, int y, int x, struct theme_look look, enum theme_sign sign)
{
	draw_repeat(theme, y, x, 1, look, sign);
}

void draw_box(const struct theme *theme, struct area area, struct theme_look look)
{
	int bottom = area.y + area.h - 1, right = area.x + area.w - 1;

	if (area.h < 2 || area.w < 2)
		return;
	draw_repeat(theme, area.y, area.x + 1, area.w - 2, look, SIGN_HORIZONTAL);
	draw_repeat(theme, bottom, area.x + 1, area.w - 2, look, SIGN_HORIZONTAL);
	for (int y = area.y + 1; y < bottom; y++) {
		draw_sign(theme, y, area.x, look, SIGN_VERTICAL);
		draw_sign(theme, y, right, look, SIGN_VERTICAL);
	}
	draw_sign(theme, area.y, area.x, look, SIGN_TOP_LEFT);
	draw_sign(theme, area.y, right, look, SIGN_TOP_RIGHT);
	draw_sign(theme, bottom, area.x, look, SIGN_BOTTOM_LEFT);
	draw_sign(theme, bottom, right, look, SIGN_BOTTOM_RIGHT);
}

struct area draw_pane(const struct theme *theme, struct area area, bool focus, const char *title)
{
	struct theme_look look = draw_look(theme, focus ? THEME_FOCUS : THEME_BORDER, 0);
	int used;

	draw_box(theme, area, look);
	if (title && area.w > 6) {
		used = draw_text(theme, area.y, area.x + 2, area.w - 5, draw_look(theme, focus ? THEME_FOCUS : THEME_STRONG, 0),
			title);
		draw_text(theme, area.y, area.x + 1, 1, look, " ");
		draw_text(theme, area.y, area.x + 2 + used, 1, look, " ");
	}
	return (struct area){ area.y + 1, area.x + 1, area.h > 2 ? area.h - 2 : 0, area.w > 2 ? area.w - 2 : 0 };
}

void draw_meter(const struct theme *theme, int y, int x, int width, struct theme_look look, unsigned int percent)
{
	int full = (int)((percent > 100 ? 100 : percent) * (unsigned int)(width > 0 ? width : 0) / 100);

	draw_repeat(theme, y, x, full, look, SIGN_BAR_FULL);
	draw_repeat(theme, y, x + full, width - full, draw_look(theme, THEME_DIM, 0), SIGN_BAR_EMPTY);
}

/* Bytes of the next line of at most `width` columns: up to the last blank that fits. */
static size_t next_line(const char *text, size_t len, int width, size_t *ret_skip)
{
	const char *newline = memchr(text, '\n', len);
	size_t used, end = newline ? (size_t)(newline - text) : len;

	fit(text, end, width, &used);
	*ret_skip = used;
	if (used == end) {
		*ret_skip = newline ? used + 1 : used;
		return used;
	}
	for (size_t i = used; i > 0; i--) {
		if (text[i] == ' ') {
			*ret_skip = i + 1;
			return i;
		}
	}
	if (used == 0)
		*ret_skip = used = 1;
	return used;
}

int draw_wrapped(const struct theme *theme, struct area area, struct theme_look look, const void *data, size_t len, int skip)
{
	const char *text = data;
	int line = 0;

	if (area.w <= 0)
		return 0;
	while (len) {
		size_t used, step;

		used = next_line(text, len, area.w, &step);
		if (line >= skip && line - skip < area.h)
			draw_bytes(theme, area.y + line - skip, area.x, area.w, look, text, used);
		line++;
		text += step;
		len -= step;
	}
	return line;
}

void draw_scrollbar(const struct theme *theme, int y, int x, int height, size_t first, size_t shown_lines, size_t total)
{
	int size, at;

	if (total <= shown_lines || height <= 0)
		return;
	size = (int)((size_t)height * shown_lines / total);
	size = size < 1 ? 1 : size;
	at = (int)((size_t)(height - size) * first / (total - shown_lines));
	for (int i = 0; i < size; i++)
		draw_sign(theme, y + at + i, x, draw_look(theme, THEME_STRONG, 0), SIGN_SCROLL);
}
