/* What befalls the processes, machines, disks, clocks and connections. */
#include "tests/sim/world.h"

#include <inttypes.h>

/* A stopped process, or a machine that slept: mostly short, now and then longer than a lease or an expiry. */
static void freeze(struct world *world, uint64_t *until_ms, const char *who)
{
	uint64_t span_ms = chance(world, 4) ? 1 + chance(world, 20000) : 60000 + chance(world, 90000);

	if (*until_ms < world->now_ms + span_ms) /* what is put off already must stay in its order */
		*until_ms = world->now_ms + span_ms;
	tell(world, "%s freezes for %" PRIu64 " ms", who, span_ms);
}

#define MONTH_MS (INT64_C(30) * 24 * 3600 * 1000)

/* Somebody sets a clock, or the network does: by a day, or from the battery's idea of the year. */
static void move_clock(struct world *world, int64_t *wall_ms, const char *who)
{
	int64_t most = chance(world, 2) ? MONTH_MS / 30 : MONTH_MS;

	*wall_ms = (int64_t)chance(world, 2 * (uint64_t)most) - most;
	tell(world, "%s's clock is wrong by %" PRId64 " ms", who, *wall_ms);
}

static void crash_coordinator(struct world *world, int number)
{
	coordinator_crash(world, "killed");
}

static void crash_worker(struct world *world, int number)
{
	worker_crash(world, number, "killed");
}

static void freeze_worker(struct world *world, int number)
{
	world->workers[number].disturbed_ms = world->now_ms;
	freeze(world, &world->workers[number].frozen_until_ms, world->workers[number].name);
}

static void freeze_coordinator(struct world *world, int number)
{
	world->disturbed_ms = world->now_ms;
	freeze(world, &world->core_frozen_ms, "coordinator");
}

static void move_worker_clock(struct world *world, int number)
{
	move_clock(world, &world->workers[number].wall_ms, world->workers[number].name);
}

static void move_coordinator_clock(struct world *world, int number)
{
	move_clock(world, &world->wall_ms, "coordinator");
	world->clock_set_ms = world->now_ms;
}

static void (*const faults[])(struct world *world, int number) = {
	crash_coordinator, crash_coordinator, crash_worker, crash_worker, crash_worker, worker_reboot,
	session_kill_a_holder, session_kill_a_holder, freeze_worker, freeze_coordinator, wire_break, wire_break, wire_break, wire_break,
	wire_cut, wire_cut, wire_cut, move_worker_clock, move_coordinator_clock, impostor_come,
};

static void next_fault(struct world *world, struct action *action)
{
	int number = (int)chance(world, SIM_WORKERS);

	if (!world->faults)
		return;
	faults[chance(world, ARRAY_SIZE(faults))](world, number);
	later(world, 500 + chance(world, 16000), next_fault, NULL);
}

static void backup(struct world *world, struct action *action)
{
	coordinator_flush(world); /* it reads what is committed */
	rows_backup(world);
	tell(world, "a backup is made");
}

static void restore(struct world *world, struct action *action)
{
	coordinator_restore(world);
}

/* In every third history an old backup is put back; now and then twice, the same one or a younger one. */
static void plan_restore(struct world *world)
{
	uint64_t at_ms = 5000 + chance(world, 150000);

	if (chance(world, 3))
		return;
	later(world, at_ms, backup, NULL);
	at_ms += 5000 + chance(world, 60000);
	later(world, at_ms, restore, NULL);
	if (chance(world, 3))
		return;
	if (chance(world, 2))
		later(world, at_ms + chance(world, 30000), backup, NULL);
	later(world, at_ms + 1000 + chance(world, 80000), restore, NULL);
}

void faults_begin(struct world *world)
{
	later(world, 2000, next_fault, NULL);
	plan_restore(world);
}
