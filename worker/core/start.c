/* START, and what the host tells before the program runs. */
#include "worker/core/internal.h"

#include <string.h>
#include "proto/wire/message.h"

/* A START that may not begin anything: its sender learns what is known of the attempt. */
static void answer_unknown(struct turn *turn, const Maestro__Start *start)
{
	bool older = start->attempt < attempts_seen(turn->core, start->task);
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;
	struct effect *effect;

	report.number = turn->core->next_report;
	report.task = start->task;
	report.attempt = start->attempt;
	report.run_id = start->run_id;
	report.phase = older ? MAESTRO__ATTEMPT_PHASE__PHASE_TOMBSTONE : MAESTRO__ATTEMPT_PHASE__PHASE_FAILED;
	report.has_time_ms = report.has_reason = true;
	report.time_ms = turn->now->wall_ms;
	report.reason = bytes_of(older ? "a later attempt of this task was here already"
				       : "this attempt was on this worker before; it does not start a second time");
	turn_put(turn, NULL, RECORD(REPORT, report = &report));
	effect = effects_add(turn->effects, EFFECT_REPORT, start->task, start->attempt);
	if (effect)
		effect->number = report.number;
}

static void answer_known(struct turn *turn, struct attempt *attempt, const Maestro__Start *start)
{
	if (start->run_id.len != ATTEMPT_RUN_ID_BYTES || memcmp(start->run_id.data, attempt->run_id, ATTEMPT_RUN_ID_BYTES))
		answer_unknown(turn, start);
	else
		turn_report(turn, attempt, attempt->phase, attempt->reason);
}

static void put_exited(struct turn *turn, struct attempt *attempt, const struct event *event, const char *reason)
{
	Maestro__JournalExited exited = MAESTRO__JOURNAL_EXITED__INIT;

	if (event) {
		exited.has_code = event->ended.has_code;
		exited.code = event->ended.code;
		exited.has_signal = event->ended.signal != 0;
		exited.signal = event->ended.signal;
	}
	exited.has_reason = reason != NULL;
	exited.reason = bytes_of(reason);
	turn_put(turn, attempt, RECORD(EXITED, exited = &exited));
}

/* By its removal, which an earlier life of the coordinator asked for, or by an attempt that only a later database knew. */
static bool is_in_use(const struct turn *turn, const struct attempt *attempt)
{
	const struct attempt *other;

	list_for_each (other, &turn->core->list, link)
		if (other != attempt && other->task == attempt->task && attempt_worktree(other) == attempt_worktree(attempt) &&
			(other->state != ATTEMPT_OVER || other->work != WORK_NONE || other->release.wanted))
			return true;
	return false;
}

/* Goes on where an earlier attempt could not push. Its exit is taken as one that went well: that it was to be pushed
 * says that it was. */
static void take_over(struct turn *turn, struct attempt *attempt)
{
	const struct attempt *earlier = core_find(turn->core, attempt->task, attempt->start->push_of);
	Maestro__JournalPrepared prepared = MAESTRO__JOURNAL_PREPARED__INIT;
	struct event well = { .kind = EVENT_HOLDER_ENDED, .ended = { .has_code = true } };

	if (!earlier || earlier->state != ATTEMPT_OVER || earlier->released || earlier->removing ||
		!earlier->base_commit || earlier->attempt >= attempt->attempt) {
		turn_fail(turn, attempt, "push: the worktree of attempt %u is not on this worker any more", attempt->start->push_of);
		turn_finish(turn, attempt);
		return;
	}
	if (is_in_use(turn, attempt)) {
		turn_fail(turn, attempt, "push: something is still being done in the worktree of attempt %u", attempt->start->push_of);
		turn_finish(turn, attempt);
		return;
	}
	prepared.base_commit = earlier->base_commit;
	prepared.head = earlier->head;
	turn_put(turn, attempt, RECORD(PREPARED, prepared = &prepared));
	put_exited(turn, attempt, &well, NULL);
	turn_report(turn, attempt, MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED, NULL);
	turn_advance(turn, attempt);
}

