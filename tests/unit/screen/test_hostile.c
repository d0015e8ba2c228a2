/* Streams that mean harm: whatever comes, memory stays bounded, and after a reset the picture is what it would be in a
 * new terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

#define SCROLLBACK_BYTES 100000U
/* 65,535 styles with their hash, scrollback, two grids, clusters of the grids. */
#define MEMORY_BYTES_MAX (8U << 20)

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
#define allocated_bytes() __sanitizer_get_current_allocated_bytes()
#else
#define allocated_bytes() (mallinfo2().uordblks + mallinfo2().hblkhd)
#endif

static const char repaint[] = "\033c\033[1;31mhello \033[38;2;1;2;3;4:3mworld\033[m\r\n日本語 e\xcc\x81 \033(0qqq\033(B\033[3;5Hx\033[?1h";

static struct emulator *make(unsigned int cols, unsigned int rows)
{
	struct emulator *emulator;

	assert_int_equal(emulator_new(&emulator, cols, rows, SCROLLBACK_BYTES), 0);
	return emulator;
}

static void check_right(struct emulator *emulator)
{
	const struct screen *screen = emulator_screen(emulator);
	struct emulator *other = make(screen->cols, screen->rows);

	emulator_write(emulator, repaint, sizeof(repaint) - 1);
	emulator_write(other, repaint, sizeof(repaint) - 1);
	assert_true(screen_equal(screen, emulator_screen(other)));
	emulator_free(other);
}

/* A start, then megabytes of one thing. */
static void test_without_end(void **state)
{
	static const struct {
		const char *start, *part;
	} streams[] = {
		{ "\033]2;", "title" }, { "\033]8;;http://a", "bcd" }, { "\033]4;", "1;#000000;" }, { "\033P+q", "436f;" },
		{ "\033P$q", "m" }, { "\033_", "\xff\x80" }, { "\033X", "x" }, { "\033^", "\033" }, { "\033[", "1;" },
		{ "\033[", "999999999999:" }, { "\033", "#" }, { "e", "\xcc\x81" }, { "", "\xf0\x9f\x91\x8d\xe2\x80\x8d" },
		{ "", "\033[22t" }, { "", "\033]2;x\007\033[22;2t" }, { "", "\033[>1u" }, { "", "\033[?7;25;1004s" },
		{ "", "\0337\033[?1049h" }, { "", "\033[c" }, { "", "\033H\t" }, { "", "\xff\xfe\xc0\x80" }, { "", "\033[9999b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		size_t before = allocated_bytes(), len = strlen(streams[i].part);
		struct emulator *emulator = make(80, 24);
		struct buf chunk = BUF_NULL;

		while (chunk.len < 65536)
			assert_int_equal(buf_append(&chunk, streams[i].part, len), 0);
		emulator_write(emulator, streams[i].start, strlen(streams[i].start));
		for (unsigned int round = 0; round < (streams[i].part[len - 1] == 'b' ? 1 : 40); round++)
			emulator_write(emulator, chunk.data, chunk.len);
		buf_deinit(&chunk);
		if (allocated_bytes() - before > MEMORY_BYTES_MAX)
			fail_msg("%s%s takes %zu bytes", streams[i].start, streams[i].part, allocated_bytes() - before);
		check_right(emulator);
		emulator_free(emulator);
	}
}

/* Every command, with counts that overflow, too many parameters, and none that make sense. */
static void test_every_command_with_wild_parameters(void **state)
{
	static const char *const params[] = { "2147483648;4294967296;99999999999999999999", "0;0;0;0;0;0;0;0;0;0",
		"1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27;28;29;30;31;32;33;34;35;36;37;38;39;40;41",
		":::;;;:", "65535;65535;65535;65535;65535;65535;65535;65535", "38;2;1:2:3;48:5;58:2::::", "24;80;1;1;24;80;24;80" };
	static const char prefixes[] = "\0?><=", intermediates[] = "\0$*' \"!#";
	struct emulator *emulator = make(80, 24);
	struct buf reply = BUF_NULL;
	char text[200];

	for (char final = 0x40; final < 0x7f; final++)
		for (size_t i = 0; i < ARRAY_SIZE(params); i++)
			for (size_t p = 0; p < sizeof(prefixes) - 1; p++)
				for (size_t m = 0; m < sizeof(intermediates) - 1; m++) {
					int len = snprintf(text, sizeof(text), "\033[%.1s%s%.1s%cab日", prefixes + p, params[i],
						intermediates + m, final);

					emulator_write(emulator, text, (size_t)len);
				}
	assert_int_equal(emulator_take_reply(emulator, &reply), 0);
	assert_in_range(reply.len, 1, EMULATOR_REPLY_BYTES_MAX);
	buf_deinit(&reply);
	check_right(emulator);
	emulator_free(emulator);
}

static void test_resize_during_output(void **state)
{
	static const unsigned int sizes[][2] = { { 1, 1 }, { 65535, 65535 }, { 0, 0 }, { 1, 65535 }, { 65535, 1 }, { 80, 24 } };
	static const char output[] = "\033[5;70Hwide 日本語\033[2;3r\n\n\033[r\033[?1049halt\033[999;999H日\033[?1049l\033[38;2;9;9;9m"
		"line one that is long enough to be wrapped in a terminal of eighty columns, I hope\r\n\033[4h日\033[4l";
	struct emulator *emulator = make(80, 24);

	for (size_t i = 0; i < 3 * (sizeof(output) - 1); i++) {
		emulator_write(emulator, output + i % (sizeof(output) - 1), 1);
		/* In the middle of each sequence and character; the largest sizes are dear, so not each time. */
		if (i % 7 == 0) {
			const unsigned int *size = sizes[i / 7 % ARRAY_SIZE(sizes)];

			assert_int_equal(emulator_resize(emulator, size[0], size[1]), 0);
			assert_in_range(emulator_screen(emulator)->cols, 1, SCREEN_COLS_MAX);
			assert_in_range(emulator_screen(emulator)->rows, 1, SCREEN_ROWS_MAX);
		}
	}
	assert_int_equal(emulator_resize(emulator, 80, 24), 0);
	check_right(emulator);
	emulator_free(emulator);
}

static void test_split_anywhere(void **state)
{
	static const char output[] = "a\033[1;38;2;10;20;30mb\033]2;tïtle\033\\c\033P$qm\033\\d日e\xcc\x81👨\xe2\x80\x8d👩\033[2;2H\033]8;;https://a.b/\007"
		"x\033]8;;\033\\\033[?2026h\033(0q\033(B\xf0\x9f\x91\033[3;1Hz\033[38:2::1:2:3mq\033[1;1;2;2$z\033[4:3;58;5;9mw";
	struct emulator *whole = make(20, 5);

	emulator_write(whole, output, sizeof(output) - 1);
	for (size_t cut = 0; cut < sizeof(output); cut++) {
		struct emulator *emulator = make(20, 5);

		emulator_write(emulator, output, cut);
		emulator_write(emulator, output + cut, sizeof(output) - 1 - cut);
		if (!screen_equal(emulator_screen(emulator), emulator_screen(whole)))
			fail_msg("cut at %zu", cut);
		emulator_free(emulator);
	}
	emulator_free(whole);
}

/* No UTF-8 at all, whole, cut anywhere and byte by byte: pieces are taken at once where they can be. */
static void test_noise_in_pieces(void **state)
{
	static uint8_t noise[20000];
	uint32_t seed = 7;

	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1664525U + 1013904223U;
		/* A quarter each: anything, first bytes of codes, what follows those, letters. */
		noise[i] = (uint8_t)((seed >> 16 & 3) == 0 ? seed >> 24 : (seed >> 16 & 3) == 1 ? 0xc0 | seed >> 26 : (seed >> 16 & 3) == 2
			? 0x80 | seed >> 26 : 0x40 | seed >> 26);
	}
	for (size_t from = 0; from + 500 <= sizeof(noise); from += 500) {
		struct emulator *whole = make(20, 5), *bytes = make(20, 5), *pieces = make(20, 5);

		emulator_write(whole, noise + from, 500);
		for (size_t i = 0, len; i < 500; i += len) {
			len = 500 - i < 1 + i % 9 ? 500 - i : 1 + i % 9;
			emulator_write(pieces, noise + from + i, len);
		}
		for (size_t i = 0; i < 500; i++)
			emulator_write(bytes, noise + from + i, 1);
		if (!screen_equal(emulator_screen(whole), emulator_screen(bytes)) || !screen_equal(emulator_screen(whole), emulator_screen(pieces)))
			fail_msg("from %zu on", from);
		emulator_free(whole);
		emulator_free(bytes);
		emulator_free(pieces);
	}
}

