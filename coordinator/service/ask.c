/* Questions that only a worker can answer: each waits in a list with a deadline, and is ended by its answer, its
 * deadline, or the loss of its worker, whichever is first; then never again. */
#include "coordinator/service/internal.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READ_MS 20000u
#define INPUT_MS 30000u
#define WHEN_IDLE_MS 3600000u
#define DIFF_MS 60000u
#define MERGE_MS 120000u
#define PROBE_MS 60000u
#define RELEASE_MS 60000u
#define DIFF_MAX_BYTES (4u * 1024 * 1024)

/* --- the list ------------------------------------------------------------------------------------------------ */

static void ask_free(struct ask *ask)
{
	list_remove(&ask->entry);
	if (ask->original)
		maestro__envelope__free_unpacked(ask->original, NULL);
	free(ask);
}

static void finish(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	list_remove(&ask->entry);
	ask->done(service, ask, answer, why);
	ask_free(ask);
}

static void arm(struct service *service)
{
	uint64_t first = UINT64_MAX;
	struct ask *ask;

	list_for_each(ask, &service->asks, entry)
		first = ask->deadline_ms < first ? ask->deadline_ms : first;
	if (first == UINT64_MAX) {
		sd_event_source_set_enabled(service->ask_timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(service->ask_timer, first * 1000);
	sd_event_source_set_enabled(service->ask_timer, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct service *service = userdata;
	uint64_t now_ms = clock_boottime_ms();
	struct ask *ask, *next;

	list_for_each_safe(ask, next, &service->asks, entry)
		if (ask->deadline_ms <= now_ms)
			finish(service, ask, NULL, "its worker did not answer in time");
	arm(service);
	return 0;
}

int ask_init(struct service *service)
{
	int r;

	list_init(&service->asks);
	r = sd_event_add_time(service->event, &service->ask_timer, CLOCK_BOOTTIME, UINT64_MAX, 100000, on_deadline,
		service);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(service->ask_timer, SD_EVENT_OFF);
}

void ask_deinit(struct service *service)
{
	struct ask *ask, *next;

	if (service->asks.next)
		list_for_each_safe(ask, next, &service->asks, entry)
			ask_free(ask);
	sd_event_source_disable_unref(service->ask_timer);
}

void ask_send(struct service *service, struct ask *ask, const char *worker, const Maestro__Envelope *question,
	uint64_t timeout_ms)
{
	struct conn *conn = conn_find_worker(service, worker);
	Maestro__Envelope envelope = *question;

	list_init(&ask->entry);
	ask->number = ++service->next_ask;
	ask->worker = conn ? conn->id : 0;
	ask->deadline_ms = clock_boottime_ms() + timeout_ms;
	list_append(&service->asks, &ask->entry);
	envelope.has_request = true;
	envelope.request = ask->number;
	if (!conn || conn_send(conn, CHANNEL_CONTROL, &envelope))
		finish(service, ask, NULL, "its worker is not connected");
	arm(service);
}

bool ask_answered(struct service *service, struct conn *worker, const Maestro__Envelope *envelope)
{
	struct ask *ask, *next;

	if (!envelope->has_reply_to)
		return false;
	list_for_each_safe(ask, next, &service->asks, entry) {
		if (ask->number != envelope->reply_to || ask->worker != worker->id)
			continue;
		finish(service, ask, envelope, NULL);
		arm(service);
		break;
	}
	return true;
}

void ask_worker_gone(struct service *service, struct conn *worker)
{
	struct ask *ask;
	bool found;

	do { /* from the start each time: an end may ask anew */
		found = false;
		list_for_each(ask, &service->asks, entry) {
			if (ask->worker != worker->id)
				continue;
			finish(service, ask, NULL, "the connection to its worker was lost");
			found = true;
			break;
		}
	} while (found);
	arm(service);
}

/* --- helpers ------------------------------------------------------------------------------------------------- */

static struct ask *ask_new(struct conn *conn, const Maestro__Envelope *envelope,
	void (*done)(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why))
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	list_init(&ask->entry);
	ask->done = done;
	ask->client = conn->id;
	ask->request = envelope->request;
	ask->original = message_copy(envelope);
	if (!ask->original) {
		free(ask);
		return NULL;
	}
	return ask;
}

static void fail(struct conn *conn, const Maestro__Envelope *envelope, Maestro__FailureCode code, const char *what,
	const char *why, const char *hint)
{
	service_fail(conn->service, conn->id, envelope->request, code, what, why, hint);
}

static void unanswered(struct service *service, const struct ask *ask, const char *what, const char *why)
{
	service_fail(service, ask->client, ask->request, FAIL(UNAVAILABLE), what, why,
		"`maestro worker ls` shows who is there; try again when it is back");
}

/* Hands a worker's answer on as it is. */
static void relay(struct service *service, const struct ask *ask, const Maestro__Envelope *answer)
{
	Maestro__Envelope envelope = *answer;

	service_reply(service, ask->client, ask->request, &envelope);
}

static const char *what_of(char *text, size_t size, const char *word, uint64_t task)
{
	snprintf(text, size, "%s %" PRIu64, word, task);
	return text;
}

/* The attempt that a request is about, or NULL and the person was told. */
static const struct attempt_row *find_attempt_for(struct conn *conn, const Maestro__Envelope *envelope,
	uint64_t task, uint32_t number, const char *what)
{
	const struct core *core = service_core(conn->service);
	const struct attempt_row *attempt = core_attempt(core, task, number);

	if (!core_task(core, task))
		fail(conn, envelope, FAIL(NOT_FOUND), what, "there is no such task", "`maestro ls --all` lists them");
	else if (!attempt && number)
		fail(conn, envelope, FAIL(NOT_FOUND), what, "there is no such attempt", NULL);
	else if (!attempt)
		fail(conn, envelope, FAIL(FAILED), what, "it has not started yet", NULL);
	else if (!conn_worker_reachable(conn->service, attempt->worker))
		fail(conn, envelope, FAIL(UNAVAILABLE), what, "its worker is not connected",
			"`maestro worker ls` shows who is there");
	else
		return attempt;
	return NULL;
}

/* --- sessions ------------------------------------------------------------------------------------------------ */

static void read_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	char what[40];

	if (answer)
		relay(service, ask, answer);
	else
		unanswered(service, ask, what_of(what, sizeof(what), "task", ask->original->read_task->task), why);
}

void ask_read(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__ReadTask *read = envelope->read_task;
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	Maestro__ReadSession session = MAESTRO__READ_SESSION__INIT;
	const struct attempt_row *attempt;
	struct ask *ask;
	char what[40];

	attempt = find_attempt_for(conn, envelope, read->task, read->has_attempt ? read->attempt : 0,
		what_of(what, sizeof(what), "task", read->task));
	ask = attempt ? ask_new(conn, envelope, read_done) : NULL;
	if (!ask)
		return;
	session.task = read->task;
	session.attempt = attempt->attempt;
	session.kind = read->kind;
	session.has_offset = read->has_offset;
	session.offset = read->offset;
	session.has_max_bytes = read->has_max_bytes;
	session.max_bytes = read->max_bytes;
	session.has_since_ms = read->has_since_ms;
	session.since_ms = read->since_ms;
	question.body_case = BODY(READ_SESSION);
	question.read_session = &session;
	ask_send(conn->service, ask, attempt->worker, &question, READ_MS);
}

static void search_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	if (answer)
		relay(service, ask, answer);
	else
		unanswered(service, ask, ask->original->search_worker->worker, why);
}

