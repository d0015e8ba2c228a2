/* Whatever a worker sends as a timeline: read to its end or to where it is wrong, and what was read can be packed and
 * read again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/wire/timeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct timeline_item *item, const uint8_t *data, size_t size)
{
	const uint8_t *begin = item->data;

	require(item->wall_ms >= 0);
	if (item->kind == TIMELINE_RESIZE || item->kind == TIMELINE_KEYFRAME)
		require(item->cols && item->rows && item->cols <= UINT16_MAX && item->rows <= UINT16_MAX);
	if (begin && item->kind != TIMELINE_GAP)
		require(begin >= data && item->len <= size - (size_t)(begin - data));
}

static void check_again(const struct timeline_item *item)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	struct timeline_writer writer = TIMELINE_WRITER(&packed);
	struct timeline_reader reader;
	struct timeline_item again;

	require(timeline_put(&writer, item) == 0);
	reader = TIMELINE_READER(packed.data, packed.len);
	require(timeline_next(&reader, &again) == 0);
	require(again.kind == item->kind && again.wall_ms == item->wall_ms && again.cols == item->cols &&
		again.rows == item->rows && again.lost_bytes == item->lost_bytes);
	if (item->kind == TIMELINE_OUTPUT || item->kind == TIMELINE_MARK || item->kind == TIMELINE_KEYFRAME)
		require(again.len == item->len && (!item->len || !memcmp(again.data, item->data, item->len)));
	require(timeline_next(&reader, &again) == TIMELINE_E_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct timeline_reader reader = TIMELINE_READER(data, size);
	struct timeline_item item;
	size_t before = 0;

	while (timeline_next(&reader, &item) == 0) {
		require(reader.at > before && reader.at <= size);
		before = reader.at;
		check_item(&item, data, size);
		check_again(&item);
	}
	return 0;
}
