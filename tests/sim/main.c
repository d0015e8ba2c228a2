/* Runs histories: sim [--seeds N] [--from S] [--seed S] [--bug B] [--verbose]. The queue of actions, chance, and the faults. */
#include "tests/sim/world.h"
#include "proto/base/id.h"
#include "proto/base/option.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
	for (int w = 0; w < SIM_WORKERS; w++)
		if (life == &world->workers[w].life)
			action->frozen_until_ms = &world->workers[w].frozen_until_ms;
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

static void run_until(struct world *world, uint64_t end_ms)
{
	while (world->heap_len && !world->failed && world->heap[0]->due_ms <= end_ms) {
		struct action *action = pop(world);

		world->now_ms = action->due_ms;
		world->steps++;
		if (action->frozen_until_ms && *action->frozen_until_ms > world->now_ms) {
			action->due_ms = *action->frozen_until_ms; /* in the order in which it would have come */
			push(world, action);
			continue;
		}
		if (!action->life || *action->life == action->alive)
			action->run(world, action);
		free_action(action);
	}
	world->now_ms = end_ms;
}

/* --- faults ------------------------------------------------------------------------------------------------------ */

/* A stopped process, or a machine that slept: mostly short, now and then longer than a lease or an expiry. */
static void freeze(struct world *world, uint64_t *until_ms, const char *who)
{
	uint64_t span_ms = chance(world, 4) ? 1 + chance(world, 20000) : 60000 + chance(world, 90000);

	if (*until_ms < world->now_ms + span_ms) /* what is put off already must stay in its order */
		*until_ms = world->now_ms + span_ms;
	tell(world, "%s freezes for %" PRIu64 " ms", who, span_ms);
}

static void backup(struct world *world, struct action *action)
{
	coordinator_backup(world);
}

static void restore(struct world *world, struct action *action)
{
	coordinator_restore(world);
}

/* In every third history an old backup is put back. */
static void plan_restore(struct world *world)
{
	uint64_t at_ms = 5000 + chance(world, 150000);

	if (chance(world, 3))
		return;
	later(world, at_ms, backup, NULL);
	later(world, at_ms + 5000 + chance(world, 100000), restore, NULL);
}

static void next_fault(struct world *world, struct action *action)
{
	int number = (int)chance(world, SIM_WORKERS);

	if (!world->faults)
		return;
	switch (chance(world, 16)) {
	case 0:
	case 1:
		coordinator_crash(world, "killed");
		break;
	case 2:
	case 3:
		worker_crash(world, number, "killed");
		break;
	case 4:
		worker_reboot(world, number);
		break;
	case 5:
		worker_kill_a_holder(world, number);
		break;
	case 6:
		freeze(world, &world->workers[number].frozen_until_ms, world->workers[number].name);
		break;
	case 7:
		freeze(world, &world->core_frozen_ms, "coordinator");
		break;
	default:
		worker_disconnect(world, number);
	}
	later(world, 500 + chance(world, 20000), next_fault, NULL);
}

/* Seeds that broke a promise once; what it was stands in README.md. */
static const uint64_t regressions[] = {
#include "tests/sim/regressions.inc"
};

#define FAULTS_MS (5u * 60 * 1000)
#define REST_MS (60u * 60 * 1000)

struct values {
	uint64_t seeds, from, seed, bug;
	bool verbose, quiet, regressions;
};

