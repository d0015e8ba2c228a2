/* How long a turn of the coordinator's core takes with many tasks and workers: bench-schedule [TASKS [WORKERS]].
 * One line each for the turns that place a burst, and for one ended session and one submit while everything is full and
 * the rest waits. Compare figures of one run only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/bench/world.h"

#define SAMPLES 200u

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_samples(const char *what, double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), compare);
	printf("%-44s p50 %8.3f ms  p99 %8.3f ms  max %8.3f ms\n", what, samples[n / 2], samples[n * 99 / 100],
		samples[n - 1]);
}

/* Lets the queue go on; the turns that follow place what there is room for. */
static void place_all(struct world *world)
{
	struct core_event resume = { .type = CORE_EVENT_QUEUE }, tick = { .type = CORE_EVENT_TICK };
	double turn = world_handle(world, &resume), longest = turn, all = turn;
	unsigned int turns = 1;

	for (; core_deadline(world->core) <= world->now_ms; turns++) {
		turn = world_handle(world, &tick);
		longest = turn > longest ? turn : longest;
		all += turn;
	}
	printf("%-44s %u turns, longest %.3f ms, all %.3f ms\n", "placing the burst", turns, longest, all);
}

static uint64_t next_running(const struct world *world, uint64_t from)
{
	const struct task_row *row;

	while ((row = core_task(world->core, ++from)) && row->state != MAESTRO__TASK_STATE__TASK_STARTING)
		;
	return row ? from : 0;
}

int main(int argc, char **argv)
{
	unsigned int tasks = argc > 1 ? (unsigned int)atoi(argv[1]) : 10000;
	unsigned int workers = argc > 2 ? (unsigned int)atoi(argv[2]) : 1000;
	struct world world;
	struct core_event pause = { .type = CORE_EVENT_QUEUE, .flag = true };
	double ended[SAMPLES], submitted[SAMPLES];
	uint64_t task = 0;
	size_t n = 0;

	world_init(&world);
	for (unsigned int i = 0; i < workers; i++)
		world_add_worker(&world, i);
	world_handle(&world, &pause);
	for (unsigned int i = 0; i < tasks; i++)
		world_submit(&world, i);
	printf("%u tasks, %u workers of %u slots, %u projects, %u people\n", tasks, workers, WORLD_SLOTS, WORLD_PROJECTS, WORLD_PEOPLE);
	place_all(&world);
	for (; n < SAMPLES && (task = next_running(&world, task)); n++) {
		submitted[n] = world_submit(&world, (unsigned int)n);
		ended[n] = world_end_session(&world, task);
	}
	if (n) {
		print_samples("a session ends, another task takes its place", ended, n);
		print_samples("one more task is submitted", submitted, n);
	}
	world_deinit(&world);
	return 0;
}
