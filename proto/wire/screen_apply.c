/* Applying a difference that a peer sent. The packed fields are walked twice by the same code: once only to check,
 * then to write; so nothing is written unless all of it can be. */
#include "proto/wire/screen.h"

#include <string.h>
#include "proto/base/str.h"
#include "proto/schema/screen.pb-c.h"
#include "proto/wire/message.h"

#define KINDS_MASK 3U

struct reader {
	const uint8_t *at, *end;
};

/* Empty bytes come as a null pointer, on which no arithmetic is allowed. */
static struct reader reader_of(const ProtobufCBinaryData *data)
{
	const uint8_t *from = data->data ? data->data : (const uint8_t *)"";

	return (struct reader){ from, from + data->len };
}

struct apply {
	struct screen *screen;
	const Maestro__ScreenUpdate *message;
	bool keyframe;
	bool write; /* false: only check */
	unsigned int cols, rows; /* after the update */
	uint32_t style_end; /* one more than the highest index defined */
	uint8_t defined[SCREEN_STYLES_MAX / 8 + 1];
	uint8_t links[SCREEN_LINKS_MAX + 1]; /* defined by this update */
	struct reader link_id[SCREEN_LINKS_MAX + 1]; /* of those that have one */
	struct screen_row *row; /* being written */
	struct screen_row *new_row; /* of a keyframe of another size */
	struct screen_cell *new_slab;
};

static int get_varint(struct reader *reader, uint32_t max, uint32_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 35; shift += 7) {
		if (reader->at == reader->end)
			return SCREEN_E_INVALID;
		value |= (uint64_t)(*reader->at & 0x7f) << shift;
		if (*reader->at++ & 0x80)
			continue;
		if (value > max)
			return SCREEN_E_INVALID;
		*ret_value = (uint32_t)value;
		return 0;
	}
	return SCREEN_E_INVALID;
}

/* --- styles --- */

static bool colour_valid(uint32_t colour)
{
	switch (SCREEN_COLOUR_KIND(colour)) {
	case 0:
		return colour == 0;
	case 1:
		return (colour & 0xffffffU) <= 255;
	default:
		return SCREEN_COLOUR_KIND(colour) == 2;
	}
}

static int get_style(struct reader *reader, uint32_t *ret_index, struct screen_style *ret_style)
{
	static const uint32_t max[] = { SCREEN_STYLES_MAX - 1, SCREEN_ATTRIBUTES_ALL, SCREEN_UNDERLINE_COUNT - 1,
		UINT32_MAX, UINT32_MAX, UINT32_MAX };
	uint32_t number[ARRAY_SIZE(max)];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(max); i++) {
		r = get_varint(reader, max[i], &number[i]);
		if (r)
			return r;
	}
	if (number[0] == 0 || !colour_valid(number[3]) || !colour_valid(number[4]) || !colour_valid(number[5]))
		return SCREEN_E_INVALID;
	*ret_index = number[0];
	*ret_style = (struct screen_style){ .attributes = (uint8_t)number[1], .underline = (uint8_t)number[2],
		.foreground = number[3], .background = number[4], .underline_colour = number[5] };
	return 0;
}

static int walk_styles(struct apply *apply)
{
	const ProtobufCBinaryData *data = &apply->message->styles;
	struct reader reader = reader_of(data);
	struct screen_style style;
	uint32_t index;
	int r;

	if (!apply->message->has_styles)
		return 0;
	while (reader.at < reader.end) {
		r = get_style(&reader, &index, &style);
		if (r == 0 && apply->write)
			r = screen_style_define(apply->screen, index, &style);
		if (r)
			return r;
		apply->defined[index / 8] |= (uint8_t)(1U << index % 8);
		if (index >= apply->style_end)
			apply->style_end = index + 1;
	}
	return 0;
}

/* The next { link, bytes, text }. */
static int get_link(struct reader *reader, uint32_t bytes_max, uint32_t *ret_link, struct reader *ret_text)
{
	uint32_t len = 0;
	int r;

	r = get_varint(reader, SCREEN_LINKS_MAX, ret_link);
	if (r == 0)
		r = get_varint(reader, bytes_max, &len);
	if (r || *ret_link == 0 || len > (size_t)(reader->end - reader->at))
		return SCREEN_E_INVALID;
	*ret_text = (struct reader){ reader->at, reader->at + len };
	reader->at += len;
	return 0;
}

