/* The event stream: read from the store, so that there is one path for old and new. Whoever follows is as far as all the
 * others nearly always, so a page is read and packed once for all of them. */
#include "coordinator/service/internal.h"
#include "proto/wire/message.h"

#include <string.h>

#define PAGE_EVENTS 128u

/* Events as they are sent, for all who are equally far. */
struct feed_page {
	uint64_t from, next; /* next == from: there are none */
	struct link_packed *packed;
};

struct batch {
	Maestro__Event events[PAGE_EVENTS];
	Maestro__Event *pointers[PAGE_EVENTS];
	struct event_row *rows[PAGE_EVENTS];
	size_t count;
};

static void set_event_bytes(protobuf_c_boolean *has, ProtobufCBinaryData *data, const char *text)
{
	*has = text != NULL;
	*data = bytes_of(text);
}

static int batch_take(enum row_table table, void *taken, void *userdata, struct error *error)
{
	struct batch *batch = userdata;
	struct event_row *row = taken;
	Maestro__Event *event = &batch->events[batch->count];

	maestro__event__init(event);
	event->seq = row->seq;
	event->has_time_ms = true;
	event->time_ms = row->time_ms;
	event->kind = row->kind;
	event->has_task = row->task != 0;
	event->task = row->task;
	event->has_attempt = row->attempt != 0;
	event->attempt = row->attempt;
	event->worker = row->worker;
	set_event_bytes(&event->has_actor, &event->actor, row->actor);
	set_event_bytes(&event->has_text, &event->text, row->text);
	set_event_bytes(&event->has_data, &event->data, row->data);
	batch->pointers[batch->count] = event;
	batch->rows[batch->count++] = row;
	return 0;
}

static int pack(const struct batch *batch, struct feed_page *page)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__EventBatch message = MAESTRO__EVENT_BATCH__INIT;
	int r;

	if (!batch->count)
		return 0;
	message.n_events = batch->count;
	message.events = (Maestro__Event **)(uintptr_t)batch->pointers;
	envelope.body_case = BODY(EVENT_BATCH);
	envelope.event_batch = &message;
	r = link_packed_new(&page->packed, &envelope);
	if (!r)
		page->next = batch->rows[batch->count - 1]->seq + 1;
	return r;
}

static void page_clear(struct feed_page *page)
{
	if (page->packed)
		link_packed_unref(page->packed);
	*page = (struct feed_page){ 0 };
}

static int page_load(struct service *service, struct feed_page *page, uint64_t from)
{
	_cleanup_free_ struct batch *batch = calloc(1, sizeof(*batch));
	int r;

	page_clear(page);
	page->from = page->next = from;
	if (!batch)
		return -ENOMEM;
	r = store_each_event(service->store, from, PAGE_EVENTS, batch_take, batch, NULL);
	if (!r)
		r = pack(batch, page);
	for (size_t i = 0; i < batch->count; i++)
		row_free(ROW_EVENT, batch->rows[i]);
	return r;
}

/* Nothing is read but rows of ours; a broken store is said elsewhere. */
static void pump(struct conn *conn, struct feed_page *page)
{
	struct service *service = conn->service;
	uint64_t last = core_last_event(service_core(service));

	if (!conn->watch.events)
		return;
	while (conn->watch.next_seq <= last) {
		if ((!page->packed || page->from != conn->watch.next_seq) && page_load(service, page, conn->watch.next_seq))
			break;
		if (!page->packed)
			break;
		if (link_peer_send_packed(conn->peer, CHANNEL_CONTROL, page->packed))
			return;
		conn->watch.next_seq = page->next;
	}
	if (!conn->watch.follow) {
		service_done(service, conn->id, conn->watch.request, NULL);
		conn->watch.events = false;
	}
}

void feed_pump(struct conn *conn)
{
	struct feed_page page = { 0 };

	pump(conn, &page);
	page_clear(&page);
}

void feed_settled(struct service *service)
{
	struct feed_page page = { 0 };
	struct conn *conn, *next;

	list_for_each_safe(conn, next, &service->watchers, watch.entry)
		pump(conn, &page);
	page_clear(&page);
}

/* Who asked for new events only learns where they begin, and misses none if the connection is lost before the first. */
static void say_next(struct conn *conn)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__EventBatch message = MAESTRO__EVENT_BATCH__INIT;

	message.has_next = true;
	message.next = conn->watch.next_seq;
	envelope.body_case = BODY(EVENT_BATCH);
	envelope.event_batch = &message;
	conn_send(conn, CHANNEL_CONTROL, &envelope);
}

void feed_start(struct conn *conn, uint64_t next_seq, bool say)
{
	conn->watch.next_seq = next_seq;
	if (conn->watch.events && say)
		say_next(conn);
	feed_pump(conn);
}
