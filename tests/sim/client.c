/* People who submit: they repeat what was not answered, now and then with another body, and some give up. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OTHER_BODY 1000u /* added to the number of who asks: it must be refused */

struct action *client_later(struct world *world, uint64_t after_ms,
	void (*run)(struct world *world, struct action *action))
{
	struct action *action = later(world, after_ms, run, NULL);

	action->frozen_until_ms = &world->core_frozen_ms; /* who does not answer is asked when it does */
	return action;
}

struct sim_task *client_task(struct world *world, uint64_t id)
{
	for (size_t i = 0; i < world->task_count; i++)
		if (id >= world->tasks[i].id && id < world->tasks[i].id + world->tasks[i].copies && world->tasks[i].id)
			return &world->tasks[i];
	return NULL;
}

static void fill(struct sim_task *task, size_t i, Maestro__Submit *message)
{
	message->has_priority = true;
	message->priority = i % 2;
	message->has_request_id = true;
	message->request_id = (ProtobufCBinaryData){ sizeof(task->request_id), task->request_id };
	message->project = (char *)(uintptr_t) "p";
	message->prompt = bytes_of("true");
	message->has_retries = true;
	message->retries = i % 3;
	message->n_after = (task->after[0] != 0) + (task->after[1] != 0);
	message->after = task->after;
	message->has_copies = task->copies > 1;
	message->copies = (uint32_t)task->copies;
	message->has_max_time_ms = task->max_time_ms != 0;
	message->max_time_ms = task->max_time_ms;
	message->has_max_idle_ms = task->max_idle_ms != 0;
	message->max_idle_ms = task->max_idle_ms;
}

static void arrive(struct world *world, struct action *action)
{
	size_t i = (size_t)action->number;
	bool other = action->flag;
	struct sim_task *task = &world->tasks[i];
	Maestro__Submit message = MAESTRO__SUBMIT__INIT;
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &message,
		.client = { .id = CLIENT_ID(action->task, i + 1 + (other ? OTHER_BODY : 0)), .request = 1 } };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	char *agent = (char *)(uintptr_t)(task->claude ? "claude" : "command");
	char actor[16];

	snprintf(actor, sizeof(actor), "person%zu", i % 3);
	event.client.actor = actor;
	label.key = (char *)(uintptr_t) "pool";
	label.value = (char *)(uintptr_t) "a";
	fill(task, i, &message);
	message.n_labels = task->label;
	message.labels = labels;
	message.n_agents = 1;
	message.agents = &agent;
	if (other && world->bug != BUG_TAKE_ANY_BODY)
		message.prompt = bytes_of("false");
	coordinator_event(world, &event);
}

/* Now and then its connection is cut: then the request never comes, or comes late, after it was said again on a new
 * connection, or its answer finds nobody. */
static void ask(struct world *world, size_t i, bool other)
{
	struct sim_task *task = &world->tasks[i];
	uint64_t how = fault(world, 12) ? chance(world, 3) : 3;
	struct action *action;

	if (how != 0) {
		action = client_later(world, how == 1 ? chance(world, 20000) : chance(world, 30), arrive);
		action->number = (int)i;
		action->flag = other;
		action->task = task->conn;
	}
	if (how < 3) {
		tell(world, "the connection of who submits %zu is cut", i);
		task->conn++;
	}
}

/* No answer within a while (a crash, a lost reply): the same request again. */
static void submit(struct world *world, struct action *action)
{
	struct sim_task *task = &world->tasks[action->number];

	if (task->id || task->lost || task->gave_up)
		return;
	if (fault(world, 40)) {
		task->gave_up = true;
		tell(world, "submit %d is given up", action->number);
		return;
	}
	ask(world, (size_t)action->number, false);
	client_later(world, 1000 + chance(world, 5000), submit)->number = action->number;
}

/* The same request id with something else: a mistake of a program. Or the very same once more, by a slow proxy. */
static void submit_again(struct world *world, struct action *action)
{
	const struct sim_task *task = &world->tasks[action->number];

	if (task->id && !task->lost)
		ask(world, (size_t)action->number, action->flag);
}

