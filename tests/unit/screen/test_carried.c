/* What travels beside the cells: hyperlinks, colours that a program changed, and how keys are wanted. */
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

struct link {
	struct emulator *emulator;
	struct screen sent, shown;
};

static void link_init(struct link *link)
{
	*link = (struct link){ .sent = SCREEN_NULL, .shown = SCREEN_NULL };
	assert_int_equal(emulator_new(&link->emulator, 20, 4, 20000), 0);
}

static void link_deinit(struct link *link)
{
	emulator_free(link->emulator);
	screen_deinit(&link->sent);
	screen_deinit(&link->shown);
}

/* Writes, and brings the receiver to the new picture. */
static void show(struct link *link, const char *text)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen next = SCREEN_NULL;

	emulator_write(link->emulator, text, strlen(text));
	assert_int_equal(screen_copy(&next, emulator_screen(link->emulator)), 0);
	next.frame = link->sent.frame + 1;
	assert_int_equal(screen_encode(&link->sent, &next, &update, NULL), 0);
	assert_int_equal(screen_apply(&link->shown, update.data, update.len), 0);
	assert_true(screen_equal(&link->shown, &next));
	screen_deinit(&link->sent);
	link->sent = next;
}

static void check_address(const struct screen *screen, unsigned int row, unsigned int col, const char *expected)
{
	const struct screen_style *style = screen_style(screen, screen->row[row].cells[col].style);
	const char *text = "";
	size_t len = screen_link_text(screen, style->link, &text);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
}

static void test_links_reach_the_console(void **state)
{
	struct link link;

	link_init(&link);
	show(&link, "a\033]8;;https://example.org/x?y=1;z\033\\b\033[1m\033[mc\0337\033]8;;\007d\0338e");
	check_address(&link.shown, 0, 0, "");
	check_address(&link.shown, 0, 1, "https://example.org/x?y=1;z");
	check_address(&link.shown, 0, 2, "https://example.org/x?y=1;z"); /* SGR 0 does not end it */
	check_address(&link.shown, 0, 3, ""); /* nor does DECRC bring it back */
	show(&link, "\033]8;id=7;mailto:a@b.c\033\\\033[2;1Hx\033[K\033]8;;\033\\y");
	check_address(&link.shown, 1, 0, "mailto:a@b.c");
	check_address(&link.shown, 1, 1, "");
	check_address(&link.shown, 0, 1, "https://example.org/x?y=1;z");
	link_deinit(&link);
}

static void check_id(const struct screen *screen, unsigned int col, const char *expected)
{
	const struct screen_style *style = screen_style(screen, screen->row[0].cells[col].style);
	const char *id = "";
	size_t len = screen_link_id(screen, style->link, &id);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(id, expected, len);
}

static unsigned int link_of(const struct screen *screen, unsigned int col)
{
	return screen_style(screen, screen->row[0].cells[col].style)->link;
}

/* The same address and id are one link, wherever its pieces stand; another id is another link. */
static void test_link_ids(void **state)
{
	struct link link;
	char text[200];

	link_init(&link);
	show(&link, "\033]8;id=a;http://x\007a\033]8;x=1:id=b;http://x\007b\033]8;;http://x\007c");
	show(&link, "\033]8;id=a:y=2;http://x\007d\033]8;id=b;http://y\007e\033]8;id=;http://x\007f\033]8;;http://x\007g");
	check_id(&link.shown, 0, "a");
	check_id(&link.shown, 1, "b");
	check_id(&link.shown, 2, "");
	check_address(&link.shown, 0, 4, "http://y");
	check_id(&link.shown, 4, "b");
	assert_int_equal(link_of(&link.shown, 0), link_of(&link.shown, 3));
	assert_int_equal(link_of(&link.shown, 2), link_of(&link.shown, 6));
	assert_int_equal(link_of(&link.shown, 5), link_of(&link.shown, 6));
	assert_int_not_equal(link_of(&link.shown, 0), link_of(&link.shown, 1));
	assert_int_not_equal(link_of(&link.shown, 0), link_of(&link.shown, 2));
	assert_int_not_equal(link_of(&link.shown, 1), link_of(&link.shown, 4));
	snprintf(text, sizeof(text), "\r\033]8;id=%065d;http://x\007a\033]8;id=%064d;http://x\007b\033]8;id=\xc3\xbc;http://x\007c", 0, 0);
	show(&link, text); /* too long, as long as may be, not allowed */
	check_id(&link.shown, 0, "");
	check_id(&link.shown, 2, "");
	check_address(&link.shown, 0, 0, "http://x");
	assert_int_equal(link_of(&link.shown, 0), link_of(&link.shown, 2));
	assert_int_not_equal(link_of(&link.shown, 0), link_of(&link.shown, 1));
	link_deinit(&link);
}

