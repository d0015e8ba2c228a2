/* C0 controls and ESC sequences. */
#include <string.h>
#include "worker/screen/internal.h"

static void backspace(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	if (emulator->pending_wrap) {
		emulator->pending_wrap = false;
		if (emulator->modes & MODE_REVERSE_WRAP)
			return;
	}
	if (screen->cursor_col > 0 && screen->cursor_col != emulator->left) {
		screen->cursor_col--;
	} else if ((emulator->modes & MODE_REVERSE_WRAP) && (emulator->modes & MODE_WRAP) && screen->cursor_row > 0) {
		screen->cursor_row--;
		screen->cursor_col = emulator->right - 1;
	}
}

static void tab(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;
	unsigned int limit = screen->cursor_col < emulator->right ? emulator->right : screen->cols;

	do {
		if (screen->cursor_col + 1 >= limit)
			break;
		screen->cursor_col++;
	} while (!emulator->tabs[screen->cursor_col]);
}

static void carriage_return(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	emulator->pending_wrap = false;
	screen->cursor_col = screen->cursor_col < emulator->left ? 0 : emulator->left;
}

static void line_feed(struct emulator *emulator)
{
	edit_index(emulator);
	if (emulator->screen.modes & SCREEN_MODE_NEWLINE)
		carriage_return(emulator);
}

void control_execute(struct emulator *emulator, uint8_t byte)
{
	switch (byte) {
	case 0x07:
		emulator->bells++;
		return;
	case 0x08:
		backspace(emulator);
		break;
	case 0x09:
		tab(emulator);
		break;
	case 0x0a ... 0x0c:
		line_feed(emulator);
		break;
	case 0x0d:
		carriage_return(emulator);
		break;
	case 0x0e:
	case 0x0f:
		emulator->gl = byte == 0x0e;
		return;
	default:
		return;
	}
	emulator->last_valid = false;
}

void control_reset_tabs(struct emulator *emulator)
{
	for (unsigned int i = 0; i < SCREEN_COLS_MAX; i++)
		emulator->tabs[i] = i % 8 == 0;
}

void control_save(struct emulator *emulator)
{
	struct saved_cursor *saved = &emulator->saved[emulator_alternate(emulator)];

	saved->row = emulator->screen.cursor_row;
	saved->col = emulator->screen.cursor_col;
	saved->pending_wrap = emulator->pending_wrap;
	saved->origin = emulator->modes & MODE_ORIGIN;
	saved->pen = emulator->pen;
	saved->pen.link = 0; /* a link is no part of it, and may be collected meanwhile */
	saved->pen_flags = emulator->pen_flags;
	memcpy(saved->charset, emulator->charset, sizeof(saved->charset));
	saved->gl = emulator->gl;
	saved->set = true;
}

void control_restore(struct emulator *emulator)
{
	static const struct saved_cursor nothing = { .charset = { 'B', 'B', 'B', 'B' } };
	const struct saved_cursor *saved = &emulator->saved[emulator_alternate(emulator)];
	uint16_t link;

	if (!saved->set)
		saved = &nothing;
	edit_move_to(emulator, saved->row, saved->col);
	emulator->pending_wrap = saved->pending_wrap && saved->col + 1 == emulator->screen.cols;
	emulator->modes = (emulator->modes & ~(uint32_t)MODE_ORIGIN) | (saved->origin ? MODE_ORIGIN : 0);
	link = emulator->pen.link;
	emulator->pen = saved->pen;
	emulator->pen.link = link;
	emulator->pen_stale = true;
	emulator->pen_flags = saved->pen_flags;
	memcpy(emulator->charset, saved->charset, sizeof(saved->charset));
	emulator->gl = saved->gl;
	emulator->last_valid = false;
}

static void reset_margins(struct emulator *emulator)
{
	emulator->top = emulator->left = 0;
	emulator->bottom = emulator->screen.rows;
	emulator->right = emulator->screen.cols;
}

void control_soft_reset(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	emulator->modes &= MODE_SYNCHRONIZED;
	emulator->modes |= MODE_WRAP;
	screen->modes &= SCREEN_MODE_ALTERNATE | SCREEN_MODE_BRACKETED_PASTE | SCREEN_MODE_FOCUS;
	screen->modes |= SCREEN_MODE_ALTERNATE_SCROLL;
	screen->cursor_visible = true;
	screen->cursor_shape = SCREEN_CURSOR_DEFAULT;
	reset_margins(emulator);
	emulator->pen = (struct screen_style){ 0 };
	emulator->pen_stale = true;
	emulator->pen_flags = 0;
	emulator->guarded = false;
	memset(emulator->charset, 'B', sizeof(emulator->charset));
	emulator->gl = emulator->single_shift = 0;
	emulator->pending_wrap = false;
	emulator->last_valid = false;
	emulator->saved[emulator_alternate(emulator)].set = false;
}

