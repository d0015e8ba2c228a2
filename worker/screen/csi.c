/* Control sequences: three tables by final byte (plain, with "?", and the few with other prefixes or intermediates). */
#include "worker/screen/internal.h"

static unsigned int min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static void cursor_up(struct emulator *e)
{
	unsigned int row = e->screen.cursor_row, limit = row >= e->top ? e->top : 0;

	edit_move_to(e, row - min(param_count(e, 0), row - limit), e->screen.cursor_col);
}

static void cursor_down(struct emulator *e)
{
	unsigned int row = e->screen.cursor_row, limit = row < e->bottom ? e->bottom - 1 : e->screen.rows - 1;

	edit_move_to(e, row + min(param_count(e, 0), limit - row), e->screen.cursor_col);
}

static void cursor_forward(struct emulator *e)
{
	unsigned int col = e->screen.cursor_col, limit = col < e->right ? e->right - 1 : e->screen.cols - 1;

	edit_move_to(e, e->screen.cursor_row, col + min(param_count(e, 0), limit - col));
}

static void cursor_back(struct emulator *e)
{
	unsigned int col = e->screen.cursor_col, limit = col >= e->left ? e->left : 0;

	edit_move_to(e, e->screen.cursor_row, col - min(param_count(e, 0), col - limit));
}

static void line_start(struct emulator *e)
{
	edit_move_to(e, e->screen.cursor_row, e->screen.cursor_col < e->left ? 0 : e->left);
}

static void next_line(struct emulator *e)
{
	cursor_down(e);
	line_start(e);
}

static void previous_line(struct emulator *e)
{
	cursor_up(e);
	line_start(e);
}

/* To a place counted from 0; in origin mode from the margins' corner, and kept between them. */
static void move_absolute(struct emulator *e, unsigned int row, unsigned int col)
{
	if (e->modes & MODE_ORIGIN) {
		row = min(row + e->top, e->bottom - 1);
		col = min(col + e->left, e->right - 1);
	}
	edit_move_to(e, row, col);
}

static unsigned int origin_col(const struct emulator *e)
{
	return e->screen.cursor_col - (e->modes & MODE_ORIGIN ? min(e->left, e->screen.cursor_col) : 0);
}

static unsigned int origin_row(const struct emulator *e)
{
	return e->screen.cursor_row - (e->modes & MODE_ORIGIN ? min(e->top, e->screen.cursor_row) : 0);
}

static void cursor_position(struct emulator *e)
{
	move_absolute(e, param_count(e, 0) - 1, param_count(e, 1) - 1);
}

static void cursor_column(struct emulator *e)
{
	move_absolute(e, origin_row(e), param_count(e, 0) - 1);
}

static void cursor_line(struct emulator *e)
{
	move_absolute(e, param_count(e, 0) - 1, origin_col(e));
}

static void line_relative(struct emulator *e)
{
	edit_move_to(e, e->screen.cursor_row + param_count(e, 0), e->screen.cursor_col);
}

static void column_relative(struct emulator *e)
{
	edit_move_to(e, e->screen.cursor_row, e->screen.cursor_col + param_count(e, 0));
}

static void tab_forward(struct emulator *e)
{
	for (unsigned int i = min(param_count(e, 0), e->screen.cols); i; i--)
		control_execute(e, '\t');
}

static void tab_back(struct emulator *e)
{
	unsigned int col = e->screen.cursor_col;

	for (unsigned int i = min(param_count(e, 0), e->screen.cols); i && col; i--)
		for (col--; col && !e->tabs[col];)
			col--;
	edit_move_to(e, e->screen.cursor_row, col);
}

static void clear_tabs(struct emulator *e)
{
	if (param_value(e, 0) == 0)
		e->tabs[e->screen.cursor_col] = 0;
	else if (param_value(e, 0) == 3)
		for (unsigned int i = 0; i < SCREEN_COLS_MAX; i++)
			e->tabs[i] = 0;
}

