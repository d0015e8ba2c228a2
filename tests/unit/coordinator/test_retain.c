/* What goes when a task ended long ago, or is removed, and what every worker is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "proto/wire/message.h"
#include "tests/unit/coordinator/world.h"

#define DAY_MS (24 * 3600 * 1000ull)
#define FAILED_PHASE MAESTRO__ATTEMPT_PHASE__PHASE_FAILED
#define PUSHED MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED

/* What the worker was asked to let go of by the last event: 0 nothing, else the attempts' numbers added up. */
static uint32_t released(const struct world *world, const char *worker, uint64_t task, bool *ret_force)
{
	uint32_t attempts = 0;

	for (size_t i = 0; i < world->effects.count; i++) {
		const struct core_effect *effect = &world->effects.items[i];

		if (effect->type != CORE_EFFECT_ASK || strcmp(effect->worker, worker) != 0 || effect->task != task)
			continue;
		assert_int_equal(effect->envelope->body_case, BODY(RELEASE));
		*ret_force = effect->envelope->release->force;
		attempts += effect->attempt;
	}
	return attempts;
}

static void answer(struct world *world, uint64_t task, uint32_t attempt, const char *refused)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	struct core_event event = { .type = CORE_EVENT_ANSWERED, .task = task, .attempt = attempt, .envelope = &envelope };

	envelope.body_case = refused ? BODY(FAILURE) : BODY(DONE);
	failure.has_why = true;
	failure.why = bytes_of(refused);
	if (refused)
		envelope.failure = &failure;
	else
		envelope.done = &done;
	world_handle(world, &event);
}

static void act(struct world *world, uint64_t task, Maestro__TaskAction action, bool force)
{
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;
	struct core_event event = { .type = CORE_EVENT_ACT, .act = &message, .client = { 1, 1, "test" } };

	message.task = task;
	message.action = action;
	message.has_force = true;
	message.force = force;
	world_handle(world, &event);
}

static void disconnect(struct world *world, const char *worker)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker };

	world_handle(world, &event);
}

/* A day passes, seen every ten minutes as a real loop would; ends at the first tick after which a worker was asked. */
static bool pass_until_asked(struct world *world, uint64_t task, uint64_t until_ms)
{
	bool force;

	while (world->now_ms < until_ms) {
		uint64_t at = core_deadline(world->core);

		tick(world, at > world->now_ms && at < until_ms ? at : world->now_ms + 1000);
		if (released(world, "w", task, &force)) {
			assert_false(force);
			return true;
		}
	}
	return false;
}

static struct core_config config_of(uint64_t keep_ms)
{
	struct core_config config = core_config_default;

	config.keep_tasks_ms = keep_ms;
	config.heartbeat_ms = DAY_MS; /* nobody is found silent in these days */
	config.silence_ms = 1000 * DAY_MS;
	return config;
}

static int count_rows(enum row_table table, void *row, void *userdata, struct error *error)
{
	row_free(table, row);
	++*(unsigned int *)userdata;
	return 0;
}

static unsigned int rows_of(struct world *world, enum row_table table)
{
	unsigned int n = 0;

	assert_int_equal(store_each(world->store, table, count_rows, &n, NULL), 0);
	return n;
}

/* Break it: without the question to the worker in can_be_released, or with force, the second half is red. */
static void test_old_tasks_go_whole(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = config_of(2 * DAY_MS);
	uint64_t next = 1, bad = 0;

	world_init(&world, &config);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 }); /* 1 ends */
	submit(&world, (struct wish){ 0 }); /* 2 runs on */
	submit(&world, (struct wish){ .after = 1 });
	report(&world, 1, EXITED, false);
	report(&world, 3, EXITED, false);
	assert_false(pass_until_asked(&world, 3, 2 * DAY_MS));
	assert_true(pass_until_asked(&world, 3, 3 * DAY_MS)); /* what comes after 1 goes first */
	assert_non_null(core_task(world.core, 1));
	answer(&world, 3, 1, NULL);
	assert_null(core_task(world.core, 3));
	assert_true(pass_until_asked(&world, 1, 3 * DAY_MS));
	answer(&world, 1, 1, NULL);
	assert_null(core_task(world.core, 1));
	assert_false(pass_until_asked(&world, 2, 9 * DAY_MS));
	assert_int_equal(rows_of(&world, ROW_TASK), 1);
	assert_int_equal(rows_of(&world, ROW_SPEC), 1);
	assert_int_equal(rows_of(&world, ROW_ATTEMPT), 1);
	assert_int_equal(store_verify_audit(world.store, 1, 1000, &next, &bad, NULL), 0);
	assert_int_equal(bad, 0);
	world_restart(&world); /* the gaps are none to it, and ids go on */
	submit(&world, (struct wish){ 0 });
	assert_non_null(core_task(world.core, 4));
}

