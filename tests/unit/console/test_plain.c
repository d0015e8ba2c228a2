#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "console/cli/paint.h"
#include "proto/wire/plain.h"

/* In pieces of every size: the result must be the same. */
static void check(const char *in, size_t len, bool colours, const char *expected)
{
	for (size_t piece = 1; piece <= len; piece++) {
		struct plain plain = { .keep_colours = colours };
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;

		for (size_t i = 0; i < len; i += piece)
			assert_int_equal(plain_feed(&plain, in + i, len - i < piece ? len - i : piece, &out), 0);
		assert_string_equal(buf_text(&out), expected);
	}
}

#define CHECK(in, expected) check(in, sizeof(in) - 1, false, expected)

#define SPACES16 "                "
#define SPACES64 SPACES16 SPACES16 SPACES16 SPACES16
#define SPACES512 SPACES64 SPACES64 SPACES64 SPACES64 SPACES64 SPACES64 SPACES64 SPACES64

static void test_escapes_go(void **state)
{
	CHECK("plain\n", "plain\n");
	CHECK("a\033[31mred\033[0m b", "ared b");
	CHECK("\033]0;evil title\007text", "text");
	CHECK("\033]52;c;ZXZpbA==\033\\text", "text");
	CHECK("\033P+q544e\033\\text", "text");
	CHECK("\033(Btext\033=", "text");
	CHECK("\033[2J\033[Htext\033[6n", "text");
	CHECK("\033_Gi=1;AAAA\033\\x", "x");
	CHECK("a\033\033[1mb", "ab");
	CHECK("\033[1\033[31mx", "x");
}

static void test_controls_go(void **state)
{
	CHECK("a\x07\x08\x0e" "b\x7f", "ab");
	CHECK("tab\there", "tab\there");
	CHECK("\xc2\x9b" "31mx", "31mx"); /* C1 control in UTF-8 */
	CHECK("\x9b" "31mx", "\xef\xbf\xbd" "31mx");
}

static void test_lines(void **state)
{
	CHECK("one\r\ntwo\r\n", "one\ntwo\n");
	CHECK("10%\r20%\r\n", "10%\n20%\n");
}

/* Programs that place their words, as Claude Code does with CUF and ratatui with CUP. */
static void test_moves(void **state)
{
	CHECK("I\033[Cwill\033[2Cwrite", "I will  write");
	CHECK("\033[3;1HI\033[3;3Hwill\033[4;1Hnext", "I will\nnext");
	CHECK("\033[5;3H\033[1mindented\033[5;1H> \033[K\r\n", "  indented\n> \n");
	CHECK("one\033[Btwo\033[A\rthree\033[1Gfour", "one\n   two\nthree\nfour");
	CHECK("\xe6\x97\xa5\033[1;3Hx\033[4Gy", "\xe6\x97\xa5xy"); /* two columns wide */
	CHECK("a\033[99999999999Cb\033[0;0Hc\033[?3Cd\tq\033[2;12Hr", "a" SPACES512 "b\ncd\tq\n           r");
}

/* Stopped anywhere and taken up by another. */
static void test_saved(void **state)
{
	static const char in[] = "a\033[1;38;5;1mred\033[2C\xf0\x9f\x98\x80\r\n\033]0;title\007end\033[3;9Hx";
	_cleanup_(buf_deinit) struct buf whole = BUF_NULL;
	struct plain one = PLAIN_NULL;

	assert_int_equal(plain_feed(&one, in, sizeof(in) - 1, &whole), 0);
	for (size_t cut = 0; cut < sizeof(in); cut++) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL, saved = BUF_NULL;
		struct plain first = PLAIN_NULL, second = PLAIN_NULL;

		assert_int_equal(plain_feed(&first, in, cut, &out), 0);
		assert_int_equal(plain_save(&first, &saved), 0);
		assert_true(saved.len <= PLAIN_SAVED_MAX);
		assert_false(plain_load(&second, saved.data, saved.len - 1));
		assert_true(plain_load(&second, saved.data, saved.len));
		assert_int_equal(plain_feed(&second, in + cut, sizeof(in) - 1 - cut, &out), 0);
		assert_string_equal(buf_text(&out), buf_text(&whole));
		for (size_t i = 0; i < saved.len; i++) { /* whatever a stranger made of it, it is fed without harm */
			saved.data[i] ^= 0xff;
			if (plain_load(&second, saved.data, saved.len))
				assert_int_equal(plain_feed(&second, in, sizeof(in) - 1, &out), 0);
			saved.data[i] ^= 0xff;
		}
	}
}

static void test_utf8(void **state)
{
	CHECK("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	CHECK("a\xc3" "b", "a\xef\xbf\xbd" "b");
	CHECK("\xe2\x80\xaex", "x"); /* right-to-left override */
}

static void test_colours_stay_if_wanted(void **state)
{
	static const char in[] = "\033[1;38;5;1mx\033[m\033[2J\033[?25ly";

	check(in, sizeof(in) - 1, true, "\033[1;38;5;1mx\033[my");
}

/* --- paint --------------------------------------------------------------------------------------------------- */

static void put(struct screen *screen, unsigned int row, const char *text)
{
	for (unsigned int x = 0; text[x]; x++)
		screen->row[row].cells[x] = (struct screen_cell){ .glyph = (unsigned char)text[x], .width = 1 };
	screen->row[row].used = (uint16_t)strlen(text);
	screen_touch(screen, &screen->row[row]);
}

static void test_paint_draws_what_changed(void **state)
{
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(screen_init(&screen, 10, 3), 0);
	put(&screen, 0, "first");
	put(&screen, 1, "second");
	paint_init(&paint, 10, 3);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "first"));
	assert_non_null(strstr(buf_text(&out), "second"));
	buf_clear(&out);
	put(&screen, 1, "other");
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_null(strstr(buf_text(&out), "first"));
	assert_non_null(strstr(buf_text(&out), "other"));
	buf_clear(&out);
	paint_invalidate(&paint, 10, 3);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "first"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

