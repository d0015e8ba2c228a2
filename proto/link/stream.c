/* See stream.h. */
#include "proto/link/stream.h"
#include "proto/link/tls.h"
#include "proto/wire/limit.h"

#include <string.h>

#define READ_BYTES (16u * 1024 + FRAME_HEADER_BYTES)
#define QUIET_BYTES (8u * 1024)

struct link_stream {
	struct list entry; /* link->streams */
	struct link *link;
	nng_stream *nng;
	const struct link_stream_ops *ops;
	void *userdata;
	struct link_call recv, send;
	struct link_post pump, flush, arm, release;
	struct tls_session *tls; /* NULL over ipc */

	uint8_t *in;
	size_t in_len, in_size;
	uint32_t frame_limit_bytes;
	struct buf next;         /* written, not sealed yet */
	struct buf out;          /* nng's while a send is outstanding */
	struct buf spare;        /* the memory of what was sealed last */
	size_t out_sent;
	int broken; /* nng's code, or -1 */
	const char *broken_text;

	bool reading, closed, ended_told;
};

static void stream_free(struct link_stream *stream)
{
	list_remove(&stream->entry);
	link_post_cancel(&stream->pump);
	link_post_cancel(&stream->flush);
	link_post_cancel(&stream->arm);
	link_post_cancel(&stream->release);
	link_call_deinit(&stream->recv);
	link_call_deinit(&stream->send);
	if (stream->nng)
		nng_stream_free(stream->nng);
	tls_session_free(stream->tls);
	free(stream->in);
	buf_deinit(&stream->out);
	buf_deinit(&stream->next);
	buf_deinit(&stream->spare);
	free(stream);
}

/* Freeing is a step of its own, on a later turn and when no call is outstanding. */
static void on_release(struct link_post *post)
{
	struct link_stream *stream = container_of(post, struct link_stream, release);

	if (!stream->recv.busy && !stream->send.busy)
		stream_free(stream);
}

static void stream_broke(struct link_stream *stream, const char *text)
{
	if (stream->closed || stream->broken)
		return;
	stream->broken = -1; /* no further call on it: after an error they would hang */
	stream->broken_text = text;
	link_post_schedule(stream->link, &stream->pump);
}

static int reserve_input(struct link_stream *stream, size_t size)
{
	uint8_t *in;

	/* A buffer that one long frame made grow is given back when it is empty. */
	if (size <= stream->in_size && (stream->in_len || stream->in_size <= 4 * READ_BYTES || size > READ_BYTES))
		return 0;
	in = realloc(stream->in, size);
	if (!in)
		return -ENOMEM;
	stream->in = in;
	stream->in_size = size;
	return 0;
}

/* Room for the frame that has begun, or for what usually comes at once. */
static int make_room(struct link_stream *stream)
{
	size_t size = READ_BYTES;
	enum channel channel;
	uint32_t len;

	if (frame_get_header(stream->in, stream->in_len, stream->frame_limit_bytes, &channel, &len) == 0 &&
		len + FRAME_HEADER_BYTES > size)
		size = len + FRAME_HEADER_BYTES;
	if (!reserve_input(stream, size))
		return 0;
	stream_broke(stream, "out of memory");
	return -ENOMEM;
}

/* A step of its own, so that what the frames made others say is sent first. */
static void on_arm(struct link_post *post)
{
	struct link_stream *stream = container_of(post, struct link_stream, arm);
	nng_iov iov;

	if (stream->recv.busy || !stream->reading || stream->closed || stream->broken)
		return;
	if (stream->tls) {
		iov.iov_buf = tls_session_space(stream->tls, &iov.iov_len);
	} else {
		if (make_room(stream))
			return;
		iov = (nng_iov){ stream->in + stream->in_len, stream->in_size - stream->in_len };
	}
	nng_aio_set_iov(stream->recv.aio, 1, &iov);
	link_call_begin(&stream->recv, 0);
	nng_stream_recv(stream->nng, stream->recv.aio);
}

