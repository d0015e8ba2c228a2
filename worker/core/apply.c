/* Journal records and the state that they make. The only file that changes journalled state. */
#include "worker/core/internal.h"

#include <string.h>
#include "proto/wire/message.h"
#include "worker/core/journal.h"

int replace_string(char **string, const char *value)
{
	char *copy = NULL;

	if (value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*string);
	*string = copy;
	return 0;
}

static int replace_bytes(char **string, protobuf_c_boolean has, const ProtobufCBinaryData *value)
{
	char *copy;

	if (!has)
		return 0;
	copy = bytes_dup(value);
	if (!copy)
		return -ENOMEM;
	free(*string);
	*string = copy;
	return 0;
}

static void copy_boot_id(char to[33], protobuf_c_boolean has, const ProtobufCBinaryData *id)
{
	size_t len = has && id->len < 33 ? id->len : 0;

	if (len)
		memcpy(to, id->data, len);
	to[len] = 0;
}

void attempt_free(struct attempt *attempt)
{
	list_remove(&attempt->link);
	if (attempt->start)
		protobuf_c_message_free_unpacked(&attempt->start->base, NULL);
	free(attempt->base_commit);
	free(attempt->head);
	free(attempt->pushed_commit);
	free(attempt->pushed_branch);
	free(attempt->reason);
	free(attempt->exit_reason);
	free(attempt->last_pushed);
	free(attempt->suffix);
	free(attempt->tip);
	free(attempt->left_out);
	free(attempt);
}

struct attempt *core_find(struct attempts *core, uint64_t task, uint32_t number)
{
	struct attempt *attempt;

	list_for_each (attempt, &core->list, link)
		if (attempt->task == task && attempt->attempt == number)
			return attempt;
	return NULL;
}

static int see(struct attempts *core, uint64_t task, uint32_t attempt)
{
	struct seen *seen = NULL;

	HASH_FIND(hh, core->seen, &task, sizeof(task), seen);
	if (!seen) {
		seen = calloc(1, sizeof(*seen));
		if (!seen)
			return -ENOMEM;
		seen->task = task;
		HASH_ADD(hh, core->seen, task, sizeof(task), seen);
	}
	if (seen->attempt < attempt)
		seen->attempt = attempt;
	return 0;
}

/* --- records about the worker --- */

static int apply_process(struct attempts *core, const Maestro__JournalProcess *process)
{
	if (process->incarnation > core->incarnation)
		core->incarnation = process->incarnation;
	if (process->next_report > core->next_report)
		core->next_report = process->next_report;
	core->epoch = process->epoch;
	copy_boot_id(core->boot_id, process->has_boot_id, &process->boot_id);
	return 0;
}

static int apply_seen(struct attempts *core, const Maestro__JournalSeen *seen)
{
	int r = 0;

	for (size_t i = 0; !r && i < seen->n_tasks && i < seen->n_attempts; i++)
		r = see(core, seen->tasks[i], seen->attempts[i]);
	return r;
}

static int apply_report(struct attempts *core, const Maestro__AttemptReport *message)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return -ENOMEM;
	report->message = message_copy(message);
	if (!report->message) {
		free(report);
		return -ENOMEM;
	}
	list_append(&core->reports, &report->link);
	if (message->number >= core->next_report)
		core->next_report = message->number + 1;
	return 0;
}

static int apply_ack(struct attempts *core, const Maestro__JournalAck *ack)
{
	struct report *report, *next;

	list_for_each_safe (report, next, &core->reports, link) {
		if (report->message->number != ack->number)
			continue;
		list_remove(&report->link);
		protobuf_c_message_free_unpacked(&report->message->base, NULL);
		free(report);
	}
	return 0;
}

/* --- records about an attempt --- */

static int apply_intent(struct attempts *core, const Maestro__JournalRecord *record)
{
	const Maestro__Start *start = record->intent->start;
	struct attempt *attempt;
	int r;

	if (start->run_id.len != ATTEMPT_RUN_ID_BYTES || core_find(core, start->task, start->attempt))
		return 0;
	r = see(core, start->task, start->attempt);
	if (r)
		return r;
	attempt = calloc(1, sizeof(*attempt));
	if (!attempt)
		return -ENOMEM;
	attempt->start = message_copy(start);
	if (!attempt->start) {
		free(attempt);
		return -ENOMEM;
	}
	attempt->task = start->task;
	attempt->attempt = start->attempt;
	memcpy(attempt->run_id, start->run_id.data, ATTEMPT_RUN_ID_BYTES);
	attempt->state = ATTEMPT_PREPARING;
	attempt->phase = MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED;
	list_append(&core->list, &attempt->link);
	return 0;
}

