#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/client/model.h"
#include "console/client/stream.h"
#include "tests/unit/console/fake.h"

struct fixture {
	struct fake fake;
	struct client *client;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_start(&f->fake);
	assert_int_equal(client_new(&f->client, f->fake.event, &f->fake.log, &f->fake.profile, false, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	client_free(f->client);
	fake_stop(&f->fake);
	free(f);
	return 0;
}

static Maestro__Envelope envelope_of(Maestro__Envelope__BodyCase body, void *message)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	envelope.body_case = body;
	envelope.submit = message;
	return envelope;
}

static void answer_submitted(struct fake *fake, const Maestro__Envelope *request, Maestro__Envelope *reply)
{
	static uint64_t tasks[] = { 7 };
	static Maestro__Submitted submitted;

	maestro__submitted__init(&submitted);
	submitted.n_tasks = 1;
	submitted.tasks = tasks;
	*reply = envelope_of(MAESTRO__ENVELOPE__BODY_SUBMITTED, &submitted);
}

static void answer_failure(struct fake *fake, const Maestro__Envelope *request, Maestro__Envelope *reply)
{
	static Maestro__Failure failure;

	maestro__failure__init(&failure);
	failure.code = *(Maestro__FailureCode *)fake->userdata;
	failure.has_what = failure.has_why = failure.has_hint = true;
	failure.what = bytes_of("task 9");
	failure.why = bytes_of("there is no such task");
	failure.hint = bytes_of("look with ls");
	*reply = envelope_of(MAESTRO__ENVELOPE__BODY_FAILURE, &failure);
}

static int submit(struct fixture *f, bool repeatable, struct message *reply, struct error *error)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	Maestro__Envelope request = envelope_of(MAESTRO__ENVELOPE__BODY_SUBMIT, &submit);

	submit.prompt = bytes_of("hello");
	submit.has_request_id = true;
	submit.request_id = bytes_of("0123");
	return (repeatable ? client_call_repeatable : client_call)(f->client, &request,
		MAESTRO__ENVELOPE__BODY_SUBMITTED, 20000, reply, error);
}

static void test_call(void **state)
{
	struct fixture *f = *state;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_submitted;
	assert_int_equal(client_wait_connected(f->client, &error), 0);
	assert_int_equal(client_role(f->client), MAESTRO__ROLE__ROLE_OPERATOR);
	assert_int_equal(submit(f, false, &reply, &error), 0);
	assert_int_equal(client_reply_of(&reply)->submitted->tasks[0], 7);
}

static void test_failures_are_exit_statuses(void **state)
{
	static const struct {
		Maestro__FailureCode code;
		int status;
	} table[] = {
		{ MAESTRO__FAILURE_CODE__FAILURE_FAILED, 1 }, { MAESTRO__FAILURE_CODE__FAILURE_USAGE, 2 },
		{ MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, 4 }, { MAESTRO__FAILURE_CODE__FAILURE_NOT_ALLOWED, 5 },
		{ MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED, 1 }, { MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, 1 },
	};
	struct fixture *f = *state;

	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	f->fake.answer = answer_failure;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
		_cleanup_(error_deinit) struct error error = ERROR_NULL;

		f->fake.userdata = (void *)(uintptr_t)&table[i].code;
		assert_int_equal(client_exit_status(submit(f, false, &reply, &error)), table[i].status);
		assert_string_equal(error.why, "task 9: there is no such task");
		assert_string_equal(error.hint, "look with ls");
		assert_null(reply.base);
	}
	assert_int_equal(client_exit_status(-ENOMEM), 1);
}

static void test_lost_connection(void **state)
{
	struct fixture *f = *state;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_submitted;
	f->fake.drop = 1;
	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	assert_int_equal(submit(f, false, &reply, &error), CLIENT_E_UNREACHABLE);
	assert_non_null(strstr(error.why, "lost"));
	assert_int_equal(f->fake.asked, 1);
}

static void test_repeatable_is_sent_again(void **state)
{
	struct fixture *f = *state;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_submitted;
	f->fake.drop = 1;
	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	assert_int_equal(submit(f, true, &reply, &error), 0);
	assert_int_equal(f->fake.asked, 2);
	assert_int_equal(f->fake.accepted, 2);
	assert_memory_equal(f->fake.last->submit->request_id.data, "0123", 4);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	Maestro__Envelope request = envelope_of(MAESTRO__ENVELOPE__BODY_LIST_TASKS, &list);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	assert_int_equal(client_call(f->client, &request, 0, 50, &reply, &error), CLIENT_E_UNREACHABLE);
	assert_non_null(strstr(error.why, "did not answer"));
}

