#include "worker/session/ansi.h"

#include <string.h>

static const char *const attribute_codes[] = { ";1", ";2", ";3", ";5", ";7", ";8", ";9", ";53" };
static const char *const underline_codes[SCREEN_UNDERLINE_COUNT] = { "", ";4", ";21", ";4:3", ";4:4", ";4:5" };

/* Palette colours below 16 have short forms: `base` 30 for the foreground, 40 for the background. */
static int put_colour(struct buf *out, uint32_t colour, unsigned int base)
{
	unsigned int index = colour & 0xff;

	switch (SCREEN_COLOUR_KIND(colour)) {
	case 1:
		if (base < 50 && index < 8)
			return buf_printf(out, ";%u", base + index);
		if (base < 50 && index < 16)
			return buf_printf(out, ";%u", base + 60 + index - 8);
		return buf_printf(out, ";%u;5;%u", base + 8, index);
	case 2:
		return buf_printf(out, ";%u;2;%u;%u;%u", base + 8, colour >> 16 & 0xff, colour >> 8 & 0xff, colour & 0xff);
	default:
		return 0;
	}
}

static int put_style(struct buf *out, const struct screen_style *style)
{
	int r = buf_append_str(out, "\033[0");

	for (size_t i = 0; !r && i < ARRAY_SIZE(attribute_codes); i++)
		if (style->attributes & 1u << i)
			r = buf_append_str(out, attribute_codes[i]);
	if (!r && style->underline < SCREEN_UNDERLINE_COUNT)
		r = buf_append_str(out, underline_codes[style->underline]);
	if (!r)
		r = put_colour(out, style->foreground, 30);
	if (!r)
		r = put_colour(out, style->background, 40);
	if (!r)
		r = put_colour(out, style->underline_colour, 50);
	return r ? r : buf_append_str(out, "m");
}

static int put_cells(struct buf *out, const struct screen *screen, const struct screen_cell *cells, size_t count)
{
	uint16_t style = 0;
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		char buffer[SCREEN_CLUSTER_BYTES_MAX];
		const char *text;
		size_t len = screen_cell_text(screen, &cells[i], buffer, &text);

		if (cells[i].style != style)
			r = put_style(out, screen_style(screen, style = cells[i].style));
		if (!r)
			r = buf_append(out, text, len);
	}
	return r ? r : buf_append_str(out, style ? "\033[0m\n" : "\n");
}

int ansi_screen(const struct screen *screen, struct buf *out)
{
	unsigned int rows = screen->rows;
	int r = 0;

	while (rows && !screen->row[rows - 1].used)
		rows--;
	for (unsigned int i = 0; !r && i < rows; i++)
		r = put_cells(out, screen, screen->row[i].cells, screen->row[i].used);
	return r;
}

/* Finds where to begin by going back until the bytes, guessed by cells, are used up; then writes forward. */
int ansi_scrollback(const struct emulator *emulator, size_t max_bytes, struct buf *out)
{
	uint64_t first = emulator_scrollback_first(emulator), end = first + emulator_scrollback_count(emulator), line = end;
	struct screen_cell cells[SCREEN_COLS_MAX];
	size_t before = out->len, guess = 0;
	int r = 0;

	while (line > first && guess < max_bytes)
		guess += emulator_scrollback_read(emulator, --line, cells, ARRAY_SIZE(cells), NULL) + 1;
	for (; !r && line < end; line++) {
		size_t count = emulator_scrollback_read(emulator, line, cells, ARRAY_SIZE(cells), NULL);

		r = put_cells(out, emulator_screen(emulator), cells, count < ARRAY_SIZE(cells) ? count : ARRAY_SIZE(cells));
	}
	if (!r && out->len - before > max_bytes) { /* colours took more: whole lines go from the front */
		size_t cut = out->len - before - max_bytes;
		const uint8_t *newline = memchr(out->data + before + cut, '\n', out->len - before - cut);

		cut = newline ? (size_t)(newline + 1 - out->data) : out->len;
		memmove(out->data + before, out->data + cut, out->len - cut);
		out->len -= cut - before;
	}
	return r;
}
