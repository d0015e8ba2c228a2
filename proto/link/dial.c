/* See dial.h. */
#include "proto/link/dial.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <string.h>

#define AGAIN_MS 20u

struct link_dial {
	struct list entry; /* the owner's list, or link->fetches */
	struct link *link;
	struct tls_config *tls; /* NULL over ipc */
	nng_stream_dialer *nng;
	struct link_call call;
	struct link_timer deadline, again;
	struct link_post release;
	struct link_stream *stream;
	struct link_handshake handshake;
	bool fetch, over;
	link_dial_done done;
	void *userdata;
};

static void dial_free(struct link_dial *dial)
{
	link_call_deinit(&dial->call);
	if (dial->nng)
		nng_stream_dialer_free(dial->nng);
	tls_config_unref(dial->tls);
	handshake_wipe(&dial->handshake);
	if (dial->fetch)
		free(dial->userdata);
	free(dial);
}

static void on_release(struct link_post *post)
{
	struct link_dial *dial = container_of(post, struct link_dial, release);

	if (!dial->call.busy)
		dial_free(dial);
}

/* Lets go of everything; the memory follows when nng has let go too. */
static void dial_end(struct link_dial *dial)
{
	dial->over = true;
	list_remove(&dial->entry);
	link_timer_deinit(&dial->deadline);
	link_timer_deinit(&dial->again);
	if (dial->stream)
		link_stream_close(dial->stream);
	dial->stream = NULL;
	nng_stream_dialer_close(dial->nng);
	link_post_schedule(dial->link, &dial->release);
}

void link_dial_cancel(struct link_dial *dial)
{
	if (!dial->over)
		dial_end(dial);
}

void link_dial_cancel_all(struct list *owner)
{
	struct link_dial *dial;

	while ((dial = list_first(owner, struct link_dial, entry)))
		dial_end(dial);
}

static void dial_fail(struct link_dial *dial, int code, const char *why)
{
	struct link_dial_result result = { .code = code, .why = why, .handshake = &dial->handshake };

	if (dial->over)
		return;
	dial_end(dial);
	dial->done(&result, dial->userdata);
}

static void on_deadline(struct link_timer *timer)
{
	struct link_dial *dial = container_of(timer, struct link_dial, deadline);

	dial_fail(dial, 0, dial->stream ? "no answer to the handshake within 10 s" : "not reached within 10 s");
}

static void on_ended(struct link_stream *stream, const char *why, void *userdata)
{
	dial_fail(userdata, 0, why);
}

static void dial_succeed(struct link_dial *dial, const ProtobufCBinaryData *ca)
{
	struct link_dial_result result = { .ok = true, .why = "", .handshake = &dial->handshake, .ca = ca };

	if (!ca)
		result.stream = take(dial->stream);
	dial_end(dial);
	dial->done(&result, dial->userdata);
}

static void take_step(struct link_dial *dial, const Maestro__Envelope *envelope)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	r = handshake_take(&dial->handshake, envelope, &out, &error);
	if (r >= 0 && out.len && link_stream_write(dial->stream, out.data, out.len))
		r = -ENOMEM;
	if (r == HANDSHAKE_DONE)
		dial_succeed(dial, NULL);
	else if (r == HANDSHAKE_REFUSED)
		dial_fail(dial, dial->handshake.refused_code, dial->handshake.why);
	else if (r < 0)
		dial_fail(dial, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL, error_text(&error, r));
}

static void on_frame(struct link_stream *stream, enum channel channel, const uint8_t *payload, size_t len, void *userdata)
{
	struct link_dial *dial = userdata;
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	const Maestro__Envelope *envelope;

	if (message_unpack(&maestro__envelope__descriptor, payload, len, &message, NULL)) {
		dial_fail(dial, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL, "what answers there does not speak this protocol");
		return;
	}
	envelope = (const Maestro__Envelope *)message.base;
	if (!dial->fetch)
		take_step(dial, envelope);
	else if (envelope->body_case == MAESTRO__ENVELOPE__BODY_CA)
		dial_succeed(dial, &envelope->ca->certificate);
	else
		dial_fail(dial, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL, "the coordinator did not send its CA");
}

