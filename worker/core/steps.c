/* What several handlers do, and the one place that decides what an attempt does next. */
#include "worker/core/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

struct effect *turn_effect(struct turn *turn, enum effect_kind kind, const struct attempt *attempt)
{
	return effects_add(turn->effects, kind, attempt->task, attempt->attempt);
}

void turn_work(struct turn *turn, struct attempt *attempt, enum work work)
{
	struct effect *effect = turn_effect(turn, EFFECT_GIT, attempt);

	attempt->work = work;
	if (!effect)
		return;
	effect->work = work;
	effect->not_after_ms = work == WORK_PUSH ? attempt->lease_until_ms : 0;
}

void turn_ending(struct turn *turn, struct attempt *attempt, Maestro__JournalEnding ending)
{
	turn_put(turn, attempt, RECORD(ENDING, ending = &ending));
}

void turn_fail(struct turn *turn, struct attempt *attempt, const char *format, ...)
{
	Maestro__JournalEnding ending = MAESTRO__JOURNAL_ENDING__INIT;
	char reason[LIMIT_REASON_BYTES];
	va_list args;

	if (attempt->reason)
		return;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	ending.has_reason = true;
	ending.reason = bytes_of(reason);
	turn_ending(turn, attempt, ending);
}

static void fill_report(const struct attempt *attempt, Maestro__AttemptReport *report)
{
	report->task = attempt->task;
	report->attempt = attempt->attempt;
	report->run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
	report->branch = attempt->pushed_branch ? attempt->pushed_branch : attempt->start->branch;
	report->commit = attempt->pushed_commit;
	report->base_commit = attempt->base_commit;
	report->has_session_live = true;
	report->session_live = attempt_live(attempt);
	report->has_ahead = attempt->pushed_commit != NULL;
	report->ahead = attempt->ahead;
	report->has_exit_code = attempt->exited && attempt->has_code;
	report->exit_code = attempt->code;
	report->has_signal = attempt->exited && attempt->signal;
	report->signal = attempt->signal;
	report->has_retryable = attempt->retryable;
	report->retryable = attempt->retryable;
}

static void put_report(struct turn *turn, const struct attempt *attempt, Maestro__AttemptReport *report,
	Maestro__AttemptPhase phase, const char *reason)
{
	struct effect *effect;

	report->number = turn->core->next_report;
	report->phase = phase;
	report->has_time_ms = true;
	report->time_ms = turn->now->wall_ms;
	report->has_reason = reason != NULL;
	report->reason = bytes_of(reason);
	turn_put(turn, attempt, RECORD(REPORT, report = report));
	effect = turn_effect(turn, EFFECT_REPORT, attempt);
	if (effect)
		effect->number = report->number;
}

void turn_report(struct turn *turn, const struct attempt *attempt, Maestro__AttemptPhase phase, const char *reason)
{
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;

	fill_report(attempt, &report);
	put_report(turn, attempt, &report, phase, reason);
}

void turn_pushed(struct turn *turn, const struct attempt *attempt, Maestro__JournalPushed *pushed)
{
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;

	fill_report(attempt, &report);
	report.branch = pushed->branch;
	report.commit = pushed->commit;
	report.has_ahead = pushed->has_ahead;
	report.ahead = pushed->ahead;
	put_report(turn, attempt, &report, MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, attempt->left_out);
	turn_put(turn, attempt, RECORD(PUSHED, pushed = pushed));
}

void turn_reply(struct turn *turn, const struct attempt *attempt, uint64_t request, const char *why, const char *hint)
{
	struct effect *effect;

	if (!request)
		return;
	effect = effects_add(turn->effects, EFFECT_REPLY, attempt ? attempt->task : 0, attempt ? attempt->attempt : 0);
	if (!effect)
		return;
	effect->request = request;
	effect->ok = !why;
	if (replace_string(&effect->why, why) || replace_string(&effect->hint, hint))
		turn->effects->failed = true;
}

static bool ended_well(const struct attempt *attempt)
{
	return attempt->exited && attempt->has_code && attempt->code == 0 && !attempt->signal && !attempt->exit_reason;
}

static Maestro__AttemptPhase last_phase(const struct attempt *attempt)
{
	if (attempt->pushed_commit)
		return MAESTRO__ATTEMPT_PHASE__PHASE_ENDED;
	if (attempt->stop || attempt->stale)
		return MAESTRO__ATTEMPT_PHASE__PHASE_STOPPED;
	if (attempt->reason || !ended_well(attempt))
		return MAESTRO__ATTEMPT_PHASE__PHASE_FAILED;
	return MAESTRO__ATTEMPT_PHASE__PHASE_EXITED;
}

/* "exit 3", "killed by signal 9", or what the holder said. */
static const char *exit_text(const struct attempt *attempt, char *text, size_t size)
{
	if (attempt->exit_reason)
		return attempt->exit_reason;
	if (!attempt->exited)
		return NULL;
	if (attempt->signal)
		snprintf(text, size, "killed by signal %d (%s)", attempt->signal, strsignal(attempt->signal));
	else
		snprintf(text, size, "exit %d", attempt->code);
	return text;
}