/* The question goes on as it is: which transcripts there are only the worker knows. */
void ask_search(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__SearchWorker *search = envelope->search_worker;
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	struct ask *ask;

	if (!search->search) {
		fail(conn, envelope, FAIL(USAGE), search->worker, "nothing is searched for", NULL);
		return;
	}
	if (!conn_worker_reachable(conn->service, search->worker)) {
		fail(conn, envelope, FAIL(UNAVAILABLE), search->worker, "this worker is not connected",
			"`maestro worker ls` shows who is there");
		return;
	}
	ask = ask_new(conn, envelope, search_done);
	if (!ask)
		return;
	question.body_case = BODY(SEARCH_SESSIONS);
	question.search_sessions = search->search;
	ask_send(conn->service, ask, search->worker, &question, READ_MS);
}

static void input_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	char what[40];

	if (answer)
		relay(service, ask, answer);
	else
		unanswered(service, ask, what_of(what, sizeof(what), "send", ask->original->send_to_task->task), why);
}

void ask_input(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__SendToTask *send = envelope->send_to_task;
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	Maestro__SendInput input = MAESTRO__SEND_INPUT__INIT;
	const struct attempt_row *attempt;
	struct ask *ask = NULL;
	char what[40];

	what_of(what, sizeof(what), "send", send->task);
	attempt = find_attempt_for(conn, envelope, send->task, 0, what);
	if (!attempt)
		return;
	if (attempt->session != (int32_t)MAESTRO__SESSION_STATE__SESSION_LIVE) {
		fail(conn, envelope, FAIL(FAILED), what, "its session is not live", NULL);
		return;
	}
	ask = ask_new(conn, envelope, input_done);
	if (!ask)
		return;
	input.task = send->task;
	input.attempt = attempt->attempt;
	input.has_text = send->has_text;
	input.text = send->text;
	input.has_key = send->has_key;
	input.key = send->key;
	input.has_when_idle = send->has_when_idle;
	input.when_idle = send->when_idle;
	input.has_no_enter = send->has_no_enter;
	input.no_enter = send->no_enter;
	question.body_case = BODY(SEND_INPUT);
	question.send_input = &input;
	ask_send(conn->service, ask, attempt->worker, &question, send->when_idle ? WHEN_IDLE_MS : INPUT_MS);
}

