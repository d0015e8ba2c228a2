/* Recordings: the packed form that travels, asciicast files of both versions, the player. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "console/cli/cast.h"
#include "console/cli/player.h"
#include "proto/wire/timeline.h"

#define OUTPUT(ms, text) { .kind = TIMELINE_OUTPUT, .wall_ms = (ms), .data = (text), .len = sizeof(text) - 1 }
#define RESIZE(ms, c, r) { .kind = TIMELINE_RESIZE, .wall_ms = (ms), .cols = (c), .rows = (r) }
#define MARK(ms, text) { .kind = TIMELINE_MARK, .wall_ms = (ms), .data = (text), .len = sizeof(text) - 1 }
#define GAP(ms, bytes) { .kind = TIMELINE_GAP, .wall_ms = (ms), .lost_bytes = (bytes) }

/* Colours, a character cut in two, one that is broken, a NUL, a clock set back, another size. */
static const struct timeline_item session[] = {
	RESIZE(1700000000000, 40, 6),
	OUTPUT(1700000000250, "\033[1;31mred\033[m gr\xc3"),
	OUTPUT(1700000000251, "\xbc\xc3\x9f \xf0\x9f\x98\x80\r\n"),
	MARK(1700000001000, "status: working"),
	OUTPUT(1700000002500, "bro\xff" "ken \"quoted\" \\ \0 end\r\n\033]0;title\007"),
	OUTPUT(1699999990000, "back\r\n"),
	RESIZE(1700000003000, 30, 5),
	GAP(1700000003500, 1234),
	OUTPUT(1700000064000, "\033[2;1Hlast"),
};

static void pack(struct buf *out)
{
	struct timeline_writer writer = TIMELINE_WRITER(out);

	for (size_t i = 0; i < ARRAY_SIZE(session); i++)
		assert_int_equal(timeline_put(&writer, &session[i]), 0);
}

static void test_timeline(void **state)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	struct timeline_reader reader;
	struct timeline_item item;

	pack(&packed);
	reader = TIMELINE_READER(packed.data, packed.len);
	for (size_t i = 0; i < ARRAY_SIZE(session); i++) {
		assert_int_equal(timeline_next(&reader, &item), 0);
		assert_int_equal(item.kind, session[i].kind);
		assert_int_equal(item.cols, session[i].cols);
		assert_int_equal(item.rows, session[i].rows);
		assert_int_equal(item.lost_bytes, session[i].lost_bytes);
		if (session[i].wall_ms > 1700000000000)
			assert_int_equal(item.wall_ms, session[i].wall_ms);
		if (session[i].data) {
			assert_int_equal(item.len, session[i].len);
			assert_memory_equal(item.data, session[i].data, item.len);
		}
	}
	assert_int_equal(timeline_next(&reader, &item), TIMELINE_E_END);
}

/* Cut anywhere, and with any byte changed: refused or read, never out of bounds. */
static void test_timeline_damage(void **state)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	struct timeline_item item;

	pack(&packed);
	for (size_t len = 0; len < packed.len; len++) {
		uint8_t *piece = len ? malloc(len) : NULL; /* exactly so long, for the sanitizer */
		struct timeline_reader reader = TIMELINE_READER(piece, len);

		if (len)
			memcpy(piece, packed.data, len);
		while (timeline_next(&reader, &item) == 0)
			assert_true(item.len <= len);
		free(piece);
	}
	for (size_t i = 0; i < packed.len; i++) {
		struct timeline_reader reader = TIMELINE_READER(packed.data, packed.len);

		packed.data[i] ^= 0x80;
		for (int n = 0; n < 100 && timeline_next(&reader, &item) == 0; n++)
			continue;
		packed.data[i] ^= 0x80;
	}
}

static void make_cast(unsigned int version, struct buf *out)
{
	struct cast cast = CAST(version, "A \"title\"");

	for (size_t i = 0; i < ARRAY_SIZE(session); i++)
		assert_int_equal(cast_put(&cast, &session[i], out), 0);
	assert_int_equal(cast_end(&cast, 3, out), 0);
}

