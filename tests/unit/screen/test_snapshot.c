/* A snapshot brings a new terminal to the same picture, and to the same after whatever follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

#define COLS 20
#define ROWS 6

static struct emulator *start(const char *bytes, size_t len)
{
	struct emulator *emulator;

	assert_int_equal(emulator_new(&emulator, COLS, ROWS, 0), 0);
	emulator_write(emulator, bytes, len);
	return emulator;
}

static void check_equal(const struct emulator *a, const struct emulator *b, const char *what, const char *when)
{
	_cleanup_(buf_deinit) struct buf left = BUF_NULL, right = BUF_NULL;

	if (screen_equal(emulator_screen(a), emulator_screen(b)))
		return;
	assert_int_equal(emulator_text(a, &left) | emulator_text(b, &right), 0);
	fail_msg("%s, %s: cursor %u,%u and %u,%u; modes %x and %x; the picture\n%sbecame\n%s", what, when,
		emulator_screen(a)->cursor_row, emulator_screen(a)->cursor_col, emulator_screen(b)->cursor_row,
		emulator_screen(b)->cursor_col, emulator_screen(a)->modes, emulator_screen(b)->modes, buf_text(&left),
		buf_text(&right));
}

static void check_answers(struct emulator *a, struct emulator *b, const char *what)
{
	_cleanup_(buf_deinit) struct buf left = BUF_NULL, right = BUF_NULL;

	assert_int_equal(emulator_take_reply(a, &left) | emulator_take_reply(b, &right), 0);
	if (left.len != right.len || memcmp(buf_text(&left), buf_text(&right), left.len) != 0)
		fail_msg("%s: answers differ:\n%s\n%s", what, buf_text(&left) + 1, buf_text(&right) + 1);
}

/* Each of these is looked at behind the snapshot, when the pictures were the same at it. */
static const char *const sequels[] = {
	"x", "\314\201", "\r\nnext\n\n\n\n\n\nmore", "\0338here", "\033[?47hother\033[?47l", "\033[?1049l after", "\t\tt",
	"\033[23t\033[23t", "\033[<3u", "a\033[5b", "\033[2;3Hm\033[Kk\033[2L", "q\016q\017q", "\033[?1;5;7;2004r", "\033[?2J",
	"\033[6n\033[?6$p\033P$qm\033\\\033P$qr\033\\\033P$qs\033\\\033[?69$p\033[4$p\033]10;?\007\033]12;?\007\033]4;3;?\007\033[?u",
	"\033[1;1Hmargins\033[S\033[2T\033[10;30Hend of it",
};

static void check(const char *bytes, size_t len, const char *what)
{
	for (size_t i = 0; i < ARRAY_SIZE(sequels); i++) {
		_cleanup_(buf_deinit) struct buf snapshot = BUF_NULL, ignored = BUF_NULL;
		_cleanup_(emulator_free_p) struct emulator *real = start(bytes, len), *again = NULL;

		if (!emulator_settled(real))
			return;
		assert_int_equal(emulator_snapshot(real, &snapshot), 0);
		again = start((const char *)snapshot.data, snapshot.len);
		check_equal(real, again, what, "at once");
		assert_false(emulator_has_reply(again));
		assert_int_equal(emulator_take_reply(real, &ignored), 0);
		emulator_write(real, sequels[i], strlen(sequels[i]));
		emulator_write(again, sequels[i], strlen(sequels[i]));
		check_equal(real, again, what, sequels[i][0] == 033 ? sequels[i] + 1 : sequels[i]);
		check_answers(real, again, what);
	}
}

static const char *const states[] = {
	"", "plain", "a\r\n\r\nb\033[2;5H", "12345678901234567890", "12345678901234567890x",
	"1234567890123456789\344\270\255\344\270\255", "e\314\201", "\344\270\255", "ab\314\201\r\n\314\201c",
	"\033[31;1;4:3;48:2::1:2:3mred\033[0;58:5:9mq", "\033[44m\033[2J\033[3;3H", "\033[1\"qkept\033[0\"qnot\033[1\"q",
	"prim\033[?1049halt\033[3;3H", "prim\033[?47halt\033[?47l", "\033[?1049hvim\033[?1049lback",
	"\033[2;4r\033[?6h\033[2;2Hin", "\033[2;4r\033[6;1Hbelow", "\033[?69h\033[3;9s\033[2;3Hside", "\033[?7lno wrap here at all, never",
	"\033[4hinsert", "\033(0lqk\016\033)0x", "\033*0\033n", "\033]2;title\007\033[22t\033]2;second\007", "\033]2;\007\033[22t\033]2;x\007\033[22t",
	"\033[3g\033[1;4H\033H\033[1;9H\033H", "\033]4;3;#123456\007\033]10;rgb:1/2/3\007\033]11;#fff\007\033]12;#0a0b0c\007", "\033[?1;5;1002;1006;2004h\033=\033[?25l\033[4 q",
	"\033[=1u\033[>3u\033[>7u", "\033[?1049h\033[>5u", "\033[33msave\0337\033[m\033[5;5H", "\033[5;5H\033[?6h\0337\033[?6l",
	"\033[?2004;1s\033[?2004;1h", "\033[?2026h", "\033[20h", "\360\237\221\215\360\237\217\275", "\360\237\207\251\360\237\207\252\360\237\207\252",
	"\342\235\244\357\270\217", "12345678901234567890\0337\033[1;1H", "\033[6;20Hx", "\033[6;1H12345678901234567890\007",
	"\033]8;;https://a.example/\033\\link\033]8;;\033\\none", "\033]8;;https://b.example/x\033\\open \033[31mlink", "\033[>4;2m",
	"\033]8;id=x1;https://a.example/\033\\one\033]8;;\007\r\n\033]8;id=x2;https://a.example/\007two \033]8;id=x1;https://a.example/\007three",
	"\033]133;A\007$ \033]133;B\007ls\r\n\033]133;C\007out\r\n\033]133;D;3\007\033]133;A\007$ ", "\n\n\033]133;D\007\033[H",
	"12345678901234567890\033]133;B\007", "1234567890123456789012\033]133;B\007", "\033]133;A\007prim\033[?1049halt",
	"\033[5;1H1234567890123456789012345\033[T", "\033[1;3r\033[6;1H123456789012345678901x",
	"\033#8", "wrap me around the edge of this line, twice or more, so that it goes on and on",
};

static void test_states(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		check(states[i], strlen(states[i]), states[i][0] == 033 ? states[i] + 1 : states[i]);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(states); i++) {
		char both[1024];
		int len = snprintf(both, sizeof(both), "%s%s", states[i], states[i + 1]);

		check(both, (size_t)len, both[0] == 033 ? both + 1 : both);
	}
}

static void test_not_settled(void **state)
{
	static const char *const open[] = { "\033", "\033[3", "\033]2;t", "\344\270", "\033P", "\033N" };

	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		_cleanup_(emulator_free_p) struct emulator *emulator = start(open[i], strlen(open[i]));

		assert_false(emulator_settled(emulator));
	}
}

static void test_limit(void **state)
{
	_cleanup_(emulator_free_p) struct emulator *emulator = start("some text", 9);
	_cleanup_(buf_deinit) struct buf out = BUF_LIMIT(40);

	assert_int_equal(buf_append_str(&out, "before"), 0);
	assert_int_equal(emulator_snapshot(emulator, &out), -EMSGSIZE);
	assert_int_equal(out.len, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_not_settled),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
