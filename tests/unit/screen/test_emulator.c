/* The emulator by examples: bytes in; text, cursor and replies out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

struct example {
	const char *name, *input;
	const char *text;       /* of a screen of 10 x 4, trailing blanks cut */
	unsigned int row, col;  /* of the cursor */
	const char *reply;      /* NULL: none */
};

static const struct example examples[] = {
	{ "plain", "hello", "hello\n", 0, 5, NULL },
	{ "lines", "a\r\nb\nc", "a\nb\n c\n", 2, 2, NULL },
	{ "wrap is pending", "0123456789", "0123456789\n", 0, 9, NULL },
	{ "wraps", "0123456789a", "0123456789\na\n", 1, 1, NULL },
	{ "no wrap", "\033[?7l0123456789abc", "012345678c\n", 0, 9, NULL },
	{ "scrolls", "1\r\n2\r\n3\r\n4\r\n5", "2\n3\n4\n5\n", 3, 1, NULL },
	{ "backspace", "ab\b\bX", "Xb\n", 0, 1, NULL },
	{ "tab", "a\tb", "a       b\n", 0, 9, NULL },
	{ "tab stops", "\033[3g\033[1;4H\033H\r\tX", "   X\n", 0, 4, NULL },
	{ "back tab", "\033[1;10H\033[ZX", "        X\n", 0, 9, NULL },
	{ "position", "\033[2;3HX", "\n  X\n", 1, 3, NULL },
	{ "position is clamped", "\033[99;99HX", "\n\n\n         X\n", 3, 9, NULL },
	{ "huge count", "\033[99999999999999999999CX", "         X\n", 0, 9, NULL },
	{ "41 parameters", "\033[1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5mX",
		"X\n", 0, 1, NULL },
	{ "erase right", "abcdef\033[3D\033[K", "abc\n", 0, 3, NULL },
	{ "erase left", "abcdef\033[3D\033[1K", "    ef\n", 0, 3, NULL },
	{ "erase below", "a\r\nb\r\nc\033[2;1H\033[J", "a\n", 1, 0, NULL },
	{ "insert and delete", "abcdef\033[1;2H\033[2@\033[1;6H\033[P", "a  bcef\n", 0, 5, NULL },
	{ "insert pushes out", "0123456789\033[1;1H\033[3@", "   0123456\n", 0, 0, NULL },
	{ "erase cells", "abcdef\033[1;2H\033[2X", "a  def\n", 0, 1, NULL },
	{ "insert mode", "abc\033[1;1H\033[4hX\033[4lY", "XYbc\n", 0, 2, NULL },
	{ "insert line", "a\r\nb\r\nc\033[2;1H\033[L", "a\n\nb\nc\n", 1, 0, NULL },
	{ "delete line", "a\r\nb\r\nc\033[1;1H\033[M", "b\nc\n", 0, 0, NULL },
	{ "region", "1\r\n2\r\n3\r\n4\033[2;3r\033[3;1H\nX", "1\n3\nX\n4\n", 2, 1, NULL },
	{ "region reversed", "1\r\n2\r\n3\r\n4\033[2;3r\033[2;1H\033M", "1\n\n2\n4\n", 1, 0, NULL },
	{ "margins", "abcdef\r\nABCDEF\033[?69h\033[2;4s\033[2;2H\033[M", "abcdef\nA   EF\n", 1, 1, NULL },
	{ "margins wrap", "\033[?69h\033[2;4s\033[1;2Habcd", " abc\n d\n", 1, 2, NULL },
	{ "origin", "\033[2;3r\033[?6h\033[1;1HX\033[6n", "\nX\n", 1, 1, "\033[1;2R" },
	{ "save and restore", "ab\0337cd\0338X", "abXd\n", 0, 3, NULL },
	{ "graphics", "\033(0lqk\033(Bq", "┌─┐q\n", 0, 4, NULL },
	{ "shift out", "\033)0\016x\017x", "│x\n", 0, 2, NULL },
	{ "repeat", "a\033[3b", "aaaa\n", 0, 4, NULL },
	{ "wide", "日本", "日本\n", 0, 4, NULL },
	{ "wide at the edge", "12345678 日", "12345678\n日\n", 1, 2, NULL },
	{ "wide is cut by a letter", "日本\033[1;2HX", " X本\n", 0, 2, NULL },
	{ "wide is cut by an erase", "日本\033[1;3H\033[K", "日\n", 0, 2, NULL },
	{ "combining", "e\xcc\x81x", "e\xcc\x81x\n", 0, 2, NULL },
	{ "combining across colours", "e\033[1m\xcc\x81x", "e\xcc\x81x\n", 0, 2, NULL },
	{ "combining first", "\xcc\x81x", "x\n", 0, 1, NULL },
	{ "heart", "❤\xef\xb8\x8fx", "❤\xef\xb8\x8fx\n", 0, 3, NULL },
	{ "family", "👨\xe2\x80\x8d👩\xe2\x80\x8d👧x", "👨\xe2\x80\x8d👩\xe2\x80\x8d👧x\n", 0, 3, NULL },
	{ "skin tone", "👍🏽x", "👍🏽x\n", 0, 3, NULL },
	{ "flags", "🇩🇪🇫🇷x", "🇩🇪🇫🇷x\n", 0, 5, NULL },
	{ "broken UTF-8", "a\xffz\xe2\x82z", "a\xef\xbf\xbdz\xef\xbf\xbdz\n", 0, 5, NULL },
	{ "surrogate", "\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\n", 0, 4, NULL },
	{ "direction marks vanish", "a\xe2\x80\xae" "b", "ab\n", 0, 2, NULL },
	{ "C1 in UTF-8 vanishes", "a\xc2\x9b" "31mb", "a31mb\n", 0, 5, NULL },
	{ "alternate screen", "ab\033[?1049hXY\033[?1049l", "ab\n", 0, 2, NULL },
	{ "alternate is cleared", "\033[?1049hXY\033[?1049l\033[?1049h", "", 0, 0, NULL },
	{ "cancelled", "\033[3\x18" "1X", "1X\n", 0, 2, NULL },
	{ "control inside a sequence", "a\033[\r2Cb", "a b\n", 0, 3, NULL },
	{ "strings are eaten", "a\033_hello\033\\b\033Pxyz\033\\c\033]52;c;aGVsbG8=\007d", "abcd\n", 0, 4, NULL },
	{ "alignment", "\033#8\033[1;1H\033[J\033[4;1HX", "\n\n\nX\n", 3, 1, NULL },
	{ "selective erase", "\033[1\"qab\033[0\"qcd\033[?2K", "ab\n", 0, 4, NULL },
	{ "guarded area", "\033Vab\033Wcd\033[2K\033[1;1H\033[9X\033[J", "ab\n", 0, 0, NULL },
	{ "area guarded the DEC way", "\033[1\"qab\033[0\"q\033[2K", "", 0, 2, NULL },
	{ "VT100 parameters", "\033[x\033[1x\033[2x", "", 0, 0, "\033[2;1;1;128;128;1;0x\033[3;1;1;128;128;1;0x" },
	{ "soft reset", "\033[2;3r\033[!p\033[4;1H\nX", "\n\n\nX\n", 3, 1, NULL },
	{ "full reset", "abc\033[?1049hX\033c", "", 0, 0, NULL },
	{ "DA1", "\033[c", "", 0, 0, "\033[?64;1;6;21;22;28c" },
	{ "DA2", "\033[>c", "", 0, 0, "\033[>41;354;0c" },
	{ "DA3", "\033[=c", "", 0, 0, "\033P!|00000000\033\\" },
	{ "DSR", "\033[5n\033[2;2H\033[6n", "", 1, 1, "\033[0n\033[2;2R" },
	{ "DECRQM", "\033[?2026$p\033[?7$p\033[?9999$p\033[4$p", "", 0, 0,
		"\033[?2026;2$y\033[?7;1$y\033[?9999;0$y\033[4;2$y" },
	{ "DECRQSS", "\033[1;31m\033P$qm\033\\\033P$qr\033\\\033P$qzz\033\\", "", 0, 0,
		"\033P1$r0;1;38:5:1m\033\\\033P1$r1;4r\033\\\033P0$r\033\\" },
	{ "XTGETTCAP", "\033P+q436f;68656c6c6f\033\\", "", 0, 0, "\033P1+r436F=323536\033\\\033P0+r\033\\" },
	{ "colours are answered", "\033]4;1;?\007\033]11;#102030\033\\\033]11;?\033\\", "", 0, 0,
		"\033]4;1;rgb:cdcd/0000/0000\033\\\033]11;rgb:1010/2020/3030\033\\" },
	{ "titles are not", "\033]2;evil\007\033[21t", "", 0, 0, NULL },
	{ "kitty", "\033[>5u\033[?u\033[=2;2u\033[?u\033[<u\033[?u", "", 0, 0, "\033[?5u\033[?7u\033[?0u" },
	/* The negated sum, as xterm answers: 'A' is 0x41, bold adds 0x80; blanks at the end do not count, a first one does. */
	{ "checksum", "A\033[1mB\033[m\033[1;1;1;1;1;1*y\033[2;1;1;2;1;2*y\033[3;1;1;1;1;10*y\033[4;1;3;3;3;3*y", "AB\n", 0, 2,
		"\033P1!~FFBF\033\\\033P2!~FF3E\033\\\033P3!~FEFD\033\\\033P4!~FFE0\033\\" },
	{ "checksum of nothing", "\033[9;1;4;4;2;2*y", "", 0, 0, "\033P9!~0000\033\\" },
	{ "fill", "\033[35;2;2;3;4$x", "\n ###\n ###\n", 0, 0, NULL },
	{ "fill with what is no character", "\033[7;2;2;3;4$x", "", 0, 0, NULL },
	{ "erase a rectangle", "abc\r\ndef\r\nghi\033[1;2;2;2$z", "a c\nd f\nghi\n", 2, 3, NULL },
	{ "selective erase of a rectangle", "a\033[1\"qb\033[0\"qc\033[1;1;1;3${", " b\n", 0, 3, NULL },
	{ "copy down over itself", "ab\r\ncd\033[1;1;2;2;1;2;2;1$v", "ab\ncab\n\x20" "cd\n", 1, 2, NULL },
	{ "copy up", "..\r\n.ab\r\n.cd\033[2;2;3;3;1;1;1;1$v", "ab\ncdb\n.cd\n", 2, 3, NULL },
	{ "copy half of a wide one", "\xe4\xb8\xad\033[1;1;1;1;1;2;1;1$v", "\xe4\xb8\xad\n", 0, 2, NULL },
	{ "what was asked of rectangles", "\033[2*x\033P$q*x\033\\\033[*x\033P$q*x\033\\\033P$q$|\033\\\033P$qt\033\\", "", 0, 0,
		"\033P1$r2*x\033\\\033P1$r1*x\033\\\033P1$r10$|\033\\\033P1$r4t\033\\" },
	{ "modes are saved", "\033[?7;25s\033[?7l\033[?25l\033[?7;25r\033[?7$p\033[?25$p", "", 0, 0, "\033[?7;1$y\033[?25;1$y" },
	{ "what was not saved stays", "\033[?7l\033[?7r\033[?7$p", "", 0, 0, "\033[?7;2$y" },
	{ "size", "\033[18t", "", 0, 0, "\033[8;4;10t" },
};

