/* Sessions that wait in review hold no slot, but memory: on each worker only so many are kept. Which one goes: the one
 * that waits longest and whose agent is not at work on a comment. Its task stays in review, and its worktree stays. */
#include "coordinator/core/internal.h"

void idle_remove(struct task *task)
{
	if (!task->idle_on)
		return;
	list_remove(&task->idle);
	task->idle_on->idle_count--;
	task->idle_on = NULL;
}

static bool at_work(const struct task *task)
{
	return task->has_status && task->status.attempt == task->row.attempt &&
		task->status.state == MAESTRO__AGENT_STATE__AGENT_WORKING;
}

static void end_oldest(struct core *core, struct core_effects *fx, struct worker *worker)
{
	uint32_t many = worker->idle_count - core->config.max_idle_sessions; /* those that were told already, too */
	struct task *task;

	list_for_each (task, &worker->idle, idle) {
		if (at_work(task))
			continue;
		worker_send_stop(fx, current_attempt(task));
		record_event(core, fx, "task.idle", task, worker->row.name,
			"its session is ended: too many wait in review on this worker");
		if (!--many)
			return;
	}
}

void idle_update(struct core *core, struct core_effects *fx, struct task *task)
{
	const struct attempt *attempt = current_attempt(task);
	bool waits = attempt && task->row.state == REVIEW &&
		attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE;
	struct worker *worker = waits ? find_worker(core, attempt->row.worker) : NULL;

	if (task->idle_on == worker)
		return;
	idle_remove(task);
	if (!worker)
		return;
	list_append(&worker->idle, &task->idle);
	task->idle_on = worker;
	worker->idle_count++;
	if (worker->phase == WORKER_UP && core->config.max_idle_sessions && worker->idle_count > core->config.max_idle_sessions)
		end_oldest(core, fx, worker);
}
