#include "console/tui/typing.h"
#include "proto/base/buf.h"
#include "proto/wire/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void expect(struct typing *typing, uint32_t modes, const char *in, const char *out, size_t taken, bool detach)
{
	_cleanup_(buf_deinit) struct buf got = BUF_NULL;
	bool detached;

	assert_int_equal(typing_translate(typing, modes, in, strlen(in), &got, &detached), taken);
	assert_string_equal(buf_text(&got), out);
	assert_int_equal(detached, detach);
}

static void test_cursor_keys_follow_the_session(void **state)
{
	struct typing typing = { 0 };

	expect(&typing, 0, "a\033OA\033[B", "a\033[A\033[B", 7, false);
	expect(&typing, SCREEN_MODE_APP_CURSOR, "\033OA\033[B", "\033OA\033OB", 6, false);
	expect(&typing, 0, "\033[1;5A\033", "\033[1;5A\033", 7, false);
}

static void test_detach_leaves_the_rest(void **state)
{
	struct typing typing = { 0 };

	expect(&typing, 0, "ab\x1c" "cd", "ab", 3, true);
}

static void test_paste_is_text(void **state)
{
	struct typing typing = { 0 };

	expect(&typing, 0, "\033[200~a\x1c\033[31mb\033[201~", "a\x1c[31mb", 20, false);
	expect(&typing, SCREEN_MODE_BRACKETED_PASTE, "\033[200~x\033[201~", "\033[200~x\033[201~", 13, false);
}

static void test_end_mark_in_two_reads(void **state)
{
	struct typing typing = { 0 };

	expect(&typing, SCREEN_MODE_BRACKETED_PASTE, "\033[200~x\033[20", "\033[200~x", 11, false);
	expect(&typing, SCREEN_MODE_BRACKETED_PASTE, "1~\033OC", "\033[201~\033[C", 5, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cursor_keys_follow_the_session),
		cmocka_unit_test(test_detach_leaves_the_rest),
		cmocka_unit_test(test_paste_is_text),
		cmocka_unit_test(test_end_mark_in_two_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
