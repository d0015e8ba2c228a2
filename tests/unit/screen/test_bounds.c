/* What an emulator holds of memory, by counted bytes, and what a resize leaves alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

#define LINES 10000U
#define SCROLLBACK_BYTES (4U << 20)

static size_t held_bytes;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void __real_free(void *data);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
void __wrap_free(void *data);

static void *hold(void *data)
{
	held_bytes += malloc_usable_size(data);
	return data;
}

void *__wrap_malloc(size_t size)
{
	return hold(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return hold(__real_calloc(count, size));
}

void *__wrap_realloc(void *data, size_t size)
{
	held_bytes -= malloc_usable_size(data);
	return hold(__real_realloc(data, size));
}

void __wrap_free(void *data)
{
	held_bytes -= malloc_usable_size(data);
	__real_free(data);
}

static struct emulator *make(unsigned int cols, unsigned int rows)
{
	struct emulator *emulator;

	held_bytes = 0;
	assert_int_equal(emulator_new(&emulator, cols, rows, SCROLLBACK_BYTES), 0);
	return emulator;
}

static void write_text(struct emulator *emulator, const char *text)
{
	emulator_write(emulator, text, strlen(text));
}

/* 80 columns of a number and letters, in `runs` colours. */
static void write_lines(struct emulator *emulator, unsigned int lines, unsigned int runs)
{
	char line[1024];

	for (unsigned int i = 0; i < lines; i++) {
		int at = 0;

		for (unsigned int run = 0; run < runs; run++)
			at += snprintf(line + at, sizeof(line) - (size_t)at, "\033[3%um%0*u", (run + i) % 8,
				(int)(80 / runs), i);
		write_text(emulator, line);
		write_text(emulator, "\r\n");
	}
}

static void test_at_rest(void **state)
{
	struct emulator *emulator = make(80, 24);

	write_text(emulator, "$ a prompt\033[?1049h\033[31mand an editor");
	assert_in_range(held_bytes, 2 * 80 * 24 * sizeof(struct screen_cell), 42000);
	emulator_free(emulator);
	assert_int_equal(held_bytes, 0);
}

static void test_scrollback(void **state)
{
	struct emulator *emulator = make(80, 24);

	write_lines(emulator, LINES + 24, 8);
	assert_true(emulator_scrollback_count(emulator) >= LINES);
	assert_in_range(held_bytes, LINES * 80, SCROLLBACK_BYTES);
	emulator_free(emulator);
}

/* Whatever the lines hold, the limit holds. */
static void test_dear_scrollback(void **state)
{
	struct emulator *emulator = make(80, 24);
	char text[32];

	for (uint32_t i = 0; i < LINES * 80; i++)
		emulator_write(emulator, text, (size_t)snprintf(text, sizeof(text), "\033[48;2;%u;%u;%um ", i >> 16 & 255,
			i >> 8 & 255, i & 255));
	assert_in_range(held_bytes, SCROLLBACK_BYTES / 4, SCROLLBACK_BYTES + (3U << 20)); /* a full table of styles beside it */
	emulator_free(emulator);
}

static void assert_line(const struct emulator *emulator, uint64_t line, const char *expected)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	assert_int_equal(emulator_scrollback_text(emulator, line, &text), 0);
	assert_string_equal(buf_text(&text), expected);
}

/* A storm of resizes costs what the screen costs: of a long scrollback only the newest lines flow. Seen to fail with all
 * of it flowing, as the numbers of the lines tell. */
static void test_resize_leaves_the_past(void **state)
{
	struct emulator *emulator = make(80, 24);
	uint64_t first;

	write_lines(emulator, LINES, 1);
	first = emulator_scrollback_first(emulator);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(emulator_resize(emulator, i % 2 ? 33 : 80, 24), 0);
		write_lines(emulator, 1, 1);
	}
	assert_int_equal(emulator_scrollback_first(emulator), first);
	assert_line(emulator, first + 9000, "00000000000000000000000000000000000000000000000000000000000000000000000000009000");
	emulator_free(emulator);
}

/* One endless line, which wraps far above the screen, flows as far as the screen can show. */
static void test_resize_of_an_endless_line(void **state)
{
	struct emulator *emulator = make(80, 24);
	uint64_t first;

	for (unsigned int i = 0; i < LINES * 8; i++)
		write_text(emulator, "0123456789");
	first = emulator_scrollback_first(emulator);
	assert_int_equal(emulator_resize(emulator, 100, 24), 0);
	assert_int_equal(emulator_scrollback_first(emulator), first);
	assert_line(emulator, first, "01234567890123456789012345678901234567890123456789012345678901234567890123456789");
	assert_int_equal(emulator_screen(emulator)->row[0].used, 100);
	assert_true(emulator_screen(emulator)->row[0].wrapped);
	emulator_free(emulator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_rest),
		cmocka_unit_test(test_scrollback),
		cmocka_unit_test(test_dear_scrollback),
		cmocka_unit_test(test_resize_leaves_the_past),
		cmocka_unit_test(test_resize_of_an_endless_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
