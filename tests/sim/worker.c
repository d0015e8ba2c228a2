/* A worker of a simulated cluster: the real core over a journal in memory; its machine, holders, git jobs and remote
 * are played here. The order of writing and doing is the executor's of worker/service. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENVELOPE(kind, message)                                                                                    \
	(Maestro__Envelope)                                                                                        \
	{                                                                                                          \
		PROTOBUF_C_MESSAGE_INIT(&maestro__envelope__descriptor), .body_case = MAESTRO__ENVELOPE__BODY_##kind, \
			.message                                                                                   \
	}

static void execute(struct world *world, int number, struct effects *effects);

static struct moment now_of(const struct world *world)
{
	return (struct moment){ world->now_ms, (int64_t)world->now_ms };
}

static void on_tick(struct world *world, struct action *action);

static void worker_event(struct world *world, int number, const struct event *event)
{
	struct sim_worker *worker = &world->workers[number];
	struct moment now = now_of(world);
	struct effects effects;
	uint64_t deadline;

	if (!worker->core)
		return;
	effects_init(&effects);
	attempts_handle(worker->core, event, &now, &effects);
	require(!effects.failed);
	execute(world, number, &effects);
	effects_deinit(&effects);
	deadline = worker->core ? attempts_deadline_ms(worker->core) : UINT64_MAX;
	if (deadline != UINT64_MAX && (!worker->tick_ms || worker->tick_ms > deadline)) {
		worker->tick_ms = deadline;
		later(world, deadline > world->now_ms ? deadline - world->now_ms : 1, on_tick, &worker->life)->worker = number;
	}
}

static void on_tick(struct world *world, struct action *action)
{
	struct event tick = { .kind = EVENT_TICK };

	world->workers[action->worker].tick_ms = 0;
	worker_event(world, action->worker, &tick);
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

static struct sim_session *find_session(struct sim_worker *worker, uint64_t task, uint32_t attempt, bool make)
{
	for (size_t i = 0; i < worker->session_count; i++)
		if (worker->sessions[i].task == task && worker->sessions[i].attempt == attempt)
			return &worker->sessions[i];
	if (!make)
		return NULL;
	worker->sessions = realloc(worker->sessions, (worker->session_count + 1) * sizeof(*worker->sessions));
	require(worker->sessions);
	worker->sessions[worker->session_count] = (struct sim_session){ .task = task, .attempt = attempt };
	return &worker->sessions[worker->session_count++];
}

static void tell_end(struct world *world, int number, const struct sim_session *session)
{
	struct event event = { .kind = EVENT_HOLDER_ENDED, .task = session->task, .attempt = session->attempt };

	if (session->state == HOLDER_EXITED) {
		event.ended.has_code = !session->signal;
		event.ended.code = session->code;
		event.ended.signal = session->signal;
	} else {
		event.ended.reason = "the session's holder process died";
	}
	worker_event(world, number, &event);
}

static void holder_exit(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = find_session(worker, action->task, action->attempt, false);
	struct sim_session copy;

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot)
		return;
	session->state = HOLDER_EXITED;
	session->signal = action->flag ? 15 : 0;
	session->code = action->number;
	session->commits += chance(world, 3) > 0;
	copy = *session;
	tell(world, "%s task=%" PRIu64 ".%u exits with %d%s", worker->name, copy.task, copy.attempt, copy.code,
		copy.signal ? " by a signal" : "");
	if (world->bug == BUG_DEAF_TO_EXITS && chance(world, 10) == 0)
		return;
	tell_end(world, action->worker, &copy);
}

static void agent_says_complete(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = find_session(worker, action->task, action->attempt, false);
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	struct event event = { .kind = EVENT_STATUS, .task = action->task, .attempt = action->attempt };

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot)
		return;
	session->commits++;
	status.state = MAESTRO__AGENT_STATE__AGENT_COMPLETE;
	event.status.status = &status;
	worker_event(world, action->worker, &event);
}

static void agent_says_limited(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	const struct sim_session *session = find_session(worker, action->task, action->attempt, false);
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Envelope envelope = ENVELOPE(STATUS_REPORT, status_report = &report);

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot || !worker->ready)
		return;
	status.state = chance(world, 3) ? MAESTRO__AGENT_STATE__AGENT_LIMITED : MAESTRO__AGENT_STATE__AGENT_WORKING;
	report.task = action->task;
	report.attempt = action->attempt;
	report.status = &status;
	send_to_coordinator(world, action->worker, &envelope);
}

/* The holder runs by itself from its start on: link(2) has one winner, it or a tombstone. */
static void holder_begin(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = find_session(worker, action->task, action->attempt, true);
	struct event event = { .kind = EVENT_HOLDER_STARTED, .task = action->task, .attempt = action->attempt };
	struct action *next;

	if (action->number != worker->boot)
		return; /* the machine was restarted meanwhile */
	if (session->state == HOLDER_TOMBSTONE && world->bug != BUG_NO_TOMBSTONE)
		return;
	if (session->state != HOLDER_NONE && session->state != HOLDER_TOMBSTONE)
		return;
	session->state = HOLDER_ALIVE;
	session->boot = worker->boot;
	memcpy(session->run_id, action->run_id, sizeof(session->run_id));
	session->starts++;
	tell(world, "%s task=%" PRIu64 ".%u starts", worker->name, session->task, session->attempt);
	check_start(world, worker, session);
	next = later(world, 500 + chance(world, 60000), holder_exit, NULL);
	next->worker = action->worker;
	next->task = action->task;
	next->attempt = action->attempt;
	next->number = chance(world, 4) == 0;
	next->frozen_until_ms = &worker->frozen_until_ms;
	if (chance(world, 4) == 0) {
		next = later(world, 200 + chance(world, 10000), agent_says_limited, NULL);
		next->worker = action->worker;
		next->task = action->task;
		next->attempt = action->attempt;
	}
	if (chance(world, 3) == 0) {
		next = later(world, 200 + chance(world, 20000), agent_says_complete, NULL);
		next->worker = action->worker;
		next->task = action->task;
		next->attempt = action->attempt;
	}
	worker_event(world, action->worker, &event);
}

