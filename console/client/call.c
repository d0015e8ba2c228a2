/* The client for programs that wait: runs the loop until there is an answer. */
#include "console/client/client.h"
#include "proto/base/clock.h"

#include <string.h>

/* One call under way. */
struct call {
	bool done;
	int r;
	struct message reply;
	struct error error;
	uint64_t number;
};

static void say_unreachable(struct client *client, int refused, struct error *error)
{
	const struct profile *profile = client_profile(client);

	if (refused == MAESTRO__REFUSED_CODE__REFUSED_IDENTITY) {
		error_set(error, CLIENT_E_NOT_ALLOWED, "%s: %s", profile->address, client_last_failure(client));
		error_hint(error, profile_is_local(profile) ?
			"this user may not use that coordinator; 'maestro join ADDRESS' enrols you with a token" :
			"enrol this machine again with 'maestro join ADDRESS' and a token");
		return;
	}
	if (refused) {
		error_set(error, CLIENT_E_NOT_ALLOWED, "%s: %s", profile->address, client_last_failure(client));
		return;
	}
	error_set(error, CLIENT_E_UNREACHABLE, "no coordinator at %s: %s", profile->address, client_last_failure(client));
	error_hint(error, "start one with 'maestro up' or name one with --coordinator");
}

int client_wait_connected(struct client *client, struct error *error)
{
	int refused = 0, r;

	while (!client_connected(client)) {
		if (client_tried(client, &refused)) {
			say_unreachable(client, refused, error);
			return refused ? CLIENT_E_NOT_ALLOWED : CLIENT_E_UNREACHABLE;
		}
		r = sd_event_run(client_event(client), UINT64_MAX);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A reply lives only until its callback returns; this is a checked copy. */
static int copy_envelope(const Maestro__Envelope *envelope, struct message *ret_message, struct error *error)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	int r = message_pack(envelope, &packed);

	return r ? r : message_unpack(&maestro__envelope__descriptor, packed.data, packed.len, ret_message, error);
}

static void on_reply(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error,
	void *userdata)
{
	struct call *call = userdata;

	call->done = true;
	call->r = r ? r : copy_envelope(reply, &call->reply, &call->error);
	if (r && error && error->why)
		error_set(&call->error, r, "%s", error->why);
	if (r && error && error->hint)
		error_hint(&call->error, "%s", error->hint);
}

static int take_reply(struct call *call, Maestro__Envelope__BodyCase expected, struct message *ret_reply,
	struct error *error)
{
	Maestro__Envelope *envelope = (Maestro__Envelope *)call->reply.base;

	if (call->r) {
		error_deinit(error);
		*error = call->error;
		call->error = ERROR_NULL;
		return call->r;
	}
	if (expected && envelope->body_case != expected) {
		error_set(error, CLIENT_E_FAILED, "the coordinator's answer makes no sense (body %d)",
			(int)envelope->body_case);
		message_deinit(&call->reply);
		return CLIENT_E_FAILED;
	}
	*ret_reply = call->reply;
	return 0;
}

int client_call(struct client *client, Maestro__Envelope *request, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error)
{
	struct call call = { .reply = MESSAGE_NULL, .error = ERROR_NULL };
	int r;

	r = client_request(client, request, deadline_ms, on_reply, &call, &call.number, error);
	if (r)
		return r;
	while (!call.done) {
		r = sd_event_run(client_event(client), UINT64_MAX);
		if (r < 0) {
			client_cancel(client, call.number);
			return r;
		}
	}
	r = take_reply(&call, expected, ret_reply, error);
	error_deinit(&call.error);
	return r;
}

/* Runs the loop until there is a connection, or no time left, or we are refused. */
static int wait_reconnected(struct client *client, uint64_t until_ms)
{
	int refused = 0, r;

	while (!client_connected(client)) {
		uint64_t now_ms = clock_boottime_ms();

		if (now_ms >= until_ms || (client_tried(client, &refused) && refused))
			return CLIENT_E_UNREACHABLE;
		r = sd_event_run(client_event(client), (until_ms - now_ms) * 1000);
		if (r < 0)
			return r;
	}
	return 0;
}

int client_call_repeatable(struct client *client, Maestro__Envelope *request, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error)
{
	uint64_t until_ms = clock_boottime_ms() + deadline_ms;
	int r;

	for (;;) {
		uint64_t now_ms = clock_boottime_ms();
		uint32_t left_ms = now_ms < until_ms ? (uint32_t)(until_ms - now_ms) : 1;

		r = client_call(client, request, expected, left_ms, ret_reply, error);
		if (r != CLIENT_E_UNREACHABLE || wait_reconnected(client, until_ms) ||
			clock_boottime_ms() >= until_ms)
			return r;
	}
}
