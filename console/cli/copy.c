#include "console/cli/copy.h"

#include <stdio.h>
#include <string.h>
#include "proto/wire/plain.h"

static size_t count_of(const struct copy *copy)
{
	return copy->lines.len / sizeof(size_t);
}

static const uint8_t *line_at(const struct copy *copy, size_t line, size_t *ret_len)
{
	const size_t *starts = (const size_t *)(const void *)copy->lines.data;
	size_t end = line + 1 < count_of(copy) ? starts[line + 1] - 1 : copy->data.len;

	if (end > starts[line] && copy->data.data[end - 1] == '\n')
		end--;
	*ret_len = end - starts[line];
	return copy->data.data + starts[line];
}

static void keep_inside(struct copy *copy)
{
	size_t count = count_of(copy);

	if (copy->cursor >= count)
		copy->cursor = count - 1;
	if (copy->cursor < copy->top)
		copy->top = copy->cursor;
	if (copy->cursor >= copy->top + copy->rows)
		copy->top = copy->cursor - copy->rows + 1;
}

static int index_lines(struct copy *copy)
{
	size_t start = 0;
	int r;

	do {
		const uint8_t *newline = memchr(copy->data.data + start, '\n', copy->data.len - start);

		r = buf_append(&copy->lines, &start, sizeof(start));
		start = newline ? (size_t)(newline + 1 - copy->data.data) : copy->data.len;
	} while (!r && start < copy->data.len);
	return r;
}

int copy_init(struct copy *copy, const void *data, size_t len, unsigned int cols, unsigned int rows)
{
	int r;

	*copy = (struct copy){ .shown = SCREEN_NULL, .cols = cols, .rows = rows, };
	r = len ? buf_append(&copy->data, data, len) : buf_append_byte(&copy->data, '\n');
	if (!r)
		r = index_lines(copy);
	if (!r)
		r = emulator_new(&copy->view, cols, rows, 0);
	if (r) {
		copy_deinit(copy);
		return r;
	}
	copy->cursor = SIZE_MAX;
	keep_inside(copy);
	return 0;
}

void copy_deinit(struct copy *copy)
{
	emulator_free(copy->view);
	screen_deinit(&copy->shown);
	buf_deinit(&copy->data);
	buf_deinit(&copy->lines);
	*copy = (struct copy){ .shown = SCREEN_NULL };
}

int copy_resize(struct copy *copy, unsigned int cols, unsigned int rows)
{
	int r = emulator_resize(copy->view, cols, rows);

	if (r)
		return r;
	copy->cols = cols;
	copy->rows = rows;
	keep_inside(copy);
	return 0;
}

static int plain_line(const struct copy *copy, size_t line, struct buf *out)
{
	struct plain plain = PLAIN_NULL;
	size_t len;
	const uint8_t *text = line_at(copy, line, &len);

	return plain_feed(&plain, text, len, out);
}

/* --- searching ------------------------------------------------------------------------------------------------ */

static bool line_has(const struct copy *copy, size_t line)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	return plain_line(copy, line, &text) == 0 && strstr(buf_text(&text), copy->search);
}

/* The mark of a shell (OSC 133) as a worker writes it; what comes behind it, or NULL. */
static const uint8_t *line_mark(const struct copy *copy, size_t line, const char *mark, size_t *ret_len)
{
	size_t len;
	const uint8_t *text = line_at(copy, line, &len), *found = memmem(text, len, mark, strlen(mark));

	if (!found)
		return NULL;
	found += strlen(mark);
	*ret_len = (size_t)(text + len - found);
	return found;
}

static bool line_prompts(const struct copy *copy, size_t line)
{
	size_t len;

	return line_mark(copy, line, "\033]133;A", &len) != NULL;
}

/* Goes to the next line that is meant. */
static bool find(struct copy *copy, bool down, bool (*is_meant)(const struct copy *copy, size_t line))
{
	size_t line = copy->cursor;

	while (down ? line + 1 < count_of(copy) : line > 0) {
		line += down ? 1 : (size_t)-1;
		if (!is_meant(copy, line))
			continue;
		copy->cursor = line;
		keep_inside(copy);
		return true;
	}
	return false;
}

