/* Places in a transcript: keyframes, their index, and both damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "proto/base/io.h"
#include "worker/session/transcript.h"

#define STEP_BYTES 1000u
#define KEY_EVERY 10u
#define STEPS 100u

struct place_dir {
	char *dir, *path, *index;
};

static int make_dir(void **state)
{
	struct place_dir *place = calloc(1, sizeof(*place));
	char template[] = "/tmp/maestro-seek-XXXXXX";

	place->dir = strdup(mkdtemp(template));
	place->path = io_join(place->dir, "t.zst");
	place->index = io_join(place->dir, "t.zst.idx");
	*state = place;
	return 0;
}

static int remove_dir(void **state)
{
	struct place_dir *place = *state;

	assert_int_equal(io_remove_tree(place->dir), 0);
	free(place->index);
	free(place->path);
	free(place->dir);
	free(place);
	return 0;
}

/* STEPS times STEP_BYTES at 1000 ms, 2000 ms, … with a keyframe after every KEY_EVERY of them. */
static void write_steps(const struct place_dir *place)
{
	_cleanup_(transcript_free_p) struct transcript *transcript = NULL;
	char data[STEP_BYTES], stream[32];

	assert_int_equal(transcript_new(&transcript, place->path, TRANSCRIPT_LIMIT_BYTES), 0);
	transcript_resize(transcript, 80, 24, 0);
	for (unsigned int i = 1; i <= STEPS; i++) {
		memset(data, 'a' + (int)i % 26, sizeof(data));
		transcript_write(transcript, data, sizeof(data), i * 1000);
		transcript_flush(transcript);
		if (i % KEY_EVERY)
			continue;
		snprintf(stream, sizeof(stream), "key %u", i);
		transcript_keyframe(transcript, 80 + i, 24, stream, strlen(stream), i * 1000);
	}
	transcript_finish(transcript);
}

static struct transcript_reader *open_reader(const struct place_dir *place)
{
	struct transcript_reader *reader;

	assert_int_equal(transcript_reader_new(&reader, place->path), 0);
	return reader;
}

/* What a seek to that time finds; "none" if nothing. */
static void check_seek(const struct place_dir *place, int64_t wall_ms, unsigned int step)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(place);
	_cleanup_(buf_deinit) struct buf stream = BUF_NULL;
	struct transcript_place found;
	char expected[32];
	int r = transcript_seek_time(reader, wall_ms, &found, &stream);

	if (!step) {
		assert_int_equal(r, TRANSCRIPT_E_NOT_FOUND);
		return;
	}
	assert_int_equal(r, 0);
	snprintf(expected, sizeof(expected), "key %u", step);
	assert_string_equal(buf_text(&stream), expected);
	assert_int_equal(found.offset, (uint64_t)step * STEP_BYTES);
	assert_int_equal(found.wall_ms, step * 1000);
	assert_int_equal(found.cols, 80 + step);
	buf_clear(&stream);
	assert_int_equal(transcript_seek_offset(reader, (uint64_t)step * STEP_BYTES + 1, &found, &stream), 0);
	assert_string_equal(buf_text(&stream), expected);
}

static int count_items(void *userdata, const struct transcript_item *item)
{
	assert_int_not_equal(item->kind, TRANSCRIPT_KEYFRAME);
	*(size_t *)userdata += item->kind == TRANSCRIPT_DATA ? item->len : 1u << 24;
	return 0;
}

static void check_seeks(const struct place_dir *place)
{
	check_seek(place, 9999, 0);
	check_seek(place, 10000, 10);
	check_seek(place, 10001, 10);
	check_seek(place, 55555, 50);
	check_seek(place, INT64_MAX, 100);
}

static void test_seek(void **state)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	struct transcript_place found;
	uint64_t offset;
	size_t bytes = 0;

	write_steps(*state);
	check_seeks(*state);
	reader = open_reader(*state);
	assert_int_equal(transcript_seek_time(reader, 90000, &found, NULL), 0);
	assert_int_equal(transcript_part(reader, &found.position, SIZE_MAX, count_items, &bytes), 0);
	assert_int_equal(bytes, 10 * STEP_BYTES);
	bytes = 0;
	assert_int_equal(transcript_each(reader, count_items, &bytes), 0);
	assert_int_equal(bytes, (1u << 24) + STEPS * STEP_BYTES);
	assert_int_equal(transcript_find_time(reader, 41500, &offset), 0);
	assert_int_equal(offset, 41 * STEP_BYTES);
	assert_int_equal(transcript_find_time(reader, 50000, &offset), 0);
	assert_int_equal(offset, 49 * STEP_BYTES);
	assert_int_equal(transcript_find_time(reader, 0, &offset), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(transcript_find_time(reader, INT64_MAX, &offset), 0);
	assert_int_equal(offset, STEPS * STEP_BYTES);
}

