/* The present state as records: what a compacted journal holds. The mirror image of apply.c. */
#include "worker/core/internal.h"

#include <string.h>
#include "proto/wire/message.h"
#include "worker/core/journal.h"

#define SEEN_PER_RECORD 1000u

static int put(struct buf *out, const struct attempt *attempt, Maestro__JournalRecord record)
{
	if (attempt) {
		record.has_task = record.has_attempt = true;
		record.task = attempt->task;
		record.attempt = attempt->attempt;
	}
	return journal_encode(&record, out);
}

static int put_process(const struct attempts *core, struct buf *out)
{
	Maestro__JournalProcess process = MAESTRO__JOURNAL_PROCESS__INIT;

	process.incarnation = core->incarnation;
	process.epoch = core->epoch;
	process.next_report = core->next_report;
	process.has_boot_id = true;
	process.boot_id = bytes_of(core->boot_id);
	return put(out, NULL, RECORD(PROCESS, process = &process));
}

static int put_seen(const struct attempts *core, struct buf *out)
{
	uint64_t tasks[SEEN_PER_RECORD];
	uint32_t attempts[SEEN_PER_RECORD];
	Maestro__JournalSeen message = MAESTRO__JOURNAL_SEEN__INIT;
	const struct seen *seen;
	int r = 0;

	message.tasks = tasks;
	message.attempts = attempts;
	for (seen = core->seen; !r && seen; seen = seen->hh.next) {
		tasks[message.n_tasks++] = seen->task;
		attempts[message.n_attempts++] = seen->attempt;
		if (message.n_tasks < SEEN_PER_RECORD && seen->hh.next)
			continue;
		r = put(out, NULL, RECORD(SEEN, seen = &message));
		message.n_tasks = message.n_attempts = 0;
	}
	return r;
}

static int put_intent(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalIntent intent = MAESTRO__JOURNAL_INTENT__INIT;

	intent.start = attempt->start;
	return put(out, attempt, RECORD(INTENT, intent = &intent));
}

static int put_prepared(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalPrepared prepared = MAESTRO__JOURNAL_PREPARED__INIT;

	if (!attempt->base_commit)
		return 0;
	prepared.base_commit = attempt->base_commit;
	prepared.head = attempt->head;
	return put(out, attempt, RECORD(PREPARED, prepared = &prepared));
}

static int put_running(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalRunning running = MAESTRO__JOURNAL_RUNNING__INIT;

	if (!attempt->started_ms)
		return 0;
	running.boottime_ms = attempt->started_ms;
	running.has_boot_id = true;
	running.boot_id = bytes_of(attempt->boot_id);
	return put(out, attempt, RECORD(RUNNING, running = &running));
}

static int put_grant(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalGrant grant = MAESTRO__JOURNAL_GRANT__INIT;

	if (!attempt->last_pushed)
		return 0;
	grant.commit = attempt->last_pushed;
	grant.last_pushed = attempt->last_pushed;
	return put(out, attempt, RECORD(GRANT, grant = &grant));
}

static int put_pushed(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalPushed pushed = MAESTRO__JOURNAL_PUSHED__INIT;

	if (!attempt->pushed_commit)
		return 0;
	pushed.commit = attempt->pushed_commit;
	pushed.branch = attempt->pushed_branch;
	pushed.has_ahead = true;
	pushed.ahead = attempt->ahead;
	return put(out, attempt, RECORD(PUSHED, pushed = &pushed));
}

static int put_ending(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalEnding ending = MAESTRO__JOURNAL_ENDING__INIT;

	if (!attempt->stop && !attempt->stale && !attempt->reason && !attempt->checkpointed)
		return 0;
	ending.has_stop = ending.stop = attempt->stop;
	ending.has_stale = ending.stale = attempt->stale;
	ending.has_checkpointed = ending.checkpointed = attempt->checkpointed;
	ending.has_reason = attempt->reason != NULL;
	ending.reason = bytes_of(attempt->reason);
	return put(out, attempt, RECORD(ENDING, ending = &ending));
}

static int put_exited(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalExited exited = MAESTRO__JOURNAL_EXITED__INIT;

	if (!attempt->exited)
		return 0;
	exited.has_code = attempt->has_code;
	exited.code = attempt->code;
	exited.has_signal = attempt->signal != 0;
	exited.signal = attempt->signal;
	exited.has_reason = attempt->exit_reason != NULL;
	exited.reason = bytes_of(attempt->exit_reason);
	return put(out, attempt, RECORD(EXITED, exited = &exited));
}

static int put_over(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalOver over = MAESTRO__JOURNAL_OVER__INIT;

	if (attempt->state != ATTEMPT_OVER)
		return 0;
	over.phase = attempt->phase;
	return put(out, attempt, RECORD(OVER, over = &over));
}

static int put_released(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalReleased released = MAESTRO__JOURNAL_RELEASED__INIT;

	return attempt->released ? put(out, attempt, RECORD(RELEASED, released = &released)) : 0;
}

static int put_removing(struct buf *out, const struct attempt *attempt)
{
	Maestro__JournalReleased released = MAESTRO__JOURNAL_RELEASED__INIT;

	released.has_begins = released.begins = true;
	return attempt->removing ? put(out, attempt, RECORD(RELEASED, released = &released)) : 0;
}

/* In the order in which they happen. */
static int (*const parts[])(struct buf *out, const struct attempt *attempt) = {
	put_intent, put_prepared, put_running, put_grant, put_pushed, put_ending, put_exited, put_over, put_removing,
	put_released,
};

int attempts_snapshot(const struct attempts *core, struct buf *out)
{
	const struct attempt *attempt;
	const struct report *report;
	int r = put_process(core, out);

	if (!r)
		r = put_seen(core, out);
	list_for_each (attempt, &core->list, link)
		for (size_t i = 0; !r && i < ARRAY_SIZE(parts); i++)
			r = parts[i](out, attempt);
	list_for_each (report, &core->reports, link)
		if (!r)
			r = put(out, NULL, RECORD(REPORT, report = report->message));
	return r;
}
