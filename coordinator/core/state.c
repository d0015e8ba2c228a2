/* What may follow what. The table is the contract's; task_move is the only function that writes a task's or an
 * attempt's state, so no other file can break it. */
#include "coordinator/core/internal.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

static const struct transition {
	int from;
	enum cause cause;
	int to;
} transitions[] = {
	{ QUEUED, CAUSE_ASSIGN, STARTING },
	{ QUEUED, CAUSE_STOP, CANCELLED },
	{ STARTING, CAUSE_RUN, RUNNING },
	{ STARTING, CAUSE_FAIL, FAILED },
	{ STARTING, CAUSE_REQUEUE, QUEUED },
	{ STARTING, CAUSE_STOP, CANCELLED },
	{ STARTING, CAUSE_LOSE, LOST },
	{ RUNNING, CAUSE_PUSHED, REVIEW },
	{ RUNNING, CAUSE_FINISH, DONE },
	{ RUNNING, CAUSE_FAIL, FAILED },
	{ RUNNING, CAUSE_STOP, CANCELLED },
	{ RUNNING, CAUSE_LOSE, LOST },
	{ REVIEW, CAUSE_PUSHED, REVIEW },
	{ REVIEW, CAUSE_MERGE, MERGED },
	{ REVIEW, CAUSE_REJECT, REJECTED },
	{ FAILED, CAUSE_RETRY, QUEUED },
	{ LOST, CAUSE_RETRY, QUEUED },
	{ CANCELLED, CAUSE_RETRY, QUEUED },
	{ REJECTED, CAUSE_RETRY, QUEUED },
};

static const struct transition *find_transition(int from, enum cause cause)
{
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++)
		if (transitions[i].from == from && transitions[i].cause == cause)
			return &transitions[i];
	return NULL;
}

bool task_may_move(const struct task *task, enum cause cause)
{
	return find_transition(task->row.state, cause) != NULL;
}

static bool holds_slot(int state)
{
	return state == STARTING || state == RUNNING;
}

static void count(uint32_t *used, bool more)
{
	if (more)
		++*used;
	else if (*used)
		--*used;
}

static void count_slot(struct core *core, struct core_effects *fx, struct task *task, int from, int to)
{
	const struct attempt *attempt = current_attempt(task);
	struct worker *worker = attempt ? find_worker(core, attempt->row.worker) : NULL;

	if (holds_slot(from) == holds_slot(to))
		return;
	task_find_shares(core, fx, task);
	if (fx->error)
		return;
	count(&task->project->used, holds_slot(to));
	count(&task->agent->used, holds_slot(to));
	count(&task->submitter->used, holds_slot(to));
	if (!worker)
		return;
	count(&worker->used, holds_slot(to));
	worker_moved(core, worker);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule |= holds_slot(from); /* one is free */
}

/* The attempt at hand follows its task, until it is over. A retry leaves the old attempt as it ended. */
static void move_attempt(struct core *core, struct core_effects *fx, const struct task *task, enum cause cause, int to,
	const char *reason)
{
	struct attempt *attempt = current_attempt(task);

	if (!attempt || cause == CAUSE_RETRY || task_state_over((Maestro__TaskState)attempt->row.state))
		return;
	attempt->row.state = cause == CAUSE_REQUEUE ? FAILED : to;
	if (cause == CAUSE_RUN)
		attempt->row.started_ms = core->wall_ms;
	if (task_state_over((Maestro__TaskState)attempt->row.state)) {
		attempt->row.ended_ms = core->wall_ms;
		if (cause != CAUSE_MERGE && cause != CAUSE_REJECT &&
			attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE)
			attempt->row.session = MAESTRO__SESSION_STATE__SESSION_ENDED;
	}
	set_text(fx, &attempt->row.reason, reason);
	effect_put(fx, ROW_ATTEMPT, &attempt->row);
}

static void stamp(struct core *core, struct task *task, enum cause cause, int to)
{
	if (cause == CAUSE_RUN && !task->row.started_ms)
		task->row.started_ms = core->wall_ms;
	if (task_state_over((Maestro__TaskState)to)) {
		task->row.ended_ms = core->wall_ms;
		task->row.stopping = false;
	}
	if (cause == CAUSE_RETRY) {
		task->row.ended_ms = 0;
		task->row.has_exit_code = false;
		task->row.stopping = false;
	}
}

static void announce(struct core *core, struct core_effects *fx, const struct task *task, const char *reason)
{
	const struct attempt *attempt = current_attempt(task);
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", name_task_state((Maestro__TaskState)task->row.state),
		reason ? ": " : "", reason ? reason : "");
	record_event(core, fx, "task.state", task, attempt ? attempt->row.worker : NULL, text);
	effect_changed_task(fx, task->row.id);
}

void task_forget_prompt(struct task *task)
{
	if (!task->spec || !task_state_over((Maestro__TaskState)task->row.state))
		return;
	free(task->spec->prompt.data);
	task->spec->prompt = (ProtobufCBinaryData){ 0 };
}

bool task_move(struct core *core, struct core_effects *fx, struct task *task, enum cause cause, const char *reason)
{
	const struct transition *transition = find_transition(task->row.state, cause);
	int from = task->row.state;

	if (!transition)
		return false;
	move_attempt(core, fx, task, cause, transition->to, reason);
	count_slot(core, fx, task, from, transition->to);
	task->row.state = transition->to;
	stamp(core, task, cause, transition->to);
	set_text(fx, &task->row.reason, reason);
	effect_put(fx, ROW_TASK, &task->row);
	task_forget_prompt(task);
	announce(core, fx, task, reason);
	queue_leave(task);
	if (task_state_over((Maestro__TaskState)task->row.state))
		queue_ended(core, fx, task);
	idle_update(core, fx, task);
	if (transition->to == QUEUED)
		queue_enter(core, fx, task);
	return true;
}

void task_load_state(struct core *core, struct core_effects *fx, struct task *task)
{
	task_find_shares(core, fx, task);
	if (fx->error)
		return;
	for (size_t i = 0; i < task->attempt_count; i++) {
		struct worker *worker = find_worker(core, task->attempts[i]->row.worker);

		attempt_hold(core, task->attempts[i]);
		if (worker)
			worker_note_project(core, fx, worker, task->project);
	}
	/* By the wall clock, which alone lasts over a start of the machine. It may have been set meanwhile: what the worker
	 * says when it is back, by a clock that cannot be set, takes the place of this. */
	if (task->has_status)
		task->status_at_ms = (int64_t)core->now_ms -
			(core->wall_ms > task->status.time_ms ? core->wall_ms - task->status.time_ms : 0);
	count_slot(core, fx, task, QUEUED, task->row.state);
	idle_update(core, fx, task);
	queue_follow(core, fx, task);
	task_forget_prompt(task);
	if (task->row.state == QUEUED)
		queue_enter(core, fx, task);
}

void attempt_set_session(struct core *core, struct core_effects *fx, struct task *task, struct attempt *attempt,
	Maestro__SessionState session)
{
	if (attempt->row.session == (int32_t)session)
		return;
	attempt->row.session = (int32_t)session;
	idle_update(core, fx, task);
	effect_put(fx, ROW_ATTEMPT, &attempt->row);
	effect_changed_task(fx, task->row.id);
	effect_changed_worker(fx, attempt->row.worker);
}