/* From any offset, forwards and backwards in one reader, the same bytes come as from the beginning. */
static void test_read_from_anywhere(void **state)
{
	static const uint64_t places[] = { 99999, 0, 50000, 49999, 50001, 12345, 10000, 99000, 1 };
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;
	uint64_t at = 0, end;

	write_steps(*state);
	reader = open_reader(*state);
	while (transcript_read(reader, at, SIZE_MAX, &all, &at) == 0)
		continue;
	assert_int_equal(all.len, STEPS * STEP_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(buf_deinit) struct buf part = BUF_NULL;

		assert_int_equal(transcript_read(reader, places[i], 100, &part, &at), 0);
		assert_true(part.len > 0 && at == places[i] + part.len);
		assert_memory_equal(part.data, all.data + places[i], part.len);
		assert_int_equal(transcript_end(reader, &end), 0);
		assert_int_equal(end, STEPS * STEP_BYTES);
	}
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x55;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* Whatever happens to the index, every seek finds what it found before. */
static void test_damaged_index(void **state)
{
	struct place_dir *place = *state;
	struct stat st;

	write_steps(place);
	assert_int_equal(stat(place->index, &st), 0);
	assert_int_equal(st.st_size, 320);
	for (off_t at = 0; at < st.st_size; at += 7) {
		flip(place->index, at);
		check_seeks(place);
		flip(place->index, at);
	}
	for (off_t len = st.st_size; len >= 0; len -= 13) {
		assert_int_equal(truncate(place->index, len), 0);
		check_seeks(place);
	}
	assert_int_equal(unlink(place->index), 0);
	check_seeks(place);
}

/* A keyframe that is damaged is passed over for the one before; so is an index that lies. */
static void test_damaged_keyframe(void **state)
{
	struct place_dir *place = *state;
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	struct transcript_place found;

	write_steps(place);
	reader = open_reader(place);
	assert_int_equal(transcript_seek_time(reader, 50000, &found, NULL), 0);
	flip(place->path, (off_t)found.position + 45);
	check_seek(place, 55555, 40);
	check_seek(place, 60000, 60);
	assert_int_equal(unlink(place->index), 0);
	check_seek(place, 55555, 40);
}

/* Cut anywhere: what is before the cut is there, and the index does not lead behind it. */
static void test_cut(void **state)
{
	struct place_dir *place = *state;
	struct stat st;

	write_steps(place);
	assert_int_equal(stat(place->path, &st), 0);
	for (off_t len = st.st_size; len >= 0; len -= 97) {
		_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
		struct transcript_place found;
		size_t bytes = 0;
		int r;

		assert_int_equal(truncate(place->path, len), 0);
		reader = open_reader(place);
		r = transcript_seek_time(reader, INT64_MAX, &found, NULL);
		assert_true(r == 0 || r == TRANSCRIPT_E_NOT_FOUND);
		assert_int_equal(transcript_each(reader, count_items, &bytes), 0);
		assert_true(r || found.position < (uint64_t)len);
	}
}

static void test_when_due(void **state)
{
	struct place_dir *place = *state;
	_cleanup_(transcript_free_p) struct transcript *transcript = NULL;
	static char noise[TRANSCRIPT_KEYFRAME_BYTES / 4];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
	assert_int_equal(transcript_new(&transcript, place->path, TRANSCRIPT_LIMIT_BYTES), 0);
	for (int i = 0; i < 4; i++) {
		assert_false(transcript_keyframe_due(transcript));
		transcript_write(transcript, noise, sizeof(noise), i);
	}
	assert_true(transcript_keyframe_due(transcript));
	transcript_keyframe(transcript, 80, 24, noise, sizeof(noise), 5);
	/* as small pieces: by their number, but not before they are worth its size */
	for (unsigned int i = 0; i < TRANSCRIPT_KEYFRAME_RECORDS; i++) {
		assert_false(transcript_keyframe_due(transcript));
		transcript_write(transcript, noise, 10, 6);
		transcript_flush(transcript);
	}
	assert_false(transcript_keyframe_due(transcript));
	for (int i = 0; i < 2; i++)
		transcript_write(transcript, noise, sizeof(noise), 7);
	assert_true(transcript_keyframe_due(transcript));
	transcript_keyframe(transcript, 80, 24, "small", 5, 8);
	for (unsigned int i = 0; i < TRANSCRIPT_KEYFRAME_RECORDS; i++) {
		transcript_write(transcript, noise, 10, 6);
		transcript_flush(transcript);
	}
	assert_true(transcript_keyframe_due(transcript));
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* `MAESTRO_SEEK_MIB=100 test-transcript-seek` prints how long a seek takes in a transcript of so much noise. */
static void test_speed(void **state)
{
	struct place_dir *place = *state;
	_cleanup_(transcript_free_p) struct transcript *transcript = NULL;
	static char noise[TRANSCRIPT_CHUNK_BYTES], key[4096];
	const char *text = getenv("MAESTRO_SEEK_MIB");
	unsigned int mib = text ? (unsigned int)atoi(text) : 4;
	uint32_t seed = 1;
	uint64_t worst_us = 0;

	assert_int_equal(transcript_new(&transcript, place->path, 4 * TRANSCRIPT_LIMIT_BYTES), 0);
	for (unsigned int i = 0; i < mib * 4; i++) {
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = (char)((seed = seed * 1664525u + 1013904223u) >> 24);
		transcript_write(transcript, noise, sizeof(noise), i);
		if (transcript_keyframe_due(transcript))
			transcript_keyframe(transcript, 80, 24, key, sizeof(key), i);
	}
	transcript_finish(transcript);
	for (unsigned int i = 0; i < 100; i++) {
		_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
		_cleanup_(buf_deinit) struct buf stream = BUF_NULL, out = BUF_NULL;
		struct transcript_place found = { 0 };
		uint64_t began_us = now_us(), next;

		reader = open_reader(place);
		assert_int_equal(transcript_seek_time(reader, 4 + (int64_t)i * mib * 4 / 100, &found, &stream), 0);
		assert_true(transcript_read(reader, found.offset, 1000, &out, &next) >= 0);
		began_us = now_us() - began_us;
		worst_us = began_us > worst_us ? began_us : worst_us;
	}
	print_message("the slowest of 100 seeks in %u MiB: %llu us\n", mib, (unsigned long long)worst_us);
}

int main(void)
{
#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		PLACE_TEST(test_seek),
		PLACE_TEST(test_read_from_anywhere),
		PLACE_TEST(test_damaged_index),
		PLACE_TEST(test_damaged_keyframe),
		PLACE_TEST(test_cut),
		PLACE_TEST(test_when_due),
		PLACE_TEST(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
