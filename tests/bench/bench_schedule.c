/* How long a turn of the coordinator's core takes with many tasks and workers: bench-schedule [TASKS [WORKERS]].
 * One line each for the turns that place a burst, and for one ended session and one submit while everything is full and
 * the rest waits. Compare figures of one run only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "coordinator/core/core.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"

#define SLOTS 5u
#define PROJECTS 8u
#define PEOPLE 6u
#define SAMPLES 200u
#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind

struct world {
	struct core *core;
	struct core_effects effects;
	uint64_t now_ms, reports;
};

/* Of this process: nothing here waits, and others may be busy beside it. */
static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In milliseconds of CPU, what it took. */
static double handle(struct world *world, struct core_event *event)
{
	double began;

	core_effects_clear(&world->effects);
	began = cpu_seconds();
	require(core_handle(world->core, event, world->now_ms, &world->effects) == 0);
	return (cpu_seconds() - began) * 1e3;
}

static double tell(struct world *world, const char *worker, Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker, .envelope = envelope };

	return handle(world, &event);
}

static void add_project(struct world *world, unsigned int number)
{
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add };
	char name[16];

	snprintf(name, sizeof(name), "p%u", number);
	add.name = name;
	add.url = bytes_of("h:p");
	add.base_branch = (char *)"main";
	handle(world, &event);
}

static void add_worker(struct world *world, unsigned int number)
{
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__WorkerReady up = MAESTRO__WORKER_READY__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	char name[16];
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = name, .text = "b", .name = "b" };

	snprintf(name, sizeof(name), "w%u", number);
	handle(world, &connected);
	agent.name = (char *)"claude";
	label.key = (char *)"arch";
	label.value = number % 4 ? (char *)"x86" : (char *)"arm";
	info.has_slots = true;
	info.slots = SLOTS;
	info.n_agents = info.n_labels = 1;
	info.agents = agents;
	info.labels = labels;
	envelope.body_case = BODY(WORKER_INFO);
	envelope.worker_info = &info;
	tell(world, name, &envelope);
	inventory.last = true;
	envelope.body_case = BODY(INVENTORY);
	envelope.inventory = &inventory;
	tell(world, name, &envelope);
	envelope.body_case = BODY(WORKER_READY);
	envelope.worker_ready = &up;
	tell(world, name, &envelope);
}

static double submit(struct world *world, unsigned int number)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	char project[16], who[16], *agent = number % 3 ? (char *)"claude" : (char *)"command";
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &submit, .client = { 1, 1, who } };

	snprintf(project, sizeof(project), "p%u", number % PROJECTS);
	snprintf(who, sizeof(who), "person%u", number / 7 % PEOPLE);
	submit.project = project;
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of("Make the tests pass, and say what was wrong.");
	submit.has_priority = true;
	submit.priority = (int)(number % 2);
	label.key = (char *)"arch";
	label.value = (char *)"arm";
	submit.n_labels = number % 5 == 0;
	submit.labels = labels;
	return handle(world, &event);
}

static double end_session(struct world *world, uint64_t task)
{
	const struct attempt_row *attempt = core_attempt(world->core, task, 0);
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	char worker[16];

	require(attempt);
	snprintf(worker, sizeof(worker), "%s", attempt->worker);
	report.number = ++world->reports;
	report.task = task;
	report.attempt = attempt->attempt;
	report.run_id = (ProtobufCBinaryData){ attempt->run_id.len, attempt->run_id.data };
	report.phase = MAESTRO__ATTEMPT_PHASE__PHASE_EXITED;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &report;
	return tell(world, worker, &envelope);
}

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
	double turn = handle(world, &resume), longest = turn, all = turn;
	unsigned int turns = 1;

	for (; core_deadline(world->core) <= world->now_ms; turns++) {
		turn = handle(world, &tick);
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
	struct world world = { .effects = CORE_EFFECTS_NULL, .now_ms = 1000 };
	struct core_event start = { .type = CORE_EVENT_START }, pause = { .type = CORE_EVENT_QUEUE, .flag = true };
	double ended[SAMPLES], submitted[SAMPLES];
	uint64_t task = 0;
	size_t n = 0;

	if (id_init() || core_new(&world.core, &core_config_default))
		return 1;
	handle(&world, &start);
	for (unsigned int i = 0; i < PROJECTS; i++)
		add_project(&world, i);
	for (unsigned int i = 0; i < workers; i++)
		add_worker(&world, i);
	handle(&world, &pause);
	for (unsigned int i = 0; i < tasks; i++)
		submit(&world, i);
	printf("%u tasks, %u workers of %u slots, %u projects, %u people\n", tasks, workers, SLOTS, PROJECTS, PEOPLE);
	place_all(&world);
	for (; n < SAMPLES && (task = next_running(&world, task)); n++) {
		submitted[n] = submit(&world, (unsigned int)n);
		ended[n] = end_session(&world, task);
	}
	if (n) {
		print_samples("a session ends, another task takes its place", ended, n);
		print_samples("one more task is submitted", submitted, n);
	}
	core_effects_deinit(&world.effects);
	core_free(world.core);
	return 0;
}
