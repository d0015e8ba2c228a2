/* The connections between workers and the coordinator. One is known by its number, and each of its two ends has its
 * own view of whether it is there: what breaks it is seen by one end sooner than by the other. A stream keeps its
 * order; of what is under way when it breaks a part may still arrive, as long as the end that it comes to is open. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEAD_MS 30000u /* an end that hears nothing for so long closes (proto/link) */

static uint64_t soon(struct world *world)
{
	return 1 + chance(world, 50);
}

static uint64_t when_dead(struct world *world)
{
	return DEAD_MS + chance(world, 10000);
}

/* --- the two ends ----------------------------------------------------------------------------------------------- */

static void near_closed(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct event event = { .kind = EVENT_DISCONNECTED };

	tell(world, "%s loses its connection %" PRIu64, worker->name, worker->link);
	worker->link = 0;
	worker->ready = worker->verdicts_taken = worker->disobeyed = false;
	worker->disturbed_ms = world->now_ms;
	worker_event(world, action->worker, &event);
	if (worker->core)
		wire_dial(world, action->worker);
}

static void far_closed(struct world *world, struct action *action)
{
	wire_close_far(world, action->worker, true);
}

static void close_near_later(struct world *world, int number, uint64_t after_ms)
{
	if (world->workers[number].link && world->bug != BUG_SILENT_BREAK)
		later(world, after_ms, near_closed, &world->workers[number].link)->worker = number;
}

static void close_far_later(struct world *world, int number, uint64_t after_ms)
{
	if (world->workers[number].far)
		later(world, after_ms, far_closed, &world->workers[number].far)->worker = number;
}

/* How long until the other end hears that this one has closed: at once, or only by hearing nothing. */
static uint64_t news(struct world *world, int number, bool up)
{
	struct sim_worker *worker = &world->workers[number];

	return worker->cut_until_ms[up] > world->now_ms || fault(world, 4) ? when_dead(world) : soon(world);
}

void wire_close_near(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];

	if (worker->link && worker->link == worker->far)
		close_far_later(world, number, news(world, number, true));
	worker->link = 0;
	worker->ready = worker->verdicts_taken = worker->disobeyed = false;
	worker->disturbed_ms = world->now_ms;
}

void wire_close_far(struct world *world, int number, bool tell_core)
{
	struct sim_worker *worker = &world->workers[number];
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker->name };

	if (!worker->far)
		return;
	if (worker->link == worker->far)
		close_near_later(world, number, news(world, number, false));
	worker->far = 0;
	worker->disturbed_ms = world->now_ms;
	if (!tell_core)
		return;
	tell(world, "coordinator loses the connection of %s", worker->name);
	worker->leaving = true; /* what was asked of it ends first, and may lead to an assignment */
	coordinator_asks_end(world, number);
	if (world->bug != BUG_DEAF_TO_LEAVING)
		coordinator_event(world, &gone);
	worker->leaving = false;
}

/* --- what breaks it ---------------------------------------------------------------------------------------------- */

void wire_break(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t kind = chance(world, 4);

	if (!worker->link || worker->link != worker->far)
		return;
	tell(world, "connection %" PRIu64 " of %s breaks", worker->link, worker->name);
	worker->disturbed_ms = world->now_ms;
	if (kind >= 2)
		worker->hole = worker->link; /* nothing more arrives; else what is under way still may */
	close_near_later(world, number, kind == 3 ? when_dead(world) : soon(world));
	close_far_later(world, number, kind == 2 ? when_dead(world) : kind == 3 ? when_dead(world) : soon(world));
}

/* The cut is still there, and this end has heard nothing since. */
static void heard_nothing(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];

	if (worker->cut_until_ms[action->flag] <= world->now_ms)
		return;
	if (action->flag)
		wire_close_far(world, action->worker, true);
	else if (worker->link == worker->far) {
		close_far_later(world, action->worker, news(world, action->worker, true));
		near_closed(world, action);
	} else {
		near_closed(world, action);
	}
}

