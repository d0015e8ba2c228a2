#include "worker/core/internal.h"

#include <string.h>
#include "proto/wire/message.h"
#include "worker/core/journal.h"

#define SEEN_PER_RECORD 1000u
#define NUMBERS_SKIPPED_AFTER_DAMAGE (1u << 20)

int attempts_new(struct attempts **ret_attempts)
{
	struct attempts *core = calloc(1, sizeof(*core));

	if (!core)
		return -ENOMEM;
	list_init(&core->list);
	list_init(&core->reports);
	core->next_report = 1;
	*ret_attempts = core;
	return 0;
}

void attempts_free(struct attempts *core)
{
	struct attempt *attempt;
	struct report *report;
	struct seen *seen, *next;

	if (!core)
		return;
	while ((attempt = list_first(&core->list, struct attempt, link)))
		attempt_free(attempt);
	while ((report = list_first(&core->reports, struct report, link))) {
		list_remove(&report->link);
		protobuf_c_message_free_unpacked(&report->message->base, NULL);
		free(report);
	}
	HASH_ITER (hh, core->seen, seen, next) {
		HASH_DEL(core->seen, seen);
		free(seen);
	}
	free(core);
}

/* Which event concerns an attempt, and what happens when there is none. */
static const struct {
	handler_fn handle;
	bool wants_attempt;
} handlers[EVENT_COUNT] = {
	[EVENT_START] = { attempt_handle_start, false },
	[EVENT_STOP] = { attempt_handle_stop, true },
	[EVENT_PUBLISH] = { attempt_handle_publish, true },
	[EVENT_RELEASE] = { attempt_handle_release, true },
	[EVENT_VERDICT] = { attempt_handle_verdict, true },
	[EVENT_ACK] = { attempt_handle_ack, false },
	[EVENT_GRANTED] = { attempt_handle_granted, true },
	[EVENT_GRANT_REFUSED] = { attempt_handle_grant_refused, true },
	[EVENT_READY] = { attempt_handle_ready, false },
	[EVENT_DISCONNECTED] = { attempt_handle_disconnected, false },
	[EVENT_HOLDER_STARTED] = { attempt_handle_holder_started, true },
	[EVENT_HOLDER_REFUSED] = { attempt_handle_holder_refused, true },
	[EVENT_HOLDER_ENDED] = { attempt_handle_holder_ended, true },
	[EVENT_ACTIVITY] = { attempt_handle_activity, true },
	[EVENT_STATUS] = { attempt_handle_status, true },
	[EVENT_GIT_DONE] = { attempt_handle_git_done, true },
	[EVENT_FOUND] = { attempt_handle_found, true },
	[EVENT_TICK] = { attempt_handle_tick, false },
};

/* What is gone needs no release; of what never was nothing can be stopped or pushed. */
static void answer_absent(struct turn *turn, const struct event *event)
{
	const char *why = event->kind == EVENT_RELEASE ? NULL : "this attempt is not on this worker";

	turn_reply(turn, NULL, event->request, why, NULL);
}

void attempts_handle(struct attempts *core, const struct event *event, const struct moment *now, struct effects *effects)
{
	struct turn turn = { core, now, effects };
	struct attempt *attempt = core_find(core, event->task, event->attempt);

	require(event->kind < EVENT_COUNT);
	if (handlers[event->kind].wants_attempt && !attempt)
		answer_absent(&turn, event);
	else
		handlers[event->kind].handle(&turn, attempt, event);
}

uint64_t attempts_deadline_ms(const struct attempts *core)
{
	const struct attempt *attempt;
	uint64_t least = UINT64_MAX;

	list_for_each (attempt, &core->list, link) {
		uint64_t deadline = attempt_deadline_ms(attempt);

		if (deadline < least)
			least = deadline;
	}
	return least;
}

/* --- the journal --- */

int attempts_replay(struct attempts *core, const Maestro__JournalRecord *record)
{
	return apply_record(core, record);
}

static void put_process(struct turn *turn, uint64_t incarnation, uint64_t epoch, uint64_t next_report, const char *boot_id)
{
	Maestro__JournalProcess process = MAESTRO__JOURNAL_PROCESS__INIT;

	process.incarnation = incarnation;
	process.epoch = epoch;
	process.next_report = next_report;
	process.has_boot_id = true;
	process.boot_id = bytes_of(boot_id);
	turn_put(turn, NULL, RECORD(PROCESS, process = &process));
}

void attempts_open(struct attempts *core, const char *boot_id, bool damaged, const struct moment *now,
	struct effects *effects)
{
	struct turn turn = { core, now, effects };
	uint64_t skip = damaged ? NUMBERS_SKIPPED_AFTER_DAMAGE : 0;
	struct attempt *attempt, *next;

	put_process(&turn, core->incarnation + 1 + skip, core->epoch, core->next_report + skip, boot_id);
	list_for_each_safe (attempt, next, &core->list, link) {
		attempt->activity_ms = now->boot_ms;
		if (attempt->state != ATTEMPT_OVER && attempt->exited)
			turn_advance(&turn, attempt);
	}
}

bool attempt_needs_look(const struct attempt *attempt)
{
	return attempt->state != ATTEMPT_OVER && !attempt->exited;
}

int attempts_take_epoch(struct attempts *core, uint64_t epoch, bool force, struct effects *effects)
{
	struct moment now = { 0, 0 };
	struct turn turn = { core, &now, effects };

	if (epoch < core->epoch && !force)
		return ATTEMPTS_E_EPOCH;
	if (epoch != core->epoch) {
		char boot_id[33];

		memcpy(boot_id, core->boot_id, sizeof(boot_id));
		put_process(&turn, core->incarnation, epoch, core->next_report, boot_id);
	}
	return 0;
}

/* --- looking --- */

uint64_t attempts_incarnation(const struct attempts *core)
{
	return core->incarnation;
}

uint64_t attempts_epoch(const struct attempts *core)
{
	return core->epoch;
}

const struct attempt *attempts_find(const struct attempts *core, uint64_t task, uint32_t attempt)
{
	return core_find((struct attempts *)(uintptr_t)core, task, attempt);
}

const struct attempt *attempts_newest(const struct attempts *core, uint64_t task)
{
	const struct attempt *attempt, *newest = NULL;

	list_for_each (attempt, &core->list, link)
		if (attempt->task == task && (!newest || newest->attempt < attempt->attempt))
			newest = attempt;
	return newest;
}

const struct attempt *attempts_next(const struct attempts *core, const struct attempt *previous)
{
	const struct list *link = previous ? previous->link.next : core->list.next;

	return link == &core->list ? NULL : list_entry(link, struct attempt, link);
}

const Maestro__AttemptReport *attempts_report(const struct attempts *core, uint64_t number)
{
	const struct report *report;

	list_for_each (report, &core->reports, link)
		if (report->message->number == number)
			return report->message;
	return NULL;
}

uint32_t attempts_seen(const struct attempts *core, uint64_t task)
{
	struct seen *seen = NULL;

	HASH_FIND(hh, core->seen, &task, sizeof(task), seen);
	return seen ? seen->attempt : 0;
}

bool attempt_live(const struct attempt *attempt)
{
	return attempt->state == ATTEMPT_RUNNING && !attempt->exited && !attempt->lost;
}

uint32_t attempt_worktree(const struct attempt *attempt)
{
	return attempt->start->push_of ? attempt->start->push_of : attempt->attempt;
}

bool attempt_in_inventory(const struct attempt *attempt)
{
	/* What a reboot ended is absent: that is how the coordinator learns that it is lost. */
	return !attempt->released && !attempt->lost;
}
