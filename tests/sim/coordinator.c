/* The coordinator of a simulated cluster as a process: it starts with the rows that are stored, dies, and is put back by
 * a backup. What it does with what happens: commit.c. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_start(struct world *world, struct action *action)
{
	world->reloads = action->flag;
	coordinator_start(world);
}

/* What was to start it is overtaken. */
static void start_later(struct world *world, uint64_t after_ms, bool reload)
{
	world->core_life++;
	later(world, after_ms, on_start, &world->core_life)->flag = reload;
}

/* All that it has in memory goes. */
static void end_process(struct world *world, uint64_t again_ms, bool reload)
{
	core_free(take(world->core));
	coordinator_forget(world);
	world->core_tick_ms = world->core_frozen_ms = 0;
	memset(world->asks, 0, sizeof(world->asks));
	start_later(world, again_ms, reload);
	for (int i = 0; i < SIM_WORKERS; i++)
		wire_close_far(world, i, false);
}

void coordinator_crash(struct world *world, const char *when)
{
	if (!world->core)
		return;
	tell(world, "coordinator crashes: %s", when);
	end_process(world, 100 + chance(world, 20000), false);
}

/* The service goes on with what is stored, and takes nothing until it can be written again; then all come anew. */
void coordinator_disk_fails(struct world *world)
{
	if (!world->core)
		return;
	tell(world, "the coordinator cannot write its database");
	coordinator_write_failed(world);
	if (world->core)
		end_process(world, 5000 + chance(world, 60000), true);
}

static void raise_epoch(struct world *world)
{
	char value[24], *name = (char *)(uintptr_t) "epoch";
	struct meta_row row = { name, value };
	const struct meta_row *old = coordinator_row(world, ROW_META, &row);

	snprintf(value, sizeof(value), "%" PRIu64, (uint64_t)(old ? strtoull(old->value, NULL, 10) : 0) + 1);
	rows_put(world, ROW_META, &row);
	rows_commit(world);
}

static const struct core_limit project_slots[] = { { "p", SIM_PROJECT_SLOTS } };
static const struct core_limit agent_slots[] = { { "claude", SIM_CLAUDE_SLOTS } };

void coordinator_start(struct world *world)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct core_config config = core_config_default;
	bool first = !world->row_count[ROW_PROJECT];

	if (world->core)
		return;
	config.random = coordinator_random;
	config.silence_ms = 50000; /* so that it happens in these few minutes */
	config.max_idle_sessions = 2;
	config.linger_ms = 60000;
	config.limited_ms = SIM_LIMITED_MS;
	config.keep_tasks_ms = world->seed % 3 ? 0 : SIM_KEEP_TASKS_MS;
	config.project_slots = project_slots;
	config.project_slot_count = ARRAY_SIZE(project_slots);
	config.agent_slots = agent_slots;
	config.agent_slot_count = ARRAY_SIZE(agent_slots);
	if (!world->reloads)
		raise_epoch(world);
	world->reloads = false;
	require(core_new(&world->core, &config) == 0);
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		for (size_t i = 0; i < world->row_count[table]; i++)
			if (core_load(world->core, table, row_copy(table, world->rows[table][i]), &error)) {
				broken(world, "P3", "a stored row cannot be loaded: %s", error_text(&error, -EINVAL));
				return;
			}
	tell(world, "coordinator starts");
	world->disturbed_ms = world->now_ms;
	for (int i = 0; i < SIM_WORKERS; i++)
		world->workers[i].limit.until_ms = 0; /* nobody has said so to this process */
	check_answers(world);
	coordinator_begin(world);
	agree_anew(world);
	if (first) {
		Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
		Maestro__GitProbed probed = MAESTRO__GIT_PROBED__INIT;
		struct core_event project = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add, .probed = &probed };

		add.name = (char *)(uintptr_t) "p";
		add.url = bytes_of("ssh://git@example.org/p.git");
		add.base_branch = probed.base_branch = (char *)(uintptr_t) "main";
		world->faults = false;
		coordinator_event(world, &project);
		coordinator_flush(world);
		world->faults = true;
	}
}

static void forget_lost_tasks(struct world *world)
{
	for (size_t i = 0; i < world->task_count; i++) {
		struct task_row key = { .id = world->tasks[i].id };

		if (key.id && !coordinator_row(world, ROW_TASK, &key)) {
			world->tasks[i].lost = true;
			world->tasks[i].id = 0;
		}
	}
}

void coordinator_restore(struct world *world)
{
	if (!world->saved)
		return;
	tell(world, "an old backup is put in the database's place");
	if (world->core)
		end_process(world, 100 + chance(world, 20000), false);
	else
		start_later(world, 100 + chance(world, 20000), false);
	rows_restore(world);
	world->restored = true;
	world->force_epoch = false;
	world->highest_shown = 0;
	world->paused_ms = 0;
	world->answer_count = 0;
	forget_lost_tasks(world);
}
