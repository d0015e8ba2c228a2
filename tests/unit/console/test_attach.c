/* `maestro attach` on a real pseudo terminal, with the coordinator in this process. */
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>
#include <unistd.h>
#include <cmocka.h>

#include "console/cli/command.h"
#include "proto/wire/screen.h"
#include "tests/unit/console/fake.h"

struct attached {
	struct fake fake;
	int terminal, line;    /* both ends of the pseudo terminal */
	struct termios before;
	struct buf shown;      /* all that was written to the terminal */
	const char *wanted;
	unsigned int found;
	unsigned int opened, keys, taken_over;
	bool ended;            /* the session */
	uint32_t stream;
	char typed[64];
	pid_t pid;
};

static void send_screen(struct attached *a, const char *text)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct screen screen;

	assert_int_equal(screen_init(&screen, 40, 10), 0);
	for (unsigned int x = 0; text[x]; x++)
		screen.row[0].cells[x] = (struct screen_cell){ .glyph = (unsigned char)text[x], .width = 1 };
	screen.row[0].used = (uint16_t)strlen(text);
	screen.modes = SCREEN_MODE_BRACKETED_PASTE;
	screen.frame = 1;
	screen_touch(&screen, &screen.row[0]);
	assert_int_equal(screen_encode(NULL, &screen, &update, NULL), 0);
	screen_deinit(&screen);
	frame.stream = a->stream;
	frame.frame = 1;
	frame.update = (ProtobufCBinaryData){ .len = update.len, .data = update.data };
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
	envelope.stream_frame = &frame;
	fake_send(&a->fake, &envelope);
}

static void answer(struct fake *fake, const Maestro__Envelope *request, Maestro__Envelope *reply)
{
	struct attached *a = container_of(fake, struct attached, fake);
	static Maestro__Task task, *tasks[] = { &task };
	static Maestro__TaskList list;

	if (request->body_case == MAESTRO__ENVELOPE__BODY_LIST_TASKS) {
		maestro__task__init(&task);
		maestro__task_list__init(&list);
		task.id = 4;
		task.has_session = true;
		task.session = a->ended ? MAESTRO__SESSION_STATE__SESSION_ENDED : MAESTRO__SESSION_STATE__SESSION_LIVE;
		list.n_tasks = 1;
		list.tasks = tasks;
		reply->body_case = MAESTRO__ENVELOPE__BODY_TASK_LIST;
		reply->task_list = &list;
	} else if (request->body_case == MAESTRO__ENVELOPE__BODY_STREAM_OPEN) {
		a->stream = request->stream_open->stream;
		a->opened++;
		assert_int_equal(request->stream_open->cols, 40);
		assert_true(request->stream_open->has_take_over && !request->stream_open->take_over);
	} else if (request->body_case == MAESTRO__ENVELOPE__BODY_READ_TASK) {
		static const char above[] = "first \033[31mneedle\033[0m line\nsecond\nthird\n\n\n\n\n\n\n\n\n\n\n\nlast\n";
		static Maestro__SessionBytes bytes;

		assert_int_equal(request->read_task->kind, MAESTRO__READ_KIND__READ_SCROLLBACK);
		maestro__session_bytes__init(&bytes);
		bytes.has_data = true;
		bytes.data = bytes_of(above);
		reply->body_case = MAESTRO__ENVELOPE__BODY_SESSION_BYTES;
		reply->session_bytes = &bytes;
	} else if (request->body_case == MAESTRO__ENVELOPE__BODY_STREAM_INPUT && request->stream_input->take_over) {
		a->taken_over++;
	} else if (request->body_case == MAESTRO__ENVELOPE__BODY_STREAM_INPUT && request->stream_input->has_data) {
		size_t len = strlen(a->typed), n = request->stream_input->data.len;

		assert_true(len + n < sizeof(a->typed));
		memcpy(a->typed + len, request->stream_input->data.data, n);
		a->keys += (unsigned int)n;
	}
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct attached *a = userdata;
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n > 0)
		assert_int_equal(buf_append(&a->shown, chunk, (size_t)n), 0);
	a->found = a->wanted && strstr(buf_text(&a->shown), a->wanted);
	return 0;
}

static void expect(struct attached *a, const char *text)
{
	a->wanted = text;
	a->found = strstr(buf_text(&a->shown), text) != NULL;
	fake_run_until(&a->fake, &a->found, 1);
}

