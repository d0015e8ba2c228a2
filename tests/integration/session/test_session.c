/* The holder with real programs on real terminals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/integration/session/fixture.h"
#include "proto/base/io.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SH(script) ((const char *const[]){ "sh", "-c", (script), NULL })

static void test_exit_code(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(buf_deinit) struct buf output = BUF_NULL;
	struct holder_exit exit;

	assert_int_equal(fixture_spawn(fixture, SH("printf 'hello\\n'; exit 3")), 0);
	fixture_connect(fixture);
	assert_int_equal(fixture->hello.id.task, 12);
	assert_int_equal(fixture->hello.id.attempt, 3);
	assert_memory_equal(fixture->hello.id.run_id, fixture->run_id, sizeof(fixture->run_id));
	fixture_wait(fixture, fixture_has_exited, NULL);
	fixture_wait(fixture, fixture_shows, "hello");
	assert_int_equal(fixture->exit.code, 3);
	assert_int_equal(fixture->exit.signal, 0);
	assert_null(fixture->exit.reason);
	assert_true(fixture->exit.time_ms > 0);
	fixture_end(fixture);
	fixture_transcript(fixture, &output);
	assert_string_equal(buf_text(&output), "hello\r\n");
	assert_int_equal(holder_exit_read(fixture->dir, &exit), 0);
	assert_int_equal(exit.code, 3);
}

static void test_signal(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(fixture_spawn(fixture, SH("kill -9 $$")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, -1);
	assert_int_equal(fixture->exit.signal, SIGKILL);
	text = holder_exit_text(&fixture->exit);
	assert_string_equal(text, "killed by SIGKILL");
	fixture_end(fixture);
}

static void test_program_not_there(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, (const char *const[]){ "no-such-program-here", NULL }), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_string_equal(fixture->exit.reason, "cannot start no-such-program-here: No such file or directory");
	assert_int_equal(fixture->exit.code, -1);
	fixture_end(fixture);
}

static void test_directory_not_there(void **state)
{
	struct fixture *fixture = *state;
	struct holder_spec spec = { .argv = SH("exit 0"), .cwd = "/no/such/place", .transcript_limit_bytes = UINT64_MAX };

	assert_int_equal(fixture_spawn_spec(fixture, &spec), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_string_equal(fixture->exit.reason, "cannot start in /no/such/place: No such file or directory");
	fixture_end(fixture);
}

static void test_tombstone(void **state)
{
	struct fixture *fixture = *state;
	struct holder_id id;

	assert_int_equal(holder_state_plant_tombstone(fixture->dir, 12, 3, fixture->run_id), 0);
	assert_int_equal(holder_state_plant_tombstone(fixture->dir, 12, 3, fixture->run_id), STATE_E_EXISTS);
	assert_int_equal(fixture_spawn(fixture, SH("touch ran")), HOLDER_E_EXISTS);
	assert_non_null(fixture->spawn_why);
	assert_int_equal(holder_state_read(fixture->dir, &id), STATE_E_TOMBSTONE);
	assert_false(fixture_file_exists(fixture, "ran"));
	assert_int_equal(holder_connect(fixture->event, fixture->dir, &(struct holder_ops){ 0 }, NULL, &fixture->holder), -ENOENT);
}

static void test_second_holder_gives_way(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("read line; exit 5")), 0);
	assert_int_equal(fixture_spawn(fixture, SH("touch ran")), HOLDER_E_EXISTS);
	fixture_connect(fixture);
	fixture_type(fixture, "go\n");
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 5);
	assert_false(fixture_file_exists(fixture, "ran"));
	assert_int_equal(holder_state_plant_tombstone(fixture->dir, 12, 3, fixture->run_id), STATE_E_EXISTS);
	fixture_end(fixture);
}

static bool has_title(struct fixture *fixture, const void *what)
{
	return strcmp(fixture->screen.title, what) == 0;
}

static void test_keys_and_size(void **state)
{
	struct fixture *fixture = *state;
	struct holder_spec spec = { .argv = (const char *const[]){ "sh", NULL }, .cols = 100, .rows = 30,
		.env = (const char *const[]){ "PS1=ready> ", "ENV=", NULL }, .transcript_limit_bytes = UINT64_MAX };

	assert_int_equal(fixture_spawn_spec(fixture, &spec), 0);
	fixture_connect(fixture);
	assert_int_equal(fixture->hello.cols, 100);
	fixture_wait(fixture, fixture_shows, "ready>");
	fixture_type(fixture, "stty size; echo $((6*7))=answer\r");
	fixture_wait(fixture, fixture_shows, "30 100");
	fixture_wait(fixture, fixture_shows, "42=answer");
	assert_int_equal(holder_send_resize(fixture->holder, 60, 20), 0);
	fixture_type(fixture, "stty size; tty; echo term=$TERM/$TERM_PROGRAM\r");
	fixture_wait(fixture, fixture_shows, "20 60");
	fixture_wait(fixture, fixture_shows, "/dev/pts/");
	fixture_wait(fixture, fixture_shows, "term=xterm-256color/maestro");
	assert_int_equal(fixture->screen.cols, 60);
	fixture_type(fixture, "printf '\\033]0;%s\\007' 'a title'\r");
	fixture_wait(fixture, has_title, "a title");
	fixture_type(fixture, "exit 0\r");
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 0);
	fixture_end(fixture);
}

/* The terminal answers what a program asks it. */
static void test_query(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("stty raw -echo; printf '\\033[5n'; dd bs=1 count=4 2>/dev/null | od -An -c")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "033   [   0   n");
	fixture_wait(fixture, fixture_has_exited, NULL);
	fixture_end(fixture);
}