void control_reset(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	if (emulator_alternate(emulator))
		mode_alternate(emulator, false, true, false);
	control_soft_reset(emulator);
	screen->modes = SCREEN_MODE_ALTERNATE_SCROLL;
	emulator->modes = MODE_WRAP;
	screen->mouse_mode = SCREEN_MOUSE_NONE;
	screen->mouse_encoding = SCREEN_MOUSE_ENCODING_X10;
	memset(emulator->kitty, 0, sizeof(emulator->kitty));
	screen->modify_other_keys = 0;
	emulator->rectangles = false;
	mode_kitty_sync(emulator);
	memset(emulator->saved, 0, sizeof(emulator->saved));
	emulator->saved_mode_count = 0;
	control_reset_tabs(emulator);
	osc_reset_palette(emulator);
	emulator->title_count = 0;
	if (screen->title_len)
		emulator->title_changes++;
	screen->title_len = 0;
	screen->title[0] = 0;
	emulator->repeat_code = 0;
	edit_move_to(emulator, 0, 0);
	edit_erase_rows(emulator, 0, screen->rows, false);
}

/* DECALN */
static void alignment_test(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	reset_margins(emulator);
	edit_move_to(emulator, 0, 0);
	spend(emulator, (size_t)screen->rows * screen->cols);
	for (unsigned int i = 0; i < screen->rows; i++) {
		struct screen_row *row = &screen->row[i];

		for (unsigned int j = 0; j < screen->cols; j++)
			row->cells[j] = (struct screen_cell){ .glyph = 'E', .width = 1 };
		row->used = (uint16_t)screen->cols;
		row->wrapped = false;
		screen_touch(screen, row);
	}
}

/* ESC ( B and the like: which set a slot holds. */
static void designate(struct emulator *emulator)
{
	uint8_t slot = (uint8_t)((emulator->parser.intermediate - '(') & 3), final = emulator->parser.final;

	emulator->charset[slot] = final == '0' || final == 'A' ? final : 'B';
}

static void next_line(struct emulator *emulator)
{
	edit_index(emulator);
	carriage_return(emulator);
}

static void set_tab(struct emulator *emulator)
{
	emulator->tabs[emulator->screen.cursor_col] = 1;
}

static void single_shift(struct emulator *emulator)
{
	emulator->single_shift = emulator->parser.final == 'N' ? 2 : 3;
}

static void locking_shift(struct emulator *emulator)
{
	emulator->gl = emulator->parser.final == 'n' ? 2 : 3;
}

static void keypad(struct emulator *emulator)
{
	if (emulator->parser.final == '=')
		emulator->screen.modes |= SCREEN_MODE_APP_KEYPAD;
	else
		emulator->screen.modes &= ~(uint32_t)SCREEN_MODE_APP_KEYPAD;
}

/* DECBI, DECFI: a step to the side that scrolls at the margin. */
static void back_index(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	if (screen->cursor_col != emulator->left) {
		edit_move_to(emulator, screen->cursor_row, screen->cursor_col ? screen->cursor_col - 1 : 0);
		return;
	}
	for (unsigned int i = emulator->top; i < emulator->bottom; i++)
		edit_insert_cells(emulator, i, emulator->left, 1);
}

static void forward_index(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;

	if (screen->cursor_col + 1 != emulator->right) {
		edit_move_to(emulator, screen->cursor_row, screen->cursor_col + 1);
		return;
	}
	for (unsigned int i = emulator->top; i < emulator->bottom; i++)
		edit_delete_cells(emulator, i, emulator->left, 1);
}

/* SPA, EPA: as DECSCA, but plain erasing heeds it. */
static void guard_area(struct emulator *emulator)
{
	emulator->guarded = true;
	emulator->pen_flags = emulator->parser.final == 'V' ? SCREEN_CELL_PROTECTED : 0;
}

static void (*const escape_handlers[128])(struct emulator *) = {
	['6'] = back_index,
	['7'] = control_save,
	['8'] = control_restore,
	['9'] = forward_index,
	['='] = keypad,
	['>'] = keypad,
	['D'] = edit_index,
	['E'] = next_line,
	['H'] = set_tab,
	['M'] = edit_reverse_index,
	['N'] = single_shift,
	['O'] = single_shift,
	['V'] = guard_area,
	['W'] = guard_area,
	['Z'] = report_attributes,
	['c'] = control_reset,
	['n'] = locking_shift,
	['o'] = locking_shift,
};

void control_escape(struct emulator *emulator)
{
	const struct parser *parser = &emulator->parser;

	if (parser->intermediate >= '(' && parser->intermediate <= '+') {
		designate(emulator);
		return;
	}
	if (parser->final != '\\')
		emulator->last_valid = false;
	if (parser->intermediate == '#' && parser->final == '8')
		alignment_test(emulator);
	else if (!parser->intermediate && escape_handlers[parser->final])
		escape_handlers[parser->final](emulator);
}