void wire_cut(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t ways = 1 + chance(world, 3), until_ms = world->now_ms + 1000 + chance(world, chance(world, 3) ? 40000 : 150000);

	for (int up = 0; up < 2; up++) {
		uint64_t *end = up ? &worker->far : &worker->link;

		if (!(ways & 1u << up))
			continue;
		if (worker->cut_until_ms[up] < until_ms) /* what is held keeps its order */
			worker->cut_until_ms[up] = until_ms;
		tell(world, "nothing comes %s %s until %" PRIu64, up ? "from" : "to", worker->name, until_ms);
		if (*end) {
			struct action *action = later(world, when_dead(world), heard_nothing, end);

			action->worker = number;
			action->flag = up;
		}
	}
	worker->disturbed_ms = world->now_ms;
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

/* What the coordinator knows of an account from here on; a crash forgets it. */
static void note_limit(struct world *world, struct sim_worker *worker, const Maestro__StatusReport *report)
{
	const struct task_row *task = world->core ? core_task(world->core, report->task) : NULL;
	const struct attempt_row *row = task ? core_attempt(world->core, report->task, 0) : NULL;
	const Maestro__AgentStatus *status = report->status;
	uint64_t said_ms = world->bug == BUG_FORGET_LIMIT ? worker->limit.said_ms : status->limited_ms;

	if (!row || row->attempt != report->attempt || strcmp(row->worker, worker->name) != 0 ||
		strcmp(task->agent, "claude") != 0 || task_state_over((Maestro__TaskState)task->state))
		return;
	if (status->state == MAESTRO__AGENT_STATE__AGENT_LIMITED) {
		worker->limit.task = report->task;
		worker->limit.until_ms = world->now_ms + (said_ms ? said_ms : SIM_LIMITED_MS);
	} else if (worker->limit.task == report->task) {
		worker->limit.until_ms = 0;
	}
}

static void deliver_up(struct world *world, struct action *action)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	struct sim_worker *worker = &world->workers[action->worker];
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker->name };
	const Maestro__Envelope *envelope;

	if (action->alive == worker->hole)
		return;
	require(message_unpack(&maestro__envelope__descriptor, action->bytes.data, action->bytes.len, &message, NULL) == 0);
	envelope = (const Maestro__Envelope *)message.base;
	event.envelope = envelope;
	if (envelope->has_reply_to)
		coordinator_answered(world, envelope->reply_to, envelope);
	else
		coordinator_event(world, &event);
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_STATUS_REPORT)
		note_limit(world, worker, envelope->status_report);
}

static void deliver_down(struct world *world, struct action *action)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;

	if (action->alive == world->workers[action->worker].hole)
		return;
	require(message_unpack(&maestro__envelope__descriptor, action->bytes.data, action->bytes.len, &message, NULL) == 0);
	talk_receive(world, action->worker, (const Maestro__Envelope *)message.base);
}

static void send_message(struct world *world, int number, bool up, const Maestro__Envelope *envelope)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t from = up ? worker->link : worker->far;
	uint64_t due_ms = world->now_ms + 1 + chance(world, fault(world, 20) ? 5000 : 40);
	struct action *action;

	if (!from || from == worker->hole)
		return;
	if (due_ms < worker->sent_ms[up])
		due_ms = worker->sent_ms[up];
	worker->sent_ms[up] = due_ms;
	action = later(world, due_ms - world->now_ms, up ? deliver_up : deliver_down, up ? &worker->far : &worker->link);
	action->worker = number;
	action->alive = from;
	action->cut_until_ms = &worker->cut_until_ms[up];
	require(message_pack(envelope, &action->bytes) == 0);
}

void send_to_worker(struct world *world, int number, const Maestro__Envelope *envelope)
{
	send_message(world, number, false, envelope);
}

void send_to_coordinator(struct world *world, int number, const Maestro__Envelope *envelope)
{
	send_message(world, number, true, envelope);
}

/* --- making one -------------------------------------------------------------------------------------------------- */

/* False: the coordinator is older than one that was obeyed. */
static bool take_epoch(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct effects effects;
	bool taken;

	effects_init(&effects);
	taken = !attempts_take_epoch(worker->core, core_epoch(world->core), world->force_epoch, &effects);
	worker_execute(world, number, &effects);
	effects_deinit(&effects);
	return taken;
}

static bool reachable(const struct world *world, const struct sim_worker *worker)
{
	return world->core && world->core_frozen_ms <= world->now_ms && worker->cut_until_ms[0] <= world->now_ms &&
		worker->cut_until_ms[1] <= world->now_ms && worker->removed_until_ms <= world->now_ms;
}

static void dial(struct world *world, struct action *action)
{
	int number = action->worker;
	struct sim_worker *worker = &world->workers[number];
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = worker->name, .name = "sim" };
	uint64_t link, life = worker->life;
	bool obeyed;
	char boot[33];

	if (worker->link || !worker->core)
		return;
	if (reachable(world, worker))
		coordinator_flush(world); /* an epoch that was raised is stored before anybody hears it */
	if (!reachable(world, worker)) {
		later(world, 500 + chance(world, 3000), dial, &worker->life)->worker = number;
		return;
	}
	obeyed = take_epoch(world, number);
	if (worker->life != life)
		return;
	wire_close_far(world, number, true); /* it came again */
	coordinator_flush(world);            /* words for the old connection must not reach the new one */
	if (!world->core) {
		wire_dial(world, number);
		return;
	}
	worker->disobeyed = !obeyed;
	link = worker->link = worker->far = ++world->links;
	worker->ready = worker->verdicts_taken = false;
	worker->sent_ms[0] = worker->sent_ms[1] = 0;
	worker->disturbed_ms = world->now_ms;
	snprintf(boot, sizeof(boot), "%032d", worker->boot);
	connected.text = boot;
	coordinator_event(world, &connected);
	if (worker->link == link)
		talk_begin(world, number);
}

void wire_dial(struct world *world, int number)
{
	later(world, 1000 + chance(world, 20000), dial, &world->workers[number].life)->worker = number;
}
