/* Marks of prompts (OSC 133): kept with their rows, wherever those go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/schema/screen.pb-c.h"
#include "worker/screen/emulator.h"

#define A "\033]133;A\007"
#define B "\033]133;B\007"
#define C "\033]133;C\007"
#define D(code) "\033]133;D" code "\007"

static void write_text(struct emulator *emulator, const char *text)
{
	emulator_write(emulator, text, strlen(text));
}

static struct emulator *start(unsigned int cols, unsigned int rows, const char *text)
{
	struct emulator *emulator;

	assert_int_equal(emulator_new(&emulator, cols, rows, 100000), 0);
	write_text(emulator, text);
	return emulator;
}

static void put_line(struct buf *out, const char *text, size_t len, struct screen_mark mark)
{
	assert_int_equal(buf_append(out, text, len) | buf_append_byte(out, '|'), 0);
	for (unsigned int i = 0; i < 4; i++)
		if (mark.kinds & 1U << i)
			assert_int_equal(buf_append_byte(out, (uint8_t)('A' + i)), 0);
	if (mark.kinds & SCREEN_MARK_EXIT)
		assert_int_equal(buf_printf(out, "%u", mark.exit_code), 0);
	else
		assert_int_equal(mark.exit_code, 0);
	assert_int_equal(buf_append_byte(out, '\n'), 0);
}

/* Every line, those above the screen too, with what it is marked as. */
static void check_lines(const struct emulator *emulator, const char *expected)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	const struct screen *screen = emulator_screen(emulator);
	uint64_t first = emulator_scrollback_first(emulator);

	for (uint64_t i = first; i < first + emulator_scrollback_count(emulator); i++) {
		_cleanup_(buf_deinit) struct buf text = BUF_NULL;

		assert_int_equal(emulator_scrollback_text(emulator, i, &text), 0);
		put_line(&out, buf_text(&text), text.len, emulator_scrollback_mark(emulator, i));
	}
	for (unsigned int i = 0; i < screen->rows; i++) {
		_cleanup_(buf_deinit) struct buf text = BUF_NULL;

		assert_int_equal(screen_row_text(screen, i, &text), 0);
		if (text.len || screen->row[i].mark.kinds)
			put_line(&out, buf_text(&text), text.len, screen->row[i].mark);
	}
	assert_string_equal(buf_text(&out), expected);
}

static const char session[] = A "$ " B "false\r\n" C "oops\r\n" D(";1") A "$ " B "echo a long line\r\n" C "a long line\r\n"
	D(";0;aid=7") A "$ " B;

static void test_rows_are_marked(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(30, 8, session);

	check_lines(emulator, "$ false|AB\noops|C\n$ echo a long line|ABD1\na long line|C\n$|ABD0\n");
	assert_int_equal(emulator_prompts(emulator).prompts, 3);
	assert_int_equal(emulator_prompts(emulator).last_exit_code, 0);
}

static void test_odd_marks(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(30, 12, "0" A A ";k=v\r\n");
	static const char *const odd[] = { "", "E", "AB", "a", "D;", "D;256", "D;-1", "D;99999999999999999999", "D;1x", "D;12;7" };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		char text[64];
		int len = snprintf(text, sizeof(text), "%zu\033]133;%s\033\\\r\n", i, odd[i]);

		emulator_write(emulator, text, (size_t)len);
	}
	check_lines(emulator, "0;k=v|A\n0|\n1|\n2|\n3|\n4|D\n5|D\n6|D\n7|D\n8|D\n9|D12\n");
	write_text(emulator, "\033[11;1H" D("")); /* no code is no code, whatever was before */
	check_lines(emulator, "0;k=v|A\n0|\n1|\n2|\n3|\n4|D\n5|D\n6|D\n7|D\n8|D\n9|D\n");
	assert_int_equal(emulator_prompts(emulator).last_exit_code, -1);
}

static void test_marks_scroll(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(30, 2, session);

	check_lines(emulator, "$ false|AB\noops|C\n$ echo a long line|ABD1\na long line|C\n$|ABD0\n");
	assert_int_equal(emulator_scrollback_count(emulator), 3);
	assert_int_equal(emulator_scrollback_mark(emulator, 3).kinds, 0);
}

/* They stay with the first letter of what they marked, and meet where two rows become one. */
static void test_marks_flow(void **state)
{
	static const char text[] = A "12345678" B "90abcdefgh" C "ij\r\n" D(";4") A "\r\nend";
	_cleanup_(emulator_free_p) struct emulator *emulator = start(10, 3, text);

	check_lines(emulator, "1234567890|AB\nabcdefghij|C\n|AD4\nend|\n");
	assert_int_equal(emulator_resize(emulator, 11, 3), 0);
	check_lines(emulator, "1234567890a|ABC\nbcdefghij|\n|AD4\nend|\n");
	for (unsigned int rows = 2; rows < 5; rows++) {
		assert_int_equal(emulator_resize(emulator, 30, rows), 0);
		check_lines(emulator, "1234567890abcdefghij|ABC\n|AD4\nend|\n");
		assert_int_equal(emulator_resize(emulator, 5, rows), 0);
		check_lines(emulator, "12345|ABC\n67890|\nabcde|\nfghij|\n|AD4\nend|\n");
	}
}

