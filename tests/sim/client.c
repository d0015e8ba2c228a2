/* People: they submit, repeat what was not answered, and now and then stop, retry, publish, reject and remove. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <string.h>

#define ACT_CLIENT 1000u

static void submit(struct world *world, struct action *action)
{
	size_t i = (size_t)action->number;
	struct sim_task *task = &world->tasks[i];
	Maestro__Submit message = MAESTRO__SUBMIT__INIT;
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &message,
		.client = { .id = i + 1, .request = 1, .actor = "sim" } };
	char *agent = (char *)(uintptr_t) "command";
	uint64_t first = world->tasks[0].id;

	if (task->id)
		return;
	message.has_request_id = true;
	message.request_id = (ProtobufCBinaryData){ sizeof(task->request_id), task->request_id };
	message.project = (char *)(uintptr_t) "p";
	message.n_agents = 1;
	message.agents = &agent;
	message.prompt = bytes_of("true");
	message.has_retries = true;
	message.retries = i % 3;
	if (task->after_first && first) {
		message.n_after = 1;
		message.after = &first;
	}
	coordinator_event(world, &event);
	/* No answer within a while (a crash, a lost reply): the same request again. */
	later(world, 1000 + chance(world, 5000), submit, NULL)->number = (int)i;
}

void client_reply(struct world *world, uint64_t client, const Maestro__Envelope *envelope)
{
	struct sim_task *task;

	if (!client || client >= ACT_CLIENT || fault(world, 10))
		return; /* the reply is lost */
	task = &world->tasks[client - 1];
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_FAILURE) {
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

static void act(struct world *world, struct action *action)
{
	static const Maestro__TaskAction actions[] = { MAESTRO__TASK_ACTION__ACT_STOP, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_PUBLISH, MAESTRO__TASK_ACTION__ACT_REJECT, MAESTRO__TASK_ACTION__ACT_RETRY };
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;
	struct core_event event = { .type = CORE_EVENT_ACT, .act = &message,
		.client = { .id = ACT_CLIENT, .request = 1, .actor = "sim" } };
	const struct sim_task *task;

	if (!world->faults)
		return;
	later(world, 500 + chance(world, 15000), act, NULL);
	if (!world->task_count)
		return;
	task = &world->tasks[chance(world, world->task_count)];
	if (!task->id)
		return;
	message.task = task->id;
	message.action = actions[chance(world, ARRAY_SIZE(actions))];
	tell(world, "task=%" PRIu64 " act %d", task->id, (int)message.action);
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
	task->after_first = world->task_count > 0 && chance(world, 8) == 0 && world->tasks[0].id;
	later(world, 0, submit, NULL)->number = (int)world->task_count++;
	later(world, 500 + chance(world, 20000), new_task, NULL);
}

void client_begin(struct world *world)
{
	later(world, 100, new_task, NULL);
	later(world, 5000, act, NULL);
}
