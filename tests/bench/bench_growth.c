/* What things cost as a coordinator grows: bench-growth [LARGEST]. CPU and memory of its core and database in this process
 * (the database in memory: what is measured is our own part), at 100, 1,000 … tasks and as many workers.
 *
 * The last column says by how much a row grew over the whole range. Costs of one thing should stay as they are; a start
 * and a tick may grow as the number does. */
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/store/store.h"
#include "proto/wire/message.h"
#include "tests/bench/world.h"

#define SIZES_MAX 4u
#define SAMPLES 100u
#define PAGE 64u

enum figure {
	TASK_BYTES,
	WORKER_BYTES,
	SESSION_BYTES,
	SUBMIT_US,
	END_US,
	PAGE_US,
	CONNECT_US,
	TICK_US,
	START_US,
	FIGURE_COUNT,
};

static const struct {
	const char *name;
	bool may_grow; /* with the number: it looks at all of them */
} figures[FIGURE_COUNT] = {
	[TASK_BYTES] = { "memory of a queued task, bytes" },
	[WORKER_BYTES] = { "memory of a worker, bytes" },
	[SESSION_BYTES] = { "more of a task with a session, bytes" },
	[SUBMIT_US] = { "a submit, us" },
	[END_US] = { "a session ends, the next is placed, us" },
	[PAGE_US] = { "64 tasks of a list, us" },
	[CONNECT_US] = { "a worker comes anew, us" },
	[TICK_US] = { "a tick, us", true },
	[START_US] = { "loading at the start, us", true },
};

struct grown {
	struct world world;
	struct store *store;
};

/* Without what the database holds: that one is on a disk. */
static size_t memory(void)
{
	return mallinfo2().uordblks - (size_t)sqlite3_memory_used();
}

/* What the event wrote, as the coordinator does it. In microseconds of CPU. */
static double write_rows(struct grown *grown)
{
	double began = world_cpu();

	require(store_begin(grown->store, NULL) == 0);
	for (size_t i = 0; i < grown->world.effects.count; i++) {
		const struct core_effect *effect = &grown->world.effects.items[i];

		if (effect->type == CORE_EFFECT_PUT)
			require(store_put(grown->store, effect->table, effect->row, NULL) == 0);
		else if (effect->type == CORE_EFFECT_DROP)
			require(store_drop(grown->store, effect->table, effect->row, NULL) == 0);
	}
	require(store_commit(grown->store, NULL) == 0);
	return (world_cpu() - began) * 1e6;
}

static double handle(struct grown *grown, struct core_event *event)
{
	double took_us = world_handle(&grown->world, event) * 1e3;

	return took_us + write_rows(grown);
}

static double submit(struct grown *grown, unsigned int number)
{
	double took_us = world_submit(&grown->world, number) * 1e3;

	return took_us + write_rows(grown);
}

static void place_all(struct grown *grown)
{
	struct core_event tick = { .type = CORE_EVENT_TICK };

	do
		handle(grown, &tick);
	while (core_deadline(grown->world.core) <= grown->world.now_ms);
}

static double connect_worker(struct grown *grown, unsigned int number)
{
	double began = world_cpu();

	world_add_worker(&grown->world, number);
	return (world_cpu() - began) * 1e6;
}

static double list_page(struct grown *grown, uint64_t from)
{
	double began = world_cpu();

	for (uint64_t task = from; task < from + PAGE; task++) {
		Maestro__Task *view = core_view_task(grown->world.core, task, false, 0);

		require(view);
		maestro__task__free_unpacked(view, NULL);
	}
	return (world_cpu() - began) * 1e6;
}

static int take_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	return core_load(userdata, table, row, error);
}

static double load(struct grown *grown)
{
	struct core_effects effects = CORE_EFFECTS_NULL;
	struct core_event start = { .type = CORE_EVENT_START };
	double began = world_cpu();
	struct core *core;

	require(core_new(&core, &core_config_default) == 0);
	for (int t = 0; t < ROW_KEY; t++)
		require(store_each(grown->store, (enum row_table)t, take_row, core, NULL) == 0);
	require(core_handle(core, &start, grown->world.now_ms, &effects) == 0);
	core_effects_deinit(&effects);
	began = (world_cpu() - began) * 1e6;
	core_free(core);
	return began;
}