/* P9: the worker says no, and is left alone for a day; one that is away is not even asked. */
static void test_unpushed_work_is_kept(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = config_of(DAY_MS);

	world_init(&world, &config);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 });
	report(&world, 1, FAILED_PHASE, false);
	disconnect(&world, "w");
	assert_false(pass_until_asked(&world, 1, 3 * DAY_MS));
	add_slots(&world, "w", 4);
	assert_true(pass_until_asked(&world, 1, 4 * DAY_MS));
	answer(&world, 1, 1, "its worktree holds work that is not pushed");
	assert_non_null(core_task(world.core, 1));
	assert_false(pass_until_asked(&world, 1, world.now_ms + DAY_MS - 2000));
	assert_true(pass_until_asked(&world, 1, world.now_ms + DAY_MS / 2));
}

static void test_a_set_clock_removes_nothing_at_once(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = config_of(2 * DAY_MS);
	uint64_t then;

	world_init(&world, &config);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 });
	report(&world, 1, EXITED, false);
	world.wall_ms += 365 * (int64_t)DAY_MS;
	then = world.now_ms;
	assert_false(pass_until_asked(&world, 1, then + DAY_MS / 2));
	world.wall_ms -= 365 * (int64_t)DAY_MS; /* somebody noticed */
	assert_false(pass_until_asked(&world, 1, then + 2 * DAY_MS - 1000000));
}

/* Thousands that ended on the same day go a few at a time. */
static void test_bounded_batches(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = config_of(DAY_MS);
	size_t most = 0;

	world_init(&world, &config);
	for (uint64_t i = 1; i <= 500; i++) {
		submit(&world, (struct wish){ 0 });
		act(&world, i, MAESTRO__TASK_ACTION__ACT_STOP, false);
	}
	while (world.now_ms < 2 * DAY_MS) {
		size_t before = rows_of(&world, ROW_TASK), gone;

		tick(&world, core_deadline(world.core));
		gone = before - rows_of(&world, ROW_TASK);
		most = gone > most ? gone : most;
	}
	assert_int_equal(rows_of(&world, ROW_TASK), 0);
	assert_in_range(most, 1, 50);
}

/* Every attempt, not only the last one. */
static void test_all_attempts_are_released(void **state)
{
	_cleanup_(world_deinit) struct world world;
	bool force = true;

	world_init(&world, NULL);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ .retries = 1 });
	report(&world, 1, FAILED_PHASE, false);
	assert_int_equal(core_attempt(world.core, 1, 0)->attempt, 2);
	report(&world, 1, PUSHED, false);
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_REJECT, false);
	assert_int_equal(released(&world, "w", 1, &force), 1 + 2);
	assert_false(force);
}

/* P6: removed by force while the worker is away, over a restart of the coordinator: it is told when it is back, until it
 * says that it is done. Seen to fail without the debt: nothing was asked of it but what its inventory showed, unforced. */
static void test_a_worker_that_was_away_is_told(void **state)
{
	_cleanup_(world_deinit) struct world world;
	bool force = false;

	world_init(&world, NULL);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ .retries = 1 });
	report(&world, 1, FAILED_PHASE, false);
	disconnect(&world, "w");
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_REMOVE, true);
	assert_null(core_task(world.core, 1));
	assert_int_equal(rows_of(&world, ROW_DEBT), 2);
	world_restart(&world);
	add_slots(&world, "w", 4);
	assert_int_equal(released(&world, "w", 1, &force), 1 + 2);
	assert_true(force);
	answer(&world, 1, 1, NULL);
	answer(&world, 1, 2, "the disk is read-only");
	disconnect(&world, "w");
	add_slots(&world, "w", 4);
	assert_int_equal(released(&world, "w", 1, &force), 2);
	answer(&world, 1, 2, NULL);
	assert_int_equal(rows_of(&world, ROW_DEBT), 0);
}

