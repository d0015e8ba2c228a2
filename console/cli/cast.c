#include "console/cli/cast.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"

#define REPLACEMENT "\xef\xbf\xbd"

static int append_json(json_t *json, struct buf *out)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;
	int r = text ? buf_append_str(out, text) : -ENOMEM;

	json_decref(json);
	free(text);
	return r;
}

static int put_header(struct cast *cast, int64_t wall_ms, struct buf *out)
{
	json_t *header = json_object();
	int r = 0;

	cast->begun = true;
	cast->first_ms = cast->last_ms = wall_ms;
	if (!cast->cols) {
		cast->cols = 80;
		cast->rows = 24;
	}
	r |= json_object_set_new(header, "version", json_integer(cast->version));
	if (cast->version == 2) {
		r |= json_object_set_new(header, "width", json_integer(cast->cols));
		r |= json_object_set_new(header, "height", json_integer(cast->rows));
		r |= json_object_set_new(header, "env", json_pack("{ss}", "TERM", "xterm-256color"));
	} else {
		r |= json_object_set_new(header, "term", json_pack("{sisiss}", "cols", (int)cast->cols, "rows", (int)cast->rows,
			"type", "xterm-256color"));
	}
	r |= json_object_set_new(header, "timestamp", json_integer(wall_ms / 1000));
	if (cast->title && *cast->title)
		r |= json_object_set_new(header, "title", json_string(cast->title));
	if (r) {
		json_decref(header);
		return -ENOMEM;
	}
	r = append_json(header, out);
	return r ? r : buf_append_byte(out, '\n');
}

static int put_event(struct cast *cast, int64_t wall_ms, char code, const char *text, size_t len, struct buf *out)
{
	int64_t now_ms = wall_ms > cast->last_ms ? wall_ms : cast->last_ms;
	int64_t told_ms = now_ms - (cast->version == 2 ? cast->first_ms : cast->last_ms);
	int r = buf_printf(out, "[%" PRId64 ".%03" PRId64 ",\"%c\",", told_ms / 1000, told_ms % 1000, code);

	cast->last_ms = now_ms;
	if (!r)
		r = append_json(json_stringn(text, len), out);
	return r ? r : buf_append_str(out, "]\n");
}

/* How many bytes at the end begin a character whose rest has not come. */
static size_t incomplete(const uint8_t *data, size_t len)
{
	for (size_t back = 1; back <= 3 && back <= len; back++) {
		uint8_t byte = data[len - back];
		size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;

		if ((byte & 0xc0) != 0x80)
			return whole > back ? back : 0;
	}
	return 0;
}

static int mend(const struct buf *raw, size_t len, struct buf *text)
{
	int r = 0;

	for (size_t at = 0; !r && at < len;) {
		uint32_t code;
		int n = str_utf8_next((const char *)raw->data + at, len - at, &code);

		r = n > 0 ? buf_append(text, raw->data + at, (size_t)n) : buf_append_str(text, REPLACEMENT);
		at += n > 0 ? (size_t)n : 1;
	}
	return r;
}

static int put_output(struct cast *cast, int64_t wall_ms, const void *data, size_t len, bool last, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf raw = BUF_NULL, text = BUF_NULL;
	size_t left;
	int r;

	r = buf_append(&raw, cast->tail, cast->tail_len);
	if (!r && len)
		r = buf_append(&raw, data, len);
	if (r)
		return r;
	left = last ? 0 : incomplete(raw.data, raw.len);
	memcpy(cast->tail, raw.data + raw.len - left, left);
	cast->tail_len = left;
	r = mend(&raw, raw.len - left, &text);
	return r || !text.len ? r : put_event(cast, wall_ms, 'o', buf_text(&text), text.len, out);
}

static int put_mark(struct cast *cast, const struct timeline_item *item, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	const struct buf raw = { .data = (uint8_t *)(uintptr_t)item->data, .len = item->len };
	int r = mend(&raw, raw.len, &text);

	return r ? r : put_event(cast, item->wall_ms, 'm', buf_text(&text), text.len, out);
}

static int put_gap(struct cast *cast, const struct timeline_item *item, struct buf *out)
{
	char text[80];

	if (item->lost_bytes)
		snprintf(text, sizeof(text), "%" PRIu64 " bytes of output were not recorded", item->lost_bytes);
	else
		snprintf(text, sizeof(text), "the transcript is damaged here");
	return put_event(cast, item->wall_ms, 'm', text, strlen(text), out);
}

int cast_put(struct cast *cast, const struct timeline_item *item, struct buf *out)
{
	bool same = item->cols == cast->cols && item->rows == cast->rows;
	char size[32];
	int r = 0;

	if (item->kind == TIMELINE_RESIZE || item->kind == TIMELINE_KEYFRAME) {
		cast->cols = item->cols;
		cast->rows = item->rows;
		if (!cast->begun && item->kind == TIMELINE_RESIZE)
			return put_header(cast, item->wall_ms, out);
	}
	if (!cast->begun)
		r = put_header(cast, item->wall_ms, out);
	if (r)
		return r;
	switch (item->kind) {
	case TIMELINE_OUTPUT:
	case TIMELINE_KEYFRAME: /* its stream, for a player that begins there */
		return put_output(cast, item->wall_ms, item->data, item->len, false, out);
	case TIMELINE_RESIZE:
		snprintf(size, sizeof(size), "%ux%u", item->cols, item->rows);
		return same ? 0 : put_event(cast, item->wall_ms, 'r', size, strlen(size), out);
	case TIMELINE_MARK:
		return put_mark(cast, item, out);
	case TIMELINE_GAP:
		return put_gap(cast, item, out);
	}
	return 0;
}

int cast_end(struct cast *cast, int exit_code, struct buf *out)
{
	char code[16];
	int r = cast->begun ? 0 : put_header(cast, 0, out);

	if (!r && cast->tail_len)
		r = put_output(cast, cast->last_ms, NULL, 0, true, out);
	if (r || cast->version < 3 || exit_code < 0)
		return r;
	snprintf(code, sizeof(code), "%d", exit_code);
	return put_event(cast, cast->last_ms, 'x', code, strlen(code), out);
}
