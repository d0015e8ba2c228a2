/* After a restart: what became of the sessions. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/base/io.h"
#include "worker/service/ports.h"

/* Plants a tombstone; whoever was first has won. */
static int bury(struct service *service, const struct attempt *attempt, const char *dir, enum found *ret_found)
{
	int r = io_make_dirs(dir, 0700);

	if (!r)
		r = holder_state_plant_tombstone(dir, attempt->task, attempt->attempt, attempt->run_id);
	if (r == 0 || r == STATE_E_TOMBSTONE) {
		*ret_found = FOUND_TOMBSTONE;
		return 0;
	}
	return r == STATE_E_EXISTS ? recover_look(service, attempt, ret_found) : error_fold(r);
}

int recover_look(struct service *service, const struct attempt *attempt, enum found *ret_found)
{
	_cleanup_free_ char *dir = session_dir(service, attempt->task, attempt->attempt);
	struct holder_id id;
	int r;

	if (!dir)
		return -ENOMEM;
	r = holder_state_read(dir, &id);
	if (r == STATE_E_NOT_FOUND && attempt->state != ATTEMPT_RUNNING)
		return bury(service, attempt, dir, ret_found);
	if (r < 0)
		return r;
	if (r == STATE_E_TOMBSTONE) {
		*ret_found = FOUND_TOMBSTONE;
		return 0;
	}
	if (r || memcmp(id.run_id, attempt->run_id, ATTEMPT_RUN_ID_BYTES)) {
		*ret_found = FOUND_DEAD; /* broken, gone, or another run's: it is not ours that lives there */
		return 0;
	}
	r = holder_verify(&id);
	*ret_found = r == 0 ? FOUND_ALIVE : r == STATE_E_REBOOTED ? FOUND_REBOOT : FOUND_DEAD;
	return r < 0 ? r : 0;
}

/* The exit that a holder left behind before it was killed, or this boot ended. */
static bool tell_exit(struct service *service, const struct attempt *attempt, const char *dir)
{
	struct event event = { .kind = EVENT_HOLDER_ENDED, .task = attempt->task, .attempt = attempt->attempt };
	struct holder_exit exit = { .code = -1 };

	if (holder_exit_read(dir, &exit))
		return false;
	event.ended.has_code = !exit.signal && exit.code >= 0;
	event.ended.code = exit.code;
	event.ended.signal = exit.signal;
	event.ended.reason = exit.reason;
	service_event(service, &event);
	holder_exit_deinit(&exit);
	return true;
}

static unsigned int kept_port(const struct session *session)
{
	_cleanup_free_ char *path = io_join(session->dir, "port");
	_cleanup_free_ char *text = NULL;

	return path && io_read_file(path, 32, &text, NULL) == 0 ? (unsigned int)strtoul(text, NULL, 10) : 0;
}

/* What a session had of the process before this one. */
static void take_up(struct session *session, const struct attempt *attempt)
{
	struct service *service = session->service;
	const struct adapter *adapter = adapter_find(service->adapters, attempt->start->agent);
	unsigned int port = kept_port(session);
	uint8_t digest[ID_DIGEST_BYTES];

	session->interactive = adapter && adapter_is_interactive(adapter);
	if (endpoint_token_load(session->dir, digest) == 0)
		endpoint_admit(service->endpoint, attempt->task, attempt->attempt, digest);
	if (port)
		ports_claim(port, &session->port, &session->port_fd);
}

static void adopt(struct service *service, const struct attempt *attempt)
{
	struct session *session = session_get(service, attempt->task, attempt->attempt);
	int r = session ? session_connect(session) : -ENOMEM;

	if (r) {
		log_warning(service->log, "task=%" PRIu64 " attempt=%u: its holder runs but does not answer: %s",
			attempt->task, attempt->attempt, strerror(-r));
		return;
	}
	take_up(session, attempt);
	log_info(service->log, "task=%" PRIu64 " attempt=%u: session found again", attempt->task, attempt->attempt);
}

static const char *const words[] = {
	[FOUND_TOMBSTONE] = "never started",
	[FOUND_ALIVE] = "alive",
	[FOUND_DEAD] = "its holder is gone",
	[FOUND_REBOOT] = "it ran before this boot",
};

static void recover_one(struct service *service, uint64_t task, uint32_t number)
{
	const struct attempt *attempt = attempts_find(service->core, task, number);
	_cleanup_free_ char *dir = session_dir(service, task, number);
	struct event event = { .kind = EVENT_FOUND, .task = task, .attempt = number };
	enum found found = FOUND_DEAD;
	int r;

	if (!attempt || !dir)
		return;
	r = recover_look(service, attempt, &found);
	if (r) {
		log_error(service->log, "task=%" PRIu64 " attempt=%u: cannot look at its session: %s", task, number,
			strerror(-r));
		return;
	}
	if (!attempt_needs_look(attempt)) {
		if (found == FOUND_ALIVE)
			adopt(service, attempt); /* it waits to be told that its exit is known */
		return;
	}
	log_info(service->log, "task=%" PRIu64 " attempt=%u: %s", task, number, words[found]);
	event.found.found = found;
	if (found == FOUND_DEAD)
		orphans_end(service, attempt);
	if (found == FOUND_ALIVE) {
		service_event(service, &event);
		attempt = attempts_find(service->core, task, number);
		if (attempt)
			adopt(service, attempt);
	} else if (found == FOUND_TOMBSTONE || !tell_exit(service, attempt, dir)) {
		service_event(service, &event);
	}
}

void recover_sessions(struct service *service)
{
	const struct attempt *attempt;
	size_t count = 0, i = 0;
	struct {
		uint64_t task;
		uint32_t attempt;
	} *ids;

	for (attempt = attempts_next(service->core, NULL); attempt; attempt = attempts_next(service->core, attempt))
		count++;
	ids = calloc(count ? count : 1, sizeof(*ids));
	if (!ids)
		return;
	/* By number, for what is found may end an attempt at once. */
	for (attempt = attempts_next(service->core, NULL); attempt; attempt = attempts_next(service->core, attempt)) {
		ids[i].task = attempt->task;
		ids[i++].attempt = attempt->attempt;
	}
	for (i = 0; i < count; i++)
		recover_one(service, ids[i].task, ids[i].attempt);
	free(ids);
}