static bool run_history(uint64_t seed, unsigned int bug, const struct values *values, uint64_t *ret_steps)
{
	struct world *world = calloc(1, sizeof(*world));
	bool failed;

	require(world);
	world->seed = world->random = seed;
	world->bug = bug;
	world->faults = true;
	world->now_ms = 1000;
	world->history = BUF_LIMIT(64u * 1024 * 1024);
	coordinator_start(world);
	for (int i = 0; i < SIM_WORKERS; i++) {
		snprintf(world->workers[i].name, sizeof(world->workers[i].name), "w%d", i + 1);
		effects_init(&world->workers[i].queue);
		worker_start(world, i);
	}
	client_begin(world);
	later(world, 2000, next_fault, NULL);
	plan_restore(world);
	run_until(world, FAULTS_MS);
	world->faults = false;
	client_calm(world);
	run_until(world, FAULTS_MS + REST_MS);
	if (!world->failed)
		check_rest(world);
	failed = world->failed;
	if (failed && values->quiet)
		fputs(strstr(buf_text(&world->history), "BROKEN"), stdout);
	else if (failed || values->verbose)
		fputs(buf_text(&world->history), stdout);
	if (failed || values->verbose) {
		printf("seed %" PRIu64 " %s; replay it with: sim --seed %" PRIu64 "%s\n", seed,
			failed ? "breaks a promise" : "keeps every promise", seed, bug ? " --bug N" : "");
	}
	*ret_steps += world->steps;
	while (world->heap_len)
		free_action(world->heap[--world->heap_len]);
	free(world->heap);
	coordinator_free(world);
	for (int i = 0; i < SIM_WORKERS; i++)
		worker_free(&world->workers[i]);
	buf_deinit(&world->history);
	free(world);
	return !failed;
}


static const struct option_spec specs[] = {
	{ .name = "seeds", .type = OPTION_NUMBER, .offset = offsetof(struct values, seeds), .arg = "N", .initial = "200",
		.min = 1, .help = "how many histories" },
	{ .name = "from", .type = OPTION_NUMBER, .offset = offsetof(struct values, from), .arg = "S", .initial = "1", .min = 1,
		.help = "the first one's seed" },
	{ .name = "seed", .type = OPTION_NUMBER, .offset = offsetof(struct values, seed), .arg = "S", .initial = "0",
		.help = "replay just this one" },
	{ .name = "bug", .type = OPTION_NUMBER, .offset = offsetof(struct values, bug), .arg = "B", .initial = "0",
		.max = BUG_COUNT - 1, .help = "break something on purpose: tests/sim/README.md lists what" },
	{ .name = "regressions", .type = OPTION_FLAG, .offset = offsetof(struct values, regressions),
		.help = "replay the seeds that broke a promise once" },
	{ .name = "quiet", .short_name = 'q', .type = OPTION_FLAG, .offset = offsetof(struct values, quiet),
		.help = "print no history, only which seed broke what" },
	{ .name = "verbose", .short_name = 'v', .type = OPTION_FLAG, .offset = offsetof(struct values, verbose),
		.help = "print the history too when all is well" },
};

static const struct option_table table = { .program = "sim", .usage = "[OPTION]...",
	.summary = "Simulates clusters with crashes, cut connections and restarts, and checks what Maestro promises.",
	.specs = specs, .count = ARRAY_SIZE(specs) };

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct values values = { 0 };
	uint64_t steps = 0, first, passed = 0, failed = 0;
	char **operands;
	int count, r;

	option_set_defaults(&table, &values);
	r = option_parse(&table, &values, argc, argv, false, &operands, &count, &error);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		return 0;
	if (r || count) {
		fprintf(stderr, "sim: %s\n", error_text(&error, r));
		return 2;
	}
	if (id_init())
		return 1;
	first = values.seed ? values.seed : values.from;
	if (values.regressions) {
		for (size_t i = 0; i < ARRAY_SIZE(regressions); i++)
			*(run_history(regressions[i], BUG_NONE, &values, &steps) ? &passed : &failed) += 1;
		values.seeds = 0;
	}
	for (uint64_t seed = first; seed < first + (values.seed ? 1 : values.seeds); seed++) {
		if (run_history(seed, (unsigned int)values.bug, &values, &steps)) {
			passed++;
		} else if (++failed >= (values.bug ? 1u : 3u)) {
			break;
		}
	}
	fprintf(stderr, "%" PRIu64 " steps\n", steps);
	/* With a bug put in, well means that it was noticed. */
	if (values.bug) {
		printf("bug %" PRIu64 ": %s\n", values.bug, failed ? "noticed" : "NOT noticed");
		return failed ? 0 : 1;
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
	return failed ? 1 : 0;
}