static int walk_link_ids(struct apply *apply)
{
	struct reader reader = reader_of(&apply->message->link_ids), text;
	uint32_t link;

	while (apply->message->has_link_ids && reader.at < reader.end) {
		if (get_link(&reader, SCREEN_LINK_ID_BYTES_MAX, &link, &text) ||
			!screen_link_id_allowed((const char *)text.at, (size_t)(text.end - text.at)))
			return SCREEN_E_INVALID;
		apply->link_id[link] = text;
	}
	return 0;
}

static int walk_links(struct apply *apply)
{
	struct reader reader = reader_of(&apply->message->links), text;
	struct screen_address address;
	uint32_t link;

	while (apply->message->has_links && reader.at < reader.end) {
		if (get_link(&reader, SCREEN_LINK_BYTES_MAX, &link, &text))
			return SCREEN_E_INVALID;
		address = (struct screen_address){ .text = (const char *)text.at, .len = (size_t)(text.end - text.at),
			.id = (const char *)apply->link_id[link].at,
			.id_len = (size_t)(apply->link_id[link].end - apply->link_id[link].at) };
		if (!screen_link_allowed(&address))
			return SCREEN_E_INVALID;
		/* One for which there is no memory is left out. */
		apply->links[link] = !apply->write || screen_link_define(apply->screen, (uint16_t)link, &address) == 0;
	}
	return 0;
}

static int walk_style_links(struct apply *apply)
{
	struct reader reader = reader_of(&apply->message->style_links);
	uint32_t style, link;
	int r = 0;

	while (apply->message->has_style_links && reader.at < reader.end) {
		r = get_varint(&reader, SCREEN_STYLES_MAX - 1, &style);
		if (r == 0)
			r = get_varint(&reader, SCREEN_LINKS_MAX, &link);
		if (r || !(apply->defined[style / 8] & 1U << style % 8) || (!apply->write && !apply->links[link]))
			return SCREEN_E_INVALID;
		if (apply->write && apply->links[link])
			apply->screen->styles.items[style].link = (uint16_t)link;
	}
	return 0;
}

static int walk_palette(struct apply *apply)
{
	struct reader reader = reader_of(&apply->message->palette);
	uint32_t index, colour;
	int r = 0;

	while (apply->message->has_palette && reader.at < reader.end) {
		r = get_varint(&reader, SCREEN_PALETTE_COUNT - 1, &index);
		if (r == 0)
			r = get_varint(&reader, UINT32_MAX, &colour);
		if (r || (colour && SCREEN_COLOUR_KIND(colour) != 2))
			return SCREEN_E_INVALID;
		if (apply->write)
			apply->screen->palette[index] = colour;
	}
	return 0;
}

static bool style_known(const struct apply *apply, uint32_t index)
{
	const struct screen_styles *styles = &apply->screen->styles;

	return index == 0 || (apply->defined[index / 8] & 1U << index % 8) ||
		(!apply->keyframe && index < styles->count && styles->known[index]);
}

/* --- cells --- */

static void write_cell(struct apply *apply, unsigned int col, uint32_t glyph, uint32_t style, unsigned int width)
{
	struct screen_row *row = apply->row;

	row->cells[col] = (struct screen_cell){ .glyph = glyph, .style = (uint16_t)style, .width = (uint8_t)width };
	if (width == 2)
		row->cells[col + 1] = (struct screen_cell){ .style = (uint16_t)style };
	if (col + width > row->used)
		row->used = (uint16_t)(col + width);
}

static int get_code(struct reader *reader, uint32_t *ret_code)
{
	uint32_t code;
	int len;

	if (reader->at == reader->end)
		return SCREEN_E_INVALID;
	if (*reader->at < 0x80) {
		code = *reader->at;
		len = 1;
	} else {
		len = str_utf8_next((const char *)reader->at, (size_t)(reader->end - reader->at), &code);
	}
	if (len <= 0 || !screen_code_allowed(code))
		return SCREEN_E_INVALID;
	reader->at += len;
	*ret_code = code;
	return 0;
}

static int check_cluster(const char *text, size_t len)
{
	uint32_t code;
	int step;

	for (size_t i = 0; i < len; i += (size_t)step) {
		step = str_utf8_next(text + i, len - i, &code);
		if (step <= 0 || !(i == 0 ? screen_code_allowed(code) : screen_code_joins(code)))
			return SCREEN_E_INVALID;
	}
	return 0;
}