static const struct link_stream_ops dial_stream_ops = {
	.frame = on_frame,
	.ended = on_ended,
};

static int say_first(struct link_dial *dial)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__FetchCa fetch = MAESTRO__FETCH_CA__INIT;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r;

	if (dial->fetch) {
		envelope.body_case = MAESTRO__ENVELOPE__BODY_FETCH_CA;
		envelope.fetch_ca = &fetch;
		r = link_frame_append(&out, CHANNEL_CONTROL, &envelope);
	} else {
		r = handshake_dial(&dial->handshake, &out);
	}
	return r ? r : link_stream_write(dial->stream, out.data, out.len);
}

static void on_dialled(struct link_call *call)
{
	struct link_dial *dial = container_of(call, struct link_dial, call);
	int rv = nng_aio_result(call->aio);
	int r;

	if (dial->over) {
		if (!rv)
			nng_stream_free(nng_aio_get_output(call->aio, 0));
		link_post_schedule(dial->link, &dial->release);
		return;
	}
	/* A local socket whose backlog is full at the moment; the deadline goes on. */
	if (rv == (NNG_ESYSERR | EAGAIN) && link_timer_set(dial->link, &dial->again, AGAIN_MS, 1) >= 0)
		return;
	if (rv) {
		dial_fail(dial, 0, link_nng_text(rv));
		return;
	}
	r = link_stream_new(&dial->stream, dial->link, nng_aio_get_output(call->aio, 0), dial->tls, &dial_stream_ops,
		dial);
	if (!r)
		r = say_first(dial);
	if (r)
		dial_fail(dial, 0, strerror(-r));
}

static void on_again(struct link_timer *timer)
{
	struct link_dial *dial = container_of(timer, struct link_dial, again);

	link_call_begin(&dial->call, 0);
	nng_stream_dialer_dial(dial->nng, dial->call.aio);
}

static int dial_prepare(struct link_dial *dial, const char *url, struct error *error)
{
	int rv;

	rv = nng_stream_dialer_alloc(&dial->nng, dial->tls ? url + strlen("tls+") : url);
	if (!rv && dial->tls)
		rv = nng_stream_dialer_set_bool(dial->nng, NNG_OPT_TCP_NODELAY, true);
	if (rv)
		return error_set(error, link_nng_errno(rv), "%s: %s", url, link_nng_text(rv));
	return link_call_init(&dial->call, dial->link, on_dialled);
}

int link_dial_new(struct link_dial **ret_dial, struct link *link, struct list *owner, const char *url,
	struct tls_config *tls, const struct link_handshake *handshake, link_dial_done done, void *userdata,
	struct error *error)
{
	struct link_dial *dial = calloc(1, sizeof(*dial));
	int r;

	if (!dial)
		return -ENOMEM;
	*dial = (struct link_dial){ .link = link, .tls = tls_config_ref(tls), .fetch = !handshake, .done = done,
		.userdata = userdata };
	dial->deadline.fire = on_deadline;
	dial->again.fire = on_again;
	list_init(&dial->entry);
	link_post_init(&dial->release, on_release);
	if (handshake) {
		dial->handshake = *handshake;
		link_claim_copy(&dial->handshake.claim, &handshake->claim);
	}
	r = dial_prepare(dial, url, error);
	if (!r)
		r = link_timer_set(link, &dial->deadline, LIMIT_HANDSHAKE_MS, 100) < 0 ? -ENOMEM : 0;
	if (r) {
		dial->fetch = false; /* userdata is still the caller's */
		dial_free(dial);
		return r;
	}
	list_append(owner, &dial->entry);
	link_call_begin(&dial->call, 0);
	nng_stream_dialer_dial(dial->nng, dial->call.aio);
	if (ret_dial)
		*ret_dial = dial;
	return 0;
}
