/* What an attempt needs of this process while its session lives, and the holder's side of it. */
#include "worker/service/service.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

char *session_dir(const struct service *service, uint64_t task, uint32_t attempt)
{
	return service_path(service, "sessions/%" PRIu64 ".%u", task, attempt);
}

struct session *session_find(const struct service *service, uint64_t task, uint32_t attempt)
{
	struct session *session;

	list_for_each (session, &service->sessions, link)
		if (session->task == task && session->attempt == attempt)
			return session;
	return NULL;
}

struct session *session_get(struct service *service, uint64_t task, uint32_t attempt)
{
	struct session *session = session_find(service, task, attempt);

	if (session)
		return session;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	session->dir = session_dir(service, task, attempt);
	if (!session->dir) {
		free(session);
		return NULL;
	}
	session->service = service;
	session->task = task;
	session->attempt = attempt;
	session->port_fd = -1;
	status_init(&session->status);
	list_init(&session->inputs);
	list_init(&session->readings);
	for (size_t i = 0; i < ARRAY_SIZE(session->series); i++)
		series_init(&session->series[i]);
	list_append(&service->sessions, &session->link);
	return session;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	list_remove(&session->link);
	streams_end(session, "the session is gone");
	reading_clear(session, "the session is gone");
	input_clear(session);
	if (session->job)
		job_abandon(session->job);
	if (session->service->endpoint)
		endpoint_revoke(session->service->endpoint, session->task, session->attempt);
	holder_spawn_free(session->spawn);
	holder_free_p(&session->holder);
	sd_event_source_disable_unref(session->quiet);
	for (size_t i = 0; i < ARRAY_SIZE(session->series); i++)
		series_deinit(&session->series[i]);
	status_deinit(&session->status);
	if (session->port_fd >= 0)
		close(session->port_fd);
	free(session->paste);
	free(session->dir);
	free(session);
}

/* --- status --- */

void session_status(struct session *session, const Maestro__AgentStatus *status)
{
	struct event event = { .kind = EVENT_STATUS, .task = session->task, .attempt = session->attempt };
	bool changed = false, complete = status->state == MAESTRO__AGENT_STATE__AGENT_COMPLETE;

	if (status_take_message(&session->status, status, clock_boottime_ms(), &changed))
		return;
	/* An agent that says complete again may have committed again. */
	if (changed || complete) {
		event.status.status = status;
		service_event(session->service, &event);
	}
}

/* --- the holder's callbacks --- */

static void on_hello(void *userdata, const struct holder_hello *hello)
{
	struct session *session = userdata;

	session->activity_ms = clock_boottime_ms();
	session->greeted = true;
	session->counts = hello->counts;
	quiet_arm(session);
	streams_resume(session);
	if (!hello->exited)
		input_pump(session);
}

static void on_screen(void *userdata, Maestro__HolderSeries series, uint64_t frame, const void *data, size_t len)
{
	streams_screen(userdata, series, frame, data, len);
}

static void on_activity(void *userdata, uint64_t output_bytes, const char *title, size_t title_len, bool bell)
{
	struct session *session = userdata;
	struct event event = { .kind = EVENT_ACTIVITY, .task = session->task, .attempt = session->attempt };

	quiet_activity(session);
	service_event(session->service, &event);
}

static void on_screenshot(void *userdata, const void *data, size_t len)
{
	reading_screenshot(userdata, data, len);
}

static void on_taken(void *userdata, const struct holder_taken *taken)
{
	streams_taken(userdata, taken);
}

static void on_clipboard(void *userdata, const void *data, size_t len)
{
	streams_clipboard(userdata, data, len);
}

static void on_unsupported(void *userdata, uint32_t body)
{
	const struct session *session = userdata;

	log_warning(session->service->log, "task=%" PRIu64 " attempt=%u: its holder is older than this worker and does not know message %u",
		session->task, session->attempt, body);
}

static void tell_ended(struct session *session, const struct holder_exit *exit, const char *why)
{
	struct event event = { .kind = EVENT_HOLDER_ENDED, .task = session->task, .attempt = session->attempt };

	session->exited = true;
	if (exit) {
		event.ended.has_code = !exit->signal && exit->code >= 0;
		event.ended.code = exit->code;
		event.ended.signal = exit->signal;
		event.ended.reason = exit->reason;
	} else {
		event.ended.reason = why;
	}
	input_clear(session);
	reading_clear(session, "the session has ended");
	service_event(session->service, &event);
}

static void on_exit_told(void *userdata, const struct holder_exit *exit)
{
	struct session *session = userdata;
	_cleanup_free_ char *text = holder_exit_text(exit);

	log_info(session->service->log, "task=%" PRIu64 " attempt=%u: session ended: %s", session->task,
		session->attempt, text ? text : "");
	for (int kind = MAESTRO__HOLDER_SERIES__SERIES_ATTACHED; kind <= MAESTRO__HOLDER_SERIES__SERIES_TILE; kind++)
		if (session->series[kind - 1].unacked) /* so that the last picture comes before the end */
			holder_send_ack(session->holder, (Maestro__HolderSeries)kind, session->series[kind - 1].unacked);
	tell_ended(session, exit, NULL);
}

