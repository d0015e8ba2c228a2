#include "worker/session/transcript.h"
#include "worker/session/transcript_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

int transcript_reader_new(struct transcript_reader **ret_reader, const char *path)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_(buf_deinit) struct buf name = BUF_NULL;

	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->index_fd = -1;
	reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (reader->fd < 0)
		return errno == ENOENT ? TRANSCRIPT_E_NOT_FOUND : -errno;
	if (buf_printf(&name, "%s.idx", path))
		return -ENOMEM;
	reader->index_fd = open(buf_text(&name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	*ret_reader = take(reader);
	return 0;
}

void transcript_reader_free(struct transcript_reader *reader)
{
	if (!reader)
		return;
	if (reader->fd >= 0)
		close(reader->fd);
	if (reader->index_fd >= 0)
		close(reader->index_fd);
	buf_deinit(&reader->keys);
	buf_deinit(&reader->index);
	buf_deinit(&reader->raw);
	free(reader);
}

static size_t entry_count(const struct transcript_reader *reader)
{
	return reader->index.len / sizeof(struct entry);
}

static struct entry *entry_at(const struct transcript_reader *reader, size_t index)
{
	return (struct entry *)(void *)reader->index.data + index;
}

static int read_at(int fd, void *data, size_t len, uint64_t at)
{
	ssize_t n = pread(fd, data, len, (off_t)at);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : TRANSCRIPT_E_END;
}

int reader_entry(struct transcript_reader *reader, uint64_t at, uint64_t file_bytes, struct entry *ret_entry,
	struct buf *content)
{
	uint8_t header[RECORD_PREFIX_BYTES + RECORD_FIXED_BYTES];
	struct entry entry = { .at = at };
	uint32_t size;
	int r;

	r = read_at(reader->fd, header, sizeof(header), at);
	if (r)
		return r;
	size = (uint32_t)get_le(header + 4, 4);
	if (get_le(header, 4) != RECORD_MAGIC || size < RECORD_FIXED_BYTES)
		return TRANSCRIPT_E_END;
	record_get(&entry.record, header + RECORD_PREFIX_BYTES);
	if (size > RECORD_FIXED_BYTES + record_content_max(entry.record.kind))
		return TRANSCRIPT_E_END;
	entry.content_bytes = size - RECORD_FIXED_BYTES;
	if (entry.record.frame_bytes > RECORD_FRAME_MAX || entry.record.raw_bytes > TRANSCRIPT_CHUNK_BYTES ||
		at + RECORD_PREFIX_BYTES + size + entry.record.frame_bytes > file_bytes)
		return TRANSCRIPT_E_END;
	buf_clear(content);
	r = buf_reserve(content, entry.content_bytes);
	if (!r && entry.content_bytes)
		r = read_at(reader->fd, content->data, entry.content_bytes, at + sizeof(header));
	if (r)
		return r;
	content->len = entry.content_bytes;
	if (record_crc(record_crc(0, header + RECORD_PREFIX_BYTES, RECORD_FIXED_BYTES - 4), content->data, content->len) !=
		entry.record.crc)
		return TRANSCRIPT_E_END;
	entry.raw_bytes = entry.record.raw_bytes;
	if (entry.record.kind == TRANSCRIPT_GAP && entry.content_bytes >= 8)
		entry.raw_bytes = get_le(content->data, 8);
	*ret_entry = entry;
	return 0;
}

/* Finds the next record after damage: only whole ones with a right checksum count. */
static bool find_record(struct transcript_reader *reader, uint64_t *at, uint64_t file_bytes, struct entry *ret_entry,
	struct buf *content)
{
	uint8_t window[4096];

	for (uint64_t from = *at; from < file_bytes;) {
		ssize_t n = pread(reader->fd, window, sizeof(window), (off_t)from);

		if (n < 4)
			return false;
		for (ssize_t i = 0; i + 4 <= n; i++)
			if (get_le(window + i, 4) == RECORD_MAGIC &&
				reader_entry(reader, from + (uint64_t)i, file_bytes, ret_entry, content) == 0) {
				*at = from + (uint64_t)i;
				return true;
			}
		from += (uint64_t)n - 3;
	}
	return false;
}

int reader_next(struct transcript_reader *reader, uint64_t *at, uint64_t file_bytes, struct entry *ret_entry,
	struct buf *content, bool *ret_damaged)
{
	int r = *at < file_bytes ? reader_entry(reader, *at, file_bytes, ret_entry, content) : TRANSCRIPT_E_END;

	*ret_damaged = r == TRANSCRIPT_E_END && find_record(reader, at, file_bytes, ret_entry, content);
	return *ret_damaged ? 0 : r;
}

static void forget_index(struct transcript_reader *reader)
{
	buf_clear(&reader->index);
	reader->begin = reader->begin_offset = reader->seen = reader->end = 0;
	reader->raw_entry = 0;
}

/* Takes records into the index, new ones too, until one ends after that offset. A record that is not whole is looked
 * at again next time. */
static int refresh(struct transcript_reader *reader, uint64_t until)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	struct stat st;

	if (fstat(reader->fd, &st) < 0)
		return -errno;
	while (reader->seen < (uint64_t)st.st_size && reader->end <= until) {
		uint64_t at = reader->seen;
		struct entry entry;
		bool damaged;
		int r;

		r = reader_next(reader, &at, (uint64_t)st.st_size, &entry, &content, &damaged);
		if (r)
			return r < 0 ? r : 0;
		r = buf_append(&reader->index, &entry, sizeof(entry));
		if (r)
			return r;
		reader->seen = at + entry_bytes(&entry);
		if (entry.record.offset + entry.raw_bytes > reader->end)
			reader->end = entry.record.offset + entry.raw_bytes;
	}
	return 0;
}

