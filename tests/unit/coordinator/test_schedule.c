/* Who is next, where it goes, and why it waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "tests/unit/coordinator/world.h"

static void test_priority_then_age(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	submit(&world, (struct wish){ .priority = 0 });
	submit(&world, (struct wish){ .priority = 5 });
	submit(&world, (struct wish){ .priority = 5 });
	assert_waits(&world, 1, "no worker is connected");
	add_slots(&world, "w", 2);
	assert_int_equal(state_of(&world, 1), QUEUED);
	assert_int_equal(state_of(&world, 2), STARTING);
	assert_int_equal(state_of(&world, 3), STARTING);
	assert_waits(&world, 1, "1 worker is full");
}

/* One slot and a backlog: the other project, and the other person, come next all the same. */
static void test_fair_between_projects_and_people(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	for (int i = 0; i < 4; i++)
		submit(&world, (struct wish){ .project = "p", .who = "ann" }); /* 1 to 4 */
	submit(&world, (struct wish){ .project = "p", .who = "bob" });         /* 5 */
	submit(&world, (struct wish){ .project = "q", .who = "ann" });         /* 6 */
	add_slots(&world, "w", 1);
	assert_int_equal(state_of(&world, 1), STARTING);
	report(&world, 1, EXITED, false);
	assert_int_equal(state_of(&world, 6), STARTING); /* project q had nothing yet */
	report(&world, 6, EXITED, false);
	assert_int_equal(state_of(&world, 5), STARTING); /* p's turn, and bob had nothing yet */
	report(&world, 5, EXITED, false);
	assert_int_equal(state_of(&world, 2), STARTING);
}

static void test_slots_of_projects_and_agents(void **state)
{
	static const struct core_limit projects[] = { { "p", 1 } }, agents[] = { { "claude", 2 } };
	_cleanup_(world_deinit) struct world world;
	struct core_config config = core_config_default;

	config.project_slots = projects;
	config.project_slot_count = 1;
	config.agent_slots = agents;
	config.agent_slot_count = 1;
	world_init(&world, &config);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ .project = "p" });
	submit(&world, (struct wish){ .project = "p" });
	assert_waits(&world, 2, "project p uses its 1 slot");
	for (int i = 0; i < 3; i++)
		submit(&world, (struct wish){ .project = "q", .agent = "claude" });
	assert_int_equal(state_of(&world, 4), STARTING);
	assert_waits(&world, 5, "agent claude uses its 2 slots");
	report(&world, 1, EXITED, false);
	assert_int_equal(state_of(&world, 2), STARTING);
}

static void test_why_it_waits(void **state)
{
	_cleanup_(world_deinit) struct world world;
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Heartbeat beat = MAESTRO__HEARTBEAT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	world_init(&world, NULL);
	add_slots(&world, "w1", 1);
	info.has_slots = info.has_disk_free_bytes = info.has_memory_free_bytes = true;
	info.slots = 1;
	info.disk_free_bytes = 1000;
	info.memory_free_bytes = UINT64_C(1) << 40;
	world_add_worker(&world, "w2", &info);
	submit(&world, (struct wish){ .label = "a100" });
	assert_waits(&world, 1, "2 workers lack label gpu=a100");
	submit(&world, (struct wish){ .agent = "claude" });
	submit(&world, (struct wish){ .agent = "claude" });
	assert_waits(&world, 3, "1 worker lacks agent claude, 1 worker is full");
	submit(&world, (struct wish){ 0 });
	assert_waits(&world, 4, "1 worker has too little free disk, 1 worker is full");
	pause_queue(&world, true);
	assert_waits(&world, 4, "the queue is paused");
	pause_queue(&world, false);
	beat.has_disk_free_bytes = true;
	beat.disk_free_bytes = UINT64_C(1) << 40;
	envelope.body_case = BODY(HEARTBEAT);
	envelope.heartbeat = &beat;
	tell(&world, "w2", &envelope);
	assert_int_equal(state_of(&world, 4), STARTING);
}

static void test_goes_where_the_mirror_is(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	add_slots(&world, "a", 8);
	submit(&world, (struct wish){ .project = "q" });
	report(&world, 1, EXITED, false);
	submit(&world, (struct wish){ .project = "p" });
	add_slots(&world, "b", 8);
	submit(&world, (struct wish){ .project = "q" }); /* a is busier, but has it */
	assert_string_equal(core_attempt(world.core, 3, 0)->worker, "a");
	submit(&world, (struct wish){ .project = "q" });
	submit(&world, (struct wish){ .project = "q" });
	assert_string_equal(core_attempt(world.core, 5, 0)->worker, "b");
}

