/* A session's output on disk: SESSION/transcript.zst, and SESSION/transcript.zst.idx to find places in it.
 *
 * The file is a sequence of records. Each begins with a zstd skippable frame (magic 0x184D2A5D, so `zstd -dc` of the
 * file gives the raw output) with this content, all numbers little-endian:
 *
 *   u8 kind ('D' data, 'G' gap, 'R' resize, 'M' mark, 'K' keyframe), u8 version (1), u16 number of times, u32 length of the zstd
 *   frame after this one (0 if none follows), u64 offset in the raw output where it belongs, i64 wall clock in ms,
 *   u32 raw length, u32 CRC-32 of the 28 bytes so far, then of what follows; for data as many pairs of varints as there
 *   are times: milliseconds since the last one (the first: since the wall clock above), raw bytes that came then; for
 *   a resize: u16 cols, u16 rows; for a mark: its text; for a gap: u64 length, 0 while it is open; for a
 *   keyframe: u16 cols, u16 rows, u32 length of a stream, and the stream in a zstd frame.
 *
 * After the header of a data record follows one zstd frame with the raw bytes, of the length said (0 for others).
 * A record is written whole with one write, every 256 KiB or one second, whichever comes first; a crash of the holder
 * loses that second at most, and a torn last record is ignored. The file has a cap. When it is reached, or the disk is
 * full, a gap of length 0 (open) is written if it can be, and a gap with its length when the session ends or, for a full
 * disk, as soon as there is space again; then the recording goes on. A record that cannot be read is told
 * as a gap of unknown length, and reading goes on at the next whole one.
 *
 * Each data record is unpacked without those before it, so the raw output can be read from anywhere. To know what was
 * on the screen there one begins at a keyframe: its stream brings a new terminal of its size to the state after all
 * output before its offset. There is one at most TRANSCRIPT_KEYFRAME_BYTES of output, or TRANSCRIPT_KEYFRAME_RECORDS
 * records, after another while keyframes stay small beside what they save; TRANSCRIPT_KEYFRAME_BYTES_MAX if not; later
 * only when the program leaves a sequence open for so long. Files of older holders have none and are played from the
 * beginning.
 *
 * The index has a line of 32 bytes for each keyframe: u64 place in the file, u64 offset in the output, i64 wall clock in
 * ms, u32 number counted from 0, u32 CRC-32 of the 28 bytes before. It is only a shortcut: from the first line that is
 * missing or wrong on, readers look through the records themselves, and a keyframe is checked before it is used.
 *
 * Conditions: TRANSCRIPT_E_END, TRANSCRIPT_E_GAP, TRANSCRIPT_E_NOT_FOUND. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"

enum {
	TRANSCRIPT_E_END = 1,   /* nothing more at this offset yet */
	TRANSCRIPT_E_GAP,       /* not recorded, or damaged: go on at *ret_next */
	TRANSCRIPT_E_NOT_FOUND, /* no transcript */
};

#define TRANSCRIPT_CHUNK_BYTES (256u * 1024)
#define TRANSCRIPT_FLUSH_MS 1000u
#define TRANSCRIPT_AGAIN_MS 2000 /* between attempts to write on a disk that was full */
#define TRANSCRIPT_KEYFRAME_BYTES (1024u * 1024)
#define TRANSCRIPT_KEYFRAME_BYTES_MAX (4u * 1024 * 1024)
#define TRANSCRIPT_KEYFRAME_RECORDS 128u
#define TRANSCRIPT_KEYFRAME_STREAM_MAX (1024u * 1024)
#define TRANSCRIPT_LIMIT_BYTES (512ull * 1024 * 1024) /* the default cap of the file */

/* --- the holder's side --- */

struct transcript;

/* Opens (appends to) the file; limit_bytes 0: writes nothing at all. */
int transcript_new(struct transcript **ret_transcript, const char *path, uint64_t limit_bytes);
void transcript_free(struct transcript *transcript);
DEFINE_CLEANUP(struct transcript *, transcript_free)
/* Takes output. Never fails: what cannot be written (disk full) becomes a gap. */
void transcript_write(struct transcript *transcript, const void *data, size_t len, int64_t wall_ms);
void transcript_resize(struct transcript *transcript, unsigned int cols, unsigned int rows, int64_t wall_ms);
void transcript_mark(struct transcript *transcript, const void *text, size_t len, int64_t wall_ms);
/* Whether it is time for a keyframe; it may be written at any time. */
bool transcript_keyframe_due(const struct transcript *transcript);
/* The stream holds after all output taken so far. One that is too long is left out. */
void transcript_keyframe(struct transcript *transcript, unsigned int cols, unsigned int rows, const void *stream, size_t len,
	int64_t wall_ms);