/* Begins the index at the keyframe before the offset, unless it holds that already. */
static int begin_at(struct transcript_reader *reader, uint64_t offset)
{
	struct transcript_place place;
	int r;

	if (offset >= reader->begin_offset && offset <= reader->end)
		return 0;
	r = transcript_seek_offset(reader, offset, &place, NULL);
	if (r < 0)
		return r;
	if (offset >= reader->begin_offset && (r ? !reader->begin : place.position <= reader->seen))
		return 0; /* it only has to grow */
	forget_index(reader);
	if (!r) {
		reader->begin = reader->seen = place.position;
		reader->begin_offset = reader->end = place.offset;
	}
	return 0;
}

int transcript_end(struct transcript_reader *reader, uint64_t *ret_offset)
{
	int r = begin_at(reader, UINT64_MAX);

	if (!r)
		r = refresh(reader, UINT64_MAX);
	if (!r)
		*ret_offset = reader->end;
	return r;
}

/* Unpacks a chunk into reader->raw. Anything wrong with it: TRANSCRIPT_E_GAP. */
static int unpack(struct transcript_reader *reader, size_t index)
{
	const struct entry *entry = entry_at(reader, index);
	_cleanup_(buf_deinit) struct buf frame = BUF_NULL;
	size_t n;
	int r;

	if (reader->raw_entry == index + 1)
		return 0;
	reader->raw_entry = 0;
	buf_clear(&reader->raw);
	r = buf_reserve(&frame, entry->record.frame_bytes);
	if (!r)
		r = buf_reserve(&reader->raw, (size_t)entry->raw_bytes);
	if (r)
		return r;
	r = read_at(reader->fd, frame.data, entry->record.frame_bytes,
		entry->at + RECORD_PREFIX_BYTES + RECORD_FIXED_BYTES + entry->content_bytes);
	if (r)
		return r < 0 ? r : TRANSCRIPT_E_GAP;
	n = ZSTD_decompress(reader->raw.data, (size_t)entry->raw_bytes, frame.data, entry->record.frame_bytes);
	if (ZSTD_isError(n) || n != entry->raw_bytes)
		return TRANSCRIPT_E_GAP;
	reader->raw.len = n;
	reader->raw_entry = index + 1;
	return 0;
}

