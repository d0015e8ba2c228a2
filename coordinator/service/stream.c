/* Live screens and keys: only routed. Neither core (but to find a task's worker) nor store is asked, and nothing waits:
 * a frame that finds the console's queue full is dropped, and a keyframe is asked for when there is room again. */
#include "coordinator/service/internal.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <string.h>

static struct route *find_by_console(const struct service *service, uint64_t console, uint32_t stream)
{
	struct route_key key = { console, stream, 0 };
	struct route *route;

	HASH_FIND(hh_console, service->by_console, &key, sizeof(key), route);
	return route;
}

static struct route *find_by_worker(const struct service *service, uint64_t worker, uint32_t stream)
{
	struct route *route;

	HASH_FIND(hh_worker, service->by_worker, &stream, sizeof(stream), route);
	return route && route->worker == worker ? route : NULL;
}

static void route_free(struct service *service, struct route *route)
{
	HASH_DELETE(hh_console, service->by_console, route);
	HASH_DELETE(hh_worker, service->by_worker, route);
	free(route);
}

static void send_close(struct conn *conn, enum channel channel, uint32_t stream, const char *reason)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;

	if (!conn)
		return;
	close.stream = stream;
	close.has_reason = reason != NULL;
	close.reason = bytes_of(reason);
	envelope.body_case = BODY(STREAM_CLOSE);
	envelope.stream_close = &close;
	conn_send(conn, channel, &envelope);
}

/* Why a task's screen cannot be had, or NULL and the worker and attempt that have it. */
static const char *find_session(struct conn *conn, const Maestro__StreamOpen *open, struct conn **ret_worker,
	uint32_t *ret_attempt)
{
	const struct attempt_row *attempt = core_attempt(service_core(conn->service), open->task,
		open->has_attempt ? open->attempt : 0);

	if (!core_task(service_core(conn->service), open->task))
		return "there is no such task";
	if (!attempt)
		return "it has not started yet";
	*ret_worker = conn_find_worker(conn->service, attempt->worker);
	*ret_attempt = attempt->attempt;
	return *ret_worker ? NULL : "its worker is not connected";
}

static void open_stream(struct conn *conn, enum channel channel, const Maestro__StreamOpen *open)
{
	struct service *service = conn->service;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamOpen forward = *open;
	struct conn *worker = NULL;
	uint32_t attempt = 0;
	const char *why = find_session(conn, open, &worker, &attempt);
	struct route *route;

	if (!why && find_by_console(service, conn->id, open->stream))
		return; /* a number that is in use: the first one keeps it */
	route = why ? NULL : calloc(1, sizeof(*route));
	if (!route) {
		send_close(conn, channel, open->stream, why ? why : "the coordinator is out of memory");
		return;
	}
	route->console = (struct route_key){ conn->id, open->stream, 0 };
	route->worker_stream = ++service->next_stream;
	route->worker = worker->id;
	HASH_ADD(hh_console, service->by_console, console, sizeof(route->console), route);
	HASH_ADD(hh_worker, service->by_worker, worker_stream, sizeof(route->worker_stream), route);
	forward.stream = route->worker_stream;
	forward.has_attempt = true;
	forward.attempt = attempt;
	if (conn->role < MAESTRO__ROLE__ROLE_OPERATOR)
		forward.has_drive = forward.drive = false;
	envelope.body_case = BODY(STREAM_OPEN);
	envelope.stream_open = &forward;
	if (conn_send(worker, CHANNEL_INTERACTIVE, &envelope)) {
		send_close(conn, channel, open->stream, "its worker's connection is congested");
		route_free(service, route);
	}
}

static void forward_ack(struct conn *conn, const Maestro__StreamAck *ack)
{
	struct route *route = find_by_console(conn->service, conn->id, ack->stream);
	struct conn *worker = route ? conn_find(conn->service, route->worker) : NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamAck forward = *ack;

	if (!worker)
		return;
	forward.stream = route->worker_stream;
	envelope.body_case = BODY(STREAM_ACK);
	envelope.stream_ack = &forward;
	conn_send(worker, CHANNEL_INTERACTIVE, &envelope);
}

