/* Keys that are sent again after a connection was lost: which, when, and what is given up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/client/typed.h"

static void type(struct typed *typed, const char *text)
{
	assert_int_equal(typed_add(typed, text, strlen(text)), 0);
}

static void shows(const struct typed *typed, uint64_t taken, const char *kept)
{
	assert_int_equal(typed->taken, taken);
	assert_int_equal(typed->bytes.len, strlen(kept));
	assert_memory_equal(buf_text(&typed->bytes), kept, strlen(kept));
}

static int setup(void **state)
{
	struct typed *typed = malloc(sizeof(*typed));

	typed_init(typed);
	typed_opened(typed);
	assert_false(typed->waits); /* nothing to know yet */
	assert_int_equal(typed_told_counts(typed, true), 0);
	*state = typed;
	return 0;
}

static int teardown(void **state)
{
	typed_deinit(*state);
	free(*state);
	return 0;
}

static void test_sent_again(void **state)
{
	struct typed *typed = *state;
	bool send = false;

	type(typed, "abcdef");
	typed_lost(typed, 1000);
	assert_true(typed_keeps(typed, 2000));
	type(typed, "gh");
	assert_int_equal(typed_waiting(typed), 2);
	typed_opened(typed);
	assert_true(typed->waits);
	assert_int_equal(typed_told_counts(typed, true), 0);
	assert_true(typed->waits);
	assert_int_equal(typed_told_taken(typed, 4, false, 3000, &send), 0);
	assert_true(send);
	shows(typed, 4, "efgh");
	assert_false(typed->waits);
	assert_false(typed_keeps(typed, 3000));
	assert_int_equal(typed_waiting(typed), 0);
	/* an answer to what was asked while more was under way sends nothing again */
	assert_int_equal(typed_told_taken(typed, 6, false, 3000, &send), 0);
	assert_false(send);
	shows(typed, 6, "gh");
}

static void test_gap_is_filled(void **state)
{
	struct typed *typed = *state;
	bool send = false;

	type(typed, "abc");
	assert_int_equal(typed_told_taken(typed, 1, true, 0, &send), 0);
	assert_true(send);
	shows(typed, 1, "bc");
}

static void test_too_late(void **state)
{
	struct typed *typed = *state;
	uint64_t source = typed->source;
	bool send = true;

	type(typed, "abc");
	typed_lost(typed, 1000);
	type(typed, "d");
	assert_false(typed_keeps(typed, 1000 + TYPED_WAIT_MS));
	typed_opened(typed);
	typed_told_counts(typed, true);
	assert_int_equal(typed_told_taken(typed, 2, false, 1000 + TYPED_WAIT_MS, &send), 2);
	assert_false(send);
	shows(typed, 0, "");
	assert_int_not_equal(typed->source, source); /* what was given up can never be taken for what comes */
}

static void test_cannot_count(void **state)
{
	struct typed *typed = *state;

	type(typed, "abc");
	typed_lost(typed, 1000);
	type(typed, "de");
	typed_opened(typed);
	assert_int_equal(typed_told_counts(typed, false), 2);
	assert_int_equal(typed->counts, TYPED_UNCOUNTED);
	assert_false(typed->waits);
	shows(typed, 0, "");
	typed_lost(typed, 5000);
	assert_false(typed_keeps(typed, 5001)); /* nobody could tell what of it arrived */
}

static void test_nonsense_is_passed_over(void **state)
{
	struct typed *typed = *state;
	bool send = true;

	type(typed, "abc");
	assert_int_equal(typed_told_taken(typed, 4, true, 0, &send), 0);
	assert_false(send);
	assert_int_equal(typed_told_taken(typed, 2, false, 0, &send), 0);
	assert_int_equal(typed_told_taken(typed, 1, true, 0, &send), 0);
	assert_false(send);
	shows(typed, 2, "c");
}

static void test_bounded(void **state)
{
	struct typed *typed = *state;
	char *much = calloc(1, TYPED_BYTES_MAX);

	assert_false(typed_asks(typed));
	assert_int_equal(typed_add(typed, much, TYPED_ASK_BYTES), 0);
	assert_true(typed_asks(typed));
	assert_false(typed_asks(typed));
	assert_int_equal(typed_add(typed, much, TYPED_BYTES_MAX), -ENOBUFS);
	free(much);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sent_again),
		TEST(test_gap_is_filled),
		TEST(test_too_late),
		TEST(test_cannot_count),
		TEST(test_nonsense_is_passed_over),
		TEST(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
