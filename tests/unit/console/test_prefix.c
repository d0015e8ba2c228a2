/* The key of `maestro attach` among those of the session; copy mode without a terminal. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "console/cli/copy.h"
#include "console/cli/prefix.h"

static enum prefix_action feed(struct prefix *prefix, const char *keys, const char *expected)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	enum prefix_action last = PREFIX_NONE;
	size_t used;

	for (size_t at = 0; at < strlen(keys); at += used) {
		enum prefix_action action = prefix_take(prefix, (const uint8_t *)keys + at, strlen(keys) - at, &used, &out);

		assert_true(used > 0);
		last = action != PREFIX_NONE ? action : last;
	}
	assert_string_equal(buf_text(&out), expected);
	return last;
}

static void test_prefix(void **state)
{
	struct prefix prefix = { .key = PREFIX_KEY_DEFAULT };

	assert_int_equal(feed(&prefix, "ls\r\033[A\033", "ls\r\033[A\033"), PREFIX_NONE);
	assert_int_equal(feed(&prefix, "a\x1c", "a"), PREFIX_PRESSED);
	assert_int_equal(feed(&prefix, "d", ""), PREFIX_DETACH);
	assert_int_equal(feed(&prefix, "\x1c[", ""), PREFIX_SCROLL);
	assert_int_equal(feed(&prefix, "\x1ct", ""), PREFIX_TAKE_OVER);
	assert_int_equal(feed(&prefix, "\x1c\x1c", "\x1c"), PREFIX_PRESSED);
	assert_int_equal(feed(&prefix, "\x1cx", "\x1cx"), PREFIX_PRESSED);
}

static void test_prefix_kitty(void **state)
{
	struct prefix prefix = { .key = PREFIX_KEY_DEFAULT };

	assert_int_equal(feed(&prefix, "\033[92;5u", ""), PREFIX_PRESSED);
	assert_int_equal(feed(&prefix, "\033[92;5:3u", ""), PREFIX_NONE); /* coming up */
	assert_int_equal(feed(&prefix, "\033[100;1:1u", ""), PREFIX_DETACH);
	assert_int_equal(feed(&prefix, "\033[92;69ud", ""), PREFIX_DETACH); /* with Caps Lock */
	assert_int_equal(feed(&prefix, "\033[97;5u", "\033[97;5u"), PREFIX_NONE);
	assert_int_equal(feed(&prefix, "\033[92;5u\033[120;5u", "\x1c\033[120;5u"), PREFIX_PRESSED);
}

/* modifyOtherKeys. The key to leave is known in that form too. */
static void test_prefix_modified(void **state)
{
	struct prefix prefix = { .key = PREFIX_KEY_DEFAULT };

	assert_int_equal(feed(&prefix, "\033[27;5;92~", ""), PREFIX_PRESSED);
	assert_int_equal(feed(&prefix, "d", ""), PREFIX_DETACH);
	assert_int_equal(feed(&prefix, "\033[27;5;97~\033[27~\033[27;5~", "\033[27;5;97~\033[27~\033[27;5~"), PREFIX_NONE);
}

static void test_prefix_names(void **state)
{
	static const char *const bad[] = { "", "a", "C-", "C-[", "C-m", "C-ab", "M-a", "^1" };
	char name[8];
	uint8_t key;

	assert_int_equal(prefix_parse("C-\\", &key), 0);
	assert_int_equal(key, PREFIX_KEY_DEFAULT);
	assert_int_equal(prefix_parse("^a", &key), 0);
	assert_int_equal(key, 1);
	assert_int_equal(prefix_parse("ctrl-B", &key), 0);
	assert_string_equal(prefix_name(key, name), "Ctrl-b");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(prefix_parse(bad[i], &key) < 0);
}

static void test_copy_moves(void **state)
{
	_cleanup_(buf_deinit) struct buf lines = BUF_NULL, text = BUF_NULL;
	struct copy copy;
	char status[160];

	for (int i = 1; i <= 100; i++)
		assert_int_equal(buf_printf(&lines, "line %d\n", i), 0);
	assert_int_equal(copy_init(&copy, lines.data, lines.len, 20, 5), 0);
	copy_status(&copy, status, sizeof(status));
	assert_non_null(strstr(status, "100/100"));
	assert_int_equal(screen_text(copy_screen(&copy), &text), 0);
	assert_string_equal(buf_text(&text), "line 96\nline 97\nline 98\nline 99\nline 100\n");
	for (const char *key = "\033[5~"; *key; key++)
		assert_int_equal(copy_key(&copy, (uint8_t)*key), COPY_STAYS);
	assert_int_equal(copy.cursor + 1, 95);
	copy_key(&copy, 'g');
	assert_int_equal(copy.cursor, 0);
	copy_key(&copy, 'k');
	assert_int_equal(copy.cursor, 0);
	for (const char *key = "G/line 42\r"; *key; key++)
		copy_key(&copy, (uint8_t)*key);
	assert_int_equal(copy.cursor + 1, 42);
	copy_key(&copy, 'n');
	assert_string_equal(copy.notice, "not found above");
	assert_int_equal(copy_resize(&copy, 10, 2), 0);
	assert_non_null(copy_screen(&copy));
	assert_int_equal(copy_key(&copy, 0x1b), COPY_STAYS);
	assert_int_equal(copy_keys_end(&copy), COPY_LEAVES);
	copy_deinit(&copy);
}

