/* Live screens: holders' updates in, each watcher's updates out. */
#include "worker/service/service.h"

#include <inttypes.h>
#include "proto/base/clock.h"
#include "proto/wire/message.h"

#define STREAMS_MAX 4096u
#define TILE_RATE_HZ 4u
#define TILE_RATE_MAX_HZ 20u
#define STOPPED_HZ 1000u
#define MODES_SERIES MAESTRO__HOLDER_SERIES__SERIES_ATTACHED

static struct series *series_of(struct session *session, Maestro__HolderSeries kind)
{
	return &session->series[kind - MAESTRO__HOLDER_SERIES__SERIES_ATTACHED];
}

static struct stream *stream_find(const struct service *service, uint32_t number)
{
	struct stream *stream;

	list_for_each (stream, &service->streams, link)
		if (stream->number == number)
			return stream;
	return NULL;
}

static enum channel channel_of(const struct stream *stream)
{
	return stream->kind == MAESTRO__HOLDER_SERIES__SERIES_ATTACHED ? CHANNEL_INTERACTIVE : CHANNEL_BULK;
}

static void send_close(struct service *service, uint32_t number, enum channel channel, const char *reason)
{
	Maestro__StreamClose close_message = MAESTRO__STREAM_CLOSE__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	close_message.stream = number;
	close_message.has_reason = reason != NULL;
	close_message.reason = bytes_of(reason);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_CLOSE;
	envelope.stream_close = &close_message;
	uplink_send(service, channel, &envelope);
}

/* The fastest rate that somebody wants; nobody: the holder stops drawing. */
static void tell_holder(struct session *session, Maestro__HolderSeries kind, bool keyframe)
{
	unsigned int rate_hz = 0;
	struct stream *stream;
	bool on = false;

	list_for_each (stream, &session->service->streams, link) {
		if (stream->session != session || stream->kind != kind)
			continue;
		on = true;
		if (rate_hz < stream->rate_hz)
			rate_hz = stream->rate_hz;
	}
	on = on || (kind == MODES_SERIES && session->modes_asked == MODES_ASKED);
	if (!session->holder || session->exited)
		return;
	if (kind == MAESTRO__HOLDER_SERIES__SERIES_ATTACHED)
		rate_hz = on ? 0 : STOPPED_HZ;
	holder_send_watch(session->holder, kind, on, rate_hz, on && keyframe);
}

/* --- who drives ---
 *
 * Of the streams that ask, one at most has its keys and its size taken. Those of consoles that do not ask are taken
 * beside it, as they always were. */

enum told {
	TOLD_NOTHING,
	TOLD_NOBODY_DRIVES,
	TOLD_ANOTHER_DRIVES,
	TOLD_IT_DRIVES,
};

static struct stream *driver_of(const struct session *session)
{
	struct stream *stream;

	list_for_each (stream, &session->service->streams, link)
		if (stream->session == session && stream->asks && stream->drive)
			return stream;
	return NULL;
}

/* Tells a stream that asks, if it does not know it yet. What finds no room is told before its next picture. */
static void tell_driver(struct service *service, struct stream *stream)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	enum told news = stream->drive ? TOLD_IT_DRIVES : driver_of(stream->session) ? TOLD_ANOTHER_DRIVES : TOLD_NOBODY_DRIVES;

	if (!stream->asks || stream->told == news)
		return;
	frame.stream = stream->number;
	frame.has_driving = frame.has_driven = true;
	frame.driving = stream->drive;
	frame.driven = news == TOLD_ANOTHER_DRIVES;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
	envelope.stream_frame = &frame;
	if (uplink_send(service, channel_of(stream), &envelope) == 0)
		stream->told = news;
}

static void tell_drivers(struct session *session)
{
	struct stream *stream;

	list_for_each (stream, &session->service->streams, link)
		if (stream->session == session)
			tell_driver(session->service, stream);
}

static void take_drive(struct stream *stream)
{
	struct stream *driver = driver_of(stream->session);

	if (driver)
		driver->drive = false;
	stream->drive = true;
}

static void stream_free(struct stream *stream)
{
	list_remove(&stream->link);
	watcher_deinit(&stream->watcher);
	free(stream);
}

static void stream_end(struct stream *stream)
{
	struct session *session = stream->session;
	Maestro__HolderSeries kind = stream->kind;
	struct series *series = series_of(session, kind);

	stream_free(stream);
	tell_drivers(session);
	if (!list_empty(&series->watchers))
		return;
	series_reset(series);
	tell_holder(session, kind, false);
}

/* --- sending --- */