static struct emulator *make(unsigned int cols, unsigned int rows, const char *input)
{
	struct emulator *emulator;

	assert_int_equal(emulator_new(&emulator, cols, rows, 100000), 0);
	emulator_write(emulator, input, strlen(input));
	return emulator;
}

static void check_text(const struct emulator *emulator, const char *name, const char *expected)
{
	struct buf text = BUF_NULL;

	assert_int_equal(emulator_text(emulator, &text), 0);
	if (strcmp(buf_text(&text), expected))
		fail_msg("%s: \"%s\" is not \"%s\"", name, buf_text(&text), expected);
	buf_deinit(&text);
}

static void check_example(const struct example *example, bool bytewise)
{
	struct emulator *emulator = make(10, 4, "");
	const struct screen *screen = emulator_screen(emulator);
	struct buf reply = BUF_NULL;

	if (bytewise)
		for (size_t i = 0; example->input[i]; i++)
			emulator_write(emulator, example->input + i, 1);
	else
		emulator_write(emulator, example->input, strlen(example->input));
	check_text(emulator, example->name, example->text);
	if (screen->cursor_row != example->row || screen->cursor_col != example->col)
		fail_msg("%s: cursor at %u,%u", example->name, screen->cursor_row, screen->cursor_col);
	assert_int_equal(emulator_take_reply(emulator, &reply), 0);
	if (strcmp(buf_text(&reply), example->reply ? example->reply : ""))
		fail_msg("%s: reply \"%s\"", example->name, buf_text(&reply) + 1);
	buf_deinit(&reply);
	emulator_free(emulator);
}