/* Whether something waits to be written: the caller flushes within TRANSCRIPT_FLUSH_MS. */
bool transcript_pending(const struct transcript *transcript);
void transcript_flush(struct transcript *transcript);
/* Flushes and declares the gap's end. May be called again if the disk was full then. */
void transcript_finish(struct transcript *transcript);
/* Raw bytes taken so far, recorded or not. */
uint64_t transcript_offset(const struct transcript *transcript);

/* --- readers --- */

struct transcript_reader;

/* May be opened while it is written; looks for new records at each read. TRANSCRIPT_E_NOT_FOUND. */
int transcript_reader_new(struct transcript_reader **ret_reader, const char *path);
void transcript_reader_free(struct transcript_reader *reader);
DEFINE_CLEANUP(struct transcript_reader *, transcript_reader_free)
/* Appends raw output from offset on, at most max_bytes and at most to the end of one record. *ret_next: where to go
 * on. TRANSCRIPT_E_END (*ret_next is offset), TRANSCRIPT_E_GAP (*ret_next is after it; nothing appended). */
int transcript_read(struct transcript_reader *reader, uint64_t offset, size_t max_bytes, struct buf *out, uint64_t *ret_next);
/* Where the output ends as far as is known now. */
int transcript_end(struct transcript_reader *reader, uint64_t *ret_offset);

enum transcript_kind {
	TRANSCRIPT_DATA = 'D',
	TRANSCRIPT_GAP = 'G',
	TRANSCRIPT_RESIZE = 'R',
	TRANSCRIPT_MARK = 'M',
	TRANSCRIPT_KEYFRAME = 'K', /* never told by transcript_each and transcript_part */
};

struct transcript_item {
	enum transcript_kind kind;
	uint64_t offset;
	int64_t wall_ms;
	const void *data; /* output, or the mark's text; borrowed until the callback returns */
	size_t len;       /* for a gap: its bytes */
	unsigned int cols, rows;
};
/* Everything in order, output cut as it came from the program, with times: for exports. The callback ends it by
 * returning non-zero, which is passed on. */
int transcript_each(struct transcript_reader *reader, int (*each)(void *userdata, const struct transcript_item *item),
	void *userdata);
/* The same in pieces: the records from *position on (a place in the file; 0 at first) until max_bytes of output, one
 * record at least; *position moves behind them. What is damaged is told as a gap of length 0. TRANSCRIPT_E_END: nothing
 * more yet. */
int transcript_part(struct transcript_reader *reader, uint64_t *position, size_t max_bytes,
	int (*each)(void *userdata, const struct transcript_item *item), void *userdata);

/* --- places --- */

struct transcript_place {
	uint64_t position; /* in the file, for transcript_part */
	uint64_t offset;   /* in the output */
	int64_t wall_ms;
	unsigned int cols, rows; /* of the screen there */
};

/* The last keyframe not after that time, or not after that offset. Its stream is appended to `stream` (may be NULL).
 * TRANSCRIPT_E_NOT_FOUND: none, one begins at 0. */
int transcript_seek_time(struct transcript_reader *reader, int64_t wall_ms, struct transcript_place *ret_place,
	struct buf *stream);
int transcript_seek_offset(struct transcript_reader *reader, uint64_t offset, struct transcript_place *ret_place,
	struct buf *stream);
/* The offset of the first output at or after that time; the end if there is none. */
int transcript_find_time(struct transcript_reader *reader, int64_t wall_ms, uint64_t *ret_offset);
/* Of a session that is over: where its recording was cut off, because bytes that are no whole record follow, or the index
 * knows of a keyframe behind its end. The position is behind the file's end, so that nothing is read there.
 * TRANSCRIPT_E_NOT_FOUND: as far as can be told it is whole. */
int transcript_cut_off(struct transcript_reader *reader, struct transcript_place *ret_place);
