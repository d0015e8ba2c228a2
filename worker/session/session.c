#include "worker/session/session.h"
#include "worker/session/environment.h"
#include "worker/session/peer.h"
#include "worker/session/tree.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define READ_BYTES 16384
#define ECHO_BYTES 64
#define DRAIN_BYTES_MAX (64u * 1024) /* then the workers have their turn */

static char **strings_of(const ProtobufCBinaryData *items, size_t count)
{
	char **strings = calloc(count + 1, sizeof(*strings));

	for (size_t i = 0; strings && i < count; i++) {
		strings[i] = bytes_dup(&items[i]);
		if (!strings[i]) {
			environment_free(strings);
			return NULL;
		}
	}
	return strings;
}

static bool has_nul(const ProtobufCBinaryData *data)
{
	return data->len && memchr(data->data, 0, data->len);
}

static int check_spec(const Maestro__HolderSpec *spec, struct error *error)
{
	if (spec->run_id.len != STATE_RUN_ID_BYTES)
		return error_set(error, -EINVAL, "the run id has %zu bytes, not %d", spec->run_id.len, STATE_RUN_ID_BYTES);
	if (!spec->session_dir.len || spec->session_dir.data[0] != '/' || has_nul(&spec->session_dir))
		return error_set(error, -EINVAL, "the session's directory is no absolute path");
	if (!spec->cwd.len || spec->cwd.data[0] != '/' || has_nul(&spec->cwd))
		return error_set(error, -EINVAL, "the working directory is no absolute path");
	if (!spec->n_argv || !spec->argv[0].len)
		return error_set(error, -EINVAL, "there is no program to run");
	for (size_t i = 0; i < spec->n_argv; i++)
		if (has_nul(&spec->argv[i]))
			return error_set(error, -EINVAL, "argument %zu holds a NUL", i);
	for (size_t i = 0; i < spec->n_env; i++)
		if (has_nul(&spec->env[i]))
			return error_set(error, -EINVAL, "environment entry %zu holds a NUL", i);
	return 0;
}

static unsigned int clamp(bool has, uint32_t value, unsigned int otherwise, unsigned int max)
{
	if (!has || !value)
		return otherwise;
	return value < max ? value : max;
}

/* Everything that the program needs, from the spec. */
static int take_spec(struct session *session)
{
	const Maestro__HolderSpec *spec = session->spec;
	char **additions = strings_of(spec->env, spec->n_env);
	int r;

	session->dir = bytes_dup(&spec->session_dir);
	session->cwd = bytes_dup(&spec->cwd);
	session->argv = strings_of(spec->argv, spec->n_argv);
	r = additions ? environment_make((const char *const *)environ, (const char *const *)additions, spec->n_env, &session->env) : -ENOMEM;
	environment_free(additions);
	if (r || !session->dir || !session->cwd || !session->argv)
		return -ENOMEM;
	session->grace_ms = spec->has_grace_ms ? spec->grace_ms : SESSION_GRACE_MS;
	session->transcript_limit_bytes = spec->has_transcript_limit_bytes ? spec->transcript_limit_bytes : TRANSCRIPT_LIMIT_BYTES;
	session->id = (struct holder_id){ .task = spec->task, .attempt = spec->attempt };
	memcpy(session->id.run_id, spec->run_id.data, STATE_RUN_ID_BYTES);
	session->pty_spec = (struct pty_spec){
		.argv = session->argv,
		.env = session->env,
		.cwd = session->cwd,
		.cols = clamp(spec->has_cols, spec->cols, 80, SCREEN_COLS_MAX),
		.rows = clamp(spec->has_rows, spec->rows, 24, SCREEN_ROWS_MAX),
		.nice = spec->nice,
		.limit_memory_bytes = spec->limit_memory_bytes,
		.limit_files = spec->limit_files,
		.limit_processes = spec->limit_processes,
	};
	return 0;
}

