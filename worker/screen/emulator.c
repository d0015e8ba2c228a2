/* The object, its size, and what its owner may ask. */
#include "worker/screen/internal.h"

#include <string.h>

static unsigned int clamp(unsigned int value, unsigned int max)
{
	return value < 1 ? 1 : value > max ? max : value;
}

int emulator_new(struct emulator **ret_emulator, unsigned int cols, unsigned int rows, size_t scrollback_limit_bytes)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = NULL;
	int r;

	cols = clamp(cols, SCREEN_COLS_MAX);
	rows = clamp(rows, SCREEN_ROWS_MAX);
	emulator = calloc(1, sizeof(*emulator));
	if (!emulator)
		return -ENOMEM;
	emulator->screen = SCREEN_NULL;
	emulator->reply = BUF_LIMIT(EMULATOR_REPLY_BYTES_MAX);
	emulator->prompts.last_exit_code = -1;
	scrollback_init(&emulator->scrollback, scrollback_limit_bytes);
	r = screen_init(&emulator->screen, cols, rows);
	if (r < 0)
		return r;
	emulator_reset(emulator);
	*ret_emulator = take(emulator);
	return 0;
}

void emulator_free(struct emulator *emulator)
{
	screen_deinit(&emulator->screen);
	free(emulator->hidden_row);
	free(emulator->hidden_slab);
	scrollback_deinit(&emulator->scrollback);
	buf_deinit(&emulator->reply);
	buf_deinit(&emulator->clipboard);
	buf_deinit(&emulator->parser.rest);
	free(emulator);
}

void emulator_reset(struct emulator *emulator)
{
	emulator->writes++;
	control_reset(emulator);
}

void emulator_write(struct emulator *emulator, const void *data, size_t len)
{
	emulator->writes++;
	parser_write(emulator, data, len, UINT64_MAX);
}

size_t emulator_write_some(struct emulator *emulator, const void *data, size_t len)
{
	emulator->writes++;
	emulator->work = 0;
	return parser_write(emulator, data, len, EMULATOR_WORK_CELLS_MAX);
}

/* What of the alternate screen fits. */
static void copy_alternate(struct screen *screen, const struct screen_row *from, unsigned int from_rows,
	struct screen_row *to)
{
	for (unsigned int i = 0; i < screen->rows && i < from_rows; i++) {
		unsigned int used = from[i].used < screen->cols ? from[i].used : screen->cols;

		memcpy(to[i].cells, from[i].cells, used * sizeof(*to->cells));
		to[i].used = (uint16_t)used;
		screen_row_mend(screen, &to[i]);
	}
}

/* Puts the new grids in the place of the old ones. */
static void replace_grids(struct emulator *emulator, const struct reflow_grid *primary,
	const struct reflow_grid *alternate, unsigned int cols, unsigned int rows)
{
	struct screen *screen = &emulator->screen;
	bool on_alternate = emulator_alternate(emulator);
	unsigned int old_rows = screen->rows;

	screen->cols = cols;
	screen->rows = rows;
	if (alternate->row)
		copy_alternate(screen, on_alternate ? screen->row : emulator->hidden_row, old_rows, alternate->row);
	free(screen->row);
	free(screen->slab);
	free(emulator->hidden_row);
	free(emulator->hidden_slab);
	screen->row = on_alternate ? alternate->row : primary->row;
	screen->slab = on_alternate ? alternate->slab : primary->slab;
	emulator->hidden_row = on_alternate ? primary->row : alternate->row;
	emulator->hidden_slab = on_alternate ? primary->slab : alternate->slab;
}