static void erase_display_as(struct emulator *e, bool selective)
{
	unsigned int row = e->screen.cursor_row, col = e->screen.cursor_col;

	switch (param_value(e, 0)) {
	case 0:
		edit_erase(e, row, col, e->screen.cols, selective);
		edit_erase_rows(e, row + 1, e->screen.rows, selective);
		break;
	case 1:
		edit_erase_rows(e, 0, row, selective);
		edit_erase(e, row, 0, col + 1, selective);
		break;
	case 2:
		edit_erase_rows(e, 0, e->screen.rows, selective);
		break;
	case 3:
		if (e->parser.prefix != '?')
			scrollback_clear(&e->scrollback);
		return;
	}
	e->pending_wrap = false;
}

static void erase_line_as(struct emulator *e, bool selective)
{
	unsigned int row = e->screen.cursor_row, col = e->screen.cursor_col, mode = param_value(e, 0);

	if (mode > 2)
		return;
	edit_erase(e, row, mode == 0 ? col : 0, mode == 1 ? col + 1 : e->screen.cols, selective);
	e->pending_wrap = false;
}

static void erase_display(struct emulator *e)
{
	erase_display_as(e, e->guarded);
}

static void erase_line(struct emulator *e)
{
	erase_line_as(e, e->guarded);
}

static void selective_erase_display(struct emulator *e)
{
	erase_display_as(e, true);
}

static void selective_erase_line(struct emulator *e)
{
	erase_line_as(e, true);
}

static void insert_cells(struct emulator *e)
{
	e->pending_wrap = false;
	edit_insert_cells(e, e->screen.cursor_row, e->screen.cursor_col, param_count(e, 0));
}

static void delete_cells(struct emulator *e)
{
	e->pending_wrap = false;
	edit_delete_cells(e, e->screen.cursor_row, e->screen.cursor_col, param_count(e, 0));
}

static void erase_cells(struct emulator *e)
{
	unsigned int col = e->screen.cursor_col;

	e->pending_wrap = false;
	edit_erase(e, e->screen.cursor_row, col, col + min(param_count(e, 0), e->screen.cols - col), e->guarded);
}

static bool inside_margins(const struct emulator *e)
{
	return e->screen.cursor_row >= e->top && e->screen.cursor_row < e->bottom && e->screen.cursor_col >= e->left &&
		e->screen.cursor_col < e->right;
}

static void insert_lines(struct emulator *e)
{
	if (!inside_margins(e))
		return;
	edit_scroll_down(e, e->screen.cursor_row, e->bottom, param_count(e, 0));
	line_start(e);
}

static void delete_lines(struct emulator *e)
{
	if (!inside_margins(e))
		return;
	edit_scroll_up(e, e->screen.cursor_row, e->bottom, param_count(e, 0), false);
	line_start(e);
}

static void scroll_up(struct emulator *e)
{
	edit_scroll_up(e, e->top, e->bottom, param_count(e, 0), true);
}

static void scroll_down(struct emulator *e)
{
	/* With five parameters it is highlight tracking, which nobody has. */
	if (e->parser.param_count < 2)
		edit_scroll_down(e, e->top, e->bottom, param_count(e, 0));
}

/* DECIC, DECDC */
static void insert_columns(struct emulator *e)
{
	if (!inside_margins(e))
		return;
	for (unsigned int i = e->top; i < e->bottom; i++)
		edit_insert_cells(e, i, e->screen.cursor_col, param_count(e, 0));
}

static void delete_columns(struct emulator *e)
{
	if (!inside_margins(e))
		return;
	for (unsigned int i = e->top; i < e->bottom; i++)
		edit_delete_cells(e, i, e->screen.cursor_col, param_count(e, 0));
}

/* SL, SR */
static void shift_left(struct emulator *e)
{
	for (unsigned int i = e->top; i < e->bottom; i++)
		edit_delete_cells(e, i, e->left, param_count(e, 0));
}

static void shift_right(struct emulator *e)
{
	for (unsigned int i = e->top; i < e->bottom; i++)
		edit_insert_cells(e, i, e->left, param_count(e, 0));
}