static void test_copy_prompts(void **state)
{
	static const char lines[] = "\033]133;A\033\\$ false\n\033]133;C\033\\oops\n\033]133;D;1\033\\\033]133;A\033\\$ true\n"
		"output\nmore\n\033]133;D;0\033\\\033]133;A\033\\$ \n";
	static const struct {
		char key;
		size_t cursor;
		const char *notice;
	} steps[] = { { '[', 2, "before it: exit 1" }, { '[', 0, "" }, { '[', 0, "no prompt above that the shell marked" }, { 'j', 1, "" },
		{ ']', 2, "before it: exit 1" }, { ']', 5, "before it: exit 0" }, { ']', 5, "no prompt below that the shell marked" } };
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	struct copy copy;
	char status[160];

	assert_int_equal(copy_init(&copy, lines, sizeof(lines) - 1, 80, 4), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(copy_key(&copy, (uint8_t)steps[i].key), COPY_STAYS);
		assert_int_equal(copy_keys_end(&copy), COPY_STAYS);
		assert_int_equal(copy.cursor, steps[i].cursor);
		assert_string_equal(copy.notice, steps[i].notice);
	}
	copy_status(&copy, status, sizeof(status));
	assert_non_null(strstr(status, "[ ] prompts"));
	assert_int_equal(screen_text(copy_screen(&copy), &text), 0);
	assert_string_equal(buf_text(&text), "$ true\noutput\nmore\n$\n");
	buf_clear(&text);
	copy_key(&copy, '[');
	assert_int_equal(copy_text(&copy, &text), 0); /* marks are not copied */
	assert_string_equal(buf_text(&text), "$ true");
	copy_deinit(&copy);
}

/* A question that waits is answered by the prefix and a letter; without one the letters are the session's. */
static void test_prefix_answers(void **state)
{
	static const struct {
		const char *keys;
		bool asks;
		enum prefix_action action;
		const char *out;
	} cases[] = {
		{ "y", true, PREFIX_NONE, "y" },
		{ "\x1cy", true, PREFIX_YES, "" },
		{ "\x1cn", true, PREFIX_NO, "" },
		{ "\x1c" "a", true, PREFIX_ALWAYS, "" },
		{ "\x1cy", false, PREFIX_NONE, "\x1cy" },
		{ "\x1c" "a", false, PREFIX_NONE, "\x1c" "a" },
		{ "\x1c" "d", true, PREFIX_DETACH, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix prefix = { .key = PREFIX_KEY_DEFAULT, .asks = cases[i].asks };
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;
		const uint8_t *keys = (const uint8_t *)cases[i].keys;
		size_t len = strlen(cases[i].keys), used;
		enum prefix_action action = prefix_take(&prefix, keys, len, &used, &out);

		if (action == PREFIX_PRESSED)
			action = prefix_take(&prefix, keys + used, len - used, &used, &out);
		assert_int_equal(action, cases[i].action);
		assert_string_equal(buf_text(&out), cases[i].out);
	}
}

/* What a worker must not send does nothing to us. */
static void test_copy_hostile(void **state)
{
	static const char bad[] = "\033]52;c;eA==\007\033[?1000h\033[100;100H\033[2J\377\n\033[";
	struct copy copy;

	assert_int_equal(copy_init(&copy, bad, sizeof(bad) - 1, 1, 1), 0);
	assert_non_null(copy_screen(&copy));
	assert_int_equal(copy_screen(&copy)->mouse_mode, SCREEN_MOUSE_NONE);
	copy_deinit(&copy);
	assert_int_equal(copy_init(&copy, "", 0, 80, 24), 0);
	assert_non_null(copy_screen(&copy));
	copy_deinit(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_prefix_kitty), cmocka_unit_test(test_prefix_modified), cmocka_unit_test(test_prefix_names),
		cmocka_unit_test(test_prefix_answers),
		cmocka_unit_test(test_copy_moves), cmocka_unit_test(test_copy_prompts), cmocka_unit_test(test_copy_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