static void test_wrong_answer(void **state)
{
	struct fixture *f = *state;
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	Maestro__Envelope request = envelope_of(MAESTRO__ENVELOPE__BODY_LIST_TASKS, &list);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_submitted;
	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	assert_int_equal(client_call(f->client, &request, MAESTRO__ENVELOPE__BODY_TASK_LIST, 5000, &reply, &error),
		CLIENT_E_FAILED);
}

static void test_nobody_there(void **state)
{
	struct fake fake;
	struct client *client;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	fake_start(&fake);
	fake_cut(&fake);
	assert_int_equal(client_new(&client, fake.event, &fake.log, &fake.profile, false, NULL), 0);
	assert_int_equal(client_wait_connected(client, &error), CLIENT_E_UNREACHABLE);
	assert_non_null(strstr(error.hint, "maestro up"));
	client_free(client);
	fake_stop(&fake);
}

/* --- model --------------------------------------------------------------------------------------------------- */

struct seen {
	unsigned int tasks, connection, events;
	uint64_t last_task;
};

static void on_changed(struct model *model, unsigned int parts, uint64_t task, void *userdata)
{
	struct seen *seen = userdata;

	seen->tasks += (parts & MODEL_TASKS) != 0;
	seen->connection += (parts & MODEL_CONNECTION) != 0;
	seen->events += (parts & MODEL_EVENTS) != 0;
	seen->last_task = task;
}

static const struct model_ops model_ops = { .changed = on_changed };

static void send_task(struct fake *fake, uint64_t id, Maestro__TaskState task_state, bool snapshot, bool last)
{
	Maestro__Task task = MAESTRO__TASK__INIT, *tasks[] = { &task };
	Maestro__Snapshot page = MAESTRO__SNAPSHOT__INIT;
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	Maestro__Envelope envelope;

	task.id = id;
	task.has_state = true;
	task.state = task_state;
	task.has_attempt = true;
	task.attempt = 1;
	page.n_tasks = 1;
	page.tasks = tasks;
	page.last = last;
	change.task = &task;
	envelope = snapshot ? envelope_of(MAESTRO__ENVELOPE__BODY_SNAPSHOT, &page) :
		envelope_of(MAESTRO__ENVELOPE__BODY_CHANGE, &change);
	fake_send(fake, &envelope);
}

static void send_status(struct fake *fake, uint64_t id, uint32_t attempt, Maestro__AgentState agent_state)
{
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	Maestro__Envelope envelope = envelope_of(MAESTRO__ENVELOPE__BODY_CHANGE, &change);

	status.state = agent_state;
	status.has_age_ms = true;
	status.age_ms = 5000;
	report.task = id;
	report.attempt = attempt;
	report.status = &status;
	change.status = &report;
	fake_send(fake, &envelope);
}

static void send_removed(struct fake *fake, uint64_t id)
{
	Maestro__Change change = MAESTRO__CHANGE__INIT;
	Maestro__Envelope envelope = envelope_of(MAESTRO__ENVELOPE__BODY_CHANGE, &change);

	change.has_removed_task = true;
	change.removed_task = id;
	fake_send(fake, &envelope);
}

