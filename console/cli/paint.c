#include "console/cli/paint.h"

#include <string.h>

/* Synchronized output (2026) is ignored by terminals that do not know it. */
#define SYNC_BEGIN "\033[?2026h"
#define SYNC_END "\033[?2026l"
#define MOUSE_END "\033[?9l\033[?1000l\033[?1002l\033[?1003l\033[?1005l\033[?1006l\033[?1015l"

int paint_begin(struct buf *out)
{
	return buf_append_str(out, "\033[?1049h\033[m\033[2J\033[H\033[?7l");
}

const char *paint_end_sequence(void)
{
	/* every mode that we may have set, then the main screen */
	return SYNC_END "\033[>4;0m\033[m\033[?7h\033[?1l\033>\033[?2004l\033[?1004l" MOUSE_END
			"\033[?5l\033[=0;1u\033[0 q\033[?25h\033[?1049l";
}

struct paint_terminal paint_terminal_named(const char *name)
{
	static const char *const plain[] = { "linux", "dumb", "vt1", "vt2", "ansi", "cons25", "rxvt", "screen", "sun", "wsvt",
		"putty" };
	bool all = name != NULL;

	for (size_t i = 0; all && i < ARRAY_SIZE(plain); i++)
		all = strncmp(name, plain[i], strlen(plain[i])) != 0;
	return (struct paint_terminal){ .underlines = all, .links = all, .keys = all, .cursor = all };
}

void paint_init(struct paint *paint, unsigned int cols, unsigned int rows)
{
	*paint = (struct paint){ .cols = cols, .rows = rows, .shown = SCREEN_NULL,
		.terminal = { .underlines = true, .links = true, .keys = true, .cursor = true } };
}

void paint_deinit(struct paint *paint)
{
	screen_deinit(&paint->shown);
}

void paint_invalidate(struct paint *paint, unsigned int cols, unsigned int rows)
{
	paint->cols = cols;
	paint->rows = rows;
	paint->valid = false;
}

static int put_colour(uint32_t colour, unsigned int base, struct buf *out)
{
	unsigned int index = colour & 0xff;

	switch (SCREEN_COLOUR_KIND(colour)) {
	case 0:
		return 0;
	case 1:
		/* The short forms, as terminfo has them: a terminal that brightens bold text does so for these only. */
		if (index < 16 && base != 58)
			return buf_printf(out, ";%u", index < 8 ? base - 8 + index : base + 44 + index);
		/* Colons for the underline's: who does not know 58 must not take what follows it for faint or blinking. */
		return buf_printf(out, base == 58 ? ";%u:5:%u" : ";%u;5;%u", base, index);
	default:
		return buf_printf(out, base == 58 ? ";%u:2::%u:%u:%u" : ";%u;2;%u;%u;%u", base, colour >> 16 & 0xff, colour >> 8 & 0xff, colour & 0xff);
	}
}

static int put_underline(const struct paint *paint, const struct screen *screen, const struct screen_style *style,
	struct buf *out)
{
	int r;

	if (!style->underline)
		return 0;
	if (!paint->terminal.underlines || style->underline == SCREEN_UNDERLINE_SINGLE)
		r = buf_append_str(out, ";4");
	else
		r = buf_printf(out, ";4:%u", style->underline);
	if (r || !paint->terminal.underlines || !style->underline_colour)
		return r;
	return put_colour(screen_colour(screen, style->underline_colour, SCREEN_PALETTE_FOREGROUND), 58, out);
}

static int put_link(const struct paint *paint, const struct screen *screen, uint16_t link, struct buf *out)
{
	const char *text = "", *id = "";
	size_t len = screen_link_text(screen, link, &text), id_len = screen_link_id(screen, link, &id);
	int r;

	if (!paint->terminal.links)
		return 0;
	r = id_len ? buf_printf(out, "\033]8;id=%.*s;", (int)id_len, id) : buf_append_str(out, "\033]8;;");
	if (!r)
		r = buf_append(out, text, len);
	return r ? r : buf_append_str(out, "\033\\");
}

static int put_style(const struct paint *paint, const struct screen *screen, const struct screen_style *style, struct buf *out)
{
	static const struct {
		enum screen_attribute bit;
		unsigned int number;
	} attributes[] = {
		{ SCREEN_BOLD, 1 }, { SCREEN_FAINT, 2 }, { SCREEN_ITALIC, 3 }, { SCREEN_BLINK, 5 }, { SCREEN_REVERSE, 7 },
		{ SCREEN_CONCEAL, 8 }, { SCREEN_STRIKE, 9 }, { SCREEN_OVERLINE, 53 },
	};
	int r = buf_append_str(out, "\033[0");

	for (size_t i = 0; !r && i < ARRAY_SIZE(attributes); i++)
		if (style->attributes & attributes[i].bit)
			r = buf_printf(out, ";%u", attributes[i].number);
	if (!r)
		r = put_underline(paint, screen, style, out);
	if (!r)
		r = put_colour(screen_colour(screen, style->foreground, SCREEN_PALETTE_FOREGROUND), 38, out);
	if (!r)
		r = put_colour(screen_colour(screen, style->background, SCREEN_PALETTE_BACKGROUND), 48, out);
	return r ? r : buf_append_byte(out, 'm');
}