static uint32_t enter_cluster(struct screen *screen, const char *text, size_t len)
{
	uint32_t glyph = screen_cluster_intern(screen, text, len);
	struct screen_marks marks;

	if (glyph)
		return glyph;
	if (screen_collect_begin(screen, &marks) == 0) {
		/* Indices of styles are the sender's to reuse. */
		memset(marks.styles, 1, marks.style_count);
		screen_collect_sweep(screen, &marks);
		glyph = screen_cluster_intern(screen, text, len);
	}
	return glyph ? glyph : 0xfffd;
}

static int walk_clusters(struct apply *apply, struct reader *reader, unsigned int *col, uint32_t style, uint32_t count)
{
	uint32_t head, len, width;
	int r;

	for (; count; count--) {
		r = get_varint(reader, SCREEN_CLUSTER_BYTES_MAX << 1 | 1, &head);
		if (r)
			return r;
		len = head >> 1;
		width = 1 + (head & 1);
		if (len == 0 || len > (size_t)(reader->end - reader->at) || *col + width > apply->cols ||
			check_cluster((const char *)reader->at, len))
			return SCREEN_E_INVALID;
		if (apply->write)
			write_cell(apply, *col, enter_cluster(apply->screen, (const char *)reader->at, len), style,
				width);
		reader->at += len;
		*col += width;
	}
	return 0;
}

static int walk_repeat(struct apply *apply, struct reader *reader, unsigned int *col, uint32_t style, uint32_t count)
{
	uint32_t code;
	int r;

	r = get_code(reader, &code);
	if (r)
		return r;
	if (count > apply->cols - *col)
		return SCREEN_E_INVALID;
	for (uint32_t i = 0; apply->write && i < count; i++)
		write_cell(apply, *col + i, code, style, 1);
	*col += count;
	return 0;
}

static int walk_text(struct apply *apply, struct reader *reader, unsigned int *col, uint32_t style, uint32_t count,
	unsigned int width)
{
	uint32_t code;
	int r;

	for (; count; count--) {
		r = get_code(reader, &code);
		if (r)
			return r;
		if (*col + width > apply->cols)
			return SCREEN_E_INVALID;
		if (apply->write)
			write_cell(apply, *col, code, style, width);
		*col += width;
	}
	return 0;
}

static int walk_runs(struct apply *apply, struct reader *reader)
{
	uint32_t skip, style, head;
	unsigned int col = 0;
	int r;

	while (reader->at < reader->end) {
		r = get_varint(reader, apply->cols - col, &skip);
		if (r == 0)
			r = get_varint(reader, SCREEN_STYLES_MAX - 1, &style);
		if (r == 0)
			r = get_varint(reader, SCREEN_COLS_MAX << 2 | KINDS_MASK, &head);
		if (r || head >> 2 == 0 || !style_known(apply, style))
			return SCREEN_E_INVALID;
		col += skip;
		switch (head & KINDS_MASK) {
		case 1:
			r = walk_repeat(apply, reader, &col, style, head >> 2);
			break;
		case 3:
			r = walk_clusters(apply, reader, &col, style, head >> 2);
			break;
		default:
			r = walk_text(apply, reader, &col, style, head >> 2, 1 + ((head & KINDS_MASK) == 2));
			break;
		}
		if (r)
			return r;
	}
	return 0;
}

static int walk_cells(struct apply *apply)
{
	const ProtobufCBinaryData *data = &apply->message->cells;
	struct reader reader = reader_of(data), runs;
	uint32_t skip, head, row = 0;
	int r;

	if (!apply->message->has_cells)
		return 0;
	for (; reader.at < reader.end; row++) {
		r = get_varint(&reader, SCREEN_ROWS_MAX, &skip);
		if (r == 0)
			r = get_varint(&reader, UINT32_MAX, &head);
		row += skip;
		if (r || row >= apply->rows || head >> 1 > (size_t)(reader.end - reader.at))
			return SCREEN_E_INVALID;
		runs = (struct reader){ reader.at, reader.at + (head >> 1) };
		reader.at = runs.end;
		apply->row = apply->write ? &apply->screen->row[row] : NULL;
		r = walk_runs(apply, &runs);
		if (r)
			return r;
		if (apply->write) {
			apply->row->wrapped = head & 1;
			screen_row_mend(apply->screen, apply->row);
		}
	}
	return 0;
}

