/* What a worker may ask of a holder: one handler a message. */
#include "worker/session/peer.h"
#include "worker/session/ansi.h"
#include "proto/base/clock.h"

static struct series *series_of(struct peer *peer, Maestro__HolderSeries name)
{
	return &peer->series[name - 1]; /* a value that is none does not pass message_unpack */
}

static int take_watch(struct peer *peer, const Maestro__HolderMessage *message)
{
	const Maestro__HolderWatch *watch = message->watch;

	series_watch(series_of(peer, watch->series), watch->on, watch->has_rate_hz ? watch->rate_hz : 0,
		watch->has_keyframe && watch->keyframe);
	return 0;
}

static int take_ack(struct peer *peer, const Maestro__HolderMessage *message)
{
	series_ack(series_of(peer, message->ack->series), message->ack->frame);
	return 0;
}

static void tell_taken(struct peer *peer, const struct source *source, size_t dropped, bool gap)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderTaken taken = MAESTRO__HOLDER_TAKEN__INIT;

	taken.source = source->id;
	taken.taken = source->taken;
	taken.has_dropped = dropped != 0;
	taken.dropped = dropped;
	taken.has_gap = taken.gap = gap;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_TAKEN;
	message.taken = &taken;
	peer_send(peer, &message);
}

/* Returns how many bytes were dropped. */
static size_t type(struct peer *peer, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(peer->series); i++)
		series_input(&peer->series[i]);
	if (!session_input(peer->session, data, len))
		return 0;
	log_warning(&peer->session->log, "the program does not read its input: %zu bytes were dropped", len);
	return len;
}

static int take_input(struct peer *peer, const Maestro__HolderMessage *message)
{
	const Maestro__HolderInput *input = message->input;
	uint64_t offset = input->has_offset ? input->offset : 0;
	struct source *source;
	size_t known, dropped = 0;

	if (!input->has_source) {
		type(peer, input->data.data, input->data.len);
		return 0;
	}
	source = sources_get(&peer->session->sources, input->source, offset);
	known = source_take(source, offset, input->data.len);
	if (known < input->data.len)
		dropped = type(peer, input->data.data + known, input->data.len - known);
	if (dropped || known == SIZE_MAX || (input->has_tell && input->tell))
		tell_taken(peer, source, dropped, known == SIZE_MAX);
	return 0;
}

static int take_resize(struct peer *peer, const Maestro__HolderMessage *message)
{
	session_resize(peer->session, message->resize->cols, message->resize->rows);
	return 0;
}

static int take_kill(struct peer *peer, const Maestro__HolderMessage *message)
{
	ending_kill(peer->session, message->kill->has_grace_ms ? message->kill->grace_ms : peer->session->grace_ms);
	return 0;
}

static int take_forget(struct peer *peer, const Maestro__HolderMessage *message)
{
	if (peer->session->phase == SESSION_OVER)
		(void)sd_event_exit(peer->session->event, 0);
	return 0;
}

static int take_screenshot(struct peer *peer, const Maestro__HolderMessage *message)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	Maestro__HolderMessage answer = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderScreenshotData data = MAESTRO__HOLDER_SCREENSHOT_DATA__INIT;
	const struct screen *screen = emulator_screen(peer->session->emulator);
	size_t at = 0;
	int r;

	r = message->screenshot->has_scrollback_bytes
		    ? ansi_scrollback(peer->session->emulator, message->screenshot->scrollback_bytes, &text)
		    : 0;
	if (!r)
		r = message->screenshot->ansi ? ansi_screen(screen, message->screenshot->has_scrollback_bytes, &text) : screen_text(screen, &text);
	if (r)
		return r;
	answer.body_case = MAESTRO__HOLDER_MESSAGE__BODY_SCREENSHOT_DATA;
	answer.screenshot_data = &data;
	do {
		data.data.data = text.len ? text.data + at : NULL;
		data.data.len = text.len - at < PEER_PIECE_BYTES ? text.len - at : PEER_PIECE_BYTES;
		at += data.data.len;
		data.last = at == text.len;
		peer_send(peer, &answer);
	} while (!data.last);
	return 0;
}

static int take_mark(struct peer *peer, const Maestro__HolderMessage *message)
{
	if (peer->session->phase != SESSION_OVER)
		transcript_mark(peer->session->transcript, message->mark->text.data, message->mark->text.len, clock_wall_ms());
	return 0;
}

static int (*const handlers[])(struct peer *peer, const Maestro__HolderMessage *message) = {
	[MAESTRO__HOLDER_MESSAGE__BODY_WATCH] = take_watch,
	[MAESTRO__HOLDER_MESSAGE__BODY_ACK] = take_ack,
	[MAESTRO__HOLDER_MESSAGE__BODY_INPUT] = take_input,
	[MAESTRO__HOLDER_MESSAGE__BODY_RESIZE] = take_resize,
	[MAESTRO__HOLDER_MESSAGE__BODY_KILL] = take_kill,
	[MAESTRO__HOLDER_MESSAGE__BODY_FORGET] = take_forget,
	[MAESTRO__HOLDER_MESSAGE__BODY_SCREENSHOT] = take_screenshot,
	[MAESTRO__HOLDER_MESSAGE__BODY_MARK] = take_mark,
};

static void tell_unsupported(struct peer *peer, uint32_t body)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderUnsupported unsupported = MAESTRO__HOLDER_UNSUPPORTED__INIT;

	unsupported.body = body;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_UNSUPPORTED;
	message.unsupported = &unsupported;
	peer_send(peer, &message);
}

int peer_take(struct peer *peer, const void *data, size_t len)
{
	_cleanup_(message_deinit) struct message unpacked = MESSAGE_NULL;
	const Maestro__HolderMessage *message;
	int r;

	r = message_unpack(&maestro__holder_message__descriptor, data, len, &unpacked, NULL);
	if (r)
		return r;
	message = (const Maestro__HolderMessage *)unpacked.base;
	/* What a newer worker asks and we do not know. */
	if (!message->body_case && message->base.n_unknown_fields)
		tell_unsupported(peer, message->base.unknown_fields[0].tag);
	if ((size_t)message->body_case >= ARRAY_SIZE(handlers) || !handlers[message->body_case])
		return 0;
	return handlers[message->body_case](peer, message);
}