/* Clears from there to the end of the row, in the session's own background. */
static int put_blank(const struct paint *paint, const struct screen *screen, unsigned int row, unsigned int col,
	const struct screen_style *style, struct buf *out)
{
	int r = buf_printf(out, "\033[%u;%uH", row + 1, col + 1);

	if (!r)
		r = style ? put_style(paint, screen, style, out) : buf_append_str(out, "\033[m");
	return r ? r : buf_append_str(out, "\033[K");
}

/* After a cell that is no ASCII the cursor is put where it belongs: terminals disagree on widths. */
static int put_row(const struct paint *paint, const struct screen *screen, unsigned int y, struct buf *out)
{
	const struct screen_row *row = &screen->row[paint->top + y];
	unsigned int end = paint->left + paint->cols < screen->cols ? paint->left + paint->cols : screen->cols;
	int style = -1, r;
	uint16_t link = 0;
	bool astray = false;

	r = buf_printf(out, "\033[%u;1H", y + 1);
	for (unsigned int x = paint->left; !r && x < end && x < row->used; x++) {
		const struct screen_cell *cell = &row->cells[x];
		char buffer[SCREEN_CLUSTER_BYTES_MAX];
		const char *text;
		size_t len = screen_cell_text(screen, cell, buffer, &text);

		if (!len || (cell->width == 2 && x + 1 >= end)) {
			astray = true;
			continue;
		}
		if (astray)
			r = buf_printf(out, "\033[%u;%uH", y + 1, x - paint->left + 1);
		if (!r && style != cell->style)
			r = put_style(paint, screen, screen_style(screen, cell->style), out);
		style = cell->style;
		if (!r && screen_style(screen, cell->style)->link != link) {
			link = screen_style(screen, cell->style)->link;
			r = put_link(paint, screen, link, out);
		}
		if (!r)
			r = buf_append(out, text, len);
		astray = (unsigned char)text[0] >= 0x80;
	}
	if (!r && link)
		r = put_link(paint, screen, 0, out);
	if (!r && row->used < end)
		r = put_blank(paint, screen, y, row->used > paint->left ? row->used - paint->left : 0, screen_style(screen, 0), out);
	if (!r && end - paint->left < paint->cols)
		r = put_blank(paint, screen, y, end - paint->left, NULL, out);
	return r;
}

static int put_mode(bool on, const char *number, struct buf *out)
{
	return buf_printf(out, "\033[?%s%c", number, on ? 'h' : 'l');
}

/* What the person's terminal must send as the program in the session expects it. */
static int put_modes(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	static const struct {
		unsigned int mode;
		const char *number;
	} table[] = {
		{ SCREEN_MODE_APP_CURSOR, "1" }, { SCREEN_MODE_BRACKETED_PASTE, "2004" }, { SCREEN_MODE_FOCUS, "1004" },
		{ SCREEN_MODE_REVERSE_VIDEO, "5" },
	};
	unsigned int changed = paint->valid ? paint->shown.modes ^ screen->modes : SCREEN_MODES_ALL;
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(table); i++)
		if (changed & table[i].mode)
			r = put_mode(screen->modes & table[i].mode, table[i].number, out);
	if (!r && changed & SCREEN_MODE_APP_KEYPAD)
		r = buf_append_str(out, screen->modes & SCREEN_MODE_APP_KEYPAD ? "\033=" : "\033>");
	return r;
}

/* Kitty's keyboard: as the program in the session asked. The terminal keeps flags of its own for the alternate screen,
 * so those of the shell before us are not touched; one that does not know the sequence passes over it. */
static int put_kitty(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	uint32_t before = paint->valid || paint->shown.cols ? paint->shown.kitty_flags : 0;

	return before == screen->kitty_flags ? 0 : buf_printf(out, "\033[=%u;1u", screen->kitty_flags);
}

static int put_other_keys(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	if (!paint->terminal.keys || paint->shown.modify_other_keys == screen->modify_other_keys)
		return 0;
	return buf_printf(out, "\033[>4;%um", screen->modify_other_keys);
}

