#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/cli/print.h"

static const struct table_column columns[] = {
	{ .title = "ID", .right = true }, { .title = "TITLE", .flexible = true }, { .title = "END" },
};

static char *print(unsigned int width, bool colours, const char *const *cells, size_t count)
{
	struct cli cli = { .width = width, .colours = colours };
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < count; i++)
		assert_int_equal(table_add(&table, COLOUR_RED, cells[i]), 0);
	assert_int_equal(table_print(&table, &cli, out), 0);
	fclose(out);
	return text;
}

static void test_columns_line_up(void **state)
{
	static const char *const cells[] = { "1", "short", "x", "1234", "a longer one", NULL };
	char *text = print(0, false, cells, 6);

	assert_string_equal(text,
		"  ID  TITLE         END\n"
		"   1  short         x\n"
		"1234  a longer one  -\n");
	free(text);
}

static void test_narrow_terminal_cuts(void **state)
{
	static const char *const cells[] = { "1", "a title that is rather long", "x" };
	char *text = print(20, false, cells, 3);

	assert_string_equal(text, "ID  TITLE        END\n 1  a title th…  x\n");
	free(text);
}

static void test_wide_characters(void **state)
{
	static const char *const cells[] = { "1", "\xe6\xbc\xa2\xe5\xad\x97", "x", "2", "ab", "y" };
	char *text = print(0, false, cells, 6);

	assert_string_equal(text, "ID  TITLE  END\n 1  \xe6\xbc\xa2\xe5\xad\x97   x\n 2  ab     y\n");
	free(text);
}

static void test_foreign_text_is_cleaned(void **state)
{
	static const char *const cells[] = { "1", "ti\033[31mtle\n", "x" };
	char *text = print(0, false, cells, 3);

	assert_null(strchr(text, '\033'));
	assert_ptr_equal(strchr(strchr(text, '\n') + 1, '\n'), text + strlen(text) - 1);
	free(text);
}

static void test_no_rows_no_title(void **state)
{
	char *text = print(0, false, NULL, 0);

	assert_string_equal(text, "");
	free(text);
}

static void test_bytes(void **state)
{
	char buffer[PRINT_BYTES_MAX];

	assert_string_equal(print_bytes(true, 512, buffer), "512 B");
	assert_string_equal(print_bytes(true, 1536, buffer), "1.5 KiB");
	assert_string_equal(print_bytes(true, 10ull << 30, buffer), "10 GiB");
	assert_string_equal(print_bytes(false, 0, buffer), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_line_up), cmocka_unit_test(test_narrow_terminal_cuts),
		cmocka_unit_test(test_wide_characters), cmocka_unit_test(test_foreign_text_is_cleaned),
		cmocka_unit_test(test_no_rows_no_title), cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