static void test_environment(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(buf_deinit) struct buf output = BUF_NULL;
	struct holder_spec spec = { .argv = SH("env; ls -l /proc/self/fd | wc -l"), .transcript_limit_bytes = UINT64_MAX,
		.env = (const char *const[]){ "MAESTRO_TASK=12", "LANG=tlh", NULL } };

	assert_int_equal(setenv("SSH_AUTH_SOCK", "/hidden", 1), 0);
	assert_int_equal(setenv("SOME_SECRET", "hidden", 1), 0);
	assert_int_equal(fixture_spawn_spec(fixture, &spec), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	fixture_end(fixture);
	fixture_transcript(fixture, &output);
	assert_null(strstr(buf_text(&output), "hidden"));
	assert_null(strstr(buf_text(&output), "MAESTRO_LIBEXEC"));
	assert_non_null(strstr(buf_text(&output), "MAESTRO_TASK=12\r\n"));
	assert_non_null(strstr(buf_text(&output), "LANG=tlh\r\n"));
	assert_non_null(strstr(buf_text(&output), "COLORTERM=truecolor\r\n"));
	assert_non_null(strstr(buf_text(&output), "PATH="));
	/* "total 0", 0, 1, 2 and ls's own. */
	assert_non_null(strstr(buf_text(&output), "\r\n5\r\n"));
}

/* A worker that is killed: the program does not notice, the next worker goes on. */
static void test_client_killed(void **state)
{
	struct fixture *fixture = *state;
	struct holder_id id;
	pid_t child;
	int status;

	assert_int_equal(fixture_spawn(fixture, SH("echo begun; read a; echo got $a; read b; exit 4")), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sd_event_unref(take(fixture->event)); /* was made by the parent */
		if (sd_event_new(&fixture->event) < 0)
			_exit(1);
		fixture_connect(fixture);
		fixture_wait(fixture, fixture_shows, "begun");
		fixture_type(fixture, "one\r");
		fixture_wait(fixture, fixture_shows, "got one");
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	assert_int_equal(holder_state_read(fixture->dir, &id), 0);
	assert_int_equal(id.pid, fixture->id.pid);
	assert_int_equal(id.start_time, fixture->id.start_time);
	assert_int_equal(holder_verify(&id), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "got one");
	fixture_type(fixture, "two\r");
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 4);
	/* Nobody said forget: the exit is told again. */
	fixture_disconnect(fixture);
	fixture_connect(fixture);
	assert_true(fixture->hello.exited);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 4);
	fixture_wait(fixture, fixture_shows, "got one");
	fixture_end(fixture);
}

/* Adopted is only that very process. */
static void test_verify(void **state)
{
	struct fixture *fixture = *state;
	struct holder_id id;

	assert_int_equal(fixture_spawn(fixture, SH("read a")), 0);
	id = fixture->id;
	assert_int_equal(holder_verify(&id), 0);
	id.start_time++;
	assert_int_equal(holder_verify(&id), STATE_E_GONE);
	id = fixture->id;
	id.boot_id[0] = id.boot_id[0] == 'a' ? 'b' : 'a';
	assert_int_equal(holder_verify(&id), STATE_E_REBOOTED);
	fixture_connect(fixture);
	assert_int_equal(holder_send_kill(fixture->holder, 0), 0);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.signal, SIGKILL);
	fixture_end(fixture);
}

