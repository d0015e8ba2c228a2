/* The holder's parts that need no process: series of screens, environment, transcripts, state files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proto/base/io.h"
#include "worker/screen/emulator.h"
#include "worker/session/ansi.h"
#include "worker/session/environment.h"
#include "worker/session/hold.h"
#include "worker/session/series.h"
#include "worker/session/sources.h"
#include "worker/session/state.h"
#include "worker/session/transcript.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- sources of input --- */

static void test_sources(void **state)
{
	struct sources sources = { 0 };
	struct source *source = sources_get(&sources, 5, 10);

	assert_int_equal(source->taken, 10);
	assert_int_equal(source_take(source, 10, 3), 0);
	assert_int_equal(source_take(source, 10, 3), 3); /* all of it came before */
	assert_int_equal(source_take(source, 0, 4), 4);
	assert_int_equal(source_take(source, 11, 5), 2); /* two of the five */
	assert_int_equal(source->taken, 16);
	assert_true(source_take(source, 17, 1) == SIZE_MAX);
	assert_int_equal(source_take(source, 16, 0), 0);
	assert_int_equal(source->taken, 16);
	for (uint64_t id = 100; id < 100 + SOURCES_MAX - 1; id++)
		sources_get(&sources, id, 0);
	assert_int_equal(sources_get(&sources, 5, 0)->taken, 16); /* still known */
	sources_get(&sources, 1000, 0);
	assert_int_equal(sources_get(&sources, 5, 0)->taken, 16); /* used last, so another one went */
	assert_int_equal(sources_get(&sources, 100, 77)->taken, 77);
}

/* --- series ----------------------------------------------------------------------------------------------------- */

struct shown {
	struct emulator *emulator;
	struct series series;
	struct screen scratch, far;
};

static void shown_init(struct shown *shown)
{
	*shown = (struct shown){ .series = SERIES_NULL, .scratch = SCREEN_NULL, .far = SCREEN_NULL };
	assert_int_equal(emulator_new(&shown->emulator, 20, 3, 0), 0);
}

static void shown_deinit(struct shown *shown)
{
	emulator_free(shown->emulator);
	series_deinit(&shown->series);
	screen_deinit(&shown->scratch);
	screen_deinit(&shown->far);
}

static uint64_t due(struct shown *shown, uint64_t now_ms)
{
	return series_due_ms(&shown->series, emulator_generation(shown->emulator), now_ms);
}

/* Sends a frame to the far end; false: there was nothing to tell. */
static bool send_frame(struct shown *shown, uint64_t now_ms, size_t *ret_len)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	bool changed;

	assert_int_equal(series_encode(&shown->series, emulator_screen(shown->emulator), emulator_generation(shown->emulator),
				 now_ms, &shown->scratch, &out, &changed), 0);
	if (!changed) {
		assert_int_equal(out.len, 0);
		return false;
	}
	assert_int_equal(screen_apply(&shown->far, out.data, out.len), 0);
	assert_true(screen_equal(&shown->far, emulator_screen(shown->emulator)));
	if (ret_len)
		*ret_len = out.len;
	return true;
}

static void test_series_one_frame_at_a_time(void **state)
{
	struct shown shown;
	size_t keyframe, difference;

	shown_init(&shown);
	assert_true(due(&shown, 5) == SERIES_NEVER); /* nobody watches */
	series_watch(&shown.series, true, 0, false);
	emulator_write(shown.emulator, "hello, all of you", 17);
	assert_int_equal(due(&shown, 5), 5);
	assert_true(send_frame(&shown, 5, &keyframe));
	emulator_write(shown.emulator, "x", 1);
	assert_true(due(&shown, 6) == SERIES_NEVER); /* not acknowledged */
	series_ack(&shown.series, 999);
	assert_true(due(&shown, 6) == SERIES_NEVER); /* not that one */
	series_ack(&shown.series, shown.series.frame);
	assert_true(due(&shown, 6) <= 6);
	assert_true(send_frame(&shown, 6, &difference));
	assert_true(difference < keyframe);
	series_ack(&shown.series, shown.series.frame);
	assert_true(due(&shown, 7) == SERIES_NEVER); /* nothing new */
	shown_deinit(&shown);
}

