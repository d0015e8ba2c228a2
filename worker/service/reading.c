/* A session's screen and output, for whoever asks once. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/base/io.h"
#include "proto/wire/message.h"
#include "proto/wire/timeline.h"
#include "worker/session/transcript.h"

#define OUTPUT_MAX_BYTES (1024u * 1024)
#define TIMED_MAX_BYTES (512u * 1024) /* one record at least, which has 256 KiB */
#define LOGS_HINT "its output can still be read with: maestro logs TASK"

static void reading_free(struct reading *reading)
{
	list_remove(&reading->link);
	free(reading);
}

static void fail(struct service *service, uint64_t request, uint64_t peer_number, const char *why, const char *hint)
{
	uplink_failure(service, request, peer_number, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL, why, hint);
}

static void answer(struct service *service, uint64_t request, uint64_t peer_number, Maestro__SessionBytes *bytes)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	envelope.body_case = MAESTRO__ENVELOPE__BODY_SESSION_BYTES;
	envelope.session_bytes = bytes;
	uplink_answer(service, CHANNEL_BULK, request, peer_number, &envelope);
}

void reading_screenshot(struct session *session, const void *data, size_t len)
{
	struct reading *reading = list_first(&session->readings, struct reading, link);
	Maestro__SessionBytes bytes = MAESTRO__SESSION_BYTES__INIT;

	if (!reading)
		return;
	if (reading->ours) {
		reading_free(reading);
		quiet_screen(session, data, len);
		return;
	}
	bytes.has_data = true;
	bytes.data = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)data };
	answer(session->service, reading->request, reading->peer_number, &bytes);
	reading_free(reading);
}

/* Answers come in the order of the questions, ours among the others'. */
static int ask_holder(struct session *session, const struct reading *asked, bool ansi, uint32_t scrollback_bytes)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading || holder_ask_screenshot(session->holder, ansi, scrollback_bytes)) {
		free(reading);
		return -EIO;
	}
	*reading = *asked;
	list_append(&session->readings, &reading->link);
	return 0;
}

void reading_ask_quietly(struct session *session)
{
	struct reading ours = { .ours = true };

	if (session->holder)
		ask_holder(session, &ours, false, 0);
}

void reading_clear(struct session *session, const char *why)
{
	struct reading *reading;

	while ((reading = list_first(&session->readings, struct reading, link))) {
		if (!reading->ours)
			fail(session->service, reading->request, reading->peer_number, why, LOGS_HINT);
		reading_free(reading);
	}
}

static void ask_screen(struct service *service, uint64_t request, const Maestro__ReadSession *message)
{
	struct session *session = session_find(service, message->task, message->attempt);
	bool above = message->kind == MAESTRO__READ_KIND__READ_SCROLLBACK;
	bool ansi = above || message->kind == MAESTRO__READ_KIND__READ_SCREEN_ANSI;
	uint32_t scrollback_bytes = !above ? 0 : message->has_max_bytes && message->max_bytes < TIMED_MAX_BYTES
							? message->max_bytes : TIMED_MAX_BYTES;
	struct reading theirs = { .request = request, .peer_number = service->peer_number };

	if (!session || !session->holder || session->exited)
		fail(service, request, service->peer_number, "the session has ended", LOGS_HINT);
	else if (ask_holder(session, &theirs, ansi, scrollback_bytes))
		fail(service, request, service->peer_number, "the session does not answer", NULL);
}

/* Reads on over gaps, until there is enough or no more. */
static int read_output(struct transcript_reader *reader, uint64_t *offset, size_t max_bytes, struct buf *out)
{
	uint64_t next = *offset;
	int r = 0;

	while (out->len < max_bytes) {
		r = transcript_read(reader, next, max_bytes - out->len, out, &next);
		if (r == TRANSCRIPT_E_GAP) {
			if (out->len)
				break; /* the next question begins behind it, and says so by its offset */
			*offset = next;
			continue;
		}
		if (r)
			break;
	}
	return r < 0 ? r : 0;
}

/* Of a session that is over: whether its end is lost. */
static int tell_cut_off(struct transcript_reader *reader, Maestro__SessionBytes *bytes)
{
	struct transcript_place place;
	int r = transcript_cut_off(reader, &place);

	bytes->has_cut_off = true;
	bytes->cut_off = !r;
	return r < 0 ? r : 0;
}

static int output(const char *path, const Maestro__ReadSession *message, bool over, struct buf *out, Maestro__SessionBytes *bytes)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	uint64_t offset = message->has_offset ? message->offset : 0, end = 0;
	size_t max_bytes = message->has_max_bytes && message->max_bytes && message->max_bytes < OUTPUT_MAX_BYTES
				   ? message->max_bytes
				   : OUTPUT_MAX_BYTES;
	int r = transcript_reader_new(&reader, path);

	if (!r && message->has_since_ms)
		r = transcript_find_time(reader, message->since_ms, &offset);
	if (!r)
		r = read_output(reader, &offset, max_bytes, out);
	if (!r)
		r = transcript_end(reader, &end);
	if (!r && over)
		r = tell_cut_off(reader, bytes);
	if (r)
		return r;
	bytes->has_data = bytes->has_offset = bytes->has_end = true;
	bytes->data = (ProtobufCBinaryData){ out->len, out->data };
	bytes->offset = offset;
	bytes->end = end;
	return 0;
}