static void release_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	struct core_event event = { .type = CORE_EVENT_ANSWERED, .task = ask->task, .attempt = ask->attempt,
		.envelope = answer };

	executor_handle(service->executor, &event);
}

void ask_release(struct service *service, const struct core_effect *effect)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return;
	ask->task = effect->task;
	ask->attempt = effect->attempt;
	ask->done = release_done;
	ask_send(service, ask, effect->worker, effect->envelope, RELEASE_MS);
}

/* --- repositories -------------------------------------------------------------------------------------------- */

static void project_spec(const struct project_row *row, Maestro__ProjectSpec *spec)
{
	maestro__project_spec__init(spec);
	spec->name = row->name;
	spec->url = (ProtobufCBinaryData){ row->url.len, row->url.data };
	spec->base_branch = row->base_branch ? row->base_branch : (char *)protobuf_c_empty_string;
	spec->has_needs_git = row->checked;
	spec->needs_git = row->needs_git;
}

/* The result if it is one and well; else the person was told why not. */
static const Maestro__GitResult *good_result(struct service *service, const struct ask *ask, const char *what,
	const Maestro__Envelope *answer, const char *why)
{
	_cleanup_free_ char *text = NULL, *hint = NULL;
	const Maestro__GitResult *result;

	if (!answer) {
		unanswered(service, ask, what, why);
		return NULL;
	}
	if (answer->body_case != BODY(GIT_ANSWER)) {
		if (answer->body_case == BODY(FAILURE))
			relay(service, ask, answer);
		else
			unanswered(service, ask, what, "its worker gave an answer that makes no sense");
		return NULL;
	}
	result = answer->git_answer->result;
	if (result->code == MAESTRO__GIT_CODE__GIT_OK)
		return result;
	text = bytes_dup(&result->why);
	hint = bytes_dup(&result->hint);
	service_fail(service, ask->client, ask->request, FAIL(FAILED), what, *text ? text : "the worker could not do it",
		*hint ? hint : NULL);
	return NULL;
}

