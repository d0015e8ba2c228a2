/* The coordinator of a simulated cluster: the real core over rows in memory. A transaction is applied whole or, when
 * it crashes before the commit, not at all; what was to be sent after it may be lost. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *shared_random;

static uint64_t step(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void seeded_random(void *buffer, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buffer)[i] = shared_random ? (uint8_t)step(shared_random) : 7;
}

/* --- events and effects ------------------------------------------------------------------------------------------ */

static int worker_number(const struct world *world, const char *name)
{
	for (int i = 0; i < SIM_WORKERS; i++)
		if (!strcmp(world->workers[i].name, name))
			return i;
	return -1;
}

/* Whether the bug at hand keeps this row from the store. */
static bool lose_row(struct world *world, const struct core_effect *effect)
{
	const struct meta_row *meta = effect->row;

	switch (world->bug) {
	case BUG_LOST_ROWS:
		return effect->table == ROW_TASK && chance(world, 20) == 0;
	case BUG_NO_REQUESTS:
		return effect->table == ROW_REQUEST;
	case BUG_LOST_EVENTS:
		return effect->table == ROW_EVENT && chance(world, 50) == 0;
	case BUG_FORGET_PAUSE:
		return effect->table == ROW_META && !strcmp(meta->name, "queue_paused") && !strcmp(meta->value, "1");
	default:
		return false;
	}
}

static void commit(struct world *world, const struct core_effects *effects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct core_effect *effect = &effects->items[i];

		if (effect->type == CORE_EFFECT_PUT && lose_row(world, effect))
			continue;
		if (effect->type == CORE_EFFECT_PUT)
			rows_put(world, effect->table, effect->row);
		else if (effect->type == CORE_EFFECT_DROP)
			rows_drop(world, effect->table, effect->row);
	}
}

static void ask_over(struct world *world, struct action *action)
{
	coordinator_answered(world, action->task, NULL);
}

#define ANSWER_MS 60000u

static void send_ask(struct world *world, int number, const struct core_effect *effect)
{
	struct sim_ask *ask = &world->asks[++world->next_ask % ARRAY_SIZE(world->asks)];
	bool there = number >= 0 && world->workers[number].far;

	if (ask->request)
		coordinator_answered(world, ask->request, NULL);
	*ask = (struct sim_ask){ world->next_ask, effect->task, effect->attempt, number };
	effect->envelope->has_request = true;
	effect->envelope->request = ask->request;
	later(world, there ? ANSWER_MS : 0, ask_over, &world->core_life)->task = ask->request;
	if (there)
		send_to_worker(world, number, effect->envelope);
}

void coordinator_answered(struct world *world, uint64_t request, const Maestro__Envelope *envelope)
{
	struct sim_ask *ask = &world->asks[request % ARRAY_SIZE(world->asks)];
	struct core_event event = { .type = CORE_EVENT_ANSWERED, .task = ask->task, .attempt = ask->attempt,
		.envelope = envelope };

	if (!request || ask->request != request)
		return;
	ask->request = 0;
	coordinator_event(world, &event);
}

void coordinator_asks_end(struct world *world, int worker)
{
	for (size_t i = 0; i < ARRAY_SIZE(world->asks); i++)
		if (world->asks[i].request && world->asks[i].worker == worker)
			coordinator_answered(world, world->asks[i].request, NULL);
}

static void send_one(struct world *world, const struct core_effect *effect)
{
	int number = effect->worker ? worker_number(world, effect->worker) : -1;

	switch (effect->type) {
	case CORE_EFFECT_SEND:
		if (number >= 0)
			send_to_worker(world, number, effect->envelope);
		if (world->bug == BUG_TWO_WORKERS && effect->envelope->body_case == MAESTRO__ENVELOPE__BODY_START)
			send_to_worker(world, (number + 1) % SIM_WORKERS, effect->envelope);
		break;
	case CORE_EFFECT_ASK:
		send_ask(world, number, effect);
		break;
	case CORE_EFFECT_REPLY:
		client_reply(world, effect->client, effect->envelope);
		break;
	case CORE_EFFECT_CHANGED_TASK:
		agree_changed(world, effect->task);
		break;
	case CORE_EFFECT_DISCONNECT:
		if (number < 0)
			break;
		tell(world, "coordinator cuts %s off: %s", world->workers[number].name, effect->name);
		wire_close_far(world, number, true);
		break;
	default:
		break;
	}
}

