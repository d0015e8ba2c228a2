/* Differences: whatever an emulator shows, the receiver shows too; whatever a peer sends, nothing breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/schema/screen.pb-c.h"
#include "proto/wire/screen.h"
#include "worker/screen/emulator.h"

/* An emulator, the last screen that was sent, and who received it. */
struct link {
	struct emulator *emulator;
	struct screen sent, shown;
	uint64_t frame;
};

static void link_init(struct link *link, unsigned int cols, unsigned int rows)
{
	*link = (struct link){ .sent = SCREEN_NULL, .shown = SCREEN_NULL };
	assert_int_equal(emulator_new(&link->emulator, cols, rows, 10000), 0);
}

static void link_deinit(struct link *link)
{
	emulator_free(link->emulator);
	screen_deinit(&link->sent);
	screen_deinit(&link->shown);
}

/* Sends a frame; returns the bytes it took, 0 if nothing changed. */
static size_t link_send(struct link *link)
{
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen next = SCREEN_NULL;
	bool changed = false;
	size_t len;

	assert_int_equal(screen_copy(&next, emulator_screen(link->emulator)), 0);
	next.frame = ++link->frame;
	assert_int_equal(screen_encode(&link->sent, &next, &update, &changed), 0);
	len = update.len;
	assert_int_equal(screen_apply(&link->shown, update.data, update.len), 0);
	assert_int_equal(link->shown.frame, link->frame);
	assert_true(screen_equal(&link->shown, &next));
	screen_deinit(&link->sent);
	link->sent = next;
	return changed ? len : 0;
}

static void link_write(struct link *link, const char *text)
{
	emulator_write(link->emulator, text, strlen(text));
}

static void test_keyframe_and_difference(void **state)
{
	struct link link;

	link_init(&link, 80, 24);
	link_write(&link, "\033]2;title\007\033[1;31mred\033[m 日本 e\xcc\x81 ❤\xef\xb8\x8f\033[?2004h\033[?25l");
	assert_in_range(link_send(&link), 20, 150);
	assert_int_equal(link_send(&link), 0);
	link_write(&link, "x");
	assert_in_range(link_send(&link), 5, 30);
	assert_string_equal(link.shown.title, "title");
	emulator_resize(link.emulator, 40, 10);
	link_send(&link);
	assert_int_equal(link.shown.cols, 40);
	link_deinit(&link);
}

static void fill_lines(struct link *link, unsigned int from, unsigned int count)
{
	char line[80];

	for (unsigned int i = from; i < from + count; i++) {
		snprintf(line, sizeof(line), "\r\n\033[3%um%u\033[m a line of text with number %u", i % 8, i, i * 7919);
		link_write(link, line);
	}
}

static void test_scroll_is_cheap(void **state)
{
	struct link link;

	link_init(&link, 80, 24);
	fill_lines(&link, 0, 40);
	assert_in_range(link_send(&link), 500, 2000);
	fill_lines(&link, 40, 2);
	assert_in_range(link_send(&link), 20, 160);
	link_write(&link, "\033[3;20r\033[3;1H\033M\033M");
	assert_in_range(link_send(&link), 5, 60);
	link_deinit(&link);
}

static void test_repaint_of_the_same_is_free(void **state)
{
	struct link link;

	link_init(&link, 80, 24);
	fill_lines(&link, 0, 10);
	link_send(&link);
	link_write(&link, "\033[2J\033[H");
	fill_lines(&link, 0, 10);
	link_write(&link, "\033[11;1H\033[K");
	link_send(&link);
	fill_lines(&link, 0, 0);
	assert_int_equal(link_send(&link), 0);
	link_deinit(&link);
}