static void test_model(void **state)
{
	struct fixture *f = *state;
	_cleanup_(model_free_p) struct model *model = NULL;
	struct seen seen = { 0 };

	assert_int_equal(model_new(&model, f->client, &model_ops, &seen), 0);
	fake_run_until(&f->fake, &f->fake.asked, 1);
	assert_int_equal(f->fake.last->body_case, MAESTRO__ENVELOPE__BODY_WATCH);
	send_task(&f->fake, 12, MAESTRO__TASK_STATE__TASK_RUNNING, true, false);
	send_task(&f->fake, 3, MAESTRO__TASK_STATE__TASK_QUEUED, true, true);
	fake_run_until(&f->fake, &seen.tasks, 1);
	assert_true(model_ready(model));
	assert_int_equal(model_age_ms(model), 0);
	assert_int_equal(model_task_count(model), 2);
	assert_int_equal(model_task_at(model, 0)->id, 3);
	send_task(&f->fake, 3, MAESTRO__TASK_STATE__TASK_STARTING, false, false);
	fake_run_until(&f->fake, &seen.tasks, 2);
	assert_int_equal(seen.last_task, 3);
	assert_int_equal(model_task(model, 3)->state, MAESTRO__TASK_STATE__TASK_STARTING);
	send_status(&f->fake, 12, 2, MAESTRO__AGENT_STATE__AGENT_ERROR); /* another attempt's: not ours */
	send_status(&f->fake, 12, 1, MAESTRO__AGENT_STATE__AGENT_WORKING);
	fake_run_until(&f->fake, &seen.tasks, 3);
	assert_int_equal(model_task(model, 12)->status->state, MAESTRO__AGENT_STATE__AGENT_WORKING);
	assert_in_range(model_status_age_ms(model, 12), 5000, 15000);
	send_removed(&f->fake, 12);
	fake_run_until(&f->fake, &seen.tasks, 4);
	assert_null(model_task(model, 12));
}

/* The old picture stays until the new one is whole. */
static void test_model_reconnects(void **state)
{
	struct fixture *f = *state;
	_cleanup_(model_free_p) struct model *model = NULL;
	struct seen seen = { 0 };
	unsigned int connection;

	assert_int_equal(model_new(&model, f->client, &model_ops, &seen), 0);
	fake_run_until(&f->fake, &f->fake.asked, 1);
	send_task(&f->fake, 1, MAESTRO__TASK_STATE__TASK_RUNNING, true, true);
	fake_run_until(&f->fake, &seen.tasks, 1);
	connection = seen.connection;
	link_peer_close(f->fake.peer, "the test cuts it", 0);
	fake_run_until(&f->fake, &seen.connection, connection + 1);
	assert_int_equal(model_task_count(model), 1);
	assert_string_not_equal(model_trouble(model), "");
	fake_run_until(&f->fake, &f->fake.asked, 2);
	send_task(&f->fake, 2, MAESTRO__TASK_STATE__TASK_RUNNING, true, false);
	send_task(&f->fake, 1, MAESTRO__TASK_STATE__TASK_REVIEW, true, true);
	fake_run_until(&f->fake, &seen.tasks, 2);
	assert_int_equal(model_age_ms(model), 0);
	assert_int_equal(model_task_count(model), 2);
	assert_int_equal(model_task(model, 1)->state, MAESTRO__TASK_STATE__TASK_REVIEW);
}

static void test_model_keeps_newest_events(void **state)
{
	struct fixture *f = *state;
	_cleanup_(model_free_p) struct model *model = NULL;
	struct seen seen = { 0 };

	assert_int_equal(model_new(&model, f->client, &model_ops, &seen), 0);
	fake_run_until(&f->fake, &f->fake.asked, 1);
	for (uint64_t seq = 1; seq <= MODEL_EVENTS_MAX + 5; seq++) {
		Maestro__Event event = MAESTRO__EVENT__INIT, *events[] = { &event };
		Maestro__EventBatch batch = MAESTRO__EVENT_BATCH__INIT;
		Maestro__Envelope envelope = envelope_of(MAESTRO__ENVELOPE__BODY_EVENT_BATCH, &batch);

		event.seq = seq;
		batch.n_events = 1;
		batch.events = events;
		fake_send(&f->fake, &envelope);
	}
	fake_run_until(&f->fake, &seen.events, MODEL_EVENTS_MAX + 5);
	assert_int_equal(model_event_count(model), MODEL_EVENTS_MAX);
	assert_int_equal(model_event_at(model, 0)->seq, 6);
	assert_int_equal(model_event_at(model, MODEL_EVENTS_MAX - 1)->seq, MODEL_EVENTS_MAX + 5);
}

/* --- streams ------------------------------------------------------------------------------------------------- */

struct watched {
	unsigned int updated, closed;
	char why[64];
};

static void on_updated(struct stream *stream, void *userdata)
{
	((struct watched *)userdata)->updated++;
}

static void on_closed(struct stream *stream, const char *why, void *userdata)
{
	struct watched *watched = userdata;

	watched->closed++;
	snprintf(watched->why, sizeof(watched->why), "%s", why);
}