static void send_frame(struct service *service, struct stream *stream, bool last)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	uint64_t number = 0;
	int r;

	tell_driver(service, stream);
	if (!counting_tell(stream, channel_of(stream)))
		return; /* when the channel has room, or the holder has said hello */
	r = watcher_next(&stream->watcher, clock_boottime_ms(), last, &update, &number);

	if (r == WATCH_E_NOTHING)
		return;
	if (!r) {
		frame.stream = stream->number;
		frame.frame = number;
		frame.update = (ProtobufCBinaryData){ update.len, update.data };
		frame.has_no_ack = frame.no_ack = !stream->watcher.in_flight;
		envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
		envelope.stream_frame = &frame;
		r = uplink_send(service, channel_of(stream), &envelope);
	}
	if (r)
		watcher_failed(&stream->watcher); /* tried again when the channel has room, or with the next change */
}

static void acknowledge(struct session *session)
{
	for (int kind = MAESTRO__HOLDER_SERIES__SERIES_ATTACHED; kind <= MAESTRO__HOLDER_SERIES__SERIES_TILE; kind++) {
		uint64_t frame = series_acknowledge(series_of(session, (Maestro__HolderSeries)kind));

		if (frame && session->holder)
			holder_send_ack(session->holder, (Maestro__HolderSeries)kind, frame);
	}
}

static int on_pace(sd_event_source *source, uint64_t usec, void *userdata)
{
	streams_pump(userdata);
	return 0;
}

static void set_pace(struct service *service)
{
	uint64_t due_ms = UINT64_MAX, now_ms = clock_boottime_ms();
	struct stream *stream;

	list_for_each (stream, &service->streams, link) {
		uint64_t of_this = watcher_due_ms(&stream->watcher);

		/* What is due already could not be sent: the channel's `writable` comes for it. */
		if (of_this > now_ms && of_this < due_ms)
			due_ms = of_this;
	}
	if (!service->pace &&
		sd_event_add_time(service->event, &service->pace, CLOCK_BOOTTIME, UINT64_MAX, 1000, on_pace, service) < 0)
		return;
	if (due_ms != UINT64_MAX)
		sd_event_source_set_time(service->pace, due_ms * 1000);
	sd_event_source_set_enabled(service->pace, due_ms == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void streams_pump(struct service *service)
{
	struct stream *stream;

	if (!service->peer)
		return;
	list_for_each (stream, &service->streams, link)
		send_frame(service, stream, false);
	set_pace(service);
}

static void take_modes(struct session *session, struct series *series, Maestro__HolderSeries kind)
{
	if (kind != MODES_SERIES || session->modes_asked != MODES_ASKED)
		return;
	session->modes_asked = MODES_KNOWN;
	input_pump(session);
	if (!list_empty(&series->watchers))
		return;
	series_reset(series);
	tell_holder(session, kind, false);
}

void streams_ask_modes(struct session *session)
{
	session->modes_asked = MODES_ASKED;
	tell_holder(session, MODES_SERIES, true);
}

void streams_screen(struct session *session, Maestro__HolderSeries kind, uint64_t frame, const void *data, size_t len)
{
	struct series *series = series_of(session, kind);
	int r;

	r = series_take(series, data, len, frame);
	if (r == WATCH_E_KEYFRAME) {
		series_reset(series);
		tell_holder(session, kind, true);
		return;
	}
	if (r)
		return;
	session->modes = series->screen.modes;
	take_modes(session, series, kind);
	streams_pump(session->service);
	if (session->service->peer)
		link_peer_flush(session->service->peer); /* on its way before the holder is told */
	acknowledge(session);
}

/* --- opening and closing --- */

static const char *open_refusal(struct service *service, const Maestro__StreamOpen *open, struct session **ret_session)
{
	const struct attempt *attempt = open->has_attempt ? attempts_find(service->core, open->task, open->attempt)
							  : attempts_newest(service->core, open->task);
	struct stream *stream;
	size_t count = 0;

	list_for_each (stream, &service->streams, link)
		count++;
	if (count >= STREAMS_MAX)
		return "too many screens are watched on this worker";
	if (!attempt)
		return "there is no session of this task on this worker";
	if (attempt->state < ATTEMPT_RUNNING)
		return "the session has not started yet";
	*ret_session = session_find(service, attempt->task, attempt->attempt);
	if (!attempt_live(attempt) || !*ret_session || !(*ret_session)->holder)
		return "the session has ended";
	return NULL;
}

static void resize(struct session *session, uint32_t cols, uint32_t rows)
{
	if (cols && rows && cols <= SCREEN_COLS_MAX && rows <= SCREEN_ROWS_MAX && session->holder && !session->exited)
		holder_send_resize(session->holder, cols, rows);
}

static void begin(struct session *session, const Maestro__StreamOpen *open, struct stream *stream)
{
	bool tile = open->kind == MAESTRO__STREAM_KIND__STREAM_TILE;
	uint32_t rate_hz = open->has_rate_hz && open->rate_hz ? open->rate_hz : TILE_RATE_HZ;
	struct series *series;
	bool first;

	stream->session = session;
	stream->number = open->stream;
	stream->kind = tile ? MAESTRO__HOLDER_SERIES__SERIES_TILE : MAESTRO__HOLDER_SERIES__SERIES_ATTACHED;
	stream->rate_hz = !tile ? 0 : rate_hz < TILE_RATE_MAX_HZ ? rate_hz : TILE_RATE_MAX_HZ;
	stream->drive = open->has_drive && open->drive;
	stream->asks = stream->drive && open->has_take_over;
	series = series_of(session, stream->kind);
	first = list_empty(&series->watchers);
	watcher_init(&stream->watcher, series, tile ? 1000 / stream->rate_hz : 0);
	if (stream->asks && driver_of(session)) {
		stream->drive = false;
		if (open->take_over)
			take_drive(stream);
	}
	list_append(&session->service->streams, &stream->link);
	tell_drivers(session);
	counting_open(stream, open);
	if (stream->drive)
		resize(session, open->has_cols ? open->cols : 0, open->has_rows ? open->rows : 0);
	tell_holder(session, stream->kind, first);
}

void streams_open(struct service *service, const Maestro__StreamOpen *open)
{
	struct stream *stream = stream_find(service, open->stream);
	struct session *session = NULL;
	const char *why = open_refusal(service, open, &session);

	if (stream)
		stream_end(stream);
	stream = why ? NULL : calloc(1, sizeof(*stream));
	if (!stream) {
		send_close(service, open->stream, CHANNEL_INTERACTIVE, why ? why : "this worker is out of memory");
		return;
	}
	begin(session, open, stream);
	streams_pump(service);
}

void streams_close(struct service *service, uint32_t number)
{
	struct stream *stream = stream_find(service, number);

	if (stream)
		stream_end(stream);
	set_pace(service);
}

void streams_ack(struct service *service, const Maestro__StreamAck *ack)
{
	struct stream *stream = stream_find(service, ack->stream);

	if (!stream)
		return;
	watcher_ack(&stream->watcher, ack->frame, ack->has_need_keyframe && ack->need_keyframe);
	send_frame(service, stream, false);
	acknowledge(stream->session);
	set_pace(service);
}

void streams_taken(struct session *session, const struct holder_taken *taken)
{
	struct stream *stream;

	list_for_each (stream, &session->service->streams, link) {
		if (stream->session != session || !stream->counting || stream->source != taken->source)
			continue;
		stream->taken = *taken;
		counting_tell(stream, channel_of(stream));
	}
}

void streams_clipboard(struct session *session, const void *data, size_t len)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct stream *driver = driver_of(session);

	if (!driver || !session->service->peer)
		return;
	frame.stream = driver->number;
	frame.has_clipboard = true;
	frame.clipboard = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)data };
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
	envelope.stream_frame = &frame;
	uplink_send(session->service, channel_of(driver), &envelope); /* a channel that is full: the program can copy again */
}