static void test_limited_account(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ .agent = "claude" });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	say_status(&world, 1, MAESTRO__AGENT_STATE__AGENT_LIMITED);
	submit(&world, (struct wish){ .agent = "claude" });
	assert_waits(&world, 2, "1 worker has used up its limit of claude");
	submit(&world, (struct wish){ 0 });
	assert_int_equal(state_of(&world, 3), STARTING); /* other agents go on */
	say_status(&world, 1, MAESTRO__AGENT_STATE__AGENT_WORKING);
	assert_int_equal(state_of(&world, 2), STARTING);
	say_status(&world, 1, MAESTRO__AGENT_STATE__AGENT_LIMITED);
	submit(&world, (struct wish){ .agent = "claude" });
	assert_int_equal(state_of(&world, 4), QUEUED);
	tick(&world, world.now_ms + core_config_default.limited_ms);
	/* The worker was silent meanwhile: it is suspect, until it says something. */
	say_status(&world, 1, MAESTRO__AGENT_STATE__AGENT_ERROR);
	assert_int_equal(state_of(&world, 4), STARTING);
}

static void test_limited_until(void **state)
{
	_cleanup_(world_deinit) struct world world;
	Maestro__Worker *view;

	world_init(&world, NULL);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ .agent = "claude" });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	say_limited(&world, 1, MAESTRO__AGENT_STATE__AGENT_LIMITED, 5000);
	view = core_view_worker(world.core, "w");
	assert_true(view->agents[0]->has_limited_until_ms);
	maestro__worker__free_unpacked(view, NULL);
	submit(&world, (struct wish){ .agent = "claude" });
	assert_int_equal(state_of(&world, 2), QUEUED);
	assert_true(core_deadline(world.core) <= world.now_ms + 5000);
	tick(&world, world.now_ms + 4999);
	assert_int_equal(state_of(&world, 2), QUEUED);
	tick(&world, world.now_ms + 1);
	assert_int_equal(state_of(&world, 2), STARTING);
	say_limited(&world, 1, MAESTRO__AGENT_STATE__AGENT_LIMITED, UINT64_MAX / 4); /* no account is limited for ever */
	tick(&world, world.now_ms + UINT64_C(8) * 24 * 3600 * 1000);
	view = core_view_worker(world.core, "w");
	assert_false(view->agents[0]->has_limited_until_ms);
	maestro__worker__free_unpacked(view, NULL);
}

/* A closed link is known at once; a silent one is not. */
static void test_a_closed_link_is_suspect(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = "w" };
	Maestro__Worker *view;
	_cleanup_free_ char *reason = NULL;

	world_init(&world, NULL);
	add_slots(&world, "w", 1);
	world_handle(&world, &gone);
	view = core_view_worker(world.core, "w");
	reason = bytes_dup(&view->reason);
	assert_int_equal(view->state, MAESTRO__WORKER_STATE__WORKER_SUSPECT);
	assert_string_equal(reason, "no link since 2027-01-15T08:00:01.000Z");
	maestro__worker__free_unpacked(view, NULL);
	submit(&world, (struct wish){ 0 });
	assert_waits(&world, 1, "no worker is connected");
	add_slots(&world, "w", 1);
	view = core_view_worker(world.core, "w");
	assert_int_equal(view->state, MAESTRO__WORKER_STATE__WORKER_READY);
	assert_false(view->has_reason);
	maestro__worker__free_unpacked(view, NULL);
	assert_int_equal(state_of(&world, 1), STARTING);
}

static void test_a_failed_start_waits(void **state)
{
	static const uint64_t delays[] = { 5000, 30000, 120000 };
	_cleanup_(world_deinit) struct world world;
	struct core_config config = core_config_default;

	config.heartbeat_ms = 600000; /* no worker is suspect in this test */
	world_init(&world, &config);
	add_slots(&world, "w", 1);
	submit(&world, (struct wish){ 0 });
	for (int i = 0; i < 3; i++) {
		report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_FAILED, true);
		assert_int_equal(state_of(&world, 1), QUEUED);
		assert_int_equal(core_deadline(world.core), world.now_ms + delays[i]);
		tick(&world, world.now_ms + delays[i] - 1);
		assert_int_equal(state_of(&world, 1), QUEUED);
		tick(&world, world.now_ms + 1);
		assert_int_equal(state_of(&world, 1), STARTING);
	}
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_FAILED, true);
	assert_int_equal(state_of(&world, 1), MAESTRO__TASK_STATE__TASK_FAILED);
}

static void test_after(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ 0 });
	submit(&world, (struct wish){ .after = 1 });
	submit(&world, (struct wish){ .after = 2 });
	assert_waits(&world, 2, "after 1");
	report(&world, 1, EXITED, false);
	assert_int_equal(state_of(&world, 2), STARTING);
	report(&world, 2, MAESTRO__ATTEMPT_PHASE__PHASE_FAILED, false);
	assert_int_equal(state_of(&world, 3), MAESTRO__TASK_STATE__TASK_CANCELLED);
	assert_string_equal(core_task(world.core, 3)->reason, "task 2, which this comes after, is failed");
}

static void test_too_many_in_review(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = core_config_default;
	unsigned int stops = 0;

	config.max_idle_sessions = 1;
	world_init(&world, &config);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ 0 });
	submit(&world, (struct wish){ 0 });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, false);
	report(&world, 2, MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, false);
	for (size_t i = 0; i < world.effects.count; i++)
		if (world.effects.items[i].type == CORE_EFFECT_SEND &&
			world.effects.items[i].envelope->body_case == BODY(STOP)) {
			assert_int_equal(world.effects.items[i].envelope->stop->task, 1);
			stops++;
		}
	assert_int_equal(stops, 1);
	assert_int_equal(state_of(&world, 1), MAESTRO__TASK_STATE__TASK_REVIEW);
}

