/* What consoles are told by themselves: the model (a snapshot, then changes, gathered a turn of the loop) and the
 * event stream (read from the store, so that there is one path for old and new). A console that cannot keep up misses
 * changes and gets a new snapshot when it has room again. */
#include "coordinator/service/internal.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_TASKS 64u
#define PAGE_EVENTS 128u

/* --- snapshots ----------------------------------------------------------------------------------------------- */

/* One page that is being filled. */
struct page {
	struct conn *conn;
	Maestro__Snapshot message;
	Maestro__Task *tasks[PAGE_TASKS];
	Maestro__Worker *workers[PAGE_TASKS];
	Maestro__Project *projects[PAGE_TASKS];
	Maestro__Question *questions[PAGE_TASKS];
	int r;
};

static void page_start(struct page *page)
{
	maestro__snapshot__init(&page->message);
	page->message.tasks = page->tasks;
	page->message.workers = page->workers;
	page->message.projects = page->projects;
	page->message.questions = page->questions;
}

static void page_send(struct page *page, bool last)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	page->message.last = last;
	page->message.has_queue_paused = true;
	page->message.queue_paused = core_queue_paused(service_core(page->conn->service));
	envelope.body_case = BODY(SNAPSHOT);
	envelope.snapshot = &page->message;
	if (!page->r)
		page->r = conn_send(page->conn, CHANNEL_CONTROL, &envelope);
	for (size_t i = 0; i < page->message.n_tasks; i++)
		maestro__task__free_unpacked(page->tasks[i], NULL);
	for (size_t i = 0; i < page->message.n_workers; i++)
		maestro__worker__free_unpacked(page->workers[i], NULL);
	for (size_t i = 0; i < page->message.n_projects; i++)
		maestro__project__free_unpacked(page->projects[i], NULL);
	for (size_t i = 0; i < page->message.n_questions; i++)
		maestro__question__free_unpacked(page->questions[i], NULL);
	page_start(page);
}

static void page_task(uint64_t task, void *userdata)
{
	struct page *page = userdata;
	Maestro__Task *view = core_view_task(service_core(page->conn->service), task, false, clock_boottime_ms());

	if (view)
		page->tasks[page->message.n_tasks++] = view;
	if (page->message.n_tasks == PAGE_TASKS)
		page_send(page, false);
}

static void page_worker(const char *name, void *userdata)
{
	struct page *page = userdata;
	Maestro__Worker *view = core_view_worker(service_core(page->conn->service), name);

	if (view)
		page->workers[page->message.n_workers++] = view;
	if (page->message.n_workers == PAGE_TASKS)
		page_send(page, false);
}

static void page_project(const char *name, void *userdata)
{
	struct page *page = userdata;
	Maestro__Project *view = core_view_project(service_core(page->conn->service), name);

	if (view)
		page->projects[page->message.n_projects++] = view;
	if (page->message.n_projects == PAGE_TASKS)
		page_send(page, false);
}

static void page_question(uint64_t question, void *userdata)
{
	struct page *page = userdata;
	Maestro__Question *view = core_view_question(service_core(page->conn->service), question);

	if (view)
		page->questions[page->message.n_questions++] = view;
	if (page->message.n_questions == PAGE_TASKS)
		page_send(page, false);
}

static void send_snapshot(struct conn *conn)
{
	struct page page = { .conn = conn };
	const struct core *core = service_core(conn->service);

	page_start(&page);
	core_each_question(core, true, page_question, &page);
	core_each_project(core, page_project, &page);
	core_each_worker(core, page_worker, &page);
	core_each_task(core, page_task, &page);
	page_send(&page, true);
	conn->watch.stale = page.r != 0;
}

/* --- events -------------------------------------------------------------------------------------------------- */

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

/* One batch. False: nothing more to send, or no room. */
static bool pump_batch(struct conn *conn)
{
	_cleanup_free_ struct batch *batch = calloc(1, sizeof(*batch));
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__EventBatch message = MAESTRO__EVENT_BATCH__INIT;
	bool sent = false;

	if (!batch || store_each_event(conn->service->store, conn->watch.next_seq, PAGE_EVENTS, batch_take, batch, NULL))
		conn->watch.done = true; /* nothing is read but rows of ours; a broken store is said elsewhere */
	if (batch && batch->count) {
		message.n_events = batch->count;
		message.events = batch->pointers;
		envelope.body_case = BODY(EVENT_BATCH);
		envelope.event_batch = &message;
		sent = conn_send(conn, CHANNEL_CONTROL, &envelope) == 0;
		if (sent)
			conn->watch.next_seq = batch->rows[batch->count - 1]->seq + 1;
	}
	for (size_t i = 0; batch && i < batch->count; i++)
		row_free(ROW_EVENT, batch->rows[i]);
	if (batch && !batch->count)
		conn->watch.done = true;
	return sent;
}

