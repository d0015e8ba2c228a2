#include "console/client/stream.h"
#include "console/client/typed.h"
#include "proto/base/clock.h"

#include <string.h>

#define PIECE_BYTES (32u * 1024) /* of keys that are sent again */

struct stream {
	struct client *client;
	struct client_listener listener;
	struct stream_config config;
	struct screen screen;
	struct typed typed;     /* with drive */
	uint32_t number;        /* on this connection */
	uint64_t unacked;       /* frame that was not acknowledged, 0: none */
	bool open, closed;
};

static int send_body(struct stream *stream, enum channel channel, Maestro__Envelope__BodyCase body, void *message)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	envelope.body_case = body;
	envelope.stream_open = message; /* all members of the union are pointers */
	return client_send(stream->client, channel, &envelope);
}

static void send_ack(struct stream *stream, uint64_t frame, bool need_keyframe)
{
	Maestro__StreamAck ack = MAESTRO__STREAM_ACK__INIT;

	ack.stream = stream->number;
	ack.frame = frame;
	ack.has_need_keyframe = ack.need_keyframe = need_keyframe;
	send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_ACK, &ack);
}

/* Numbers are the process's own: unique over all connections, so an old one's frame can never be taken for ours. */
static uint32_t next_number(void)
{
	static uint32_t last;

	return ++last;
}

static void open_now(struct stream *stream)
{
	const struct stream_config *config = &stream->config;
	Maestro__StreamOpen open = MAESTRO__STREAM_OPEN__INIT;

	stream->number = next_number();
	stream->unacked = 0;
	/* the far side begins with a keyframe; until it is there the old picture stays */
	open.stream = stream->number;
	open.task = config->task;
	open.has_attempt = config->attempt != 0;
	open.attempt = config->attempt;
	open.kind = config->kind;
	open.has_rate_hz = config->rate_hz != 0;
	open.rate_hz = config->rate_hz;
	open.has_drive = open.drive = config->drive;
	open.has_take_over = config->drive && config->asks;
	open.take_over = config->take_over;
	open.has_cols = open.has_rows = config->drive && config->cols && config->rows;
	open.cols = config->cols;
	open.rows = config->rows;
	if (config->drive)
		typed_opened(&stream->typed);
	open.has_input_source = open.has_input_offset = config->drive;
	open.input_source = stream->typed.source;
	open.input_offset = stream->typed.taken;
	stream->open = send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_OPEN, &open) == 0;
	if (stream->open)
		stream->config.take_over = false; /* a connection that comes back takes nothing from who came between */
}

/* --- keys --- */

static int send_keys(struct stream *stream, const void *data, size_t len, uint64_t offset)
{
	Maestro__StreamInput input = MAESTRO__STREAM_INPUT__INIT;

	input.stream = stream->number;
	input.has_data = true;
	input.data = (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data };
	if (stream->typed.counts != TYPED_UNCOUNTED) {
		input.has_input_source = input.has_input_offset = true;
		input.input_source = stream->typed.source;
		input.input_offset = offset;
		input.has_input_tell = input.input_tell = typed_asks(&stream->typed);
	}
	return send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_INPUT, &input);
}

/* Should that fail, the connection is as good as gone, and the next one begins with them. */
static void send_again(struct stream *stream)
{
	const struct buf *bytes = &stream->typed.bytes;
	int r = 0;

	for (size_t at = 0; !r && at < bytes->len; at += PIECE_BYTES)
		r = send_keys(stream, bytes->data + at, bytes->len - at < PIECE_BYTES ? bytes->len - at : PIECE_BYTES,
			stream->typed.taken + at);
}

static void tell_lost(struct stream *stream, size_t bytes, bool unread)
{
	if (bytes && stream->config.ops->keys_lost)
		stream->config.ops->keys_lost(stream, bytes, unread, stream->config.userdata);
}

static void take_counts(struct stream *stream, const Maestro__StreamFrame *frame)
{
	bool send = false;

	if (frame->has_input_counts)
		tell_lost(stream, typed_told_counts(&stream->typed, frame->input_counts), false);
	if (frame->frame) /* a worker that knew how to count would have said so before its first picture */
		tell_lost(stream, typed_told_counts(&stream->typed, false), false);
	if (!frame->has_input_taken || !frame->has_input_source || frame->input_source != stream->typed.source)
		return;
	tell_lost(stream, typed_told_taken(&stream->typed, frame->input_taken, frame->has_input_gap && frame->input_gap,
		clock_boottime_ms(), &send), false);
	tell_lost(stream, frame->has_input_dropped ? frame->input_dropped : 0, true);
	if (send)
		send_again(stream);
}

static void take_driving(struct stream *stream, const Maestro__StreamFrame *frame)
{
	/* What is on its way to somebody else's session is dropped there, and must not come later. */
	if (!frame->driving)
		tell_lost(stream, typed_restart(&stream->typed), false);
	if (stream->config.ops->driver)
		stream->config.ops->driver(stream, frame->driving, frame->has_driven && frame->driven, stream->config.userdata);
}

/* --- what comes --- */