static int apply_prepared(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	int r = replace_string(&attempt->base_commit, record->prepared->base_commit);

	if (!r)
		r = replace_string(&attempt->head, record->prepared->head);
	attempt->state = ATTEMPT_STARTING;
	return r;
}

static int apply_running(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	attempt->state = ATTEMPT_RUNNING;
	attempt->phase = MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING;
	attempt->started_ms = record->running->boottime_ms;
	copy_boot_id(attempt->boot_id, record->running->has_boot_id, &record->running->boot_id);
	return 0;
}

static int apply_ending(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	const Maestro__JournalEnding *ending = record->ending;

	attempt->stop = attempt->stop || (ending->has_stop && ending->stop);
	attempt->stale = attempt->stale || (ending->has_stale && ending->stale);
	attempt->checkpointed = attempt->checkpointed || (ending->has_checkpointed && ending->checkpointed);
	return replace_bytes(&attempt->reason, ending->has_reason, &ending->reason);
}

static int apply_exited(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	const Maestro__JournalExited *exited = record->exited;

	attempt->state = ATTEMPT_RUNNING;
	attempt->exited = true;
	attempt->has_code = exited->has_code;
	attempt->code = exited->code;
	attempt->signal = exited->signal;
	return replace_bytes(&attempt->exit_reason, exited->has_reason, &exited->reason);
}

static int apply_grant(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	return replace_string(&attempt->last_pushed, record->grant->last_pushed);
}

static int apply_pushed(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	int r = replace_string(&attempt->pushed_commit, record->pushed->commit);

	if (!r)
		r = replace_string(&attempt->pushed_branch, record->pushed->branch);
	if (!r)
		r = replace_string(&attempt->head, record->pushed->commit);
	attempt->ahead = record->pushed->ahead;
	attempt->phase = MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED;
	return r;
}

static int apply_over(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	attempt->state = ATTEMPT_OVER;
	attempt->phase = record->over->phase;
	return 0;
}

static int apply_released(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record)
{
	if (record->released->begins) {
		attempt->removing = true;
		return 0;
	}
	attempt->released = true;
	if (record->released->worktree_removed)
		attempt_free(attempt);
	return 0;
}

static const struct {
	int body;
	int (*apply)(struct attempts *core, struct attempt *attempt, const Maestro__JournalRecord *record);
} of_attempt[] = {
	{ MAESTRO__JOURNAL_RECORD__BODY_PREPARED, apply_prepared },
	{ MAESTRO__JOURNAL_RECORD__BODY_RUNNING, apply_running },
	{ MAESTRO__JOURNAL_RECORD__BODY_ENDING, apply_ending },
	{ MAESTRO__JOURNAL_RECORD__BODY_EXITED, apply_exited },
	{ MAESTRO__JOURNAL_RECORD__BODY_GRANT, apply_grant },
	{ MAESTRO__JOURNAL_RECORD__BODY_PUSHED, apply_pushed },
	{ MAESTRO__JOURNAL_RECORD__BODY_OVER, apply_over },
	{ MAESTRO__JOURNAL_RECORD__BODY_RELEASED, apply_released },
};

static int apply_to_attempt(struct attempts *core, const Maestro__JournalRecord *record)
{
	struct attempt *attempt = core_find(core, record->task, record->attempt);

	for (size_t i = 0; attempt && i < ARRAY_SIZE(of_attempt); i++)
		if (of_attempt[i].body == (int)record->body_case)
			return of_attempt[i].apply(core, attempt, record);
	return 0;
}

int apply_record(struct attempts *core, const Maestro__JournalRecord *record)
{
	switch (record->body_case) {
	case MAESTRO__JOURNAL_RECORD__BODY_PROCESS:
		return apply_process(core, record->process);
	case MAESTRO__JOURNAL_RECORD__BODY_SEEN:
		return apply_seen(core, record->seen);
	case MAESTRO__JOURNAL_RECORD__BODY_INTENT:
		return apply_intent(core, record);
	case MAESTRO__JOURNAL_RECORD__BODY_REPORT:
		return apply_report(core, record->report);
	case MAESTRO__JOURNAL_RECORD__BODY_ACK:
		return apply_ack(core, record->ack);
	default:
		return apply_to_attempt(core, record);
	}
}

void turn_put(struct turn *turn, const struct attempt *attempt, Maestro__JournalRecord record)
{
	record.has_time_ms = true;
	record.time_ms = turn->now->wall_ms;
	if (attempt) {
		record.has_task = record.has_attempt = true;
		record.task = attempt->task;
		record.attempt = attempt->attempt;
	}
	effects_add_record(turn->effects, &record);
	if (apply_record(turn->core, &record))
		turn->effects->failed = true;
}