static void test_examples(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		check_example(&examples[i], false);
}

static void test_examples_bytewise(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		check_example(&examples[i], true);
}

static const struct screen_style *style_at(const struct emulator *emulator, unsigned int col)
{
	const struct screen *screen = emulator_screen(emulator);

	return screen_style(screen, screen->row[0].cells[col].style);
}

static void test_styles(void **state)
{
	static const struct {
		const char *input;
		struct screen_style style;
	} cases[] = {
		{ "\033[1;3mX", { .attributes = SCREEN_BOLD | SCREEN_ITALIC } },
		{ "\033[1;3;22mX", { .attributes = SCREEN_ITALIC } },
		{ "\033[31;42mX", { .foreground = SCREEN_COLOUR_PALETTE(1), .background = SCREEN_COLOUR_PALETTE(2) } },
		{ "\033[97mX", { .foreground = SCREEN_COLOUR_PALETTE(15) } },
		{ "\033[38;5;200mX", { .foreground = SCREEN_COLOUR_PALETTE(200) } },
		{ "\033[38;2;1;2;3mX", { .foreground = SCREEN_COLOUR_RGB(0x010203) } },
		{ "\033[38:2::1:2:3mX", { .foreground = SCREEN_COLOUR_RGB(0x010203) } },
		{ "\033[48:2:1:2:3mX", { .background = SCREEN_COLOUR_RGB(0x010203) } },
		{ "\033[4:3;58;5;9mX", { .underline = SCREEN_UNDERLINE_CURLY, .underline_colour = SCREEN_COLOUR_PALETTE(9) } },
		{ "\033[4;31;24mX", { .foreground = SCREEN_COLOUR_PALETTE(1) } },
		{ "\033[21;7mX", { .underline = SCREEN_UNDERLINE_DOUBLE, .attributes = SCREEN_REVERSE } },
		{ "\033[31;1;4mY\033[m\rX", { 0 } },
		{ "\033[>4;2m\033[?4mX", { 0 } },
		{ "\033[41m\033[K", { .background = SCREEN_COLOUR_PALETTE(1) } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct emulator *emulator = make(10, 4, cases[i].input);

		if (!screen_style_equal(style_at(emulator, 0), &cases[i].style))
			fail_msg("case %zu: %s", i, cases[i].input + 1);
		emulator_free(emulator);
	}
}

/* Which cells of a screen of 4 x 3 are bold, as a picture. */
static void check_bold(const char *input, const char *expected)
{
	struct emulator *emulator = make(4, 3, input);
	const struct screen *screen = emulator_screen(emulator);
	char picture[16] = "", *at = picture;

	for (unsigned int y = 0; y < 3; y++, *at++ = '/')
		for (unsigned int x = 0; x < 4; x++)
			*at++ = screen_style(screen, screen->row[y].cells[x].style)->attributes & SCREEN_BOLD ? '#' : '.';
	if (strncmp(picture, expected, 14))
		fail_msg("\"%s\": %s", input + 1, picture);
	emulator_free(emulator);
}

static void test_attributes_of_rectangles(void **state)
{
	check_bold("\033[2*x\033[2;2;3;3;1$r", "..../.##./.##.");
	check_bold("\033[2;3;3;2;1$r", "..../..../....");       /* sides that cross are none */
	check_bold("\033[1;3;3;3;1$r", "..##/####/###.");       /* as text runs, from corner to corner */
	check_bold("\033[2*x\033[1;1;3;4;1$r\033[1;2;2;3;22$r", "#..#/#..#/####");
	check_bold("\033[2*x\033[1;1;2;2;1$r\033[1;1;3;4;1$t", "..##/..##/####");
	check_bold("\033[2*x\033[1;1;2;2;1$r\033[1;1;3;4$t", "..##/..##/####");
	check_bold("\033[2*x\033[1;1;3;4;1;31$r\033[2;1;2;4$r", "####/..../####");
}

static void test_title_is_cleaned(void **state)
{
	struct emulator *emulator = make(10, 4, "\033]0;a\xc2\x9b\xe2\x80\xae" "b\xff\007");

	assert_string_equal(emulator_screen(emulator)->title, "ab");
	emulator_write(emulator, "\033[22t\033]2;other\033\\", 16);
	assert_string_equal(emulator_screen(emulator)->title, "other");
	emulator_write(emulator, "\033[23t", 5);
	assert_string_equal(emulator_screen(emulator)->title, "ab");
	assert_int_equal(emulator_title_changes(emulator), 3);
	emulator_free(emulator);
}

static void test_modes_reach_the_console(void **state)
{
	struct emulator *emulator = make(10, 4, "\033[?1;1000;1006;2004;1004h\033=\033[?25l\033[5 q\033[>1u\a\a");
	const struct screen *screen = emulator_screen(emulator);

	assert_int_equal(screen->modes, SCREEN_MODE_APP_CURSOR | SCREEN_MODE_APP_KEYPAD | SCREEN_MODE_BRACKETED_PASTE |
		SCREEN_MODE_FOCUS | SCREEN_MODE_ALTERNATE_SCROLL);
	assert_int_equal(screen->mouse_mode, SCREEN_MOUSE_BUTTON);
	assert_int_equal(screen->mouse_encoding, SCREEN_MOUSE_ENCODING_SGR);
	assert_int_equal(screen->cursor_shape, SCREEN_CURSOR_BAR_BLINK);
	assert_false(screen->cursor_visible);
	assert_int_equal(screen->kitty_flags, 1);
	assert_int_equal(emulator_bells(emulator), 2);
	emulator_write(emulator, "\033[?2026h", 8);
	assert_true(emulator_synchronized(emulator));
	emulator_end_synchronized(emulator);
	assert_false(emulator_synchronized(emulator));
	emulator_free(emulator);
}

static void test_prompts(void **state)
{
	struct emulator *emulator = make(10, 4, "\033]133;A\007$ \033]133;B\007x\033]133;C\007y\033]133;D;3\007");
	struct emulator_prompts prompts = emulator_prompts(emulator);

	assert_int_equal(prompts.prompts, 1);
	assert_int_equal(prompts.commands_ended, 1);
	assert_int_equal(prompts.last_exit_code, 3);
	emulator_free(emulator);
}

static void check_scrollback(const struct emulator *emulator, const char *expected)
{
	struct buf text = BUF_NULL;

	for (size_t i = 0; i < emulator_scrollback_count(emulator); i++) {
		emulator_scrollback_text(emulator, emulator_scrollback_first(emulator) + i, &text);
		buf_append_byte(&text, '\n');
	}
	assert_string_equal(buf_text(&text), expected);
	buf_deinit(&text);
}

static void test_scrollback(void **state)
{
	struct emulator *emulator = make(10, 2, "one\r\n\033[31mtwo\033[m\r\n日本\r\nfour\r\nfive");

	check_scrollback(emulator, "one\ntwo\n日本\n");
	emulator_write(emulator, "\033[?1049h\n\n\n\n\033[?1049l", 20);
	check_scrollback(emulator, "one\ntwo\n日本\n");
	emulator_write(emulator, "\033[3J", 4);
	assert_int_equal(emulator_scrollback_count(emulator), 0);
	emulator_free(emulator);
}

static void test_scrollback_is_bounded(void **state)
{
	struct emulator *emulator = make(80, 24, "");
	char line[32];
	struct buf text = BUF_NULL;

	for (unsigned int i = 0; i < 100000; i++)
		emulator_write(emulator, line, (size_t)snprintf(line, sizeof(line), "line %u\r\n", i));
	assert_in_range(emulator_scrollback_bytes(emulator), 50000, 100000);
	assert_int_equal(emulator_scrollback_first(emulator) + emulator_scrollback_count(emulator), 100000 - 23);
	emulator_scrollback_text(emulator, 100000 - 24, &text);
	assert_string_equal(buf_text(&text), "line 99976");
	buf_deinit(&text);
	emulator_free(emulator);
}

static void test_reflow(void **state)
{
	struct emulator *emulator = make(10, 4, "0123456789abcde\r\nx\r\n$ ");

	assert_int_equal(emulator_resize(emulator, 5, 4), 0);
	check_text(emulator, "narrow", "56789\nabcde\nx\n$\n");
	check_scrollback(emulator, "01234\n");
	assert_int_equal(emulator_screen(emulator)->cursor_row, 3);
	assert_int_equal(emulator_screen(emulator)->cursor_col, 2);
	assert_int_equal(emulator_resize(emulator, 20, 4), 0);
	check_text(emulator, "wide", "0123456789abcde\nx\n$\n");
	check_scrollback(emulator, "");
	assert_int_equal(emulator_resize(emulator, 20, 2), 0);
	check_text(emulator, "low", "x\n$\n");
	assert_int_equal(emulator_resize(emulator, 1, 1), 0);
	assert_int_equal(emulator_resize(emulator, 65535, 65535), 0);
	assert_int_equal(emulator_screen(emulator)->cols, SCREEN_COLS_MAX);
	emulator_free(emulator);
}

static void test_resize_keeps_the_hidden_screen(void **state)
{
	struct emulator *emulator = make(10, 4, "0123456789ab\033[?1049h\033[HXY");

	assert_int_equal(emulator_resize(emulator, 6, 4), 0);
	check_text(emulator, "alternate", "XY\n");
	emulator_write(emulator, "\033[?1049l", 8);
	check_text(emulator, "primary", "012345\n6789ab\n");
	emulator_free(emulator);
}

/* What nobody can print: noise of every kind must not grow memory without bound, and a repaint heals the picture. */
static void test_clusters_without_end(void **state)
{
	struct emulator *emulator = make(10, 4, "e");

	for (unsigned int i = 0; i < 200000; i++) {
		char text[16];

		emulator_write(emulator, text, (size_t)snprintf(text, sizeof(text), "%c\xcc%c\xcd%c", 'a' + i % 26,
			0x80 + i / 26 % 64, 0x80 + i / 1664 % 48));
	}
	/* As many as the scrollback has room for. */
	assert_in_range(emulator_screen(emulator)->clusters.live, 0, 20000);
	emulator_write(emulator, "\033cok", 4);
	check_text(emulator, "healed", "ok\n");
	emulator_free(emulator);
}

static void test_styles_without_end(void **state)
{
	struct emulator *emulator = make(200, 50, "");
	char text[64];

	for (unsigned int i = 0; i < 400000; i++)
		emulator_write(emulator, text, (size_t)snprintf(text, sizeof(text), "\033[38;2;%u;%u;%umx", i & 255,
			i >> 8 & 255, i >> 16 & 255));
	assert_in_range(emulator_screen(emulator)->styles.live, 1, SCREEN_STYLES_MAX);
	assert_int_equal(style_at(emulator, 199)->foreground >> 24, 2);
	emulator_free(emulator);
}

static void test_replies_are_bounded(void **state)
{
	struct emulator *emulator = make(10, 4, "");
	struct buf reply = BUF_NULL;

	for (unsigned int i = 0; i < 100000; i++)
		emulator_write(emulator, "\033[c", 3);
	emulator_take_reply(emulator, &reply);
	assert_in_range(reply.len, 1, EMULATOR_REPLY_BYTES_MAX);
	assert_false(emulator_has_reply(emulator));
	buf_deinit(&reply);
	emulator_free(emulator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_examples_bytewise),
		cmocka_unit_test(test_styles),
		cmocka_unit_test(test_attributes_of_rectangles),
		cmocka_unit_test(test_title_is_cleaned),
		cmocka_unit_test(test_modes_reach_the_console),
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_scrollback),
		cmocka_unit_test(test_scrollback_is_bounded),
		cmocka_unit_test(test_reflow),
		cmocka_unit_test(test_resize_keeps_the_hidden_screen),
		cmocka_unit_test(test_clusters_without_end),
		cmocka_unit_test(test_styles_without_end),
		cmocka_unit_test(test_replies_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