static void search(struct copy *copy, bool down)
{
	*copy->notice = '\0';
	if (*copy->search && !find(copy, down, line_has))
		snprintf(copy->notice, sizeof(copy->notice), "not found %s", down ? "below" : "above");
}

/* To a prompt, which also tells how the command before it ended. */
static void find_prompt(struct copy *copy, bool down)
{
	const uint8_t *code;
	size_t len, digits = 0;

	*copy->notice = '\0';
	if (!find(copy, down, line_prompts)) {
		snprintf(copy->notice, sizeof(copy->notice), "no prompt %s that the shell marked", down ? "below" : "above");
		return;
	}
	code = line_mark(copy, copy->cursor, "\033]133;D;", &len);
	while (code && digits < len && digits < 3 && code[digits] >= '0' && code[digits] <= '9')
		digits++;
	if (digits)
		snprintf(copy->notice, sizeof(copy->notice), "before it: exit %.*s", (int)digits, (const char *)code);
}

/* --- keys ----------------------------------------------------------------------------------------------------- */

static void move(struct copy *copy, bool up, size_t lines)
{
	*copy->notice = '\0';
	if (up)
		copy->cursor = copy->cursor > lines ? copy->cursor - lines : 0;
	else
		copy->cursor += lines;
	keep_inside(copy);
}

static enum copy_result type_key(struct copy *copy, uint8_t key)
{
	size_t len = strlen(copy->search);

	if (key == '\r' || key == 0x1b || key == 0x03) {
		copy->typing = false;
		if (key == '\r')
			search(copy, false);
	} else if (key == 0x7f || key == 0x08) {
		copy->search[len ? len - 1 : 0] = '\0';
	} else if (key >= 0x20 && len < COPY_SEARCH_BYTES_MAX) {
		copy->search[len] = (char)key;
		copy->search[len + 1] = '\0';
	}
	return COPY_STAYS;
}

static void begin_search(struct copy *copy)
{
	copy->typing = true;
	*copy->search = '\0';
}

static void toggle_selecting(struct copy *copy)
{
	copy->selecting = !copy->selecting;
	copy->anchor = copy->cursor;
}

static enum copy_result command_key(struct copy *copy, uint8_t key)
{
	switch (key) {
	case 'q':
	case 0x03:
		return COPY_LEAVES;
	case 'y':
	case '\r':
		return COPY_TAKES;
	case 'k':
	case 'j':
		move(copy, key == 'k', 1);
		break;
	case 0x02: /* Ctrl-b, Ctrl-f */
	case 0x06:
		move(copy, key == 0x02, copy->rows);
		break;
	case 0x15: /* Ctrl-u, Ctrl-d */
	case 0x04:
		move(copy, key == 0x15, copy->rows / 2 + 1);
		break;
	case 'g':
	case 'G':
		move(copy, key == 'g', count_of(copy));
		break;
	case '/':
		begin_search(copy);
		break;
	case 'n':
	case 'N':
		search(copy, key == 'N');
		break;
	case '[':
	case ']':
		find_prompt(copy, key == ']');
		break;
	case 'v':
	case ' ':
		toggle_selecting(copy);
		break;
	}
	return COPY_STAYS;
}

/* What follows ESC [: an arrow, or a number and ~. `escape` holds 2, then the number's last digit. */
static void sequence_key(struct copy *copy, uint8_t key)
{
	uint8_t escape = copy->escape;

	copy->escape = 0;
	if (key == 'A' || key == 'B')
		move(copy, key == 'A', 1);
	else if (key == 'H' || key == 'F')
		move(copy, key == 'H', count_of(copy));
	else if (key >= '0' && key <= '9')
		copy->escape = key;
	else if (key == '~' && (escape == '5' || escape == '6'))
		move(copy, escape == '5', copy->rows);
}

enum copy_result copy_key(struct copy *copy, uint8_t key)
{
	if (copy->escape >= 2) {
		sequence_key(copy, key);
		return COPY_STAYS;
	}
	if (copy->escape == 1 && (key == '[' || key == 'O')) {
		copy->escape = 2;
		return COPY_STAYS;
	}
	copy->escape = 0;
	if (copy->typing)
		return type_key(copy, key);
	if (key == 0x1b) {
		copy->escape = 1;
		return COPY_STAYS;
	}
	return command_key(copy, key);
}

