/* Each public function of proto/base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/base/option.h"
#include "proto/base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void test_buf(void **state)
{
	_cleanup_(buf_deinit) struct buf buf = BUF_NULL, small = BUF_LIMIT(4);
	char *text;

	assert_string_equal(buf_text(&buf), "");
	assert_int_equal(buf_append_str(&buf, "abc"), 0);
	assert_int_equal(buf_append_byte(&buf, 'd'), 0);
	assert_int_equal(buf_printf(&buf, "%d", 42), 0);
	assert_string_equal(buf_text(&buf), "abcd42");
	buf_consume(&buf, 4);
	assert_string_equal(buf_text(&buf), "42");
	text = buf_take(&buf);
	assert_string_equal(text, "42");
	assert_int_equal(buf.len, 0);
	free(text);
	text = buf_take(&buf);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(buf_append(&small, "1234", 4), 0);
	assert_int_equal(buf_append_byte(&small, '5'), -EMSGSIZE);
	assert_int_equal(buf_printf(&small, "x"), -EMSGSIZE);
	assert_string_equal(buf_text(&small), "1234");
	buf_clear(&small);
	assert_int_equal(buf_reserve(&small, 4), 0);
	assert_int_equal(buf_reserve(&small, SIZE_MAX), -EMSGSIZE);
}

static void test_error(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	assert_string_equal(error_text(&error, -ENOENT), strerror(ENOENT));
	assert_int_equal(error_set(&error, -EIO, "disk %d", 3), -EIO);
	error_prefix(&error, "reading %s", "x");
	error_hint(&error, "buy another");
	assert_string_equal(error_text(&error, -EIO), "reading x: disk 3");
	assert_string_equal(error.hint, "buy another");
	assert_int_equal(error_set(NULL, 7, "nobody asks"), 7);
	error_hint(NULL, "nobody asks");
	assert_int_equal(error_fold(1), -ENOTRECOVERABLE);
	assert_int_equal(error_fold(-EIO), -EIO);
	assert_int_equal(error_fold(0), 0);
}

struct entry {
	struct list list;
	int value;
};

static void test_list(void **state)
{
	struct list list;
	struct entry a = { .value = 1 }, b = { .value = 2 }, c = { .value = 3 }, *it, *tmp;
	int sum = 0;

	list_init(&list);
	assert_true(list_empty(&list));
	assert_null(list_first(&list, struct entry, list));
	list_append(&list, &b.list);
	list_append(&list, &c.list);
	list_prepend(&list, &a.list);
	list_for_each(it, &list, list)
		sum = sum * 10 + it->value;
	assert_int_equal(sum, 123);
	assert_ptr_equal(list_last(&list, struct entry, list), &c);
	list_for_each_safe(it, tmp, &list, list)
		list_remove(&it->list);
	assert_true(list_empty(&list));
	assert_false(list_linked(&a.list));
	list_remove(&a.list);
}

static void test_clock(void **state)
{
	char text[CLOCK_RFC3339_MAX], boot[33], again[33];
	uint64_t ms = 0, before = clock_boottime_ms();

	assert_true(clock_boottime_us() / 1000 >= before);
	assert_true(clock_wall_ms() > 1577836800000);
	assert_string_equal(clock_format_rfc3339(123, text), "1970-01-01T00:00:00.123Z");
	assert_string_equal(clock_format_age(3000, text), "3s");
	assert_string_equal(clock_format_age(12 * 60000, text), "12m");
	assert_string_equal(clock_format_age(125 * 60000, text), "2h05");
	assert_string_equal(clock_format_age(4 * 86400000ull, text), "4d");
	assert_int_equal(clock_parse_duration("90", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_int_equal(clock_parse_duration("250ms", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(clock_parse_duration("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
	assert_int_equal(clock_parse_duration("11x", &ms), -EINVAL);
	assert_int_equal(clock_parse_duration("", &ms), -EINVAL);
	assert_int_equal(clock_parse_duration("-1", &ms), -EINVAL);
	assert_int_equal(clock_parse_duration("4000d", &ms), -ERANGE);
	assert_int_equal(clock_boot_id(boot), 0);
	assert_int_equal(clock_boot_id(again), 0);
	assert_string_equal(boot, again);
	assert_int_equal(strlen(boot), 32);
}

static void test_id(void **state)
{
	uint8_t data[16], back[16], digest[32];
	char hex[ID_HEX_MAX(16)], text[ID_BASE64_MAX(16)];
	size_t len = 0;

	assert_int_equal(id_init(), 0);
	id_random(data, sizeof(data));
	assert_int_equal(id_unhex(id_hex(data, 16, hex), back, 16), 0);
	assert_true(id_equal(data, back, 16));
	assert_int_equal(id_unhex("0g", back, 1), -EINVAL);
	assert_int_equal(id_unhex("00", back, 2), -EINVAL);
	id_base64url(data, 16, text);
	assert_int_equal(strlen(text), 22);
	assert_int_equal(id_unbase64url(text, back, 16, &len), 0);
	assert_int_equal(len, 16);
	assert_true(id_equal(data, back, 16));
	assert_int_equal(id_unbase64url(text, back, 15, &len), -EMSGSIZE);
	assert_int_equal(id_unbase64url("a!", back, 16, &len), -EINVAL);
	id_sha256("abc", 3, digest);
	assert_memory_equal(digest, "\xba\x78\x16\xbf\x8f\x01\xcf\xea", 8);
	id_wipe(data, sizeof(data));
	assert_int_equal(data[0] | data[15], 0);
	assert_false(id_equal("a", "b", 1));
}

static void test_io(void **state)
{
	char dir[] = "/tmp/maestro-base-XXXXXX", path[64], deep[80], *data = NULL;
	struct stat st;
	size_t len;
	int lock, other;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(io_read_file(path, 100, &data, &len), IO_E_NOT_FOUND);
	assert_int_equal(io_create_file(path, "one", 3, 0600), 0);
	assert_int_equal(io_create_file(path, "two", 3, 0600), -EEXIST);
	assert_int_equal(io_read_file(path, 100, &data, &len), 0);
	assert_string_equal(data, "one");
	free(data);
	assert_int_equal(io_replace_file(path, "three", 5, 0640), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(io_read_file(path, 4, &data, &len), -EFBIG);
	assert_int_equal(io_fsync_dir(dir), 0);
	snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
	assert_int_equal(io_make_dirs(deep, 0700), 0);
	assert_int_equal(io_make_dirs(deep, 0700), 0);
	assert_int_equal(symlink("/", "/dev/null/x"), -1);
	snprintf(deep, sizeof(deep), "%s/lock", dir);
	assert_int_equal(io_lock(deep, false, &lock), 0);
	assert_int_equal(io_lock(deep, false, &other), -EWOULDBLOCK);
	close(lock);
	assert_int_equal(io_lock(deep, false, &lock), 0);
	assert_int_equal(io_set_nonblock(lock, true), 0);
	assert_true(fcntl(lock, F_GETFL) & O_NONBLOCK);
	assert_int_equal(io_set_nonblock(lock, false), 0);
	assert_int_equal(io_write_all(lock, "abc", 3), 0);
	assert_int_equal(lseek(lock, 0, SEEK_SET), 0);
	assert_int_equal(io_read_all(lock, deep, 3), 0);
	assert_int_equal(io_read_all(lock, deep, 1), -ENODATA);
	close(lock);
	data = io_join("/a", "b");
	assert_string_equal(data, "/a/b");
	free(data);
	assert_int_equal(io_absolute("/x/y", &data), 0);
	assert_string_equal(data, "/x/y");
	free(data);
	assert_int_equal(io_remove_tree(dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(io_remove_tree(dir), 0);
}

static void test_log(void **state)
{
	enum log_level level;
	struct log_limit limit = LOG_LIMIT(1000, 2);
	unsigned int dropped = 9;
	char line[256] = "";
	struct log log;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(&log, "prog", fds[1], LOG_LEVEL_INFO);
	log_debug(&log, "not this");
	assert_int_equal(read(fds[0], line, sizeof(line)), -1);
	log_info(&log, "task=%d: a\033[31mb", 3);
	assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "task=3: a\\x1b[31mb\n"));
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(log_parse_level("warning", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARNING);
	assert_int_equal(log_parse_level("loud", &level), -EINVAL);
	assert_true(log_limit_pass(&limit, 5000, &dropped));
	assert_int_equal(dropped, 0);
	assert_true(log_limit_pass(&limit, 5001, &dropped));
	assert_false(log_limit_pass(&limit, 5002, &dropped));
	assert_false(log_limit_pass(&limit, 5003, &dropped));
	assert_true(log_limit_pass(&limit, 6000, &dropped));
	assert_int_equal(dropped, 2);
}

static void test_str(void **state)
{
	static const char *const words[] = { "running", "review", "queued" };
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	char bytes[4];
	uint32_t code;
	uint64_t value;

	assert_true(str_utf8_valid("\xc3\xa4", 2));
	assert_false(str_utf8_valid("\xc3", 1));
	assert_false(str_utf8_valid("\xed\xa0\x80", 3)); /* a surrogate */
	assert_false(str_utf8_valid("\xc0\x80", 2));     /* too long a form */
	assert_int_equal(str_utf8_next("\xe2\x82\xac", 3, &code), 3);
	assert_int_equal(code, 0x20ac);
	assert_int_equal(str_utf8_next("\xff", 1, &code), -1);
	assert_int_equal(str_utf8_next("", 0, &code), 0);
	assert_int_equal(str_utf8_put(0x1f600, bytes), 4);
	assert_int_equal(str_utf8_put(0xd800, bytes), 3);
	assert_memory_equal(bytes, "\xef\xbf\xbd", 3);
	assert_int_equal(str_escape(&out, "a\033\xff\xe2\x80\xae", 6), 0);
	assert_string_equal(buf_text(&out), "a\\x1b\\xff\\u{202e}");
	buf_clear(&out);
	assert_int_equal(str_clean(&out, "a\tb\xe2\x80\xae", 6), 0);
	assert_string_equal(buf_text(&out), "a b");
	assert_string_equal(str_nearest("runing", words, 3), "running");
	assert_null(str_nearest("zzzzzzzz", words, 3));
	assert_int_equal(str_parse_u64("12", 0, 20, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(str_parse_u64("21", 0, 20, &value), -ERANGE);
	assert_int_equal(str_parse_u64("99999999999999999999", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_parse_u64("1x", 0, 20, &value), -EINVAL);
	assert_int_equal(str_parse_u64("", 0, 20, &value), -EINVAL);
	assert_int_equal(str_parse_u64("-1", 0, 20, &value), -EINVAL);
	assert_true(str_starts("abc", "ab") && str_ends("abc", "bc"));
	assert_false(str_ends("c", "bc"));
	assert_string_equal(str_or(NULL, "x"), "x");
}

struct values {
	bool flag;
	char *text;
	struct option_list list;
	uint64_t number, duration;
	int choice;
};

static const char *const choices[] = { "red", "green", NULL };
static const struct option_spec specs[] = {
	{ .name = "flag", .short_name = 'f', .type = OPTION_FLAG, .offset = offsetof(struct values, flag), .in_file = true, .help = "h" },
	{ .name = "text", .type = OPTION_STRING, .offset = offsetof(struct values, text), .arg = "T", .initial = "first", .in_file = true, .help = "h" },
	{ .name = "item", .short_name = 'i', .type = OPTION_LIST, .offset = offsetof(struct values, list), .arg = "I", .help = "h" },
	{ .name = "number", .short_name = 'n', .type = OPTION_NUMBER, .offset = offsetof(struct values, number), .arg = "N", .initial = "3", .min = 1, .max = 9, .in_file = true, .help = "h" },
	{ .name = "wait", .type = OPTION_DURATION, .offset = offsetof(struct values, duration), .arg = "T", .initial = "2s", .help = "h" },
	{ .name = "color", .type = OPTION_CHOICE, .offset = offsetof(struct values, choice), .arg = "C", .initial = "green", .choices = choices, .help = "h" },
};
static const struct option_table table = { "prog", "[OPTION]...", "Tests.", specs, ARRAY_SIZE(specs) };

static int parse(struct values *values, const char **argv, char ***operands, int *count, struct error *error)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return option_parse(&table, values, argc, (char **)(uintptr_t)argv, false, operands, count, error);
}

static void test_options(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct values values = { 0 };
	const char *argv[] = { "p", "one", "-f", "--text=x", "-i", "a", "-ib", "two", "-n", "7", "--wait", "1m", "--", "-z", NULL };
	const char *bad[] = { "p", "--nmber", "3", NULL }, *range[] = { "p", "-n", "10", NULL };
	char path[] = "/tmp/maestro-option-XXXXXX", **operands, *help = NULL;
	int fd = mkstemp(path), count;
	size_t size;
	FILE *out;

	assert_int_equal(option_set_defaults(&table, &values), 0);
	assert_string_equal(values.text, "first");
	assert_int_equal(values.number, 3);
	assert_int_equal(values.duration, 2000);
	assert_int_equal(values.choice, 1);
	assert_int_equal(io_write_all(fd, "number = 5\nflag = true\n", 23), 0);
	assert_int_equal(option_read_file(&table, &values, path, true, &error), 0);
	assert_int_equal(values.number, 5);
	assert_true(values.flag);
	assert_int_equal(parse(&values, argv, &operands, &count, &error), 0);
	assert_int_equal(count, 3);
	assert_string_equal(operands[0], "one");
	assert_string_equal(operands[2], "-z");
	assert_string_equal(values.text, "x");
	assert_int_equal(values.list.count, 2);
	assert_string_equal(values.list.items[1], "b");
	assert_int_equal(values.number, 7);
	assert_int_equal(values.duration, 60000);
	assert_int_equal(parse(&values, bad, &operands, &count, &error), OPTION_E_USAGE);
	assert_int_equal(parse(&values, range, &operands, &count, &error), OPTION_E_USAGE);
	assert_int_equal(io_write_all(fd, "nmber = 5\n", 10), 0);
	error_deinit(&error);
	error = ERROR_NULL;
	assert_int_equal(option_read_file(&table, &values, path, true, &error), OPTION_E_USAGE);
	if (!strstr(error_text(&error, 0), "nmber"))
		fail_msg("%s", error_text(&error, 0));
	close(fd);
	unlink(path);
	assert_int_equal(option_read_file(&table, &values, path, false, &error), 0);
	assert_int_equal(option_read_file(&table, &values, path, true, &error), IO_E_NOT_FOUND);
	out = open_memstream(&help, &size);
	option_print_help(&table, out);
	option_print_sample(&table, out);
	fclose(out);
	assert_non_null(strstr(help, "--number"));
	free(help);
	option_values_deinit(&table, &values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_str),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