/* The data record that holds the offset, else the first after it (*ret_after). Count if there is none. */
static size_t find_data(const struct transcript_reader *reader, uint64_t offset, size_t *ret_after)
{
	size_t count = entry_count(reader);

	*ret_after = count;
	for (size_t i = 0; i < count; i++) {
		const struct entry *entry = entry_at(reader, i);

		if (entry->record.kind != TRANSCRIPT_DATA || entry->record.offset + entry->raw_bytes <= offset)
			continue;
		if (entry->record.offset <= offset)
			return i;
		*ret_after = i;
		break;
	}
	return count;
}

/* Nothing is recorded at this offset: where does it go on? */
static int after_gap(struct transcript_reader *reader, uint64_t offset, size_t after, uint64_t *ret_next)
{
	uint64_t end;
	int r;

	if (after < entry_count(reader)) {
		*ret_next = entry_at(reader, after)->record.offset;
		return TRANSCRIPT_E_GAP;
	}
	for (size_t i = 0; i < entry_count(reader); i++) { /* what comes behind it was not looked at yet */
		const struct entry *entry = entry_at(reader, i);

		if (entry->record.kind != TRANSCRIPT_GAP || entry->record.offset > offset ||
			entry->record.offset + entry->raw_bytes <= offset)
			continue;
		*ret_next = entry->record.offset + entry->raw_bytes;
		return TRANSCRIPT_E_GAP;
	}
	r = transcript_end(reader, &end);
	if (r)
		return r;
	*ret_next = end > offset ? end : offset;
	return end > offset ? TRANSCRIPT_E_GAP : TRANSCRIPT_E_END;
}

int transcript_read(struct transcript_reader *reader, uint64_t offset, size_t max_bytes, struct buf *out, uint64_t *ret_next)
{
	const struct entry *entry;
	size_t index, after, skip, len;
	int r;

	r = begin_at(reader, offset);
	if (!r)
		r = refresh(reader, offset);
	if (r)
		return r;
	index = find_data(reader, offset, &after);
	if (index == entry_count(reader))
		return after_gap(reader, offset, after, ret_next);
	entry = entry_at(reader, index);
	r = unpack(reader, index);
	if (r == TRANSCRIPT_E_GAP)
		*ret_next = entry->record.offset + entry->raw_bytes;
	if (r)
		return r;
	skip = (size_t)(offset - entry->record.offset);
	len = reader->raw.len - skip < max_bytes ? reader->raw.len - skip : max_bytes;
	r = buf_append(out, reader->raw.data + skip, len);
	if (!r)
		*ret_next = offset + len;
	return r;
}

/* --- in order ------------------------------------------------------------------------------------------------- */

