/* What a worker and the coordinator say to one another: the worker's side of the conversation. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void talk_report(struct world *world, int number, const struct effect *effect)
{
	struct sim_worker *worker = &world->workers[number];
	const Maestro__AttemptReport *report = attempts_report(worker->core, effect->number);
	Maestro__Envelope envelope =
		ENVELOPE(ATTEMPT_REPORT, attempt_report = (Maestro__AttemptReport *)(uintptr_t)report);

	if (report && worker->ready)
		send_to_coordinator(world, number, &envelope);
}

void talk_ask(struct world *world, int number, const struct effect *effect)
{
	struct sim_worker *worker = &world->workers[number];
	const struct attempt *attempt = attempts_find(worker->core, effect->task, effect->attempt);
	Maestro__PushRequest message = MAESTRO__PUSH_REQUEST__INIT;
	Maestro__Envelope envelope = ENVELOPE(PUSH_REQUEST, push_request = &message);
	struct sim_ask *ask = &worker->asks[++worker->next_request % ARRAY_SIZE(worker->asks)];

	if (!attempt || attempt->work != WORK_ASK || !worker->ready)
		return;
	*ask = (struct sim_ask){ .request = worker->next_request, .task = effect->task, .attempt = effect->attempt };
	message.task = effect->task;
	message.attempt = effect->attempt;
	message.run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
	message.commit = attempt->tip;
	envelope.has_request = true;
	envelope.request = ask->request;
	send_to_coordinator(world, number, &envelope);
}

void talk_reply(struct world *world, int number, const struct effect *effect)
{
	Maestro__Done done = MAESTRO__DONE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	Maestro__Envelope envelope = ENVELOPE(DONE, done = &done);

	if (!effect->ok) {
		failure.code = MAESTRO__FAILURE_CODE__FAILURE_FAILED;
		failure.has_why = true;
		failure.why = bytes_of(effect->why);
		envelope = (Maestro__Envelope)ENVELOPE(FAILURE, failure = &failure);
	}
	envelope.has_reply_to = true;
	envelope.reply_to = effect->request;
	send_to_coordinator(world, number, &envelope);
}

static void refuse(struct world *world, int number, const Maestro__Envelope *ask, Maestro__FailureCode code, const char *why)
{
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	Maestro__Envelope envelope = ENVELOPE(FAILURE, failure = &failure);

	if (!ask->has_request)
		return;
	failure.code = code;
	failure.has_why = true;
	failure.why = bytes_of(why);
	envelope.has_reply_to = true;
	envelope.reply_to = ask->request;
	send_to_coordinator(world, number, &envelope);
}

static bool known_there(const struct world *world, uint64_t task)
{
	struct task_row key = { .id = task };

	return coordinator_row(world, ROW_TASK, &key) != NULL;
}

static void fill_entry(const struct attempt *attempt, Maestro__InventoryEntry *entry)
{
	maestro__inventory_entry__init(entry);
	entry->task = attempt->task;
	entry->attempt = attempt->attempt;
	entry->run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
	entry->phase = attempt->phase;
	entry->has_session_live = true;
	entry->session_live = attempt_live(attempt);
	entry->commit = attempt->pushed_commit;
	entry->branch = attempt->pushed_branch;
}

static void send_inventory(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	Maestro__InventoryEntry entries[256], *pointers[256];
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__Envelope envelope = ENVELOPE(INVENTORY, inventory = &inventory);
	const struct attempt *attempt;

	for (attempt = attempts_next(worker->core, NULL); attempt; attempt = attempts_next(worker->core, attempt)) {

		if (!attempt_in_inventory(attempt))
			continue;
		if (world->bug == BUG_HIDE_STRANGERS && !known_there(world, attempt->task))
			continue;
		require(inventory.n_entries < ARRAY_SIZE(entries));
		pointers[inventory.n_entries] = &entries[inventory.n_entries];
		fill_entry(attempt, &entries[inventory.n_entries++]);
	}
	inventory.entries = pointers;
	inventory.last = inventory.has_total = true;
	inventory.total = (uint32_t)inventory.n_entries;
	send_to_coordinator(world, number, &envelope);
}

static void heartbeat(struct world *world, struct action *action)
{
	Maestro__Heartbeat message = MAESTRO__HEARTBEAT__INIT;
	const struct sim_worker *worker = &world->workers[action->worker];
	Maestro__Envelope envelope = ENVELOPE(HEARTBEAT, heartbeat = &message);

	message.has_behind = message.behind = worker->executing || !list_empty(&worker->queue.list);
	later(world, 5000, heartbeat, action->life)->worker = action->worker;
	send_to_coordinator(world, action->worker, &envelope);
}

/* First words on a new connection. */
void talk_begin(struct world *world, int number)
{
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_INFO, worker_info = &info);

	info.has_slots = true;
	info.slots = world->bug == BUG_IGNORE_SLOTS ? SIM_SLOTS + 1 : SIM_SLOTS;
	info.agents = agents;
	info.n_agents = number < 2; /* w1 and w2 have it */
	agent.name = (char *)(uintptr_t) "claude";
	info.labels = labels;
	info.n_labels = number == 0 || world->bug == BUG_WRONG_LABELS;
	label.key = (char *)(uintptr_t) "pool";
	label.value = (char *)(uintptr_t) "a";
	info.has_epoch_seen = world->workers[number].disobeyed && world->bug != BUG_HIDE_EPOCH;
	info.epoch_seen = attempts_epoch(world->workers[number].core);
	send_to_coordinator(world, number, &envelope);
	send_inventory(world, number);
	later(world, 5000, heartbeat, &world->workers[number].link)->worker = number;
}

