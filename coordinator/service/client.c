/* What people ask. One table says for each request who may and what does it. */
#include "coordinator/service/internal.h"
#include "proto/base/clock.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

static struct core_client client_of(struct conn *conn, const Maestro__Envelope *envelope)
{
	return (struct core_client){ conn->id, envelope->request, conn->actor };
}

static void on_submit(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .client = client_of(conn, envelope),
		.submit = envelope->submit };

	executor_handle(conn->service->executor, &event);
}

static void on_act(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_ACT, .client = client_of(conn, envelope),
		.act = envelope->act_on_task };

	executor_handle(conn->service->executor, &event);
}

static void on_project_remove(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_PROJECT_REMOVE, .client = client_of(conn, envelope),
		.name = envelope->project_remove->name };

	executor_handle(conn->service->executor, &event);
}

static void on_queue(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .client = client_of(conn, envelope),
		.flag = envelope->queue_control->paused };

	executor_handle(conn->service->executor, &event);
}

static void on_worker_act(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .client = client_of(conn, envelope),
		.worker_act = envelope->act_on_worker };
	struct service *service = conn->service;

	executor_handle(service->executor, &event);
	if (envelope->act_on_worker->action == MAESTRO__WORKER_ACTION__WORKER_REMOVE) {
		Maestro__Worker *left = core_view_worker(service_core(service), envelope->act_on_worker->name);

		if (left)
			maestro__worker__free_unpacked(left, NULL);
		else /* gone: it may not come back with its old key */
			identity_forget_worker(service, envelope->act_on_worker->name, conn->actor);
	}
}

static void on_answer(struct conn *conn, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_ANSWER_QUESTION, .client = client_of(conn, envelope),
		.answer = envelope->answer_question };

	executor_handle(conn->service->executor, &event);
}

/* --- lists --------------------------------------------------------------------------------------------------- */

struct listing {
	struct conn *conn;
	const Maestro__ListTasks *ask;
	void **items;
	size_t count, size;
	uint64_t next; /* the first that found no room on its page, 0: none */
	bool failed;
};

static void listing_add(struct listing *listing, void *item)
{
	if (!item)
		return;
	if (listing->count == listing->size) {
		size_t size = listing->size ? listing->size * 2 : 32;
		void **items = realloc(listing->items, size * sizeof(*items));

		if (!items) {
			protobuf_c_message_free_unpacked(item, NULL);
			listing->failed = true;
			return;
		}
		listing->items = items;
		listing->size = size;
	}
	listing->items[listing->count++] = item;
}

static void listing_deinit(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		protobuf_c_message_free_unpacked(listing->items[i], NULL);
	free(listing->items);
}

#define LISTED_OVER_MS (24 * 3600 * 1000ll) /* without --all, what has been over for longer is left out */

static bool is_wanted(const Maestro__ListTasks *ask, const struct task_row *row)
{
	for (size_t i = 0; i < ask->n_states; i++)
		if ((int32_t)ask->states[i] == row->state)
			return true;
	if (ask->n_states)
		return false;
	return (ask->has_all && ask->all) || !task_state_over((Maestro__TaskState)row->state) ||
		clock_wall_ms() - row->ended_ms < LISTED_OVER_MS;
}

static void add_task(uint64_t task, void *userdata)
{
	struct listing *listing = userdata;
	const struct core *core = service_core(listing->conn->service);
	const Maestro__ListTasks *ask = listing->ask;
	Maestro__Task *view;

	if (listing->next || (ask->has_from && task < ask->from) || !is_wanted(ask, core_task(core, task)))
		return;
	if (ask->has_from && listing->count == LIMIT_PAGE) {
		listing->next = task;
		return;
	}
	view = core_view_task(core, task, ask->has_attempts && ask->attempts, clock_boottime_ms());
	if (view)
		view->has_prompt = false; /* of one task only */
	listing_add(listing, view);
}

