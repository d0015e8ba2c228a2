/* A stolen worker, enrolled and connected like any other, that knows task, attempt and even run of another's session: all
 * that it says of it is refused, what it may log is logged, and the other's work goes on as if nothing had been said.
 *
 * Seen to fail: with own_attempt (core/report.c) looking at the run alone its reports were believed; with find_by_worker
 * (service/stream.c) and ask_answered (service/ask.c) looking at the number alone its screens and answers were passed on;
 * without judge_stolen (core/inventory.c) its inventory raised the question of a restored backup. */
#include "tests/unit/coordinator/served.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/wire/message.h"

#define COMMIT "0123456789012345678901234567890123456789"
#define PHASE(name) MAESTRO__ATTEMPT_PHASE__PHASE_##name
#define STATE(name) MAESTRO__TASK_STATE__TASK_##name

/* What a played worker was told, by kind; and what a console was shown. */
struct heard {
	bool ready, verdicts, grant;
	Maestro__Verdict verdict;
	uint64_t start_task, asked; /* asked: number of the last question */
	uint8_t run_id[16];
	uint32_t stream;            /* opened here */
	uint64_t acked, frame;      /* newest report, newest frame */
	unsigned int closes, refusals;
};

struct theft {
	struct served world;
	struct client admin, owner, thief;
	struct heard owner_heard, thief_heard, admin_heard;
	struct key thief_key;
};

static void answer_probe(struct client *client, uint64_t request)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__GitAnswer answer = MAESTRO__GIT_ANSWER__INIT;
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitProbed probed = MAESTRO__GIT_PROBED__INIT;

	probed.base_branch = (char *)"main";
	probed.commit = (char *)COMMIT;
	result.code = MAESTRO__GIT_CODE__GIT_OK;
	result.result_case = MAESTRO__GIT_RESULT__RESULT_PROBED;
	result.probed = &probed;
	answer.result = &result;
	envelope.has_reply_to = true;
	envelope.reply_to = request;
	envelope.body_case = BODY(GIT_ANSWER);
	envelope.git_answer = &answer;
	assert_int_equal(link_peer_send(client->peer, CHANNEL_CONTROL, &envelope), 0);
}

static void take_refused(struct heard *heard, const Maestro__EventBatch *batch)
{
	for (size_t i = 0; i < batch->n_events; i++)
		heard->refusals += batch->events[i]->kind && !strcmp(batch->events[i]->kind, "worker.refused");
}

static void told(struct client *client, const Maestro__Envelope *envelope)
{
	struct heard *heard = client->userdata;

	switch ((int)envelope->body_case) {
	case BODY(VERDICTS):
		heard->verdicts = true;
		if (envelope->verdicts->n_entries)
			heard->verdict = envelope->verdicts->entries[0]->verdict;
		break;
	case BODY(START):
		heard->start_task = envelope->start->task;
		memcpy(heard->run_id, envelope->start->run_id.data, sizeof(heard->run_id));
		break;
	case BODY(GIT_ASK):
		if (envelope->git_ask->op_case == MAESTRO__GIT_ASK__OP_PROBE)
			answer_probe(client, envelope->request);
		else
			heard->asked = envelope->request;
		break;
	case BODY(READ_SESSION):
		heard->asked = envelope->request;
		break;
	case BODY(REPORT_ACK):
		heard->acked = envelope->report_ack->number;
		break;
	case BODY(PUSH_GRANT):
		heard->grant = true;
		break;
	case BODY(STREAM_OPEN):
		heard->stream = envelope->stream_open->stream;
		break;
	case BODY(STREAM_FRAME):
		heard->frame = envelope->stream_frame->frame;
		break;
	case BODY(STREAM_CLOSE):
		heard->closes++;
		break;
	case BODY(EVENT_BATCH):
		take_refused(heard, envelope->event_batch);
		break;
	}
}

static void hear(struct client *client, struct heard *heard)
{
	client->userdata = heard;
	client->told = told;
}

/* --- what a worker says -------------------------------------------------------------------------------------- */

static void say(struct client *client, Maestro__Envelope *envelope)
{
	assert_int_equal(link_peer_send(client->peer, CHANNEL_CONTROL, envelope), 0);
}