/* --- what the coordinator says ----------------------------------------------------------------------------------- */

static void take_verdicts(struct world *world, int number, const Maestro__Verdicts *verdicts)
{
	struct sim_worker *worker = &world->workers[number];
	struct event event = { .kind = EVENT_VERDICT };
	uint64_t link = worker->link;

	if (worker->disobeyed)
		return; /* it judges by an old database */
	for (size_t i = 0; i < verdicts->n_entries && worker->link == link; i++) {
		event.task = verdicts->entries[i]->task;
		event.attempt = verdicts->entries[i]->attempt;
		event.verdict.verdict = verdicts->entries[i]->verdict;
		event.verdict.run_id = verdicts->entries[i]->run_id.data;
		worker_event(world, number, &event);
	}
	if (!verdicts->last || worker->link != link || !worker->core)
		return;
	worker->verdicts_taken = true;
	talk_try_ready(world, number);
}

static void note_shown(struct world *world, const struct sim_worker *worker)
{
	const struct attempt *shown;

	for (shown = attempts_next(worker->core, NULL); shown; shown = attempts_next(worker->core, shown))
		if (attempt_in_inventory(shown) && shown->task > world->highest_shown)
			world->highest_shown = shown->task;
}

void talk_try_ready(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct event event = { .kind = EVENT_READY };
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_READY, worker_ready = &ready);
	uint64_t link = worker->link;

	if (!link || worker->ready || !worker->verdicts_taken || worker->executing || !list_empty(&worker->queue.list))
		return;
	if (link == worker->far)
		note_shown(world, worker);
	worker->ready = true;
	worker->disturbed_ms = world->now_ms;
	send_to_coordinator(world, number, &envelope);
	worker_event(world, number, &event);
}

static const struct sim_ask *find_ask(const struct sim_worker *worker, const Maestro__Envelope *envelope)
{
	const struct sim_ask *ask = &worker->asks[envelope->reply_to % ARRAY_SIZE(worker->asks)];

	return envelope->has_reply_to && ask->request == envelope->reply_to ? ask : NULL;
}