static void diff_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	const Maestro__GitResult *result;
	char what[40];

	what_of(what, sizeof(what), "diff", ask->original->diff_task->task);
	result = good_result(service, ask, what, answer, why);
	if (!result)
		return;
	if (result->result_case != MAESTRO__GIT_RESULT__RESULT_DIFFED) {
		unanswered(service, ask, what, "its worker gave an answer that makes no sense");
		return;
	}
	envelope.body_case = BODY(DIFF);
	envelope.diff = result->diffed;
	service_reply(service, ask->client, ask->request, &envelope);
}

/* What a diff or merge is about: the task with its commit and project, and a worker; or the person was told. */
struct question {
	const struct task_row *task;
	const struct attempt_row *attempt;
	const struct project_row *project;
	const char *worker;
};

static void fail_unpushed(struct conn *conn, const Maestro__Envelope *envelope, const char *what, Maestro__TaskState state)
{
	switch (state) {
	case MAESTRO__TASK_STATE__TASK_DONE:
		fail(conn, envelope, FAIL(FAILED), what, "it ended without a change to commit",
			"`maestro show` says whether something was left out");
		return;
	case MAESTRO__TASK_STATE__TASK_RUNNING:
		fail(conn, envelope, FAIL(FAILED), what, "nothing of it has been pushed yet",
			"`maestro publish` pushes what is there now");
		return;
	default:
		fail(conn, envelope, FAIL(FAILED), what, "nothing of it has been pushed",
			task_state_over(state) ? "`maestro retry` starts a next attempt" : NULL);
	}
}

static bool find_question(struct conn *conn, const Maestro__Envelope *envelope, uint64_t id, bool may_merge,
	const char *what, struct question *q)
{
	const struct core *core = service_core(conn->service);
	const char *why = NULL;

	q->task = core_task(core, id);
	if (!q->task) {
		fail(conn, envelope, FAIL(NOT_FOUND), what, "there is no such task", "`maestro ls --all` lists them");
		return false;
	}
	q->attempt = core_attempt(core, id, 0);
	q->project = core_project(core, q->task->project);
	if (!q->task->commit_id || !q->attempt) {
		fail_unpushed(conn, envelope, what, (Maestro__TaskState)q->task->state);
		return false;
	}
	if (!q->project) {
		fail(conn, envelope, FAIL(FAILED), what, "its project is gone", NULL);
		return false;
	}
	if (core_worker_ready(core, q->attempt->worker) && !may_merge)
		q->worker = q->attempt->worker; /* it has the mirror and the commit */
	else
		q->worker = core_find_worker(core, q->task->project, may_merge, &why);
	if (!q->worker)
		fail(conn, envelope, FAIL(UNAVAILABLE), what, why, "`maestro worker ls` shows who is there");
	return q->worker != NULL;
}

void ask_diff(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__DiffTask *diff = envelope->diff_task;
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	Maestro__GitAsk git = MAESTRO__GIT_ASK__INIT;
	Maestro__GitDiff op = MAESTRO__GIT_DIFF__INIT;
	Maestro__ProjectSpec spec;
	struct question q;
	struct ask *ask;
	char what[40];

	what_of(what, sizeof(what), "diff", diff->task);
	if (!find_question(conn, envelope, diff->task, false, what, &q))
		return;
	ask = ask_new(conn, envelope, diff_done);
	if (!ask)
		return;
	project_spec(q.project, &spec);
	op.base_branch = q.task->base_branch;
	op.commit = q.task->commit_id;
	op.has_stat_only = true;
	op.stat_only = diff->has_stat_only && diff->stat_only;
	op.has_max_bytes = true;
	op.max_bytes = DIFF_MAX_BYTES;
	git.project = &spec;
	git.op_case = MAESTRO__GIT_ASK__OP_DIFF;
	git.diff = &op;
	question.body_case = BODY(GIT_ASK);
	question.git_ask = &git;
	ask_send(conn->service, ask, q.worker, &question, DIFF_MS);
}