static void take_frame(struct stream *stream, const Maestro__StreamFrame *frame)
{
	int r;

	if (frame->has_driving)
		take_driving(stream, frame);
	if (stream->config.drive)
		take_counts(stream, frame);
	if (stream->config.drive && frame->has_clipboard && stream->config.ops->clipboard)
		stream->config.ops->clipboard(stream, frame->clipboard.data, frame->clipboard.len, stream->config.userdata);
	if (!frame->frame)
		return;
	r = screen_apply(&stream->screen, frame->update.data, frame->update.len);
	if (r) {
		send_ack(stream, frame->frame, true);
		return;
	}
	if (!frame->no_ack)
		stream->unacked = frame->frame;
	stream->config.ops->updated(stream, stream->config.userdata);
	if (!stream->config.ack_by_hand)
		stream_ack(stream);
}

static void take_close(struct stream *stream, const Maestro__StreamClose *close)
{
	_cleanup_free_ char *why = close->has_reason ? bytes_dup(&close->reason) : strdup("");

	stream->open = false;
	stream->closed = true;
	typed_lost(&stream->typed, clock_boottime_ms());
	client_unlisten(&stream->listener);
	stream->config.ops->closed(stream, why ? why : "", stream->config.userdata);
}

static void on_message(struct client_listener *listener, const Maestro__Envelope *envelope)
{
	struct stream *stream = container_of(listener, struct stream, listener);

	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_STREAM_FRAME && stream->open &&
		envelope->stream_frame->stream == stream->number)
		take_frame(stream, envelope->stream_frame);
	else if (envelope->body_case == MAESTRO__ENVELOPE__BODY_STREAM_CLOSE && stream->open &&
		envelope->stream_close->stream == stream->number)
		take_close(stream, envelope->stream_close);
}

static void on_connected(struct client_listener *listener)
{
	struct stream *stream = container_of(listener, struct stream, listener);

	if (!stream->open) /* it may have been opened by somebody who was told before it */
		open_now(stream);
}

static void on_disconnected(struct client_listener *listener, const char *why, uint32_t retry_ms)
{
	struct stream *stream = container_of(listener, struct stream, listener);

	if (stream->open)
		typed_lost(&stream->typed, clock_boottime_ms());
	stream->open = false;
}

static const struct client_listener_ops listener_ops = {
	.connected = on_connected,
	.disconnected = on_disconnected,
	.message = on_message,
};

int stream_open(struct stream **ret_stream, struct client *client, const struct stream_config *config)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->client = client;
	stream->config = *config;
	stream->screen = SCREEN_NULL;
	typed_init(&stream->typed);
	stream->typed.counts = config->drive ? TYPED_UNKNOWN : TYPED_UNCOUNTED;
	client_listen(client, &stream->listener, &listener_ops);
	if (client_connected(client))
		open_now(stream);
	*ret_stream = stream;
	return 0;
}

void stream_free(struct stream *stream)
{
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;

	if (!stream)
		return;
	close.stream = stream->number;
	if (stream->open)
		send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_CLOSE, &close);
	client_unlisten(&stream->listener);
	screen_deinit(&stream->screen);
	typed_deinit(&stream->typed);
	free(stream);
}

uint64_t stream_task(const struct stream *stream)
{
	return stream->config.task;
}

const struct screen *stream_screen(const struct stream *stream)
{
	return &stream->screen;
}

bool stream_closed(const struct stream *stream)
{
	return stream->closed;
}

void stream_ack(struct stream *stream)
{
	if (stream->unacked && stream->open)
		send_ack(stream, stream->unacked, false);
	stream->unacked = 0;
}

void stream_reopen(struct stream *stream)
{
	if (!stream->closed)
		return;
	stream->closed = false;
	client_listen(stream->client, &stream->listener, &listener_ops);
	if (client_connected(stream->client))
		open_now(stream);
}

int stream_send(struct stream *stream, const void *data, size_t len)
{
	struct typed *typed = &stream->typed;
	uint64_t offset = typed_end(typed);
	int r = 0;

	if (!stream->open && !typed_keeps(typed, clock_boottime_ms()))
		return stream->closed ? LINK_E_CLOSED : CLIENT_E_UNREACHABLE;
	if (typed->counts != TYPED_UNCOUNTED)
		r = typed_add(typed, data, len);
	if (r || !stream->open || typed->waits)
		return r;
	r = send_keys(stream, data, len, offset);
	client_flush(stream->client);
	if (r && typed->counts != TYPED_UNCOUNTED)
		typed_take_back(typed, len);
	return r;
}

size_t stream_waiting_bytes(const struct stream *stream)
{
	return typed_waiting(&stream->typed);
}

int stream_take_over(struct stream *stream)
{
	Maestro__StreamInput input = MAESTRO__STREAM_INPUT__INIT;

	if (!stream->open || !stream->config.asks)
		return stream->closed ? LINK_E_CLOSED : CLIENT_E_UNREACHABLE;
	input.stream = stream->number;
	input.has_take_over = input.take_over = true;
	input.has_cols = input.has_rows = stream->config.cols && stream->config.rows;
	input.cols = stream->config.cols;
	input.rows = stream->config.rows;
	return send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_INPUT, &input);
}

int stream_resize(struct stream *stream, uint32_t cols, uint32_t rows)
{
	Maestro__StreamInput input = MAESTRO__STREAM_INPUT__INIT;

	stream->config.cols = cols;
	stream->config.rows = rows;
	if (!stream->open || !stream->config.drive)
		return 0;
	input.stream = stream->number;
	input.has_cols = input.has_rows = true;
	input.cols = cols;
	input.rows = rows;
	return send_body(stream, CHANNEL_INTERACTIVE, MAESTRO__ENVELOPE__BODY_STREAM_INPUT, &input);
}
