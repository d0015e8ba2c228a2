/* The difference between two screens: a scroll that explains most of it, then the cells that are still different. */
#include "proto/wire/screen.h"

#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/schema/screen.pb-c.h"

#define GAP_CELLS_MAX 4U      /* equal cells between two differences that are cheaper to send than a new run */
#define REPEAT_CELLS_MIN 4U   /* repeats from here on are worth a run of their own */
#define SCROLL_GAIN_MIN 2     /* rows */

enum run_kind {
	RUN_TEXT,
	RUN_REPEAT,
	RUN_WIDE,
	RUN_CLUSTERS,
};

struct scroll {
	unsigned int top, bottom;
	int delta; /* 0: none */
};

struct encoder {
	const struct screen *from; /* NULL: keyframe */
	const struct screen *to;
	struct screen_row blank; /* no cells: only `used` 0 is looked at */
	struct scroll scroll;
	uint8_t links_put[SCREEN_LINKS_MAX + 1]; /* links of `to` that this update defines */
	uint8_t *known;   /* styles of `to` that the receiver has, a bit each; NULL: nobody has asked yet */
	struct buf styles, style_links, links, link_ids, palette, cells, prompts;
	struct buf row; /* runs of the row at hand */
};

static void encoder_deinit(struct encoder *encoder)
{
	free(encoder->known);
	buf_deinit(&encoder->styles);
	buf_deinit(&encoder->style_links);
	buf_deinit(&encoder->links);
	buf_deinit(&encoder->link_ids);
	buf_deinit(&encoder->palette);
	buf_deinit(&encoder->prompts);
	buf_deinit(&encoder->cells);
	buf_deinit(&encoder->row);
}

