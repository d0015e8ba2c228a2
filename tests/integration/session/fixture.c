#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/integration/session/fixture.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "worker/session/transcript.h"

#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <poll.h>
#include <signal.h>

static void on_hello(void *userdata, const struct holder_hello *hello)
{
	struct fixture *fixture = userdata;

	fixture->hello = *hello;
	fixture->said_hello = true;
}

static void on_screen(void *userdata, Maestro__HolderSeries series, uint64_t frame, const void *data, size_t len)
{
	struct fixture *fixture = userdata;

	assert_int_equal(screen_apply(&fixture->screen, data, len), 0);
	fixture->frames++;
	if (fixture->acknowledge)
		assert_int_equal(holder_send_ack(fixture->holder, series, frame), 0);
}

static void on_activity(void *userdata, uint64_t output_bytes, const char *title, size_t title_len, bool bell)
{
	struct fixture *fixture = userdata;

	fixture->output_bytes = output_bytes;
	if (title)
		snprintf(fixture->title, sizeof(fixture->title), "%.*s", (int)title_len, title);
}

static void on_screenshot(void *userdata, const void *data, size_t len)
{
	struct fixture *fixture = userdata;

	buf_clear(&fixture->screenshot);
	assert_int_equal(buf_append(&fixture->screenshot, data, len), 0);
	fixture->got_screenshot = true;
}

static void on_exit_told(void *userdata, const struct holder_exit *exit)
{
	struct fixture *fixture = userdata;

	assert_false(fixture->exited);
	fixture->exit = *exit;
	fixture->exit.reason = exit->reason ? strdup(exit->reason) : NULL;
	fixture->exited = true;
}

static void on_closed(void *userdata, int r)
{
	struct fixture *fixture = userdata;

	assert_int_equal(r, 0);
	fixture->closed = true;
}

static const struct holder_ops ops = {
	.hello = on_hello,
	.screen = on_screen,
	.activity = on_activity,
	.screenshot = on_screenshot,
	.exit = on_exit_told,
	.closed = on_closed,
};