/* What a session is that the coordinator does not know. */
static void describe(struct world *world, int number, const Maestro__Envelope *ask)
{
	const Maestro__DescribeAttempt *about = ask->describe_attempt;
	const struct attempt *attempt = attempts_find(world->workers[number].core, about->task, about->attempt);
	Maestro__InventoryEntry entry;
	Maestro__AttemptDescription description = MAESTRO__ATTEMPT_DESCRIPTION__INIT;
	Maestro__Envelope envelope = ENVELOPE(ATTEMPT_DESCRIPTION, attempt_description = &description);

	if (!attempt) {
		refuse(world, number, ask, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, "this attempt is not on this worker");
		return;
	}
	fill_entry(attempt, &entry);
	description.start = attempt->start;
	description.entry = &entry;
	envelope.has_reply_to = true;
	envelope.reply_to = ask->request;
	send_to_coordinator(world, number, &envelope);
}

/* Its sender decides first: nothing of it before READY. */
static bool when_ready(const Maestro__Envelope *envelope)
{
	return envelope->body_case == MAESTRO__ENVELOPE__BODY_START || envelope->body_case == MAESTRO__ENVELOPE__BODY_STOP ||
		envelope->body_case == MAESTRO__ENVELOPE__BODY_PUBLISH || envelope->body_case == MAESTRO__ENVELOPE__BODY_RELEASE ||
		envelope->body_case == MAESTRO__ENVELOPE__BODY_PUSH_GRANT;
}

void talk_receive(struct world *world, int number, const Maestro__Envelope *envelope)
{
	struct sim_worker *worker = &world->workers[number];
	const struct sim_ask *ask = find_ask(worker, envelope);
	struct event event = { .request = envelope->has_request ? envelope->request : 0 };
	_cleanup_free_ char *why = NULL;

	if (when_ready(envelope) && !worker->ready) {
		refuse(world, number, envelope, MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, "this worker is not ready yet");
		return;
	}
	switch (envelope->body_case) {
	case MAESTRO__ENVELOPE__BODY_DESCRIBE_ATTEMPT:
		describe(world, number, envelope);
		return;
	case MAESTRO__ENVELOPE__BODY_VERDICTS:
		take_verdicts(world, number, envelope->verdicts);
		return;
	case MAESTRO__ENVELOPE__BODY_START:
		event.kind = EVENT_START;
		event.task = envelope->start->task;
		event.attempt = envelope->start->attempt;
		event.start.message = envelope->start;
		break;
	case MAESTRO__ENVELOPE__BODY_STOP:
		event.kind = EVENT_STOP;
		event.task = envelope->stop->task;
		event.attempt = envelope->stop->attempt;
		break;
	case MAESTRO__ENVELOPE__BODY_PUBLISH:
		event.kind = EVENT_PUBLISH;
		event.task = envelope->publish->task;
		event.attempt = envelope->publish->attempt;
		break;
	case MAESTRO__ENVELOPE__BODY_RELEASE:
		event.kind = EVENT_RELEASE;
		event.task = envelope->release->task;
		event.attempt = envelope->release->attempt;
		event.release.remove_worktree = envelope->release->remove_worktree;
		event.release.force = envelope->release->force;
		break;
	case MAESTRO__ENVELOPE__BODY_REPORT_ACK:
		if (worker->disobeyed)
			return;
		event.kind = EVENT_ACK;
		event.ack.number = envelope->report_ack->number;
		break;
	case MAESTRO__ENVELOPE__BODY_PUSH_GRANT:
		if (!ask)
			return;
		event.kind = EVENT_GRANTED;
		event.task = ask->task;
		event.attempt = ask->attempt;
		event.granted.lease_ms = envelope->push_grant->lease_ms;
		event.granted.last_pushed = envelope->push_grant->last_pushed;
		break;
	case MAESTRO__ENVELOPE__BODY_FAILURE:
		if (!ask)
			return;
		why = bytes_dup(&envelope->failure->why);
		event.kind = EVENT_GRANT_REFUSED;
		event.task = ask->task;
		event.attempt = ask->attempt;
		event.grant_refused.why = why;
		event.grant_refused.later = envelope->failure->code == MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE;
		break;
	default:
		return;
	}
	worker_event(world, number, &event);
}

