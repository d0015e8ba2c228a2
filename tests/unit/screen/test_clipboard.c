/* What a program wants in the clipboard (OSC 52): decoded whole or not at all, bounded, and never told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

static void expect(const char *bytes, const char *wanted)
{
	_cleanup_(buf_deinit) struct buf whole = BUF_NULL, split = BUF_NULL;
	struct emulator *emulator;

	assert_int_equal(emulator_new(&emulator, 80, 24, 0), 0);
	emulator_write(emulator, bytes, strlen(bytes));
	assert_int_equal(emulator_has_clipboard(emulator), wanted != NULL);
	emulator_take_clipboard(emulator, &whole);
	assert_false(emulator_has_clipboard(emulator));
	for (size_t i = 0; bytes[i]; i++)
		emulator_write(emulator, bytes + i, 1);
	emulator_take_clipboard(emulator, &split);
	assert_string_equal(buf_text(&whole), wanted ? wanted : "");
	assert_string_equal(buf_text(&split), wanted ? wanted : "");
	assert_false(emulator_has_reply(emulator));
	emulator_free(emulator);
}

static void test_decoded(void **state)
{
	expect("\033]52;c;aGVsbG8=\007", "hello");
	expect("\033]52;;aGVsbG8=\033\\", "hello");
	expect("\033]52;pc;aGVsbG8\007", "hello"); /* padding may be left out */
	expect("\033]52;c;TWFu\007", "Man");
	expect("\033]52;c;TWE=\007\033]52;c;TQ==\007", "M"); /* the newest */
	expect("\033]52;c;G10wbQ==\007", "\033]0m"); /* bytes, to be encoded again by whoever gives them on */
	expect("\033]52;c;/+8A\007", "\xff\xef");
}

static void test_not_taken(void **state)
{
	expect("\033]52;c;?\007", NULL);
	expect("\033]52;c;\007", NULL);
	expect("\033]52;c\007", NULL);
	expect("\033]52\007", NULL);
	expect("\033]52;c;a\007", NULL);
	expect("\033]52;c;====\007", NULL);
	expect("\033]52;c;aGVs=bG8=\007", NULL);
	expect("\033]52;c;aGVs bG8=\007", NULL);
	expect("\033]52;c;aGVsbG8-\007", NULL);
	expect("\033]52;c;aGVsbG8=;x\007", NULL);
	expect("\033]52;c;aGVs\030bG8=\007", NULL); /* CAN ends it */
}

/* The string of `len` bytes, all of them \0, and what comes out. */
static size_t taken_of(size_t len)
{
	size_t digits = (len + 2) / 3 * 4;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL, out = BUF_NULL;
	struct emulator *emulator;
	size_t taken;

	assert_int_equal(buf_append_str(&text, "\033]52;c;"), 0);
	for (size_t i = 0; i < digits; i++)
		assert_int_equal(buf_append_byte(&text, digits - i <= (3 - len % 3) % 3 ? '=' : 'A'), 0);
	assert_int_equal(buf_append_str(&text, "\007after"), 0);
	assert_int_equal(emulator_new(&emulator, 80, 24, 0), 0);
	emulator_write(emulator, text.data, text.len);
	emulator_take_clipboard(emulator, &out);
	taken = out.len;
	buf_clear(&out);
	assert_int_equal(emulator_text(emulator, &out), 0);
	assert_int_equal(strncmp(buf_text(&out), "after\n", 6), 0);
	emulator_free(emulator);
	return taken;
}

static void test_bounded(void **state)
{
	static const size_t some[] = { 1, 1530, 1531, 1532, 1533, 4000, EMULATOR_CLIPBOARD_BYTES_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		assert_int_equal(taken_of(some[i]), some[i]);
	assert_int_equal(taken_of(EMULATOR_CLIPBOARD_BYTES_MAX + 1), 0);
	assert_int_equal(taken_of(5 * EMULATOR_CLIPBOARD_BYTES_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decoded),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