static void say_inventory(struct client *worker, Maestro__InventoryEntry *entry)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;
	struct heard *heard = worker->userdata;

	inventory.n_entries = entry != NULL;
	inventory.entries = &entry;
	inventory.last = true;
	envelope.body_case = BODY(INVENTORY);
	envelope.inventory = &inventory;
	say(worker, &envelope);
	RUN_UNTIL(worker->world, heard->verdicts);
	envelope.body_case = BODY(WORKER_READY);
	envelope.worker_ready = &ready;
	say(worker, &envelope);
}

static void say_info(struct client *worker, uint32_t slots)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents = &agent;

	agent.name = (char *)"command";
	info.has_slots = true;
	info.slots = slots;
	info.n_agents = 1;
	info.agents = &agents;
	envelope.body_case = BODY(WORKER_INFO);
	envelope.worker_info = &info;
	say(worker, &envelope);
}

static void say_report(struct theft *theft, struct client *worker, uint64_t number, Maestro__AttemptPhase phase)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;

	report.number = number;
	report.task = theft->owner_heard.start_task;
	report.attempt = 1;
	report.run_id = (ProtobufCBinaryData){ 16, theft->owner_heard.run_id };
	report.phase = phase;
	report.commit = report.base_commit = (char *)COMMIT;
	report.has_session_live = report.session_live = true;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &report;
	say(worker, &envelope);
}

static void say_status(struct theft *theft, struct client *worker)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;

	status.state = MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT;
	report.task = theft->owner_heard.start_task;
	report.attempt = 1;
	report.status = &status;
	envelope.body_case = BODY(STATUS_REPORT);
	envelope.status_report = &report;
	say(worker, &envelope);
}

static void say_frame(struct client *worker, uint32_t stream, uint64_t number)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;

	frame.stream = stream;
	frame.frame = number;
	frame.update = bytes_of("picture");
	envelope.body_case = BODY(STREAM_FRAME);
	envelope.stream_frame = &frame;
	say(worker, &envelope);
}

static void say_close(struct client *worker, uint32_t stream)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;

	close.stream = stream;
	envelope.body_case = BODY(STREAM_CLOSE);
	envelope.stream_close = &close;
	say(worker, &envelope);
}

static void say_bytes(struct client *worker, uint64_t asked, const char *text)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__SessionBytes bytes = MAESTRO__SESSION_BYTES__INIT;

	bytes.has_data = true;
	bytes.data = bytes_of(text);
	envelope.has_reply_to = true;
	envelope.reply_to = asked;
	envelope.body_case = BODY(SESSION_BYTES);
	envelope.session_bytes = &bytes;
	say(worker, &envelope);
}

static void say_diff(struct client *worker, uint64_t asked, uint32_t added)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__GitAnswer answer = MAESTRO__GIT_ANSWER__INIT;
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitDiffed diffed = MAESTRO__GIT_DIFFED__INIT;

	diffed.has_added = true;
	diffed.added = added;
	result.code = MAESTRO__GIT_CODE__GIT_OK;
	result.result_case = MAESTRO__GIT_RESULT__RESULT_DIFFED;
	result.diffed = &diffed;
	answer.result = &result;
	envelope.has_reply_to = true;
	envelope.reply_to = asked;
	envelope.body_case = BODY(GIT_ANSWER);
	envelope.git_answer = &answer;
	say(worker, &envelope);
}

/* What was said before has been taken when this is answered. */
static const Maestro__Envelope *ask_to_push(struct theft *theft, struct client *worker)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__PushRequest push = MAESTRO__PUSH_REQUEST__INIT;

	push.task = theft->owner_heard.start_task;
	push.attempt = 1;
	push.run_id = (ProtobufCBinaryData){ 16, theft->owner_heard.run_id };
	push.commit = (char *)COMMIT;
	envelope.body_case = BODY(PUSH_REQUEST);
	envelope.push_request = &push;
	return client_ask(worker, &envelope);
}

/* --- what a person sees ---------------------------------------------------------------------------------------- */

static const Maestro__Task *task_of(struct theft *theft)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	const Maestro__Envelope *reply;

	list.has_all = list.all = true;
	envelope.body_case = BODY(LIST_TASKS);
	envelope.list_tasks = &list;
	reply = client_ask(&theft->admin, &envelope);
	assert_int_equal(reply->body_case, BODY(TASK_LIST));
	assert_int_equal(reply->task_list->n_tasks, 1);
	return reply->task_list->tasks[0];
}