static int walk_prompts(struct apply *apply)
{
	struct reader reader = reader_of(&apply->message->prompts);
	uint32_t skip, kinds, exit_code = 0, row = 0;
	int r;

	for (; apply->message->has_prompts && reader.at < reader.end; row++) {
		r = get_varint(&reader, SCREEN_ROWS_MAX, &skip);
		if (r == 0)
			r = get_varint(&reader, SCREEN_MARKS_ALL, &kinds);
		if (r == 0)
			r = get_varint(&reader, UINT8_MAX, &exit_code);
		row += skip;
		if (r || row >= apply->rows || (exit_code && !(kinds & SCREEN_MARK_EXIT)))
			return SCREEN_E_INVALID;
		if (!apply->write)
			continue;
		apply->screen->row[row].mark = (struct screen_mark){ (uint8_t)kinds, (uint8_t)exit_code };
		screen_touch(apply->screen, &apply->screen->row[row]);
	}
	return 0;
}

/* --- the message --- */

static bool scroll_valid(const struct apply *apply)
{
	const Maestro__ScreenUpdate *message = apply->message;
	int64_t delta = message->scroll_delta, height;

	if (!message->has_scroll_top && !message->has_scroll_bottom && !message->has_scroll_delta)
		return true;
	if (apply->keyframe || !message->has_scroll_top || !message->has_scroll_bottom || !message->has_scroll_delta)
		return false;
	height = (int64_t)message->scroll_bottom - message->scroll_top;
	return height > 0 && message->scroll_bottom <= apply->rows && delta != 0 && delta > -height && delta < height;
}

static bool title_valid(const Maestro__ScreenUpdate *message)
{
	const char *text = (const char *)message->title.data;
	uint32_t code;
	int step;

	if (!message->has_title)
		return true;
	if (message->title.len > SCREEN_TITLE_BYTES_MAX)
		return false;
	for (size_t i = 0; i < message->title.len; i += (size_t)step) {
		step = str_utf8_next(text + i, message->title.len - i, &code);
		if (step <= 0 || !(screen_code_allowed(code) || screen_code_joins(code)))
			return false;
	}
	return true;
}

static bool state_valid(const struct apply *apply)
{
	const Maestro__ScreenUpdate *message = apply->message;
	uint32_t row = message->has_cursor_row ? message->cursor_row : apply->keyframe ? 0 : apply->screen->cursor_row;
	uint32_t col = message->has_cursor_col ? message->cursor_col : apply->keyframe ? 0 : apply->screen->cursor_col;

	return row < apply->rows && col < apply->cols && message->cursor_shape < SCREEN_CURSOR_SHAPE_COUNT &&
		(message->modes & ~(uint32_t)SCREEN_MODES_ALL) == 0 && message->mouse_mode < SCREEN_MOUSE_MODE_COUNT &&
		message->mouse_encoding < SCREEN_MOUSE_ENCODING_COUNT &&
		(message->kitty_flags & ~SCREEN_KITTY_FLAGS_ALL) == 0 &&
		message->modify_other_keys <= SCREEN_MODIFY_OTHER_KEYS_MAX && title_valid(message) && scroll_valid(apply);
}

static int check_base(struct apply *apply)
{
	const Maestro__ScreenUpdate *message = apply->message;

	if (!message->has_frame || message->frame == 0)
		return SCREEN_E_INVALID;
	apply->keyframe = !message->has_base_frame || message->base_frame == 0;
	if (apply->keyframe) {
		if (message->cols < 1 || message->cols > SCREEN_COLS_MAX || message->rows < 1 ||
			message->rows > SCREEN_ROWS_MAX)
			return SCREEN_E_INVALID;
		apply->cols = message->cols;
		apply->rows = message->rows;
		return 0;
	}
	if (apply->screen->frame == 0 || message->base_frame != apply->screen->frame)
		return SCREEN_E_BASE;
	if (message->has_cols || message->has_rows || message->base_frame == message->frame)
		return SCREEN_E_INVALID;
	apply->cols = apply->screen->cols;
	apply->rows = apply->screen->rows;
	return 0;
}

/* Takes all memory that writing needs. */
static int reserve(struct apply *apply)
{
	struct screen *screen = apply->screen;
	struct screen_style filler = { 0 };
	uint32_t last = apply->style_end ? apply->style_end - 1 : 0;
	int r = 0;

	if (apply->keyframe && (apply->cols != screen->cols || apply->rows != screen->rows))
		r = screen_grid_new(screen, apply->cols, apply->rows, &apply->new_row, &apply->new_slab);
	/* Defining the highest one grows the table; the walk that writes defines it again, as it should be. */
	if (r == 0 && last < screen->styles.count)
		return 0;
	if (r == 0)
		r = screen_style_define(screen, last, &filler);
	if (r < 0) {
		free(apply->new_row);
		free(apply->new_slab);
	}
	return r;
}