static void merge_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct core_event event = { .type = CORE_EVENT_MERGED, .task = ask->task };
	struct conn *conn = conn_find(service, ask->client);
	const Maestro__GitResult *result;
	char what[40];

	what_of(what, sizeof(what), "merge", ask->task);
	result = good_result(service, ask, what, answer, why);
	if (!result)
		return;
	if (result->result_case != MAESTRO__GIT_RESULT__RESULT_MERGED) {
		unanswered(service, ask, what, "its worker gave an answer that makes no sense");
		return;
	}
	event.text = result->merged->commit;
	event.client.actor = conn ? conn->actor : NULL;
	executor_handle(service->executor, &event);
	executor_flush(service->executor); /* the answer rests on it */
	if (executor_trouble(service->executor)) {
		service_fail(service, ask->client, ask->request, FAIL(UNAVAILABLE), what,
			"it was merged, but that could not be saved", executor_trouble(service->executor));
		return;
	}
	envelope.body_case = BODY(MERGED);
	envelope.merged = result->merged;
	service_reply(service, ask->client, ask->request, &envelope);
}

static bool check_merge(struct conn *conn, const Maestro__Envelope *envelope, const char *what, const struct question *q)
{
	const Maestro__MergeTask *merge = envelope->merge_task;
	char why[96];

	if (q->task->state != (int32_t)MAESTRO__TASK_STATE__TASK_REVIEW) {
		snprintf(why, sizeof(why), "it is %s: only what is in review can be merged",
			name_task_state((Maestro__TaskState)q->task->state));
		fail(conn, envelope, FAIL(FAILED), what, why, NULL);
		return false;
	}
	if (merge->commit && *merge->commit && strcmp(merge->commit, q->task->commit_id) != 0) {
		fail(conn, envelope, FAIL(FAILED), what, "its branch has moved since that commit was looked at",
			"look at it again");
		return false;
	}
	return true;
}

void ask_merge(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__MergeTask *merge = envelope->merge_task;
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	Maestro__GitAsk git = MAESTRO__GIT_ASK__INIT;
	Maestro__GitMerge op = MAESTRO__GIT_MERGE__INIT;
	Maestro__ProjectSpec spec;
	struct question q;
	struct ask *ask;
	char what[40], message[400];

	what_of(what, sizeof(what), "merge", merge->task);
	if (!find_question(conn, envelope, merge->task, true, what, &q) || !check_merge(conn, envelope, what, &q))
		return;
	ask = ask_new(conn, envelope, merge_done);
	if (!ask)
		return;
	ask->task = merge->task;
	project_spec(q.project, &spec);
	snprintf(message, sizeof(message), "%s\n\nMaestro-Task: %" PRIu64 "\n", q.task->title, q.task->id);
	op.base_branch = q.task->base_branch;
	op.branch = q.attempt->branch;
	op.commit = q.task->commit_id;
	op.method = merge->method;
	op.has_message = true;
	op.message = bytes_of(message);
	op.author = merge->author;
	git.project = &spec;
	git.op_case = MAESTRO__GIT_ASK__OP_MERGE;
	git.merge = &op;
	question.body_case = BODY(GIT_ASK);
	question.git_ask = &git;
	ask_send(conn->service, ask, q.worker, &question, MERGE_MS);
}

/* --- projects ------------------------------------------------------------------------------------------------ */

static void add_project(struct service *service, struct ask *ask, const Maestro__GitProbed *probed)
{
	struct conn *conn = conn_find(service, ask->client);
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD, .probed = probed,
		.project_add = ask->original->project_add };

	event.client = (struct core_client){ ask->client, ask->request, conn ? conn->actor : NULL };
	executor_handle(service->executor, &event);
}

static void probe_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	const Maestro__GitResult *result = good_result(service, ask, "project add", answer, why);

	if (!result)
		return;
	if (result->result_case != MAESTRO__GIT_RESULT__RESULT_PROBED)
		unanswered(service, ask, "project add", "its worker gave an answer that makes no sense");
	else if (!result->probed->commit)
		service_fail(service, ask->client, ask->request, FAIL(FAILED), "project add",
			"the repository has no commit yet", "make a first commit in it, then add it");
	else
		add_project(service, ask, result->probed);
}