static void test_every_pair_of_high_bytes(void **state)
{
	struct emulator *emulator = make(80, 24);

	for (unsigned int a = 0x80; a < 0x100; a++)
		for (unsigned int b = 0; b < 0x100; b++)
			emulator_write(emulator, (uint8_t[]){ (uint8_t)a, (uint8_t)b, 0xf0, (uint8_t)b, (uint8_t)a, 'x' }, 6);
	check_right(emulator);
	emulator_free(emulator);
}

/* On the largest screen, three bytes can ask for a million cells: the holder gets its turn back in between. */
static void test_dear_commands_are_cut_into_turns(void **state)
{
	static const char *const commands[] = { "\033#8", "\033[65535b", "\033[1;1;1;1;999;999*y", "\033[?69h\033[2;999s\033[2;2H\033[L",
		"\033[43m\033[2J", "\033[120;1;1;999;999$x", "\033[1;1;999;999;1$r", "\033[?69l\033[1;1H\033[999S" };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct emulator *emulator = make(1000, 1000);
		struct buf stream = BUF_NULL;
		size_t at = 0, turns = 0;

		buf_append_str(&stream, "\033#8x");
		for (unsigned int j = 0; j < 12 || (strlen(commands[i]) < 12 && j < 60); j++)
			assert_int_equal(buf_append_str(&stream, commands[i]), 0);
		for (; at < stream.len; turns++) {
			size_t took = emulator_write_some(emulator, stream.data + at, stream.len - at);

			assert_in_range(took, 1, stream.len - at);
			at += took;
		}
		if (turns < 2)
			fail_msg("%s: all in one turn", commands[i] + 1);
		buf_deinit(&stream);
		check_right(emulator);
		emulator_free(emulator);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_end),
		cmocka_unit_test(test_every_command_with_wild_parameters),
		cmocka_unit_test(test_resize_during_output),
		cmocka_unit_test(test_split_anywhere),
		cmocka_unit_test(test_noise_in_pieces),
		cmocka_unit_test(test_every_pair_of_high_bytes),
		cmocka_unit_test(test_dear_commands_are_cut_into_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