static void end_orphans(struct session *session)
{
	const struct attempt *attempt = attempts_find(session->service->core, session->task, session->attempt);

	if (attempt)
		orphans_end(session->service, attempt);
}

/* The holder went: as it was told to, or it died, or only the connection broke. */
static void on_closed(void *userdata, int r)
{
	struct session *session = userdata;
	struct holder_exit exit = { .code = -1 };
	struct holder_id id;

	holder_free(take(session->holder));
	session->greeted = false;
	if (r == -EPROTONOSUPPORT) { /* it lives, and whoever knows it will find it */
		log_error(session->service->log, "task=%" PRIu64 " attempt=%u: its holder speaks no version of ours (%u to %u): "
			"run the version of maestro-worker that started it", session->task, session->attempt, HOLDER_VERSION_MIN,
			HOLDER_VERSION_MAX);
		streams_end(session, "its holder is of another version than its worker");
		return;
	}
	if (!session->exited && !holder_state_read(session->dir, &id) && !holder_verify(&id) && !session_connect(session))
		return;
	streams_end(session, "the session has ended");
	if (session->exited)
		return;
	end_orphans(session);
	if (holder_exit_read(session->dir, &exit) == 0)
		tell_ended(session, &exit, NULL);
	else
		tell_ended(session, NULL, "the session's holder process died");
	holder_exit_deinit(&exit);
}

static const struct holder_ops holder_ops = {
	.hello = on_hello,
	.screen = on_screen,
	.activity = on_activity,
	.screenshot = on_screenshot,
	.taken = on_taken,
	.unsupported = on_unsupported,
	.clipboard = on_clipboard,
	.exit = on_exit_told,
	.closed = on_closed,
};

int session_connect(struct session *session)
{
	int r = holder_connect(session->service->event, session->dir, &holder_ops, session, &session->holder);

	if (!r && session->kill_wanted)
		holder_send_kill(session->holder, session->kill_grace_ms);
	return r;
}

/* --- what the core wants done with it --- */

void session_kill(struct service *service, uint64_t task, uint32_t attempt, uint64_t grace_ms)
{
	struct session *session = session_get(service, task, attempt);

	if (!session)
		return;
	session->kill_wanted = true; /* told again to a holder that is connected to later */
	session->kill_grace_ms = grace_ms ? grace_ms : UINT64_MAX;
	if (session->holder)
		holder_send_kill(session->holder, session->kill_grace_ms);
}

void session_forget(struct service *service, uint64_t task, uint32_t attempt)
{
	struct session *session = session_find(service, task, attempt);

	if (!session)
		return;
	endpoint_revoke(service->endpoint, task, attempt);
	if (session->port_fd >= 0)
		close(take_fd(&session->port_fd));
	if (session->holder)
		holder_send_forget(session->holder);
}

/* What tells later how it went: its output, and that it was here. */
static bool is_kept(const char *name)
{
	static const char *const kept[] = { ".", "..", "transcript.zst", "exit", "holder" };

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (!strcmp(name, kept[i]))
			return true;
	return false;
}

static void remove_all_but_output(const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		_cleanup_free_ char *path = is_kept(entry->d_name) ? NULL : io_join(dir, entry->d_name);

		if (path)
			io_remove_tree(path);
	}
	if (stream)
		closedir(stream);
}

static void prune_one(struct service *service, const char *name, int64_t now_s)
{
	_cleanup_free_ char *dir = service_path(service, "sessions/%s", name);
	unsigned long long task;
	unsigned int attempt;
	struct stat status;

	if (!dir || sscanf(name, "%llu.%u", &task, &attempt) != 2 || attempts_find(service->core, task, attempt))
		return;
	if (stat(dir, &status) == 0 && (now_s - status.st_mtime) * 1000 > (int64_t)service->config->keep_output_ms)
		io_remove_tree(dir);
}

void session_prune(struct service *service)
{
	_cleanup_free_ char *dir = service_path(service, "sessions");
	DIR *stream = dir ? opendir(dir) : NULL;
	int64_t now_s = clock_wall_ms() / 1000;
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		prune_one(service, entry->d_name, now_s);
	if (stream)
		closedir(stream);
}

void session_clean(struct service *service, uint64_t task, uint32_t attempt)
{
	_cleanup_free_ char *dir = session_dir(service, task, attempt);

	session_free(session_find(service, task, attempt));
	if (dir)
		remove_all_but_output(dir);
	for (; attempt; attempt--) { /* a retried push had the worktree of an earlier attempt */
		_cleanup_free_ char *worktrees = service_path(service, "worktrees/%" PRIu64 ".%u", task, attempt);

		if (worktrees)
			rmdir(worktrees); /* only if the worktree in it is gone */
	}
	session_prune(service);
}
