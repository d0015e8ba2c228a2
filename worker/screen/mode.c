/* Modes: one table that sets, resets and answers. */
#include "worker/screen/internal.h"

static void origin_changed(struct emulator *e, bool on)
{
	edit_move_to(e, on ? e->top : 0, on ? e->left : 0);
}

static void margins_changed(struct emulator *e, bool on)
{
	e->left = 0;
	e->right = e->screen.cols;
}

/* DECCOLM clears and homes, but the size is the person's. */
static void columns_changed(struct emulator *e, bool on)
{
	if (!(e->modes & MODE_COLUMNS_ALLOWED)) {
		e->modes &= ~(uint32_t)MODE_COLUMNS_132;
		return;
	}
	e->top = e->left = 0;
	e->bottom = e->screen.rows;
	e->right = e->screen.cols;
	edit_erase_rows(e, 0, e->screen.rows, false);
	edit_move_to(e, 0, 0);
}

static void wrap_changed(struct emulator *e, bool on)
{
	e->pending_wrap = false;
}

/* Modes that are a bit in the emulator, or in the picture that consoles get. */
static const struct mode {
	uint16_t number;
	bool private_mode;
	uint32_t emulator_bit, screen_bit;
	void (*changed)(struct emulator *e, bool on);
} modes[] = {
	{ 4, false, MODE_INSERT, 0, NULL },
	{ 20, false, 0, SCREEN_MODE_NEWLINE, NULL },
	{ 1, true, 0, SCREEN_MODE_APP_CURSOR, NULL },
	{ 3, true, MODE_COLUMNS_132, 0, columns_changed },
	{ 5, true, 0, SCREEN_MODE_REVERSE_VIDEO, NULL },
	{ 6, true, MODE_ORIGIN, 0, origin_changed },
	{ 7, true, MODE_WRAP, 0, wrap_changed },
	{ 40, true, MODE_COLUMNS_ALLOWED, 0, NULL },
	{ 45, true, MODE_REVERSE_WRAP, 0, NULL },
	{ 66, true, 0, SCREEN_MODE_APP_KEYPAD, NULL },
	{ 69, true, MODE_MARGINS, 0, margins_changed },
	{ 1004, true, 0, SCREEN_MODE_FOCUS, NULL },
	{ 1007, true, 0, SCREEN_MODE_ALTERNATE_SCROLL, NULL },
	{ 2004, true, 0, SCREEN_MODE_BRACKETED_PASTE, NULL },
	{ 2026, true, MODE_SYNCHRONIZED, 0, NULL },
};

static const struct {
	uint16_t number;
	uint8_t value;
} mouse_modes[] = {
	{ 9, SCREEN_MOUSE_X10 },
	{ 1000, SCREEN_MOUSE_BUTTON },
	{ 1002, SCREEN_MOUSE_DRAG },
	{ 1003, SCREEN_MOUSE_MOTION },
}, mouse_encodings[] = {
	{ 1005, SCREEN_MOUSE_ENCODING_UTF8 },
	{ 1006, SCREEN_MOUSE_ENCODING_SGR },
	{ 1015, SCREEN_MOUSE_ENCODING_URXVT },
};

static const struct mode *find_mode(bool private_mode, unsigned int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].number == number && modes[i].private_mode == private_mode)
			return &modes[i];
	return NULL;
}

static void set_bit(uint32_t *bits, uint32_t bit, bool on)
{
	*bits = on ? *bits | bit : *bits & ~bit;
}

void mode_kitty_sync(struct emulator *emulator)
{
	emulator->screen.kitty_flags = emulator->kitty[emulator_alternate(emulator)].current;
}

/* Most programs never show the alternate screen, so it is made when it is first wanted. Without memory for it the
 * program goes on where it is. */
static void swap_grids(struct emulator *emulator)
{
	struct screen *screen = &emulator->screen;
	struct screen_row *row = screen->row;
	struct screen_cell *slab = screen->slab;

	if (!emulator->hidden_row &&
		screen_grid_new(screen, screen->cols, screen->rows, &emulator->hidden_row, &emulator->hidden_slab))
		return;
	screen->row = emulator->hidden_row;
	screen->slab = emulator->hidden_slab;
	emulator->hidden_row = row;
	emulator->hidden_slab = slab;
	screen->modes ^= SCREEN_MODE_ALTERNATE;
	emulator->last_valid = false;
	mode_kitty_sync(emulator);
}

void mode_alternate(struct emulator *emulator, bool on, bool clear, bool cursor)
{
	if (on && cursor && !emulator_alternate(emulator))
		control_save(emulator);
	/* Leaving clears before the swap (1047), entering after it (1049). */
	if (!on && clear && !cursor && emulator_alternate(emulator))
		edit_erase_rows(emulator, 0, emulator->screen.rows, false);
	if (on != emulator_alternate(emulator)) {
		swap_grids(emulator);
		if (on && clear && cursor)
			edit_erase_rows(emulator, 0, emulator->screen.rows, false);
	}
	if (!on && cursor)
		control_restore(emulator);
}

