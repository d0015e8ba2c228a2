#include "worker/session/transcript.h"
#include "worker/session/transcript_format.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#define COMPRESSION_LEVEL 1 /* a repaint's escape sequences repeat; more effort gains little and costs a core */

struct transcript {
	int fd;               /* -1: nothing is written */
	uint64_t limit_bytes;
	uint64_t file_bytes;
	uint64_t offset;      /* of the next raw byte */
	struct buf raw;       /* taken and not yet written; given back when it is */
	struct buf times;     /* varint pairs of `raw` */
	uint16_t time_count;
	int64_t first_ms, last_ms;
	bool in_gap;
	bool full;            /* the cap is reached: this gap is the last */
	uint64_t gap_offset;
	int64_t gap_tried_ms; /* when it was last tried to write behind it */
	int index_fd;         /* -1: none */
	uint32_t key_count;
	bool key_wanted;      /* what was on the screen behind a gap is known by a keyframe only */
	/* since the last keyframe */
	uint64_t key_offset, key_file_bytes;
	uint32_t key_records, key_bytes; /* records since; how long it was in the file */
};

/* Readers do without it. */
static int open_index(const char *path)
{
	_cleanup_(buf_deinit) struct buf name = BUF_NULL;

	if (buf_printf(&name, "%s.idx", path))
		return -1;
	return open(buf_text(&name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int transcript_new(struct transcript **ret_transcript, const char *path, uint64_t limit_bytes)
{
	_cleanup_(transcript_free_p) struct transcript *transcript = NULL;
	struct stat st;

	transcript = calloc(1, sizeof(*transcript));
	if (!transcript)
		return -ENOMEM;
	transcript->fd = transcript->index_fd = -1;
	transcript->limit_bytes = limit_bytes;
	if (limit_bytes) {
		transcript->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (transcript->fd < 0 || fstat(transcript->fd, &st) < 0)
			return -errno;
		transcript->file_bytes = (uint64_t)st.st_size;
		transcript->index_fd = open_index(path);
	}
	*ret_transcript = take(transcript);
	return 0;
}

void transcript_free(struct transcript *transcript)
{
	if (!transcript)
		return;
	if (transcript->fd >= 0)
		close(transcript->fd);
	if (transcript->index_fd >= 0)
		close(transcript->index_fd);
	buf_deinit(&transcript->raw);
	buf_deinit(&transcript->times);
	free(transcript);
}

bool transcript_pending(const struct transcript *transcript)
{
	return transcript->raw.len != 0;
}

uint64_t transcript_offset(const struct transcript *transcript)
{
	return transcript->offset;
}

/* Header, content and frame with one write; a short one (disk full) is cut off again. */
static int write_record(struct transcript *transcript, struct record *record, const void *content, size_t len,
	const struct buf *frame)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	uint8_t header[RECORD_PREFIX_BYTES + RECORD_FIXED_BYTES];
	int r;

	record->frame_bytes = frame ? (uint32_t)frame->len : 0;
	put_le(header, RECORD_MAGIC, 4);
	put_le(header + 4, RECORD_FIXED_BYTES + len, 4);
	record_put(record, header + RECORD_PREFIX_BYTES);
	record->crc = record_crc(0, header + RECORD_PREFIX_BYTES, RECORD_FIXED_BYTES - 4);
	record->crc = record_crc(record->crc, content, len);
	record_put(record, header + RECORD_PREFIX_BYTES);
	r = buf_append(&out, header, sizeof(header));
	if (!r)
		r = buf_append(&out, content, len);
	if (!r && frame)
		r = buf_append(&out, frame->data, frame->len);
	if (!r)
		r = io_write_all(transcript->fd, out.data, out.len);
	transcript->key_records++;
	if (!r)
		transcript->file_bytes += out.len;
	else if (ftruncate(transcript->fd, (off_t)transcript->file_bytes) < 0)
		r = -errno; /* a torn record at the end, which readers pass over */
	return r;
}

static int write_gap(struct transcript *transcript, uint64_t length, int64_t wall_ms)
{
	struct record record = { .kind = TRANSCRIPT_GAP, .offset = transcript->gap_offset, .wall_ms = wall_ms };
	uint8_t content[8];

	put_le(content, length, sizeof(content));
	return write_record(transcript, &record, content, sizeof(content), NULL);
}

/* What is taken from `offset` on is not recorded. */
static void begin_gap(struct transcript *transcript, uint64_t offset, int64_t wall_ms)
{
	if (transcript->in_gap)
		return;
	transcript->in_gap = true;
	transcript->gap_offset = offset;
	transcript->gap_tried_ms = wall_ms;
	(void)write_gap(transcript, 0, wall_ms); /* if it fails the gap's end says all */
}

/* A disk that was full need not be so for ever. */
static void end_gap(struct transcript *transcript, int64_t wall_ms)
{
	int64_t since_ms = wall_ms - transcript->gap_tried_ms;

	if (transcript->full || (since_ms >= 0 && since_ms < TRANSCRIPT_AGAIN_MS))
		return;
	transcript->gap_tried_ms = wall_ms;
	if (write_gap(transcript, transcript->offset - transcript->gap_offset, wall_ms))
		return;
	transcript->in_gap = false;
	transcript->key_wanted = true;
}

/* With a checksum, so that a damaged chunk is told as a gap rather than as output. */
static int compress(const void *raw, size_t len, struct buf *frame)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t n;
	int r;

	r = context ? buf_reserve(frame, ZSTD_compressBound(len)) : -ENOMEM;
	if (!r) {
		(void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
		(void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
		n = ZSTD_compress2(context, frame->data + frame->len, frame->size - frame->len, raw, len);
		if (ZSTD_isError(n))
			r = -ENOMEM;
		else
			frame->len += n;
	}
	ZSTD_freeCCtx(context);
	return r;
}

void transcript_flush(struct transcript *transcript)
{
	_cleanup_(buf_deinit) struct buf frame = BUF_NULL;
	struct record record = { .kind = TRANSCRIPT_DATA, .times = transcript->time_count,
		.offset = transcript->offset - transcript->raw.len, .wall_ms = transcript->first_ms,
		.raw_bytes = (uint32_t)transcript->raw.len };
	int r;

	if (!transcript->raw.len)
		return;
	r = compress(transcript->raw.data, transcript->raw.len, &frame);
	transcript->full = !r && transcript->file_bytes + frame.len > transcript->limit_bytes;
	if (r || transcript->full || write_record(transcript, &record, transcript->times.data, transcript->times.len, &frame))
		begin_gap(transcript, record.offset, record.wall_ms);
	buf_deinit(&transcript->raw);
	buf_deinit(&transcript->times);
	transcript->time_count = 0;
}

static int put_varint(struct buf *out, uint64_t value)
{
	int r = 0;

	for (; !r && value >= 0x80; value >>= 7)
		r = buf_append_byte(out, (uint8_t)(value | 0x80));
	return r ? r : buf_append_byte(out, (uint8_t)value);
}

/* The wall clock may go back; the times of a record do not. */
static int take_part(struct transcript *transcript, const void *data, size_t len, int64_t wall_ms)
{
	int64_t since;
	int r;

	if (!transcript->raw.len)
		transcript->first_ms = transcript->last_ms = wall_ms;
	since = wall_ms > transcript->last_ms ? wall_ms - transcript->last_ms : 0;
	r = buf_reserve(&transcript->raw, len);
	if (!r)
		r = buf_reserve(&transcript->times, 20);
	if (r)
		return r;
	(void)buf_append(&transcript->raw, data, len);
	(void)put_varint(&transcript->times, (uint64_t)since);
	(void)put_varint(&transcript->times, len);
	transcript->time_count++;
	transcript->last_ms += since;
	return 0;
}

void transcript_write(struct transcript *transcript, const void *data, size_t len, int64_t wall_ms)
{
	const uint8_t *p = data;

	if (transcript->in_gap)
		end_gap(transcript, wall_ms);
	while (len && transcript->fd >= 0 && !transcript->in_gap) {
		size_t room = TRANSCRIPT_CHUNK_BYTES - transcript->raw.len, part = len < room ? len : room;

		if (take_part(transcript, p, part, wall_ms)) {
			transcript_flush(transcript);
			begin_gap(transcript, transcript->offset, wall_ms);
			break;
		}
		p += part;
		len -= part;
		transcript->offset += part;
		if (transcript->raw.len == TRANSCRIPT_CHUNK_BYTES || transcript->time_count == RECORD_TIMES_MAX)
			transcript_flush(transcript);
	}
	transcript->offset += len;
}

static void write_note(struct transcript *transcript, enum transcript_kind kind, const void *content, size_t len,
	int64_t wall_ms)
{
	struct record record = { .kind = (uint8_t)kind, .wall_ms = wall_ms };

	if (transcript->fd < 0)
		return;
	transcript_flush(transcript);
	record.offset = transcript->offset;
	if (transcript->file_bytes + len + 64 <= transcript->limit_bytes)
		(void)write_record(transcript, &record, content, len, NULL);
}

void transcript_resize(struct transcript *transcript, unsigned int cols, unsigned int rows, int64_t wall_ms)
{
	uint8_t content[4];

	put_le(content, cols, 2);
	put_le(content + 2, rows, 2);
	write_note(transcript, TRANSCRIPT_RESIZE, content, sizeof(content), wall_ms);
}

void transcript_mark(struct transcript *transcript, const void *text, size_t len, int64_t wall_ms)
{
	write_note(transcript, TRANSCRIPT_MARK, text, len < RECORD_CONTENT_MAX / 2 ? len : RECORD_CONTENT_MAX / 2, wall_ms);
}

/* --- keyframes ------------------------------------------------------------------------------------------------ */

bool transcript_keyframe_due(const struct transcript *transcript)
{
	uint64_t since = transcript->offset - transcript->key_offset;

	if (transcript->fd < 0 || transcript->in_gap)
		return false;
	if (transcript->key_wanted)
		return true;
	if (since < TRANSCRIPT_KEYFRAME_BYTES && transcript->key_records < TRANSCRIPT_KEYFRAME_RECORDS)
		return false;
	return since >= TRANSCRIPT_KEYFRAME_BYTES_MAX ||
	       transcript->file_bytes - transcript->key_file_bytes >= 2 * (uint64_t)transcript->key_bytes;
}

static void note_keyframe(struct transcript *transcript, const struct record *record, uint64_t at)
{
	struct index_entry entry = { .at = at, .offset = record->offset, .wall_ms = record->wall_ms,
		.number = transcript->key_count++ };
	uint8_t line[INDEX_ENTRY_BYTES];

	transcript->key_bytes = (uint32_t)(transcript->file_bytes - at);
	if (transcript->index_fd < 0)
		return;
	index_entry_put(&entry, line);
	if (io_write_all(transcript->index_fd, line, sizeof(line))) { /* an index with a hole is worse than a short one */
		close(transcript->index_fd);
		transcript->index_fd = -1;
	}
}

void transcript_keyframe(struct transcript *transcript, unsigned int cols, unsigned int rows, const void *stream, size_t len,
	int64_t wall_ms)
{
	_cleanup_(buf_deinit) struct buf content = BUF_NULL;
	struct record record = { .kind = TRANSCRIPT_KEYFRAME, .wall_ms = wall_ms };
	uint8_t fixed[RECORD_KEY_FIXED_BYTES];
	uint64_t at;

	if (transcript->fd < 0 || len > TRANSCRIPT_KEYFRAME_STREAM_MAX)
		return;
	transcript_flush(transcript);
	if (transcript->in_gap)
		return;
	put_le(fixed, cols, 2);
	put_le(fixed + 2, rows, 2);
	put_le(fixed + 4, len, 4);
	at = transcript->file_bytes;
	record.offset = transcript->offset;
	if (!buf_append(&content, fixed, sizeof(fixed)) && !compress(stream, len, &content) &&
		content.len <= RECORD_KEY_CONTENT_MAX && at + content.len + 64 <= transcript->limit_bytes &&
		!write_record(transcript, &record, content.data, content.len, NULL))
		note_keyframe(transcript, &record, at);
	transcript->key_offset = transcript->offset; /* the next try is as far away if this one came to nothing */
	transcript->key_file_bytes = transcript->file_bytes;
	transcript->key_records = 0;
	transcript->key_wanted = false;
}

void transcript_finish(struct transcript *transcript)
{
	if (transcript->fd < 0)
		return;
	transcript_flush(transcript);
	if (transcript->in_gap && !write_gap(transcript, transcript->offset - transcript->gap_offset, transcript->last_ms))
		transcript->in_gap = false;
	(void)fdatasync(transcript->fd);
}
