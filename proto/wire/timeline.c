#include "proto/wire/timeline.h"

#include <stdbool.h>
#include "proto/base/buf.h"

#define VARINT_BYTES_MAX 10u

static size_t pack_varint(uint8_t *p, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		p[n++] = (uint8_t)(value | 0x80);
	p[n++] = (uint8_t)value;
	return n;
}

static bool take_varint(struct timeline_reader *reader, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 63 && reader->at < reader->len; shift += 7) {
		uint8_t byte = reader->data[reader->at++];

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* The bytes of items that are not just text. */
static size_t pack_body(const struct timeline_item *item, uint8_t *p)
{
	size_t n;

	if (item->kind == TIMELINE_GAP)
		return pack_varint(p, item->lost_bytes);
	n = pack_varint(p, item->cols);
	return n + pack_varint(p + n, item->rows);
}

static bool has_text(enum timeline_kind kind)
{
	return kind == TIMELINE_OUTPUT || kind == TIMELINE_MARK || kind == TIMELINE_KEYFRAME;
}

int timeline_put(struct timeline_writer *writer, const struct timeline_item *item)
{
	bool body_first = item->kind != TIMELINE_OUTPUT && item->kind != TIMELINE_MARK;
	uint8_t head[1 + 3 * VARINT_BYTES_MAX], body[2 * VARINT_BYTES_MAX];
	size_t before = writer->out->len, n = 0, body_len = body_first ? pack_body(item, body) : 0;
	size_t text_len = has_text(item->kind) ? item->len : 0;
	int64_t wall_ms = item->wall_ms < 0 ? 0 : item->wall_ms;
	int r;

	if (!writer->count)
		n = pack_varint(head, (uint64_t)wall_ms);
	else if (wall_ms < writer->wall_ms)
		wall_ms = writer->wall_ms;
	head[n++] = (uint8_t)item->kind;
	n += pack_varint(head + n, writer->count ? (uint64_t)(wall_ms - writer->wall_ms) : 0);
	n += pack_varint(head + n, body_len + text_len);
	r = buf_append(writer->out, head, n);
	if (!r)
		r = buf_append(writer->out, body, body_len);
	if (!r && text_len)
		r = buf_append(writer->out, item->data, text_len);
	if (r) {
		writer->out->len = before;
		return r;
	}
	writer->wall_ms = wall_ms;
	writer->count++;
	return 0;
}

static int take_body(const struct timeline_reader *reader, struct timeline_item *item)
{
	struct timeline_reader body = TIMELINE_READER(item->data, item->len);
	uint64_t cols, rows;

	switch (item->kind) {
	case TIMELINE_OUTPUT:
	case TIMELINE_MARK:
		return 0;
	case TIMELINE_GAP:
		return take_varint(&body, &item->lost_bytes) ? 0 : TIMELINE_E_INVALID;
	case TIMELINE_RESIZE:
	case TIMELINE_KEYFRAME:
		if (!take_varint(&body, &cols) || !take_varint(&body, &rows) || cols - 1 >= UINT16_MAX || rows - 1 >= UINT16_MAX)
			return TIMELINE_E_INVALID;
		item->cols = (unsigned int)cols;
		item->rows = (unsigned int)rows;
		item->data = body.data + body.at;
		item->len -= body.at;
		return 0;
	}
	return TIMELINE_E_INVALID;
}

int timeline_next(struct timeline_reader *reader, struct timeline_item *ret_item)
{
	struct timeline_item item = { 0 };
	uint64_t clock_ms, since_ms, len;
	int r;

	if (reader->at == reader->len)
		return TIMELINE_E_END;
	if (!reader->at) {
		if (!take_varint(reader, &clock_ms) || clock_ms > INT64_MAX / 4)
			return TIMELINE_E_INVALID;
		reader->wall_ms = (int64_t)clock_ms;
	}
	if (reader->at == reader->len)
		return TIMELINE_E_INVALID;
	item.kind = reader->data[reader->at++];
	if (!take_varint(reader, &since_ms) || !take_varint(reader, &len) || since_ms > INT64_MAX / 4 ||
		reader->wall_ms > INT64_MAX / 2 || len > reader->len - reader->at)
		return TIMELINE_E_INVALID;
	item.data = reader->data + reader->at;
	item.len = (size_t)len;
	r = take_body(reader, &item);
	if (r)
		return r;
	reader->at += (size_t)len;
	reader->wall_ms += (int64_t)since_ms;
	item.wall_ms = reader->wall_ms;
	*ret_item = item;
	return 0;
}