void turn_finish(struct turn *turn, struct attempt *attempt)
{
	Maestro__JournalOver over = MAESTRO__JOURNAL_OVER__INIT;
	const char *reason = attempt->reason;
	char text[128];

	over.phase = last_phase(attempt);
	if (!reason && (over.phase == MAESTRO__ATTEMPT_PHASE__PHASE_FAILED ||
			       (over.phase == MAESTRO__ATTEMPT_PHASE__PHASE_ENDED && !ended_well(attempt))))
		reason = exit_text(attempt, text, sizeof(text));
	if (over.phase == MAESTRO__ATTEMPT_PHASE__PHASE_EXITED)
		reason = attempt->left_out;
	/* The report first: of a batch that is torn a part is there, and what is over is never told again. */
	turn_report(turn, attempt, over.phase, reason);
	turn_put(turn, attempt, RECORD(OVER, over = &over));
	attempt->publish = false;
}

void turn_released(struct turn *turn, struct attempt *attempt, bool removed)
{
	Maestro__JournalReleased released = MAESTRO__JOURNAL_RELEASED__INIT;

	turn_effect(turn, EFFECT_CLEAN, attempt);
	turn_reply(turn, attempt, attempt->release.request, NULL, NULL);
	attempt->release.wanted = false;
	released.has_worktree_removed = true;
	released.worktree_removed = removed;
	turn_put(turn, attempt, RECORD(RELEASED, released = &released)); /* frees it if removed */
}

/* Commit, and what follows from it. What began before the exit may miss the session's last words. */
static void begin_publish(struct turn *turn, struct attempt *attempt)
{
	attempt->work_final = attempt->exited;
	turn_work(turn, attempt, WORK_COMMIT);
}

/* A later attempt has its worktree now, to push again what is in it. */
static bool taken_over(const struct turn *turn, const struct attempt *attempt)
{
	const struct attempt *other;

	list_for_each (other, &turn->core->list, link)
		if (other->task == attempt->task && other->attempt > attempt->attempt &&
			attempt_worktree(other) == attempt_worktree(attempt))
			return true;
	return false;
}

/* Also without PREPARED: a job may have outlived the worker that asked for it. Known before it begins: after a crash
 * nobody is to go on in what may be half a worktree. */
static void begin_remove(struct turn *turn, struct attempt *attempt)
{
	Maestro__JournalReleased released = MAESTRO__JOURNAL_RELEASED__INIT;

	released.has_begins = released.begins = true;
	if (!attempt->removing)
		turn_put(turn, attempt, RECORD(RELEASED, released = &released));
	turn_work(turn, attempt, WORK_REMOVE);
}

static void advance_over(struct turn *turn, struct attempt *attempt)
{
	if (attempt->publish && !attempt->stale && !attempt->released)
		begin_publish(turn, attempt);
	else if (attempt->release.wanted && attempt->release.remove_worktree && taken_over(turn, attempt))
		turn_released(turn, attempt, true); /* nothing of it is left but its number */
	else if (attempt->release.wanted && attempt->release.remove_worktree)
		begin_remove(turn, attempt);
	else if (attempt->release.wanted)
		turn_released(turn, attempt, false);
}

static void advance_ended(struct turn *turn, struct attempt *attempt)
{
	bool well = ended_well(attempt) && !attempt->stop && !attempt->stale && !attempt->reason;

	if (attempt->quarantined)
		return;
	if (well && !attempt->settled)
		begin_publish(turn, attempt);
	else if (!attempt->checkpointed && !attempt->stale && attempt->base_commit && !well)
		turn_work(turn, attempt, WORK_CHECKPOINT);
	else {
		turn_finish(turn, attempt);
		turn_advance(turn, attempt);
	}
}

static void advance_live(struct turn *turn, struct attempt *attempt)
{
	bool ending = attempt->stop || attempt->stale || attempt->reason;
	struct effect *effect;

	if (!ending) {
		if (attempt->publish && !attempt->quarantined)
			begin_publish(turn, attempt);
		return;
	}
	if (attempt->killed)
		return;
	if (!attempt->checkpointed && !attempt->stale) {
		turn_work(turn, attempt, WORK_CHECKPOINT);
		return;
	}
	attempt->killed = true;
	effect = turn_effect(turn, EFFECT_KILL, attempt);
	if (effect)
		effect->grace_ms = attempt->grace_ms;
}

void turn_advance(struct turn *turn, struct attempt *attempt)
{
	if (attempt->work != WORK_NONE)
		return;
	if (attempt->state == ATTEMPT_OVER)
		advance_over(turn, attempt);
	else if (attempt->state == ATTEMPT_RUNNING && attempt->exited)
		advance_ended(turn, attempt);
	else if (attempt->state == ATTEMPT_RUNNING && !attempt->lost)
		advance_live(turn, attempt);
}