static json_t *next_line(char **at)
{
	char *end = strchr(*at, '\n');
	json_t *json;

	assert_non_null(end);
	*end = '\0';
	for (char *p = *at; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
	json = json_loads(*at, JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	*at = end + 1;
	return json;
}

/* What a player of the file shows at its end is what the session showed. */
static void check_cast(unsigned int version)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL, far = BUF_NULL, near = BUF_NULL;
	_cleanup_(emulator_free_p) struct emulator *from_file = NULL, *straight = NULL;
	double sum = 0, last = -1;
	json_t *line;
	char *at;

	make_cast(version, &out);
	at = (char *)out.data;
	line = next_line(&at);
	assert_int_equal(json_integer_value(json_object_get(line, "version")), version);
	assert_string_equal(json_string_value(json_object_get(line, "title")), "A \"title\"");
	assert_int_equal(json_integer_value(json_object_get(line, "timestamp")), 1700000000);
	assert_int_equal(json_integer_value(version == 2 ? json_object_get(line, "width")
							 : json_object_get(json_object_get(line, "term"), "cols")), 40);
	json_decref(line);
	assert_int_equal(emulator_new(&from_file, 40, 6, 0), 0);
	while (*at) {
		const char *code, *text;
		unsigned int cols, rows;
		double told;

		line = next_line(&at);
		assert_int_equal(json_array_size(line), 3);
		told = json_number_value(json_array_get(line, 0));
		code = json_string_value(json_array_get(line, 1));
		text = json_string_value(json_array_get(line, 2));
		sum += told;
		assert_true(version == 3 ? told >= 0 : told >= last);
		last = told;
		if (*code == 'o')
			emulator_write(from_file, text, json_string_length(json_array_get(line, 2)));
		else if (*code == 'r' && sscanf(text, "%ux%u", &cols, &rows) == 2)
			assert_int_equal(emulator_resize(from_file, cols, rows), 0);
		else if (*code == 'x')
			assert_string_equal(text, "3");
		else
			assert_string_equal(code, "m");
		json_decref(line);
	}
	assert_true((version == 2 ? last : sum) == 64.0 || (sum > 63.99 && sum < 64.01));
	assert_int_equal(emulator_new(&straight, 40, 6, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(session); i++) {
		if (session[i].kind == TIMELINE_OUTPUT)
			emulator_write(straight, session[i].data, session[i].len);
		else if (session[i].kind == TIMELINE_RESIZE)
			assert_int_equal(emulator_resize(straight, session[i].cols, session[i].rows), 0);
	}
	assert_true(screen_equal(emulator_screen(from_file), emulator_screen(straight)));
}

static void test_cast_2(void **state)
{
	check_cast(2);
}

static void test_cast_3(void **state)
{
	check_cast(3);
}

static void test_cast_empty(void **state)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	struct cast cast = CAST(2, NULL);
	json_t *line;
	char *at;

	assert_int_equal(cast_end(&cast, -1, &out), 0);
	at = (char *)out.data;
	line = next_line(&at);
	assert_int_equal(json_integer_value(json_object_get(line, "width")), 80);
	json_decref(line);
	assert_int_equal(*at, 0);
}

static const char *shown(struct player *player, struct buf *out)
{
	buf_clear(out);
	assert_int_equal(emulator_text(player->emulator, out), 0);
	return buf_text(out);
}

static void test_player(void **state)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	struct player player;
	uint64_t ms = 0;

	assert_int_equal(player_init(&player, 5000), 0);
	for (size_t i = 0; i < ARRAY_SIZE(session); i++)
		assert_int_equal(player_add(&player, &session[i]), 0);
	assert_int_equal(player.end_ms, 8500); /* a minute of nothing became five seconds */
	player_seek(&player, 0);
	assert_string_equal(shown(&player, &text), "");
	assert_int_equal(player_next_ms(&player), 250);
	player_seek(&player, 1000);
	assert_string_equal(shown(&player, &text), "red gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\n");
	player_seek(&player, UINT64_MAX);
	assert_non_null(strstr(shown(&player, &text), "last"));
	assert_int_equal(player_next_ms(&player), UINT64_MAX);
	assert_int_equal(emulator_screen(player.emulator)->cols, 30);
	player_seek(&player, 260); /* back: the first size too */
	assert_string_equal(shown(&player, &text), "red gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\n");
	assert_int_equal(emulator_screen(player.emulator)->cols, 40);
	assert_true(player_find_mark(&player, 0, false, &ms));
	assert_int_equal(ms, 1000);
	assert_false(player_find_mark(&player, 1000, false, &ms));
	assert_true(player_find_mark(&player, 1001, true, &ms));
	assert_true(player_find_text(&player, 0, "quoted", &ms));
	assert_int_equal(ms, 2500);
	assert_false(player_find_text(&player, 0, "nowhere", &ms));
	assert_string_equal(shown(&player, &text), "");
	player_deinit(&player);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_timeline_damage),
		cmocka_unit_test(test_cast_2),
		cmocka_unit_test(test_cast_3),
		cmocka_unit_test(test_cast_empty),
		cmocka_unit_test(test_player),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