/* One frame from `offset`. Returns its length, 0 if there is no whole one. */
static size_t take_frame(struct link_stream *stream, size_t offset)
{
	enum channel channel;
	uint32_t len;
	int r;

	r = frame_get_header(stream->in + offset, stream->in_len - offset, stream->frame_limit_bytes, &channel, &len);
	if (r == FRAME_E_INCOMPLETE)
		return 0;
	if (r) {
		stream_broke(stream, r == FRAME_E_TOO_LONG ? "a frame longer than allowed" : "a frame on an unknown channel");
		return 0;
	}
	if (stream->in_len - offset - FRAME_HEADER_BYTES < len)
		return 0;
	stream->ops->frame(stream, channel, stream->in + offset + FRAME_HEADER_BYTES, len, stream->userdata);
	return FRAME_HEADER_BYTES + (size_t)len;
}

static void take_frames(struct link_stream *stream)
{
	size_t offset = 0, taken = 1;

	while (taken && stream->reading && !stream->closed && !stream->broken) {
		taken = take_frame(stream, offset);
		offset += taken;
	}
	if (offset) {
		memmove(stream->in, stream->in + offset, stream->in_len - offset);
		stream->in_len -= offset;
	}
}

/* Opens what came sealed. Returns whether there is more to take frames from. */
static bool open_input(struct link_stream *stream)
{
	bool shaking = stream->tls && !tls_session_ready(stream->tls);
	const char *why;
	ssize_t n;

	if (!stream->tls || !stream->reading || stream->closed || stream->broken || make_room(stream))
		return false;
	n = tls_session_read(stream->tls, stream->in + stream->in_len, stream->in_size - stream->in_len, &why);
	if (n > 0)
		stream->in_len += (size_t)n;
	if (n < 0)
		stream_broke(stream, why);
	if (shaking) {
		stream->link->turn_is_over = true; /* milliseconds of arithmetic: the others first */
		link_stream_kick(stream);
	}
	return n > 0;
}

/* Takes what has been received, then arms the next receive, or tells that the stream ended. */
static void on_pump(struct link_post *post)
{
	struct link_stream *stream = container_of(post, struct link_stream, pump);

	if (stream->closed || stream->recv.busy)
		goto ended;
	do
		take_frames(stream);
	while (open_input(stream));
	if (stream->reading && !stream->closed && !stream->broken)
		link_post_schedule(stream->link, &stream->arm);
ended:
	if (stream->closed || !stream->broken || stream->ended_told)
		return;
	stream->ended_told = true;
	stream->ops->ended(stream, stream->broken_text, stream->userdata);
}

static void on_received(struct link_call *call)
{
	struct link_stream *stream = container_of(call, struct link_stream, recv);
	int rv = nng_aio_result(call->aio);

	if (stream->closed) {
		link_post_schedule(stream->link, &stream->release);
		return;
	}
	if (rv)
		stream_broke(stream, rv == NNG_ECLOSED ? link_nng_text(NNG_ECONNSHUT) : link_nng_text(rv));
	else if (stream->tls)
		tls_session_received(stream->tls, nng_aio_count(call->aio));
	else
		stream->in_len += nng_aio_count(call->aio);
	on_pump(&stream->pump);
}

/* Whether the next may be sent; if not, on_sent comes for it. */
static bool can_send(struct link_stream *stream)
{
	return !stream->send.busy || link_call_settle(&stream->send);
}

static void send_rest(struct link_stream *stream)
{
	nng_iov iov = { stream->out.data + stream->out_sent, stream->out.len - stream->out_sent };

	nng_aio_set_iov(stream->send.aio, 1, &iov);
	/* After more than this there may be more to come at once. */
	link_call_begin(&stream->send, iov.iov_len <= QUIET_BYTES ? iov.iov_len : 0);
	nng_stream_send(stream->nng, stream->send.aio);
}

static void swap(struct buf *a, struct buf *b)
{
	struct buf c = *a;

	*a = *b;
	*b = c;
}