static void start_keyframe(struct apply *apply)
{
	struct screen *screen = apply->screen;

	if (apply->new_row) {
		free(screen->row);
		free(screen->slab);
		screen->row = apply->new_row;
		screen->slab = apply->new_slab;
		screen->cols = apply->cols;
		screen->rows = apply->rows;
	} else {
		for (unsigned int i = 0; i < screen->rows; i++)
			screen_row_clear(screen, &screen->row[i]);
	}
	screen_clusters_deinit(&screen->clusters);
	screen_links_deinit(&screen->links);
	if (screen->styles.count)
		memset(screen->styles.known, 0, screen->styles.count);
	screen->styles.live = 0;
	screen->cursor_row = screen->cursor_col = 0;
	screen->cursor_visible = false;
	screen->cursor_shape = SCREEN_CURSOR_DEFAULT;
	screen->modes = screen->kitty_flags = screen->modify_other_keys = 0;
	memset(screen->palette, 0, sizeof(screen->palette));
	screen->mouse_mode = SCREEN_MOUSE_NONE;
	screen->mouse_encoding = SCREEN_MOUSE_ENCODING_X10;
	screen->title_len = 0;
	screen->title[0] = 0;
}

static void write_state(struct screen *screen, const Maestro__ScreenUpdate *message)
{
	screen->frame = message->frame;
	if (message->has_cursor_row)
		screen->cursor_row = message->cursor_row;
	if (message->has_cursor_col)
		screen->cursor_col = message->cursor_col;
	if (message->has_cursor_visible)
		screen->cursor_visible = message->cursor_visible;
	if (message->has_cursor_shape)
		screen->cursor_shape = (enum screen_cursor_shape)message->cursor_shape;
	if (message->has_modes)
		screen->modes = message->modes;
	if (message->has_mouse_mode)
		screen->mouse_mode = (enum screen_mouse_mode)message->mouse_mode;
	if (message->has_mouse_encoding)
		screen->mouse_encoding = (enum screen_mouse_encoding)message->mouse_encoding;
	if (message->has_kitty_flags)
		screen->kitty_flags = message->kitty_flags;
	if (message->has_modify_other_keys)
		screen->modify_other_keys = message->modify_other_keys;
	if (!message->has_title)
		return;
	screen->title_len = (uint16_t)message->title.len;
	if (message->title.len)
		memcpy(screen->title, message->title.data, message->title.len);
	screen->title[message->title.len] = 0;
}

static int walk_all(struct apply *apply)
{
	int r;

	r = walk_styles(apply);
	if (r == 0)
		r = walk_link_ids(apply);
	if (r == 0)
		r = walk_links(apply);
	if (r == 0)
		r = walk_style_links(apply);
	if (r == 0)
		r = walk_palette(apply);
	if (r == 0)
		r = walk_cells(apply);
	return r ? r : walk_prompts(apply);
}

static int apply_message(struct screen *screen, const Maestro__ScreenUpdate *message)
{
	struct apply apply = { .screen = screen, .message = message };
	int r;

	r = check_base(&apply);
	if (r == 0 && !state_valid(&apply))
		r = SCREEN_E_INVALID;
	if (r == 0)
		r = walk_all(&apply);
	if (r == 0)
		r = reserve(&apply);
	if (r)
		return r;
	if (apply.keyframe)
		start_keyframe(&apply);
	else if (message->has_scroll_delta)
		screen_scroll(screen, message->scroll_top, message->scroll_bottom, message->scroll_delta);
	screen_style_define(screen, 0, &(struct screen_style){ 0 });
	apply.write = true;
	r = walk_all(&apply);
	require(r == 0);
	write_state(screen, message);
	return 0;
}

int screen_apply(struct screen *screen, const void *data, size_t len)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	int r;

	if (len > SCREEN_UPDATE_BYTES_MAX)
		return SCREEN_E_INVALID;
	r = message_unpack(&maestro__screen_update__descriptor, data, len, &message, NULL);
	if (r)
		return r == MESSAGE_E_BROKEN ? SCREEN_E_INVALID : r;
	return apply_message(screen, (const Maestro__ScreenUpdate *)message.base);
}