/* Pseudo-random sessions of everything that draws. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

static void write_something(struct link *link, uint32_t *seed)
{
	static const char *const parts[] = { "hello", "日本語", "e\xcc\x81", "👨\xe2\x80\x8d👩\xe2\x80\x8d👧", "\r\n", "\n", "\t",
		"\033[K", "\033[1K", "\033[J", "\033[2L", "\033[M", "\033[3@", "\033[2P", "\033[X", "\033[S", "\033[2T", "\033M",
		"\033[2;5r", "\033[r", "\033[?1049h", "\033[?1049l", "\033[m", "\033[4:3m", "\033[?69h\033[3;9s", "\033[?69l",
		"\033[4h", "\033[4l", "❤\xef\xb8\x8f", "🇩🇪", "\033[41m\033[J\033[m", "\033#8", "\033[?7l", "\033[?7h" };
	char text[64];

	switch (next_random(seed) % 4) {
	case 0:
		snprintf(text, sizeof(text), "\033[%u;%uH", next_random(seed) % 12, next_random(seed) % 24);
		link_write(link, text);
		break;
	case 1:
		snprintf(text, sizeof(text), "\033[38;2;%u;%u;0mcolour", next_random(seed) % 256, next_random(seed) % 256);
		link_write(link, text);
		break;
	default:
		link_write(link, parts[next_random(seed) % ARRAY_SIZE(parts)]);
		break;
	}
}

static void check_grid(const struct screen *screen)
{
	for (unsigned int i = 0; i < screen->rows; i++) {
		const struct screen_row *row = &screen->row[i];

		for (unsigned int j = 0; j < screen->cols; j++) {
			const struct screen_cell *cell = &row->cells[j];

			assert_in_range(cell->width, 0, 2);
			if (cell->width == 2)
				assert_true(j + 1 < screen->cols && row->cells[j + 1].width == 0);
			if (cell->width == 0)
				assert_true(j > 0 && row->cells[j - 1].width == 2);
			if (j >= row->used)
				assert_true(cell->glyph == ' ' && cell->style == 0 && cell->width == 1);
		}
	}
}

static void test_random_sessions(void **state)
{
	for (uint32_t run = 0; run < 40; run++) {
		uint32_t seed = run;
		struct link link;

		link_init(&link, 20, 8);
		for (unsigned int i = 0; i < 300; i++) {
			for (uint32_t j = next_random(&seed) % 20; j; j--)
				write_something(&link, &seed);
			if (next_random(&seed) % 40 == 0)
				emulator_resize(link.emulator, 1 + next_random(&seed) % 40, 1 + next_random(&seed) % 12);
			check_grid(emulator_screen(link.emulator));
			link_send(&link);
			check_grid(&link.shown);
		}
		link_deinit(&link);
	}
}

/* --- bad updates --- */

static int apply(struct screen *screen, const Maestro__ScreenUpdate *message)
{
	uint8_t bytes[1024];

	assert_in_range(maestro__screen_update__get_packed_size(message), 0, sizeof(bytes));
	return screen_apply(screen, bytes, maestro__screen_update__pack(message, bytes));
}

