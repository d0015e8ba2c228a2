/* Finding a place in a transcript: by its keyframes. */
#include "worker/session/transcript_reader.h"

#include <sys/stat.h>
#include <zstd.h>

#define INDEX_BYTES_MAX (8u * 1024 * 1024)
#define FOUND 1000 /* ends transcript_part; none of its conditions */

static size_t key_count(const struct transcript_reader *reader)
{
	return reader->keys.len / sizeof(struct index_entry);
}

static const struct index_entry *key_at(const struct transcript_reader *reader, size_t index)
{
	return (const struct index_entry *)(const void *)reader->keys.data + index;
}

static int add_key(struct transcript_reader *reader, struct index_entry *entry)
{
	size_t count = key_count(reader);

	if (count && (entry->at <= key_at(reader, count - 1)->at || entry->offset < key_at(reader, count - 1)->offset))
		return 0; /* cannot be: it would break the order that the search relies on */
	entry->number = (uint32_t)count;
	return buf_append(&reader->keys, entry, sizeof(*entry));
}

/* The lines on disk as far as they are right. None are better than wrong ones: the rest is looked for. */
static int load_index(struct transcript_reader *reader, uint64_t file_bytes)
{
	_cleanup_(buf_deinit) struct buf lines = BUF_NULL;
	struct index_entry entry;
	struct stat st;
	ssize_t n = 0;
	int r;

	if (reader->keys_loaded)
		return 0;
	reader->keys_loaded = true;
	if (reader->index_fd < 0 || fstat(reader->index_fd, &st) < 0 || st.st_size <= 0 || st.st_size > INDEX_BYTES_MAX)
		return 0;
	r = buf_reserve(&lines, (size_t)st.st_size);
	if (!r)
		n = pread(reader->index_fd, lines.data, (size_t)st.st_size, 0);
	for (ssize_t at = 0; !r && at + (ssize_t)INDEX_ENTRY_BYTES <= n; at += INDEX_ENTRY_BYTES) {
		if (!index_entry_get(&entry, lines.data + at) || entry.number != key_count(reader) || entry.at >= file_bytes)
			break;
		r = add_key(reader, &entry);
	}
	if (key_count(reader))
		reader->keys_seen = key_at(reader, key_count(reader) - 1)->at;
	return r;
}

/* Keyframes behind the last one that is known: of a holder that lives, or of an index that is damaged. */
static int find_keys(struct transcript_reader *reader)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	struct stat st;
	int r;

	if (fstat(reader->fd, &st) < 0)
		return -errno;
	r = load_index(reader, (uint64_t)st.st_size);
	if (r)
		return r;
	while (reader->keys_seen < (uint64_t)st.st_size) {
		uint64_t at = reader->keys_seen;
		struct index_entry key;
		struct entry entry;
		bool damaged;

		r = reader_next(reader, &at, (uint64_t)st.st_size, &entry, &content, &damaged);
		if (r)
			return r < 0 ? r : 0;
		key = (struct index_entry){ .at = at, .offset = entry.record.offset, .wall_ms = entry.record.wall_ms };
		r = entry.record.kind == TRANSCRIPT_KEYFRAME ? add_key(reader, &key) : 0;
		if (r)
			return r;
		reader->keys_seen = at + entry_bytes(&entry);
	}
	return 0;
}

/* --- keyframes ------------------------------------------------------------------------------------------------ */

static int unpack_stream(const struct buf *content, struct buf *stream)
{
	const uint8_t *frame = content->data + RECORD_KEY_FIXED_BYTES;
	size_t len = (size_t)get_le(content->data + 4, 4), n;
	int r;

	if (len > TRANSCRIPT_KEYFRAME_STREAM_MAX)
		return TRANSCRIPT_E_NOT_FOUND;
	r = buf_reserve(stream, len);
	if (r)
		return r;
	n = ZSTD_decompress(stream->data + stream->len, len, frame, content->len - RECORD_KEY_FIXED_BYTES);
	if (ZSTD_isError(n) || n != len)
		return TRANSCRIPT_E_NOT_FOUND;
	stream->len += n;
	stream->data[stream->len] = 0;
	return 0;
}