static void test_series_rate(void **state)
{
	struct shown shown;

	shown_init(&shown);
	series_watch(&shown.series, true, 4, false);
	assert_true(send_frame(&shown, 1000, NULL));
	series_ack(&shown.series, shown.series.frame);
	emulator_write(shown.emulator, "a", 1);
	assert_int_equal(due(&shown, 1001), 1250);
	shown_deinit(&shown);
}

static void paint(struct shown *shown, uint64_t now_ms)
{
	emulator_write(shown->emulator, "a", 1);
	assert_true(due(shown, now_ms) <= now_ms);
	assert_true(send_frame(shown, now_ms, NULL));
	series_ack(&shown->series, shown->series.frame);
	emulator_write(shown->emulator, "b", 1);
}

/* Seen to fail with no pace at all: the ninth picture in a row was due at once. */
static void test_series_pace(void **state)
{
	struct shown shown;
	uint64_t now_ms = 1000;

	shown_init(&shown);
	series_watch(&shown.series, true, 0, false);
	for (unsigned int i = 0; i < SERIES_BURST; i++)
		paint(&shown, ++now_ms);
	assert_int_equal(due(&shown, now_ms), now_ms + SERIES_PACE_MS);
	shown.series.printed_bytes = SERIES_FLOOD_BYTES + 1;
	assert_int_equal(due(&shown, now_ms), now_ms + SERIES_FLOOD_PACE_MS);
	series_input(&shown.series); /* who types is answered at once */
	assert_true(due(&shown, now_ms) <= now_ms);
	for (unsigned int i = 0; i < SERIES_BURST; i++)
		paint(&shown, ++now_ms);
	assert_int_equal(due(&shown, now_ms), now_ms + SERIES_PACE_MS);
	now_ms += SERIES_QUIET_MS; /* and so is a program after a pause */
	paint(&shown, now_ms);
	assert_true(due(&shown, now_ms) <= now_ms);
	shown_deinit(&shown);
}

static void test_series_back_to_the_same(void **state)
{
	struct shown shown;

	shown_init(&shown);
	series_watch(&shown.series, true, 0, false);
	assert_true(send_frame(&shown, 1, NULL));
	series_ack(&shown.series, shown.series.frame);
	emulator_write(shown.emulator, "a\b \b", 4); /* looks as before */
	assert_false(send_frame(&shown, 2, NULL));
	assert_true(due(&shown, 3) == SERIES_NEVER);
	series_watch(&shown.series, true, 0, true); /* a keyframe is sent all the same */
	assert_int_equal(due(&shown, 3), 3);
	assert_true(send_frame(&shown, 3, NULL));
	shown_deinit(&shown);
}

static void test_series_resize(void **state)
{
	struct shown shown;

	shown_init(&shown);
	series_watch(&shown.series, true, 0, false);
	assert_true(send_frame(&shown, 1, NULL));
	series_ack(&shown.series, shown.series.frame);
	assert_int_equal(emulator_resize(shown.emulator, 33, 7), 0);
	assert_true(send_frame(&shown, 2, NULL));
	assert_int_equal(shown.far.cols, 33);
	shown_deinit(&shown);
}

static void test_ansi(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	const char text[] = "\033[38;2;1;2;3ma\033[0;48;5;200mb\033[0;92mc\033[m\r\n\r\n\033[4:3md";

	assert_int_equal(emulator_new(&emulator, 20, 5, 0), 0);
	emulator_write(emulator, text, strlen(text));
	assert_int_equal(ansi_screen(emulator_screen(emulator), false, &out), 0);
	assert_string_equal(buf_text(&out),
		"\033[0;38;2;1;2;3ma\033[0;48;5;200mb\033[0;92mc\033[0m\n\n\033[0;4:3md\033[0m\n");
}

/* Lines above the screen may have another width than it: they are cut at the screen's when they are shown. */
static void test_ansi_scrollback(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	const char long_line[] = "0123456789\033[31mabc\r\n";

	assert_int_equal(emulator_new(&emulator, 12, 2, 1 << 20), 0);
	for (unsigned int i = 0; i < 100; i++)
		emulator_write(emulator, long_line, strlen(long_line));
	assert_int_equal(emulator_resize(emulator, 5, 2), 0);
	assert_int_equal(ansi_scrollback(emulator, 1 << 20, &out), 0);
	assert_memory_equal(buf_text(&out), "01234\n56789\n\033[0;31mabc\033[0m\n\033[0;31m01234\033[0m\n", 40);
	assert_null(strstr(buf_text(&out), "012345"));
}