static unsigned int count_refusals(struct theft *theft)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Watch watch = MAESTRO__WATCH__INIT;

	watch.has_events = watch.events = watch.has_since = true;
	watch.since = 1;
	envelope.body_case = BODY(WATCH);
	envelope.watch = &watch;
	theft->admin_heard.refusals = 0;
	client_send(&theft->admin, &envelope);
	client_sync(&theft->admin);
	return theft->admin_heard.refusals;
}

static void check_untouched(struct theft *theft)
{
	const Maestro__Task *task = task_of(theft);

	assert_int_equal(task->state, STATE(RUNNING));
	assert_int_equal(task->attempt, 1);
	assert_string_equal(task->worker, "owner");
	assert_int_equal(task->session, MAESTRO__SESSION_STATE__SESSION_LIVE);
	assert_false(task->status || (task->commit && *task->commit));
}

/* --- setting ----------------------------------------------------------------------------------------------------- */

static void enrol(struct theft *theft, struct client *worker, struct heard *heard, const char *name, struct key *key,
	uint32_t slots)
{
	struct link_token token;

	key_generate(key);
	client_create_token(&theft->admin, MAESTRO__ROLE__ROLE_WORKER, &token);
	worker_dial(worker, &theft->world, name, key, &token);
	assert_non_null(worker->peer);
	hear(worker, heard);
	say_info(worker, slots);
	say_inventory(worker, NULL);
}

static void submit(struct theft *theft)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	char *agent = (char *)"command";

	submit.project = (char *)"p";
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of("true");
	envelope.body_case = BODY(SUBMIT);
	envelope.submit = &submit;
	assert_int_equal(client_ask(&theft->admin, &envelope)->body_case, BODY(SUBMITTED));
}

static int begin(void **state)
{
	struct theft *theft = calloc(1, sizeof(*theft));
	struct key root, key;

	assert_non_null(theft);
	served_init(&theft->world);
	admin_key(&theft->world, &root);
	client_dial(&theft->admin, &theft->world, MAESTRO__ROLE__ROLE_ADMIN, &root, NULL);
	hear(&theft->admin, &theft->admin_heard);
	enrol(theft, &theft->owner, &theft->owner_heard, "owner", &key, 1);
	enrol(theft, &theft->thief, &theft->thief_heard, "thief", &theft->thief_key, 0);
	client_add_project(&theft->admin, "p");
	submit(theft);
	RUN_UNTIL(&theft->world, theft->owner_heard.start_task);
	assert_int_equal(theft->thief_heard.start_task, 0);
	say_report(theft, &theft->owner, 1, PHASE(RUNNING));
	RUN_UNTIL(&theft->world, theft->owner_heard.acked == 1);
	check_untouched(theft);
	*state = theft;
	return 0;
}

static int end(void **state)
{
	struct theft *theft = *state;

	client_deinit(&theft->thief);
	client_deinit(&theft->owner);
	client_deinit(&theft->admin);
	served_deinit(&theft->world);
	free(theft);
	return 0;
}

/* --- what it tries ----------------------------------------------------------------------------------------------- */

static void test_reports(void **state)
{
	struct theft *theft = *state;
	uint64_t number = 100;

	for (int phase = PHASE(ACCEPTED); phase <= (int)PHASE(TOMBSTONE); phase++)
		say_report(theft, &theft->thief, ++number, (Maestro__AttemptPhase)phase);
	say_status(theft, &theft->thief);
	assert_int_equal(ask_to_push(theft, &theft->thief)->body_case, BODY(FAILURE));
	assert_int_equal(theft->thief.refused, theft->thief.request);
	assert_int_equal(theft->thief_heard.acked, number); /* nobody takes them ever: it need not say them again */
	check_untouched(theft);
	assert_int_equal(count_refusals(theft), 9);

	assert_int_equal(ask_to_push(theft, &theft->owner)->body_case, BODY(PUSH_GRANT));
	say_report(theft, &theft->owner, 2, PHASE(PUSHED)); /* below the thief's numbers */
	RUN_UNTIL(&theft->world, theft->owner_heard.acked == 2);
	assert_int_equal(task_of(theft)->state, STATE(REVIEW));
	assert_int_equal(ask_to_push(theft, &theft->thief)->body_case, BODY(FAILURE));
}

