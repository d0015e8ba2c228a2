/* See peer.h.
 *
 * Order when CHANNEL_BULK moves to its own connection: what went over the main one before must arrive first. So a
 * ping is sent on the main connection and bulk is held back until its pong: whoever answers has taken everything
 * before it. The same question ends a drain. */
#include "proto/link/peer.h"
#include "proto/base/clock.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <string.h>

#define BULK_WINDOW_BYTES (1024u * 1024)
#define BATCH_BYTES (64u * 1024)
#define PING_SLACK_MS 2000u /* pings that would be due soon go with one that is due now */
#define ASLEEP_MS 5000u

static const size_t channel_cap_bytes[CHANNEL_COUNT] = {
	[CHANNEL_CONTROL] = 8u * 1024 * 1024,
	[CHANNEL_INTERACTIVE] = 4u * 1024 * 1024,
	[CHANNEL_BULK] = 16u * 1024 * 1024,
};

static const struct link_peer_ops no_ops;
static const struct link_stream_ops connection_ops;

/* --- closing ------------------------------------------------------------------------------------------------- */

static void connection_close(struct link_connection *connection)
{
	if (connection->stream)
		link_stream_close(connection->stream);
	connection->stream = NULL;
}

void link_peer_destroy(struct link_peer *peer)
{
	connection_close(&peer->main);
	connection_close(&peer->bulk);
	list_remove(&peer->link_entry);
	list_remove(&peer->owner_entry);
	link_post_cancel(&peer->finish);
	link_post_cancel(&peer->room);
	link_timer_deinit(&peer->drain);
	link_timer_deinit(&peer->answer);
	for (int i = 0; i < CHANNEL_COUNT; i++) {
		link_outbox_deinit(&peer->outbox[i]);
		buf_deinit(&peer->parts[i].data);
	}
	free(peer);
}

static void on_finish(struct link_post *post)
{
	struct link_peer *peer = container_of(post, struct link_peer, finish);

	if (peer->ops->closed)
		peer->ops->closed(peer, peer->why, peer->userdata);
	if (peer->gone)
		peer->gone(peer, peer->owner);
	link_peer_destroy(peer);
}

/* The end: nothing more is sent or received; `closed` follows when no call is on the stack. */
static void peer_end(struct link_peer *peer, const char *why)
{
	if (peer->state == LINK_PEER_CLOSED)
		return;
	if (peer->state == LINK_PEER_OPEN)
		snprintf(peer->why, sizeof(peer->why), "%s", why);
	peer->state = LINK_PEER_CLOSED;
	link_timer_deinit(&peer->drain);
	link_timer_deinit(&peer->answer);
	connection_close(&peer->main);
	connection_close(&peer->bulk);
	link_post_schedule(peer->link, &peer->finish);
}

static void on_drained(struct link_timer *timer)
{
	peer_end(container_of(timer, struct link_peer, drain), "");
}

void link_peer_close(struct link_peer *peer, const char *why, uint32_t drain_ms)
{
	if (peer->state != LINK_PEER_OPEN)
		return;
	if (!drain_ms || link_timer_set(peer->link, &peer->drain, drain_ms, 1) < 0) {
		peer_end(peer, why);
		return;
	}
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	peer->state = LINK_PEER_DRAINING;
	link_peer_set_reading(peer, true); /* for credit and the pong; messages are dropped */
	link_stream_kick(peer->main.stream);
}

/* --- sending ------------------------------------------------------------------------------------------------- */

