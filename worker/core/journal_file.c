#include "worker/core/journal.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/clock.h"
#include "proto/base/io.h"

#define RESERVE_BYTES (1024u * 1024)
#define FILE_MAX_BYTES (1024ull * 1024 * 1024)

struct journal {
	char *path;
	int fd;
	uint64_t synced;   /* bytes that are durable, with the magic */
	uint64_t reserved; /* bytes that the file system keeps for us */
	struct buf waiting;
	struct journal_disk disk;
};

static ssize_t disk_pwrite(int fd, const void *data, size_t len, off_t offset, void *userdata)
{
	return pwrite(fd, data, len, offset);
}

static int disk_fdatasync(int fd, void *userdata)
{
	return fdatasync(fd);
}

static const struct journal_disk real_disk = { disk_pwrite, disk_fdatasync, NULL };

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	buf_deinit(&journal->waiting);
	free(journal->path);
	free(journal);
}

/* Not every file system can; then a full disk is met a little earlier. */
static void reserve(struct journal *journal, uint64_t end)
{
	if (end + RESERVE_BYTES / 2 <= journal->reserved)
		return;
	if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)end, RESERVE_BYTES) == 0)
		journal->reserved = end + RESERVE_BYTES;
}

static int write_at(struct journal *journal, const uint8_t *data, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = journal->disk.pwrite(journal->fd, data, len, (off_t)offset, journal->disk.userdata);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* After a compaction that could not open its new file. */
static int reopen(struct journal *journal)
{
	if (journal->fd >= 0)
		return 0;
	journal->fd = open(journal->path, O_RDWR | O_CLOEXEC);
	journal->reserved = 0;
	return journal->fd < 0 ? -errno : 0;
}

int journal_append(struct journal *journal, const Maestro__JournalRecord *record)
{
	return journal_encode(record, &journal->waiting);
}

int journal_sync(struct journal *journal)
{
	int r;

	if (!journal->waiting.len)
		return 0;
	r = reopen(journal);
	if (r)
		return r;
	reserve(journal, journal->synced + journal->waiting.len);
	r = write_at(journal, journal->waiting.data, journal->waiting.len, journal->synced);
	if (!r && journal->disk.fdatasync(journal->fd, journal->disk.userdata) < 0)
		r = -errno;
	if (r)
		return r;
	journal->synced += journal->waiting.len;
	buf_clear(&journal->waiting);
	return 0;
}

uint64_t journal_bytes(const struct journal *journal)
{
	return journal->synced + journal->waiting.len;
}

/* Keeps what was found, under a name that is not taken. */
static int keep_copy(const char *path, const char *data, size_t len, char **ret_copy)
{
	_cleanup_free_ char *copy = NULL;
	int r = -EEXIST;

	for (unsigned int i = 0; r == -EEXIST && i < 100; i++) {
		free(copy);
		if (asprintf(&copy, "%s.damaged-%lld.%u", path, (long long)clock_wall_ms() / 1000, i) < 0) {
			copy = NULL;
			return -ENOMEM;
		}
		r = access(copy, F_OK) == 0 ? -EEXIST : io_create_file(copy, data, len, 0600);
	}
	if (!r)
		*ret_copy = take(copy);
	return r;
}

static int read_records(const char *path, const char *data, size_t len, journal_record_fn record, void *userdata,
	uint64_t *ret_good, struct journal_damage *ret_damage, struct error *error)
{
	size_t good = 0;
	int r;

	if (len < JOURNAL_MAGIC_BYTES && !memcmp(data, JOURNAL_MAGIC, len))
		return 0; /* made, and cut off before anything was said */
	if (len < JOURNAL_MAGIC_BYTES || memcmp(data, JOURNAL_MAGIC, JOURNAL_MAGIC_BYTES)) {
		error_set(error, 0, "%s is no journal of this version of maestro-worker", path);
		error_hint(error, "move it away to start with an empty one (its attempts are then forgotten)");
		return JOURNAL_E_FORMAT;
	}
	r = journal_decode(data + JOURNAL_MAGIC_BYTES, len - JOURNAL_MAGIC_BYTES, record, userdata, &good);
	if (r)
		return error_set(error, r, "%s cannot be read", path);
	good += JOURNAL_MAGIC_BYTES;
	if (good < len) {
		r = keep_copy(path, data, len, &ret_damage->copy);
		if (r)
			return error_set(error, r, "%s is damaged and cannot be copied: %s", path, strerror(-r));
		ret_damage->lost_bytes = len - good;
	}
	*ret_good = good;
	return 0;
}

static int fsync_parent(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	return copy ? io_fsync_dir(dirname(copy)) : -ENOMEM;
}

/* Leaves exactly the good part in the file, so that nothing of the damage is ever read behind a new record. */
static int begin_file(struct journal *journal, uint64_t good)
{
	int r = 0;

	if (ftruncate(journal->fd, (off_t)good) < 0)
		return -errno;
	if (!good) {
		r = write_at(journal, (const uint8_t *)JOURNAL_MAGIC, JOURNAL_MAGIC_BYTES, 0);
		good = JOURNAL_MAGIC_BYTES;
	}
	if (!r && journal->disk.fdatasync(journal->fd, journal->disk.userdata) < 0)
		r = -errno;
	if (!r)
		r = fsync_parent(journal->path);
	journal->synced = good;
	return r;
}

static int open_file(struct journal *journal, const char *path)
{
	journal->path = strdup(path);
	if (!journal->path)
		return -ENOMEM;
	journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return journal->fd < 0 ? -errno : 0;
}

int journal_open(struct journal **ret_journal, const char *path, const struct journal_disk *disk,
	journal_record_fn record, void *userdata, struct journal_damage *ret_damage, struct error *error)
{
	_cleanup_(journal_free_p) struct journal *journal = calloc(1, sizeof(*journal));
	_cleanup_free_ char *data = NULL;
	uint64_t good = 0;
	size_t len = 0;
	int r;

	*ret_damage = (struct journal_damage){ 0, NULL };
	if (!journal)
		return -ENOMEM;
	journal->fd = -1;
	journal->disk = disk ? *disk : real_disk;
	r = open_file(journal, path);
	if (!r)
		r = error_fold(io_read_file(path, FILE_MAX_BYTES, &data, &len));
	if (r)
		return error_set(error, r, "cannot open %s: %s", path, strerror(-r));
	r = read_records(path, data, len, record, userdata, &good, ret_damage, error);
	if (r)
		return r;
	r = begin_file(journal, good);
	if (r)
		return error_set(error, r, "cannot write %s: %s", path, strerror(-r));
	reserve(journal, journal->synced);
	*ret_journal = take(journal);
	return 0;
}

int journal_compact(struct journal *journal, journal_snapshot_fn snapshot, void *userdata)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;
	int r;

	require(!journal->waiting.len);
	r = buf_append(&all, JOURNAL_MAGIC, JOURNAL_MAGIC_BYTES);
	if (!r)
		r = snapshot(&all, userdata);
	if (!r)
		r = io_replace_file(journal->path, all.data, all.len, 0600);
	if (r)
		return r;
	close(journal->fd); /* the old file has no name any more: nothing may be written to it */
	journal->fd = -1;
	journal->synced = all.len;
	r = reopen(journal);
	if (!r)
		reserve(journal, journal->synced);
	return r;
}