static void remove_session(struct sim_worker *worker, uint64_t task, uint32_t attempt)
{
	struct sim_session *session = find_session(worker, task, attempt, false);

	/* The record of how often it ran stays: that is what is checked. */
	if (session && session->state != HOLDER_ALIVE && session->state != HOLDER_TOMBSTONE)
		session->state = HOLDER_EXITED;
}

/* --- git jobs ---------------------------------------------------------------------------------------------------- */

static void fill_commit(char text[41], uint64_t task, uint32_t attempt, unsigned int commits)
{
	snprintf(text, 41, "%08" PRIx64 "%08x%024x", task, attempt, commits);
}

static void git_done(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = find_session(worker, action->task, action->attempt, false);
	const struct attempt *attempt = worker->core ? attempts_find(worker->core, action->task, action->attempt) : NULL;
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitPrepared prepared = MAESTRO__GIT_PREPARED__INIT;
	Maestro__GitCommitted committed = MAESTRO__GIT_COMMITTED__INIT;
	Maestro__GitPushed pushed = MAESTRO__GIT_PUSHED__INIT;
	struct event event = { .kind = EVENT_GIT_DONE, .task = action->task, .attempt = action->attempt };
	char commit[41], branch[32], zero[41];

	if (!attempt)
		return;
	snprintf(branch, sizeof(branch), "maestro/%" PRIu64 ".%u", action->task, action->attempt);
	fill_commit(commit, action->task, action->attempt, session ? session->commits : 0);
	memset(zero, '0', 40);
	zero[40] = 0;
	event.git.work = (enum work)action->number;
	event.git.result = &result;
	result.code = fault(world, 30) ? MAESTRO__GIT_CODE__GIT_UNREACHABLE : MAESTRO__GIT_CODE__GIT_OK;
	switch (event.git.work) {
	case WORK_PREPARE:
		prepared.base_commit = prepared.head = zero;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PREPARED;
		result.prepared = &prepared;
		break;
	case WORK_COMMIT:
		committed.head = session && session->commits ? commit : zero;
		committed.ahead = session ? session->commits : 0;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_COMMITTED;
		result.committed = &committed;
		break;
	case WORK_PUSH:
		pushed.branch = branch;
		pushed.commit = attempt->tip;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PUSHED;
		result.pushed = &pushed;
		event.git.expired = action->flag;
		break;
	default:
		result.code = MAESTRO__GIT_CODE__GIT_OK;
		break;
	}
	if (result.code != MAESTRO__GIT_CODE__GIT_OK) {
		result.result_case = MAESTRO__GIT_RESULT__RESULT__NOT_SET;
		result.has_why = true;
		result.why = bytes_of("the remote cannot be reached");
	}
	worker_event(world, action->worker, &event);
}