static int append_ping(struct link_connection *connection, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Ping ping = MAESTRO__PING__INIT;

	ping.has_value = true;
	ping.value = connection->ping_value;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_PING;
	envelope.ping = &ping;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

static int append_pong(struct link_connection *connection, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Pong pong = MAESTRO__PONG__INIT;

	pong.has_value = true;
	pong.value = connection->pong_value;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_PONG;
	envelope.pong = &pong;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

static int append_credit(struct link_connection *connection, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Credit credit = MAESTRO__CREDIT__INIT;

	credit.taken_bytes = connection->taken_bytes;
	connection->told_bytes = connection->taken_bytes;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_CREDIT;
	envelope.credit = &credit;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

/* Pongs and credit first: the other side waits for them, and they are as good as nothing. */
static int append_own(struct link_connection *connection, struct buf *out)
{
	int r = 0;

	if (connection->credit_due)
		r = append_credit(connection, out);
	if (!r && connection->pong_due)
		r = append_pong(connection, out);
	connection->credit_due = connection->pong_due = false;
	return r;
}

static void ask(struct link_connection *connection)
{
	connection->ping_value++;
	connection->ping_due = true;
	connection->pinged_ms = clock_boottime_ms();
	link_stream_kick(connection->stream);
}

static void on_unanswered(struct link_timer *timer)
{
	peer_end(container_of(timer, struct link_peer, answer), "it did not answer");
}

void link_peer_ask(struct link_peer *peer, uint32_t within_ms)
{
	if (peer->state != LINK_PEER_OPEN || peer->asked_value)
		return;
	ask(&peer->main);
	peer->asked_value = peer->main.ping_value;
	if (link_timer_set(peer->link, &peer->answer, within_ms, 100) < 0)
		peer->asked_value = 0;
}

static bool channel_here(const struct link_connection *connection, enum channel channel)
{
	const struct link_peer *peer = connection->peer;

	if (connection == &peer->bulk)
		return channel == CHANNEL_BULK && peer->bulk_ready;
	return channel != CHANNEL_BULK || !peer->bulk.stream;
}

/* Picks by priority. Where a frame waits for credit, less urgent ones wait behind it, but keys pass. */
static int append_next(struct link_connection *connection, struct buf *out, bool *ret_appended)
{
	struct link_peer *peer = connection->peer;
	uint64_t unacknowledged = connection->sent_bytes - connection->acknowledged_bytes;
	bool blocked = false, exempt;
	uint32_t payload_bytes;
	int r;

	for (int i = 0; i < CHANNEL_COUNT; i++) {
		if (!channel_here(connection, i) || !link_outbox_peek(&peer->outbox[i], &payload_bytes, &exempt))
			continue;
		if (!exempt && (blocked || unacknowledged + payload_bytes > connection->window_bytes)) {
			blocked = true;
			continue;
		}
		r = link_outbox_next(&peer->outbox[i], i, out);
		if (r)
			return r;
		if (!exempt)
			connection->sent_bytes += payload_bytes;
		if (i == CHANNEL_BULK && connection == &peer->main)
			peer->bulk_on_main = true;
		*ret_appended = true;
		return 0;
	}
	return 0;
}

static bool all_sent(const struct link_peer *peer)
{
	for (int i = 0; i < CHANNEL_COUNT; i++)
		if (!list_empty(&peer->outbox[i].messages))
			return false;
	return true;
}

/* Everything of a draining peer is on its way: ask, and end when the answers are there. */
static void drain_go_on(struct link_peer *peer)
{
	if (peer->drain_asked || !all_sent(peer))
		return;
	peer->drain_asked = true;
	ask(&peer->main);
	peer->drain_main_value = peer->main.ping_value;
	if (!peer->bulk.stream)
		return;
	ask(&peer->bulk);
	peer->drain_bulk_value = peer->bulk.ping_value;
}

static void on_room(struct link_post *post)
{
	struct link_peer *peer = container_of(post, struct link_peer, room);

	for (int i = 0; i < CHANNEL_COUNT && peer->state == LINK_PEER_OPEN; i++) {
		struct link_outbox *outbox = &peer->outbox[i];

		if (!outbox->was_full || outbox->queued_bytes > outbox->cap_bytes / 2)
			continue;
		outbox->was_full = false;
		if (peer->ops->writable)
			peer->ops->writable(peer, i, peer->userdata);
	}
}

/* Only who was told that a channel is full waits to hear of room: else each send would cost the loop a turn. */
static bool room_awaited(const struct link_peer *peer)
{
	for (int i = 0; i < CHANNEL_COUNT; i++)
		if (peer->outbox[i].was_full)
			return true;
	return false;
}

static void on_fill(struct link_stream *stream, struct buf *out, void *userdata)
{
	struct link_connection *connection = userdata;
	struct link_peer *peer = connection->peer;
	bool appended = true;
	int r;

	r = append_own(connection, out);
	while (!r && appended && out->len < BATCH_BYTES) {
		appended = false;
		r = append_next(connection, out, &appended);
	}
	if (!r && peer->state == LINK_PEER_DRAINING)
		drain_go_on(peer);
	if (!r && connection->ping_due)
		r = append_ping(connection, out);
	connection->ping_due = false;
	if (r) {
		peer_end(peer, "out of memory");
		return;
	}
	if (room_awaited(peer))
		link_post_schedule(peer->link, &peer->room);
}

static void kick_channel(struct link_peer *peer, enum channel channel)
{
	link_stream_kick(channel == CHANNEL_BULK && peer->bulk_ready ? peer->bulk.stream : peer->main.stream);
}

int link_peer_send(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope)
{
	int r;

	require((unsigned int)channel < CHANNEL_COUNT);
	if (peer->state != LINK_PEER_OPEN)
		return LINK_E_CLOSED;
	r = link_outbox_add(&peer->outbox[channel], envelope);
	if (!r)
		kick_channel(peer, channel);
	return r;
}

int link_peer_send_packed(struct link_peer *peer, enum channel channel, struct link_packed *packed)
{
	int r;

	require((unsigned int)channel < CHANNEL_COUNT);
	if (peer->state != LINK_PEER_OPEN)
		return LINK_E_CLOSED;
	r = link_outbox_add_packed(&peer->outbox[channel], packed);
	if (!r)
		kick_channel(peer, channel);
	return r;
}

void link_peer_flush(struct link_peer *peer)
{
	if (peer->main.stream)
		link_stream_flush(peer->main.stream);
	if (peer->bulk.stream)
		link_stream_flush(peer->bulk.stream);
}

size_t link_peer_queued_bytes(const struct link_peer *peer, enum channel channel)
{
	return peer->outbox[channel].queued_bytes;
}

/* --- receiving ----------------------------------------------------------------------------------------------- */

static void answer_unknown(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope)
{
	Maestro__Envelope answer = MAESTRO__ENVELOPE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;

	if (!envelope->has_request)
		return; /* nobody waits for an answer */
	failure.code = MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED;
	failure.has_why = failure.has_hint = true;
	failure.why = bytes_of("this side does not know such a request");
	failure.hint = bytes_of("update the older of the two programs");
	answer.has_reply_to = true;
	answer.reply_to = envelope->request;
	answer.body_case = MAESTRO__ENVELOPE__BODY_FAILURE;
	answer.failure = &failure;
	link_peer_send(peer, channel, &answer);
}

static void deliver(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope)
{
	if (peer->state != LINK_PEER_OPEN)
		return;
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY__NOT_SET)
		answer_unknown(peer, channel, envelope);
	else if (envelope->body_case >= MAESTRO__ENVELOPE__BODY_HELLO && envelope->body_case <= MAESTRO__ENVELOPE__BODY_PART)
		peer_end(peer, "a message of the handshake or the link where there can be none");
	else if (peer->ops->message)
		peer->ops->message(peer, channel, envelope, peer->userdata);
}

static void take_pong(struct link_connection *connection, uint64_t value)
{
	struct link_peer *peer = connection->peer;

	if (value > connection->ping_value)
		return;
	if (value > connection->answered_value)
		connection->answered_value = value;
	if (peer->asked_value && peer->main.answered_value >= peer->asked_value) {
		peer->asked_value = 0;
		link_timer_deinit(&peer->answer);
	}
	if (peer->fence_value && peer->main.answered_value >= peer->fence_value && peer->bulk.stream && !peer->bulk_ready) {
		peer->bulk_ready = true;
		link_stream_kick(peer->bulk.stream);
	}
	if (peer->drain_asked && peer->main.answered_value >= peer->drain_main_value &&
		peer->bulk.answered_value >= peer->drain_bulk_value)
		peer_end(peer, "");
}

static void take_credit(struct link_connection *connection, const Maestro__Credit *credit)
{
	if (credit->taken_bytes > connection->sent_bytes) {
		peer_end(connection->peer, "credit for more than was sent");
		return;
	}
	if (credit->taken_bytes > connection->acknowledged_bytes)
		connection->acknowledged_bytes = credit->taken_bytes;
	link_stream_kick(connection->stream);
}

static void take_part(struct link_peer *peer, enum channel channel, const Maestro__Part *part)
{
	struct link_parts *parts = &peer->parts[channel];
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	bool whole = false;
	int r;

	r = link_parts_add(parts, part, &whole);
	if (!r && !whole)
		return;
	if (!r)
		r = message_unpack(&maestro__envelope__descriptor, parts->data.data, parts->data.len, &message, &error);
	buf_deinit(&parts->data);
	if (r)
		peer_end(peer, r == -ENOMEM ? "out of memory" : "parts that make no message");
	else
		deliver(peer, channel, (const Maestro__Envelope *)message.base);
}

/* Counted after it was handled: whoever stops reading gives no credit either. */
static void count_taken(struct link_connection *connection, size_t len)
{
	connection->taken_bytes += len;
	if (connection->taken_bytes - connection->told_bytes < connection->window_bytes / 4)
		return;
	connection->credit_due = true;
	if (connection->stream)
		link_stream_kick(connection->stream);
}

static void take_envelope(struct link_connection *connection, enum channel channel, const Maestro__Envelope *envelope)
{
	switch (envelope->body_case) {
	case MAESTRO__ENVELOPE__BODY_PING:
		connection->pong_value = envelope->ping->value;
		connection->pong_due = true;
		link_stream_kick(connection->stream);
		break;
	case MAESTRO__ENVELOPE__BODY_PONG:
		take_pong(connection, envelope->pong->value);
		break;
	case MAESTRO__ENVELOPE__BODY_CREDIT:
		take_credit(connection, envelope->credit);
		break;
	case MAESTRO__ENVELOPE__BODY_PART:
		take_part(connection->peer, channel, envelope->part);
		break;
	default:
		deliver(connection->peer, channel, envelope);
	}
}

static void on_frame(struct link_stream *stream, enum channel channel, const uint8_t *payload, size_t len, void *userdata)
{
	struct link_connection *connection = userdata;
	struct link_peer *peer = connection->peer;
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const Maestro__Envelope *envelope;

	connection->received_ms = clock_boottime_ms();
	if (message_unpack(&maestro__envelope__descriptor, payload, len, &message, &error)) {
		char why[128];

		snprintf(why, sizeof(why), "a broken message: %s", error_text(&error, 0));
		link_log_limited(peer->link, "peer=%s: %s", peer->claim.address, why);
		peer_end(peer, why);
		return;
	}
	envelope = (const Maestro__Envelope *)message.base;
	take_envelope(connection, channel, envelope);
	if (peer->state != LINK_PEER_CLOSED && !link_body_exempt(envelope->body_case))
		count_taken(connection, len);
}

/* Without one of its connections nobody knows what arrived: the peer is gone as a whole, and dials again. */
static void on_ended(struct link_stream *stream, const char *why, void *userdata)
{
	struct link_connection *connection = userdata;

	peer_end(connection->peer, why);
}

static const struct link_stream_ops connection_ops = {
	.frame = on_frame,
	.fill = on_fill,
	.ended = on_ended,
};

/* --- life ---------------------------------------------------------------------------------------------------- */

static void connection_open(struct link_connection *connection, struct link_peer *peer, struct link_stream *stream,
	uint32_t window_bytes)
{
	uint64_t now_ms = clock_boottime_ms();

	connection->peer = peer;
	connection->stream = stream;
	connection->window_bytes = window_bytes;
	connection->received_ms = connection->pinged_ms = connection->ticked_ms = now_ms;
	link_stream_set_limit(stream, LIMIT_FRAME_BYTES);
	link_stream_set_ops(stream, &connection_ops, connection);
}

int link_peer_new(struct link_peer **ret_peer, struct link *link, struct link_stream *stream,
	const struct link_claim *claim, uint64_t connection)
{
	struct link_peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		link_stream_close(stream);
		return -ENOMEM;
	}
	peer->link = link;
	peer->connection = connection;
	peer->ops = &no_ops;
	peer->drain.fire = on_drained;
	peer->answer.fire = on_unanswered;
	link_claim_copy(&peer->claim, claim);
	list_init(&peer->owner_entry);
	link_post_init(&peer->finish, on_finish);
	link_post_init(&peer->room, on_room);
	for (int i = 0; i < CHANNEL_COUNT; i++) {
		link_outbox_init(&peer->outbox[i], channel_cap_bytes[i]);
		peer->parts[i] = LINK_PARTS_NULL;
	}
	connection_open(&peer->main, peer, stream, LIMIT_UNACKED_BYTES);
	list_append(&link->peers, &peer->link_entry);
	link_tick_arm(link);
	*ret_peer = peer;
	return 0;
}

int link_peer_attach_bulk(struct link_peer *peer, struct link_stream *stream)
{
	if (peer->bulk.stream || peer->state != LINK_PEER_OPEN)
		return -EEXIST;
	connection_open(&peer->bulk, peer, stream, BULK_WINDOW_BYTES);
	peer->bulk_ready = !peer->bulk_on_main;
	if (peer->bulk_ready) {
		link_stream_kick(stream);
		return 0;
	}
	ask(&peer->main);
	peer->fence_value = peer->main.ping_value;
	return 0;
}

void link_peer_set_ops(struct link_peer *peer, const struct link_peer_ops *ops, void *userdata)
{
	peer->ops = ops;
	peer->userdata = userdata;
}

const struct link_identity *link_peer_identity(const struct link_peer *peer)
{
	return &peer->claim.identity;
}

void link_peer_set_reading(struct link_peer *peer, bool on)
{
	struct link_connection *both[] = { &peer->main, &peer->bulk };

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		if (!both[i]->stream)
			continue;
		if (on && peer->stopped_reading)
			both[i]->received_ms = clock_boottime_ms(); /* what waits could not be seen */
		link_stream_set_reading(both[i]->stream, on);
	}
	peer->stopped_reading = !on;
}

