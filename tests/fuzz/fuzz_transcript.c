/* A transcript and its index as a hostile or broken disk could give them: reading ends, always goes forward, and never
 * tells more than a record can hold. The input: a byte of flags, u16 length of the index, the index, the transcript.
 * Flag 1: checksums are made right first, else a fuzzer would never come behind them. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "proto/base/io.h"
#include "worker/session/transcript.h"
#include "worker/session/transcript_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ITEMS_MAX 1000000u

static char dir[] = "/tmp/maestro-fuzz-transcript-XXXXXX";
static char *path, *index_path;

static void leave(void)
{
	io_remove_tree(dir);
	free(path);
	free(index_path);
}

static void enter(void)
{
	if (path)
		return;
	require(mkdtemp(dir));
	path = io_join(dir, "t");
	index_path = io_join(dir, "t.idx");
	require(path && index_path);
	atexit(leave);
}

static void write_file(const char *name, const uint8_t *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	require(fd >= 0 && io_write_all(fd, data, len) == 0);
	close(fd);
}

static void mend_record(uint8_t *p, size_t left)
{
	uint32_t size = (uint32_t)get_le(p + 4, 4);

	if (get_le(p, 4) == RECORD_MAGIC && size >= RECORD_FIXED_BYTES && size <= left - RECORD_PREFIX_BYTES)
		put_le(p + 36, record_crc(record_crc(0, p + 8, 28), p + 40, size - RECORD_FIXED_BYTES), 4);
}

static void mend(uint8_t *lines, size_t lines_len, uint8_t *records, size_t len)
{
	for (size_t i = 0; i + INDEX_ENTRY_BYTES <= lines_len; i += INDEX_ENTRY_BYTES)
		put_le(lines + i + 28, record_crc(0, lines + i, 28), 4);
	for (size_t i = 0; i + RECORD_PREFIX_BYTES + RECORD_FIXED_BYTES <= len; i++)
		mend_record(records + i, len - i);
}

struct count {
	size_t items, bytes;
};

static int count_item(void *userdata, const struct transcript_item *item)
{
	struct count *count = userdata;

	require(item->kind != TRANSCRIPT_KEYFRAME);
	if (item->kind == TRANSCRIPT_DATA) {
		require(item->len && item->len <= TRANSCRIPT_CHUNK_BYTES);
		count->bytes += item->len;
	}
	return ++count->items > ITEMS_MAX ? -E2BIG : 0;
}

static void read_through(struct transcript_reader *reader, uint64_t at)
{
	uint64_t next = at;

	for (int i = 0; i < 1000; i++, at = next) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;
		int r = transcript_read(reader, at, 5000, &out, &next);

		if (r < 0 || r == TRANSCRIPT_E_END)
			return;
		require(next > at || next + out.len < at); /* forward; offsets of a hostile file may wrap around */
		if (next <= at)
			return;
	}
}

static void read_parts(struct transcript_reader *reader)
{
	struct count count = { 0 };
	uint64_t position = 0, before = 0;

	while (transcript_part(reader, &position, 1000, count_item, &count) == 0) {
		require(position > before);
		before = position;
	}
}

static void seek(struct transcript_reader *reader, size_t len)
{
	_cleanup_(buf_deinit) struct buf stream = BUF_NULL;
	struct transcript_place place;
	uint64_t offset;

	for (int64_t ms = -1; ms < 1ll << 50; ms = ms < 1 ? 1 : ms * 16) {
		buf_clear(&stream);
		if (transcript_seek_time(reader, ms, &place, &stream) == 0)
			require(place.position < len && place.cols && place.rows && stream.len <= TRANSCRIPT_KEYFRAME_STREAM_MAX);
	}
	(void)transcript_seek_offset(reader, 1000, &place, NULL);
	(void)transcript_find_time(reader, 1000, &offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_free_ uint8_t *copy = NULL;
	struct count count = { 0 };
	size_t lines_len, len;

	if (size < 3)
		return 0;
	enter();
	copy = malloc(size);
	require(copy);
	memcpy(copy, data, size);
	lines_len = get_le(copy + 1, 2) < size - 3 ? (size_t)get_le(copy + 1, 2) : size - 3;
	len = size - 3 - lines_len;
	if (copy[0] & 1)
		mend(copy + 3, lines_len, copy + 3 + lines_len, len);
	write_file(index_path, copy + 3, lines_len);
	write_file(path, copy + 3 + lines_len, len);
	require(transcript_reader_new(&reader, path) == 0);
	seek(reader, len);
	read_through(reader, 0);
	read_through(reader, 500);
	read_parts(reader);
	(void)transcript_each(reader, count_item, &count);
	seek(reader, len);
	return 0;
}