static void repeat(struct emulator *e)
{
	uint32_t code = e->repeat_code;
	unsigned int most = e->screen.cols * e->screen.rows;

	if (!code)
		return;
	print_repeat(e, code, min(param_count(e, 0), most));
}

/* The two parameters as a half-open range of at least two lines or columns. */
static bool margin_range(const struct emulator *e, unsigned int end, unsigned int *ret_from, unsigned int *ret_to)
{
	unsigned int from = param_count(e, 0) - 1, to = param_value(e, 1);

	if (to == 0 || to > end)
		to = end;
	if (from + 1 >= to)
		return false;
	*ret_from = from;
	*ret_to = to;
	return true;
}

static void set_margins(struct emulator *e)
{
	if (margin_range(e, e->screen.rows, &e->top, &e->bottom))
		move_absolute(e, 0, 0);
}

/* DECSLRM while left and right margins are allowed, else SCOSC. */
static void set_side_margins(struct emulator *e)
{
	if (e->modes & MODE_MARGINS) {
		if (margin_range(e, e->screen.cols, &e->left, &e->right))
			move_absolute(e, 0, 0);
	} else if (e->parser.param_count == 0) {
		control_save(e);
	}
}

static void restore_cursor(struct emulator *e)
{
	control_restore(e);
}

static void set_mode(struct emulator *e)
{
	mode_change(e, e->parser.prefix == '?', e->parser.final == 'h');
}

static void cursor_style(struct emulator *e)
{
	if (param_value(e, 0) < SCREEN_CURSOR_SHAPE_COUNT)
		e->screen.cursor_shape = (enum screen_cursor_shape)param_value(e, 0);
}

static void protect(struct emulator *e)
{
	e->guarded = false;
	e->pen_flags = param_value(e, 0) == 1 ? SCREEN_CELL_PROTECTED : 0;
}

static void window(struct emulator *e)
{
	switch (param_value(e, 0)) {
	case 18:
	case 19:
		report_printf(e, "\033[%u;%u;%ut", param_value(e, 0) - 10, e->screen.rows, e->screen.cols);
		break;
	case 22:
		if (param_value(e, 1) != 1)
			osc_push_title(e);
		break;
	case 23:
		if (param_value(e, 1) != 1)
			osc_pop_title(e);
		break;
	}
}

static struct kitty_stack *kitty(struct emulator *e)
{
	return &e->kitty[emulator_alternate(e)];
}

static void kitty_query(struct emulator *e)
{
	report_printf(e, "\033[?%uu", kitty(e)->current);
}

static void kitty_set(struct emulator *e)
{
	uint32_t flags = param_value(e, 0) & SCREEN_KITTY_FLAGS_ALL, *current = &kitty(e)->current;

	switch (param_count(e, 1)) {
	case 1:
		*current = flags;
		break;
	case 2:
		*current |= flags;
		break;
	case 3:
		*current &= ~flags;
		break;
	}
	mode_kitty_sync(e);
}

static void kitty_push(struct emulator *e)
{
	struct kitty_stack *stack = kitty(e);

	if (stack->count == KITTY_STACK_MAX) {
		for (unsigned int i = 1; i < KITTY_STACK_MAX; i++)
			stack->flags[i - 1] = stack->flags[i];
		stack->count--;
	}
	stack->flags[stack->count++] = stack->current;
	stack->current = param_value(e, 0) & SCREEN_KITTY_FLAGS_ALL;
	mode_kitty_sync(e);
}

static void kitty_pop(struct emulator *e)
{
	struct kitty_stack *stack = kitty(e);

	for (unsigned int i = min(param_count(e, 0), KITTY_STACK_MAX + 1); i; i--)
		stack->current = stack->count ? stack->flags[--stack->count] : 0;
	mode_kitty_sync(e);
}

