/* Searching transcripts: what is told does not depend on where an answer was cut and taken up again. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "worker/search/lines.h"
#include "worker/search/search.h"
#include "worker/session/transcript.h"

static char dir[] = "/tmp/maestro-search-XXXXXX";

static void write_session(const char *name, unsigned int lines)
{
	_cleanup_(transcript_free_p) struct transcript *transcript = NULL;
	char path[128], text[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(io_make_dirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/transcript.zst", dir, name);
	assert_int_equal(transcript_new(&transcript, path, 1 << 20), 0);
	transcript_resize(transcript, 80, 24, 1000);
	for (unsigned int i = 1; i <= lines; i++) {
		/* cut within escape sequences, characters and lines, by records and by writes */
		int len = snprintf(text, sizeof(text), "\033[1;31mline\033[m %u gr\xc3\xbc\xc3\x9f\r\n", i);

		transcript_write(transcript, text, i % (unsigned int)len, 1000 + i);
		if (i % 3 == 0)
			transcript_flush(transcript);
		transcript_write(transcript, text + i % (unsigned int)len, (size_t)len - i % (unsigned int)len, 1000 + i);
	}
	transcript_write(transcript, "line without end", 16, 5000);
	transcript_finish(transcript);
}

static int setup(void **state)
{
	require(mkdtemp(dir));
	write_session("1.1", 40);
	write_session("1.2", 7);
	write_session("2.1", 25);
	return 0;
}

static int teardown(void **state)
{
	io_remove_tree(dir);
	return 0;
}

static void put_found(const Maestro__SearchFound *found, struct buf *out)
{
	for (size_t i = 0; i < found->n_lines; i++) {
		const Maestro__SearchLine *line = found->lines[i];

		assert_int_equal(buf_printf(out, "%u.%u%c%u@%d %.*s\n", (unsigned int)line->task, line->attempt, line->context ? '-' : ':',
			(unsigned int)line->number, (int)line->time_ms, (int)line->text.len, (const char *)line->text.data), 0);
	}
	for (size_t i = 0; i < found->n_notes; i++)
		assert_int_equal(buf_printf(out, "%u.%u note %d\n", (unsigned int)found->notes[i]->task, found->notes[i]->attempt,
			(int)found->notes[i]->kind), 0);
}

struct question {
	const char *pattern;
	bool fixed, ignore_case, once;
	uint32_t context, max_matches, slice_ms;
};

/* All answers, one after another; how many there were. */
static unsigned int ask(const struct question *question, struct buf *out)
{
	Maestro__SearchPlace places[4] = { MAESTRO__SEARCH_PLACE__INIT, MAESTRO__SEARCH_PLACE__INIT, MAESTRO__SEARCH_PLACE__INIT,
		MAESTRO__SEARCH_PLACE__INIT }, *pointers[] = { &places[0], &places[1], &places[2], &places[3] };
	Maestro__SearchSessions search = MAESTRO__SEARCH_SESSIONS__INIT;
	Maestro__SearchJob job = MAESTRO__SEARCH_JOB__INIT;
	Maestro__SearchFound *found = NULL, *before = NULL;
	unsigned int answers = 0;

	places[0].task = places[1].task = 1;
	places[2].task = places[3].task = 2;
	places[0].attempt = places[2].attempt = 1;
	places[1].attempt = places[3].attempt = 2;
	search.n_places = 4;
	search.places = pointers;
	search.pattern = bytes_of(question->pattern);
	search.fixed = question->fixed;
	search.ignore_case = question->ignore_case;
	search.once = question->once;
	search.context = question->context;
	search.max_matches = question->max_matches;
	job.sessions_dir = bytes_of(dir);
	job.search = &search;
	job.slice_ms = question->slice_ms;
	do {
		search.from = before ? before->next : NULL;
		assert_int_equal(search_run(&job, &found), 0);
		assert_false(found->has_refused);
		assert_true(found->n_lines <= question->max_matches * (1 + 2 * question->context));
		put_found(found, out);
		if (before)
			maestro__search_found__free_unpacked(before, NULL);
		before = found;
		assert_true(++answers < 1000);
	} while (before->next);
	maestro__search_found__free_unpacked(before, NULL);
	return answers;
}