static void forward_input(struct conn *conn, const Maestro__StreamInput *input)
{
	struct route *route = find_by_console(conn->service, conn->id, input->stream);
	struct conn *worker = route ? conn_find(conn->service, route->worker) : NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamInput forward = *input;

	if (!worker || conn->role < MAESTRO__ROLE__ROLE_OPERATOR)
		return; /* a viewer may watch */
	forward.stream = route->worker_stream;
	envelope.body_case = BODY(STREAM_INPUT);
	envelope.stream_input = &forward;
	if (conn_send(worker, CHANNEL_INTERACTIVE, &envelope)) /* keys must not vanish unseen */
		send_close(conn, CHANNEL_INTERACTIVE, input->stream, "its worker's connection is congested");
}

static void close_from_console(struct conn *conn, const Maestro__StreamClose *close)
{
	struct route *route = find_by_console(conn->service, conn->id, close->stream);

	if (!route)
		return;
	send_close(conn_find(conn->service, route->worker), CHANNEL_INTERACTIVE, route->worker_stream, NULL);
	route_free(conn->service, route);
}

void stream_from_console(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope)
{
	if (envelope->body_case == BODY(STREAM_OPEN))
		open_stream(conn, channel, envelope->stream_open);
	else if (envelope->body_case == BODY(STREAM_ACK))
		forward_ack(conn, envelope->stream_ack);
	else if (envelope->body_case == BODY(STREAM_INPUT))
		forward_input(conn, envelope->stream_input);
	else if (envelope->body_case == BODY(STREAM_CLOSE))
		close_from_console(conn, envelope->stream_close);
}

static void forward_frame(struct conn *conn, enum channel channel, const Maestro__StreamFrame *frame)
{
	struct route *route = find_by_worker(conn->service, conn->id, frame->stream);
	struct conn *console = route ? conn_find(conn->service, route->console.console) : NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamFrame forward = *frame;

	if (!console)
		return;
	forward.stream = route->console.stream;
	envelope.body_case = BODY(STREAM_FRAME);
	envelope.stream_frame = &forward;
	if (conn_send(console, channel, &envelope))
		route->dropped = frame->frame;
}

void stream_from_worker(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope)
{
	_cleanup_free_ char *reason = NULL;
	struct route *route;

	if (envelope->body_case == BODY(STREAM_FRAME)) {
		forward_frame(conn, channel, envelope->stream_frame);
		return;
	}
	if (envelope->body_case != BODY(STREAM_CLOSE))
		return;
	route = find_by_worker(conn->service, conn->id, envelope->stream_close->stream);
	if (!route)
		return;
	reason = bytes_dup(&envelope->stream_close->reason);
	send_close(conn_find(conn->service, route->console.console), channel, route->console.stream, reason);
	route_free(conn->service, route);
}

void stream_writable(struct conn *conn)
{
	struct route *route, *next;

	HASH_ITER (hh_console, conn->service->by_console, route, next) {
		Maestro__StreamAck ack = MAESTRO__STREAM_ACK__INIT;

		if (route->console.console != conn->id || !route->dropped)
			continue;
		ack.stream = route->console.stream;
		ack.frame = route->dropped;
		ack.has_need_keyframe = ack.need_keyframe = true;
		route->dropped = 0;
		forward_ack(conn, &ack);
	}
}

void stream_conn_gone(struct conn *conn)
{
	struct service *service = conn->service;
	struct route *route, *next;

	HASH_ITER (hh_console, service->by_console, route, next) {
		if (route->console.console == conn->id)
			send_close(conn_find(service, route->worker), CHANNEL_INTERACTIVE, route->worker_stream, NULL);
		else if (route->worker == conn->id)
			send_close(conn_find(service, route->console.console), CHANNEL_INTERACTIVE, route->console.stream,
				"the connection to its worker was lost");
		else
			continue;
		route_free(service, route);
	}
}