static void test_bad_updates_change_nothing(void **state)
{
	static const struct {
		const char *name, *cells;
		size_t len;
	} cases[] = {
		{ "row outside", "\x08\x00", 2 },
		{ "row cut", "\x00\x20\x00", 3 },
		{ "no runs but bytes", "\x00\x02\x00", 3 },
		{ "unknown style", "\x00\x0a\x00\x05\x04""ab", 7 },
		{ "column outside", "\x00\x08\x15\x00\x04""a", 6 },
		{ "repeat outside", "\x00\x08\x0b\x00\x29""a", 6 },
		{ "too much text", "\x00\x08\x00\x00\x0c""a", 6 },
		{ "empty run", "\x00\x08\x00\x00\x00""a", 6 },
		{ "escape", "\x00\x08\x00\x00\x04\x1b", 6 },
		{ "C1", "\x00\x0a\x00\x00\x04\xc2\x9b", 7 },
		{ "override", "\x00\x0c\x00\x00\x04\xe2\x80\xae", 8 },
		{ "broken UTF-8", "\x00\x0a\x00\x00\x04\xc2\x41", 7 },
		{ "wide outside", "\x00\x0c\x13\x00\x06\xe6\x97\xa5", 8 },
		{ "empty cluster", "\x00\x08\x00\x00\x07\x00", 6 },
		{ "cluster of controls", "\x00\x0c\x00\x00\x07\x04""a\n", 8 },
		{ "cluster cut", "\x00\x0a\x00\x00\x07\x40""a", 7 },
		{ "varint without end", "\xff\xff\xff\xff\xff\xff\xff", 7 },
	};
	struct link link;

	link_init(&link, 20, 8);
	link_write(&link, "\033[31mhello 日本");
	link_send(&link);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Maestro__ScreenUpdate message = MAESTRO__SCREEN_UPDATE__INIT;

		message.has_frame = message.has_base_frame = message.has_cells = 1;
		message.frame = 2;
		message.base_frame = 1;
		message.cells = (ProtobufCBinaryData){ cases[i].len, (uint8_t *)(uintptr_t)cases[i].cells };
		if (apply(&link.shown, &message) != SCREEN_E_INVALID)
			fail_msg("%s was taken", cases[i].name);
		assert_true(screen_equal(&link.shown, &link.sent));
	}
	link_deinit(&link);
}

static void test_bad_state_changes_nothing(void **state)
{
	uint8_t escape[] = { 27, 'a' };
	struct link link;

	link_init(&link, 20, 8);
	link_write(&link, "hello");
	link_send(&link);
	for (unsigned int i = 0; i < 9; i++) {
		Maestro__ScreenUpdate message = MAESTRO__SCREEN_UPDATE__INIT;
		int expected = SCREEN_E_INVALID;

		message.has_frame = message.has_base_frame = 1;
		message.frame = 2;
		message.base_frame = 1;
		switch (i) {
		case 0: message.base_frame = 7; expected = SCREEN_E_BASE; break;
		case 1: message.frame = 0; break;
		case 2: message.has_cursor_row = 1; message.cursor_row = 8; break;
		case 3: message.has_modes = 1; message.modes = 0x10000; break;
		case 4: message.has_scroll_delta = 1; message.scroll_delta = 1; break;
		case 5: message.has_title = 1; message.title = (ProtobufCBinaryData){ 2, escape }; break;
		case 6: message.has_cols = 1; message.cols = 10; break;
		case 7: message.base_frame = 0; break;
		case 8: message.base_frame = 0; message.has_cols = message.has_rows = 1; message.cols = 1001; message.rows = 1;
			break;
		}
		if (apply(&link.shown, &message) != expected)
			fail_msg("case %u", i);
		assert_true(screen_equal(&link.shown, &link.sent));
	}
	link_deinit(&link);
}

static void test_flipped_bytes(void **state)
{
	struct buf update = BUF_NULL;
	struct link link;

	link_init(&link, 20, 8);
	link_write(&link, "\033[31mhello 日本 e\xcc\x81\r\n\033[44mmore\033[K");
	link_send(&link);
	assert_int_equal(screen_encode(NULL, &link.sent, &update, NULL), 0);
	for (size_t i = 0; i < update.len; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			struct screen shown = SCREEN_NULL;
			int r;

			update.data[i] ^= (uint8_t)(1U << bit);
			r = screen_apply(&shown, update.data, update.len);
			assert_true(r >= 0);
			if (r == 0)
				check_grid(&shown);
			update.data[i] ^= (uint8_t)(1U << bit);
			screen_deinit(&shown);
		}
	}
	buf_deinit(&update);
	link_deinit(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyframe_and_difference),
		cmocka_unit_test(test_scroll_is_cheap),
		cmocka_unit_test(test_repaint_of_the_same_is_free),
		cmocka_unit_test(test_random_sessions),
		cmocka_unit_test(test_bad_updates_change_nothing),
		cmocka_unit_test(test_bad_state_changes_nothing),
		cmocka_unit_test(test_flipped_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