static void refused(struct world *world, struct sim_task *task, const Maestro__Failure *failure)
{
	if (failure->code == MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE && world->restored)
		return; /* once more later */
	if (failure->code == MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND) {
		memset(task->after, 0, sizeof(task->after)); /* what it was to come after is gone */
		return;
	}
	broken(world, "P3", "a submit is refused: %.*s", (int)failure->why.len, (const char *)failure->why.data);
}

static void accepted(struct world *world, struct sim_task *task, const Maestro__Submitted *answer)
{
	if (answer->n_tasks != task->copies) {
		broken(world, "P3", "%zu tasks instead of %" PRIu64, answer->n_tasks, task->copies);
		return;
	}
	for (size_t i = 0; i < world->task_count; i++)
		if (&world->tasks[i] != task && world->tasks[i].id == answer->tasks[0])
			broken(world, "P3", "task %" PRIu64 " is the answer to two requests", answer->tasks[0]);
	if (task->id && task->id != answer->tasks[0])
		broken(world, "P3", "a repeated submit became task %" PRIu64 ", it was %" PRIu64, answer->tasks[0], task->id);
	task->id = answer->tasks[0];
	for (size_t i = 0; i < answer->n_tasks; i++)
		task->removed |= task_gone(world, answer->tasks[i]);
	tell(world, "task=%" PRIu64 " is acknowledged", task->id);
}

/* The one that the answer is for; its connection may be another by now. */
static struct sim_task *asker(struct world *world, uint64_t conn, uint64_t who)
{
	size_t i = (who - 1) % OTHER_BODY;

	if (world->tasks[i].conn == conn)
		return &world->tasks[i];
	return world->bug == BUG_WRONG_CLIENT ? &world->tasks[(i + 1) % world->task_count] : NULL;
}

void client_reply(struct world *world, uint64_t id, uint64_t request, const Maestro__Envelope *envelope)
{
	uint64_t client = id & 0xffff;
	struct sim_task *task;

	if (client == CLIENT_ADMIN)
		admin_reply(world, id >> 16, request, envelope);
	if (!client || client >= CLIENT_NOBODY)
		return;
	task = asker(world, id >> 16, client);
	if (!task || task->lost)
		return;
	if (client > OTHER_BODY) {
		if (envelope->body_case == MAESTRO__ENVELOPE__BODY_SUBMITTED && !world->restored)
			broken(world, "P3", "request %" PRIu64 " is taken with another body", client - OTHER_BODY - 1);
		return;
	}
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_FAILURE && !task->id)
		refused(world, task, envelope->failure);
	else if (envelope->body_case == MAESTRO__ENVELOPE__BODY_SUBMITTED)
		accepted(world, task, envelope->submitted);
}

static void choose_limits(struct world *world, struct sim_task *task)
{
	task->copies = chance(world, 8) ? 1 : 2 + chance(world, 2);
	if (chance(world, 6) == 0)
		task->max_time_ms = (uint32_t)(5000 + chance(world, 60000));
	else if (chance(world, 8) == 0)
		task->max_idle_ms = (uint32_t)(5000 + chance(world, 30000));
}

static void new_task(struct world *world, struct action *action)
{
	struct sim_task *task;
	struct action *again;
	int number = (int)world->task_count;

	if (!world->faults || world->task_count == SIM_TASKS_MAX)
		return;
	task = &world->tasks[world->task_count];
	for (size_t i = 0; i < sizeof(task->request_id); i++)
		task->request_id[i] = (uint8_t)chance(world, 256);
	task->label = chance(world, 6) == 0;
	task->claude = chance(world, 4) == 0;
	choose_limits(world, task);
	for (int i = 0; i < 2 && world->task_count && chance(world, 6) == 0; i++)
		task->after[i] = world->tasks[chance(world, world->task_count)].id;
	if (!task->after[0]) {
		task->after[0] = task->after[1];
		task->after[1] = 0;
	}
	world->task_count++;
	client_later(world, 0, submit)->number = number;
	if (chance(world, 5) == 0) {
		again = client_later(world, chance(world, 120000), submit_again);
		again->number = number;
		again->flag = chance(world, 2);
	}
	client_later(world, 500 + chance(world, 20000), new_task);
}

void client_begin(struct world *world)
{
	client_later(world, 100, new_task);
}