static void send_all(struct world *world, const struct core_effects *effects)
{
	uint64_t life = world->core_life;

	for (size_t i = 0; i < effects->count && world->core_life == life; i++) {
		if (world->bug != BUG_SEND_FIRST)
			check_sent(world, &effects->items[i]);
		send_one(world, &effects->items[i]);
	}
}

static void on_tick(struct world *world, struct action *action)
{
	struct core_event event = { .type = CORE_EVENT_TICK };

	world->core_tick_ms = 0;
	coordinator_event(world, &event);
}

static void arm_tick(struct world *world)
{
	uint64_t deadline = world->core ? core_deadline(world->core) : UINT64_MAX;

	if (deadline == UINT64_MAX || (world->core_tick_ms && world->core_tick_ms <= deadline))
		return;
	world->core_tick_ms = deadline;
	later(world, deadline > world->now_ms ? deadline - world->now_ms : 1, on_tick, &world->core_life);
}

/* The disk takes its time: what is to be said comes later, and nothing is heard meanwhile. */
static void stall(struct world *world)
{
	uint64_t until_ms = world->now_ms + 1 + chance(world, 20000);

	if (world->core_frozen_ms < until_ms)
		world->core_frozen_ms = until_ms;
	for (int i = 0; i < SIM_WORKERS; i++)
		if (world->workers[i].sent_ms[0] < until_ms)
			world->workers[i].sent_ms[0] = until_ms;
	tell(world, "the coordinator's disk stalls until %" PRIu64, until_ms);
}

/* False: the coordinator is no more, or its core was thrown away. */
static bool write_rows(struct world *world, struct core_effects *effects)
{
	if (fault(world, 400)) {
		if (world->bug == BUG_HALF_COMMIT)
			commit(world, effects, effects->count / 2);
		core_effects_deinit(effects); /* may point into the core */
		coordinator_crash(world, "before its commit");
		return false;
	}
	if (fault(world, 800)) {
		core_effects_deinit(effects);
		coordinator_disk_fails(world);
		return false;
	}
	commit(world, effects, effects->count);
	if (fault(world, 400)) {
		core_effects_deinit(effects);
		coordinator_crash(world, "after its commit, before it sends");
		return false;
	}
	if (fault(world, 800))
		stall(world);
	return true;
}

#define EFFECTS_MAX 3000u /* more for one event is something that grows without end */

void coordinator_event(struct world *world, struct core_event *event)
{
	struct core_effects effects = CORE_EFFECTS_NULL;
	uint64_t life = world->core_life;

	if (!world->core)
		return;
	shared_random = world->bug == BUG_EQUAL_RUN_IDS ? NULL : &world->random;
	event->wall_ms = (int64_t)world->now_ms + world->wall_ms;
	require(core_handle(world->core, event, world->now_ms, &effects) == 0);
	if (effects.count > EFFECTS_MAX)
		broken(world, "P7", "%zu effects of one event", effects.count);
	if (world->bug == BUG_SEND_FIRST)
		send_all(world, &effects);
	if (!write_rows(world, &effects))
		return;
	if (world->bug != BUG_SEND_FIRST)
		send_all(world, &effects);
	core_effects_deinit(&effects);
	if (world->core_life == life)
		arm_tick(world);
}

static void on_start(struct world *world, struct action *action)
{
	world->reloads = action->flag;
	coordinator_start(world);
}

/* What was to start it is overtaken. */
static void start_later(struct world *world, uint64_t after_ms, bool reload)
{
	world->core_life++;
	later(world, after_ms, on_start, &world->core_life)->flag = reload;
}