static void send_probe(struct service *service, struct ask *ask, const char *worker, Maestro__ProjectSpec *spec)
{
	Maestro__Envelope question = MAESTRO__ENVELOPE__INIT;
	Maestro__GitAsk git = MAESTRO__GIT_ASK__INIT;
	Maestro__GitProbe probe = MAESTRO__GIT_PROBE__INIT;

	probe.base_branch = spec->base_branch[0] ? spec->base_branch : NULL;
	git.project = spec;
	git.op_case = MAESTRO__GIT_ASK__OP_PROBE;
	git.probe = &probe;
	question.body_case = BODY(GIT_ASK);
	question.git_ask = &git;
	ask_send(service, ask, worker, &question, PROBE_MS);
}

void ask_project_add(struct conn *conn, const Maestro__Envelope *envelope)
{
	const Maestro__ProjectAdd *add = envelope->project_add;
	Maestro__ProjectSpec spec = MAESTRO__PROJECT_SPEC__INIT;
	struct ask *ask = ask_new(conn, envelope, probe_done);
	const char *worker = NULL, *why;

	if (!ask)
		return;
	/* The core checks the rest; only what is well formed is worth a worker's question. */
	if (name_valid(add->name) && add->url.len && (!add->base_branch || !*add->base_branch || name_branch_valid(add->base_branch)) &&
		(!core_project(service_core(conn->service), add->name) || add->replace))
		worker = core_find_worker(service_core(conn->service), add->name, false, &why);
	if (!worker) {
		add_project(conn->service, ask, NULL);
		ask_free(ask);
		return;
	}
	spec.name = add->name;
	spec.url = add->url;
	spec.base_branch = add->base_branch ? add->base_branch : (char *)protobuf_c_empty_string;
	send_probe(conn->service, ask, worker, &spec);
}

static void later_probe_done(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why)
{
	struct core_event event = { .type = CORE_EVENT_PROJECT_PROBED, .name = ask->original->project_remove->name };
	const Maestro__GitResult *result =
		answer && answer->body_case == BODY(GIT_ANSWER) ? answer->git_answer->result : NULL;
	_cleanup_free_ char *text = NULL;

	if (!result)
		return; /* the next worker that comes is asked again */
	if (result->code == MAESTRO__GIT_CODE__GIT_OK && result->result_case == MAESTRO__GIT_RESULT__RESULT_PROBED) {
		event.probed = result->probed;
		if (!result->probed->commit) {
			event.probed = NULL;
			event.text = "the repository has no commit yet";
		}
	} else {
		text = bytes_dup(&result->why);
		event.text = str_or(text, "");
	}
	executor_handle(service->executor, &event);
}

struct walk {
	struct service *service;
	const char *worker;
};

static void probe_if_unchecked(const char *name, void *userdata)
{
	struct walk *walk = userdata;
	const struct project_row *row = core_project(service_core(walk->service), name);
	Maestro__Envelope original = MAESTRO__ENVELOPE__INIT;
	Maestro__ProjectRemove named = MAESTRO__PROJECT_REMOVE__INIT; /* only to carry the name */
	struct conn nobody = { .service = walk->service };
	Maestro__ProjectSpec spec;
	struct ask *ask;

	if (row->checked)
		return;
	named.name = row->name;
	original.body_case = BODY(PROJECT_REMOVE);
	original.project_remove = &named;
	ask = ask_new(&nobody, &original, later_probe_done);
	if (!ask)
		return;
	project_spec(row, &spec);
	send_probe(walk->service, ask, walk->worker, &spec);
}

void ask_unchecked_projects(struct service *service, const char *worker)
{
	struct walk walk = { service, worker };

	core_each_project(service_core(service), probe_if_unchecked, &walk);
}