/* XTMODKEYS, of which only 4 (modifyOtherKeys) is kept: without a value, or without a resource, it is off. */
static void modify_keys(struct emulator *e)
{
	if (e->parser.param_count == 0 || (param_value(e, 0) == 4 && e->parser.final == 'n'))
		e->screen.modify_other_keys = 0;
	else if (param_value(e, 0) == 4 && param_value(e, 1) <= SCREEN_MODIFY_OTHER_KEYS_MAX)
		e->screen.modify_other_keys = param_value(e, 1);
}

static void query_keys(struct emulator *e)
{
	if (param_value(e, 0) == 4)
		report_printf(e, "\033[>4;%um", e->screen.modify_other_keys);
}

typedef void handler(struct emulator *e);

static handler *const plain[128] = {
	['@'] = insert_cells, ['A'] = cursor_up, ['B'] = cursor_down, ['C'] = cursor_forward, ['D'] = cursor_back,
	['E'] = next_line, ['F'] = previous_line, ['G'] = cursor_column, ['H'] = cursor_position, ['I'] = tab_forward,
	['J'] = erase_display, ['K'] = erase_line, ['L'] = insert_lines, ['M'] = delete_lines, ['P'] = delete_cells,
	['S'] = scroll_up, ['T'] = scroll_down, ['X'] = erase_cells, ['Z'] = tab_back, ['`'] = cursor_column,
	['a'] = column_relative, ['b'] = repeat, ['c'] = report_attributes, ['d'] = cursor_line, ['e'] = line_relative,
	['f'] = cursor_position, ['g'] = clear_tabs, ['h'] = set_mode, ['l'] = set_mode, ['m'] = sgr_apply,
	['n'] = report_status, ['r'] = set_margins, ['s'] = set_side_margins, ['t'] = window, ['u'] = restore_cursor,
	['x'] = report_parameters,
};

static const struct {
	uint8_t prefix, intermediate, final;
	handler *handle;
} others[] = {
	{ '?', 0, 'h', set_mode },
	{ '?', 0, 'l', set_mode },
	{ '?', 0, 'u', kitty_query },
	{ '?', 0, 's', mode_save },
	{ '?', 0, 'r', mode_restore },
	{ 0, '*', 'y', rect_checksum },
	{ 0, '$', 'v', rect_copy },
	{ 0, '*', 'x', rect_extent },
	{ 0, '$', 'r', rect_change },
	{ 0, '$', 't', rect_change },
	{ 0, '$', 'x', rect_fill },
	{ 0, '$', 'z', rect_erase },
	{ 0, '$', '{', rect_erase },
	{ '?', 0, 'J', selective_erase_display },
	{ '?', 0, 'K', selective_erase_line },
	{ '?', 0, 'n', report_status },
	{ '?', '$', 'p', report_mode },
	{ 0, '$', 'p', report_mode },
	{ 0, '!', 'p', control_soft_reset },
	{ 0, ' ', 'q', cursor_style },
	{ 0, '"', 'q', protect },
	{ 0, ' ', '@', shift_left },
	{ 0, ' ', 'A', shift_right },
	{ 0, '\'', '}', insert_columns },
	{ 0, '\'', '~', delete_columns },
	{ '>', 0, 'c', report_attributes },
	{ '=', 0, 'c', report_attributes },
	{ '>', 0, 'q', report_version },
	{ '>', 0, 'm', modify_keys },
	{ '>', 0, 'n', modify_keys },
	{ '?', 0, 'm', query_keys },
	{ '=', 0, 'u', kitty_set },
	{ '>', 0, 'u', kitty_push },
	{ '<', 0, 'u', kitty_pop },
};

void csi_dispatch(struct emulator *emulator)
{
	const struct parser *parser = &emulator->parser;

	if (parser->final != 'm')
		emulator->last_valid = false;
	if (!parser->prefix && !parser->intermediate) {
		if (plain[parser->final])
			plain[parser->final](emulator);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (others[i].final != parser->final || others[i].prefix != parser->prefix ||
			others[i].intermediate != parser->intermediate)
			continue;
		others[i].handle(emulator);
		return;
	}
}