/* A program of its own: a fork of this one would share the threads of the link. */
static pid_t start_maestro(struct attached *a)
{
	const char *program = getenv("MAESTRO_PROGRAM");
	pid_t pid;

	assert_non_null(program);
	setenv("MAESTRO_HOME", a->fake.directory, 1);
	pid = fork();
	if (pid == 0) {
		setsid();
		login_tty(a->line);
		execl(program, program, "--coordinator", a->fake.address, "attach", "4", (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int setup(void **state)
{
	struct attached *a = calloc(1, sizeof(*a));
	struct winsize size = { .ws_row = 10, .ws_col = 40 };

	fake_start(&a->fake);
	a->fake.answer = answer;
	assert_int_equal(openpty(&a->terminal, &a->line, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(a->line, &a->before), 0);
	assert_true(sd_event_add_io(a->fake.event, NULL, a->terminal, EPOLLIN, on_output, a) >= 0);
	a->pid = start_maestro(a);
	fake_run_until(&a->fake, &a->opened, 1);
	expect(a, "\033[?1049h");
	send_screen(a, "hello from the session");
	expect(a, "hello from the session");
	*state = a;
	return 0;
}

static void expect_restored(struct attached *a, int status)
{
	struct termios after;
	int ended;

	expect(a, "\033[?1049l");
	assert_non_null(strstr(buf_text(&a->shown), "\033[?2004l"));
	assert_int_equal(waitpid(a->pid, &ended, 0), a->pid);
	assert_true(status < 0 ? WIFSIGNALED(ended) : WIFEXITED(ended) && WEXITSTATUS(ended) == status);
	assert_int_equal(tcgetattr(a->line, &after), 0);
	assert_int_equal(after.c_lflag, a->before.c_lflag);
	assert_int_equal(after.c_iflag, a->before.c_iflag);
	assert_int_equal(after.c_oflag, a->before.c_oflag);
}

static int teardown(void **state)
{
	struct attached *a = *state;

	buf_deinit(&a->shown);
	fake_stop(&a->fake);
	close(a->terminal);
	close(a->line);
	free(a);
	return 0;
}

static void type(struct attached *a, const char *keys)
{
	assert_int_equal(write(a->terminal, keys, strlen(keys)), strlen(keys));
}

static void test_keys_and_detach(void **state)
{
	struct attached *a = *state;

	assert_non_null(strstr(buf_text(&a->shown), "\033[?2004h")); /* as the program in the session asked */
	type(a, "ls\r\x03");
	fake_run_until(&a->fake, &a->keys, 4);
	assert_memory_equal(a->typed, "ls\r\x03", 4);
	type(a, "\x1c\x1c"); /* twice: one for the session */
	fake_run_until(&a->fake, &a->keys, 5);
	assert_int_equal(a->typed[4], 0x1c);
	type(a, "\x1c" "d");
	expect_restored(a, 0);
	expect(a, "Detached from task 4");
	assert_int_equal(a->keys, 5);
}

static void test_session_ends(void **state)
{
	struct attached *a = *state;
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	close.stream = a->stream;
	close.has_reason = true;
	close.reason = bytes_of("exit \033[31m0");
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_CLOSE;
	envelope.stream_close = &close;
	a->ended = true;
	fake_send(&a->fake, &envelope);
	expect_restored(a, 0);
	expect(a, "the session ended: exit  [31m0");
}

/* The stream was closed because the worker is away: the session lives, so it is opened again. */
static void test_worker_away(void **state)
{
	struct attached *a = *state;
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	close.stream = a->stream;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_CLOSE;
	envelope.stream_close = &close;
	fake_send(&a->fake, &envelope);
	expect(a, "s old");
	fake_run_until(&a->fake, &a->opened, 2);
	send_screen(a, "here again");
	expect(a, "here again");
	type(a, "\x1c" "d");
	expect_restored(a, 0);
	expect(a, "Detached from task 4");
}

static void test_sigterm(void **state)
{
	struct attached *a = *state;

	kill(a->pid, SIGTERM);
	expect_restored(a, 0);
}

static void test_crash(void **state)
{
	struct attached *a = *state;

	kill(a->pid, SIGABRT);
	expect_restored(a, -1);
}

/* Forgets what was shown, so that what comes is looked at alone. */
static void forget(struct attached *a)
{
	buf_clear(&a->shown);
}

static void test_look_back(void **state)
{
	struct attached *a = *state;

	type(a, "\x1c");
	expect(a, "d leave");
	type(a, "[");
	expect(a, "15/15");
	assert_non_null(strstr(buf_text(&a->shown), "last"));
	forget(a);
	type(a, "/needle\r");
	expect(a, "\033[0;7;31mneedle"); /* found, and marked */
	expect(a, "1/15");
	forget(a);
	type(a, "v\033[B");
	expect(a, "2/15");
	forget(a);
	type(a, "y");
	expect(a, "\033]52;c;Zmlyc3QgbmVlZGxlIGxpbmUKc2Vjb25kCg==\007"); /* two lines */
	expect(a, "hello from the session");
	assert_int_equal(a->keys, 0); /* none was for the session */
	type(a, "x");
	fake_run_until(&a->fake, &a->keys, 1);
	type(a, "\x1c" "d");
	expect_restored(a, 0);
}

static void tell_driver(struct attached *a, bool driving, bool driven)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	frame.stream = a->stream;
	frame.has_driving = frame.has_driven = true;
	frame.driving = driving;
	frame.driven = driven;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
	envelope.stream_frame = &frame;
	fake_send(&a->fake, &envelope);
}

static void test_take_over(void **state)
{
	struct attached *a = *state;

	tell_driver(a, false, true);
	expect(a, "somebody else types here");
	type(a, "lost");
	forget(a);
	expect(a, "somebody else types here");
	type(a, "\x1c" "t");
	fake_run_until(&a->fake, &a->taken_over, 1);
	tell_driver(a, true, false);
	expect(a, "your keys go to the session now");
	type(a, "mine");
	fake_run_until(&a->fake, &a->keys, 4);
	assert_memory_equal(a->typed, "mine", 4);
	type(a, "\x1c" "d");
	expect_restored(a, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys_and_detach), TEST(test_session_ends), TEST(test_sigterm), TEST(test_crash),
		TEST(test_worker_away), TEST(test_look_back), TEST(test_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