enum copy_result copy_keys_end(struct copy *copy)
{
	bool alone = copy->escape == 1;

	copy->escape = 0;
	if (!alone)
		return COPY_STAYS;
	if (!copy->selecting)
		return COPY_LEAVES;
	copy->selecting = false;
	return COPY_STAYS;
}

/* --- drawing -------------------------------------------------------------------------------------------------- */

static bool is_selected(const struct copy *copy, size_t line)
{
	size_t from = copy->anchor < copy->cursor ? copy->anchor : copy->cursor;
	size_t to = copy->anchor < copy->cursor ? copy->cursor : copy->anchor;

	return copy->selecting && line >= from && line <= to;
}

static void reverse_cells(struct screen *screen, struct screen_row *row, unsigned int from, unsigned int to)
{
	for (unsigned int x = from; x < to && x < screen->cols; x++) {
		struct screen_style style = *screen_style(screen, row->cells[x].style);
		uint32_t index;

		style.attributes ^= SCREEN_REVERSE;
		index = screen_style_intern(screen, &style);
		if (index < SCREEN_STYLES_MAX)
			row->cells[x].style = (uint16_t)index;
		if (x >= row->used)
			row->used = (uint16_t)(x + 1);
	}
	screen_touch(screen, row);
}

/* Marks what was searched for. Cells are compared with the text as they stand, column by column. */
static void mark_found(struct copy *copy, struct screen_row *row)
{
	size_t len = strlen(copy->search);

	for (unsigned int from = 0; len && from < row->used; from++) {
		size_t at = 0;
		unsigned int x = from;

		for (; x < row->used && at < len; x++) {
			char buffer[SCREEN_CLUSTER_BYTES_MAX];
			const char *text;
			size_t n = screen_cell_text(&copy->shown, &row->cells[x], buffer, &text);

			if (n > len - at || memcmp(text, copy->search + at, n) != 0)
				break;
			at += n;
		}
		if (at == len)
			reverse_cells(&copy->shown, row, from, x);
	}
}

const struct screen *copy_screen(struct copy *copy)
{
	emulator_reset(copy->view);
	emulator_write(copy->view, "\033[?7l", 5); /* longer lines are cut */
	for (size_t y = 0; y < copy->rows && copy->top + y < count_of(copy); y++) {
		size_t len;
		const uint8_t *text = line_at(copy, copy->top + y, &len);

		emulator_write(copy->view, y ? "\r\n" : "", y ? 2 : 0);
		emulator_write(copy->view, text, len);
	}
	if (screen_copy(&copy->shown, emulator_screen(copy->view)))
		return NULL;
	for (unsigned int y = 0; y < copy->rows && copy->top + y < count_of(copy); y++) {
		if (is_selected(copy, copy->top + y))
			reverse_cells(&copy->shown, &copy->shown.row[y], 0, copy->shown.cols);
		else if (!copy->typing)
			mark_found(copy, &copy->shown.row[y]);
	}
	copy->shown.modes = 0;
	copy->shown.mouse_mode = SCREEN_MOUSE_NONE;
	copy->shown.kitty_flags = copy->shown.modify_other_keys = 0;
	copy->shown.cursor_row = (unsigned int)(copy->cursor - copy->top);
	copy->shown.cursor_col = 0;
	copy->shown.cursor_visible = true;
	return &copy->shown;
}

void copy_status(const struct copy *copy, char *out, size_t size)
{
	if (copy->typing)
		snprintf(out, size, " search up: %s", copy->search);
	else
		snprintf(out, size, " %zu/%zu %s  arrows move  / n N search  [ ] prompts  v select  y copy  q back", copy->cursor + 1,
			count_of(copy), copy->notice);
}

int copy_text(const struct copy *copy, struct buf *out)
{
	size_t from = copy->selecting && copy->anchor < copy->cursor ? copy->anchor : copy->cursor;
	size_t to = copy->selecting && copy->anchor > copy->cursor ? copy->anchor : copy->cursor;
	int r = 0;

	for (size_t line = from; !r && line <= to; line++) {
		r = plain_line(copy, line, out);
		if (!r && to > from)
			r = buf_append_byte(out, '\n');
	}
	return r;
}