static void test_answers(void **state)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	ask(&(struct question){ .pattern = "line 7 gr..$", .max_matches = 100, .slice_ms = 60000 }, &out);
	assert_string_equal(buf_text(&out), "1.1:7@1007 line 7 gr\xc3\xbc\xc3\x9f\n1.2:7@1007 line 7 gr\xc3\xbc\xc3\x9f\n"
		"2.1:7@1007 line 7 gr\xc3\xbc\xc3\x9f\n2.2 note 4\n");
	buf_clear(&out);
	ask(&(struct question){ .pattern = "LINE W", .fixed = true, .ignore_case = true, .context = 1, .max_matches = 100, .slice_ms = 60000 }, &out);
	assert_string_equal(buf_text(&out), "1.1-40@1040 line 40 gr\xc3\xbc\xc3\x9f\n1.1:41@5000 line without end\n"
		"1.2-7@1007 line 7 gr\xc3\xbc\xc3\x9f\n1.2:8@5000 line without end\n"
		"2.1-25@1025 line 25 gr\xc3\xbc\xc3\x9f\n2.1:26@5000 line without end\n2.2 note 4\n");
	buf_clear(&out);
	ask(&(struct question){ .pattern = "line", .once = true, .max_matches = 100, .slice_ms = 60000 }, &out);
	assert_string_equal(buf_text(&out), "1.1:1@1001 line 1 gr\xc3\xbc\xc3\x9f\n1.2:1@1001 line 1 gr\xc3\xbc\xc3\x9f\n"
		"2.1:1@1001 line 1 gr\xc3\xbc\xc3\x9f\n2.2 note 4\n");
}

/* Cut after every match, and after every record. */
static void test_cut(void **state)
{
	static const char *const patterns[] = { "line", "[05] ", "line (7|8|20) ", "1 gr", "end$" };

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		for (uint32_t context = 0; context <= 3; context++) {
			_cleanup_(buf_deinit) struct buf whole = BUF_NULL;
			struct question question = { .pattern = patterns[i], .context = context, .max_matches = 1000, .slice_ms = 60000 };

			assert_int_equal(ask(&question, &whole), 1);
			assert_true(whole.len > 0);
			for (uint32_t max = 1; max <= 4; max++) {
				_cleanup_(buf_deinit) struct buf pieces = BUF_NULL;

				question.max_matches = max;
				question.slice_ms = max & 1 ? 0 : 60000;
				assert_true(ask(&question, &pieces) > (max == 4 ? 0 : 1));
				assert_string_equal(buf_text(&pieces), buf_text(&whole));
			}
		}
	}
}

static void refused(const char *pattern, const Maestro__SearchCursor *from, const char *why)
{
	Maestro__SearchPlace place = MAESTRO__SEARCH_PLACE__INIT, *pointer = &place;
	Maestro__SearchSessions search = MAESTRO__SEARCH_SESSIONS__INIT;
	Maestro__SearchJob job = MAESTRO__SEARCH_JOB__INIT;
	Maestro__SearchFound *found = NULL;
	_cleanup_free_ char *said = NULL;

	place.task = place.attempt = 1;
	search.n_places = 1;
	search.places = &pointer;
	search.pattern = bytes_of(pattern);
	search.from = (Maestro__SearchCursor *)(uintptr_t)from;
	job.sessions_dir = bytes_of(dir);
	job.search = &search;
	assert_int_equal(search_run(&job, &found), 0);
	assert_true(found->has_refused);
	said = bytes_dup(&found->refused);
	assert_non_null(strstr(said, why));
	maestro__search_found__free_unpacked(found, NULL);
}

static void test_refused(void **state)
{
	Maestro__SearchCursor cursor = MAESTRO__SEARCH_CURSOR__INIT;
	static char long_line[3 * LINES_BYTES_MAX];

	refused("", NULL, "empty");
	refused("a(", NULL, "no regular expression");
	cursor.has_plain = true;
	cursor.plain = bytes_of("xx");
	refused("a", &cursor, "cannot go on");
	cursor.has_plain = false;
	memset(long_line, 'x', sizeof(long_line) - 1);
	cursor.has_text = true;
	cursor.text = bytes_of(long_line);
	refused("a", &cursor, "cannot go on");
	cursor.text = (ProtobufCBinaryData){ 3, (uint8_t *)(uintptr_t)"a\0b" };
	refused("a", &cursor, "cannot go on");
	cursor.has_text = false;
	cursor.text.len = 0;
	cursor.has_after = true;
	cursor.after = 1;
	refused("a", &cursor, "cannot go on");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, setup, teardown);
}