/* --- effects ----------------------------------------------------------------------------------------------------- */

static void do_git(struct world *world, int number, const struct effect *effect)
{
	struct action *next = later(world, 5 + chance(world, 3000), git_done, &world->workers[number].life);

	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->number = (int)effect->work;
	next->flag = effect->work == WORK_PUSH && effect->not_after_ms && world->now_ms > effect->not_after_ms;
}

static void do_spawn(struct world *world, int number, const struct effect *effect)
{
	/* now and then a machine is slow: then a tombstone may be planted before its holder comes so far */
	struct action *next = later(world, 1 + chance(world, chance(world, 10) ? 300 : 10000), holder_begin, NULL);
	const struct attempt *attempt = attempts_find(world->workers[number].core, effect->task, effect->attempt);

	if (attempt)
		memcpy(next->run_id, attempt->run_id, sizeof(next->run_id));
	next->frozen_until_ms = &world->workers[number].frozen_until_ms;
	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->number = world->workers[number].boot;
}

static void do_kill(struct world *world, int number, const struct effect *effect)
{
	struct action *next = later(world, chance(world, 500), holder_exit, NULL);

	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->flag = true;
}

static void do_report(struct world *world, int number, const struct effect *effect)
{
	struct sim_worker *worker = &world->workers[number];
	const Maestro__AttemptReport *report = attempts_report(worker->core, effect->number);
	Maestro__Envelope envelope =
		ENVELOPE(ATTEMPT_REPORT, attempt_report = (Maestro__AttemptReport *)(uintptr_t)report);

	if (report && worker->ready)
		send_to_coordinator(world, number, &envelope);
}

static void do_ask(struct world *world, int number, const struct effect *effect)
{
	struct sim_worker *worker = &world->workers[number];
	const struct attempt *attempt = attempts_find(worker->core, effect->task, effect->attempt);
	Maestro__PushRequest message = MAESTRO__PUSH_REQUEST__INIT;
	Maestro__Envelope envelope = ENVELOPE(PUSH_REQUEST, push_request = &message);
	struct sim_ask *ask = &worker->asks[++worker->next_request % ARRAY_SIZE(worker->asks)];

	if (!attempt || attempt->work != WORK_ASK || !worker->ready)
		return;
	*ask = (struct sim_ask){ worker->next_request, effect->task, effect->attempt };
	message.task = effect->task;
	message.attempt = effect->attempt;
	message.run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
	message.commit = attempt->tip;
	envelope.has_request = true;
	envelope.request = ask->request;
	send_to_coordinator(world, number, &envelope);
}

static void do_reply(struct world *world, int number, const struct effect *effect)
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

static void act(struct world *world, int number, const struct effect *effect)
{
	switch (effect->kind) {
	case EFFECT_GIT:
		do_git(world, number, effect);
		break;
	case EFFECT_SPAWN:
		do_spawn(world, number, effect);
		break;
	case EFFECT_KILL:
		do_kill(world, number, effect);
		break;
	case EFFECT_REPORT:
		do_report(world, number, effect);
		break;
	case EFFECT_ASK:
		do_ask(world, number, effect);
		break;
	case EFFECT_REPLY:
		do_reply(world, number, effect);
		break;
	case EFFECT_CLEAN:
		remove_session(&world->workers[number], effect->task, effect->attempt);
		break;
	default:
		break; /* JOURNAL is done; a job that is cancelled still comes back; STATUS is soft */
	}
}

static bool lose_record(const struct world *world, const Maestro__JournalRecord *record)
{
	return world->bug == BUG_NO_JOURNAL ||
		(world->bug == BUG_LOST_REPORTS && record->body_case == MAESTRO__JOURNAL_RECORD__BODY_REPORT);
}