static void add_in_full(struct listing *listing, uint64_t task)
{
	const struct service *service = listing->conn->service;
	Maestro__Task *view = core_view_task(service_core(service), task, true, clock_boottime_ms());

	if (view && view->has_prompt && executor_fill_prompt(service->executor, task, &view->prompt))
		view->has_prompt = false; /* not known is not the same as empty */
	listing_add(listing, view);
}

/* False: one of them is not there, and the person was told. */
static bool add_named_tasks(struct listing *listing, const Maestro__Envelope *envelope)
{
	const struct core *core = service_core(listing->conn->service);
	char what[40];

	for (size_t i = 0; i < listing->ask->n_tasks; i++) {
		uint64_t task = listing->ask->tasks[i];

		if (!core_task(core, task)) {
			snprintf(what, sizeof(what), "task %llu", (unsigned long long)task);
			service_fail(listing->conn->service, listing->conn->id, envelope->request, FAIL(NOT_FOUND), what,
				"there is no such task", "`maestro ls --all` lists them");
			return false;
		}
		add_in_full(listing, task);
	}
	return true;
}

static void on_list_tasks(struct conn *conn, const Maestro__Envelope *envelope)
{
	_cleanup_(listing_deinit) struct listing listing = { .conn = conn, .ask = envelope->list_tasks };
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__TaskList list = MAESTRO__TASK_LIST__INIT;

	if (!listing.ask->n_tasks)
		core_each_task(service_core(conn->service), add_task, &listing);
	else if (!add_named_tasks(&listing, envelope))
		return;
	list.has_next = listing.next != 0;
	list.next = listing.next;
	list.n_tasks = listing.count;
	list.tasks = (Maestro__Task **)listing.items;
	reply.body_case = BODY(TASK_LIST);
	reply.task_list = &list;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static void add_worker(const char *name, void *userdata)
{
	struct listing *listing = userdata;

	listing_add(listing, core_view_worker(service_core(listing->conn->service), name));
}

static void on_list_workers(struct conn *conn, const Maestro__Envelope *envelope)
{
	_cleanup_(listing_deinit) struct listing listing = { .conn = conn };
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerList list = MAESTRO__WORKER_LIST__INIT;

	core_each_worker(service_core(conn->service), add_worker, &listing);
	list.n_workers = listing.count;
	list.workers = (Maestro__Worker **)listing.items;
	reply.body_case = BODY(WORKER_LIST);
	reply.worker_list = &list;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static void add_project(const char *name, void *userdata)
{
	struct listing *listing = userdata;

	listing_add(listing, core_view_project(service_core(listing->conn->service), name));
}

static void on_list_projects(struct conn *conn, const Maestro__Envelope *envelope)
{
	_cleanup_(listing_deinit) struct listing listing = { .conn = conn };
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__ProjectList list = MAESTRO__PROJECT_LIST__INIT;

	core_each_project(service_core(conn->service), add_project, &listing);
	list.n_projects = listing.count;
	list.projects = (Maestro__Project **)listing.items;
	reply.body_case = BODY(PROJECT_LIST);
	reply.project_list = &list;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static void add_question(uint64_t question, void *userdata)
{
	struct listing *listing = userdata;

	listing_add(listing, core_view_question(service_core(listing->conn->service), question));
}

static void on_list_questions(struct conn *conn, const Maestro__Envelope *envelope)
{
	_cleanup_(listing_deinit) struct listing listing = { .conn = conn };
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__QuestionList list = MAESTRO__QUESTION_LIST__INIT;
	bool all = envelope->list_questions->has_all && envelope->list_questions->all;

	executor_flush(conn->service->executor); /* what is shown is committed */
	core_each_question(service_core(conn->service), !all, add_question, &listing);
	list.n_questions = listing.count;
	list.questions = (Maestro__Question **)listing.items;
	reply.body_case = BODY(QUESTION_LIST);
	reply.question_list = &list;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

static void on_status(struct conn *conn, const Maestro__Envelope *envelope)
{
	const struct service *service = conn->service;
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;
	Maestro__ServerStatus status = MAESTRO__SERVER_STATUS__INIT;

	status.has_cluster_id = status.has_epoch = status.has_version = status.has_uptime_ms = status.has_role = true;
	status.has_live_sessions = status.has_queue_paused = true;
	status.cluster_id = (ProtobufCBinaryData){ sizeof(service->cluster_id), (uint8_t *)(uintptr_t)service->cluster_id };
	status.epoch = core_epoch(service_core(service));
	status.version = bytes_of(MAESTRO_VERSION);
	status.uptime_ms = clock_boottime_ms() - service->began_ms;
	status.role = conn->role;
	status.live_sessions = core_live_sessions(service_core(service));
	status.queue_paused = core_queue_paused(service_core(service));
	reply.body_case = BODY(SERVER_STATUS);
	reply.server_status = &status;
	service_reply(conn->service, conn->id, envelope->request, &reply);
}

/* --- the table ----------------------------------------------------------------------------------------------- */

#define VIEWER MAESTRO__ROLE__ROLE_VIEWER
#define OPERATOR MAESTRO__ROLE__ROLE_OPERATOR
#define ADMIN MAESTRO__ROLE__ROLE_ADMIN

static const struct {
	Maestro__Envelope__BodyCase body;
	Maestro__Role role; /* the least that is needed */
	void (*handle)(struct conn *conn, const Maestro__Envelope *envelope);
} requests[] = {
	{ BODY(SUBMIT), OPERATOR, on_submit },
	{ BODY(LIST_TASKS), VIEWER, on_list_tasks },
	{ BODY(ACT_ON_TASK), OPERATOR, on_act },
	{ BODY(SEND_TO_TASK), OPERATOR, ask_input },
	{ BODY(READ_TASK), VIEWER, ask_read },
	{ BODY(SEARCH_WORKER), VIEWER, ask_search },
	{ BODY(DIFF_TASK), VIEWER, ask_diff },
	{ BODY(MERGE_TASK), OPERATOR, ask_merge },
	{ BODY(WATCH), VIEWER, watch_start },
	{ BODY(PROJECT_ADD), OPERATOR, ask_project_add },
	{ BODY(PROJECT_REMOVE), OPERATOR, on_project_remove },
	{ BODY(LIST_PROJECTS), VIEWER, on_list_projects },
	{ BODY(LIST_WORKERS), VIEWER, on_list_workers },
	{ BODY(ACT_ON_WORKER), ADMIN, on_worker_act },
	{ BODY(QUEUE_CONTROL), OPERATOR, on_queue },
	{ BODY(TOKEN_CREATE), ADMIN, identity_create_token },
	{ BODY(LIST_KEYS), ADMIN, identity_list_keys },
	{ BODY(REVOKE_KEY), ADMIN, identity_revoke },
	{ BODY(READ_AUDIT), OPERATOR, audit_read },
	{ BODY(ASK_STATUS), VIEWER, on_status },
	{ BODY(LIST_QUESTIONS), VIEWER, on_list_questions },
	{ BODY(ANSWER_QUESTION), ADMIN, on_answer },
};

static bool is_stream(const Maestro__Envelope *envelope)
{
	return envelope->body_case >= BODY(STREAM_OPEN) && envelope->body_case <= BODY(STREAM_INPUT);
}

void client_message(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope)
{
	char why[96];

	if (is_stream(envelope)) {
		stream_from_console(conn, channel, envelope);
		return;
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].body != envelope->body_case)
			continue;
		if (conn->role >= requests[i].role) {
			requests[i].handle(conn, envelope);
			return;
		}
		snprintf(why, sizeof(why), "this needs the role %s, and you are %s", name_role(requests[i].role),
			name_role(conn->role));
		service_fail(conn->service, conn->id, envelope->request, FAIL(NOT_ALLOWED), NULL, why,
			requests[i].role == ADMIN ?
				"the admin key is in the coordinator's state directory, on its machine" :
				"ask an admin for a token: `maestro token create --role operator`");
		return;
	}
	service_fail(conn->service, conn->id, envelope->request, FAIL(UNSUPPORTED), NULL,
		"a person's program cannot ask that", NULL);
}
