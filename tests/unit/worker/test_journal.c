/* The journal under every kind of damage: what was synced and is whole is read again, the rest is kept aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "worker/core/journal.h"

#define COUNT 5u

struct found {
	unsigned int count;
	uint64_t tasks[64];
};

static int note(const Maestro__JournalRecord *record, void *userdata)
{
	struct found *found = userdata;

	assert_true(found->count < ARRAY_SIZE(found->tasks));
	found->tasks[found->count++] = record->task;
	return 0;
}

static Maestro__JournalRecord record_of(uint64_t task)
{
	static Maestro__JournalOver over = MAESTRO__JOURNAL_OVER__INIT;
	Maestro__JournalRecord record = MAESTRO__JOURNAL_RECORD__INIT;

	over.phase = MAESTRO__ATTEMPT_PHASE__PHASE_EXITED;
	record.has_task = true;
	record.task = task;
	record.body_case = MAESTRO__JOURNAL_RECORD__BODY_OVER;
	record.over = &over;
	return record;
}

struct place {
	char dir[64], path[96];
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_int_equal(id_init(), 0);
	strcpy(place->dir, "/tmp/maestro-journal.XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	snprintf(place->path, sizeof(place->path), "%s/journal", place->dir);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	io_remove_tree(place->dir);
	free(place);
	return 0;
}

/* Where thousands of files are made, nobody waits for the disk. */
static ssize_t quick_pwrite(int fd, const void *data, size_t len, off_t offset, void *userdata)
{
	return pwrite(fd, data, len, offset);
}

static int quick_sync(int fd, void *userdata)
{
	return 0;
}

static const struct journal_disk quick_disk = { quick_pwrite, quick_sync, NULL };

static void put_file(const char *path, const char *data, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, data, len), 0);
}

static struct journal *open_it(const struct place *place, const struct journal_disk *disk, struct found *found,
	uint64_t *ret_lost)
{
	struct journal_damage damage;
	struct journal *journal = NULL;

	*found = (struct found){ 0 };
	assert_int_equal(journal_open(&journal, place->path, disk, note, found, &damage, NULL), 0);
	*ret_lost = damage.lost_bytes;
	assert_int_equal(damage.copy != NULL, damage.lost_bytes != 0);
	if (damage.copy)
		assert_int_equal(unlink(damage.copy), 0);
	free(damage.copy);
	return journal;
}

static void write_records(const struct place *place, uint64_t first, unsigned int count)
{
	struct found found;
	uint64_t lost;
	struct journal *journal = open_it(place, &quick_disk, &found, &lost);

	for (unsigned int i = 0; i < count; i++) {
		Maestro__JournalRecord record = record_of(first + i);

		assert_int_equal(journal_append(journal, &record), 0);
	}
	assert_int_equal(journal_sync(journal), 0);
	journal_free(journal);
}

