/* People who run the cluster: they stop, retry, merge, remove, pause, cordon, drain, and answer what is asked. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void set_queue(struct world *world, bool paused)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .flag = paused };

	uint64_t life = world->core_life;

	tell(world, "the queue is %s", paused ? "paused" : "resumed");
	world->paused_ms = 0; /* not known, if it crashes now */
	coordinator_event(world, &event);
	coordinator_flush(world);
	if (paused && world->core && world->core_life == life)
		world->paused_ms = world->now_ms;
}

static void resume(struct world *world, struct action *action)
{
	if (world->core)
		set_queue(world, false);
	else
		client_later(world, 1000, resume);
}

/* Its key goes with it; it is enrolled again some time later. */
static void remove_worker(struct world *world, struct sim_worker *worker)
{
	if (worker->far || !world->core)
		return; /* refused: it answers */
	worker->removed_until_ms = world->now_ms + 1000 + chance(world, 60000);
	worker->disturbed_ms = worker->removed_until_ms;
	worker->was_removed = true;
	worker->limit.until_ms = 0;
}

static void act_on_worker(struct world *world, Maestro__WorkerAction what)
{
	struct sim_worker *worker = &world->workers[chance(world, SIM_WORKERS)];
	Maestro__ActOnWorker message = MAESTRO__ACT_ON_WORKER__INIT;
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .worker_act = &message,
		.client = { .id = CLIENT_NOBODY, .request = 1, .actor = "sim" } };

	message.name = (char *)(uintptr_t)worker->name;
	message.action = what;
	tell(world, "%s worker act %d", worker->name, (int)what);
	if (what == MAESTRO__WORKER_ACTION__WORKER_REMOVE)
		remove_worker(world, worker);
	coordinator_event(world, &event);
}

/* Things that are done to the cluster, once in a while. */
static void operate(struct world *world, struct action *action)
{
	static const Maestro__WorkerAction acts[] = { MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST,
		MAESTRO__WORKER_ACTION__WORKER_CORDON, MAESTRO__WORKER_ACTION__WORKER_DRAIN,
		MAESTRO__WORKER_ACTION__WORKER_UNCORDON, MAESTRO__WORKER_ACTION__WORKER_UNCORDON,
		MAESTRO__WORKER_ACTION__WORKER_REMOVE };

	if (!world->faults)
		return;
	client_later(world, 5000 + chance(world, 40000), operate);
	if (chance(world, 4) == 0) {
		set_queue(world, true);
		client_later(world, 1000 + chance(world, 20000), resume);
	} else {
		act_on_worker(world, acts[chance(world, ARRAY_SIZE(acts))]);
	}
}

/* A worker has merged its branch. */
static void merge(struct world *world, uint64_t task)
{
	struct core_event event = { .type = CORE_EVENT_MERGED, .task = task, .client = { .actor = "sim" },
		.text = "0123456789012345678901234567890123456789" };

	tell(world, "task=%" PRIu64 " is merged, if it can be", task);
	coordinator_event(world, &event);
	coordinator_flush(world); /* the answer rests on it */
}

static bool failed_at_its_push(const struct task_row *row)
{
	return row->state == MAESTRO__TASK_STATE__TASK_FAILED && row->reason && !strncmp(row->reason, "push:", 5);
}

/* Somebody has mended what kept commits from being pushed. */
static void push_again(struct world *world, struct action *action)
{
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;
	struct core_event event = { .type = CORE_EVENT_ACT, .act = &message,
		.client = { .id = CLIENT_NOBODY, .request = 1, .actor = "sim" } };

	if (!world->faults)
		return;
	client_later(world, 1000 + chance(world, 15000), push_again);
	message.action = MAESTRO__TASK_ACTION__ACT_RETRY;
	message.has_push_only = message.push_only = true;
	for (size_t i = 0; i < world->row_count[ROW_TASK] && !message.task; i++) {
		const struct task_row *row = world->rows[ROW_TASK][i];

		if (failed_at_its_push(row) ? chance(world, 2) : chance(world, 40) == 0)
			message.task = row->id;
	}
	if (!message.task)
		return;
	tell(world, "task=%" PRIu64 " is to be pushed again", message.task);
	coordinator_event(world, &event);
}

static void act(struct world *world, struct action *action)
{
	static const Maestro__TaskAction actions[] = { MAESTRO__TASK_ACTION__ACT_STOP, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_PUBLISH, MAESTRO__TASK_ACTION__ACT_REJECT, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_REMOVE };
	size_t which = chance(world, ARRAY_SIZE(actions) + 1);
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;
	struct core_event event = { .type = CORE_EVENT_ACT, .act = &message,
		.client = { .id = CLIENT_NOBODY, .request = 1, .actor = "sim" } };
	struct sim_task *task;

	if (!world->faults)
		return;
	client_later(world, 500 + chance(world, 15000), act);
	if (!world->task_count)
		return;
	task = &world->tasks[chance(world, world->task_count)];
	if (!task->id)
		return;
	message.task = task->id + chance(world, task->copies);
	if (which == ARRAY_SIZE(actions)) {
		merge(world, message.task);
		return;
	}
	message.action = actions[which];
	message.has_fresh = message.fresh = chance(world, 4) == 0;
	message.has_whole_group = message.whole_group = chance(world, 2) == 0;
	message.force = chance(world, 3) == 0;
	message.abandon = chance(world, 2) == 0;
	task->removed |= message.action == MAESTRO__TASK_ACTION__ACT_REMOVE;
	tell(world, "task=%" PRIu64 " act %d%s", message.task, (int)message.action, message.force ? " force" : "");
	coordinator_event(world, &event);
}

void operator_begin(struct world *world)
{
	client_later(world, 5000, act);
	client_later(world, 8000, operate);
	client_later(world, 10000, push_again);
	admin_begin(world);
}

static void uncordon(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	Maestro__ActOnWorker message = MAESTRO__ACT_ON_WORKER__INIT;
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .worker_act = &message };

	if (!world->core) {
		client_later(world, 1000, uncordon)->worker = action->worker;
		return;
	}
	message.name = worker->name;
	message.action = MAESTRO__WORKER_ACTION__WORKER_UNCORDON;
	coordinator_event(world, &event);
}

void operator_calm(struct world *world)
{
	client_later(world, 1000, resume);
	for (int i = 0; i < SIM_WORKERS; i++)
		client_later(world, 1000, uncordon)->worker = i;
}