char *fixture_path(struct fixture *fixture, const char *name)
{
	char *path = io_join(fixture->work, name);

	assert_non_null(path);
	return path;
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(fixture);
	assert_true(asprintf(&fixture->dir, "%s/maestro-session-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(fixture->dir));
	fixture->work = io_join(fixture->dir, "work");
	assert_int_equal(io_make_dirs(fixture->work, 0700), 0);
	assert_true(sd_event_new(&fixture->event) >= 0);
	memset(fixture->run_id, 7, sizeof(fixture->run_id));
	fixture->acknowledge = true;
	fixture->screen = SCREEN_NULL;
	*state = fixture;
	return 0;
}

/* A holder that a test left behind is ended by its own process, not by its number alone; until then it writes into the
 * directory that is to be removed. */
static void end_leftover(struct fixture *fixture)
{
	_cleanup_close_ int fd = -1;
	struct pollfd gone = { .events = POLLIN };
	struct holder_id id;

	if (holder_state_read(fixture->dir, &id) || holder_verify(&id))
		return;
	fd = pidfd_open((pid_t)id.pid, 0);
	gone.fd = fd;
	if (fd >= 0 && holder_verify(&id) == 0 && pidfd_send_signal(fd, SIGTERM, NULL, 0) == 0)
		(void)poll(&gone, 1, FIXTURE_DEADLINE_MS);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	fixture_disconnect(fixture);
	holder_spawn_free(fixture->spawn);
	end_leftover(fixture);
	screen_deinit(&fixture->screen);
	buf_deinit(&fixture->screenshot);
	holder_exit_deinit(&fixture->exit);
	sd_event_unref(fixture->event);
	assert_int_equal(io_remove_tree(fixture->dir), 0);
	free(fixture->spawn_why);
	free(fixture->work);
	free(fixture->dir);
	free(fixture);
	return 0;
}

void fixture_wait(struct fixture *fixture, bool (*so)(struct fixture *fixture, const void *what), const void *what)
{
	uint64_t end_ms = clock_boottime_ms() + FIXTURE_DEADLINE_MS;

	while (!so(fixture, what)) {
		if (clock_boottime_ms() >= end_ms) {
			_cleanup_(buf_deinit) struct buf text = BUF_NULL;

			(void)screen_text(&fixture->screen, &text);
			fail_msg("waited in vain; the screen shows:\n%s", buf_text(&text));
		}
		assert_true(sd_event_run(fixture->event, FIXTURE_DEADLINE_MS * 1000ull) >= 0);
	}
}

static void on_spawned(void *userdata, int r, const struct holder_id *id, const char *why)
{
	struct fixture *fixture = userdata;

	fixture->spawned = true;
	fixture->spawn_result = r;
	fixture->spawn_why = why ? strdup(why) : NULL;
	if (id)
		fixture->id = *id;
}

static bool is_spawned(struct fixture *fixture, const void *what)
{
	return fixture->spawned;
}

int fixture_spawn_spec(struct fixture *fixture, struct holder_spec *spec)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	spec->task = 12;
	spec->attempt = 3;
	spec->run_id = fixture->run_id;
	spec->session_dir = fixture->dir;
	if (!spec->cwd)
		spec->cwd = fixture->work;
	fixture->spawned = false;
	holder_spawn_free(fixture->spawn);
	fixture->spawn = NULL;
	free(take(fixture->spawn_why));
	if (holder_spawn(fixture->event, spec, on_spawned, fixture, &fixture->spawn, &error))
		fail_msg("%s", error_text(&error, -EIO));
	fixture_wait(fixture, is_spawned, NULL);
	return fixture->spawn_result;
}

int fixture_spawn(struct fixture *fixture, const char *const *argv)
{
	struct holder_spec spec = { .argv = argv, .transcript_limit_bytes = UINT64_MAX };

	return fixture_spawn_spec(fixture, &spec);
}

static bool has_said_hello(struct fixture *fixture, const void *what)
{
	return fixture->said_hello;
}

void fixture_connect(struct fixture *fixture)
{
	fixture->said_hello = fixture->exited = fixture->closed = false;
	holder_exit_deinit(&fixture->exit);
	screen_deinit(&fixture->screen);
	assert_int_equal(holder_connect(fixture->event, fixture->dir, &ops, fixture, &fixture->holder), 0);
	assert_int_equal(holder_send_watch(fixture->holder, MAESTRO__HOLDER_SERIES__SERIES_ATTACHED, true, 0, false), 0);
	fixture_wait(fixture, has_said_hello, NULL);
}

void fixture_disconnect(struct fixture *fixture)
{
	holder_free(take(fixture->holder));
}

bool fixture_has_exited(struct fixture *fixture, const void *what)
{
	return fixture->exited;
}

bool fixture_has_closed(struct fixture *fixture, const void *what)
{
	return fixture->closed;
}

bool fixture_shows(struct fixture *fixture, const void *what)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	assert_int_equal(screen_text(&fixture->screen, &text), 0);
	return strstr(buf_text(&text), what) != NULL;
}

bool fixture_file_exists(struct fixture *fixture, const char *what)
{
	_cleanup_free_ char *path = fixture_path(fixture, what);

	return access(path, F_OK) == 0;
}

void fixture_type(struct fixture *fixture, const char *text)
{
	assert_int_equal(holder_send_input(fixture->holder, text, strlen(text)), 0);
}

void fixture_transcript(struct fixture *fixture, struct buf *out)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	_cleanup_free_ char *path = io_join(fixture->dir, "transcript.zst");
	uint64_t at = 0;
	int r;

	assert_int_equal(transcript_reader_new(&reader, path), 0);
	do
		r = transcript_read(reader, at, SIZE_MAX, out, &at);
	while (r == 0);
	assert_int_equal(r, TRANSCRIPT_E_END);
}

/* A process that is gone can be heard of without waiting for a time: its descriptor becomes readable. */
static int on_gone(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	*(bool *)userdata = true;
	return 0;
}

static bool is_true(struct fixture *fixture, const void *what)
{
	return *(const bool *)what;
}

void fixture_end(struct fixture *fixture)
{
	_cleanup_close_ int fd = -1;
	sd_event_source *source = NULL;
	bool gone = false;

	fixture_wait(fixture, fixture_has_exited, NULL);
	fd = pidfd_open((pid_t)fixture->id.pid, 0);
	assert_true(fd >= 0);
	assert_true(sd_event_add_io(fixture->event, &source, fd, 1 /* EPOLLIN */, on_gone, &gone) >= 0);
	assert_int_equal(holder_send_forget(fixture->holder), 0);
	fixture_wait(fixture, fixture_has_closed, NULL);
	fixture_wait(fixture, is_true, &gone);
	sd_event_source_disable_unref(source);
	assert_int_equal(holder_verify(&fixture->id), STATE_E_GONE);
}
