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

/* What is being written: lines that a program wrapped are cut at `cols`, whatever width they had. */
struct writer {
	struct buf *out;
	const struct screen *screen;
	unsigned int cols, col;
	uint16_t style;
	bool marks; /* of prompts are told */
};

static int end_line(struct writer *writer)
{
	uint16_t style = writer->style;

	writer->col = writer->style = 0;
	return buf_append_str(writer->out, style ? "\033[0m\n" : "\n");
}

static int put_cell(struct writer *writer, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(writer->screen, cell, buffer, &text);
	int r = 0;

	if (writer->col + cell->width > writer->cols && cell->width)
		r = end_line(writer);
	if (!r && cell->style != writer->style)
		r = put_style(writer->out, screen_style(writer->screen, writer->style = cell->style));
	writer->col += cell->width;
	return r ? r : buf_append(writer->out, text, len);
}

static int put_cells(struct writer *writer, const struct screen_cell *cells, size_t count, bool wrapped,
	struct screen_mark mark)
{
	int r = 0;

	if (writer->marks && mark.kinds && count && writer->col >= writer->cols)
		r = end_line(writer);
	if (!r && writer->marks)
		r = screen_mark_put(mark, writer->out);
	for (size_t i = 0; !r && i < count; i++)
		r = put_cell(writer, &cells[i]);
	return r || wrapped ? r : end_line(writer);
}

int ansi_screen(const struct screen *screen, bool marks, struct buf *out)
{
	struct writer writer = { .out = out, .screen = screen, .cols = screen->cols, .marks = marks };
	unsigned int rows = screen->rows;
	int r = 0;

	while (rows && !screen->row[rows - 1].used)
		rows--;
	for (unsigned int i = 0; !r && i < rows; i++)
		r = put_cells(&writer, screen->row[i].cells, screen->row[i].used, false, screen->row[i].mark);
	return r;
}

/* Finds where to begin by going back until the bytes, guessed by cells, are used up; then writes forward. */
int ansi_scrollback(const struct emulator *emulator, size_t max_bytes, struct buf *out)
{
	uint64_t first = emulator_scrollback_first(emulator), end = first + emulator_scrollback_count(emulator), line = end;
	struct writer writer = { .out = out, .screen = emulator_screen(emulator), .cols = emulator_screen(emulator)->cols,
		.marks = true };
	struct screen_cell cells[SCREEN_COLS_MAX];
	size_t before = out->len, guess = 0;
	bool wrapped = false;
	int r = 0;

	while (line > first && guess < max_bytes)
		guess += emulator_scrollback_read(emulator, --line, cells, ARRAY_SIZE(cells), NULL) + 1;
	for (; !r && line < end; line++) {
		size_t count = emulator_scrollback_read(emulator, line, cells, ARRAY_SIZE(cells), &wrapped);

		r = put_cells(&writer, cells, count < ARRAY_SIZE(cells) ? count : ARRAY_SIZE(cells), wrapped,
			emulator_scrollback_mark(emulator, line));
	}
	if (!r && wrapped) /* goes on in the screen */
		r = end_line(&writer);
	if (!r && out->len - before > max_bytes) { /* colours took more: whole lines go from the front */
		size_t cut = out->len - before - max_bytes;
		const uint8_t *newline = memchr(out->data + before + cut, '\n', out->len - before - cut);

		cut = newline ? (size_t)(newline + 1 - out->data) : out->len;
		memmove(out->data + before, out->data + cut, out->len - cut);
		out->len -= cut - before;
	}
	return r;
}
