#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "tests/unit/coordinator/world.h"

static void store_rows(struct world *world)
{
	assert_int_equal(store_begin(world->store, NULL), 0);
	for (size_t i = 0; i < world->effects.count; i++) {
		const struct core_effect *effect = &world->effects.items[i];

		if (effect->type == CORE_EFFECT_PUT)
			assert_int_equal(store_put(world->store, effect->table, effect->row, NULL), 0);
		else if (effect->type == CORE_EFFECT_DROP)
			assert_int_equal(store_drop(world->store, effect->table, effect->row, NULL), 0);
	}
	assert_int_equal(store_commit(world->store, NULL), 0);
}

void world_handle(struct world *world, struct core_event *event)
{
	event->wall_ms = (int64_t)world->now_ms + world->wall_ms;
	core_effects_clear(&world->effects);
	assert_int_equal(core_handle(world->core, event, world->now_ms, &world->effects), 0);
	store_rows(world);
}

static int take_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	return core_load(userdata, table, row, error);
}

void world_restart(struct world *world)
{
	struct core_event start = { .type = CORE_EVENT_START };

	if (world->core)
		core_free(world->core);
	assert_int_equal(core_new(&world->core, &world->config), 0);
	for (int t = 0; t < ROW_KEY; t++)
		assert_int_equal(store_each(world->store, (enum row_table)t, take_row, world->core, NULL), 0);
	assert_int_equal(store_each(world->store, ROW_EVENT, take_row, world->core, NULL), 0);
	world_handle(world, &start);
}

void world_init(struct world *world, const struct core_config *config)
{
	*world = (struct world){ .effects = CORE_EFFECTS_NULL, .now_ms = 1000, .wall_ms = 1800000000000,
		.config = config ? *config : core_config_default };
	assert_int_equal(store_open(&world->store, ":memory:", NULL), 0);
	world_restart(world);
	world_add_project(world, "p");
	world_add_project(world, "q");
}

void world_deinit(struct world *world)
{
	core_effects_deinit(&world->effects);
	core_free(world->core);
	store_free(world->store);
}

void world_add_project(struct world *world, const char *name)
{
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add };

	add.name = (char *)(uintptr_t)name;
	add.url = bytes_of("h:p");
	add.base_branch = (char *)"main";
	world_handle(world, &event);
}

void tell(struct world *world, const char *worker, Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker, .envelope = envelope };

	world_handle(world, &event);
}

/* A worker that is past READY. */
void world_add_worker(struct world *world, const char *name, Maestro__WorkerInfo *info)
{
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = name, .text = "b", .name = "t" };
	Maestro__Envelope told = MAESTRO__ENVELOPE__INIT, pages = told, ready = told;
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__WorkerReady up = MAESTRO__WORKER_READY__INIT;

	world_handle(world, &connected);
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

void add_slots(struct world *world, const char *name, uint32_t slots)
{
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;

	agent.name = (char *)"claude";
	info.has_slots = true;
	info.slots = slots;
	info.n_agents = 1;
	info.agents = agents;
	world_add_worker(world, name, &info);
}

void submit(struct world *world, struct wish wish)
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
	world_handle(world, &event);
}

static void report_in_full(struct world *world, uint64_t task, Maestro__AttemptPhase phase, bool retryable,
	const char *reason)
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
	message.has_reason = reason != NULL;
	message.reason = bytes_of(reason);
	message.commit = (char *)"0123456789012345678901234567890123456789";
	message.has_session_live = message.session_live = true;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &message;
	tell(world, worker, &envelope);
}

void report(struct world *world, uint64_t task, Maestro__AttemptPhase phase, bool retryable)
{
	report_in_full(world, task, phase, retryable, NULL);
}

void report_why(struct world *world, uint64_t task, Maestro__AttemptPhase phase, const char *reason)
{
	report_in_full(world, task, phase, false, reason);
}

void say_limited(struct world *world, uint64_t task, Maestro__AgentState state, uint64_t limited_ms)
{
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport message = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	status.state = state;
	status.has_limited_ms = limited_ms != 0;
	status.limited_ms = limited_ms;
	message.task = task;
	message.attempt = 1;
	message.status = &status;
	envelope.body_case = BODY(STATUS_REPORT);
	envelope.status_report = &message;
	tell(world, core_attempt(world->core, task, 0)->worker, &envelope);
}

void say_status(struct world *world, uint64_t task, Maestro__AgentState state)
{
	say_limited(world, task, state, 0);
}

void assert_waits(struct world *world, uint64_t task, const char *why)
{
	Maestro__Task *view = core_view_task(world->core, task, false, world->now_ms);
	_cleanup_free_ char *said = bytes_dup(&view->waiting_for);

	assert_int_equal(view->state, MAESTRO__TASK_STATE__TASK_QUEUED);
	assert_string_equal(said, why);
	maestro__task__free_unpacked(view, NULL);
}

void pause_queue(struct world *world, bool paused)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .flag = paused };

	world_handle(world, &event);
}

void tick(struct world *world, uint64_t now_ms)
{
	struct core_event event = { .type = CORE_EVENT_TICK };

	world->now_ms = now_ms;
	world_handle(world, &event);
}

int state_of(const struct world *world, uint64_t task)
{
	return core_task(world->core, task)->state;
}