/* TRANSCRIPT_E_NOT_FOUND: not where the index says, or damaged. */
static int read_key(struct transcript_reader *reader, const struct index_entry *key, struct transcript_place *ret_place,
	struct buf *stream)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	struct entry entry;
	unsigned int cols, rows;
	int r;

	r = reader_entry(reader, key->at, UINT64_MAX, &entry, &content);
	if (r < 0)
		return r;
	if (r || entry.record.kind != TRANSCRIPT_KEYFRAME || entry.record.offset != key->offset ||
		content.len < RECORD_KEY_FIXED_BYTES)
		return TRANSCRIPT_E_NOT_FOUND;
	cols = (unsigned int)get_le(content.data, 2);
	rows = (unsigned int)get_le(content.data + 2, 2);
	if (!cols || !rows)
		return TRANSCRIPT_E_NOT_FOUND;
	r = stream ? unpack_stream(&content, stream) : 0;
	if (r)
		return r;
	*ret_place = (struct transcript_place){ .position = key->at, .offset = key->offset, .wall_ms = entry.record.wall_ms,
		.cols = cols, .rows = rows };
	return 0;
}

/* The last of the first `count` that can be read. */
static int last_good(struct transcript_reader *reader, size_t count, struct transcript_place *ret_place, struct buf *stream)
{
	int r = TRANSCRIPT_E_NOT_FOUND;

	while (r == TRANSCRIPT_E_NOT_FOUND && count)
		r = read_key(reader, key_at(reader, --count), ret_place, stream);
	return r;
}

/* How many keyframes come before it. Offsets only grow. */
static size_t count_before(const struct transcript_reader *reader, uint64_t offset)
{
	size_t low = 0, high = key_count(reader);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_at(reader, middle)->offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int transcript_seek_offset(struct transcript_reader *reader, uint64_t offset, struct transcript_place *ret_place,
	struct buf *stream)
{
	int r = find_keys(reader);

	return r ? r : last_good(reader, count_before(reader, offset), ret_place, stream);
}

/* The wall clock may have been set back, so times are not in order: the last one counts. */
int transcript_seek_time(struct transcript_reader *reader, int64_t wall_ms, struct transcript_place *ret_place,
	struct buf *stream)
{
	size_t count;
	int r = find_keys(reader);

	if (r)
		return r;
	for (count = key_count(reader); count && key_at(reader, count - 1)->wall_ms > wall_ms;)
		count--;
	return last_good(reader, count, ret_place, stream);
}

struct time_search {
	int64_t wall_ms;
	uint64_t offset;
};

static int look_at_time(void *userdata, const struct transcript_item *item)
{
	struct time_search *search = userdata;

	if (item->kind != TRANSCRIPT_DATA || item->wall_ms < search->wall_ms)
		return 0;
	search->offset = item->offset;
	return FOUND;
}

int transcript_find_time(struct transcript_reader *reader, int64_t wall_ms, uint64_t *ret_offset)
{
	struct time_search search = { .wall_ms = wall_ms };
	struct transcript_place place = { 0 };
	uint64_t position;
	int r;

	r = transcript_seek_time(reader, wall_ms - 1, &place, NULL);
	if (r < 0)
		return r;
	position = r ? 0 : place.position;
	do
		r = transcript_part(reader, &position, SIZE_MAX, look_at_time, &search);
	while (!r);
	if (r == TRANSCRIPT_E_END)
		return transcript_end(reader, ret_offset);
	if (r == FOUND)
		*ret_offset = search.offset;
	return r == FOUND ? 0 : r;
}

/* --- the end -------------------------------------------------------------------------------------------------- */

/* Where the last line of the index says that a keyframe is; 0: it says nothing. */
static uint64_t last_key_at(const struct transcript_reader *reader)
{
	uint8_t line[INDEX_ENTRY_BYTES];
	struct index_entry last;
	struct stat st;
	off_t at;

	if (reader->index_fd < 0 || fstat(reader->index_fd, &st) < 0 || st.st_size < (off_t)sizeof(line))
		return 0;
	at = st.st_size - st.st_size % (off_t)sizeof(line) - (off_t)sizeof(line);
	if (pread(reader->index_fd, line, sizeof(line), at) != (ssize_t)sizeof(line) || !index_entry_get(&last, line))
		return 0;
	return last.at;
}

int transcript_cut_off(struct transcript_reader *reader, struct transcript_place *ret_place)
{
	const struct entry *last;
	uint64_t end;
	struct stat st;
	int r = transcript_end(reader, &end);

	if (r)
		return r;
	if (fstat(reader->fd, &st) < 0)
		return -errno;
	if (reader->seen >= (uint64_t)st.st_size && last_key_at(reader) <= (uint64_t)st.st_size)
		return TRANSCRIPT_E_NOT_FOUND;
	last = reader->index.len ? (const struct entry *)(const void *)(reader->index.data + reader->index.len) - 1 : NULL;
	*ret_place = (struct transcript_place){ .position = (uint64_t)st.st_size + 1, .offset = end,
		.wall_ms = last ? last->record.wall_ms : 0 };
	return 0;
}
