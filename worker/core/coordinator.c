/* What the coordinator says of attempts, statuses, and time. */
#include "worker/core/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/clock.h"

static void want_end(struct turn *turn, struct attempt *attempt, bool stale)
{
	Maestro__JournalEnding ending = MAESTRO__JOURNAL_ENDING__INIT;

	ending.has_stop = ending.stop = !stale;
	ending.has_stale = ending.stale = stale;
	turn_ending(turn, attempt, ending);
	attempt->publish = false;
	if (attempt->work == WORK_ASK)
		attempt->work = WORK_NONE;
	if (attempt->work == WORK_PREPARE)
		turn_effect(turn, EFFECT_GIT_CANCEL, attempt);
	turn_advance(turn, attempt);
}

void attempt_handle_stop(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	turn_reply(turn, attempt, event->request, NULL, NULL);
	if (attempt->state == ATTEMPT_OVER || attempt->stop)
		return;
	attempt->grace_ms = event->stop.grace_ms;
	attempt->quarantined = false;
	want_end(turn, attempt, false);
}

void attempt_handle_publish(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const char *why = NULL;

	if (attempt->quarantined)
		why = "the attempt is in quarantine";
	else if (attempt->stale || attempt->released || !attempt->base_commit)
		why = "there is nothing of it that could be pushed";
	else if (attempt->state == ATTEMPT_PREPARING || attempt->state == ATTEMPT_STARTING)
		why = "its program does not run yet";
	turn_reply(turn, attempt, event->request, why, NULL);
	if (why)
		return;
	attempt->publish = true;
	turn_advance(turn, attempt);
}

void attempt_handle_release(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	attempt->release.wanted = true;
	attempt->release.remove_worktree = event->release.remove_worktree;
	attempt->release.force = event->release.force;
	attempt->release.request = event->request;
	attempt->quarantined = false;
	if (attempt->state == ATTEMPT_OVER)
		turn_advance(turn, attempt);
	else
		want_end(turn, attempt, false);
}

static void take_lost(struct turn *turn, struct attempt *attempt)
{
	Maestro__JournalExited exited = MAESTRO__JOURNAL_EXITED__INIT;

	if (!attempt->lost)
		return;
	attempt->lost = false;
	exited.has_reason = true;
	exited.reason = (ProtobufCBinaryData){ strlen("the machine was restarted"), (uint8_t *)(uintptr_t) "the machine was restarted" };
	turn_put(turn, attempt, RECORD(EXITED, exited = &exited));
	turn_advance(turn, attempt);
}

void attempt_handle_verdict(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	if (memcmp(event->verdict.run_id, attempt->run_id, ATTEMPT_RUN_ID_BYTES))
		return;
	attempt->quarantined = event->verdict.verdict == MAESTRO__VERDICT__VERDICT_QUARANTINE;
	if (attempt->state == ATTEMPT_OVER || attempt->quarantined)
		return;
	take_lost(turn, attempt);
	if (attempt->state == ATTEMPT_OVER)
		return;
	switch (event->verdict.verdict) {
	case MAESTRO__VERDICT__VERDICT_KILL:
		want_end(turn, attempt, true);
		return;
	case MAESTRO__VERDICT__VERDICT_END:
		want_end(turn, attempt, false);
		return;
	default:
		turn_advance(turn, attempt);
	}
}

void attempt_handle_ack(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	Maestro__JournalAck ack = MAESTRO__JOURNAL_ACK__INIT;

	if (!attempts_report(turn->core, event->ack.number))
		return;
	ack.number = event->ack.number;
	turn_put(turn, NULL, RECORD(ACK, ack = &ack));
}

void attempt_handle_ready(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	struct report *report;
	struct attempt *next;

	turn->core->ready = true;
	list_for_each_safe (attempt, next, &turn->core->list, link)
		take_lost(turn, attempt);
	list_for_each (report, &turn->core->reports, link) {
		struct effect *effect =
			effects_add(turn->effects, EFFECT_REPORT, report->message->task, report->message->attempt);

		if (effect)
			effect->number = report->message->number;
	}
	list_for_each (attempt, &turn->core->list, link) {
		if (attempt->work == WORK_ASK)
			turn_ask(turn, attempt);
		if (attempt_live(attempt))
			turn_effect(turn, EFFECT_STATUS, attempt);
	}
}

void attempt_handle_disconnected(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	turn->core->ready = false;
}

void attempt_handle_activity(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	attempt->activity_ms = turn->now->boot_ms;
}

void attempt_handle_status(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	attempt->activity_ms = turn->now->boot_ms;
	turn_effect(turn, EFFECT_STATUS, attempt);
	if (event->status.status->state != MAESTRO__AGENT_STATE__AGENT_COMPLETE)
		return;
	/* A quick program says so before its holder has told that it runs: what comes of it follows then. */
	if (attempt->state == ATTEMPT_STARTING)
		attempt->publish = true;
	if (!attempt_live(attempt))
		return;
	attempt->publish = true;
	turn_advance(turn, attempt);
}

/* --- time --- */

static uint64_t after(uint64_t since_ms, bool has, uint64_t span_ms)
{
	return has && span_ms && span_ms < UINT64_MAX - since_ms ? since_ms + span_ms : UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t time_limit_ms(const struct attempt *attempt)
{
	return after(attempt->started_ms, attempt->start->has_max_time_ms, attempt->start->max_time_ms);
}

static uint64_t idle_limit_ms(const struct attempt *attempt)
{
	const Maestro__Start *start = attempt->start;

	if (attempt->pushed_commit)
		return after(attempt->activity_ms, start->has_linger_ms, start->linger_ms);
	return after(attempt->activity_ms, start->has_max_idle_ms, start->max_idle_ms);
}

uint64_t attempt_deadline_ms(const struct attempt *attempt)
{
	if (attempt->work == WORK_ASK)
		return attempt->asked_ms + ATTEMPT_ASK_AGAIN_MS;
	if (!attempt_live(attempt) || attempt->stop || attempt->stale || attempt->reason || attempt->work != WORK_NONE)
		return UINT64_MAX;
	return least(time_limit_ms(attempt), idle_limit_ms(attempt));
}

static void tick_live(struct turn *turn, struct attempt *attempt)
{
	bool late = turn->now->boot_ms >= time_limit_ms(attempt);
	char age[CLOCK_AGE_MAX];

	if (attempt->pushed_commit) {
		want_end(turn, attempt, false); /* resumable: nothing failed */
		return;
	}
	if (late)
		turn_fail(turn, attempt, "time limit of %s reached", clock_format_age(attempt->start->max_time_ms, age));
	else
		turn_fail(turn, attempt, "idle for %s", clock_format_age(attempt->start->max_idle_ms, age));
	turn_advance(turn, attempt);
}

void attempt_handle_tick(struct turn *turn, struct attempt *none, const struct event *event)
{
	struct attempt *attempt, *next;

	list_for_each_safe (attempt, next, &turn->core->list, link) {
		if (turn->now->boot_ms < attempt_deadline_ms(attempt))
			continue;
		if (attempt->work == WORK_ASK)
			turn_ask(turn, attempt);
		else
			tick_live(turn, attempt);
	}
}