static pid_t read_pid(struct fixture *fixture, const char *name)
{
	_cleanup_free_ char *path = fixture_path(fixture, name), *text = NULL;

	assert_int_equal(io_read_file(path, 100, &text, NULL), 0);
	return atoi(text);
}

/* In a session of its own, orphaned, deaf to every polite signal; `name` is there when it is so. */
#define DEAF(name)                                                                                           \
	"(setsid sh -c 'trap \"\" TERM HUP INT; echo $$ > " name ".new; mv " name ".new " name                \
	"; echo " name " is up; while :; do sleep 1000; done' &) & "

static void test_kill_tree(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("trap '' TERM; " DEAF("deaf") "while :; do read a; done")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "deaf is up");
	assert_int_equal(kill(read_pid(fixture, "deaf"), 0), 0);
	assert_int_equal(holder_send_kill(fixture->holder, 200), 0);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(kill(read_pid(fixture, "deaf"), 0), -1);
	assert_int_equal(errno, ESRCH);
	fixture_end(fixture);
}

/* A program that ends by itself leaves nothing behind, and its own code is what counts. */
static void test_leftovers(void **state)
{
	struct fixture *fixture = *state;
	struct holder_spec spec = { .argv = SH(DEAF("deaf") "while [ ! -e deaf ]; do :; done; exit 6"), .grace_ms = 100,
		.transcript_limit_bytes = UINT64_MAX };

	assert_int_equal(fixture_spawn_spec(fixture, &spec), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 6);
	assert_int_equal(kill(read_pid(fixture, "deaf"), 0), -1);
	fixture_end(fixture);
}

static void test_terminated_politely(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("trap 'echo bye; exit 9' TERM; echo up; while :; do read a; done")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "up");
	assert_int_equal(holder_send_kill(fixture->holder, UINT64_MAX), 0);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 9);
	fixture_end(fixture);
}

/* Nobody reads, nobody acknowledges: the program prints on all the same, and not a byte is lost. */
static void test_flood_without_reader(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(buf_deinit) struct buf output = BUF_NULL;
	char last[] = "300000\r\n";

	fixture->acknowledge = false;
	assert_int_equal(fixture_spawn(fixture, SH("seq 1 300000; exit 0")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->frames, 1);
	assert_int_equal(holder_send_watch(fixture->holder, MAESTRO__HOLDER_SERIES__SERIES_ATTACHED, true, 0, true), 0);
	fixture_wait(fixture, fixture_shows, "300000");
	fixture_end(fixture);
	fixture_transcript(fixture, &output);
	assert_int_equal(output.len, 1988895 + 300000); /* digits and newlines, and a carriage return each */
	assert_string_equal(buf_text(&output) + output.len - strlen(last), last);
}

/* A few bytes that ask for a million cells each are shown in turns, to the last of them though no more output comes. Seen to
 * fail (to hang) without the timer of the next turn. */
static void test_dear_output_takes_turns(void **state)
{
	struct fixture *fixture = *state;
	struct holder_spec spec = { .cols = 1000, .rows = 1000, .transcript_limit_bytes = UINT64_MAX, .argv = SH("read a; i=0; "
		"while [ $i -lt 100 ]; do t=\"$t\\033#8\"; i=$((i+1)); done; printf \"$t\\033[2J\\033[Hdone\"; read b") };

	assert_int_equal(fixture_spawn_spec(fixture, &spec), 0);
	fixture_connect(fixture);
	fixture_type(fixture, "\r");
	fixture_wait(fixture, fixture_shows, "done");
	fixture_type(fixture, "\r");
	fixture_wait(fixture, fixture_has_exited, NULL);
	fixture_end(fixture);
}

static bool has_screenshot(struct fixture *fixture, const void *what)
{
	return fixture->got_screenshot;
}

static void test_screenshot(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("printf 'plain \\033[1;31mred\\033[0m\\n'; read a")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "red");
	assert_int_equal(holder_ask_screenshot(fixture->holder, false, 0), 0);
	fixture_wait(fixture, has_screenshot, NULL);
	assert_string_equal(buf_text(&fixture->screenshot), "plain red\n");
	fixture->got_screenshot = false;
	assert_int_equal(holder_ask_screenshot(fixture->holder, true, 0), 0);
	fixture_wait(fixture, has_screenshot, NULL);
	assert_string_equal(buf_text(&fixture->screenshot), "plain \033[0;1;31mred\033[0m\n");
	fixture_type(fixture, "\r");
	fixture_end(fixture);
}