/* Workers with a place for each of half of the tasks, then tasks while the queue is paused, then sessions. */
static void fill(struct grown *grown, unsigned int count, double values[FIGURE_COUNT])
{
	struct core_event pause = { .type = CORE_EVENT_QUEUE, .flag = true }, go = { .type = CORE_EVENT_QUEUE };
	size_t before, workers = count / (2 * WORLD_SLOTS);

	handle(grown, &pause);
	before = memory();
	for (unsigned int i = 0; i < workers; i++) {
		world_add_worker(&grown->world, i);
		core_effects_clear(&grown->world.effects);
	}
	values[WORKER_BYTES] = (double)(memory() - before) / (double)workers;
	before = memory();
	for (unsigned int i = 0; i < count; i++) {
		world_submit(&grown->world, i);
		write_rows(grown);
	}
	core_effects_clear(&grown->world.effects);
	values[TASK_BYTES] = (double)(memory() - before) / count;
	before = memory();
	handle(grown, &go);
	place_all(grown);
	core_effects_clear(&grown->world.effects);
	values[SESSION_BYTES] = (double)(memory() - before) / (double)(workers * WORLD_SLOTS);
}

static void measure(struct grown *grown, unsigned int count, double values[FIGURE_COUNT])
{
	struct core_event tick = { .type = CORE_EVENT_TICK };
	unsigned int ended = 0;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		values[SUBMIT_US] += submit(grown, i) / SAMPLES;
		values[PAGE_US] += list_page(grown, 1 + i * 7919ull % (count - PAGE)) / SAMPLES;
		values[CONNECT_US] += connect_worker(grown, i % (count / (2 * WORLD_SLOTS))) / SAMPLES;
		write_rows(grown);
		values[TICK_US] += handle(grown, &tick) / SAMPLES;
	}
	for (uint64_t task = 1; task <= count && ended < SAMPLES; task++) {
		if (core_task(grown->world.core, task)->state != MAESTRO__TASK_STATE__TASK_STARTING)
			continue;
		values[END_US] += world_end_session(&grown->world, task) * 1e3 + write_rows(grown);
		ended++;
	}
	values[END_US] /= ended ? ended : 1;
	values[START_US] = load(grown);
}

static void print(double values[SIZES_MAX][FIGURE_COUNT], const unsigned int *counts, size_t sizes)
{
	printf("%-40s", "with so many tasks");
	for (size_t i = 0; i < sizes; i++)
		printf(" %10u", counts[i]);
	printf(" %8s\n", "factor");
	for (size_t f = 0; f < FIGURE_COUNT; f++) {
		printf("%-40s", figures[f].name);
		for (size_t i = 0; i < sizes; i++)
			printf(" %10.1f", values[i][f]);
		printf(" %8.2f%s\n", values[sizes - 1][f] / values[0][f], figures[f].may_grow ? " (may grow)" : "");
	}
}

int main(int argc, char **argv)
{
	unsigned int largest = argc > 1 ? (unsigned int)atoi(argv[1]) : 10000, counts[SIZES_MAX];
	static double values[SIZES_MAX][FIGURE_COUNT];
	size_t sizes = 0;

	for (unsigned int count = 100; count <= largest && sizes < SIZES_MAX; count *= 10) {
		struct grown grown;

		world_init(&grown.world);
		require(store_open(&grown.store, ":memory:", NULL) == 0);
		write_rows(&grown);
		counts[sizes] = count;
		fill(&grown, count, values[sizes]);
		measure(&grown, count, values[sizes++]);
		store_free(grown.store);
		world_deinit(&grown.world);
	}
	if (!sizes)
		return 2;
	print(values, counts, sizes);
	return 0;
}