static void test_bad_addresses_are_dropped(void **state)
{
	static const char *const bad[] = { "file:///etc/passwd", "javascript:alert(1)", "https://", "https://a b", "x",
		"https://gr\xc3\xbc\xc3\x9f.e", "http://\xc2\x9b" "31m" };
	char text[2000];
	struct link link;

	link_init(&link);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "\033]8;;https://good.example\033\\\033]8;;%s\033\\\rx", bad[i]);
		show(&link, text);
		check_address(&link.shown, 0, 0, "");
	}
	snprintf(text, sizeof(text), "\033]8;;https://%01200d\033\\\rx", 0);
	show(&link, text);
	check_address(&link.shown, 0, 0, "");
	link_deinit(&link);
}

/* More links than there is room for: what is on the screen keeps its own, and those that left are forgotten. */
static void test_links_without_end(void **state)
{
	char text[100];
	struct link link;

	link_init(&link);
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "\033]8;;https://example.org/%u\033\\%u\033]8;;\033\\\033[3J\r\n", i, i);
		emulator_write(link.emulator, text, strlen(text));
		if (i % 64 == 0)
			show(&link, "");
	}
	for (unsigned int i = 0; i < 200; i++) /* those that a full table refused are over by now */
		show(&link, "\033]8;;https://example.org/last\033\\\rlast");
	check_address(&link.shown, 3, 0, "https://example.org/last");
	link_deinit(&link);
}

static void test_palette_reaches_the_console(void **state)
{
	struct link link;
	struct screen *shown = &link.shown;

	link_init(&link);
	show(&link, "\033]4;1;#102030;7;rgb:ff/00/00\033\\\033]11;#040506\007");
	assert_int_equal(screen_colour(shown, SCREEN_COLOUR_PALETTE(1), SCREEN_PALETTE_FOREGROUND), SCREEN_COLOUR_RGB(0x102030));
	assert_int_equal(screen_colour(shown, SCREEN_COLOUR_PALETTE(2), SCREEN_PALETTE_FOREGROUND), SCREEN_COLOUR_PALETTE(2));
	assert_int_equal(screen_colour(shown, 0, SCREEN_PALETTE_BACKGROUND), SCREEN_COLOUR_RGB(0x040506));
	assert_int_equal(screen_colour(shown, 0, SCREEN_PALETTE_FOREGROUND), 0);
	show(&link, "\033]104;1\007");
	assert_int_equal(shown->palette[1], 0);
	assert_int_equal(shown->palette[7], SCREEN_COLOUR_RGB(0xff0000));
	show(&link, "\033c");
	assert_int_equal(shown->palette[7], 0);
	assert_int_equal(shown->palette[SCREEN_PALETTE_BACKGROUND], 0);
	link_deinit(&link);
}

static void test_cursor_colour(void **state)
{
	_cleanup_(buf_deinit) struct buf reply = BUF_NULL;
	struct link link;

	link_init(&link);
	show(&link, "\033]12;rgb:1/80/ffff\007");
	assert_int_equal(link.shown.palette[SCREEN_PALETTE_CURSOR], SCREEN_COLOUR_RGB(0x1180ff));
	show(&link, "\033]12;papayawhip\007\033]12;rgb:12/34\007\033]12;\007\033]12;?\033\\\033]112\007\033]12;?\007");
	assert_int_equal(link.shown.palette[SCREEN_PALETTE_CURSOR], 0);
	assert_int_equal(emulator_take_reply(link.emulator, &reply), 0);
	assert_string_equal(buf_text(&reply), "\033]12;rgb:1111/8080/ffff\033\\\033]12;rgb:e5e5/e5e5/e5e5\033\\");
	show(&link, "\033]10;#000001;#000002;#000003\033\\");
	assert_int_equal(link.shown.palette[SCREEN_PALETTE_CURSOR], SCREEN_COLOUR_RGB(3));
	show(&link, "\033c");
	assert_int_equal(link.shown.palette[SCREEN_PALETTE_CURSOR], 0);
	link_deinit(&link);
}

