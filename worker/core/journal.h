/* The worker's journal: an append-only file of JournalRecords that survives a crash at any moment.
 *
 * The file begins with JOURNAL_MAGIC. A record is: u32 length of the payload (big endian), the first 8 bytes of
 * SHA-256 over length and payload, payload (a packed JournalRecord). Records are gathered in memory by
 * journal_append and written, then fdatasync'ed, by journal_sync; what was not synced was never said.
 *
 * A write goes to the offset behind the last synced record, so a failed or torn one is overwritten by the next try.
 * Reading ends at the first record that is cut off or does not match its digest: everything before it counts. The
 * damaged file is kept beside it, and the new journal goes on behind the good part. Room is reserved ahead, so that a
 * full disk does not silence the worker at once.
 *
 * Conditions: JOURNAL_E_FORMAT (the file is no journal of ours). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/schema/journal.pb-c.h"

enum {
	JOURNAL_E_FORMAT = 1,
};

#define JOURNAL_MAGIC "maestroJ1\n"
#define JOURNAL_MAGIC_BYTES 10u
#define JOURNAL_HEADER_BYTES 12u
#define JOURNAL_RECORD_MAX_BYTES (1024u * 1024)

/* A record lives until this returns. Anything but 0 ends the reading and is passed on. */
typedef int (*journal_record_fn)(const Maestro__JournalRecord *record, void *userdata);

/* Appends one framed record. -EMSGSIZE above JOURNAL_RECORD_MAX_BYTES. */
int journal_encode(const Maestro__JournalRecord *record, struct buf *out);
/* Reads records from the bytes behind the magic. *ret_good: how many bytes were whole records; what follows them is
 * damage (or nothing). Records that are whole but of no known kind are skipped. */
int journal_decode(const void *data, size_t len, journal_record_fn record, void *userdata, size_t *ret_good);

/* The disk, for tests that let a call fail. */
struct journal_disk {
	ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t offset, void *userdata);
	int (*fdatasync)(int fd, void *userdata);
	void *userdata;
};

struct journal;

struct journal_damage {
	uint64_t lost_bytes; /* 0: none */
	char *copy;          /* where the damaged file is kept; caller frees */
};

/* Opens or makes the file (0600) and hands every record to `record`. `disk` NULL: the real one. */
int journal_open(struct journal **ret_journal, const char *path, const struct journal_disk *disk,
	journal_record_fn record, void *userdata, struct journal_damage *ret_damage, struct error *error);
void journal_free(struct journal *journal);
DEFINE_CLEANUP(struct journal *, journal_free)

/* Gathers a record. -ENOMEM, -EMSGSIZE: nothing was gathered. */
int journal_append(struct journal *journal, const Maestro__JournalRecord *record);
/* Makes everything gathered durable. On an errno nothing is lost: it is tried again with the next call. */
int journal_sync(struct journal *journal);
/* Bytes of the file, with what is gathered. */
uint64_t journal_bytes(const struct journal *journal);

/* Replaces the file by one that holds just what `snapshot` appends to `out` (journal_encode). The old file stays in
 * use if anything fails. Nothing may be waiting for journal_sync. */
typedef int (*journal_snapshot_fn)(struct buf *out, void *userdata);
int journal_compact(struct journal *journal, journal_snapshot_fn snapshot, void *userdata);
