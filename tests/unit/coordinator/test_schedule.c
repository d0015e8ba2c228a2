/* Who is next, where it goes, and why it waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "coordinator/core/core.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind

struct world {
	struct core *core;
	struct core_effects effects;
	uint64_t now_ms, reports;
};

static void handle(struct world *world, struct core_event *event)
{
	core_effects_clear(&world->effects);
	assert_int_equal(core_handle(world->core, event, world->now_ms, &world->effects), 0);
}

static void add_project(struct world *world, const char *name)
{
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add };

	add.name = (char *)(uintptr_t)name;
	add.url = bytes_of("h:p");
	add.base_branch = (char *)"main";
	handle(world, &event);
}

static void world_init(struct world *world, const struct core_config *config)
{
	struct core_event start = { .type = CORE_EVENT_START };

	*world = (struct world){ .effects = CORE_EFFECTS_NULL, .now_ms = 1000 };
	assert_int_equal(core_new(&world->core, config ? config : &core_config_default), 0);
	handle(world, &start);
	add_project(world, "p");
	add_project(world, "q");
}

static void world_deinit(struct world *world)
{
	core_effects_deinit(&world->effects);
	core_free(world->core);
}

static void tell(struct world *world, const char *worker, Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker, .envelope = envelope };

	handle(world, &event);
}

/* A worker that is past READY. */
static void add_worker(struct world *world, const char *name, Maestro__WorkerInfo *info)
{
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = name, .text = "b", .name = "t" };
	Maestro__Envelope told = MAESTRO__ENVELOPE__INIT, pages = told, ready = told;
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__WorkerReady up = MAESTRO__WORKER_READY__INIT;

	handle(world, &connected);
	told.body_case = BODY(WORKER_INFO);
	told.worker_info = info;
	tell(world, name, &told);
	inventory.last = true;
	pages.body_case = BODY(INVENTORY);
	pages.inventory = &inventory;
	tell(world, name, &pages);
	ready.body_case = BODY(WORKER_READY);
	ready.worker_ready = &up;
	tell(world, name, &ready);
}

static void add_slots(struct world *world, const char *name, uint32_t slots)
{
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;

	agent.name = (char *)"claude";
	info.has_slots = true;
	info.slots = slots;
	info.n_agents = 1;
	info.agents = agents;
	add_worker(world, name, &info);
}

struct wish {
	const char *project, *agent, *who, *label;
	int priority;
	uint32_t retries;
	uint64_t after;
};

static void submit(struct world *world, struct wish wish)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &submit,
		.client = { 1, 1, wish.who ? wish.who : "test" } };
	char *agent = (char *)(uintptr_t)(wish.agent ? wish.agent : "command");

	submit.project = (char *)(uintptr_t)(wish.project ? wish.project : "p");
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of("true");
	submit.has_priority = true;
	submit.priority = wish.priority;
	submit.has_retries = true;
	submit.retries = wish.retries;
	label.key = (char *)"gpu";
	label.value = (char *)(uintptr_t)wish.label;
	submit.n_labels = wish.label != NULL;
	submit.labels = labels;
	submit.n_after = wish.after != 0;
	submit.after = &wish.after;
	handle(world, &event);
}

static void report(struct world *world, uint64_t task, Maestro__AttemptPhase phase, bool retryable)
{
	const struct attempt_row *attempt = core_attempt(world->core, task, 0);
	Maestro__AttemptReport message = MAESTRO__ATTEMPT_REPORT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	_cleanup_free_ char *worker = strdup(attempt->worker);

	message.number = ++world->reports;
	message.task = task;
	message.attempt = attempt->attempt;
	message.run_id = (ProtobufCBinaryData){ attempt->run_id.len, attempt->run_id.data };
	message.phase = phase;
	message.has_retryable = true;
	message.retryable = retryable;
	message.commit = (char *)"0123456789012345678901234567890123456789";
	message.has_session_live = message.session_live = true;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &message;
	tell(world, worker, &envelope);
}

static void say_status(struct world *world, uint64_t task, Maestro__AgentState state)
{
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport message = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	status.state = state;
	message.task = task;
	message.attempt = 1;
	message.status = &status;
	envelope.body_case = BODY(STATUS_REPORT);
	envelope.status_report = &message;
	tell(world, core_attempt(world->core, task, 0)->worker, &envelope);
}

static void pause_queue(struct world *world, bool paused)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .flag = paused };

	handle(world, &event);
}

static void tick(struct world *world, uint64_t now_ms)
{
	struct core_event event = { .type = CORE_EVENT_TICK };

	world->now_ms = now_ms;
	handle(world, &event);
}

static int state_of(const struct world *world, uint64_t task)
{
	return core_task(world->core, task)->state;
}