static void open_stream(struct theft *theft)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamOpen open = MAESTRO__STREAM_OPEN__INIT;

	open.stream = 7;
	open.task = theft->owner_heard.start_task;
	open.kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED;
	envelope.body_case = BODY(STREAM_OPEN);
	envelope.stream_open = &open;
	say(&theft->admin, &envelope);
	RUN_UNTIL(&theft->world, theft->owner_heard.stream);
}

static void test_streams(void **state)
{
	struct theft *theft = *state;

	open_stream(theft);
	say_frame(&theft->thief, theft->owner_heard.stream, 666);
	say_close(&theft->thief, theft->owner_heard.stream);
	(void)ask_to_push(theft, &theft->thief);
	client_sync(&theft->admin);
	assert_int_equal(theft->admin_heard.frame, 0);
	assert_int_equal(theft->admin_heard.closes, 0);
	say_frame(&theft->owner, theft->owner_heard.stream, 1);
	RUN_UNTIL(&theft->world, theft->admin_heard.frame == 1);
}

static void test_answers(void **state)
{
	struct theft *theft = *state;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	uint64_t request;

	read.task = theft->owner_heard.start_task;
	read.kind = MAESTRO__READ_KIND__READ_OUTPUT;
	envelope.body_case = BODY(READ_TASK);
	envelope.read_task = &read;
	request = client_send(&theft->admin, &envelope);
	RUN_UNTIL(&theft->world, theft->owner_heard.asked);
	say_bytes(&theft->thief, theft->owner_heard.asked, "lies");
	(void)ask_to_push(theft, &theft->thief);
	say_bytes(&theft->owner, theft->owner_heard.asked, "true");
	RUN_UNTIL(&theft->world, theft->admin.reply && theft->admin.reply->reply_to == request);
	assert_int_equal(theft->admin.reply->body_case, BODY(SESSION_BYTES));
	assert_memory_equal(theft->admin.reply->session_bytes->data.data, "true", 4);
}

static void test_git_answers(void **state)
{
	struct theft *theft = *state;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__DiffTask diff = MAESTRO__DIFF_TASK__INIT;
	uint64_t request;

	say_report(theft, &theft->owner, 2, PHASE(PUSHED));
	RUN_UNTIL(&theft->world, theft->owner_heard.acked == 2);
	diff.task = theft->owner_heard.start_task;
	envelope.body_case = BODY(DIFF_TASK);
	envelope.diff_task = &diff;
	request = client_send(&theft->admin, &envelope);
	RUN_UNTIL(&theft->world, theft->owner_heard.asked);
	say_diff(&theft->thief, theft->owner_heard.asked, 666);
	(void)ask_to_push(theft, &theft->thief);
	say_diff(&theft->owner, theft->owner_heard.asked, 1);
	RUN_UNTIL(&theft->world, theft->admin.reply && theft->admin.reply->reply_to == request);
	assert_int_equal(theft->admin.reply->body_case, BODY(DIFF));
	assert_int_equal(theft->admin.reply->diff->added, 1);
}

static void test_inventory(void **state)
{
	struct theft *theft = *state;
	Maestro__InventoryEntry entry = MAESTRO__INVENTORY_ENTRY__INIT;

	client_deinit(&theft->thief);
	theft->thief_heard = (struct heard){ .ready = false };
	worker_dial(&theft->thief, &theft->world, "thief", &theft->thief_key, NULL);
	assert_non_null(theft->thief.peer);
	hear(&theft->thief, &theft->thief_heard);
	entry.task = theft->owner_heard.start_task;
	entry.attempt = 1;
	entry.run_id = (ProtobufCBinaryData){ 16, theft->owner_heard.run_id };
	entry.phase = PHASE(RUNNING);
	entry.has_session_live = entry.session_live = true;
	say_inventory(&theft->thief, &entry);
	assert_int_equal(theft->thief_heard.verdict, MAESTRO__VERDICT__VERDICT_KILL);
	(void)ask_to_push(theft, &theft->thief);
	check_untouched(theft);
	assert_false(core_restore_asked(service_core(theft->world.service)));
	assert_int_equal(ask_to_push(theft, &theft->owner)->body_case, BODY(PUSH_GRANT));
}

int main(void)
{
#define THEFT_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		THEFT_TEST(test_reports),
		THEFT_TEST(test_streams),
		THEFT_TEST(test_answers),
		THEFT_TEST(test_git_answers),
		THEFT_TEST(test_inventory),
	};

	signal(SIGPIPE, SIG_IGN);
	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