static const struct stream_ops stream_ops = { .updated = on_updated, .closed = on_closed };

static void send_frame(struct fake *fake, uint32_t stream, const void *data, size_t len, uint64_t number)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;
	Maestro__Envelope envelope = envelope_of(MAESTRO__ENVELOPE__BODY_STREAM_FRAME, &frame);

	frame.stream = stream;
	frame.frame = number;
	frame.update = (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data };
	fake_send(fake, &envelope);
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	_cleanup_(stream_free_p) struct stream *stream = NULL;
	_cleanup_(buf_deinit) struct buf update = BUF_NULL;
	struct watched watched = { 0 };
	struct stream_config config = { .task = 4, .kind = MAESTRO__STREAM_KIND__STREAM_TILE, .rate_hz = 5,
		.ops = &stream_ops, .userdata = &watched };
	Maestro__StreamClose close = MAESTRO__STREAM_CLOSE__INIT;
	Maestro__Envelope envelope = envelope_of(MAESTRO__ENVELOPE__BODY_STREAM_CLOSE, &close);
	struct screen screen;
	uint32_t number;

	assert_int_equal(stream_open(&stream, f->client, &config), 0);
	fake_run_until(&f->fake, &f->fake.asked, 1);
	assert_int_equal(f->fake.last->body_case, MAESTRO__ENVELOPE__BODY_STREAM_OPEN);
	assert_int_equal(f->fake.last->stream_open->task, 4);
	number = f->fake.last->stream_open->stream;

	send_frame(&f->fake, number, "\xff\xff", 2, 1); /* nonsense asks for a keyframe */
	fake_run_until(&f->fake, &f->fake.asked, 2);
	assert_true(f->fake.last->stream_ack->need_keyframe);
	assert_int_equal(watched.updated, 0);

	assert_int_equal(screen_init(&screen, 20, 3), 0);
	screen.frame = 2;
	assert_int_equal(screen_encode(NULL, &screen, &update, NULL), 0);
	send_frame(&f->fake, number + 1, update.data, update.len, 2); /* another stream's */
	send_frame(&f->fake, number, update.data, update.len, 2);
	fake_run_until(&f->fake, &f->fake.asked, 3);
	assert_int_equal(watched.updated, 1);
	assert_int_equal(f->fake.last->stream_ack->frame, 2);
	assert_int_equal(stream_screen(stream)->cols, 20);
	screen_deinit(&screen);

	close.stream = number;
	close.has_reason = true;
	close.reason = bytes_of("it is over");
	fake_send(&f->fake, &envelope);
	fake_run_until(&f->fake, &watched.closed, 1);
	assert_string_equal(watched.why, "it is over");
	assert_true(stream_closed(stream));
	assert_int_equal(stream_send(stream, "x", 1), LINK_E_CLOSED);
}

static void test_stream_opens_again(void **state)
{
	struct fixture *f = *state;
	_cleanup_(stream_free_p) struct stream *stream = NULL;
	struct watched watched = { 0 };
	struct stream_config config = { .task = 4, .kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED, .drive = true, .cols = 80,
		.rows = 24, .ops = &stream_ops, .userdata = &watched };
	uint32_t first;

	assert_int_equal(client_wait_connected(f->client, NULL), 0);
	assert_int_equal(stream_open(&stream, f->client, &config), 0);
	fake_run_until(&f->fake, &f->fake.asked, 1);
	first = f->fake.last->stream_open->stream;
	assert_int_equal(stream_send(stream, "ls\r", 3), 0);
	fake_run_until(&f->fake, &f->fake.asked, 2);
	assert_memory_equal(f->fake.last->stream_input->data.data, "ls\r", 3);
	link_peer_close(f->fake.peer, "the test cuts it", 0);
	fake_run_until(&f->fake, &f->fake.asked, 3);
	assert_int_equal(f->fake.last->body_case, MAESTRO__ENVELOPE__BODY_STREAM_OPEN);
	assert_int_not_equal(f->fake.last->stream_open->stream, first);
	assert_int_equal(f->fake.last->stream_open->cols, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures_are_exit_statuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repeatable_is_sent_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_answer, setup, teardown),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test_setup_teardown(test_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_model_reconnects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_model_keeps_newest_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_opens_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