/* As the program in the session asked, encoding too: what the terminal sends goes to it as it comes. */
static int put_mouse(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	static const char *const modes[SCREEN_MOUSE_MODE_COUNT] = {
		[SCREEN_MOUSE_X10] = "9", [SCREEN_MOUSE_BUTTON] = "1000", [SCREEN_MOUSE_DRAG] = "1002", [SCREEN_MOUSE_MOTION] = "1003",
	};
	static const char *const encodings[SCREEN_MOUSE_ENCODING_COUNT] = {
		[SCREEN_MOUSE_ENCODING_UTF8] = "1005", [SCREEN_MOUSE_ENCODING_SGR] = "1006", [SCREEN_MOUSE_ENCODING_URXVT] = "1015",
	};
	const char *mode = modes[screen->mouse_mode], *encoding = encodings[screen->mouse_encoding];
	int r;

	if (paint->valid && paint->shown.mouse_mode == screen->mouse_mode &&
		paint->shown.mouse_encoding == screen->mouse_encoding)
		return 0;
	r = buf_append_str(out, MOUSE_END);
	if (r || !mode || paint->top || paint->left) /* a part of a larger screen would tell wrong places */
		return r;
	if (encoding)
		r = put_mode(true, encoding, out);
	return r ? r : put_mode(true, mode, out);
}

/* A terminal smaller than the session shows the part where the cursor is. */
static void follow_cursor(struct paint *paint, const struct screen *screen)
{
	unsigned int top = screen->cursor_row >= paint->rows ? screen->cursor_row - paint->rows + 1 : 0;
	unsigned int left = screen->cursor_col >= paint->cols ? screen->cursor_col - paint->cols + 1 : 0;

	if (top != paint->top || left != paint->left)
		paint->valid = false;
	paint->top = top;
	paint->left = left;
}

static int put_cursor_colour(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	uint32_t colour = screen->palette[SCREEN_PALETTE_CURSOR];

	if (!paint->terminal.cursor || paint->shown.palette[SCREEN_PALETTE_CURSOR] == colour)
		return 0;
	if (!colour)
		return buf_append_str(out, PAINT_CURSOR_PLAIN);
	return buf_printf(out, "\033]12;#%06x\033\\", colour & 0xffffffU);
}

bool paint_coloured_cursor(const struct paint *paint)
{
	return paint->terminal.cursor && paint->shown.palette[SCREEN_PALETTE_CURSOR];
}

static int put_cursor(const struct paint *paint, const struct screen *screen, struct buf *out)
{
	unsigned int col = screen->cursor_col - paint->left, row = screen->cursor_row - paint->top;
	int r;

	if (col >= paint->cols)
		col = paint->cols - 1;
	r = buf_printf(out, "\033[m\033[%u;%uH", row + 1, col + 1);
	if (!r && (!paint->valid || paint->shown.cursor_shape != screen->cursor_shape))
		r = buf_printf(out, "\033[%u q", (unsigned int)screen->cursor_shape);
	return r ? r : buf_append_str(out, screen->cursor_visible ? "\033[?25h" : "\033[?25l");
}

/* Rows of the same generation are the same picture, as long as `shown` is a copy of the same screen. */
static bool row_is_shown(const struct paint *paint, const struct screen *screen, unsigned int row)
{
	return paint->valid && paint->shown.rows == screen->rows && paint->shown.cols == screen->cols &&
		paint->shown.row[row].generation == screen->row[row].generation;
}

int paint_update(struct paint *paint, const struct screen *screen, struct buf *out)
{
	int r;

	if (!screen->cols || !paint->cols || !paint->rows)
		return 0;
	follow_cursor(paint, screen);
	if (paint->shown.rows != screen->rows || paint->shown.cols != screen->cols ||
		memcmp(paint->shown.palette, screen->palette, SCREEN_PALETTE_CURSOR * sizeof(*screen->palette)) != 0)
		paint->valid = false; /* a colour that changed may be anywhere */
	r = buf_append_str(out, paint->valid ? SYNC_BEGIN "\033[?25l" : SYNC_BEGIN "\033[?25l\033[m\033[2J");
	for (unsigned int y = 0; !r && y < paint->rows && paint->top + y < screen->rows; y++)
		if (!row_is_shown(paint, screen, paint->top + y))
			r = put_row(paint, screen, y, out);
	if (!r)
		r = put_modes(paint, screen, out);
	if (!r)
		r = put_mouse(paint, screen, out);
	if (!r)
		r = put_kitty(paint, screen, out);
	if (!r)
		r = put_other_keys(paint, screen, out);
	if (!r)
		r = put_cursor_colour(paint, screen, out);
	if (!r)
		r = put_cursor(paint, screen, out);
	if (!r)
		r = buf_append_str(out, SYNC_END);
	if (!r)
		r = screen_copy(&paint->shown, screen);
	paint->valid = !r;
	return r;
}
