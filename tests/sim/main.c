/* Runs histories: sim [--seeds N] [--from S] [--jobs N] [--seed S] [--bug B] [--verbose]. */
#include "tests/sim/world.h"
#include "proto/base/id.h"
#include "proto/base/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seeds that broke a promise once; what it was stands in README.md. */
static const uint64_t regressions[] = {
#include "tests/sim/regressions.inc"
};

#define FAULTS_MS (5u * 60 * 1000)
#define REST_MS (60u * 60 * 1000)
#define REST_STEP_MS 60000u

struct values {
	uint64_t seeds, from, seed, bug, jobs;
	bool verbose, quiet, regressions;
};

static struct world *make_world(uint64_t seed, unsigned int bug, bool telling)
{
	struct world *world = calloc(1, sizeof(*world));

	require(world);
	world->seed = world->random = seed;
	world->bug = bug;
	world->faults = true;
	world->telling = telling;
	world->now_ms = 1000;
	world->outbox = CORE_EFFECTS_NULL;
	world->history = BUF_LIMIT(64u * 1024 * 1024);
	coordinator_start(world);
	for (int i = 0; i < SIM_WORKERS; i++) {
		snprintf(world->workers[i].name, sizeof(world->workers[i].name), "w%d", i + 1);
		effects_init(&world->workers[i].queue);
		worker_start(world, i);
	}
	client_begin(world);
	operator_begin(world);
	faults_begin(world);
	agree_begin(world);
	return world;
}

static void free_world(struct world *world)
{
	queue_free(world);
	core_effects_deinit(&world->outbox);
	if (world->core)
		core_free(world->core);
	rows_free(world);
	for (int i = 0; i < SIM_WORKERS; i++)
		worker_free(&world->workers[i]);
	buf_deinit(&world->history);
	free(world);
}

/* Until nothing moves any more, twice in a row; an hour at most, since some things wait for a while by right. */
static void rest(struct world *world)
{
	unsigned int quiet = 0;

	for (uint64_t end_ms = FAULTS_MS; quiet < 2 && end_ms < FAULTS_MS + REST_MS && !world->failed;) {
		end_ms += REST_STEP_MS;
		run_until(world, end_ms);
		quiet = check_at_rest(world) ? quiet + 1 : 0;
	}
	if (!world->failed)
		check_rest(world);
}

static void show(const struct world *world, const struct values *values)
{
	if (world->failed && values->quiet)
		fputs(strstr(buf_text(&world->history), "BROKEN"), stdout);
	else if (world->failed || values->verbose)
		fputs(buf_text(&world->history), stdout);
	if (world->failed || values->verbose)
		printf("seed %" PRIu64 " %s; replay it with: sim --seed %" PRIu64 "%s\n", world->seed,
			world->failed ? "breaks a promise" : "keeps every promise", world->seed, world->bug ? " --bug N" : "");
}

static bool live_through(uint64_t seed, const struct values *values, bool telling, uint64_t *ret_steps)
{
	struct world *world = make_world(seed, (unsigned int)values->bug, telling);
	bool failed;

	run_until(world, FAULTS_MS);
	world->faults = false;
	operator_calm(world);
	rest(world);
	if (telling)
		show(world, values);
	failed = world->failed;
	*ret_steps += world->steps;
	free_world(world);
	return !failed;
}

/* Telling costs time: what fails is lived through once more, and told. */
static bool run_history(uint64_t seed, const struct values *values, uint64_t *ret_steps)
{
	uint64_t again = 0;
	bool well = live_through(seed, values, values->verbose, ret_steps);

	if (!well && !values->verbose)
		live_through(seed, values, true, &again);
	return well;
}

static const struct option_spec specs[] = {
	{ .name = "seeds", .type = OPTION_NUMBER, .offset = offsetof(struct values, seeds), .arg = "N", .initial = "200",
		.min = 1, .help = "how many histories" },
	{ .name = "from", .type = OPTION_NUMBER, .offset = offsetof(struct values, from), .arg = "S", .initial = "1", .min = 1,
		.help = "the first one's seed" },
	{ .name = "jobs", .short_name = 'j', .type = OPTION_NUMBER, .offset = offsetof(struct values, jobs), .arg = "N", .initial = "1",
		.min = 1, .max = 64, .help = "in so many processes" },
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

struct count {
	uint64_t steps, passed, failed;
};

#define FAILURES_MAX 3u /* more would only hide the first */

static void run_seed(uint64_t seed, const struct values *values, struct count *count)
{
	if (run_history(seed, values, &count->steps))
		count->passed++;
	else
		count->failed++;
}

/* One seed in `jobs`, the `job`th. */
static void run_share(const struct values *values, uint64_t job, struct count *count)
{
	uint64_t most = values->bug ? 1 : FAILURES_MAX;

	for (uint64_t i = job; i < values->seeds && count->failed < most; i += values->jobs)
		run_seed(values->from + i, values, count);
}

/* In processes of their own, which write what they counted into a pipe. */
static int run_jobs(const struct values *values, struct count *count)
{
	struct count part;
	int ends[2];

	if (pipe(ends))
		return 1;
	fflush(stdout);
	for (uint64_t job = 0; job < values->jobs; job++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid)
			continue;
		part = (struct count){ 0 };
		run_share(values, job, &part);
		fflush(stdout);
		_exit(write(ends[1], &part, sizeof(part)) == sizeof(part) ? 0 : 1);
	}
	close(ends[1]);
	while (wait(NULL) > 0)
		;
	for (uint64_t job = 0; job < values->jobs; job++) {
		if (read(ends[0], &part, sizeof(part)) != sizeof(part))
			return 1; /* one of them has died */
		count->steps += part.steps;
		count->passed += part.passed;
		count->failed += part.failed;
	}
	close(ends[0]);
	return 0;
}

static int run_all(const struct values *values, struct count *count)
{
	if (values->seed)
		run_seed(values->seed, values, count);
	else if (values->regressions)
		for (size_t i = 0; i < ARRAY_SIZE(regressions); i++)
			run_seed(regressions[i], values, count);
	else if (values->jobs > 1)
		return run_jobs(values, count);
	else
		run_share(values, 0, count);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct values values = { 0 };
	struct count all = { 0 };
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
	if (id_init() || run_all(&values, &all))
		return 1;
	fprintf(stderr, "%" PRIu64 " steps\n", all.steps);
	/* With a bug put in, well means that it was noticed. */
	if (values.bug) {
		printf("bug %" PRIu64 ": %s\n", values.bug, all.failed ? "noticed" : "NOT noticed");
		return all.failed ? 0 : 1;
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", all.passed, all.failed);
	return all.failed ? 1 : 0;
}