/* Silence takes only what may be retried; the rest is a person's to declare. */
static void test_silent_worker(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = "w" };
	struct core_event lost = { .type = CORE_EVENT_WORKER_ACT };
	Maestro__ActOnWorker act = MAESTRO__ACT_ON_WORKER__INIT;
	uint64_t end_ms;

	world_init(&world, NULL);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ .retries = 1 });
	submit(&world, (struct wish){ 0 });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	report(&world, 2, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	act.name = (char *)"w";
	act.action = MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST;
	lost.worker_act = &act;
	lost.client = (struct core_client){ 1, 1, "test" };
	world_handle(&world, &lost);
	assert_int_equal(state_of(&world, 1), RUNNING); /* it answers */
	world_handle(&world, &gone);
	end_ms = world.now_ms + core_config_default.silence_ms;
	while (core_deadline(world.core) < end_ms)
		tick(&world, core_deadline(world.core));
	assert_int_equal(state_of(&world, 1), RUNNING);
	tick(&world, end_ms);
	assert_int_equal(state_of(&world, 1), QUEUED);
	assert_int_equal(core_attempt(world.core, 1, 1)->state, MAESTRO__TASK_STATE__TASK_LOST);
	assert_int_equal(state_of(&world, 2), RUNNING);
	world_handle(&world, &lost);
	assert_int_equal(state_of(&world, 2), MAESTRO__TASK_STATE__TASK_LOST);
}

/* A coordinator that was stopped for longer than an expiry has heard nothing, and blames nobody. */
static void test_own_freeze(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	add_slots(&world, "w", 8);
	submit(&world, (struct wish){ .retries = 1 });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	tick(&world, world.now_ms + 3600000);
	assert_int_equal(state_of(&world, 1), RUNNING);
	assert_true(core_worker_ready(world.core, "w"));
}

static Maestro__WorkerState worker_state(const struct world *world, const char *name)
{
	Maestro__Worker *view = core_view_worker(world->core, name);
	Maestro__WorkerState state = view->state;

	maestro__worker__free_unpacked(view, NULL);
	return state;
}

static void test_many_workers_beat_slower(void **state)
{
	_cleanup_(world_deinit) struct world world;
	uint64_t last_ms;
	char name[16];

	world_init(&world, NULL);
	assert_int_equal(core_heartbeat_ms(world.core), core_config_default.heartbeat_ms);
	world.now_ms += 10 * core_config_default.grace_ms;
	for (unsigned int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "w%u", i);
		add_slots(&world, name, 1);
	}
	assert_int_equal(core_heartbeat_ms(world.core), 8000);
	last_ms = world.now_ms + 24000;
	assert_in_range(core_deadline(world.core), 1, world.now_ms + 15000);
	tick(&world, world.now_ms + 15000);
	assert_int_equal(worker_state(&world, "w0"), MAESTRO__WORKER_STATE__WORKER_SUSPECT);
	assert_int_equal(worker_state(&world, "w399"), MAESTRO__WORKER_STATE__WORKER_READY);
	while (core_deadline(world.core) <= last_ms)
		tick(&world, core_deadline(world.core));
	assert_in_range(world.now_ms, last_ms - 1, last_ms);
	assert_int_equal(worker_state(&world, "w399"), MAESTRO__WORKER_STATE__WORKER_SUSPECT);
}

/* It writes nothing, and is no news that cannot wait. */
static void test_a_beat_is_cheap(void **state)
{
	_cleanup_(world_deinit) struct world world;
	Maestro__Heartbeat beat = MAESTRO__HEARTBEAT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	world_init(&world, NULL);
	add_slots(&world, "w", 1);
	envelope.body_case = BODY(HEARTBEAT);
	envelope.heartbeat = &beat;
	tell(&world, "w", &envelope); /* the first ends the inventory */
	beat.has_load_percent = true;
	beat.load_percent = 42;
	tell(&world, "w", &envelope);
	assert_int_equal(world.effects.count, 1);
	assert_int_equal(world.effects.items[0].type, CORE_EFFECT_LOAD);
	assert_string_equal(world.effects.items[0].name, "w");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_priority_then_age),
		cmocka_unit_test(test_fair_between_projects_and_people),
		cmocka_unit_test(test_slots_of_projects_and_agents),
		cmocka_unit_test(test_why_it_waits),
		cmocka_unit_test(test_goes_where_the_mirror_is),
		cmocka_unit_test(test_limited_account),
		cmocka_unit_test(test_limited_until),
		cmocka_unit_test(test_a_closed_link_is_suspect),
		cmocka_unit_test(test_a_failed_start_waits),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_too_many_in_review),
		cmocka_unit_test(test_silent_worker),
		cmocka_unit_test(test_own_freeze),
		cmocka_unit_test(test_many_workers_beat_slower),
		cmocka_unit_test(test_a_beat_is_cheap),
	};

	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