static void pump_events(struct conn *conn)
{
	if (!conn->watch.events)
		return;
	conn->watch.done = false;
	while (pump_batch(conn))
		;
	if (conn->watch.done && !conn->watch.follow) {
		service_done(conn->service, conn->id, conn->watch.request, NULL);
		conn->watch.events = false;
	}
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

/* Numbers go on where they ended: who has seen a later one than the newest has seen another, newer database. Waiting for
 * that number would be silent for long, and then leave out what has happened by then. A script is told so; a console,
 * which shows the present, gets that from now on, with the lower number. */
static void refuse_future(struct conn *conn, const Maestro__Envelope *envelope, uint64_t last)
{
	const Maestro__Watch *watch = envelope->watch;
	char why[160], hint[80];

	snprintf(why, sizeof(why), "there is no event %" PRIu64 " yet: the newest is %" PRIu64 ". If you have seen later ones, "
		"an older backup of the database was restored", watch->since, last);
	snprintf(hint, sizeof(hint), "go on from --since %" PRIu64, last + 1);
	service_fail(conn->service, conn->id, envelope->request, FAIL(NOT_FOUND), "events", why, hint);
}

void watch_start(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__Watch *watch = envelope->watch;
	bool resumes = watch->has_since;
	uint64_t last = 0;

	executor_flush(conn->service->executor); /* what is shown is committed */
	if (!store_last_event(conn->service->store, &last, NULL) && resumes && watch->since > last + 1) {
		resumes = false;
		if (!watch->has_model || !watch->model) {
			refuse_future(conn, envelope, last);
			return;
		}
	}
	conn->watch.request = envelope->request;
	conn->watch.model = watch->has_model && watch->model;
	conn->watch.events = watch->has_events && watch->events;
	conn->watch.follow = watch->has_follow && watch->follow;
	conn->watch.next_seq = resumes ? watch->since : last + 1;
	if (conn->watch.model)
		send_snapshot(conn);
	if (conn->watch.events && !resumes)
		say_next(conn);
	pump_events(conn);
}

/* --- changes ------------------------------------------------------------------------------------------------- */

static void mark(struct service *service, char kind, uint64_t task, const char *name)
{
	struct dirty *dirty;
	char key[96];

	if (name)
		snprintf(key, sizeof(key), "%c%s", kind, name);
	else
		snprintf(key, sizeof(key), "%c%" PRIu64, kind, task);
	HASH_FIND_STR(service->dirty, key, dirty);
	if (dirty)
		return;
	dirty = calloc(1, sizeof(*dirty));
	if (!dirty)
		return;
	dirty->kind = kind;
	dirty->task = task;
	dirty->name = name ? strdup(name) : NULL;
	memcpy(dirty->key, key, sizeof(key));
	HASH_ADD_STR(service->dirty, key, dirty);
}

void watch_mark_task(struct service *service, uint64_t task)
{
	mark(service, 't', task, NULL);
}

void watch_mark_question(struct service *service, uint64_t question)
{
	mark(service, 'q', question, NULL);
}

void watch_mark_name(struct service *service, char kind, const char *name)
{
	mark(service, kind, 0, name);
}

static void tell_all(struct service *service, Maestro__Change *change)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct conn *conn, *next;

	envelope.body_case = BODY(CHANGE);
	envelope.change = change;
	HASH_ITER (hh, service->conns, conn, next)
		if (conn->watch.model && !conn->watch.stale && conn_send(conn, CHANNEL_CONTROL, &envelope))
			conn->watch.stale = true;
}

static void tell_dirty(struct service *service, const struct dirty *dirty)
{
	const struct core *core = service_core(service);
	Maestro__Change change = MAESTRO__CHANGE__INIT;

	if (dirty->kind == 't')
		change.task = core_view_task(core, dirty->task, false, clock_boottime_ms());
	else if (dirty->kind == 'w')
		change.worker = core_view_worker(core, dirty->name);
	else if (dirty->kind == 'q')
		change.question = core_view_question(core, dirty->task);
	else
		change.project = core_view_project(core, dirty->name);
	if (!change.task && !change.worker && !change.project && !change.question) {
		change.has_removed_task = dirty->kind == 't';
		change.removed_task = dirty->task;
		change.removed_worker = dirty->kind == 'w' ? dirty->name : NULL;
		change.removed_project = dirty->kind == 'p' ? dirty->name : NULL;
	}
	tell_all(service, &change);
	if (change.task)
		maestro__task__free_unpacked(change.task, NULL);
	if (change.worker)
		maestro__worker__free_unpacked(change.worker, NULL);
	if (change.project)
		maestro__project__free_unpacked(change.project, NULL);
	if (change.question)
		maestro__question__free_unpacked(change.question, NULL);
}

void watch_deinit(struct service *service)
{
	struct dirty *dirty, *next;

	HASH_ITER (hh, service->dirty, dirty, next) {
		HASH_DEL(service->dirty, dirty);
		free(dirty->name);
		free(dirty);
	}
}

void watch_settled(struct service *service)
{
	struct conn *conn, *next_conn;
	struct dirty *dirty, *next;

	HASH_ITER (hh, service->dirty, dirty, next)
		tell_dirty(service, dirty);
	watch_deinit(service);
	HASH_ITER (hh, service->conns, conn, next_conn)
		pump_events(conn);
}

void watch_status(struct service *service, uint64_t task, uint32_t attempt)
{
	Maestro__Task *view = core_view_task(service_core(service), task, false, clock_boottime_ms());
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;

	if (view && view->status) {
		report.task = task;
		report.attempt = attempt;
		report.status = view->status;
		change.status = &report;
		tell_all(service, &change);
	}
	if (view)
		maestro__task__free_unpacked(view, NULL);
}

void watch_writable(struct conn *conn)
{
	if (conn->watch.model && conn->watch.stale)
		send_snapshot(conn);
	pump_events(conn);
}