int session_new(struct session **ret_session, struct message *spec, struct error *error)
{
	_cleanup_(session_free_p) struct session *session = NULL;
	int r;

	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->spec_message = *spec;
	*spec = MESSAGE_NULL;
	session->spec = (const Maestro__HolderSpec *)session->spec_message.base;
	session->pty = PTY_NULL;
	session->scratch = SCREEN_NULL;
	session->listen_fd = -1;
	session->exit.code = -1;
	list_init(&session->peers);
	log_init(&session->log, "maestro-session", 2, LOG_LEVEL_INFO);
	r = check_spec(session->spec, error);
	if (!r)
		r = take_spec(session);
	if (r)
		return r;
	message_deinit(&session->spec_message); /* everything has been copied */
	session->spec = NULL;
	*ret_session = take(session);
	return 0;
}

void session_free(struct session *session)
{
	struct peer *peer, *next;

	if (!session)
		return;
	list_for_each_safe(peer, next, &session->peers, link)
		peer_free(peer);
	for (size_t i = 0; i < ARRAY_SIZE(session->signal_sources); i++)
		sd_event_source_disable_unref(session->signal_sources[i]);
	sd_event_source_disable_unref(session->exit_timer);
	sd_event_source_disable_unref(session->kill_timer);
	sd_event_source_disable_unref(session->activity_timer);
	sd_event_source_disable_unref(session->clipboard_timer);
	sd_event_source_disable_unref(session->show_timer);
	sd_event_source_disable_unref(session->turn_timer);
	buf_deinit(&session->behind);
	sd_event_source_disable_unref(session->hold_timer);
	sd_event_source_disable_unref(session->flush_timer);
	sd_event_source_disable_unref(session->listen_source);
	if (session->listen_fd >= 0)
		close(session->listen_fd);
	transcript_free(session->transcript);
	screen_deinit(&session->scratch);
	emulator_free(session->emulator);
	buf_deinit(&session->input);
	sd_event_source_disable_unref(session->pty_source);
	pty_deinit(&session->pty);
	cgroup_deinit(&session->cgroup);
	holder_exit_deinit(&session->exit);
	free(session->cwd);
	environment_free(session->env);
	environment_free(session->argv);
	free(session->dir);
	message_deinit(&session->spec_message);
	sd_event_unref(session->event);
	free(session);
}

void session_arm(struct session *session, sd_event_source **source, uint64_t after_ms, sd_event_time_handler_t fire)
{
	int r;

	if (!*source) {
		r = sd_event_add_time_relative(session->event, source, CLOCK_MONOTONIC, after_ms * 1000, 1000, fire, session);
	} else {
		r = sd_event_source_set_time_relative(*source, after_ms * 1000);
		if (r >= 0)
			r = sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_error(&session->log, "a timer cannot be set: %s", strerror(-r));
}

bool session_armed(sd_event_source *source)
{
	return source && sd_event_source_get_enabled(source, NULL) > 0;
}

/* --- what the program prints ---------------------------------------------------------------------------------- */

static int flush_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;

	transcript_flush(session->transcript);
	(void)malloc_trim(0); /* it may be quiet for weeks now */
	return 0;
}

static void tell_activity(struct session *session)
{
	const struct screen *screen = emulator_screen(session->emulator);
	Maestro__HolderActivity activity = MAESTRO__HOLDER_ACTIVITY__INIT;
	uint64_t bells = emulator_bells(session->emulator), titles = emulator_title_changes(session->emulator);
	struct peer *peer, *next;

	activity.has_output_bytes = true;
	activity.output_bytes = session->output_bytes;
	activity.has_bell = activity.bell = bells != session->told_bells;
	activity.has_title = titles != session->told_title_changes;
	activity.title = (ProtobufCBinaryData){ screen->title_len, (uint8_t *)(uintptr_t)screen->title };
	list_for_each_safe(peer, next, &session->peers, link)
		peer_tell_activity(peer, &activity);
	session->told_output_bytes = session->output_bytes;
	session->told_bells = bells;
	session->told_title_changes = titles;
	session->activity_ms = clock_boottime_ms();
}

static int activity_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell_activity(userdata);
	return 0;
}

static void note_activity(struct session *session)
{
	uint64_t now_ms = clock_boottime_ms(), due_ms = session->activity_ms + SESSION_ACTIVITY_MS;

	if (session->output_bytes == session->told_output_bytes || list_empty(&session->peers) ||
		session_armed(session->activity_timer))
		return;
	if (now_ms >= due_ms)
		tell_activity(session);
	else
		session_arm(session, &session->activity_timer, due_ms - now_ms, activity_fires);
}