static void test_modify_other_keys(void **state)
{
	static const struct {
		const char *input;
		uint32_t value;
	} steps[] = { { "\033[>4;2m", 2 }, { "\033[>4;9m", 2 }, { "\033[>2;1m", 2 }, { "\033[>4;1m", 1 }, { "\033[>4m", 0 },
		{ "\033[>4;2m", 2 }, { "\033[>4n", 0 }, { "\033[>4;1m", 1 }, { "\033[>m", 0 }, { "\033[>4;2m", 2 }, { "\033c", 0 } };
	struct buf reply = BUF_NULL;
	struct link link;

	link_init(&link);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		show(&link, steps[i].input);
		if (link.shown.modify_other_keys != steps[i].value)
			fail_msg("step %zu: %u", i, link.shown.modify_other_keys);
	}
	show(&link, "\033[>4;1m\033[?4m\033[?2m");
	assert_int_equal(emulator_take_reply(link.emulator, &reply), 0);
	assert_string_equal(buf_text(&reply), "\033[>4;1m");
	buf_deinit(&reply);
	link_deinit(&link);
}

static void test_bad_extras_change_nothing(void **state)
{
	static const struct {
		const char *name, *styles, *links, *style_links, *palette;
		size_t links_len;
		const char *link_ids;
	} cases[] = {
		{ "scheme", NULL, "\x01\x07" "file://", NULL, NULL, 9, NULL },
		{ "escape in a link", NULL, "\x01\x09" "http://\x1b\\", NULL, NULL, 11, NULL },
		{ "link cut", NULL, "\x01\x20http://a", NULL, NULL, 10, NULL },
		{ "link 0", NULL, "\x00\x08http://a", NULL, NULL, 10, NULL },
		{ "no such link", "\x01\x01\x00\x00\x00\x00", "\x01\x08http://a", "\x01\x02", NULL, 10, NULL },
		{ "no such style", NULL, "\x01\x08http://a", "\x01\x01", NULL, 10, NULL },
		{ "id of link 0", NULL, NULL, NULL, NULL, 0, "\x00\x01" "a" },
		{ "escape in an id", NULL, NULL, NULL, NULL, 0, "\x01\x01\x1b" },
		{ "end of parameters in an id", NULL, NULL, NULL, NULL, 0, "\x01\x01;" },
		{ "id cut", NULL, NULL, NULL, NULL, 0, "\x01\x02" "a" },
		{ "colour outside", NULL, NULL, NULL, "\x83\x02\x00", 0, NULL },
		{ "colour of no kind", NULL, NULL, NULL, "\x01\x05\x00", 0, NULL },
	};
	struct link link;

	link_init(&link);
	show(&link, "\033]8;;https://example.org\033\\x");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Maestro__ScreenUpdate message = MAESTRO__SCREEN_UPDATE__INIT;
		uint8_t bytes[200];

		message.has_frame = message.has_base_frame = 1;
		message.frame = 9;
		message.base_frame = link.shown.frame;
		message.has_styles = cases[i].styles != NULL;
		message.styles = (ProtobufCBinaryData){ 6, (uint8_t *)(uintptr_t)cases[i].styles };
		message.has_links = cases[i].links != NULL;
		message.links = (ProtobufCBinaryData){ cases[i].links_len, (uint8_t *)(uintptr_t)cases[i].links };
		message.has_style_links = cases[i].style_links != NULL;
		message.style_links = (ProtobufCBinaryData){ 2, (uint8_t *)(uintptr_t)cases[i].style_links };
		message.has_link_ids = cases[i].link_ids != NULL;
		message.link_ids = (ProtobufCBinaryData){ 3, (uint8_t *)(uintptr_t)cases[i].link_ids };
		message.has_palette = cases[i].palette != NULL;
		message.palette = (ProtobufCBinaryData){ 3, (uint8_t *)(uintptr_t)cases[i].palette };
		if (screen_apply(&link.shown, bytes, maestro__screen_update__pack(&message, bytes)) != SCREEN_E_INVALID)
			fail_msg("%s was taken", cases[i].name);
		assert_true(screen_equal(&link.shown, &link.sent));
	}
	link_deinit(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_reach_the_console),
		cmocka_unit_test(test_bad_addresses_are_dropped),
		cmocka_unit_test(test_link_ids),
		cmocka_unit_test(test_links_without_end),
		cmocka_unit_test(test_palette_reaches_the_console),
		cmocka_unit_test(test_cursor_colour),
		cmocka_unit_test(test_modify_other_keys),
		cmocka_unit_test(test_bad_extras_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