static void assert_waits(struct world *world, uint64_t task, const char *why)
{
	Maestro__Task *view = core_view_task(world->core, task, false, world->now_ms);
	_cleanup_free_ char *said = bytes_dup(&view->waiting_for);

	assert_int_equal(view->state, MAESTRO__TASK_STATE__TASK_QUEUED);
	assert_string_equal(said, why);
	maestro__task__free_unpacked(view, NULL);
}

#define QUEUED MAESTRO__TASK_STATE__TASK_QUEUED
#define STARTING MAESTRO__TASK_STATE__TASK_STARTING
#define RUNNING MAESTRO__TASK_STATE__TASK_RUNNING
#define EXITED MAESTRO__ATTEMPT_PHASE__PHASE_EXITED

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
	add_worker(&world, "w2", &info);
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
	handle(&world, &lost);
	assert_int_equal(state_of(&world, 1), RUNNING); /* it answers */
	handle(&world, &gone);
	end_ms = world.now_ms + core_config_default.silence_ms;
	while (core_deadline(world.core) < end_ms)
		tick(&world, core_deadline(world.core));
	assert_int_equal(state_of(&world, 1), RUNNING);
	tick(&world, end_ms);
	assert_int_equal(state_of(&world, 1), QUEUED);
	assert_int_equal(core_attempt(world.core, 1, 1)->state, MAESTRO__TASK_STATE__TASK_LOST);
	assert_int_equal(state_of(&world, 2), RUNNING);
	handle(&world, &lost);
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

/* --- a restored backup ---------------------------------------------------------------------------------------- */

static uint8_t foreign_run[16] = { 1, 2, 3 };

/* A worker comes with one session; returns the verdict on it. */
static Maestro__Verdict show(struct world *world, const char *name, uint64_t task, uint32_t attempt,
	Maestro__AttemptPhase phase)
{
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = name, .text = "b", .name = "t" };
	Maestro__InventoryEntry entry = MAESTRO__INVENTORY_ENTRY__INIT, *entries[] = { &entry };
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	handle(world, &connected);
	entry.task = task;
	entry.attempt = attempt;
	entry.run_id = (ProtobufCBinaryData){ sizeof(foreign_run), foreign_run };
	entry.phase = phase;
	entry.has_session_live = true;
	entry.session_live = phase == MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING;
	inventory.n_entries = 1;
	inventory.entries = entries;
	inventory.last = true;
	envelope.body_case = BODY(INVENTORY);
	envelope.inventory = &inventory;
	tell(world, name, &envelope);
	for (size_t i = 0; i < world->effects.count; i++)
		if (world->effects.items[i].type == CORE_EFFECT_SEND &&
			world->effects.items[i].envelope->body_case == BODY(VERDICTS))
			return world->effects.items[i].envelope->verdicts->entries[0]->verdict;
	return 0;
}

static void test_restored_backup_asks(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_event answer = { .type = CORE_EVENT_RESTORED, .client = { 1, 1, "admin" } };

	world_init(&world, NULL);
	submit(&world, (struct wish){ 0 });
	assert_int_equal(show(&world, "x", 57, 2, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING),
		MAESTRO__VERDICT__VERDICT_QUARANTINE);
	assert_true(core_restore_asked(world.core));
	add_slots(&world, "w", 1);
	assert_waits(&world, 1, "a backup was restored, it seems: an admin has to say so first");
	submit(&world, (struct wish){ 0 });
	assert_null(core_task(world.core, 2)); /* refused */
	handle(&world, &answer);
	assert_false(core_restore_asked(world.core));
	assert_int_equal(state_of(&world, 1), STARTING);
	submit(&world, (struct wish){ 0 });
	assert_null(core_task(world.core, 2));
	assert_int_equal(state_of(&world, 58), QUEUED); /* above what was shown */
	assert_int_equal(show(&world, "x", 57, 2, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING), MAESTRO__VERDICT__VERDICT_END);
}

/* A later attempt than the database knows of: its number is not given out again. */
static void test_restored_attempt(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_event answer = { .type = CORE_EVENT_RESTORED, .client = { 1, 1, "admin" } };

	world_init(&world, NULL);
	submit(&world, (struct wish){ 0 });
	assert_int_equal(show(&world, "x", 1, 2, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING),
		MAESTRO__VERDICT__VERDICT_QUARANTINE);
	handle(&world, &answer);
	add_slots(&world, "w", 1);
	assert_int_equal(core_task(world.core, 1)->attempt, 3);
	assert_int_equal(show(&world, "x", 1, 2, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING), MAESTRO__VERDICT__VERDICT_KILL);
	assert_int_equal(state_of(&world, 1), STARTING);
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
		cmocka_unit_test(test_a_failed_start_waits),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_too_many_in_review),
		cmocka_unit_test(test_silent_worker),
		cmocka_unit_test(test_own_freeze),
		cmocka_unit_test(test_restored_backup_asks),
		cmocka_unit_test(test_restored_attempt),
	};

	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
