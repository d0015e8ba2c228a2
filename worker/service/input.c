/* What is typed into sessions on somebody's behalf. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/base/clock.h"
#include "proto/wire/limit.h"
#include "worker/service/keys.h"

#define QUIET_MS 2000u
#define WAITING_MAX 64u

static void input_free(struct input *input)
{
	list_remove(&input->link);
	buf_deinit(&input->bytes);
	free(input);
}

void input_clear(struct session *session)
{
	struct input *input;

	while ((input = list_first(&session->inputs, struct input, link)))
		input_free(input);
}

/* The agent waits for its person, or at least nothing moves on its screen. */
static bool is_idle(const struct session *session)
{
	if (session->status.known) {
		switch (session->status.current.state) {
		case MAESTRO__AGENT_STATE__AGENT_IDLE:
		case MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT:
		case MAESTRO__AGENT_STATE__AGENT_COMPLETE:
			return true;
		default:
			break;
		}
	}
	return session->activity_ms && clock_boottime_ms() >= session->activity_ms + QUIET_MS;
}

/* Whether the program wants pastes marked is known from its screen. Nobody watches: one picture is asked for. */
static bool modes_known(struct session *session)
{
	for (size_t i = 0; i < ARRAY_SIZE(session->series); i++) {
		if (!session->series[i].screen.frame)
			continue;
		session->modes = session->series[i].screen.modes;
		return true;
	}
	if (session->modes_asked == MODES_KNOWN)
		return true;
	if (session->modes_asked == MODES_UNKNOWN)
		streams_ask_modes(session);
	return false;
}

/* 0: typed; -EAGAIN: the agent is not idle; else it must wait, and what comes after it too. */
static int type(struct session *session, struct input *input)
{
	_cleanup_(buf_deinit) struct buf bytes = BUF_NULL;
	int r;

	if (input->when_idle && !is_idle(session))
		return -EAGAIN;
	if ((input->paste || input->key) && !modes_known(session))
		return -EBUSY;
	if (input->key)
		r = keys_named(&bytes, (const char *)input->bytes.data, input->bytes.len,
			(session->modes & SCREEN_MODE_APP_CURSOR) != 0);
	else if (input->paste)
		r = keys_paste(&bytes, (const char *)input->bytes.data, input->bytes.len,
			(session->modes & SCREEN_MODE_BRACKETED_PASTE) != 0);
	else
		return holder_send_input(session->holder, input->bytes.data, input->bytes.len);
	if (!r)
		r = holder_send_input(session->holder, bytes.data, bytes.len);
	if (!r)
		session->modes_asked = MODES_UNKNOWN; /* they may be others by the next time */
	return r;
}

void input_pump(struct session *session)
{
	struct input *input, *next;
	bool passed = false;

	if (session->paste && session->holder && is_idle(session)) {
		char *paste = take(session->paste);

		input_paste(session, paste, session->paste_len, true, false);
		free(paste);
	}
	list_for_each_safe (input, next, &session->inputs, link) {
		int r = !session->holder ? -EPIPE : input->joined && passed ? -EAGAIN : type(session, input);

		passed = r == -EAGAIN; /* what does not wait for that goes before it */
		if (r && !passed)
			return;
		if (passed)
			continue;
		session->activity_ms = clock_boottime_ms();
		input_free(input);
	}
}

static struct input *input_new(struct session *session, bool when_idle)
{
	struct input *input = calloc(1, sizeof(*input));

	if (!input)
		return NULL;
	input->bytes = BUF_LIMIT(2 * LIMIT_PROMPT_BYTES);
	input->when_idle = when_idle;
	list_append(&session->inputs, &input->link);
	return input;
}

/* Enter is a write of its own: in one with the text it would be part of the paste to some. */
void input_paste(struct session *session, const char *text, size_t len, bool enter, bool when_idle)
{
	struct input *input = input_new(session, when_idle);

	if (input) {
		input->paste = true;
		buf_append(&input->bytes, text, len);
	}
	if (enter && (input = input_new(session, false))) {
		input->joined = true;
		buf_append_byte(&input->bytes, '\r');
	}
	input_pump(session);
}

static size_t waiting(const struct session *session)
{
	const struct input *input;
	size_t count = 0;

	list_for_each (input, &session->inputs, link)
		count++;
	return count;
}

static int add_key(struct session *session, const Maestro__SendInput *message)
{
	const char *name = (const char *)message->key.data;
	_cleanup_(buf_deinit) struct buf application = BUF_NULL;
	struct input *input = input_new(session, message->has_when_idle && message->when_idle);
	int r;

	if (!input)
		return -ENOMEM;
	r = keys_named(&input->bytes, name, message->key.len, false);
	if (!r)
		r = keys_named(&application, name, message->key.len, true);
	if (!r && strcmp(buf_text(&input->bytes), buf_text(&application)) != 0) {
		input->key = true; /* what it is then depends on the program's modes then */
		buf_clear(&input->bytes);
		r = buf_append(&input->bytes, name, message->key.len);
	}
	if (r)
		input_free(input);
	return r;
}

/* NULL: done. */
static const char *send(struct session *session, const Maestro__SendInput *message, const char **ret_hint)
{
	bool when_idle = message->has_when_idle && message->when_idle;
	bool enter = !(message->has_no_enter && message->no_enter);

	if (session->exited || !session->holder)
		return "the session has ended";
	if (waiting(session) >= WAITING_MAX)
		return "too much waits to be typed already";
	if (message->has_text && message->text.len > LIMIT_PROMPT_BYTES)
		return "the text is longer than 256 KiB";
	if (message->has_key && message->key.len && add_key(session, message)) {
		*ret_hint = keys_names;
		return "there is no such key";
	}
	if (message->has_text && message->text.len)
		input_paste(session, (const char *)message->text.data, message->text.len, enter, when_idle);
	input_pump(session);
	return NULL;
}

void input_send(struct service *service, uint64_t request, const Maestro__SendInput *message)
{
	struct session *session = session_find(service, message->task, message->attempt);
	const char *hint = NULL, *why = session ? send(session, message, &hint) : "the session does not run here";
	Maestro__FailureCode code = hint ? MAESTRO__FAILURE_CODE__FAILURE_USAGE : MAESTRO__FAILURE_CODE__FAILURE_FAILED;

	if (why)
		uplink_failure(service, request, service->peer_number, code, NULL, why, hint);
	else
		uplink_done(service, request, service->peer_number);
}