static void tell_clipboard(struct session *session)
{
	_cleanup_(buf_deinit) struct buf data = BUF_NULL;
	struct peer *peer, *next;

	emulator_take_clipboard(session->emulator, &data);
	list_for_each_safe(peer, next, &session->peers, link)
		peer_tell_clipboard(peer, &data);
	session->clipboard_ms = clock_boottime_ms();
}

static int clipboard_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell_clipboard(userdata);
	return 0;
}

static void note_clipboard(struct session *session)
{
	uint64_t now_ms = clock_boottime_ms(), due_ms = session->clipboard_ms + SESSION_CLIPBOARD_MS;

	if (!emulator_has_clipboard(session->emulator) || session_armed(session->clipboard_timer))
		return;
	if (now_ms >= due_ms)
		tell_clipboard(session);
	else
		session_arm(session, &session->clipboard_timer, due_ms - now_ms, clipboard_fires);
}

static int terminal_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata);

void session_keyframe(struct session *session)
{
	_cleanup_(buf_deinit) struct buf stream = BUF_LIMIT(TRANSCRIPT_KEYFRAME_STREAM_MAX);
	const struct screen *screen = emulator_screen(session->emulator);

	/* A screen that is behind the recording is none of it. Without memory there is none now, and the recording is whole
	 * without it. */
	if (!session->behind.len && emulator_settled(session->emulator) && !emulator_snapshot(session->emulator, &stream))
		transcript_keyframe(session->transcript, screen->cols, screen->rows, stream.data, stream.len, clock_wall_ms());
}

static void take_output(struct session *session, const void *data, size_t len)
{
	size_t shown = emulator_write_some(session->emulator, data, len);

	if (shown < len && buf_append(&session->behind, (const char *)data + shown, len - shown) < 0)
		emulator_write(session->emulator, (const char *)data + shown, len - shown);
	transcript_write(session->transcript, data, len, clock_wall_ms());
	session->output_bytes += len;
	if (transcript_keyframe_due(session->transcript))
		session_keyframe(session);
	if (transcript_pending(session->transcript) && !session_armed(session->flush_timer))
		session_arm(session, &session->flush_timer, TRANSCRIPT_FLUSH_MS, flush_fires);
}

/* One turn of the emulator, or as many as it takes: a few bytes can ask for a million cells, and workers wait. */
static bool catch_up(struct session *session, bool all)
{
	while (session->behind.len) {
		buf_consume(&session->behind,
			emulator_write_some(session->emulator, session->behind.data, session->behind.len));
		if (!all)
			break;
	}
	return session->behind.len == 0;
}

static int turn_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	return terminal_is_ready(NULL, -1, EPOLLIN, userdata);
}

void session_drain(struct session *session, size_t limit_bytes, bool *ret_closed)
{
	static char data[READ_BYTES]; /* not on the stack: only the pages that are read into cost memory, and none twice */
	size_t total = 0;

	*ret_closed = false;
	while (catch_up(session, limit_bytes == SIZE_MAX) && total < limit_bytes && session->pty.master_fd >= 0) {
		ssize_t n = read(session->pty.master_fd, data, sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_closed = n == 0 || errno != EAGAIN;
			break;
		}
		take_output(session, data, (size_t)n);
		total += (size_t)n;
		if (n < ECHO_BYTES && limit_bytes != SIZE_MAX)
			break; /* an echo: somebody waits for it, and epoll tells if there is more */
	}
	if (session->behind.len && !session_armed(session->turn_timer))
		session_arm(session, &session->turn_timer, 1, turn_fires);
}

/* --- what the program is given -------------------------------------------------------------------------------- */