static int put_varint(struct buf *out, uint32_t value)
{
	uint8_t bytes[5];
	size_t len = 0;

	while (value >= 0x80) {
		bytes[len++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[len++] = (uint8_t)value;
	return buf_append(out, bytes, len);
}

static const struct screen_cell *row_cell(const struct screen_row *row, unsigned int col)
{
	static const struct screen_cell blank = { .glyph = ' ', .width = 1 };

	return col < row->used ? &row->cells[col] : &blank;
}

static bool style_changed(const struct encoder *encoder, uint16_t index)
{
	const struct screen_style *was = screen_style(encoder->from, index), *is = screen_style(encoder->to, index);

	return !screen_style_equal(was, is) || (is->link && !screen_link_equal(encoder->from, was->link, encoder->to, is->link));
}

static bool clusters_equal(const struct encoder *encoder, const struct screen_cell *a, const struct screen_cell *b)
{
	char a_buffer[SCREEN_CLUSTER_BYTES_MAX], b_buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *a_text, *b_text;
	size_t len = screen_cell_text(encoder->from, a, a_buffer, &a_text);

	return len == screen_cell_text(encoder->to, b, b_buffer, &b_text) && !memcmp(a_text, b_text, len);
}

static bool cells_equal(const struct encoder *encoder, const struct screen_cell *a, const struct screen_cell *b)
{
	if (a->width != b->width || a->style != b->style)
		return false;
	if ((a->glyph | b->glyph) & SCREEN_GLYPH_CLUSTER) {
		if (!(a->glyph & b->glyph & SCREEN_GLYPH_CLUSTER) || !clusters_equal(encoder, a, b))
			return false;
	} else if (a->glyph != b->glyph) {
		return false;
	}
	return a->style == 0 || !encoder->from || !style_changed(encoder, a->style);
}

static bool rows_equal(const struct encoder *encoder, const struct screen_row *a, const struct screen_row *b)
{
	unsigned int used = a->used > b->used ? a->used : b->used;

	if (a->generation == b->generation)
		return true;
	if (a->wrapped != b->wrapped)
		return false;
	for (unsigned int i = 0; i < used; i++)
		if (!cells_equal(encoder, row_cell(a, i), row_cell(b, i)))
			return false;
	return true;
}

static bool is_known(const struct encoder *encoder, unsigned int style)
{
	return encoder->known[style / 8] >> style % 8 & 1;
}

static void set_known(struct encoder *encoder, unsigned int style, bool known)
{
	uint8_t bit = (uint8_t)(1u << style % 8), *byte = &encoder->known[style / 8];

	*byte = (uint8_t)(known ? *byte | bit : *byte & ~bit);
}

/* What the receiver has: what the base frame's cells use, unless the index means another style by now. */
static int find_known_styles(struct encoder *encoder)
{
	const struct screen *from = encoder->from;

	encoder->known = calloc(1, SCREEN_STYLES_MAX / 8 + 1);
	if (!encoder->known)
		return -ENOMEM;
	for (unsigned int i = 0; from && i < from->rows; i++)
		for (unsigned int j = 0; j < from->row[i].used; j++)
			set_known(encoder, from->row[i].cells[j].style, true);
	if (from)
		for (uint32_t i = 1; i < encoder->to->styles.count && i < SCREEN_STYLES_MAX; i++)
			if (is_known(encoder, i) && style_changed(encoder, (uint16_t)i))
				set_known(encoder, i, false);
	return 0;
}

static int put_link_bytes(struct buf *out, uint16_t link, const char *text, size_t len)
{
	int r = put_varint(out, link);

	if (r == 0)
		r = put_varint(out, (uint32_t)len);
	return r ? r : buf_append(out, text, len);
}

/* A link is said anew in each update that defines a style with it: what the receiver has is not worth keeping count of. */
static int put_link(struct encoder *encoder, uint16_t style, uint16_t link)
{
	const char *text, *id;
	size_t len = screen_link_text(encoder->to, link, &text), id_len = screen_link_id(encoder->to, link, &id);
	int r;

	if (!len)
		return 0;
	r = put_varint(&encoder->style_links, style);
	if (r == 0)
		r = put_varint(&encoder->style_links, link);
	if (r || encoder->links_put[link])
		return r;
	encoder->links_put[link] = 1;
	r = put_link_bytes(&encoder->links, link, text, len);
	return r || !id_len ? r : put_link_bytes(&encoder->link_ids, link, id, id_len);
}

static int put_palette(struct encoder *encoder)
{
	int r = 0;

	for (uint32_t i = 0; i < SCREEN_PALETTE_COUNT && r == 0; i++) {
		if (encoder->to->palette[i] == (encoder->from ? encoder->from->palette[i] : 0))
			continue;
		r = put_varint(&encoder->palette, i);
		if (r == 0)
			r = put_varint(&encoder->palette, encoder->to->palette[i]);
	}
	return r;
}

static int put_style(struct encoder *encoder, uint16_t index)
{
	const struct screen_style *style = screen_style(encoder->to, index);
	const uint32_t numbers[] = { index, style->attributes, style->underline, style->foreground,
		style->background, style->underline_colour };
	int r = 0;

	if (index == 0)
		return 0;
	if (!encoder->known) /* most keys are drawn plainly: then nobody goes over all cells */
		r = find_known_styles(encoder);
	if (r || is_known(encoder, index))
		return r;
	set_known(encoder, index, true);
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
		r = put_varint(&encoder->styles, numbers[i]);
	return r ? r : put_link(encoder, index, style->link);
}

/* --- scroll --- */

static uint64_t row_hash(const struct screen_row *row)
{
	uint64_t hash = 0;
	unsigned int used = row->used;

	while (used && row->cells[used - 1].glyph == ' ' && row->cells[used - 1].style == 0)
		used--;
	for (unsigned int i = 0; i < used; i++) {
		hash ^= row->cells[i].glyph | (uint64_t)row->cells[i].style << 32;
		hash *= 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash;
}

/* The best stretch of rows that a move by `delta` would explain: each row that becomes equal counts for it, each
 * that is equal where it stands and would not be any more counts against it. */
static int scroll_gain(const struct encoder *encoder, const uint64_t *was, const uint64_t *is, int delta,
	struct scroll *ret_scroll)
{
	int rows = (int)encoder->to->rows, first = delta < 0 ? -delta : 0, last = delta < 0 ? rows : rows - delta;
	int sum = 0, start = first, best = 0, best_start = 0, best_end = 0;

	for (int i = first; i < last; i++) {
		bool stays = is[i] == was[i], moves = is[i] && is[i] == was[i + delta];

		if (sum <= 0) {
			sum = 0;
			start = i;
		}
		sum += moves && !stays ? 1 : stays && !moves ? -1 : 0;
		if (sum > best) {
			best = sum;
			best_start = start;
			best_end = i + 1;
		}
	}
	if (best == 0)
		return 0;
	*ret_scroll = (struct scroll){ (unsigned int)(best_start + (delta < 0 ? delta : 0)),
		(unsigned int)(best_end + (delta > 0 ? delta : 0)), delta };
	/* Rows that the move exposes become blank and lose what was right in them. */
	for (int i = delta > 0 ? best_end : best_start + delta; i < (delta > 0 ? best_end + delta : best_start); i++)
		best -= is[i] && is[i] == was[i];
	return best;
}

static int find_scroll(struct encoder *encoder)
{
	_cleanup_free_ uint64_t *hashes = NULL;
	unsigned int rows = encoder->to->rows, changed = 0;
	int best = SCROLL_GAIN_MIN - 1, gain;
	struct scroll scroll;
	uint64_t *was, *is;

	for (unsigned int i = 0; i < rows; i++)
		changed += encoder->from->row[i].generation != encoder->to->row[i].generation;
	if (changed < 2)
		return 0; /* as after most keys: nothing to compute a hash of */
	changed = 0;
	hashes = malloc(2 * sizeof(*hashes) * rows);
	if (!hashes)
		return -ENOMEM;
	was = hashes;
	is = hashes + rows;
	for (unsigned int i = 0; i < rows; i++) {
		was[i] = row_hash(&encoder->from->row[i]);
		is[i] = row_hash(&encoder->to->row[i]);
		changed += was[i] != is[i];
	}
	if (changed < 2)
		return 0;
	for (int delta = 1; delta < (int)rows; delta++) {
		for (int sign = 1; sign >= -1; sign -= 2) {
			gain = scroll_gain(encoder, was, is, delta * sign, &scroll);
			if (gain > best) {
				best = gain;
				encoder->scroll = scroll;
			}
		}
	}
	return 0;
}

/* What the receiver has in this row after the scroll. */
static const struct screen_row *base_row(const struct encoder *encoder, unsigned int row)
{
	const struct scroll *scroll = &encoder->scroll;
	int source = (int)row + scroll->delta;

	if (!encoder->from)
		return &encoder->blank;
	if (scroll->delta == 0 || row < scroll->top || row >= scroll->bottom)
		return &encoder->from->row[row];
	if (source < (int)scroll->top || source >= (int)scroll->bottom)
		return &encoder->blank;
	return &encoder->from->row[source];
}

/* --- runs --- */

static bool cell_plain(const struct screen_cell *cell)
{
	return cell->width == 1 && !(cell->glyph & SCREEN_GLYPH_CLUSTER);
}

/* How many columns from `col` on show the same plain cell. */
static unsigned int repeat_length(const struct screen_row *row, unsigned int col, unsigned int end)
{
	const struct screen_cell *first = row_cell(row, col), *next;
	unsigned int i;

	if (!cell_plain(first))
		return 0;
	for (i = col + 1; i < end; i++) {
		next = row_cell(row, i);
		if (next->glyph != first->glyph || next->style != first->style || next->width != 1)
			break;
	}
	return i - col;
}

static enum run_kind cell_kind(const struct screen_cell *cell)
{
	if (cell->glyph & SCREEN_GLYPH_CLUSTER)
		return RUN_CLUSTERS;
	return cell->width == 2 ? RUN_WIDE : RUN_TEXT;
}

/* The run that starts at `col`: its kind, how many glyphs, and the column after it. */
static void measure_run(const struct screen_row *row, unsigned int col, unsigned int end, enum run_kind *ret_kind,
	unsigned int *ret_count, unsigned int *ret_end)
{
	const struct screen_cell *first = row_cell(row, col), *cell;
	unsigned int count = repeat_length(row, col, end), i = col;

	if (count >= REPEAT_CELLS_MIN) {
		*ret_kind = RUN_REPEAT;
		*ret_count = count;
		*ret_end = col + count;
		return;
	}
	for (count = 0; i < end; count++) {
		cell = row_cell(row, i);
		if (cell->style != first->style || cell_kind(cell) != cell_kind(first))
			break;
		/* A new run costs three bytes and more, so a repeat inside text must be worth it. */
		if (count && (i == col || row_cell(row, i - 1)->glyph != cell->glyph) &&
			repeat_length(row, i, end) >= 2 * REPEAT_CELLS_MIN)
			break;
		i += cell->width ? cell->width : 1;
	}
	*ret_kind = cell_kind(first);
	*ret_count = count;
	*ret_end = i;
}

static int put_cell(struct encoder *encoder, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len;
	int r = 0;

	len = screen_cell_text(encoder->to, cell, buffer, &text);
	if (cell->glyph & SCREEN_GLYPH_CLUSTER)
		r = put_varint(&encoder->row, (uint32_t)len << 1 | (cell->width == 2));
	return r ? r : buf_append(&encoder->row, text, len);
}

static int put_run(struct encoder *encoder, const struct screen_row *row, unsigned int skip, unsigned int col,
	unsigned int end, unsigned int *ret_end)
{
	uint16_t style = row_cell(row, col)->style;
	unsigned int count, run_end;
	enum run_kind kind;
	int r;

	measure_run(row, col, end, &kind, &count, &run_end);
	r = put_style(encoder, style);
	if (r == 0)
		r = put_varint(&encoder->row, skip);
	if (r == 0)
		r = put_varint(&encoder->row, style);
	if (r == 0)
		r = put_varint(&encoder->row, count << 2 | kind);
	if (kind == RUN_REPEAT)
		run_end = col + 1;
	for (unsigned int i = col; i < run_end && r == 0; i += row_cell(row, i)->width ? row_cell(row, i)->width : 1)
		r = put_cell(encoder, row_cell(row, i));
	*ret_end = kind == RUN_REPEAT ? col + count : run_end;
	return r;
}

/* The next stretch of columns to send, starting the search at `col`. False if the rest is equal. */
static bool find_difference(const struct encoder *encoder, const struct screen_row *base, const struct screen_row *row,
	unsigned int col, unsigned int *ret_start, unsigned int *ret_end)
{
	unsigned int used = base->used > row->used ? base->used : row->used, start, end;

	for (start = col; start < used; start++)
		if (!cells_equal(encoder, row_cell(base, start), row_cell(row, start)))
			break;
	if (start >= used)
		return false;
	end = start + 1;
	for (unsigned int i = end; i < used && i - end <= GAP_CELLS_MAX; i++)
		if (!cells_equal(encoder, row_cell(base, i), row_cell(row, i)))
			end = i + 1;
	/* Whole pairs only. */
	if (row_cell(row, start)->width == 0)
		start--;
	if (row_cell(row, end - 1)->width == 2)
		end++;
	*ret_start = start;
	*ret_end = end;
	return true;
}

static int put_runs(struct encoder *encoder, const struct screen_row *base, const struct screen_row *row)
{
	unsigned int col = 0, last = 0, start, end;
	int r;

	buf_clear(&encoder->row);
	while (find_difference(encoder, base, row, col, &start, &end)) {
		for (col = start; col < end; last = col) {
			r = put_run(encoder, row, col - last, col, end, &col);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int put_rows(struct encoder *encoder)
{
	const struct screen *to = encoder->to;
	unsigned int next = 0;
	int r;

	for (unsigned int i = 0; i < to->rows; i++) {
		const struct screen_row *base = base_row(encoder, i), *row = &to->row[i];

		if (rows_equal(encoder, base, row))
			continue;
		r = put_runs(encoder, base, row);
		if (r == 0)
			r = put_varint(&encoder->cells, i - next);
		if (r == 0)
			r = put_varint(&encoder->cells, (uint32_t)encoder->row.len << 1 | row->wrapped);
		if (r == 0)
			r = buf_append(&encoder->cells, encoder->row.data, encoder->row.len);
		if (r < 0)
			return r;
		next = i + 1;
	}
	return 0;
}

static int put_prompts(struct encoder *encoder)
{
	unsigned int next = 0;
	int r = 0;

	for (unsigned int i = 0; i < encoder->to->rows && r == 0; i++) {
		struct screen_mark was = base_row(encoder, i)->mark, is = encoder->to->row[i].mark;

		if (was.kinds == is.kinds && was.exit_code == is.exit_code)
			continue;
		r = put_varint(&encoder->prompts, i - next);
		if (r == 0)
			r = put_varint(&encoder->prompts, is.kinds);
		if (r == 0)
			r = put_varint(&encoder->prompts, is.exit_code);
		next = i + 1;
	}
	return r;
}

/* --- the message --- */

/* Sets an optional field if it differs from the base frame's, and tells whether it did. */
#define PUT_FIELD(message, field, was, is) ((is) == (was) ? 0 : ((message)->has_##field = 1, (message)->field = (is), 1))

static int put_state(Maestro__ScreenUpdate *message, const struct screen *from, const struct screen *to)
{
	static const struct screen nothing;
	const struct screen *was = from ? from : &nothing;
	int changed = 0;

	changed += PUT_FIELD(message, cols, was->cols, to->cols);
	changed += PUT_FIELD(message, rows, was->rows, to->rows);
	changed += PUT_FIELD(message, cursor_row, was->cursor_row, to->cursor_row);
	changed += PUT_FIELD(message, cursor_col, was->cursor_col, to->cursor_col);
	changed += PUT_FIELD(message, cursor_visible, was->cursor_visible, to->cursor_visible);
	changed += PUT_FIELD(message, cursor_shape, was->cursor_shape, to->cursor_shape);
	changed += PUT_FIELD(message, modes, was->modes, to->modes);
	changed += PUT_FIELD(message, mouse_mode, was->mouse_mode, to->mouse_mode);
	changed += PUT_FIELD(message, mouse_encoding, was->mouse_encoding, to->mouse_encoding);
	changed += PUT_FIELD(message, kitty_flags, was->kitty_flags, to->kitty_flags);
	changed += PUT_FIELD(message, modify_other_keys, was->modify_other_keys, to->modify_other_keys);
	if (was->title_len != to->title_len || memcmp(was->title, to->title, to->title_len)) {
		message->has_title = 1;
		message->title = (ProtobufCBinaryData){ to->title_len, (uint8_t *)to->title };
		changed++;
	}
	return changed;
}

static bool put_bytes(const struct buf *bytes, ProtobufCBinaryData *field)
{
	if (bytes->len)
		*field = (ProtobufCBinaryData){ bytes->len, bytes->data };
	return bytes->len != 0;
}

static int put_packed(Maestro__ScreenUpdate *message, struct encoder *encoder)
{
	if (encoder->scroll.delta) {
		message->has_scroll_top = message->has_scroll_bottom = message->has_scroll_delta = 1;
		message->scroll_top = encoder->scroll.top;
		message->scroll_bottom = encoder->scroll.bottom;
		message->scroll_delta = encoder->scroll.delta;
	}
	message->has_styles = put_bytes(&encoder->styles, &message->styles);
	message->has_style_links = put_bytes(&encoder->style_links, &message->style_links);
	message->has_links = put_bytes(&encoder->links, &message->links);
	message->has_link_ids = put_bytes(&encoder->link_ids, &message->link_ids);
	message->has_palette = put_bytes(&encoder->palette, &message->palette);
	message->has_cells = put_bytes(&encoder->cells, &message->cells);
	message->has_prompts = put_bytes(&encoder->prompts, &message->prompts);
	return message->has_scroll_delta + message->has_cells + message->has_palette + message->has_prompts;
}

static int append_message(const Maestro__ScreenUpdate *message, struct buf *out)
{
	size_t len = maestro__screen_update__get_packed_size(message);
	int r;

	if (len > SCREEN_UPDATE_BYTES_MAX)
		return -EMSGSIZE;
	r = buf_reserve(out, len);
	if (r < 0)
		return r;
	out->len += maestro__screen_update__pack(message, out->data + out->len);
	out->data[out->len] = 0;
	return 0;
}

int screen_encode(const struct screen *from, const struct screen *to, struct buf *out, bool *ret_changed)
{
	_cleanup_(encoder_deinit) struct encoder encoder = { .to = to };
	Maestro__ScreenUpdate message = MAESTRO__SCREEN_UPDATE__INIT;
	int r, changed;

	require(to->frame != 0 && to->rows != 0);
	if (from && from->frame && from->cols == to->cols && from->rows == to->rows)
		encoder.from = from;
	require(!encoder.from || from->frame != to->frame);
	r = encoder.from ? find_scroll(&encoder) : 0;
	if (r == 0)
		r = put_rows(&encoder);
	if (r == 0)
		r = put_prompts(&encoder);
	if (r == 0)
		r = put_palette(&encoder);
	if (r < 0)
		return r;
	message.has_frame = 1;
	message.frame = to->frame;
	if (encoder.from) {
		message.has_base_frame = 1;
		message.base_frame = from->frame;
	}
	changed = put_state(&message, encoder.from, to) + put_packed(&message, &encoder);
	r = append_message(&message, out);
	if (r < 0)
		return r;
	if (ret_changed)
		*ret_changed = changed != 0;
	return 0;
}