static bool get_varint(const struct buf *content, size_t *at, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 63 && *at < content->len; shift += 7) {
		uint8_t byte = content->data[(*at)++];

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* A chunk as it came from the program, write by write. Times that do not fit the data give the rest at once. */
static int each_part(struct transcript_reader *reader, const struct entry *entry, const struct buf *content,
	int (*each)(void *userdata, const struct transcript_item *item), void *userdata)
{
	struct transcript_item item = { .kind = TRANSCRIPT_DATA, .offset = entry->record.offset,
		.wall_ms = entry->record.wall_ms };
	size_t at = 0, done = 0;
	int r = 0;

	while (!r && done < reader->raw.len) {
		uint64_t since_ms = 0, len = 0;

		if (!get_varint(content, &at, &since_ms) || !get_varint(content, &at, &len) || !len ||
			len > reader->raw.len - done)
			len = reader->raw.len - done;
		item.wall_ms += (int64_t)(since_ms < UINT32_MAX ? since_ms : 0);
		item.data = reader->raw.data + done;
		item.len = (size_t)len;
		r = each(userdata, &item);
		done += item.len;
		item.offset += item.len;
	}
	return r;
}

static int each_entry(struct transcript_reader *reader, size_t index, struct buf *content,
	int (*each)(void *userdata, const struct transcript_item *item), void *userdata)
{
	const struct entry entry = *entry_at(reader, index);
	struct transcript_item item = { .kind = entry.record.kind, .offset = entry.record.offset,
		.wall_ms = entry.record.wall_ms, .len = (size_t)entry.raw_bytes };
	struct entry again;
	int r;

	r = reader_entry(reader, entry.at, UINT64_MAX, &again, content);
	if (r)
		return r < 0 ? r : 0;
	if (entry.record.kind == TRANSCRIPT_DATA) {
		r = unpack(reader, index);
		if (r != TRANSCRIPT_E_GAP)
			return r ? r : each_part(reader, &entry, content, each, userdata);
		item.kind = TRANSCRIPT_GAP;
		item.len = 0; /* damaged */
		return each(userdata, &item);
	} else if (entry.record.kind == TRANSCRIPT_RESIZE && content->len >= 4) {
		item.cols = (unsigned int)get_le(content->data, 2);
		item.rows = (unsigned int)get_le(content->data + 2, 2);
	} else if (entry.record.kind == TRANSCRIPT_MARK) {
		item.data = content->data;
		item.len = content->len;
	}
	if (item.kind == TRANSCRIPT_KEYFRAME)
		return 0;
	if (item.kind == TRANSCRIPT_GAP && !item.len)
		return 0; /* open: the one that closes it follows, or it ends here */
	return each(userdata, &item);
}

int transcript_each(struct transcript_reader *reader, int (*each)(void *userdata, const struct transcript_item *item),
	void *userdata)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	int r;

	forget_index(reader);
	r = refresh(reader, UINT64_MAX);
	for (size_t i = 0; !r && i < entry_count(reader); i++)
		r = each_entry(reader, i, &content, each, userdata);
	return r;
}

static int tell_damage(const struct entry *entry, int (*each)(void *userdata, const struct transcript_item *item),
	void *userdata)
{
	struct transcript_item item = { .kind = TRANSCRIPT_GAP, .offset = entry->record.offset,
		.wall_ms = entry->record.wall_ms };

	return each(userdata, &item);
}

/* The one record that was found last is all that the index holds while this runs. */
static int part_entry(struct transcript_reader *reader, const struct entry *entry, struct buf *content,
	int (*each)(void *userdata, const struct transcript_item *item), void *userdata)
{
	int r;

	buf_clear(&reader->index);
	reader->raw_entry = 0;
	r = buf_append(&reader->index, entry, sizeof(*entry));
	return r ? r : each_entry(reader, 0, content, each, userdata);
}

int transcript_part(struct transcript_reader *reader, uint64_t *position, size_t max_bytes,
	int (*each)(void *userdata, const struct transcript_item *item), void *userdata)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	uint64_t at = *position, told = 0;
	struct stat st;
	int r = 0;

	if (fstat(reader->fd, &st) < 0)
		return -errno;
	while (!r && (!told || told < max_bytes)) {
		struct entry entry;
		bool damaged;

		r = reader_next(reader, &at, (uint64_t)st.st_size, &entry, &content, &damaged);
		if (r)
			break;
		if (told && told + entry.record.raw_bytes > max_bytes)
			break;
		r = damaged ? tell_damage(&entry, each, userdata) : 0;
		if (!r)
			r = part_entry(reader, &entry, &content, each, userdata);
		told += entry.record.raw_bytes + entry.content_bytes + RECORD_FIXED_BYTES;
		at += entry_bytes(&entry);
		if (!r)
			*position = at;
	}
	forget_index(reader); /* it is that of the whole file again */
	return r == TRANSCRIPT_E_END ? (told ? 0 : TRANSCRIPT_E_END) : r;
}