void streams_input(struct service *service, const Maestro__StreamInput *input)
{
	struct stream *stream = stream_find(service, input->stream);

	if (stream && stream->asks && input->has_take_over && input->take_over) {
		take_drive(stream);
		tell_drivers(stream->session);
	}
	if (!stream || !stream->drive)
		return;
	resize(stream->session, input->has_cols ? input->cols : 0, input->has_rows ? input->rows : 0);
	if (!input->has_data || !stream->session->holder || stream->session->exited || !counting_input(stream, input))
		return;
	/* Keys must not vanish unseen: opened again, it learns what was taken. */
	send_close(service, stream->number, channel_of(stream), "the session's holder does not take keys");
	stream_end(stream);
}

void streams_resume(struct session *session)
{
	struct stream *stream;

	list_for_each (stream, &session->service->streams, link)
		if (stream->session == session)
			counting_ask(stream);
	for (int kind = MAESTRO__HOLDER_SERIES__SERIES_ATTACHED; kind <= MAESTRO__HOLDER_SERIES__SERIES_TILE; kind++) {
		struct series *series = series_of(session, (Maestro__HolderSeries)kind);

		if (list_empty(&series->watchers))
			continue;
		series_reset(series);
		tell_holder(session, (Maestro__HolderSeries)kind, true);
	}
}

void streams_end(struct session *session, const char *reason)
{
	struct service *service = session->service;
	struct stream *stream, *next;

	list_for_each_safe (stream, next, &service->streams, link) {
		if (stream->session != session)
			continue;
		if (service->peer) {
			send_frame(service, stream, true);
			send_close(service, stream->number, channel_of(stream), reason);
		}
		stream_free(stream);
	}
}

void streams_drop_all(struct service *service)
{
	struct stream *stream;

	while ((stream = list_first(&service->streams, struct stream, link)))
		stream_end(stream);
}