/* Marks of prompts go with the lines above the screen, and with the screen where it is read with them. */
static void test_ansi_marks(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	const char text[] = "\033]133;A\007$ false\r\nlong line\033]133;C\007er\r\n\033]133;D;1\007\033]133;A\007$ ";

	assert_int_equal(emulator_new(&emulator, 8, 2, 1 << 20), 0);
	emulator_write(emulator, text, strlen(text));
	assert_int_equal(ansi_scrollback(emulator, 1 << 20, &out), 0);
	assert_string_equal(buf_text(&out), "\033]133;A\033\\$ false\nlong lin\n");
	buf_clear(&out);
	assert_int_equal(ansi_screen(emulator_screen(emulator), true, &out), 0);
	assert_string_equal(buf_text(&out), "\033]133;C\033\\eer\n\033]133;D;1\033\\\033]133;A\033\\$ \n");
	buf_clear(&out);
	assert_int_equal(ansi_screen(emulator_screen(emulator), false, &out), 0);
	assert_string_equal(buf_text(&out), "eer\n$ \n");
}

/* --- environment -------------------------------------------------------------------------------------------------- */

static const char *find(char **environment, const char *name)
{
	const char *found = NULL;

	for (; *environment; environment++)
		if (strncmp(*environment, name, strlen(name)) == 0 && (*environment)[strlen(name)] == '=') {
			assert_null(found);
			found = *environment + strlen(name) + 1;
		}
	return found;
}

