/* What the simulated coordinator does with what happens: the real core's rows go into a transaction, which is committed
 * for all events of a while together, and only then is said what is to be said (coordinator/service/executor.c). A
 * crash before the commit loses all of the group, one after it loses what was to be said. */
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

void coordinator_random(void *buffer, size_t len)
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
	case BUG_FORGET_ANSWER:
		return effect->table == ROW_QUESTION && ((const struct question_row *)effect->row)->answer;
	case BUG_FORGET_PAUSE:
		return effect->table == ROW_META && !strcmp(meta->name, "queue_paused") && !strcmp(meta->value, "1");
	default:
		return false;
	}
}

/* Into the transaction that is open. */
static void take_rows(struct world *world, const struct core_effects *effects)
{
	for (size_t i = 0; i < effects->count; i++) {
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
		client_reply(world, effect->client, effect->request, effect->envelope);
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

#define EFFECTS_MAX 3000u /* more for one event is something that grows without end */
#define GATHER_EVENTS 12u
#define GATHER_MS 20u

/* What is to be said waits for the commit. */
static void keep_words(struct world *world, struct core_effects *effects)
{
	struct core_effects *to = &world->outbox;

	for (size_t i = 0; i < effects->count; i++) {
		struct core_effect *effect = &effects->items[i];

		if (effect->type == CORE_EFFECT_PUT || effect->type == CORE_EFFECT_DROP || effect->type == CORE_EFFECT_STATUS)
			continue;
		if (to->count == to->size) {
			to->size = to->size ? to->size * 2 : 64;
			to->items = realloc(to->items, to->size * sizeof(*to->items));
			require(to->items);
		}
		to->items[to->count++] = *effect;
		memset(effect, 0, sizeof(*effect)); /* handed over */
	}
}

void coordinator_forget(struct world *world)
{
	rows_rollback(world, world->bug == BUG_HALF_COMMIT ? world->undo_count / 2 : 0);
	core_effects_deinit(&world->outbox);
	world->outbox = CORE_EFFECTS_NULL;
	world->gathered = 0;
}

void coordinator_write_failed(struct world *world)
{
	struct core_effects words = world->outbox;

	world->outbox = CORE_EFFECTS_NULL;
	coordinator_forget(world);
	if (world->bug == BUG_SPEAK_UNWRITTEN)
		send_all(world, &words);
	core_effects_deinit(&words);
}

void coordinator_flush(struct world *world)
{
	uint64_t life = world->core_life;
	struct core_effects words;

	if (!world->core || !world->gathered)
		return;
	if (fault(world, 300)) {
		coordinator_crash(world, "before its commit");
		return;
	}
	if (fault(world, 600)) {
		coordinator_disk_fails(world);
		return;
	}
	rows_commit(world);
	words = world->outbox;
	world->outbox = CORE_EFFECTS_NULL;
	world->gathered = 0;
	if (fault(world, 300))
		coordinator_crash(world, "after its commit, before it sends");
	else if (fault(world, 600))
		stall(world);
	if (world->core_life == life)
		send_all(world, &words);
	core_effects_deinit(&words);
	if (world->core_life == life)
		arm_tick(world);
}

static void on_turn(struct world *world, struct action *action)
{
	coordinator_flush(world);
}

void coordinator_event(struct world *world, struct core_event *event)
{
	struct core_effects effects = CORE_EFFECTS_NULL;

	if (!world->core)
		return;
	shared_random = world->bug == BUG_EQUAL_RUN_IDS ? NULL : &world->random;
	event->wall_ms = (int64_t)world->now_ms + world->wall_ms;
	require(core_handle(world->core, event, world->now_ms, &effects) == 0);
	if (effects.count > EFFECTS_MAX)
		broken(world, "P7", "%zu effects of one event", effects.count);
	take_rows(world, &effects);
	if (!world->gathered++)
		later(world, 1 + chance(world, GATHER_MS), on_turn, &world->core_life);
	keep_words(world, &effects);
	core_effects_deinit(&effects); /* may point into the core */
	if (world->bug == BUG_SEND_FIRST) {
		struct core_effects words = world->outbox;

		world->outbox = CORE_EFFECTS_NULL;
		send_all(world, &words);
		core_effects_deinit(&words);
	}
	if (fault(world, 1500))
		coordinator_crash(world, "within a transaction");
	else if (world->gathered >= GATHER_EVENTS)
		coordinator_flush(world);
}

/* The service throws away what comes of this event: nobody is there yet to be told, and there is nothing to store. */
void coordinator_begin(struct world *world)
{
	struct core_effects effects = CORE_EFFECTS_NULL;
	struct core_event event = { .type = CORE_EVENT_START, .wall_ms = (int64_t)world->now_ms + world->wall_ms };

	shared_random = world->bug == BUG_EQUAL_RUN_IDS ? NULL : &world->random;
	require(core_handle(world->core, &event, world->now_ms, &effects) == 0);
	for (size_t i = 0; i < effects.count; i++)
		if (effects.items[i].type == CORE_EFFECT_PUT || effects.items[i].type == CORE_EFFECT_DROP)
			broken(world, "COMMIT", "a row of the start is not stored");
	core_effects_deinit(&effects);
	arm_tick(world);
}