static void test_a_removed_worker_owes_nothing(void **state)
{
	_cleanup_(world_deinit) struct world world;
	Maestro__ActOnWorker message = MAESTRO__ACT_ON_WORKER__INIT;
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .worker_act = &message, .client = { 1, 1, "test" } };

	world_init(&world, NULL);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 });
	report(&world, 1, FAILED_PHASE, false);
	disconnect(&world, "w");
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_REMOVE, true);
	message.name = (char *)"w";
	message.action = MAESTRO__WORKER_ACTION__WORKER_REMOVE;
	world_handle(&world, &event);
	assert_int_equal(rows_of(&world, ROW_WORKER), 0);
	assert_int_equal(rows_of(&world, ROW_DEBT), 0);
}

static uint64_t age_of(struct world *world, uint64_t task)
{
	Maestro__Task *view = core_view_task(world->core, task, false, world->now_ms);
	uint64_t age;

	assert_non_null(view->status);
	assert_true(view->status->has_age_ms);
	age = view->status->age_ms;
	maestro__task__free_unpacked(view, NULL);
	return age;
}

/* Over a restart, also one of the machine, whose boot time begins anew. */
static void test_an_age_outlives_a_restart(void **state)
{
	_cleanup_(world_deinit) struct world world;

	world_init(&world, NULL);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 });
	report(&world, 1, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, false);
	world.now_ms = 500000;
	say_status(&world, 1, MAESTRO__AGENT_STATE__AGENT_WORKING);
	world.now_ms += 100000;
	world_restart(&world);
	assert_int_equal(age_of(&world, 1), 100000);
	world.wall_ms += (int64_t)world.now_ms + 50000 - 10; /* 50 s later it is up again, and counts from 10 ms on */
	world.now_ms = 10;
	world_restart(&world);
	assert_int_equal(age_of(&world, 1), 150000);
	world.now_ms += 5;
	assert_int_equal(age_of(&world, 1), 150005);
	world.wall_ms -= 400 * (int64_t)DAY_MS; /* set back: none is below 0 */
	world_restart(&world);
	assert_int_equal(age_of(&world, 1), 0);
}

/* Somebody tries again what is just being removed as old: it lives. What a person removes is not tried again. (Seen red
 * without removal_end in act_retry: it was stopped and removed; found by seed 1004829 of tests/sim.) */
static void test_what_is_tried_again_stays(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = config_of(DAY_MS);

	world_init(&world, &config);
	add_slots(&world, "w", 4);
	submit(&world, (struct wish){ 0 });
	report(&world, 1, FAILED_PHASE, false);
	assert_true(pass_until_asked(&world, 1, 3 * DAY_MS));
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_RETRY, false);
	assert_int_equal(state_of(&world, 1), STARTING);
	answer(&world, 1, 1, NULL);
	report(&world, 1, FAILED_PHASE, false);
	assert_non_null(core_task(world.core, 1));
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_REMOVE, false);
	act(&world, 1, MAESTRO__TASK_ACTION__ACT_RETRY, false);
	assert_int_equal(state_of(&world, 1), MAESTRO__TASK_STATE__TASK_FAILED);
	answer(&world, 1, 2, NULL);
	assert_null(core_task(world.core, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_tasks_go_whole),
		cmocka_unit_test(test_unpushed_work_is_kept),
		cmocka_unit_test(test_a_set_clock_removes_nothing_at_once),
		cmocka_unit_test(test_bounded_batches),
		cmocka_unit_test(test_all_attempts_are_released),
		cmocka_unit_test(test_a_worker_that_was_away_is_told),
		cmocka_unit_test(test_a_removed_worker_owes_nothing),
		cmocka_unit_test(test_an_age_outlives_a_restart),
		cmocka_unit_test(test_what_is_tried_again_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