static void test_environment(void **state)
{
	const char *const from[] = { "HOME=/h", "SSH_AUTH_SOCK=/s", "PATHOLOGY=x", "PATH=/bin", "LC_ALL=C", "TERM=dumb", "broken", NULL };
	const char *const more[] = { "A=1", "PATH=/mine", "A=2", "=none", "none", "TERM_PROGRAM=me" };
	char **environment;

	assert_int_equal(environment_make(from, more, ARRAY_SIZE(more), &environment), 0);
	assert_string_equal(find(environment, "HOME"), "/h");
	assert_string_equal(find(environment, "PATH"), "/mine");
	assert_string_equal(find(environment, "A"), "2");
	assert_string_equal(find(environment, "LC_ALL"), "C");
	assert_string_equal(find(environment, "TERM"), "xterm-256color");
	assert_string_equal(find(environment, "TERM_PROGRAM"), "me");
	assert_null(find(environment, "SSH_AUTH_SOCK"));
	assert_null(find(environment, "PATHOLOGY"));
	environment_free(environment);
	assert_int_equal(environment_make((const char *const[]){ NULL }, NULL, 0, &environment), 0);
	assert_non_null(find(environment, "PATH"));
	environment_free(environment);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir;

	assert_true(asprintf(&dir, "%s/maestro-unit-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

/* 150 ms from its beginning, each picture its own; what comes in between does not make it longer. */
static void test_hold(void **state)
{
	struct hold hold = { 0 };
	uint64_t wait_ms = 0;

	assert_false(hold_check(&hold, false, 5000, &wait_ms));
	assert_true(hold_check(&hold, true, 5000, &wait_ms));
	assert_int_equal(wait_ms, 150);
	assert_true(hold_check(&hold, true, 5100, &wait_ms));
	assert_int_equal(wait_ms, 50);
	assert_false(hold_check(&hold, false, 5120, &wait_ms)); /* whole: shown at once */
	assert_true(hold_check(&hold, true, 5130, &wait_ms));
	assert_int_equal(wait_ms, 150);
	assert_true(hold_check(&hold, true, 5279, &wait_ms));
	assert_int_equal(wait_ms, 1);
	assert_false(hold_check(&hold, true, 5280, &wait_ms)); /* never finished: shown as it is */
	assert_true(hold_check(&hold, true, 5281, &wait_ms));  /* and not shown half again at every write */
	assert_int_equal(wait_ms, 150);
}

static int remove_dir(void **state)
{
	assert_int_equal(io_remove_tree(*state), 0);
	free(*state);
	return 0;
}

static struct transcript *open_writer(const char *dir, uint64_t limit_bytes)
{
	_cleanup_free_ char *path = io_join(dir, "t.zst");
	struct transcript *transcript;

	assert_int_equal(transcript_new(&transcript, path, limit_bytes), 0);
	return transcript;
}

static struct transcript_reader *open_reader(const char *dir)
{
	_cleanup_free_ char *path = io_join(dir, "t.zst");
	struct transcript_reader *reader;

	assert_int_equal(transcript_reader_new(&reader, path), 0);
	return reader;
}

/* Everything that can be read, and how many gaps there were. */
static unsigned int read_everything(const char *dir, struct buf *out, uint64_t *ret_end)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(dir);
	unsigned int gaps = 0;
	uint64_t at = 0;
	int r;

	while ((r = transcript_read(reader, at, 1000, out, &at)) != TRANSCRIPT_E_END) {
		assert_true(r == 0 || r == TRANSCRIPT_E_GAP);
		gaps += r == TRANSCRIPT_E_GAP;
	}
	*ret_end = at;
	return gaps;
}

static int count_items(void *userdata, const struct transcript_item *item)
{
	struct buf *seen = userdata;

	if (item->kind == TRANSCRIPT_DATA)
		return buf_printf(seen, "%c%llu@%lld:%.*s ", item->kind, (unsigned long long)item->offset, (long long)item->wall_ms,
			(int)item->len, (const char *)item->data);
	if (item->kind == TRANSCRIPT_RESIZE)
		return buf_printf(seen, "R%ux%u ", item->cols, item->rows);
	if (item->kind == TRANSCRIPT_MARK)
		return buf_printf(seen, "M:%.*s ", (int)item->len, (const char *)item->data);
	return buf_printf(seen, "G%zu ", item->len);
}

static void test_transcript_items(void **state)
{
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_(buf_deinit) struct buf seen = BUF_NULL;
	uint64_t end;

	transcript_resize(transcript, 80, 24, 1000);
	transcript_write(transcript, "one", 3, 1000);
	transcript_write(transcript, "two", 3, 1040);
	transcript_write(transcript, "back", 4, 900); /* the wall clock was set */
	assert_true(transcript_pending(transcript));
	transcript_mark(transcript, "asked", 5, 1100);
	assert_false(transcript_pending(transcript));
	transcript_write(transcript, "three", 5, 1200);
	transcript_finish(transcript);
	assert_int_equal(transcript_offset(transcript), 15);
	transcript_free(transcript);
	reader = open_reader(*state);
	assert_int_equal(transcript_each(reader, count_items, &seen), 0);
	assert_string_equal(buf_text(&seen), "R80x24 D0@1000:one D3@1040:two D6@1040:back M:asked D10@1200:three ");
	assert_int_equal(transcript_end(reader, &end), 0);
	assert_int_equal(end, 15);
}

/* A piece is one record at least; all of them together are the whole; there may be more later. */
static void test_transcript_parts(void **state)
{
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(*state);
	_cleanup_(buf_deinit) struct buf seen = BUF_NULL;
	uint64_t at = 0, before = 0;
	unsigned int pieces = 0;

	assert_int_equal(transcript_part(reader, &at, 1, count_items, &seen), TRANSCRIPT_E_END);
	transcript_resize(transcript, 80, 24, 1000);
	transcript_write(transcript, "one", 3, 1000);
	transcript_mark(transcript, "asked", 5, 1100);
	transcript_write(transcript, "two", 3, 1200);
	transcript_flush(transcript);
	while (transcript_part(reader, &at, 1, count_items, &seen) == 0) {
		assert_true(at > before);
		before = at;
		pieces++;
	}
	assert_int_equal(pieces, 4);
	assert_string_equal(buf_text(&seen), "R80x24 D0@1000:one M:asked D3@1200:two ");
	transcript_write(transcript, "later", 5, 1300);
	transcript_finish(transcript);
	transcript_free(transcript);
	buf_clear(&seen);
	assert_int_equal(transcript_part(reader, &at, 1000, count_items, &seen), 0);
	assert_string_equal(buf_text(&seen), "D6@1300:later ");
	at = 0;
	buf_clear(&seen);
	assert_int_equal(transcript_part(reader, &at, 1000, count_items, &seen), 0);
	assert_string_equal(buf_text(&seen), "R80x24 D0@1000:one M:asked D3@1200:two D6@1300:later ");
	assert_int_equal(transcript_part(reader, &at, 1000, count_items, &seen), TRANSCRIPT_E_END);
}

/* From any place in the file, also within a record: what is whole after it is told, and the damage before it. */
static void test_transcript_part_anywhere(void **state)
{
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(*state);
	_cleanup_(buf_deinit) struct buf seen = BUF_NULL;
	uint64_t far;

	transcript_write(transcript, "one", 3, 1000);
	transcript_mark(transcript, "asked", 5, 1100);
	transcript_finish(transcript);
	transcript_free(transcript);
	for (uint64_t from = 1; from < 20; from++) {
		uint64_t at = from;

		buf_clear(&seen);
		assert_int_equal(transcript_part(reader, &at, 1000, count_items, &seen), 0);
		assert_string_equal(buf_text(&seen), "G0 M:asked ");
	}
	far = 1ull << 40;
	assert_int_equal(transcript_part(reader, &far, 1000, count_items, &seen), TRANSCRIPT_E_END);
}

static void test_transcript_grows(void **state)
{
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(*state);
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	uint64_t at = 0;

	assert_int_equal(transcript_read(reader, at, 100, &out, &at), TRANSCRIPT_E_END);
	transcript_write(transcript, "abc", 3, 1);
	assert_int_equal(transcript_read(reader, at, 100, &out, &at), TRANSCRIPT_E_END);
	transcript_flush(transcript);
	assert_int_equal(transcript_read(reader, at, 2, &out, &at), 0);
	assert_int_equal(transcript_read(reader, at, 2, &out, &at), 0);
	assert_string_equal(buf_text(&out), "abc");
	assert_int_equal(transcript_read(reader, at, 2, &out, &at), TRANSCRIPT_E_END);
	transcript_free(transcript);
}

static void fill(uint8_t *data, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (uint8_t)(seed >> 24);
	}
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that is full for a while: what came then is a gap of known length, what came later is there, and begins with a
 * keyframe. Seen to fail: nothing was recorded after the gap, and a reader that began in it saw nothing of what was. */
static void test_transcript_full_disk(void **state)
{
	_cleanup_free_ char *path = io_join(*state, "t.zst");
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = open_reader(*state);
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	uint8_t noise[5000];
	struct stat st;
	uint64_t at = 3;

	signal(SIGXFSZ, SIG_IGN);
	fill(noise, sizeof(noise), 1);
	transcript_write(transcript, "abc", 3, 1000);
	transcript_flush(transcript);
	assert_int_equal(stat(path, &st), 0);
	limit_files((rlim_t)st.st_size + 100);
	transcript_write(transcript, noise, sizeof(noise), 2000);
	transcript_flush(transcript);
	transcript_write(transcript, noise, 5, 2500);
	limit_files(RLIM_INFINITY);
	transcript_write(transcript, noise, 2, 2600); /* too soon after the last attempt */
	assert_false(transcript_keyframe_due(transcript));
	transcript_write(transcript, "later", 5, 2000 + TRANSCRIPT_AGAIN_MS);
	assert_true(transcript_keyframe_due(transcript));
	transcript_keyframe(transcript, 80, 24, "x", 1, 9000);
	assert_false(transcript_keyframe_due(transcript));
	assert_int_equal(transcript_read(reader, at, 100, &out, &at), TRANSCRIPT_E_GAP);
	assert_int_equal(at, 3 + sizeof(noise) + 7);
	assert_int_equal(transcript_read(reader, at, 100, &out, &at), 0);
	assert_string_equal(buf_text(&out), "later");
	transcript_free(transcript);
}

/* Two chunks and a half of noise, then everything that a crash or a bad disk can do to the file. */
static void test_transcript_damage(void **state)
{
	size_t len = TRANSCRIPT_CHUNK_BYTES * 5 / 2;
	_cleanup_free_ uint8_t *data = malloc(len);
	_cleanup_free_ char *path = io_join(*state, "t.zst"), *file = NULL;
	struct transcript *transcript = open_writer(*state, TRANSCRIPT_LIMIT_BYTES);
	struct buf out = BUF_NULL;
	size_t file_len;
	uint64_t end;
	int fd;

	fill(data, len, 1);
	transcript_write(transcript, data, len, 5);
	transcript_finish(transcript);
	transcript_free(transcript);
	assert_int_equal(read_everything(*state, &out, &end), 0);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, data, len);

	/* Cut in the last record: what was whole before it stays. */
	assert_int_equal(io_read_file(path, SIZE_MAX, &file, &file_len), 0);
	assert_int_equal(truncate(path, (off_t)file_len - 5), 0);
	buf_clear(&out);
	assert_int_equal(read_everything(*state, &out, &end), 0);
	assert_int_equal(out.len, 2 * TRANSCRIPT_CHUNK_BYTES);

	/* A flipped byte in the first chunk's data, one in the second's header: each is a gap, the rest is there. */
	file[1000] ^= 0x40;
	assert_int_equal(io_replace_file(path, file, file_len, 0600), 0);
	buf_clear(&out);
	assert_int_equal(read_everything(*state, &out, &end), 1);
	assert_int_equal(end, len);
	assert_int_equal(out.len, len - TRANSCRIPT_CHUNK_BYTES);
	file[1000] ^= 0x40;
	assert_int_equal(io_replace_file(path, file, file_len, 0600), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xff", 1, 12), 1);
	close(fd);
	buf_clear(&out);
	assert_int_equal(read_everything(*state, &out, &end), 1);
	assert_int_equal(end, len);
	assert_int_equal(out.len, len - TRANSCRIPT_CHUNK_BYTES);
	buf_deinit(&out);
}

static void test_transcript_cap(void **state)
{
	uint8_t noise[50000];
	struct transcript *transcript = open_writer(*state, 120000);
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL, seen = BUF_NULL;
	struct stat st;
	_cleanup_free_ char *path = io_join(*state, "t.zst");
	uint64_t end;

	for (uint32_t i = 0; i < 6; i++) {
		fill(noise, sizeof(noise), i);
		transcript_write(transcript, noise, sizeof(noise), 1);
		transcript_flush(transcript);
	}
	transcript_finish(transcript);
	assert_int_equal(transcript_offset(transcript), 300000);
	transcript_free(transcript);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 120500);
	assert_int_equal(read_everything(*state, &out, &end), 1);
	assert_int_equal(out.len, 100000);
	assert_int_equal(end, 300000);
	reader = open_reader(*state);
	assert_int_equal(transcript_each(reader, count_items, &seen), 0);
	assert_non_null(strstr(buf_text(&seen), "G200000 "));
}

static void test_state_files(void **state)
{
	struct holder_id id = { .task = 7, .attempt = 2, .run_id = "0123456789abcde" }, read;
	struct holder_exit exit = { .code = -1, .signal = 9, .reason = strdup("because"), .time_ms = 77 }, read_exit;
	_cleanup_free_ char *path = io_join(*state, "holder");

	assert_int_equal(holder_state_read(*state, &read), STATE_E_NOT_FOUND);
	assert_int_equal(holder_exit_read(*state, &read_exit), STATE_E_NOT_FOUND);
	assert_int_equal(holder_id_self(&id), 0);
	assert_int_equal(holder_state_create(*state, &id), 0);
	assert_int_equal(holder_state_create(*state, &id), STATE_E_EXISTS);
	assert_int_equal(holder_state_plant_tombstone(*state, 7, 2, id.run_id), STATE_E_EXISTS);
	assert_int_equal(holder_state_read(*state, &read), 0);
	assert_memory_equal(read.run_id, id.run_id, sizeof(id.run_id));
	assert_int_equal(read.start_time, id.start_time);
	assert_int_equal(holder_verify(&read), 0);
	assert_int_equal(io_replace_file(path, "nonsense", 8, 0600), 0);
	assert_int_equal(holder_state_read(*state, &read), STATE_E_BROKEN);
	assert_int_equal(holder_exit_write(*state, &exit), 0);
	assert_int_equal(holder_exit_read(*state, &read_exit), 0);
	assert_int_equal(read_exit.code, -1);
	assert_int_equal(read_exit.signal, 9);
	assert_string_equal(read_exit.reason, "because");
	assert_int_equal(read_exit.time_ms, 77);
	holder_exit_deinit(&exit);
	holder_exit_deinit(&read_exit);
}

int main(void)
{
#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_series_one_frame_at_a_time),
		cmocka_unit_test(test_series_rate),
		cmocka_unit_test(test_series_pace),
		cmocka_unit_test(test_series_back_to_the_same),
		cmocka_unit_test(test_series_resize),
		cmocka_unit_test(test_ansi),
		cmocka_unit_test(test_ansi_scrollback),
		cmocka_unit_test(test_ansi_marks),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_hold),
		FILE_TEST(test_transcript_items),
		FILE_TEST(test_transcript_grows),
		FILE_TEST(test_transcript_parts),
		FILE_TEST(test_transcript_part_anywhere),
		FILE_TEST(test_transcript_full_disk),
		FILE_TEST(test_transcript_damage),
		FILE_TEST(test_transcript_cap),
		FILE_TEST(test_state_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