/* The primary screen reflows, the alternate one is cut or padded: its program repaints it. */
int emulator_resize(struct emulator *emulator, unsigned int cols, unsigned int rows)
{
	struct screen *screen = &emulator->screen;
	bool on_alternate = emulator_alternate(emulator);
	struct saved_cursor *saved = &emulator->saved[0];
	struct reflow_grid primary = { 0 }, alternate = { 0 };
	int r = 0;

	cols = clamp(cols, SCREEN_COLS_MAX);
	rows = clamp(rows, SCREEN_ROWS_MAX);
	if (cols == screen->cols && rows == screen->rows)
		return 0;
	primary.cursor_row = on_alternate ? saved->row : screen->cursor_row;
	primary.cursor_col = on_alternate ? saved->col : screen->cursor_col;
	if (on_alternate || emulator->hidden_row)
		r = screen_grid_new(screen, cols, rows, &alternate.row, &alternate.slab);
	if (r == 0)
		r = reflow(emulator, on_alternate ? emulator->hidden_row : screen->row, cols, rows, &primary);
	if (r < 0) {
		free(alternate.row);
		free(alternate.slab);
		return r;
	}
	replace_grids(emulator, &primary, &alternate, cols, rows);
	emulator->writes++;
	emulator->top = emulator->left = 0;
	emulator->bottom = rows;
	emulator->right = cols;
	emulator->last_valid = false;
	if (on_alternate) {
		saved->row = primary.cursor_row;
		saved->col = primary.cursor_col;
		edit_move_to(emulator, screen->cursor_row, screen->cursor_col);
	} else {
		edit_move_to(emulator, primary.cursor_row, primary.cursor_col);
	}
	return 0;
}

const struct screen *emulator_screen(const struct emulator *emulator)
{
	return &emulator->screen;
}

uint64_t emulator_generation(const struct emulator *emulator)
{
	return emulator->writes;
}

int emulator_text(const struct emulator *emulator, struct buf *out)
{
	return screen_text(&emulator->screen, out);
}

int emulator_take_reply(struct emulator *emulator, struct buf *out)
{
	int r;

	r = buf_append(out, emulator->reply.data, emulator->reply.len);
	if (r < 0)
		return r;
	buf_clear(&emulator->reply);
	return 0;
}

bool emulator_has_reply(const struct emulator *emulator)
{
	return emulator->reply.len > 0;
}

bool emulator_synchronized(const struct emulator *emulator)
{
	return emulator->modes & MODE_SYNCHRONIZED;
}

void emulator_end_synchronized(struct emulator *emulator)
{
	emulator->modes &= ~(uint32_t)MODE_SYNCHRONIZED;
}

uint64_t emulator_bells(const struct emulator *emulator)
{
	return emulator->bells;
}

uint64_t emulator_title_changes(const struct emulator *emulator)
{
	return emulator->title_changes;
}

struct emulator_prompts emulator_prompts(const struct emulator *emulator)
{
	return emulator->prompts;
}

uint64_t emulator_scrollback_first(const struct emulator *emulator)
{
	return emulator->scrollback.first;
}

size_t emulator_scrollback_count(const struct emulator *emulator)
{
	return emulator->scrollback.count;
}

size_t emulator_scrollback_bytes(const struct emulator *emulator)
{
	return emulator->scrollback.bytes;
}

size_t emulator_scrollback_read(const struct emulator *emulator, uint64_t line, struct screen_cell *cells, size_t size,
	bool *ret_wrapped)
{
	const struct scrollback *scrollback = &emulator->scrollback;

	if (line < scrollback->first || line - scrollback->first >= scrollback->count)
		return 0;
	return scrollback_read(scrollback, line - scrollback->first, cells, size, ret_wrapped);
}

struct screen_mark emulator_scrollback_mark(const struct emulator *emulator, uint64_t line)
{
	const struct scrollback *scrollback = &emulator->scrollback;

	if (line < scrollback->first || line - scrollback->first >= scrollback->count)
		return (struct screen_mark){ 0 };
	return scrollback_prompt(scrollback, line - scrollback->first);
}

int emulator_scrollback_text(const struct emulator *emulator, uint64_t line, struct buf *out)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t count, len;
	int r;

	count = emulator_scrollback_read(emulator, line, cells, ARRAY_SIZE(cells), NULL);
	while (count && cells[count - 1].glyph == ' ')
		count--;
	for (size_t i = 0; i < count; i++) {
		len = screen_cell_text(&emulator->screen, &cells[i], buffer, &text);
		r = buf_append(out, text, len);
		if (r < 0)
			return r;
	}
	return 0;
}
