#include "tests/bench/world.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <time.h>

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind

double world_cpu(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double world_handle(struct world *world, struct core_event *event)
{
	double began;

	core_effects_clear(&world->effects);
	began = world_cpu();
	require(core_handle(world->core, event, world->now_ms, &world->effects) == 0);
	return (world_cpu() - began) * 1e3;
}

double world_tell(struct world *world, const char *worker, Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker, .envelope = envelope };

	return world_handle(world, &event);
}

static void world_add_project(struct world *world, unsigned int number)
{
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add };
	char name[16];

	snprintf(name, sizeof(name), "p%u", number);
	add.name = name;
	add.url = bytes_of("h:p");
	add.base_branch = (char *)"main";
	world_handle(world, &event);
}

void world_add_worker(struct world *world, unsigned int number)
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
	world_handle(world, &connected);
	agent.name = (char *)"claude";
	label.key = (char *)"arch";
	label.value = number % 4 ? (char *)"x86" : (char *)"arm";
	info.has_slots = true;
	info.slots = WORLD_SLOTS;
	info.n_agents = info.n_labels = 1;
	info.agents = agents;
	info.labels = labels;
	envelope.body_case = BODY(WORKER_INFO);
	envelope.worker_info = &info;
	world_tell(world, name, &envelope);
	inventory.last = true;
	envelope.body_case = BODY(INVENTORY);
	envelope.inventory = &inventory;
	world_tell(world, name, &envelope);
	envelope.body_case = BODY(WORKER_READY);
	envelope.worker_ready = &up;
	world_tell(world, name, &envelope);
}

double world_submit(struct world *world, unsigned int number)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	char project[16], who[16], *agent = number % 3 ? (char *)"claude" : (char *)"command";
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &submit, .client = { 1, 1, who } };

	snprintf(project, sizeof(project), "p%u", number % WORLD_PROJECTS);
	snprintf(who, sizeof(who), "person%u", number / 7 % WORLD_PEOPLE);
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
	return world_handle(world, &event);
}

double world_end_session(struct world *world, uint64_t task)
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
	return world_tell(world, worker, &envelope);
}

void world_init(struct world *world)
{
	struct core_event start = { .type = CORE_EVENT_START };

	*world = (struct world){ .effects = CORE_EFFECTS_NULL, .now_ms = 1000 };
	require(id_init() == 0 && core_new(&world->core, &core_config_default) == 0);
	world_handle(world, &start);
	for (unsigned int i = 0; i < WORLD_PROJECTS; i++)
		world_add_project(world, i);
}

void world_deinit(struct world *world)
{
	core_effects_deinit(&world->effects);
	core_free(world->core);
}
