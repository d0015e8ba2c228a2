/* Tasks that ended long ago go, with what they left on workers: memory and database hold what people may still look at.
 *
 * Kept all the same: what runs or waits, what a kept task comes after, and what a worker may hold unpushed work of. The
 * worker is asked without force, so it is the one that refuses; one that is away is not asked, and a task whose worker
 * refused is left alone for a day.
 *
 * Age is counted by the wall clock, which alone lasts over restarts. A clock that was set by more than an hour puts
 * everything off by a day, so that a person may notice before anything goes. A piece of the tasks is looked at in a turn,
 * and only so many are removed in one. */
#include "coordinator/core/internal.h"
#include "proto/wire/names.h"

#define ROUND_MS (10 * 60 * 1000u)
#define PIECE_MS 1000u
#define PIECE_TASKS 1000u
#define PIECE_REMOVED 50u
#define CLOCK_SET_MS (3600 * 1000ll)
#define CLOCK_DOUBT_MS (24 * 3600 * 1000u)

static uint64_t round_ms(const struct core *core)
{
	uint64_t quarter = core->config.keep_tasks_ms / 4;

	return quarter < PIECE_MS ? PIECE_MS : quarter < ROUND_MS ? quarter : ROUND_MS;
}

static bool clock_was_set(struct core *core)
{
	int64_t clocks = core->wall_ms - (int64_t)core->now_ms, moved = clocks - core->clocks_ms;

	core->clocks_ms = clocks;
	return moved > CLOCK_SET_MS || moved < -CLOCK_SET_MS;
}

static bool is_followed(const struct core *core, const struct task *task)
{
	for (size_t i = 0; i < task->follower_count; i++)
		if (find_task(core, task->followers[i]))
			return true;
	return false;
}

/* Whether every worker that may keep something of it can be asked to let go. */
static bool can_be_released(const struct core *core, const struct task *task)
{
	for (size_t i = 0; i < task->attempt_count; i++) {
		const struct attempt *attempt = task->attempts[i];

		if (attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE ||
			(list_linked(&attempt->held) && !worker_is_up(core, attempt->row.worker)))
			return false;
	}
	return true;
}

static bool is_old(const struct core *core, const struct task *task)
{
	return task_state_over((Maestro__TaskState)task->row.state) && !task->removal.wanted &&
		core->wall_ms - task->row.ended_ms >= (int64_t)core->config.keep_tasks_ms &&
		core->now_ms >= task->kept_until_ms && !is_followed(core, task) && can_be_released(core, task);
}

static void sweep(struct core *core, struct core_effects *fx)
{
	struct task *task = core->sweep ? core->sweep : core->tasks;
	unsigned int looked = 0, removed = 0;

	while (task && looked < PIECE_TASKS && removed < PIECE_REMOVED && !fx->error) {
		struct task *next = task->hh.next;

		if (is_old(core, task)) {
			removal_begin_old(core, fx, task);
			removed++;
		}
		looked++;
		task = next;
	}
	core->sweep = task;
	core->sweep_at_ms = core->now_ms + (task ? PIECE_MS : round_ms(core));
}

void retain_tick(struct core *core, struct core_effects *fx)
{
	if (retain_deadline(core) > core->now_ms)
		return;
	if (clock_was_set(core))
		core->sweep_at_ms = core->now_ms + CLOCK_DOUBT_MS;
	else if (core->question) /* which database is the truth? */
		core->sweep_at_ms = core->now_ms + round_ms(core);
	else
		sweep(core, fx);
}

uint64_t retain_deadline(const struct core *core)
{
	return core->config.keep_tasks_ms ? core->sweep_at_ms : UINT64_MAX;
}

void retain_start(struct core *core)
{
	core->clocks_ms = core->wall_ms - (int64_t)core->now_ms;
	core->sweep_at_ms = core->now_ms + round_ms(core);
}
