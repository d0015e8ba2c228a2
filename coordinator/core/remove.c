/* Removing a task whole: what runs is ended first, then every attempt is let go of by its worker, and only then the rows
 * go. Without force a worker keeps what is not pushed, and the task stays. With force the rows go at once where a worker
 * is away; what it has to throw away when it is back is written down with them, as its debt. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ASK_AGAIN_MS (24 * 3600 * 1000u)

/* --- what workers owe ---------------------------------------------------------------------------------------- */

static struct debt *find_debt(const struct core *core, uint64_t task, uint32_t attempt)
{
	struct debt *debt;

	list_for_each (debt, &core->debts, owed)
		if (debt->row.task == task && debt->row.attempt == attempt)
			return debt;
	return NULL;
}

bool debt_known(const struct core *core, uint64_t task, uint32_t attempt)
{
	return find_debt(core, task, attempt) != NULL;
}

void debt_free(struct debt *debt)
{
	row_deinit(ROW_DEBT, &debt->row);
	free(debt);
}

static void owe(struct core *core, struct core_effects *fx, const struct attempt *attempt)
{
	struct debt *debt = calloc(1, sizeof(*debt));

	if (!debt) {
		fx->error = -ENOMEM;
		return;
	}
	debt->row.task = attempt->row.task;
	debt->row.attempt = attempt->row.attempt;
	set_text(fx, &debt->row.worker, attempt->row.worker);
	list_append(&core->debts, &debt->owed);
	effect_put(fx, ROW_DEBT, &debt->row);
}

static void settle(struct core_effects *fx, struct debt *debt)
{
	struct debt_row *row = row_copy(ROW_DEBT, &debt->row);

	if (row)
		effect_drop_owned(fx, ROW_DEBT, row);
	else
		fx->error = -ENOMEM;
	list_remove(&debt->owed);
	debt_free(debt);
}

void debts_ask(struct core *core, struct core_effects *fx, const struct worker *worker)
{
	struct debt *debt;

	list_for_each (debt, &core->debts, owed) {
		struct attempt gone = { .row = { .task = debt->row.task, .attempt = debt->row.attempt,
						 .worker = debt->row.worker } };

		if (strcmp(debt->row.worker, worker->row.name) == 0)
			release_attempt(fx, &gone, true);
	}
}

void debts_forget(struct core *core, struct core_effects *fx, const char *worker)
{
	struct debt *debt, *next;

	list_for_each_safe (debt, next, &core->debts, owed)
		if (strcmp(debt->row.worker, worker) == 0)
			settle(fx, debt);
}

/* --- the removal --------------------------------------------------------------------------------------------- */

void removal_end(struct task *task)
{
	free(task->removal.actor);
	memset(&task->removal, 0, sizeof(task->removal));
}

static void removal_fail(struct core *core, struct core_effects *fx, struct task *task, Maestro__FailureCode code, const char *why,
	const char *hint)
{
	char what[40];

	snprintf(what, sizeof(what), "rm %" PRIu64, task->row.id);
	reply_failure(fx, &task->removal.client, code, what, hint, "%s", why);
	if (task->removal.old)
		task->kept_until_ms = core->now_ms + ASK_AGAIN_MS;
	removal_end(task);
}

/* Those that come after a task that is gone without having ended well would wait for ever, or start too early. */
static void cancel_followers(struct core *core, struct core_effects *fx, const struct task *task)
{
	char reason[80];

	if (task->row.state == MERGED || task->row.state == DONE)
		return;
	snprintf(reason, sizeof(reason), "task %" PRIu64 ", which this comes after, was removed", task->row.id);
	for (size_t i = 0; i < task->follower_count; i++) {
		struct task *follower = find_task(core, task->followers[i]);

		if (follower && follower->row.state == QUEUED)
			task_move(core, fx, follower, CAUSE_STOP, reason);
	}
}

static void drop_task(struct core *core, struct core_effects *fx, struct task *task)
{
	const char *actor = core->actor;

	core->actor = task->removal.actor;
	record_event(core, fx, "task.removed", task, NULL, task->removal.old ? "it ended long ago" : NULL);
	record_audit(core, fx, "rm", "task=%" PRIu64 "%s", task->row.id,
		task->removal.force ? " force" : task->removal.old ? " ended long ago" : "");
	core->actor = actor;
	for (size_t i = 0; i < task->attempt_count; i++)
		if (list_linked(&task->attempts[i]->held)) /* its worker is away: who is here has let go */
			owe(core, fx, task->attempts[i]);
	effect_drop(fx, ROW_TASK, &task->row); /* the store takes what hangs on it along */
	effect_changed_task(fx, task->row.id);
	reply_done(fx, &task->removal.client, "task %" PRIu64 " was removed", task->row.id);
	cancel_followers(core, fx, task);
	bury_task(core, task);
}