void attempt_handle_start(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const Maestro__Start *start = event->start.message;
	Maestro__JournalIntent intent = MAESTRO__JOURNAL_INTENT__INIT;

	if (attempt) {
		answer_known(turn, attempt, start);
		return;
	}
	if (start->run_id.len != ATTEMPT_RUN_ID_BYTES || start->attempt <= attempts_seen(turn->core, start->task)) {
		answer_unknown(turn, start);
		return;
	}
	intent.start = (Maestro__Start *)(uintptr_t)start;
	turn_put(turn, NULL, RECORD(INTENT, intent = &intent));
	attempt = core_find(turn->core, start->task, start->attempt);
	if (!attempt)
		return; /* out of memory; `failed` is set */
	attempt->activity_ms = turn->now->boot_ms;
	if (event->start.refusal) {
		attempt->retryable = event->start.retryable;
		turn_fail(turn, attempt, "%s", event->start.refusal);
		turn_finish(turn, attempt);
		return;
	}
	if (attempt->start->push_of) {
		take_over(turn, attempt);
		return;
	}
	turn_report(turn, attempt, MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED, NULL);
	turn_work(turn, attempt, WORK_PREPARE);
}

static void put_running(struct turn *turn, struct attempt *attempt)
{
	Maestro__JournalRunning running = MAESTRO__JOURNAL_RUNNING__INIT;

	running.boottime_ms = turn->now->boot_ms;
	running.has_boot_id = true;
	running.boot_id = bytes_of(turn->core->boot_id);
	turn_put(turn, attempt, RECORD(RUNNING, running = &running));
	turn_report(turn, attempt, MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, NULL);
}

void attempt_handle_holder_started(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	if (attempt->state != ATTEMPT_PREPARING && attempt->state != ATTEMPT_STARTING)
		return;
	attempt->activity_ms = turn->now->boot_ms;
	put_running(turn, attempt);
	turn_advance(turn, attempt);
}

void attempt_handle_holder_refused(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	if (attempt->state != ATTEMPT_STARTING)
		return;
	attempt->retryable = event->refused.retryable;
	turn_fail(turn, attempt, "%s", event->refused.why);
	turn_finish(turn, attempt);
	turn_advance(turn, attempt);
}

void attempt_handle_holder_ended(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	turn_effect(turn, EFFECT_FORGET, attempt);
	if (attempt->exited || attempt->state == ATTEMPT_OVER)
		return;
	put_exited(turn, attempt, event, event->ended.reason);
	turn_advance(turn, attempt);
}

/* Between INTENT and a holder nothing ran: another attempt may. */
static void bury(struct turn *turn, struct attempt *attempt)
{
	Maestro__JournalOver over = MAESTRO__JOURNAL_OVER__INIT;

	over.phase = attempt->stop ? MAESTRO__ATTEMPT_PHASE__PHASE_STOPPED : MAESTRO__ATTEMPT_PHASE__PHASE_TOMBSTONE;
	attempt->retryable = true;
	turn_report(turn, attempt, over.phase, "the worker was restarted before the session began");
	turn_put(turn, attempt, RECORD(OVER, over = &over));
	turn_advance(turn, attempt);
}

void attempt_handle_found(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	if (!attempt_needs_look(attempt))
		return;
	attempt->activity_ms = turn->now->boot_ms;
	switch (event->found.found) {
	case FOUND_ALIVE:
		if (attempt->state != ATTEMPT_RUNNING)
			put_running(turn, attempt);
		turn_advance(turn, attempt);
		return;
	case FOUND_TOMBSTONE:
		if (attempt->state != ATTEMPT_RUNNING) {
			bury(turn, attempt);
			return;
		}
		break; /* somebody removed the session's directory */
	case FOUND_REBOOT:
		/* The coordinator is told first, by an inventory without it; in review the commits are safe, and only the session ended. */
		if (!attempt->pushed_commit) {
			attempt->lost = true;
			return;
		}
		put_exited(turn, attempt, NULL, "the machine was restarted");
		turn_advance(turn, attempt);
		return;
	case FOUND_DEAD:
		break;
	}
	put_exited(turn, attempt, NULL, "the session's holder process died");
	turn_advance(turn, attempt);
}
