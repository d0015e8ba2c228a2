/* What consoles are told by themselves of the model: a snapshot, then changes, gathered a turn of the loop and packed once
 * for all. A console that cannot keep up misses changes and gets a new snapshot when it has room again. */
#include "coordinator/service/internal.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_TASKS 64u
#define MOVED_MS 1000u /* a thousand workers that beat are one piece of news a second */

/* --- snapshots ----------------------------------------------------------------------------------------------- */

/* One page that is being filled. */
struct page {
	struct conn *conn;
	uint64_t now_ms;
	Maestro__Snapshot message;
	struct core_task_look looks[PAGE_TASKS];
	Maestro__Task *tasks[PAGE_TASKS]; /* in looks */
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
	struct core_task_look *look = &page->looks[page->message.n_tasks];

	if (core_look_task(service_core(page->conn->service), task, page->now_ms, look))
		page->tasks[page->message.n_tasks++] = &look->task;
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
	struct page page;
	const struct core *core = service_core(conn->service);

	page.conn = conn;
	page.now_ms = clock_boottime_ms();
	page.r = 0;
	page_start(&page);
	core_each_question(core, true, page_question, &page);
	core_each_project(core, page_project, &page);
	core_each_worker(core, page_worker, &page);
	core_each_task(core, page_task, &page);
	page_send(&page, true);
	conn->watch.stale = page.r != 0;
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
	uint64_t last;
	bool resumes;

	executor_flush(conn->service->executor); /* what is shown is committed */
	last = core_last_event(service_core(conn->service));
	resumes = watch->has_since && watch->since <= last + 1;
	if (watch->has_since && !resumes && !(watch->has_model && watch->model)) {
		refuse_future(conn, envelope, last);
		return;
	}
	conn->watch.request = envelope->request;
	conn->watch.model = watch->has_model && watch->model;
	conn->watch.events = watch->has_events && watch->events;
	conn->watch.follow = watch->has_follow && watch->follow;
	if (!list_linked(&conn->watch.entry))
		list_append(&conn->service->watchers, &conn->watch.entry);
	if (conn->watch.model)
		send_snapshot(conn);
	feed_start(conn, resumes ? watch->since : last + 1, !resumes);
}

/* --- changes ------------------------------------------------------------------------------------------------- */

static void mark(struct service *service, struct dirty **set, char kind, uint64_t task, const char *name)
{
	struct dirty *dirty;
	char key[96];

	if (list_empty(&service->watchers)) /* who comes gets the whole picture */
		return;
	if (name)
		snprintf(key, sizeof(key), "%c%s", kind, name);
	else
		snprintf(key, sizeof(key), "%c%" PRIu64, kind, task);
	HASH_FIND_STR(*set, key, dirty);
	if (dirty)
		return;
	dirty = calloc(1, sizeof(*dirty));
	if (!dirty)
		return;
	dirty->kind = kind;
	dirty->task = task;
	dirty->name = name ? strdup(name) : NULL;
	memcpy(dirty->key, key, sizeof(key));
	HASH_ADD_STR(*set, key, dirty);
}

void watch_mark_task(struct service *service, uint64_t task)
{
	mark(service, &service->dirty, 't', task, NULL);
}

void watch_mark_question(struct service *service, uint64_t question)
{
	mark(service, &service->dirty, 'q', question, NULL);
}

void watch_mark_name(struct service *service, char kind, const char *name)
{
	mark(service, &service->dirty, kind, 0, name);
}

static void tell_all(struct service *service, Maestro__Change *change)
{
	_cleanup_(link_packed_unref_p) struct link_packed *packed = NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct conn *conn;

	envelope.body_case = BODY(CHANGE);
	envelope.change = change;
	if (link_packed_new(&packed, &envelope))
		packed = NULL; /* missed by all: they get a new snapshot */
	list_for_each(conn, &service->watchers, watch.entry)
		if (conn->watch.model && !conn->watch.stale &&
			(!packed || link_peer_send_packed(conn->peer, CHANNEL_CONTROL, packed)))
			conn->watch.stale = true;
}

static void tell_dirty(struct service *service, const struct dirty *dirty)
{
	const struct core *core = service_core(service);
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	struct core_task_look look;

	if (dirty->kind == 't')
		change.task = core_look_task(core, dirty->task, clock_boottime_ms(), &look) ? &look.task : NULL;
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
	if (change.worker)
		maestro__worker__free_unpacked(change.worker, NULL);
	if (change.project)
		maestro__project__free_unpacked(change.project, NULL);
	if (change.question)
		maestro__question__free_unpacked(change.question, NULL);
}

static void forget(struct dirty **set)
{
	struct dirty *dirty, *next;

	HASH_ITER (hh, *set, dirty, next) {
		HASH_DEL(*set, dirty);
		free(dirty->name);
		free(dirty);
	}
}

static void tell_set(struct service *service, struct dirty **set)
{
	struct dirty *dirty, *next;

	HASH_ITER (hh, *set, dirty, next)
		tell_dirty(service, dirty);
	forget(set);
}

static int on_moved(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct service *service = userdata;

	executor_flush(service->executor); /* what is shown is committed */
	tell_set(service, &service->moved);
	return 0;
}

void watch_mark_load(struct service *service, const char *name)
{
	bool first = !service->moved;
	int r = 0;

	mark(service, &service->moved, 'w', 0, name);
	if (!first || !service->moved)
		return;
	if (!service->moved_timer)
		r = sd_event_add_time_relative(service->event, &service->moved_timer, CLOCK_BOOTTIME, MOVED_MS * 1000ull,
			100000, on_moved, service);
	else
		sd_event_source_set_time_relative(service->moved_timer, MOVED_MS * 1000ull);
	if (r >= 0)
		sd_event_source_set_enabled(service->moved_timer, SD_EVENT_ONESHOT);
	else
		forget(&service->moved); /* the next beat tries again */
}

void watch_deinit(struct service *service)
{
	forget(&service->dirty);
	forget(&service->moved);
	sd_event_source_disable_unref(service->moved_timer);
}

void watch_settled(struct service *service)
{
	tell_set(service, &service->dirty);
	feed_settled(service);
}

void watch_status(struct service *service, uint64_t task, uint32_t attempt)
{
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	struct core_task_look look;

	if (list_empty(&service->watchers) || !core_look_task(service_core(service), task, clock_boottime_ms(), &look) ||
		!look.task.status)
		return;
	report.task = task;
	report.attempt = attempt;
	report.status = look.task.status;
	change.status = &report;
	tell_all(service, &change);
}

void watch_writable(struct conn *conn)
{
	if (conn->watch.model && conn->watch.stale)
		send_snapshot(conn);
	feed_pump(conn);
}