/* True when nothing runs any more. */
static bool removal_settle(struct core *core, struct core_effects *fx, struct task *task)
{
	const struct attempt *attempt = current_attempt(task);

	if (task->row.state == QUEUED)
		task_move(core, fx, task, CAUSE_STOP, "removed");
	if (task->row.state != STARTING && task->row.state != RUNNING)
		return true;
	if (!worker_is_up(core, attempt->row.worker)) {
		task_move(core, fx, task, CAUSE_LOSE, "removed while its worker was away");
		return true;
	}
	if (!task->row.stopping) {
		task->row.stopping = true;
		effect_put(fx, ROW_TASK, &task->row);
		worker_send_stop(fx, attempt);
	}
	return false;
}

void removal_continue(struct core *core, struct core_effects *fx, struct task *task)
{
	if (!task->removal.wanted || task->removal.asked || !removal_settle(core, fx, task))
		return;
	for (size_t i = 0; i < task->attempt_count; i++) {
		struct attempt *attempt = task->attempts[i];

		if (attempt->row.released || !find_worker(core, attempt->row.worker))
			continue;
		if (worker_is_up(core, attempt->row.worker)) {
			task->removal.asked = true;
			release_attempt(fx, attempt, task->removal.force);
			return;
		}
		if (!task->removal.force) {
			removal_fail(core, fx, task, MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE,
				"its worker is not connected, and its worktree may hold work that is not pushed",
				"wait for the worker; --force forgets the task all the same");
			return;
		}
	}
	drop_task(core, fx, task);
}

static void refuse(struct core_effects *fx, const struct core_client *client, const struct task *task, const char *hint,
	const char *why)
{
	char what[40];

	snprintf(what, sizeof(what), "rm %" PRIu64, task->row.id);
	reply_failure(fx, client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, what, hint, "%s", why);
}

void removal_begin(struct core *core, struct core_effects *fx, struct task *task, const struct core_client *client,
	bool force)
{
	char why[40];

	if (task->removal.wanted && !force) {
		refuse(fx, client, task, NULL, "it is being removed already");
		return;
	}
	if (!force && !task_state_settled((Maestro__TaskState)task->row.state)) {
		snprintf(why, sizeof(why), "it is %s", name_task_state((Maestro__TaskState)task->row.state));
		refuse(fx, client, task, "stop it first; --force stops it and throws its work away", why);
		return;
	}
	if (task->removal.wanted)
		removal_fail(core, fx, task, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "another request took its place", NULL);
	task->removal.wanted = true;
	task->removal.force = force;
	task->removal.client = *client;
	task->removal.client.actor = NULL;
	set_text(fx, &task->removal.actor, client->actor);
	removal_continue(core, fx, task);
}

void removal_begin_old(struct core *core, struct core_effects *fx, struct task *task)
{
	task->removal.wanted = task->removal.old = true;
	removal_continue(core, fx, task);
}

static void removal_answered(struct core *core, const struct core_event *event, struct task *task,
	struct core_effects *fx)
{
	_cleanup_free_ char *why = NULL, *hint = NULL;

	task->removal.asked = false;
	if (event->envelope && event->envelope->body_case == BODY(FAILURE)) {
		why = bytes_dup(&event->envelope->failure->why);
		hint = bytes_dup(&event->envelope->failure->hint);
		removal_fail(core, fx, task, event->envelope->failure->code, str_or(why, "refused by the worker"),
			hint && *hint ? hint : "--force throws the work away");
	} else if (!event->envelope) {
		removal_fail(core, fx, task, MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, "its worker did not answer",
			"try again; --force forgets the task all the same");
	} else {
		removal_continue(core, fx, task);
	}
}

static void debt_answered(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct debt *debt = find_debt(core, event->task, event->attempt);

	if (debt && event->envelope && event->envelope->body_case == BODY(DONE))
		settle(fx, debt);
}

void handle_answered(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct task *task = find_task(core, event->task);
	struct attempt *attempt = task ? find_attempt(task, event->attempt) : NULL;

	if (!attempt && stranger_described(core, event, fx))
		return;
	if (!task)
		debt_answered(core, event, fx);
	if (!attempt)
		return;
	if (event->envelope && event->envelope->body_case == BODY(DONE) && !attempt->row.released) {
		attempt->row.released = true;
		list_remove(&attempt->held);
		effect_put(fx, ROW_ATTEMPT, &attempt->row);
		attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
	}
	if (task->removal.wanted && task->removal.asked)
		removal_answered(core, event, task, fx);
}
