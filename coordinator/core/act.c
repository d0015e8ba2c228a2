/* What people do to tasks: stop, retry, publish, reject; and what follows a merge. Removing: remove.c. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct act {
	const struct core_event *event;
	const Maestro__ActOnTask *act;
	struct core_effects *fx;
	char what[40];
};

static void refuse(const struct act *a, Maestro__FailureCode code, const char *hint, const char *why)
{
	reply_failure(a->fx, &a->event->client, code, a->what, hint, "%s", why);
}

static const char *state_of(const struct task *task)
{
	return name_task_state((Maestro__TaskState)task->row.state);
}

static bool session_live(const struct task *task)
{
	const struct attempt *attempt = current_attempt(task);

	return attempt && attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE;
}

/* --- stop ---------------------------------------------------------------------------------------------------- */

static void stop_live(struct core *core, const struct act *a, struct task *task)
{
	const struct attempt *attempt = current_attempt(task);

	task->row.stopping = true;
	effect_put(a->fx, ROW_TASK, &task->row);
	record_event(core, a->fx, "task.stop", task, attempt->row.worker, "asked to stop");
	effect_changed_task(a->fx, task->row.id);
	if (worker_is_up(core, attempt->row.worker)) {
		worker_send_stop(a->fx, attempt);
		reply_done(a->fx, &a->event->client, "task %" PRIu64 " is being stopped", task->row.id);
	} else {
		reply_done(a->fx, &a->event->client,
			"task %" PRIu64 " will be stopped when worker %s is back; if it never comes, `maestro retry --abandon`",
			task->row.id, attempt->row.worker);
	}
}

static void act_stop(struct core *core, struct task *task, const struct act *a)
{
	switch (task->row.state) {
	case QUEUED:
		task_move(core, a->fx, task, CAUSE_STOP, "stopped before it began");
		reply_done(a->fx, &a->event->client, "task %" PRIu64 " is cancelled", task->row.id);
		return;
	case STARTING:
	case RUNNING:
		stop_live(core, a, task);
		return;
	case REVIEW:
		if (session_live(task) && worker_is_up(core, current_attempt(task)->row.worker)) {
			worker_send_stop(a->fx, current_attempt(task));
			reply_done(a->fx, &a->event->client, "the session of task %" PRIu64 " is being ended; it stays in review",
				task->row.id);
			return;
		}
		refuse(a, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "merge or reject it",
			session_live(task) ? "its worker is not connected" : "its session has ended already");
		return;
	default:
		reply_failure(a->fx, &a->event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, a->what, NULL,
			"it is %s already", state_of(task));
	}
}

/* --- retry --------------------------------------------------------------------------------------------------- */

void task_retry(struct core *core, struct core_effects *fx, struct task *task, bool fresh)
{
	set_text(fx, &task->row.from_commit, fresh ? NULL : task->row.commit_id);
	task_move(core, fx, task, CAUSE_RETRY, NULL);
}

bool task_retry_by_itself(struct core *core, struct core_effects *fx, struct task *task)
{
	if (!task->spec || task->row.retries_used >= task->spec->retries || task->removal.wanted ||
		!task_may_move(task, CAUSE_RETRY))
		return false;
	task->row.retries_used++;
	task_retry(core, fx, task, false);
	return true;
}

/* True if the attempt was given up, so that a retry is possible. */
static bool abandon(struct core *core, struct task *task, const struct act *a)
{
	const struct attempt *attempt = current_attempt(task);

	if (!attempt || !task_may_move(task, CAUSE_LOSE))
		return false;
	if (worker_is_up(core, attempt->row.worker)) {
		reply_failure(a->fx, &a->event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, a->what,
			"stop it, then retry", "worker %s answers: there is nothing to abandon", attempt->row.worker);
		return false;
	}
	return task_move(core, a->fx, task, CAUSE_LOSE, "abandoned: its worker does not answer");
}