static int put_timed(void *userdata, const struct transcript_item *item)
{
	static const struct {
		enum transcript_kind kind;
		enum timeline_kind as;
	} kinds[] = { { TRANSCRIPT_DATA, TIMELINE_OUTPUT }, { TRANSCRIPT_RESIZE, TIMELINE_RESIZE },
		{ TRANSCRIPT_MARK, TIMELINE_MARK }, { TRANSCRIPT_GAP, TIMELINE_GAP } };
	struct timeline_item timed = { .wall_ms = item->wall_ms, .data = item->data, .len = item->len, .cols = item->cols,
		.rows = item->rows, .lost_bytes = item->len };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].kind != item->kind)
			continue;
		timed.kind = kinds[i].as;
		return timeline_put(userdata, &timed);
	}
	return 0; /* written by a newer holder */
}

/* The screen at the last keyframe before that time, and where the recording goes on. Without one: the beginning. */
static int put_keyframe(struct transcript_reader *reader, int64_t since_ms, struct timeline_writer *writer,
	uint64_t *position)
{
	_cleanup_(buf_deinit) struct buf stream = BUF_NULL;
	struct transcript_place place;
	struct timeline_item item = { .kind = TIMELINE_KEYFRAME };
	int r;

	*position = 0;
	r = transcript_seek_time(reader, since_ms, &place, &stream);
	if (r)
		return r < 0 ? r : 0;
	*position = place.position;
	item.wall_ms = place.wall_ms;
	item.cols = place.cols;
	item.rows = place.rows;
	item.data = stream.data;
	item.len = stream.len;
	return timeline_put(writer, &item);
}

/* Behind the last whole record, once: what followed is told as damage. */
static int put_cut_off(struct transcript_reader *reader, struct timeline_writer *writer, uint64_t *position)
{
	struct timeline_item item = { .kind = TIMELINE_GAP };
	struct transcript_place place;
	int r = transcript_cut_off(reader, &place);

	if (r || *position >= place.position)
		return r < 0 ? r : 0;
	*position = place.position;
	item.wall_ms = place.wall_ms;
	return timeline_put(writer, &item);
}

static int timed(const char *path, const Maestro__ReadSession *message, bool over, struct buf *out, Maestro__SessionBytes *bytes)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	struct timeline_writer writer = TIMELINE_WRITER(out);
	size_t max_bytes = message->has_max_bytes && message->max_bytes < TIMED_MAX_BYTES ? message->max_bytes : TIMED_MAX_BYTES;
	uint64_t position = message->has_offset ? message->offset : 0;
	int r = transcript_reader_new(&reader, path);

	if (!r && message->has_since_ms)
		r = put_keyframe(reader, message->since_ms, &writer, &position);
	if (!r)
		r = transcript_part(reader, &position, max_bytes, put_timed, &writer);
	if (r == TRANSCRIPT_E_END && reader)
		r = over ? put_cut_off(reader, &writer, &position) : 0;
	if (r)
		return r;
	bytes->has_data = bytes->has_offset = bytes->has_next = true;
	bytes->data = (ProtobufCBinaryData){ out->len, out->data };
	bytes->offset = message->has_offset ? message->offset : 0;
	bytes->next = position;
	return 0;
}

static void ask_output(struct service *service, uint64_t request, const Maestro__ReadSession *message)
{
	const struct attempt *attempt = attempts_find(service->core, message->task, message->attempt);
	_cleanup_free_ char *dir = session_dir(service, message->task, message->attempt);
	_cleanup_free_ char *path = dir ? io_join(dir, "transcript.zst") : NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	Maestro__SessionBytes bytes = MAESTRO__SESSION_BYTES__INIT;
	bool coming = attempt && (attempt_live(attempt) || attempt->state < ATTEMPT_RUNNING);
	int r = !path ? -ENOMEM : message->kind == MAESTRO__READ_KIND__READ_TIMED ? timed(path, message, !coming, &out, &bytes)
										  : output(path, message, !coming, &out, &bytes);

	if (r == TRANSCRIPT_E_NOT_FOUND && coming)
		r = 0; /* nothing was printed yet */
	if (r) {
		fail(service, request, service->peer_number,
			r == TRANSCRIPT_E_NOT_FOUND ? "no output of this session is kept" : strerror(r < 0 ? -r : EIO), NULL);
		return;
	}
	bytes.has_ended = true;
	bytes.ended = !coming;
	answer(service, request, service->peer_number, &bytes);
}

void reading_ask(struct service *service, uint64_t request, const Maestro__ReadSession *message)
{
	if (message->kind == MAESTRO__READ_KIND__READ_OUTPUT || message->kind == MAESTRO__READ_KIND__READ_TIMED)
		ask_output(service, request, message);
	else
		ask_screen(service, request, message);
}