/* All records of the batch are durable before anything of it is done. */
static void execute(struct world *world, int number, struct effects *effects)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t life = worker->life;
	struct effect *effect;

	effects_move(&worker->queue, effects);
	if (worker->executing)
		return;
	if (fault(world, 500)) {
		worker_crash(world, number, "before its journal is written");
		return;
	}
	list_for_each (effect, &worker->queue.list, link)
		if (effect->kind == EFFECT_JOURNAL && !lose_record(world, effect->record))
			require(journal_encode(effect->record, &worker->journal) == 0);
	if (fault(world, 500)) {
		worker_crash(world, number, "after its journal is written");
		return;
	}
	worker->executing = true;
	while (worker->life == life && (effect = list_first(&worker->queue.list, struct effect, link))) {
		list_remove(&effect->link);
		act(world, number, effect);
		effect_free(effect);
	}
	worker->executing = false;
}

/* --- the connection ---------------------------------------------------------------------------------------------- */

static void deliver_up(struct world *world, struct action *action)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = world->workers[action->worker].name };
	const Maestro__Envelope *envelope;

	require(message_unpack(&maestro__envelope__descriptor, action->bytes.data, action->bytes.len, &message, NULL) == 0);
	envelope = (const Maestro__Envelope *)message.base;
	event.envelope = envelope;
	if (envelope->has_reply_to) {
		event.type = CORE_EVENT_ANSWERED;
		event.task = envelope->reply_to >> 16;
		event.attempt = (uint32_t)(envelope->reply_to & 0xffff);
	}
	coordinator_event(world, &event);
}

static void deliver_down(struct world *world, struct action *action)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;

	require(message_unpack(&maestro__envelope__descriptor, action->bytes.data, action->bytes.len, &message, NULL) == 0);
	worker_receive(world, action->worker, (const Maestro__Envelope *)message.base);
}

static void send_message(struct world *world, int number, bool up, const Maestro__Envelope *envelope)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t due_ms = world->now_ms + 1 + chance(world, fault(world, 20) ? 5000 : 40);
	struct action *action;

	if (!worker->connected)
		return;
	if (due_ms < worker->sent_ms[up])
		due_ms = worker->sent_ms[up];
	worker->sent_ms[up] = due_ms;
	action = later(world, due_ms - world->now_ms, up ? deliver_up : deliver_down, &worker->connection);
	action->worker = number;
	action->frozen_until_ms = up ? &world->core_frozen_ms : &worker->frozen_until_ms;
	require(message_pack(envelope, &action->bytes) == 0);
}

void send_to_worker(struct world *world, int number, const Maestro__Envelope *envelope)
{
	send_message(world, number, false, envelope);
}

void send_to_coordinator(struct world *world, int number, const Maestro__Envelope *envelope)
{
	send_message(world, number, true, envelope);
}

static bool known_there(const struct world *world, uint64_t task)
{
	struct task_row key = { .id = task };

	return coordinator_row(world, ROW_TASK, &key) != NULL;
}

static void send_inventory(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	Maestro__InventoryEntry entries[256], *pointers[256];
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__Envelope envelope = ENVELOPE(INVENTORY, inventory = &inventory);
	const struct attempt *attempt;

	for (attempt = attempts_next(worker->core, NULL); attempt; attempt = attempts_next(worker->core, attempt)) {
		Maestro__InventoryEntry *entry = &entries[inventory.n_entries];

		if (!attempt_in_inventory(attempt))
			continue;
		if (world->bug == BUG_HIDE_STRANGERS && !known_there(world, attempt->task))
			continue;
		require(inventory.n_entries < ARRAY_SIZE(entries));
		maestro__inventory_entry__init(entry);
		pointers[inventory.n_entries++] = entry;
		entry->task = attempt->task;
		entry->attempt = attempt->attempt;
		entry->run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
		entry->phase = attempt->phase;
		entry->has_session_live = true;
		entry->session_live = attempt_live(attempt);
		entry->commit = attempt->pushed_commit;
	}
	inventory.entries = pointers;
	inventory.last = inventory.has_total = true;
	inventory.total = (uint32_t)inventory.n_entries;
	send_to_coordinator(world, number, &envelope);
}