/* What keeps the push alone from being tried again, NULL: nothing. */
static const char *push_obstacle(const struct core *core, const struct task *task, const char **ret_hint)
{
	const struct attempt *attempt = current_attempt(task);

	*ret_hint = "`maestro retry` starts a next attempt";
	if (task->removal.wanted)
		return "it is being removed";
	if (task->row.state != FAILED || !attempt)
		return "only what failed at its push can be pushed again";
	if (!str_starts(str_or(attempt->row.reason, ""), "push:") && !attempt->row.push_of)
		return "it failed before its push";
	if (attempt->row.released)
		return "its worktree is gone";
	if (!find_worker(core, attempt->row.worker))
		return "its worker, which has the commits, was removed";
	*ret_hint = "try again when it is back; `maestro retry` starts a next attempt elsewhere";
	return worker_is_up(core, attempt->row.worker) ? NULL : "its worker, which has the commits, is not connected";
}

/* The attempt that failed stays as it ended: the next one takes over its worktree, its commits and its branch, on the
 * same worker and without a program, and so keeps every promise about attempts. It needs no turn in the queue. */
static void retry_push(struct core *core, struct task *task, const struct act *a)
{
	const struct attempt *attempt = current_attempt(task);
	const char *hint, *why = push_obstacle(core, task, &hint);
	uint32_t push_of;

	if (why) {
		refuse(a, MAESTRO__FAILURE_CODE__FAILURE_FAILED, hint, why);
		return;
	}
	push_of = attempt->row.push_of ? attempt->row.push_of : attempt->row.attempt;
	task_move(core, a->fx, task, CAUSE_RETRY, NULL);
	assign_attempt(core, a->fx, task, find_worker(core, attempt->row.worker), push_of);
	reply_done(a->fx, &a->event->client, "task %" PRIu64 " is being pushed again", task->row.id);
}

static void act_retry(struct core *core, struct task *task, const struct act *a)
{
	if (a->act->push_only) {
		retry_push(core, task, a);
		return;
	}
	if (a->act->abandon && task_may_move(task, CAUSE_LOSE) && !abandon(core, task, a))
		return;
	if (!task_may_move(task, CAUSE_RETRY)) {
		reply_failure(a->fx, &a->event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, a->what,
			task_may_move(task, CAUSE_LOSE) ? "stop it first; --abandon if its worker does not answer" : NULL,
			"it is %s, and only what failed, was lost, cancelled or rejected can be tried again", state_of(task));
		return;
	}
	if (task->removal.wanted && !task->removal.old) {
		refuse(a, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL, "it is being removed");
		return;
	}
	removal_end(task); /* it ended long ago, and lives again */
	task->row.start_failures = 0;
	task->retry_at_ms = 0;
	task_retry(core, a->fx, task, a->act->fresh);
	reply_done(a->fx, &a->event->client, "task %" PRIu64 " is queued again", task->row.id);
}

/* --- publish, reject, merge ---------------------------------------------------------------------------------- */

static void act_publish(struct core *core, struct task *task, const struct act *a)
{
	const struct attempt *attempt = current_attempt(task);
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Publish publish = MAESTRO__PUBLISH__INIT;

	if (task->row.state != RUNNING && !(task->row.state == REVIEW && session_live(task))) {
		reply_failure(a->fx, &a->event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, a->what, NULL,
			"it is %s: only a live session can be published", state_of(task));
		return;
	}
	if (!worker_is_up(core, attempt->row.worker)) {
		refuse(a, MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, "try again when it is back", "its worker is not connected");
		return;
	}
	publish.task = task->row.id;
	publish.attempt = attempt->row.attempt;
	envelope.body_case = BODY(PUBLISH);
	envelope.publish = &publish;
	effect_send(a->fx, attempt->row.worker, &envelope);
	reply_done(a->fx, &a->event->client, "task %" PRIu64 " is being published", task->row.id);
}