static void test_paint_smaller_terminal(void **state)
{
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(screen_init(&screen, 20, 5), 0);
	put(&screen, 0, "top");
	put(&screen, 4, "0123456789abc");
	screen.cursor_row = 4;
	paint_init(&paint, 8, 2);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_null(strstr(buf_text(&out), "top"));
	assert_non_null(strstr(buf_text(&out), "01234567"));
	assert_null(strstr(buf_text(&out), "012345678"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

static void test_paint_styles(void **state)
{
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	struct screen_style style = { .foreground = SCREEN_COLOUR_RGB(0x102030), .background = SCREEN_COLOUR_PALETTE(3),
		.attributes = SCREEN_BOLD | SCREEN_OVERLINE, .underline = SCREEN_UNDERLINE_CURLY };
	uint32_t index;

	assert_int_equal(screen_init(&screen, 10, 1), 0);
	put(&screen, 0, "x");
	index = screen_style_intern(&screen, &style);
	screen.row[0].cells[0].style = (uint16_t)index;
	paint_init(&paint, 10, 1);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033[0;1;53;4:3;38;2;16;32;48;43mx"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

/* A colour is drawn as the program changed it, and a link as a link. */
static void test_paint_palette_and_links(void **state)
{
	static const char address[] = "https://example.org/";
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	struct screen_style style = { .foreground = SCREEN_COLOUR_PALETTE(1), .underline = SCREEN_UNDERLINE_CURLY,
		.underline_colour = SCREEN_COLOUR_RGB(0x010203) };

	assert_int_equal(screen_init(&screen, 10, 1), 0);
	put(&screen, 0, "xy");
	style.link = screen_link_intern(&screen, &(struct screen_address){ .text = address, .len = strlen(address) });
	screen.row[0].cells[0].style = (uint16_t)screen_style_intern(&screen, &style);
	paint_init(&paint, 10, 1);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033[0;4:3;58:2::1:2:3;31m\033]8;;https://example.org/\033\\x\033[0m\033]8;;\033\\y"));
	buf_clear(&out);
	style.link = screen_link_intern(&screen, &(struct screen_address){ .text = address, .len = strlen(address), .id = "7", .id_len = 1 });
	screen.row[0].cells[1].style = (uint16_t)screen_style_intern(&screen, &style);
	screen_touch(&screen, &screen.row[0]);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033]8;id=7;https://example.org/\033\\y"));
	buf_clear(&out);
	screen.palette[1] = SCREEN_COLOUR_RGB(0x102030); /* no row was touched, and yet it looks different */
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), ";38;2;16;32;48m"));
	buf_clear(&out);
	paint.terminal = paint_terminal_named("linux");
	paint_invalidate(&paint, 10, 1);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_null(strstr(buf_text(&out), "\033]8"));
	assert_non_null(strstr(buf_text(&out), "\033[0;4;38;2;16;32;48mx"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

static void test_paint_modified_keys(void **state)
{
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(screen_init(&screen, 10, 1), 0);
	screen.modify_other_keys = 2;
	paint_init(&paint, 10, 1);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033[>4;2m"));
	buf_clear(&out);
	screen.modify_other_keys = 0;
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033[>4;0m"));
	assert_non_null(strstr(paint_end_sequence(), "\033[>4;0m\033[m"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

/* The cursor's own colour draws nothing again, and goes when the program takes it back. */
static void test_paint_cursor_colour(void **state)
{
	struct paint paint;
	struct screen screen;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(screen_init(&screen, 10, 1), 0);
	put(&screen, 0, "text");
	paint_init(&paint, 10, 1);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_null(strstr(buf_text(&out), "\033]12;"));
	assert_null(strstr(buf_text(&out), PAINT_CURSOR_PLAIN));
	assert_false(paint_coloured_cursor(&paint));
	buf_clear(&out);
	screen.palette[SCREEN_PALETTE_CURSOR] = SCREEN_COLOUR_RGB(0x0a2030);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), "\033]12;#0a2030\033\\"));
	assert_null(strstr(buf_text(&out), "text"));
	assert_true(paint_coloured_cursor(&paint));
	buf_clear(&out);
	screen.palette[SCREEN_PALETTE_CURSOR] = 0;
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_non_null(strstr(buf_text(&out), PAINT_CURSOR_PLAIN));
	buf_clear(&out);
	paint.terminal = paint_terminal_named("linux");
	screen.palette[SCREEN_PALETTE_CURSOR] = SCREEN_COLOUR_RGB(0x0a2030);
	assert_int_equal(paint_update(&paint, &screen, &out), 0);
	assert_null(strstr(buf_text(&out), "\033]12;"));
	paint_deinit(&paint);
	screen_deinit(&screen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes_go), cmocka_unit_test(test_controls_go), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_moves), cmocka_unit_test(test_saved),
		cmocka_unit_test(test_utf8), cmocka_unit_test(test_colours_stay_if_wanted),
		cmocka_unit_test(test_paint_draws_what_changed), cmocka_unit_test(test_paint_smaller_terminal),
		cmocka_unit_test(test_paint_styles), cmocka_unit_test(test_paint_palette_and_links),
		cmocka_unit_test(test_paint_modified_keys), cmocka_unit_test(test_paint_cursor_colour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