/* Moves what is next into `out`, sealed where that is due. */
static int prepare_output(struct link_stream *stream)
{
	struct buf *sealed = stream->tls ? tls_session_output(stream->tls) : NULL;
	int r = 0;

	buf_clear(&stream->out);
	stream->out_sent = 0;
	if (!sealed || tls_session_ready(stream->tls)) {
		swap(&stream->next, &stream->spare);
		if (stream->ops->fill)
			stream->ops->fill(stream, &stream->spare, stream->userdata);
		if (stream->closed)
			return 0;
		if (sealed)
			r = tls_session_write(stream->tls, stream->spare.data, stream->spare.len);
		else
			swap(&stream->out, &stream->spare);
		buf_clear(&stream->spare);
	}
	if (sealed)
		swap(&stream->out, sealed);
	return r;
}

static void on_flush(struct link_post *post)
{
	struct link_stream *stream = container_of(post, struct link_stream, flush);

	if (stream->closed || stream->broken || !can_send(stream))
		return;
	if (prepare_output(stream))
		stream_broke(stream, "out of memory");
	else if (stream->out.len && !stream->closed)
		send_rest(stream);
}

static void on_sent(struct link_call *call)
{
	struct link_stream *stream = container_of(call, struct link_stream, send);
	int rv = nng_aio_result(call->aio);

	if (stream->closed) {
		link_post_schedule(stream->link, &stream->release);
		return;
	}
	if (rv) {
		stream_broke(stream, rv == NNG_ECLOSED ? link_nng_text(NNG_ECONNSHUT) : link_nng_text(rv));
		return;
	}
	if (stream->broken)
		return;
	stream->out_sent += nng_aio_count(call->aio);
	if (stream->out_sent < stream->out.len)
		send_rest(stream);
	else
		on_flush(&stream->flush);
}

int link_stream_new(struct link_stream **ret_stream, struct link *link, nng_stream *nng, struct tls_config *tls,
	const struct link_stream_ops *ops, void *userdata)
{
	struct link_stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (!stream) {
		nng_stream_free(nng);
		return -ENOMEM;
	}
	*stream = (struct link_stream){ .link = link, .nng = nng, .ops = ops, .userdata = userdata, .reading = true,
		.frame_limit_bytes = LIMIT_FRAME_HANDSHAKE_BYTES };
	link_post_init(&stream->pump, on_pump);
	link_post_init(&stream->flush, on_flush);
	link_post_init(&stream->arm, on_arm);
	link_post_init(&stream->release, on_release);
	list_append(&link->streams, &stream->entry);
	r = link_call_init(&stream->recv, link, on_received);
	if (!r && tls)
		r = tls_session_new(&stream->tls, tls);
	if (!r)
		r = link_call_init(&stream->send, link, on_sent);
	if (r) {
		stream_free(stream);
		return r;
	}
	link_post_schedule(link, &stream->pump);
	*ret_stream = stream;
	return 0;
}

void link_stream_set_ops(struct link_stream *stream, const struct link_stream_ops *ops, void *userdata)
{
	stream->ops = ops;
	stream->userdata = userdata;
}

void link_stream_set_limit(struct link_stream *stream, uint32_t frame_limit_bytes)
{
	stream->frame_limit_bytes = frame_limit_bytes;
}

void link_stream_set_reading(struct link_stream *stream, bool on)
{
	if (on && !stream->reading && !stream->closed)
		link_post_schedule(stream->link, &stream->pump);
	stream->reading = on;
}

int link_stream_write(struct link_stream *stream, const void *data, size_t len)
{
	int r = buf_append(&stream->next, data, len);

	if (!r)
		link_stream_kick(stream);
	return r;
}

void link_stream_kick(struct link_stream *stream)
{
	if (!stream->closed && !stream->broken && can_send(stream))
		link_post_schedule(stream->link, &stream->flush);
}

void link_stream_flush(struct link_stream *stream)
{
	if (!list_linked(&stream->flush.entry))
		return;
	link_post_cancel(&stream->flush);
	on_flush(&stream->flush);
}

void link_stream_close(struct link_stream *stream)
{
	if (stream->closed)
		return;
	stream->closed = true;
	link_post_cancel(&stream->pump);
	link_post_cancel(&stream->flush);
	link_post_cancel(&stream->arm);
	nng_stream_close(stream->nng);
	(void)can_send(stream); /* an end that was not heard would keep the stream */
	/* With a call outstanding its end schedules this; without one nothing else would. */
	link_post_schedule(stream->link, &stream->release);
}
