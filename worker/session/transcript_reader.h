/* What the files that read transcripts share. */
#pragma once

#include "worker/session/transcript.h"
#include "worker/session/transcript_format.h"

/* Where a stretch of output is found. */
struct entry {
	struct record record;
	uint64_t at;        /* of the record in the file */
	uint64_t raw_bytes; /* for a gap: its length, 0 while it is open */
	uint32_t content_bytes;
};

struct transcript_reader {
	int fd;
	struct buf index;  /* struct entry, as in the file */
	uint64_t begin;    /* where in the file the index begins, and what output comes before it */
	uint64_t begin_offset;
	uint64_t seen;     /* bytes of the file that were looked at */
	uint64_t end;      /* of the output in the index */
	struct buf raw;    /* the chunk that was unpacked last */
	size_t raw_entry;  /* which, counted from 1 */
	struct buf keys;   /* struct index_entry, of the keyframes that are known */
	uint64_t keys_seen; /* up to where in the file all of them are */
	bool keys_loaded;
	int index_fd;      /* of the index on disk; -1: none */
};

/* Header and content of the record at that place, checked. TRANSCRIPT_E_END: none, or not whole. */
int reader_entry(struct transcript_reader *reader, uint64_t at, uint64_t file_bytes, struct entry *ret_entry,
	struct buf *content);
/* Where the next whole record is, at or after *at. TRANSCRIPT_E_END: none yet. *ret_damaged: something that is no
 * record lay before it. */
int reader_next(struct transcript_reader *reader, uint64_t *at, uint64_t file_bytes, struct entry *ret_entry,
	struct buf *content, bool *ret_damaged);

static inline uint64_t entry_bytes(const struct entry *entry)
{
	return RECORD_PREFIX_BYTES + RECORD_FIXED_BYTES + entry->content_bytes + entry->record.frame_bytes;
}
