/* The queue of actions in virtual time, chance, and the history that is told. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIM_QUEUE_MAX 3000u /* more is under way only if something is repeated without end */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t chance(struct world *world, uint64_t below)
{
	return next_random(&world->random) % below;
}

bool fault(struct world *world, uint64_t n)
{
	return chance(world, n) == 0 && world->faults;
}

void tell(struct world *world, const char *format, ...)
{
	char line[256];
	va_list args;

	if (!world->telling)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	buf_printf(&world->history, "%10" PRIu64 " %s\n", world->now_ms, line);
}

void broken(struct world *world, const char *promise, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	tell(world, "BROKEN %s: %s", promise, line);
	world->failed = true;
}

/* --- the queue: a binary heap ---------------------------------------------------------------------------------- */

static bool before(const struct action *a, const struct action *b)
{
	return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->order < b->order);
}

static void swap(struct action **a, struct action **b)
{
	struct action *c = *a;

	*a = *b;
	*b = c;
}

static void push(struct world *world, struct action *action)
{
	size_t i = world->heap_len++;

	if (i == world->heap_size) {
		world->heap_size = world->heap_size ? world->heap_size * 2 : 256;
		world->heap = realloc(world->heap, world->heap_size * sizeof(*world->heap));
		require(world->heap);
	}
	world->heap[i] = action;
	for (; i && before(world->heap[i], world->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&world->heap[i], &world->heap[(i - 1) / 2]);
}

struct action *later(struct world *world, uint64_t after_ms, void (*run)(struct world *, struct action *), uint64_t *life)
{
	struct action *action = calloc(1, sizeof(*action));

	require(action);
	*action = (struct action){ .due_ms = world->now_ms + after_ms, .order = ++world->order, .run = run, .life = life,
		.alive = life ? *life : 0 };
	if (life == &world->core_life)
		action->frozen_until_ms = &world->core_frozen_ms;
	for (int w = 0; w < SIM_WORKERS && life; w++) {
		struct sim_worker *worker = &world->workers[w];

		if (life == &worker->life || life == &worker->link)
			action->frozen_until_ms = &worker->frozen_until_ms;
		else if (life == &worker->far)
			action->frozen_until_ms = &world->core_frozen_ms;
	}
	push(world, action);
	return action;
}

static struct action *pop(struct world *world)
{
	struct action *first = world->heap[0];
	size_t i = 0, child;

	world->heap[0] = world->heap[--world->heap_len];
	while ((child = 2 * i + 1) < world->heap_len) {
		if (child + 1 < world->heap_len && before(world->heap[child + 1], world->heap[child]))
			child++;
		if (!before(world->heap[child], world->heap[i]))
			break;
		swap(&world->heap[child], &world->heap[i]);
		i = child;
	}
	return first;
}

static void free_action(struct action *action)
{
	buf_deinit(&action->bytes);
	free(action);
}

static uint64_t held_until_ms(const struct action *action)
{
	uint64_t until_ms = action->frozen_until_ms ? *action->frozen_until_ms : 0;

	return action->cut_until_ms && *action->cut_until_ms > until_ms ? *action->cut_until_ms : until_ms;
}

void run_until(struct world *world, uint64_t end_ms)
{
	while (world->heap_len && !world->failed && world->heap[0]->due_ms <= end_ms) {
		struct action *action = pop(world);

		world->now_ms = action->due_ms;
		world->steps++;
		if (world->heap_len > SIM_QUEUE_MAX)
			broken(world, "P7", "%zu things are under way", world->heap_len);
		if (held_until_ms(action) > world->now_ms) {
			action->due_ms = held_until_ms(action); /* in the order in which it would have come */
			push(world, action);
			continue;
		}
		if (!action->life || *action->life == action->alive)
			action->run(world, action);
		free_action(action);
	}
	world->now_ms = end_ms;
}

void queue_free(struct world *world)
{
	while (world->heap_len)
		free_action(world->heap[--world->heap_len]);
	free(world->heap);
}