static void test_reads_what_was_written(void **state)
{
	struct found found;
	uint64_t lost;

	write_records(*state, 1, COUNT);
	journal_free(open_it(*state, NULL, &found, &lost));
	assert_int_equal(lost, 0);
	assert_int_equal(found.count, COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(found.tasks[i], i + 1);
}

static void test_unsynced_was_never_said(void **state)
{
	Maestro__JournalRecord record = record_of(7);
	struct found found;
	uint64_t lost;
	struct journal *journal = open_it(*state, NULL, &found, &lost);

	assert_int_equal(journal_append(journal, &record), 0);
	journal_free(journal);
	journal_free(open_it(*state, NULL, &found, &lost));
	assert_int_equal(found.count, 0);
}

static void truncate_and_check(const struct place *place, const char *data, size_t whole, size_t len)
{
	size_t record_bytes = (whole - JOURNAL_MAGIC_BYTES) / COUNT;
	size_t kept = len < JOURNAL_MAGIC_BYTES ? 0 : (len - JOURNAL_MAGIC_BYTES) / record_bytes;
	bool torn = len > JOURNAL_MAGIC_BYTES && (len - JOURNAL_MAGIC_BYTES) % record_bytes;
	struct found found;
	uint64_t lost;

	put_file(place->path, data, len);
	journal_free(open_it(place, &quick_disk, &found, &lost));
	assert_int_equal(found.count, kept);
	assert_int_equal(lost != 0, torn);
	/* What is written after the damage is read the next time, with what was before it. */
	write_records(place, 100, 1);
	journal_free(open_it(place, &quick_disk, &found, &lost));
	assert_int_equal(lost, 0);
	assert_int_equal(found.count, kept + 1);
	assert_int_equal(found.tasks[kept], 100);
}

static void test_truncated_at_each_byte(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *data = NULL;
	size_t len;

	write_records(place, 1, COUNT);
	assert_int_equal(io_read_file(place->path, 1 << 20, &data, &len), 0);
	for (size_t i = 0; i <= len; i++)
		truncate_and_check(place, data, len, i);
}

static void test_flipped_at_each_byte(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *data = NULL;
	size_t len, record_bytes;

	write_records(place, 1, COUNT);
	assert_int_equal(io_read_file(place->path, 1 << 20, &data, &len), 0);
	record_bytes = (len - JOURNAL_MAGIC_BYTES) / COUNT;
	for (size_t i = JOURNAL_MAGIC_BYTES; i < len; i++) {
		struct found found;
		uint64_t lost;

		data[i] = (char)(data[i] ^ 0x10);
		put_file(place->path, data, len);
		journal_free(open_it(place, &quick_disk, &found, &lost));
		assert_int_equal(found.count, (i - JOURNAL_MAGIC_BYTES) / record_bytes);
		assert_int_not_equal(lost, 0);
		data[i] = (char)(data[i] ^ 0x10);
	}
}

static void test_refuses_what_is_no_journal(void **state)
{
	struct place *place = *state;
	struct journal_damage damage;
	struct journal *journal = NULL;
	struct found found = { 0 };

	assert_int_equal(io_replace_file(place->path, "something else entirely", 23, 0600), 0);
	assert_int_equal(journal_open(&journal, place->path, NULL, note, &found, &damage, NULL), JOURNAL_E_FORMAT);
	assert_null(journal);
}

/* A disk that is full for a while. */
struct bad_disk {
	int fail_writes, fail_syncs;
};

static ssize_t bad_pwrite(int fd, const void *data, size_t len, off_t offset, void *userdata)
{
	struct bad_disk *bad = userdata;

	if (!bad->fail_writes)
		return pwrite(fd, data, len, offset);
	if (--bad->fail_writes == 0)
		return pwrite(fd, data, len / 2, offset); /* a short one, then room again */
	errno = ENOSPC;
	return -1;
}

static int bad_fdatasync(int fd, void *userdata)
{
	struct bad_disk *bad = userdata;

	if (!bad->fail_syncs)
		return fdatasync(fd);
	bad->fail_syncs--;
	errno = EIO;
	return -1;
}

static void test_full_disk_is_tried_again(void **state)
{
	struct bad_disk bad = { 0, 0 };
	struct journal_disk disk = { bad_pwrite, bad_fdatasync, &bad };
	Maestro__JournalRecord record = record_of(1);
	struct found found;
	uint64_t lost;
	struct journal *journal = open_it(*state, &disk, &found, &lost);

	bad = (struct bad_disk){ 3, 1 };
	assert_int_equal(journal_append(journal, &record), 0);
	assert_int_equal(journal_sync(journal), -ENOSPC);
	assert_int_equal(journal_sync(journal), -ENOSPC);
	record = record_of(2);
	assert_int_equal(journal_append(journal, &record), 0);
	assert_int_equal(journal_sync(journal), -EIO);
	assert_int_equal(journal_sync(journal), 0);
	journal_free(journal);
	journal_free(open_it(*state, NULL, &found, &lost));
	assert_int_equal(lost, 0);
	assert_int_equal(found.count, 2);
}

static int three(struct buf *out, void *userdata)
{
	int r = 0;

	for (uint64_t i = 1; !r && i <= 3; i++) {
		Maestro__JournalRecord record = record_of(i);

		r = journal_encode(&record, out);
	}
	return r;
}

static int cannot(struct buf *out, void *userdata)
{
	return -ENOMEM;
}

static void test_compaction(void **state)
{
	Maestro__JournalRecord record = record_of(9);
	struct found found;
	uint64_t lost;
	struct journal *journal;

	write_records(*state, 20, COUNT);
	journal = open_it(*state, NULL, &found, &lost);
	assert_int_equal(journal_compact(journal, cannot, NULL), -ENOMEM);
	assert_int_equal(journal_compact(journal, three, NULL), 0);
	assert_int_equal(journal_append(journal, &record), 0);
	assert_int_equal(journal_sync(journal), 0);
	journal_free(journal);
	journal_free(open_it(*state, NULL, &found, &lost));
	assert_int_equal(found.count, 4);
	assert_int_equal(found.tasks[3], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsynced_was_never_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_at_each_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_at_each_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_what_is_no_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compaction, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