/* --- keepalive ----------------------------------------------------------------------------------------------- */

static uint64_t connection_tick(struct link_connection *connection, uint64_t now_ms)
{
	uint64_t heard_ms;

	/* Stopped or suspended in between: what arrived meanwhile is still to be read. */
	if (now_ms - connection->ticked_ms > LIMIT_PING_MS + ASLEEP_MS)
		connection->received_ms = now_ms - LIMIT_PING_MS;
	connection->ticked_ms = now_ms;
	if (!connection->peer->stopped_reading && now_ms - connection->received_ms >= LIMIT_DEAD_MS) {
		peer_end(connection->peer, "nothing was heard from it for 30 s");
		return UINT64_MAX;
	}
	heard_ms = connection->received_ms > connection->pinged_ms ? connection->received_ms : connection->pinged_ms;
	if (now_ms - heard_ms + PING_SLACK_MS >= LIMIT_PING_MS) {
		ask(connection);
		connection->pinged_ms = heard_ms = now_ms;
	}
	return heard_ms + LIMIT_PING_MS;
}

uint64_t link_peer_tick(struct link_peer *peer, uint64_t now_ms)
{
	uint64_t due_ms = UINT64_MAX, bulk_ms;

	if (peer->state == LINK_PEER_CLOSED)
		return due_ms;
	due_ms = connection_tick(&peer->main, now_ms);
	if (peer->state == LINK_PEER_CLOSED || !peer->bulk.stream)
		return due_ms;
	bulk_ms = connection_tick(&peer->bulk, now_ms);
	return bulk_ms < due_ms ? bulk_ms : due_ms;
}
