#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "worker/service/keys.h"

static void test_named(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t len;
		bool application;
	} cases[] = {
		{ "Enter", "\r", 1, false }, { "enter", "\r", 1, false }, { "Up", "\033[A", 3, false },
		{ "Up", "\033OA", 3, true }, { "F5", "\033[15~", 5, false }, { "C-c", "\003", 1, false },
		{ "C-C", "\003", 1, false }, { "^D", "\004", 1, false }, { "C-[", "\033", 1, false },
		{ "C-Space", NULL, 0, false }, { "M-x", "\033x", 2, false }, { "M-Up", "\033\033[A", 4, false },
		{ "a", "a", 1, false }, { "é", "é", 2, false }, { "ab", NULL, 0, false }, { "", NULL, 0, false },
		{ "\033", NULL, 0, false }, { "C-1", NULL, 0, false }, { "Escape", "\033", 1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;
		int r = keys_named(&out, cases[i].name, strlen(cases[i].name), cases[i].application);

		assert_int_equal(r, cases[i].bytes ? 0 : -EINVAL);
		if (r)
			continue;
		assert_int_equal(out.len, cases[i].len);
		assert_memory_equal(out.data, cases[i].bytes, out.len);
	}
}

static void check_paste(const char *text, bool bracketed, const char *wanted)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(keys_paste(&out, text, strlen(text), bracketed), 0);
	assert_string_equal(buf_text(&out), wanted);
}

static void test_paste(void **state)
{
	check_paste("two\nlines", false, "two\rlines");
	check_paste("two\nlines", true, "\033[200~two\nlines\033[201~");
	check_paste("tab\there", true, "\033[200~tab\there\033[201~");
}

/* However the end mark is wrapped into itself, none is left. */
static void test_paste_cannot_be_left(void **state)
{
	static const char *const tries[] = { "a\033[201~rm -rf", "\033[20\033[201~1~x", "\033\033[201~[201~x", "\x03\x04x" };

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;

		assert_int_equal(keys_paste(&out, tries[i], strlen(tries[i]), true), 0);
		assert_ptr_equal(strstr(buf_text(&out) + 6, "\033"), buf_text(&out) + out.len - 6);
		assert_null(strchr(buf_text(&out), 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_paste),
		cmocka_unit_test(test_paste_cannot_be_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