static void connect_worker(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = worker->name, .name = "sim" };
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_INFO, worker_info = &info);
	struct effects effects;
	bool refused;
	char boot[33];

	if (worker->connected || !worker->core)
		return;
	effects_init(&effects);
	refused = world->core && attempts_take_epoch(worker->core, world->epoch, world->force_epoch, &effects) != 0;
	execute(world, action->worker, &effects);
	effects_deinit(&effects);
	if (!worker->core)
		return;
	if (!world->core || refused || world->core_frozen_ms > world->now_ms) {
		later(world, 500 + chance(world, 3000), connect_worker, &worker->life)->worker = action->worker;
		return;
	}
	snprintf(boot, sizeof(boot), "%032d", worker->boot);
	connected.text = boot;
	worker->connected = true;
	worker->ready = worker->verdicts_taken = false;
	worker->sent_ms[0] = worker->sent_ms[1] = 0;
	coordinator_event(world, &connected);
	if (!worker->connected)
		return;
	info.has_slots = true;
	info.slots = 3;
	info.agents = agents;
	info.n_agents = action->worker < 2; /* w1 and w2 have it */
	agent.name = (char *)(uintptr_t) "claude";
	info.labels = labels;
	info.n_labels = action->worker == 0 || world->bug == BUG_WRONG_LABELS;
	label.key = (char *)(uintptr_t) "pool";
	label.value = (char *)(uintptr_t) "a";
	send_to_coordinator(world, action->worker, &envelope);
	send_inventory(world, action->worker);
}

static void redial(struct world *world, int number)
{
	later(world, 1000 + chance(world, 20000), connect_worker, &world->workers[number].life)->worker = number;
}

void worker_disconnect(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker->name };
	struct event event = { .kind = EVENT_DISCONNECTED };

	if (!worker->connected)
		return;
	tell(world, "%s loses its connection", worker->name);
	worker->connected = worker->ready = false;
	worker->connection++;
	coordinator_event(world, &gone);
	worker_event(world, number, &event);
	if (worker->core)
		redial(world, number);
}

/* --- what the coordinator says ----------------------------------------------------------------------------------- */

static void heartbeat(struct world *world, struct action *action)
{
	Maestro__Heartbeat message = MAESTRO__HEARTBEAT__INIT;
	Maestro__Envelope envelope = ENVELOPE(HEARTBEAT, heartbeat = &message);

	struct action *next = later(world, 5000, heartbeat, action->life);

	next->worker = action->worker;
	next->frozen_until_ms = action->frozen_until_ms;
	send_to_coordinator(world, action->worker, &envelope);
}

static void take_verdicts(struct world *world, int number, const Maestro__Verdicts *verdicts)
{
	struct sim_worker *worker = &world->workers[number];
	struct event event = { .kind = EVENT_VERDICT };
	struct event ready_event = { .kind = EVENT_READY };
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_READY, worker_ready = &ready);
	uint64_t connection = worker->connection;
	const struct attempt *shown;
	struct action *next;

	for (size_t i = 0; i < verdicts->n_entries && worker->connection == connection; i++) {
		event.task = verdicts->entries[i]->task;
		event.attempt = verdicts->entries[i]->attempt;
		event.verdict.verdict = verdicts->entries[i]->verdict;
		event.verdict.run_id = verdicts->entries[i]->run_id.data;
		worker_event(world, number, &event);
	}
	if (!verdicts->last || worker->connection != connection || !worker->core)
		return;
	for (shown = attempts_next(worker->core, NULL); shown; shown = attempts_next(worker->core, shown))
		if (attempt_in_inventory(shown) && shown->task > world->highest_shown)
			world->highest_shown = shown->task;
	worker->ready = true;
	send_to_coordinator(world, number, &envelope);
	worker_event(world, number, &ready_event);
	if (worker->connection == connection) {
		next = later(world, 5000, heartbeat, &worker->connection);
		next->worker = number;
		next->frozen_until_ms = &worker->frozen_until_ms;
	}
}

static const struct sim_ask *find_ask(const struct sim_worker *worker, const Maestro__Envelope *envelope)
{
	const struct sim_ask *ask = &worker->asks[envelope->reply_to % ARRAY_SIZE(worker->asks)];

	return envelope->has_reply_to && ask->request == envelope->reply_to ? ask : NULL;
}