static void test_erased_rows_are_not_marked(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(10, 3, A "$ \033[K\033[1K");

	check_lines(emulator, "|A\n"); /* a line that an editor draws again is the same line */
	write_text(emulator, "\033[2J");
	check_lines(emulator, "");
	write_text(emulator, "\033[H" A "a\r\n" A "b\r\n" C "c\033[1;1H\033[M\033[2;1H\033[L");
	check_lines(emulator, "b|A\nc|C\n"); /* lines deleted and inserted take theirs along */
}

static void test_alternate_screen_has_none(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(10, 3, A "a\033[?1049h" A "b");

	assert_int_equal(emulator_screen(emulator)->row[0].mark.kinds, 0);
	write_text(emulator, "\033[?1049l");
	check_lines(emulator, "a|A\n");
	assert_int_equal(emulator_prompts(emulator).prompts, 2);
}

/* --- to the console --- */

static void show(struct emulator *emulator, struct screen *sent, struct screen *shown, const char *text, bool changes)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen next = SCREEN_NULL;
	bool changed;

	write_text(emulator, text);
	assert_int_equal(screen_copy(&next, emulator_screen(emulator)), 0);
	next.frame = sent->frame + 1;
	assert_int_equal(screen_encode(sent, &next, &update, &changed), 0);
	assert_int_equal(changed, changes);
	assert_int_equal(screen_apply(shown, update.data, update.len), 0);
	assert_true(screen_equal(shown, &next));
	screen_deinit(sent);
	*sent = next;
}

static void test_marks_reach_the_console(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start(20, 4, "");
	struct screen sent = SCREEN_NULL, shown = SCREEN_NULL;

	show(emulator, &sent, &shown, A "one\r\n" C "two", true);
	assert_int_equal(shown.row[0].mark.kinds, SCREEN_MARK_PROMPT);
	assert_int_equal(shown.row[1].mark.kinds, SCREEN_MARK_OUTPUT);
	show(emulator, &sent, &shown, D(";9"), true); /* alone */
	assert_int_equal(shown.row[1].mark.exit_code, 9);
	show(emulator, &sent, &shown, D(";9"), false);
	show(emulator, &sent, &shown, "\r\n3\r\n4\r\n5", true); /* by a scroll */
	assert_int_equal(shown.row[0].mark.exit_code, 9);
	assert_int_equal(shown.row[1].mark.kinds, 0);
	show(emulator, &sent, &shown, "\033[H\033[2J", true);
	assert_int_equal(shown.row[0].mark.kinds, 0);
	show(emulator, &sent, &shown, "\033[4H" A, true);
	sent.frame = 0; /* one that comes later gets a keyframe */
	show(emulator, &sent, &shown, "", true);
	assert_int_equal(shown.row[3].mark.kinds, SCREEN_MARK_PROMPT);
	screen_deinit(&sent);
	screen_deinit(&shown);
}

static void test_bad_marks_change_nothing(void **state)
{
	static const struct {
		const char *name, *prompts;
		size_t len;
	} cases[] = { { "row outside", "\x04\x01\x00", 3 }, { "second row outside", "\x03\x01\x00\x00\x01\x00", 6 },
		{ "no such kind", "\x00\x20\x00", 3 }, { "exit code of nothing", "\x00\x08\x01", 3 }, { "cut", "\x00\x01", 2 },
		{ "large exit code", "\x00\x18\x80\x02", 4 } };
	_cleanup_(emulator_free_p) struct emulator *emulator = start(20, 4, "");
	struct screen sent = SCREEN_NULL, shown = SCREEN_NULL;

	show(emulator, &sent, &shown, A "one", true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Maestro__ScreenUpdate message = MAESTRO__SCREEN_UPDATE__INIT;
		uint8_t bytes[64];

		message.has_frame = message.has_base_frame = message.has_prompts = 1;
		message.frame = 9;
		message.base_frame = shown.frame;
		message.prompts = (ProtobufCBinaryData){ cases[i].len, (uint8_t *)(uintptr_t)cases[i].prompts };
		if (screen_apply(&shown, bytes, maestro__screen_update__pack(&message, bytes)) != SCREEN_E_INVALID)
			fail_msg("%s was taken", cases[i].name);
		assert_true(screen_equal(&shown, &sent));
	}
	screen_deinit(&sent);
	screen_deinit(&shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_marked),
		cmocka_unit_test(test_odd_marks),
		cmocka_unit_test(test_marks_scroll),
		cmocka_unit_test(test_marks_flow),
		cmocka_unit_test(test_erased_rows_are_not_marked),
		cmocka_unit_test(test_alternate_screen_has_none),
		cmocka_unit_test(test_marks_reach_the_console),
		cmocka_unit_test(test_bad_marks_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
