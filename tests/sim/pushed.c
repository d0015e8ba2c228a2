/* What is checked of worktrees and pushes: nothing is pushed by an attempt that another one has superseded, and what a
 * removed task left behind is gone in the end. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <string.h>

void check_tree(struct world *world, const struct sim_worker *worker, const struct sim_session *session, enum work work)
{
	if (!session->worktree && (work == WORK_COMMIT || work == WORK_PUSH || work == WORK_CHECKPOINT))
		broken(world, "TREE", "%s works in the worktree of task=%" PRIu64 ".%u, which is gone", worker->name,
			session->task, session->attempt);
}

static const struct attempt_row *stored(const struct world *world, uint64_t task, uint32_t attempt)
{
	struct attempt_row key = { .task = task, .attempt = attempt };

	return coordinator_row(world, ROW_ATTEMPT, &key);
}

/* It goes on where the one that failed at its push left off, on the same worker. */
void check_pushed_again(struct world *world, const struct attempt_row *row)
{
	const struct attempt_row *of = stored(world, row->task, row->push_of);

	if (!of || strcmp(of->worker, row->worker) != 0 || of->state != MAESTRO__TASK_STATE__TASK_FAILED)
		broken(world, "PUSH", "task=%" PRIu64 ".%u pushes what attempt %u left, which did not fail on its worker", row->task,
			row->attempt, row->push_of);
}

/* A grant, or a push: of those that share a worktree only the newest has a branch to move. */
void check_superseded(struct world *world, uint64_t task, uint32_t attempt)
{
	for (size_t i = 0; i < world->row_count[ROW_ATTEMPT]; i++) {
		const struct attempt_row *row = world->rows[ROW_ATTEMPT][i];

		if (row && row->task == task && row->attempt > attempt && row->push_of && row->push_of <= attempt)
			broken(world, "PUSH", "task=%" PRIu64 ".%u is pushed, and attempt %u has its place", task, attempt, row->attempt);
	}
}

/* A worker that was removed owes nothing, and a restored database does not know what there was. */
void check_worktrees(struct world *world)
{
	for (int i = 0; i < SIM_WORKERS && !world->restored; i++) {
		const struct sim_worker *worker = &world->workers[i];

		for (size_t k = 0; k < worker->session_count && !worker->was_removed; k++) {
			const struct sim_session *session = &worker->sessions[k];
			struct task_row key = { .id = session->task };

			if (session->worktree && !coordinator_row(world, ROW_TASK, &key))
				broken(world, "P6", "%s keeps the worktree of task=%" PRIu64 ".%u, which was removed", worker->name,
					session->task, session->attempt);
		}
	}
}

/* What was removed by force while its worker was away is thrown away when it is back. That it was is learned at the
 * next coming, if the answer took too long. */
void check_debts(struct world *world)
{
	for (size_t i = 0; i < world->row_count[ROW_DEBT]; i++) {
		const struct debt_row *debt = world->rows[ROW_DEBT][i];

		for (int w = 0; w < SIM_WORKERS; w++) {
			const struct sim_worker *worker = &world->workers[w];

			if (!strcmp(worker->name, debt->worker) && worker->core &&
				attempts_find(worker->core, debt->task, debt->attempt))
				broken(world, "P6", "%s still has to let go of task=%" PRIu64 ".%u", debt->worker, debt->task,
					debt->attempt);
		}
	}
}