void worker_receive(struct world *world, int number, const Maestro__Envelope *envelope)
{
	struct sim_worker *worker = &world->workers[number];
	const struct sim_ask *ask = find_ask(worker, envelope);
	struct event event = { .request = envelope->has_request ? envelope->request : 0 };
	_cleanup_free_ char *why = NULL;

	switch (envelope->body_case) {
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

/* --- the process and its machine --------------------------------------------------------------------------------- */

static void start_again(struct world *world, struct action *action)
{
	worker_start(world, action->worker);
}

void worker_crash(struct world *world, int number, const char *when)
{
	struct sim_worker *worker = &world->workers[number];

	if (!worker->core)
		return;
	tell(world, "%s crashes: %s", worker->name, when);
	attempts_free(take(worker->core));
	effects_deinit(&worker->queue);
	effects_init(&worker->queue);
	worker->life++;
	worker->tick_ms = worker->frozen_until_ms = 0;
	worker->executing = false;
	worker_disconnect(world, number);
	/* now and then at once, as a supervisor does it: then a holder may still be on its way */
	later(world, chance(world, 3) ? 100 + chance(world, 20000) : chance(world, 100), start_again, NULL)->worker = number;
}

void worker_reboot(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];

	tell(world, "%s's machine restarts", worker->name);
	worker->boot++;
	for (size_t i = 0; i < worker->session_count; i++)
		if (worker->sessions[i].state == HOLDER_ALIVE)
			worker->sessions[i].state = HOLDER_KILLED;
	worker_crash(world, number, "its machine restarts");
}

void worker_kill_a_holder(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct sim_session *session, copy;

	if (!worker->session_count)
		return;
	session = &worker->sessions[chance(world, worker->session_count)];
	if (session->state != HOLDER_ALIVE)
		return;
	session->state = HOLDER_KILLED;
	copy = *session;
	tell(world, "%s task=%" PRIu64 ".%u: its holder is killed", worker->name, copy.task, copy.attempt);
	tell_end(world, number, &copy);
}

static int replay(const Maestro__JournalRecord *record, void *userdata)
{
	return attempts_replay(userdata, record);
}

static void look(struct world *world, int number, uint64_t task, uint32_t attempt, bool needs_look)
{
	struct sim_worker *worker = &world->workers[number];
	const struct attempt *known = attempts_find(worker->core, task, attempt);
	struct sim_session *session = find_session(worker, task, attempt, true), copy;
	struct event event = { .kind = EVENT_FOUND, .task = task, .attempt = attempt };

	if (session->state == HOLDER_NONE && known->state != ATTEMPT_RUNNING) {
		session->state = HOLDER_TOMBSTONE;
		session->buried = true;
	}
	copy = *session;
	if (!needs_look)
		return;
	if (copy.state == HOLDER_ALIVE || world->bug == BUG_ADOPT_THE_DEAD)
		event.found.found = FOUND_ALIVE;
	else if (copy.state == HOLDER_TOMBSTONE)
		event.found.found = FOUND_TOMBSTONE;
	else if (copy.state == HOLDER_EXITED) {
		tell_end(world, number, &copy);
		return;
	} else
		event.found.found = copy.boot == worker->boot ? FOUND_DEAD : FOUND_REBOOT;
	worker_event(world, number, &event);
}

static void recover(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct {
		uint64_t task;
		uint32_t attempt;
		bool look;
	} ids[256];
	const struct attempt *attempt;
	uint64_t life = worker->life;
	size_t count = 0;

	for (attempt = attempts_next(worker->core, NULL); attempt; attempt = attempts_next(worker->core, attempt)) {
		require(count < ARRAY_SIZE(ids));
		ids[count].task = attempt->task;
		ids[count].attempt = attempt->attempt;
		ids[count++].look = attempt_needs_look(attempt);
	}
	for (size_t i = 0; i < count && worker->life == life; i++)
		look(world, number, ids[i].task, ids[i].attempt, ids[i].look);
}

void worker_start(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct moment now = now_of(world);
	struct effects effects;
	uint64_t life = worker->life;
	char boot[33];
	size_t good = 0;

	if (worker->core)
		return;
	tell(world, "%s starts", worker->name);
	snprintf(boot, sizeof(boot), "%032d", worker->boot);
	require(attempts_new(&worker->core) == 0);
	require(journal_decode(worker->journal.data, worker->journal.len, replay, worker->core, &good) == 0);
	require(good == worker->journal.len);
	effects_init(&effects);
	attempts_open(worker->core, boot, false, &now, &effects);
	execute(world, number, &effects);
	effects_deinit(&effects);
	if (worker->life == life)
		recover(world, number);
	if (worker->life == life)
		redial(world, number);
}

void worker_free(struct sim_worker *worker)
{
	if (worker->core)
		attempts_free(worker->core);
	effects_deinit(&worker->queue);
	buf_deinit(&worker->journal);
	free(worker->sessions);
}
