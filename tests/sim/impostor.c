/* Another machine with a worker's key: stolen, or copied with a disk. It comes instead of the worker, shows an empty
 * inventory and speaks of attempts that are not its own. The worker itself comes again after a while. What it is given
 * meanwhile it may run as it likes: only other workers' attempts are safe from it. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

static void say(struct world *world, const struct sim_worker *worker, const char *name, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = name, .envelope = envelope };

	if (!worker->far)
		coordinator_event(world, &event);
}

/* Of every attempt that another worker has: that it failed. */
static void lie(struct world *world, struct sim_worker *worker)
{
	size_t count = world->row_count[ROW_ATTEMPT];

	for (size_t i = 0; i < count && i < world->row_count[ROW_ATTEMPT]; i++) {
		const struct attempt_row *row = world->rows[ROW_ATTEMPT][i];
		Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;
		Maestro__Envelope envelope = ENVELOPE(ATTEMPT_REPORT, attempt_report = &report);
		uint8_t run_id[16];
		char name[8];

		if (!strcmp(row->worker, worker->name))
			continue;
		snprintf(name, sizeof(name), "%s", row->worker);
		memcpy(run_id, row->run_id.data, sizeof(run_id));
		report.number = UINT64_MAX / 2;
		report.task = row->task;
		report.attempt = row->attempt;
		report.run_id = (ProtobufCBinaryData){ sizeof(run_id), run_id };
		report.phase = MAESTRO__ATTEMPT_PHASE__PHASE_FAILED;
		world->lied = true;
		say(world, worker, world->bug == BUG_BELIEVE_LIES ? name : worker->name, &envelope);
		world->lied = false;
	}
}

static void leave(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker->name };

	if (!worker->far && world->core)
		coordinator_event(world, &gone);
}

void impostor_come(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = worker->name, .name = "sim",
		.text = "ffffffffffffffffffffffffffffffff" };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_INFO, worker_info = &info);
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;

	if (chance(world, 3) || !world->core || world->core_frozen_ms > world->now_ms || worker->removed_until_ms > world->now_ms)
		return;
	tell(world, "another machine comes with %s's key", worker->name);
	wire_close_far(world, number, true);
	coordinator_flush(world);
	coordinator_event(world, &connected);
	say(world, worker, worker->name, &envelope);
	envelope = (Maestro__Envelope)ENVELOPE(INVENTORY, inventory = &inventory);
	inventory.last = true;
	say(world, worker, worker->name, &envelope);
	lie(world, worker);
	leave(world, &(struct action){ .worker = number });
}