void release_attempt(struct core_effects *fx, const struct attempt *attempt, bool force)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Release release = MAESTRO__RELEASE__INIT;

	release.task = attempt->row.task;
	release.attempt = attempt->row.attempt;
	release.has_remove_worktree = release.remove_worktree = true;
	release.has_force = force;
	release.force = force;
	envelope.body_case = BODY(RELEASE);
	envelope.release = &release;
	effect_ask(fx, attempt->row.worker, attempt->row.task, attempt->row.attempt, &envelope);
}

/* Lets go of what is pushed and decided, of every attempt; work that is not pushed keeps its worktree, since force is not
 * set. Who is away hears of it when it is back. */
static void release_all(struct core *core, struct core_effects *fx, const struct task *task)
{
	for (size_t i = 0; i < task->attempt_count; i++) {
		const struct attempt *attempt = task->attempts[i];

		if (!attempt->row.released && worker_is_up(core, attempt->row.worker))
			release_attempt(fx, attempt, false);
	}
}

/* True if it was in review. */
static bool reject(struct core *core, struct core_effects *fx, struct task *task)
{
	if (!task_move(core, fx, task, CAUSE_REJECT, NULL))
		return false;
	release_all(core, fx, task);
	return true;
}

static void act_reject(struct core *core, struct task *task, const struct act *a)
{
	uint64_t group = a->act->whole_group ? task->row.group_id : 0;
	unsigned int n;

	if (!task_may_move(task, CAUSE_REJECT)) {
		reply_failure(a->fx, &a->event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, a->what, NULL,
			"it is %s: only what is in review can be rejected", state_of(task));
		return;
	}
	n = reject(core, a->fx, task);
	for (uint64_t id = group; group && id < group + LIMIT_COPIES; id++) { /* they were made in one turn */
		struct task *other = find_task(core, id);

		n += other && other->row.group_id == group && reject(core, a->fx, other);
	}
	reply_done(a->fx, &a->event->client, "%u task%s rejected", n, n == 1 ? "" : "s");
}

void handle_merged(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct task *task = find_task(core, event->task);
	char reason[80];

	if (!task)
		return;
	snprintf(reason, sizeof(reason), "merged as %.40s", event->text);
	if (!task_move(core, fx, task, CAUSE_MERGE, reason))
		return;
	record_audit(core, fx, "merge", "task=%" PRIu64 " commit=%s", task->row.id, str_or(task->row.commit_id, ""));
	release_all(core, fx, task);
}

static void act_remove(struct core *core, struct task *task, const struct act *a)
{
	removal_begin(core, a->fx, task, &a->event->client, a->act->force);
}

/* --- all ----------------------------------------------------------------------------------------------------- */

static const struct {
	Maestro__TaskAction action;
	const char *word;
	void (*run)(struct core *core, struct task *task, const struct act *act);
} actions[] = {
	{ MAESTRO__TASK_ACTION__ACT_STOP, "stop", act_stop },
	{ MAESTRO__TASK_ACTION__ACT_RETRY, "retry", act_retry },
	{ MAESTRO__TASK_ACTION__ACT_PUBLISH, "publish", act_publish },
	{ MAESTRO__TASK_ACTION__ACT_REJECT, "reject", act_reject },
	{ MAESTRO__TASK_ACTION__ACT_REMOVE, "rm", act_remove },
};

void handle_act(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct act a = { .event = event, .act = event->act, .fx = fx };
	struct task *task = find_task(core, event->act->task);

	if (!task) {
		reply_no_task(fx, &event->client, event->act->task);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (actions[i].action != event->act->action)
			continue;
		snprintf(a.what, sizeof(a.what), "%s %" PRIu64, actions[i].word, task->row.id);
		if (actions[i].action != MAESTRO__TASK_ACTION__ACT_REMOVE)
			record_audit(core, fx, actions[i].word, "task=%" PRIu64, task->row.id);
		actions[i].run(core, task, &a);
		return;
	}
	reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED, "task", NULL,
		"this coordinator does not know that action");
}