static void change_mouse(struct emulator *e, unsigned int number, bool on)
{
	for (size_t i = 0; i < ARRAY_SIZE(mouse_modes); i++)
		if (mouse_modes[i].number == number)
			e->screen.mouse_mode = on ? (enum screen_mouse_mode)mouse_modes[i].value : SCREEN_MOUSE_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(mouse_encodings); i++) {
		if (mouse_encodings[i].number != number)
			continue;
		if (on)
			e->screen.mouse_encoding = (enum screen_mouse_encoding)mouse_encodings[i].value;
		else if (e->screen.mouse_encoding == mouse_encodings[i].value)
			e->screen.mouse_encoding = SCREEN_MOUSE_ENCODING_X10;
	}
}

/* What is neither a bit nor the mouse. */
static bool change_special(struct emulator *e, unsigned int number, bool on)
{
	switch (number) {
	case 25:
		e->screen.cursor_visible = on;
		return true;
	case 47:
		mode_alternate(e, on, false, false);
		return true;
	case 1047:
		mode_alternate(e, on, true, false);
		return true;
	case 1048:
		if (on)
			control_save(e);
		else
			control_restore(e);
		return true;
	case 1049:
		mode_alternate(e, on, true, true);
		return true;
	}
	return false;
}

static void change_one(struct emulator *e, bool private_mode, unsigned int number, bool on)
{
	const struct mode *mode = find_mode(private_mode, number);

	if (!mode) {
		if (private_mode && !change_special(e, number, on))
			change_mouse(e, number, on);
		return;
	}
	set_bit(&e->modes, mode->emulator_bit, on);
	set_bit(&e->screen.modes, mode->screen_bit, on);
	if (mode->changed)
		mode->changed(e, on);
}

void mode_change(struct emulator *emulator, bool private_mode, bool on)
{
	for (unsigned int i = 0; i < emulator->parser.param_count; i++)
		change_one(emulator, private_mode, emulator->parser.param[i], on);
}

static unsigned int answer(bool on)
{
	return on ? 1 : 2;
}

static unsigned int query_special(const struct emulator *e, unsigned int number)
{
	switch (number) {
	case 25:
		return answer(e->screen.cursor_visible);
	case 47:
	case 1047:
	case 1049:
		return answer(emulator_alternate(e));
	case 1048:
		return answer(e->saved[emulator_alternate(e)].set);
	case 2027: /* grapheme clusters, always */
		return 3;
	}
	for (size_t i = 0; i < ARRAY_SIZE(mouse_modes); i++)
		if (mouse_modes[i].number == number)
			return answer(e->screen.mouse_mode == mouse_modes[i].value);
	for (size_t i = 0; i < ARRAY_SIZE(mouse_encodings); i++)
		if (mouse_encodings[i].number == number)
			return answer(e->screen.mouse_encoding == mouse_encodings[i].value);
	return 0;
}

unsigned int mode_query(const struct emulator *emulator, bool private_mode, unsigned int number)
{
	const struct mode *mode = find_mode(private_mode, number);

	if (mode)
		return answer((emulator->modes & mode->emulator_bit) || (emulator->screen.modes & mode->screen_bit));
	return private_mode ? query_special(emulator, number) : 0;
}

static struct saved_mode *find_saved(struct emulator *e, unsigned int number)
{
	for (unsigned int i = 0; i < e->saved_mode_count; i++)
		if (e->saved_modes[i].number == number)
			return &e->saved_modes[i];
	return NULL;
}

void mode_save(struct emulator *emulator)
{
	for (unsigned int i = 0; i < emulator->parser.param_count; i++) {
		unsigned int number = emulator->parser.param[i], state = mode_query(emulator, true, number);
		struct saved_mode *saved = find_saved(emulator, number);

		if (state != 1 && state != 2)
			continue;
		if (!saved && emulator->saved_mode_count < SAVED_MODES_MAX)
			saved = &emulator->saved_modes[emulator->saved_mode_count++];
		if (saved)
			*saved = (struct saved_mode){ .number = (uint16_t)number, .on = state == 1 };
	}
}

/* One that was never saved stays; the cursor that 1048 saved is not a state to bring back. */
void mode_restore(struct emulator *emulator)
{
	for (unsigned int i = 0; i < emulator->parser.param_count; i++) {
		unsigned int number = emulator->parser.param[i];
		const struct saved_mode *saved = find_saved(emulator, number);

		if (saved && number != 1048 && (mode_query(emulator, true, number) == 1) != saved->on)
			change_one(emulator, true, number, saved->on);
	}
}