static void want_output(struct session *session, bool on)
{
	int r;

	if (on == session->wants_output || !session->pty_source)
		return;
	r = sd_event_source_set_io_events(session->pty_source, on ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (r < 0)
		log_error(&session->log, "the terminal cannot be watched: %s", strerror(-r));
	else
		session->wants_output = on;
}

static void write_input(struct session *session)
{
	while (session->input.len && session->pty.master_fd >= 0) {
		ssize_t n = write(session->pty.master_fd, session->input.data, session->input.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_consume(&session->input, (size_t)n);
	}
	if (!session->input.len)
		buf_deinit(&session->input);
	want_output(session, session->input.len != 0);
}

int session_input(struct session *session, const void *data, size_t len)
{
	int r;

	if (session->phase != SESSION_RUNS)
		return 0; /* nobody is there to read it */
	if (session->input.len + len > SESSION_INPUT_BYTES_MAX)
		return -ENOBUFS;
	r = buf_append(&session->input, data, len);
	if (!r)
		write_input(session);
	return r;
}

static void answer_queries(struct session *session)
{
	if (!emulator_has_reply(session->emulator))
		return;
	/* Not taken, they stay: a program that asks without reading the answers loses the newest. */
	if (session->input.len < SESSION_INPUT_BYTES_MAX && emulator_take_reply(session->emulator, &session->input) == 0)
		write_input(session);
}

void session_resize(struct session *session, unsigned int cols, unsigned int rows)
{
	const struct screen *screen = emulator_screen(session->emulator);
	unsigned int cols_new = clamp(true, cols, screen->cols, SCREEN_COLS_MAX);
	unsigned int rows_new = clamp(true, rows, screen->rows, SCREEN_ROWS_MAX);

	if (cols_new == screen->cols && rows_new == screen->rows)
		return;
	if (emulator_resize(session->emulator, cols_new, rows_new))
		return;
	(void)pty_resize(&session->pty, cols_new, rows_new);
	if (session->transcript)
		transcript_resize(session->transcript, cols_new, rows_new, clock_wall_ms());
	session_show(session);
}

/* --- what the workers see ------------------------------------------------------------------------------------- */

static int show_fires(sd_event_source *source, uint64_t usec, void *userdata)
{
	session_show(userdata);
	return 0;
}

/* A program that says "not yet" is believed for a while. */
static bool is_held(struct session *session)
{
	bool synchronized = emulator_synchronized(session->emulator);
	uint64_t wait_ms;

	if (hold_check(&session->hold, synchronized, clock_boottime_ms(), &wait_ms)) {
		if (!session_armed(session->hold_timer))
			session_arm(session, &session->hold_timer, wait_ms, show_fires);
		return true;
	}
	if (synchronized)
		emulator_end_synchronized(session->emulator);
	if (session->hold_timer)
		(void)sd_event_source_set_enabled(session->hold_timer, SD_EVENT_OFF);
	return false;
}

void session_show(struct session *session)
{
	uint64_t now_ms = clock_boottime_ms(), due_ms = SERIES_NEVER, generation;
	struct peer *peer, *next;

	if (list_empty(&session->peers) || is_held(session))
		return;
	generation = emulator_generation(session->emulator);
	list_for_each_safe(peer, next, &session->peers, link) {
		uint64_t peer_due_ms = peer_show(peer, generation, now_ms);

		due_ms = peer_due_ms < due_ms ? peer_due_ms : due_ms;
	}
	if (due_ms != SERIES_NEVER)
		session_arm(session, &session->show_timer, due_ms > now_ms ? due_ms - now_ms : 1, show_fires);
}

/* --- beginning ------------------------------------------------------------------------------------------------ */

static int terminal_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct session *session = userdata;
	bool closed = false;

	if (events & EPOLLOUT)
		write_input(session);
	if (events & ~(uint32_t)EPOLLOUT)
		session_drain(session, DRAIN_BYTES_MAX, &closed);
	answer_queries(session);
	if (closed) /* cannot be while we hold the other end; if it is, the loop must not spin */
		session->pty_source = sd_event_source_disable_unref(session->pty_source);
	session_show(session);
	note_activity(session);
	note_clipboard(session);
	return 0;
}

static int open_transcript(struct session *session, uint64_t limit_bytes)
{
	_cleanup_free_ char *path = io_join(session->dir, "transcript.zst");
	int r;

	if (!path)
		return -ENOMEM;
	r = transcript_new(&session->transcript, path, limit_bytes);
	if (r && r != -ENOMEM) {
		log_error(&session->log, "%s: %s: there will be no transcript", path, strerror(-r));
		r = transcript_new(&session->transcript, path, 0);
	}
	if (!r)
		transcript_resize(session->transcript, session->pty_spec.cols, session->pty_spec.rows, clock_wall_ms());
	return r;
}

/* A group of its own where that can be had; limits that hold there need not be set on each process. */
static void make_cgroup(struct session *session)
{
	_cleanup_free_ char *parent = NULL;
	char name[64];

	snprintf(name, sizeof(name), CGROUP_NAME, session->id.task, session->id.attempt, (long)getpid());
	if (cgroup_find_own(&parent) || cgroup_make(&session->cgroup, parent, name, session->pty_spec.limit_memory_bytes,
						session->pty_spec.limit_processes))
		return;
	if (session->cgroup.limits_memory)
		session->pty_spec.limit_memory_bytes = 0;
	if (session->cgroup.limits_processes)
		session->pty_spec.limit_processes = 0;
}

/* The program waits at its gate: all that it starts will be in there with it. */
static int enter_cgroup(struct session *session, struct error *error)
{
	int r = session->cgroup.dir ? cgroup_add(&session->cgroup, session->pty.pid) : 0;

	if (!r)
		return 0;
	if (session->cgroup.limits_memory || session->cgroup.limits_processes)
		return error_set(error, r, "the session's limits cannot be set: %s: %s", session->cgroup.dir, strerror(-r));
	cgroup_deinit(&session->cgroup);
	return 0;
}

/* All that can fail while nothing was promised yet. */
static int prepare(struct session *session, struct error *error)
{
	int r;

	r = sd_event_new(&session->event);
	if (r >= 0)
		r = tree_adopt_orphans();
	if (r >= 0)
		r = ending_init(session);
	if (r >= 0)
		r = emulator_new(&session->emulator, session->pty_spec.cols, session->pty_spec.rows, SESSION_SCROLLBACK_BYTES);
	if (r >= 0)
		r = holder_id_self(&session->id);
	if (r < 0)
		return error_set(error, r, "the session cannot be set up: %s", strerror(-r));
	make_cgroup(session);
	r = pty_open(&session->pty, &session->pty_spec, error);
	if (!r)
		r = enter_cgroup(session, error);
	if (r)
		return r;
	r = sd_event_add_io(session->event, &session->pty_source, session->pty.master_fd, EPOLLIN, terminal_is_ready, session);
	return r < 0 ? r : 0;
}

/* From here on this session is ours alone. */
static int claim(struct session *session, struct error *error)
{
	int r;

	r = holder_state_create(session->dir, &session->id);
	if (r == STATE_E_EXISTS)
		return error_set(error, r, "another holder, or a tombstone, has %s already", session->dir);
	if (r)
		return error_set(error, r, "%s/holder cannot be written: %s", session->dir, strerror(-r));
	r = server_init(session);
	if (r)
		error_set(error, r, "%s/socket cannot be made: %s", session->dir, strerror(-r));
	else
		r = open_transcript(session, session->transcript_limit_bytes);
	if (r) { /* the state file says that we run: say how that ended */
		session->exit.reason = strdup(error_text(error, r));
		session->exit.time_ms = clock_wall_ms();
		(void)holder_exit_write(session->dir, &session->exit);
	}
	return r;
}

/* It has its own copy of what it was started with. */
static void forget_program(struct session *session)
{
	environment_free(take(session->env));
	environment_free(take(session->argv));
	free(take(session->cwd));
	session->pty_spec.env = session->pty_spec.argv = NULL;
	session->pty_spec.cwd = NULL;
}

int session_start(struct session *session, struct error *error)
{
	_cleanup_(error_deinit) struct error why = ERROR_NULL;
	int r;

	r = prepare(session, error);
	if (!r)
		r = claim(session, error);
	if (r) {
		session->pty_source = sd_event_source_disable_unref(session->pty_source);
		pty_abort(&session->pty);
		return r;
	}
	r = pty_release(&session->pty, &session->pty_spec, &why);
	if (r) /* the child's end will be noticed and told with this reason */
		session->exit.reason = strdup(error_text(&why, r));
	forget_program(session);
	return 0;
}