/* All that it has in memory goes. */
static void end_process(struct world *world, uint64_t again_ms, bool reload)
{
	core_free(take(world->core));
	world->core_tick_ms = world->core_frozen_ms = 0;
	memset(world->asks, 0, sizeof(world->asks));
	start_later(world, again_ms, reload);
	for (int i = 0; i < SIM_WORKERS; i++)
		wire_close_far(world, i, false);
}

void coordinator_crash(struct world *world, const char *when)
{
	if (!world->core)
		return;
	tell(world, "coordinator crashes: %s", when);
	end_process(world, 100 + chance(world, 20000), false);
}

/* The service goes on with what is stored, and takes nothing until it can be written again; then all come anew. */
void coordinator_disk_fails(struct world *world)
{
	if (!world->core)
		return;
	tell(world, "the coordinator cannot write its database");
	end_process(world, 5000 + chance(world, 60000), true);
}

static void raise_epoch(struct world *world)
{
	char value[24], *name = (char *)(uintptr_t) "epoch";
	struct meta_row row = { name, value };
	const struct meta_row *old = coordinator_row(world, ROW_META, &row);

	world->epoch = (old ? strtoull(old->value, NULL, 10) : 0) + 1;
	snprintf(value, sizeof(value), "%" PRIu64, world->epoch);
	rows_put(world, ROW_META, &row);
}

static const struct core_limit project_slots[] = { { "p", SIM_PROJECT_SLOTS } };
static const struct core_limit agent_slots[] = { { "claude", SIM_CLAUDE_SLOTS } };

void coordinator_start(struct world *world)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct core_config config = core_config_default;
	struct core_event event = { .type = CORE_EVENT_START };
	bool first = !world->row_count[ROW_PROJECT];

	if (world->core)
		return;
	config.random = seeded_random;
	config.silence_ms = 50000; /* so that it happens in these few minutes */
	config.max_idle_sessions = 2;
	config.linger_ms = 60000;
	config.limited_ms = 60000;
	config.keep_tasks_ms = world->seed % 3 ? 0 : SIM_KEEP_TASKS_MS;
	config.project_slots = project_slots;
	config.project_slot_count = ARRAY_SIZE(project_slots);
	config.agent_slots = agent_slots;
	config.agent_slot_count = ARRAY_SIZE(agent_slots);
	if (!world->reloads)
		raise_epoch(world);
	world->reloads = false;
	require(core_new(&world->core, &config) == 0);
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		for (size_t i = 0; i < world->row_count[table]; i++)
			if (core_load(world->core, table, row_copy(table, world->rows[table][i]), &error)) {
				broken(world, "P3", "a stored row cannot be loaded: %s", error_text(&error, -EINVAL));
				return;
			}
	tell(world, "coordinator starts");
	world->disturbed_ms = world->now_ms;
	coordinator_event(world, &event);
	agree_anew(world);
	if (first && world->core) {
		Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
		Maestro__GitProbed probed = MAESTRO__GIT_PROBED__INIT;
		struct core_event project = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add, .probed = &probed };

		add.name = (char *)(uintptr_t) "p";
		add.url = bytes_of("ssh://git@example.org/p.git");
		add.base_branch = probed.base_branch = (char *)(uintptr_t) "main";
		world->faults = false;
		coordinator_event(world, &project);
		world->faults = true;
	}
}

static void forget_lost_tasks(struct world *world)
{
	for (size_t i = 0; i < world->task_count; i++) {
		struct task_row key = { .id = world->tasks[i].id };

		if (key.id && !coordinator_row(world, ROW_TASK, &key)) {
			world->tasks[i].lost = true;
			world->tasks[i].id = 0;
		}
	}
}

void coordinator_restore(struct world *world)
{
	if (!world->saved)
		return;
	tell(world, "an old backup is put in the database's place");
	if (world->core)
		end_process(world, 100 + chance(world, 20000), false);
	else
		start_later(world, 100 + chance(world, 20000), false);
	rows_restore(world);
	world->restored = true;
	world->force_epoch = false;
	world->highest_shown = 0;
	world->paused_ms = 0;
	forget_lost_tasks(world);
}