/* A picture that the program has not finished is not shown; one that it never finishes is, after a while. */
static void test_synchronized(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture_spawn(fixture, SH("read a; printf '\\033[?2026hhalf'; read b")), 0);
	fixture_connect(fixture);
	fixture_type(fixture, "\r");
	fixture_wait(fixture, fixture_shows, "half");
	fixture_type(fixture, "\r");
	fixture_end(fixture);
}

/* Longer than a socket's address can be. */
static bool exit_is_written(struct fixture *fixture, const void *what)
{
	struct holder_exit exit;

	return holder_exit_read(fixture->dir, &exit) == 0 && exit.code == *(const int *)what;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	return 0;
}

/* Where no exit can be written it is told all the same, again to the next worker, and written when there is room. */
static void test_exit_not_writable(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *path = io_join(fixture->dir, "exit"), *inside = io_join(path, "in the way");
	sd_event_source *watch = NULL; /* only so that the wait looks again when something appears */
	struct holder_exit exit;

	assert_true(sd_event_add_inotify(fixture->event, &watch, fixture->dir, IN_CREATE | IN_MOVED_TO, on_change, NULL) >= 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(fixture_spawn(fixture, SH("exit 4")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 4);
	assert_int_not_equal(holder_exit_read(fixture->dir, &exit), 0);
	fixture_disconnect(fixture);
	fixture->exited = false;
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_has_exited, NULL);
	assert_int_equal(fixture->exit.code, 4);
	assert_int_equal(rmdir(inside) | rmdir(path), 0);
	fixture_wait(fixture, exit_is_written, &(int){ 4 });
	sd_event_source_unref(watch);
	fixture_end(fixture);
}

static void test_long_path(void **state)
{
	struct fixture *fixture = *state;
	char name[151];
	char *deep, *old = fixture->dir;

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	deep = io_join(old, name);
	assert_int_equal(io_make_dirs(deep, 0700), 0);
	fixture->dir = deep;
	assert_int_equal(fixture_spawn(fixture, SH("exit 2")), 0);
	fixture_connect(fixture);
	fixture_end(fixture);
	assert_int_equal(fixture->exit.code, 2);
	fixture_disconnect(fixture);
	fixture->dir = old;
	free(deep);
}

/* The holder itself is asked to leave (a machine that shuts down): its session ends, the exit is on disk. */
static void test_holder_terminated(void **state)
{
	struct fixture *fixture = *state;
	struct holder_exit exit;

	assert_int_equal(fixture_spawn(fixture, SH("echo up; read a")), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "up");
	assert_int_equal(kill((pid_t)fixture->id.pid, SIGTERM), 0);
	fixture_wait(fixture, fixture_has_closed, NULL);
	assert_int_equal(holder_exit_read(fixture->dir, &exit), 0);
	assert_int_equal(exit.signal, SIGTERM);
}

int main(int argc, char **argv)
{
#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_exit_code),
		SESSION_TEST(test_signal),
		SESSION_TEST(test_program_not_there),
		SESSION_TEST(test_directory_not_there),
		SESSION_TEST(test_tombstone),
		SESSION_TEST(test_second_holder_gives_way),
		SESSION_TEST(test_keys_and_size),
		SESSION_TEST(test_query),
		SESSION_TEST(test_environment),
		SESSION_TEST(test_client_killed),
		SESSION_TEST(test_verify),
		SESSION_TEST(test_kill_tree),
		SESSION_TEST(test_leftovers),
		SESSION_TEST(test_terminated_politely),
		SESSION_TEST(test_flood_without_reader),
		SESSION_TEST(test_dear_output_takes_turns),
		SESSION_TEST(test_screenshot),
		SESSION_TEST(test_synchronized),
		SESSION_TEST(test_exit_not_writable),
		SESSION_TEST(test_long_path),
		SESSION_TEST(test_holder_terminated),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
