/* People: they submit, repeat what was not answered, and now and then stop, retry, publish, reject and remove. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ACT_CLIENT 1000u

static struct action *client_later(struct world *world, uint64_t after_ms,
	void (*run)(struct world *world, struct action *action))
{
	struct action *action = later(world, after_ms, run, NULL);

	action->frozen_until_ms = &world->core_frozen_ms; /* who does not answer is asked when it does */
	return action;
}

struct sim_task *client_task(struct world *world, uint64_t id)
{
	for (size_t i = 0; i < world->task_count; i++)
		if (world->tasks[i].id == id)
			return &world->tasks[i];
	return NULL;
}

static void submit(struct world *world, struct action *action)
{
	size_t i = (size_t)action->number;
	struct sim_task *task = &world->tasks[i];
	Maestro__Submit message = MAESTRO__SUBMIT__INIT;
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &message,
		.client = { .id = i + 1, .request = 1, .actor = "sim" } };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	char *agent = (char *)(uintptr_t)(task->claude ? "claude" : "command");
	char actor[16];

	if (task->id || task->lost)
		return;
	snprintf(actor, sizeof(actor), "person%zu", i % 3);
	event.client.actor = actor;
	label.key = (char *)(uintptr_t) "pool";
	label.value = (char *)(uintptr_t) "a";
	message.n_labels = task->label;
	message.labels = labels;
	message.has_priority = true;
	message.priority = i % 2;
	message.has_request_id = true;
	message.request_id = (ProtobufCBinaryData){ sizeof(task->request_id), task->request_id };
	message.project = (char *)(uintptr_t) "p";
	message.n_agents = 1;
	message.agents = &agent;
	message.prompt = bytes_of("true");
	message.has_retries = true;
	message.retries = i % 3;
	message.n_after = (task->after[0] != 0) + (task->after[1] != 0);
	message.after = task->after;
	coordinator_event(world, &event);
	/* No answer within a while (a crash, a lost reply): the same request again. */
	client_later(world, 1000 + chance(world, 5000), submit)->number = (int)i;
}

void client_reply(struct world *world, uint64_t client, const Maestro__Envelope *envelope)
{
	struct sim_task *task;
	bool asked;

	if (!client || client >= ACT_CLIENT || fault(world, 10))
		return; /* the reply is lost */
	asked = world->core && core_restore_asked(world->core);
	task = &world->tasks[client - 1];
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_FAILURE) {
		if (asked && envelope->failure->code == MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE)
			return; /* once more later */
		if (envelope->failure->code == MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND) {
			memset(task->after, 0, sizeof(task->after)); /* what it was to come after is gone */
			return;
		}
		broken(world, "P3", "a submit is refused: %.*s", (int)envelope->failure->why.len,
			(const char *)envelope->failure->why.data);
		return;
	}
	if (envelope->body_case != MAESTRO__ENVELOPE__BODY_SUBMITTED || envelope->submitted->n_tasks != 1)
		return;
	if (task->id && task->id != envelope->submitted->tasks[0])
		broken(world, "P3", "a repeated submit became task %" PRIu64 ", it was %" PRIu64,
			envelope->submitted->tasks[0], task->id);
	task->id = envelope->submitted->tasks[0];
	tell(world, "task=%" PRIu64 " is acknowledged", task->id);
}

static void set_queue(struct world *world, bool paused)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .flag = paused };

	uint64_t life = world->core_life;

	tell(world, "the queue is %s", paused ? "paused" : "resumed");
	world->paused_ms = 0; /* not known, if it crashes now */
	coordinator_event(world, &event);
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

static void act_on_worker(struct world *world, Maestro__WorkerAction what)
{
	const struct sim_worker *worker = &world->workers[chance(world, SIM_WORKERS)];
	Maestro__ActOnWorker message = MAESTRO__ACT_ON_WORKER__INIT;
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .worker_act = &message,
		.client = { .id = ACT_CLIENT, .request = 1, .actor = "sim" } };

	message.name = (char *)(uintptr_t)worker->name;
	message.action = what;
	tell(world, "%s worker act %d", worker->name, (int)what);
	coordinator_event(world, &event);
}

/* An admin looks now and then, and answers what is asked: go on with the restored database. */
static void answer(struct world *world, struct action *action)
{
	struct core_event event = { .type = CORE_EVENT_RESTORED, .client = { .actor = "admin" } };

	client_later(world, 10000 + chance(world, 60000), answer);
	world->force_epoch = world->restored;
	if (!world->core || !core_restore_asked(world->core))
		return;
	tell(world, "the admin says that the restored database is the truth");
	coordinator_event(world, &event);
}

/* Things that are done to the cluster, once in a while. */
static void operate(struct world *world, struct action *action)
{
	if (!world->faults)
		return;
	client_later(world, 5000 + chance(world, 40000), operate);
	switch (chance(world, 4)) {
	case 0:
		set_queue(world, true);
		client_later(world, 1000 + chance(world, 20000), resume);
		break;
	case 1:
		act_on_worker(world, MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST);
		break;
	case 2:
		act_on_worker(world, MAESTRO__WORKER_ACTION__WORKER_CORDON);
		break;
	default:
		act_on_worker(world, MAESTRO__WORKER_ACTION__WORKER_UNCORDON);
	}
}

static void act(struct world *world, struct action *action)
{
	static const Maestro__TaskAction actions[] = { MAESTRO__TASK_ACTION__ACT_STOP, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_PUBLISH, MAESTRO__TASK_ACTION__ACT_REJECT, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_REMOVE };
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;
	struct core_event event = { .type = CORE_EVENT_ACT, .act = &message,
		.client = { .id = ACT_CLIENT, .request = 1, .actor = "sim" } };
	struct sim_task *task;

	if (!world->faults)
		return;
	client_later(world, 500 + chance(world, 15000), act);
	if (!world->task_count)
		return;
	task = &world->tasks[chance(world, world->task_count)];
	if (!task->id)
		return;
	message.task = task->id;
	message.action = actions[chance(world, ARRAY_SIZE(actions))];
	message.force = chance(world, 3) == 0;
	message.abandon = chance(world, 2) == 0;
	task->removed |= message.action == MAESTRO__TASK_ACTION__ACT_REMOVE;
	tell(world, "task=%" PRIu64 " act %d%s", task->id, (int)message.action, message.force ? " force" : "");
	coordinator_event(world, &event);
}

static void new_task(struct world *world, struct action *action)
{
	struct sim_task *task;

	if (!world->faults || world->task_count == SIM_TASKS_MAX)
		return;
	task = &world->tasks[world->task_count];
	for (size_t i = 0; i < sizeof(task->request_id); i++)
		task->request_id[i] = (uint8_t)chance(world, 256);
	task->label = chance(world, 6) == 0;
	task->claude = chance(world, 4) == 0;
	for (int i = 0; i < 2 && world->task_count && chance(world, 6) == 0; i++)
		task->after[i] = world->tasks[chance(world, world->task_count)].id;
	if (!task->after[0]) {
		task->after[0] = task->after[1];
		task->after[1] = 0;
	}
	client_later(world, 0, submit)->number = (int)world->task_count++;
	client_later(world, 500 + chance(world, 20000), new_task);
}

void client_begin(struct world *world)
{
	client_later(world, 100, new_task);
	client_later(world, 5000, act);
	client_later(world, 8000, operate);
	client_later(world, 10000, answer);
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

void client_calm(struct world *world)
{
	client_later(world, 1000, resume);
	for (int i = 0; i < SIM_WORKERS; i++)
		client_later(world, 1000, uncordon)->worker = i;
}
