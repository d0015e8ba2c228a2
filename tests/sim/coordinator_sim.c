/* The coordinator's core and store against simulated workers and people, with a seeded clock, network and crashes.
 *
 *   coordinator_sim --seeds N --seed S [--steps K] [--break WHAT]
 *
 * Runs N histories from seed S on. In each, a random one of: submit (sometimes twice the same), act on a task, let a
 * worker get on, carry a message, say a report again, cut a connection, reboot a worker, commit, let time pass, kill the
 * coordinator before its commit or between commit and sending. After every step:
 *   P1  no attempt is started twice, nor given to two workers, nor under two run ids
 *   P2  at most one attempt of a task is in review or merged, and it is the newest
 *   P3  every acknowledged submit is there
 *   P4  a terminal state of an attempt that was committed never changes
 * On failure the history is printed and the seed with it. `--break` shows that the checks can fail. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#define WORKERS 3
#define ATTEMPTS_MAX 512
#define TASKS_MAX 256
#define QUEUE_MAX 512
#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind
#define PHASE(kind) MAESTRO__ATTEMPT_PHASE__PHASE_##kind

struct queue {
	Maestro__Envelope *items[QUEUE_MAX];
	size_t count;
};

/* An attempt in a worker's journal. */
struct held {
	uint64_t task;
	uint32_t attempt;
	uint8_t run_id[16];
	Maestro__AttemptPhase phase;
	bool live, stopping;
	uint64_t numbers[8]; /* unacknowledged reports, with their phases */
	Maestro__AttemptPhase phases[8];
	size_t reports;
};

struct sim_worker {
	char name[8], boot_id[40];
	bool connected, ready;
	unsigned int boots;
	uint64_t next_number;
	struct held held[ATTEMPTS_MAX];
	size_t count;
	struct queue in, out;
};

/* What was seen of an attempt from outside. */
struct seen {
	uint64_t task;
	uint32_t attempt;
	uint8_t run_id[16];
	int worker;
	unsigned int starts;
	int32_t terminal; /* committed, 0: not yet */
};

struct sim {
	uint64_t rng, seed, now_ms;
	struct core *core;
	struct store *store;
	struct core_effects effects;
	struct core_effect *outbox; /* held back until the commit */
	size_t outbox_count, outbox_size;
	struct sim_worker workers[WORKERS];
	struct seen seen[ATTEMPTS_MAX];
	size_t seen_count;
	uint64_t acknowledged[TASKS_MAX];
	size_t acknowledged_count;
	uint64_t requests, submits_of_request[TASKS_MAX];
	struct buf history;
	const char *broken; /* --break */
	bool failed;
	unsigned long reviews, ends;
};

static struct sim *current;

static void note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct sim *sim, const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	buf_printf(&sim->history, "%8" PRIu64 " %s\n", sim->now_ms, line);
}

static void violate(struct sim *sim, const char *what, uint64_t task, uint32_t attempt)
{
	note(sim, "VIOLATED %s task=%" PRIu64 " attempt=%" PRIu32, what, task, attempt);
	sim->failed = true;
}

static uint64_t random_u64(struct sim *sim)
{
	sim->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
	uint64_t z = sim->rng;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static unsigned int pick(struct sim *sim, unsigned int n)
{
	return (unsigned int)(random_u64(sim) % n);
}

static void seeded_random(void *buffer, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buffer)[i] = (uint8_t)random_u64(current);
}

static void must(int r, const char *what)
{
	if (r) {
		fprintf(stderr, "simulation: %s: %d\n", what, r);
		exit(2);
	}
}

/* --- queues -------------------------------------------------------------------------------------------------- */

static void queue_put(struct queue *queue, const void *envelope)
{
	if (queue->count < QUEUE_MAX)
		queue->items[queue->count++] = message_copy(envelope);
}

static Maestro__Envelope *queue_take(struct queue *queue)
{
	Maestro__Envelope *first;

	if (!queue->count)
		return NULL;
	first = queue->items[0];
	memmove(queue->items, queue->items + 1, --queue->count * sizeof(*queue->items));
	return first;
}

static void queue_clear(struct queue *queue)
{
	while (queue->count)
		maestro__envelope__free_unpacked(queue->items[--queue->count], NULL);
}

/* --- the coordinator ----------------------------------------------------------------------------------------- */

static int take_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	return core_load(userdata, table, row, error);
}

static void load_core(struct sim *sim)
{
	struct core_config config = core_config_default;
	struct core_event start = { .type = CORE_EVENT_START, .wall_ms = (int64_t)sim->now_ms };
	struct error error = ERROR_NULL;

	config.random = seeded_random;
	must(core_new(&sim->core, &config), "core");
	for (int t = 0; t < ROW_KEY; t++)
		must(store_each(sim->store, (enum row_table)t, take_row, sim->core, &error), error_text(&error, 0));
	must(store_each(sim->store, ROW_EVENT, take_row, sim->core, &error), "events");
	must(core_handle(sim->core, &start, sim->now_ms, &sim->effects), "start");
	core_effects_clear(&sim->effects);
}

static struct seen *find_seen(struct sim *sim, uint64_t task, uint32_t attempt)
{
	for (size_t i = 0; i < sim->seen_count; i++)
		if (sim->seen[i].task == task && sim->seen[i].attempt == attempt)
			return &sim->seen[i];
	if (sim->seen_count == ATTEMPTS_MAX)
		return NULL;
	sim->seen[sim->seen_count] = (struct seen){ .task = task, .attempt = attempt, .worker = -1 };
	return &sim->seen[sim->seen_count++];
}

static int worker_index(const char *name)
{
	return name[1] - '0';
}

static void say_submitted(struct sim *sim, const struct core_effect *effect)
{
	const Maestro__Submitted *submitted = effect->envelope->submitted;
	uint64_t *first = &sim->submits_of_request[effect->request % TASKS_MAX];

	if (*first && submitted->n_tasks && *first != submitted->tasks[0])
		violate(sim, "P3 the same request gave another task", submitted->tasks[0], 0);
	*first = submitted->n_tasks ? submitted->tasks[0] : 0;
	for (size_t i = 0; i < submitted->n_tasks; i++) {
		bool known = false;

		for (size_t k = 0; k < sim->acknowledged_count; k++)
			known |= sim->acknowledged[k] == submitted->tasks[i];
		if (!known && sim->acknowledged_count < TASKS_MAX)
			sim->acknowledged[sim->acknowledged_count++] = submitted->tasks[i];
		note(sim, "acknowledged task=%" PRIu64, submitted->tasks[i]);
	}
}

static void deliver(struct sim *sim, const struct core_effect *effect)
{
	struct sim_worker *worker;

	if (effect->type == CORE_EFFECT_REPLY && effect->envelope->body_case == BODY(SUBMITTED))
		say_submitted(sim, effect);
	if (effect->type != CORE_EFFECT_SEND && effect->type != CORE_EFFECT_ASK)
		return;
	worker = &sim->workers[worker_index(effect->worker)];
	if (worker->connected)
		queue_put(&worker->in, effect->envelope);
	if (worker->connected && effect->envelope->body_case == BODY(START) && !pick(sim, 8))
		queue_put(&worker->in, effect->envelope); /* said twice */
}

static void drop_outbox(struct sim *sim)
{
	for (size_t i = 0; i < sim->outbox_count; i++) {
		struct core_effects one = { &sim->outbox[i], 1, 1, 0 };

		core_effects_clear(&one);
	}
	sim->outbox_count = 0;
}

static void note_terminal(uint64_t task, void *userdata)
{
	struct sim *sim = userdata;
	const struct task_row *row = core_task(sim->core, task);

	for (uint32_t n = 1; n <= row->attempt; n++) {
		const struct attempt_row *attempt = core_attempt(sim->core, task, n);
		struct seen *seen = find_seen(sim, task, n);

		if (seen && !seen->terminal && task_state_over((Maestro__TaskState)attempt->state)) {
			seen->terminal = attempt->state;
			sim->ends++;
		}
	}
}

static void commit(struct sim *sim, bool send)
{
	if (store_in_transaction(sim->store))
		must(store_commit(sim->store, NULL), "commit");
	core_each_task(sim->core, note_terminal, sim);
	for (size_t i = 0; i < sim->outbox_count && send; i++)
		deliver(sim, &sim->outbox[i]);
	drop_outbox(sim);
}

static void handle(struct sim *sim, struct core_event *event)
{
	event->wall_ms = (int64_t)sim->now_ms;
	must(core_handle(sim->core, event, sim->now_ms, &sim->effects), "core_handle");
	for (size_t i = 0; i < sim->effects.count; i++) {
		struct core_effect *effect = &sim->effects.items[i];
		struct error error = ERROR_NULL;
		int r = 0;

		if (effect->type == CORE_EFFECT_PUT || effect->type == CORE_EFFECT_DROP) {
			if (!store_in_transaction(sim->store))
				must(store_begin(sim->store, NULL), "begin");
			r = effect->type == CORE_EFFECT_PUT ?
				store_put(sim->store, effect->table, effect->row, &error) :
				store_drop(sim->store, effect->table, effect->row, &error);
			must(r, error_text(&error, r));
			continue;
		}
		if (sim->broken && strcmp(sim->broken, "commit") == 0)
			deliver(sim, effect); /* said before it is durable */
		if (sim->outbox_count == sim->outbox_size) {
			sim->outbox_size = sim->outbox_size ? sim->outbox_size * 2 : 64;
			sim->outbox = realloc(sim->outbox, sim->outbox_size * sizeof(*sim->outbox));
			must(sim->outbox ? 0 : -ENOMEM, "outbox");
		}
		sim->outbox[sim->outbox_count++] = *effect;
		memset(effect, 0, sizeof(*effect));
	}
	core_effects_clear(&sim->effects);
}

static void cut(struct sim *sim, struct sim_worker *worker, bool tell)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker->name, .text = "cut" };

	if (!worker->connected)
		return;
	worker->connected = worker->ready = false;
	queue_clear(&worker->in);
	queue_clear(&worker->out);
	if (tell)
		handle(sim, &event);
}

static void crash(struct sim *sim, bool after_commit)
{
	note(sim, "coordinator killed %s", after_commit ? "between commit and sending" : "before its commit");
	if (after_commit)
		commit(sim, false);
	drop_outbox(sim);
	store_rollback(sim->store);
	core_free(sim->core);
	for (int i = 0; i < WORKERS; i++)
		cut(sim, &sim->workers[i], false);
	load_core(sim);
}

/* --- workers ------------------------------------------------------------------------------------------------- */

static void send_report(struct sim_worker *worker, const struct held *held, size_t index)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;
	char commit[41];

	snprintf(commit, sizeof(commit), "%040" PRIx64, held->task * 1000 + held->attempt);
	report.number = held->numbers[index];
	report.task = held->task;
	report.attempt = held->attempt;
	report.run_id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)held->run_id };
	report.phase = held->phases[index];
	if (report.phase == PHASE(PUSHED)) {
		report.commit = commit;
		report.has_session_live = report.session_live = true;
	}
	report.has_exit_code = report.phase == PHASE(EXITED);
	report.has_retryable = report.phase == PHASE(FAILED);
	report.retryable = held->task % 2;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &report;
	queue_put(&worker->out, &envelope);
}

static void report(struct sim *sim, struct sim_worker *worker, struct held *held, Maestro__AttemptPhase phase)
{
	if (held->reports == 8)
		return;
	held->phase = phase;
	held->numbers[held->reports] = ++worker->next_number;
	held->phases[held->reports++] = phase;
	note(sim, "%s task=%" PRIu64 " attempt=%" PRIu32 " phase=%d", worker->name, held->task, held->attempt, (int)phase);
	if (worker->connected)
		send_report(worker, held, held->reports - 1);
}

static struct held *find_held(struct sim_worker *worker, uint64_t task, uint32_t attempt)
{
	for (size_t i = 0; i < worker->count; i++)
		if (worker->held[i].task == task && worker->held[i].attempt == attempt)
			return &worker->held[i];
	return NULL;
}

static void on_start(struct sim *sim, struct sim_worker *worker, const Maestro__Start *start)
{
	struct seen *seen = find_seen(sim, start->task, start->attempt);
	struct held *held = find_held(worker, start->task, start->attempt);
	int index = worker_index(worker->name);

	if (!seen)
		return;
	if (seen->worker >= 0 && (seen->worker != index || memcmp(seen->run_id, start->run_id.data, 16) != 0))
		violate(sim, "P1 one attempt, two workers or run ids", start->task, start->attempt);
	seen->worker = index;
	memcpy(seen->run_id, start->run_id.data, 16);
	if (held && !(sim->broken && strcmp(sim->broken, "dedup") == 0))
		return; /* known: nothing is started */
	if (++seen->starts > 1)
		violate(sim, "P1 started twice", start->task, start->attempt);
	if (held || worker->count == ATTEMPTS_MAX)
		return;
	held = &worker->held[worker->count++];
	*held = (struct held){ .task = start->task, .attempt = start->attempt, .live = true };
	memcpy(held->run_id, start->run_id.data, 16);
	report(sim, worker, held, PHASE(ACCEPTED));
}

static void forget(struct sim_worker *worker, struct held *held)
{
	*held = worker->held[--worker->count];
}

static void on_ack(struct sim_worker *worker, uint64_t number)
{
	for (size_t i = 0; i < worker->count; i++) {
		struct held *held = &worker->held[i];

		for (size_t k = 0; k < held->reports; k++) {
			if (held->numbers[k] != number)
				continue;
			held->reports--;
			memmove(&held->numbers[k], &held->numbers[k + 1], (held->reports - k) * sizeof(*held->numbers));
			memmove(&held->phases[k], &held->phases[k + 1], (held->reports - k) * sizeof(*held->phases));
			return;
		}
	}
}

static void on_release(struct sim *sim, struct sim_worker *worker, const Maestro__Release *release)
{
	struct held *held = find_held(worker, release->task, release->attempt);
	struct core_event event = { .type = CORE_EVENT_ANSWERED, .task = release->task, .attempt = release->attempt };
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;

	if (held)
		forget(worker, held);
	envelope.body_case = BODY(DONE);
	envelope.done = &done;
	event.envelope = &envelope;
	handle(sim, &event);
}

static void on_verdicts(struct sim *sim, struct sim_worker *worker, const Maestro__Verdicts *verdicts)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;

	for (size_t i = 0; i < verdicts->n_entries; i++) {
		struct held *held = find_held(worker, verdicts->entries[i]->task, verdicts->entries[i]->attempt);

		if (held && (verdicts->entries[i]->verdict == MAESTRO__VERDICT__VERDICT_KILL ||
				    verdicts->entries[i]->verdict == MAESTRO__VERDICT__VERDICT_END))
			held->live = false;
		if (held && verdicts->entries[i]->verdict == MAESTRO__VERDICT__VERDICT_QUARANTINE)
			violate(sim, "quarantine of what was started honestly", held->task, held->attempt);
	}
	if (!verdicts->last)
		return;
	for (size_t i = 0; i < worker->count; i++) /* everything unacknowledged is told again */
		for (size_t k = 0; k < worker->held[i].reports; k++)
			send_report(worker, &worker->held[i], k);
	envelope.body_case = BODY(WORKER_READY);
	envelope.worker_ready = &ready;
	queue_put(&worker->out, &envelope);
	worker->ready = true;
}

static void worker_receive(struct sim *sim, struct sim_worker *worker)
{
	Maestro__Envelope *envelope = queue_take(&worker->in);
	struct held *held;

	if (!envelope)
		return;
	switch (envelope->body_case) {
	case BODY(START):
		note(sim, "%s gets start task=%" PRIu64 " attempt=%" PRIu32, worker->name, envelope->start->task,
			envelope->start->attempt);
		if (!worker->ready)
			violate(sim, "dispatch before READY", envelope->start->task, envelope->start->attempt);
		on_start(sim, worker, envelope->start);
		break;
	case BODY(STOP):
		held = find_held(worker, envelope->stop->task, envelope->stop->attempt);
		if (held)
			held->stopping = true;
		break;
	case BODY(REPORT_ACK):
		on_ack(worker, envelope->report_ack->number);
		break;
	case BODY(VERDICTS):
		on_verdicts(sim, worker, envelope->verdicts);
		break;
	case BODY(RELEASE):
		on_release(sim, worker, envelope->release);
		break;
	default:
		break;
	}
	maestro__envelope__free_unpacked(envelope, NULL);
}

/* One attempt gets a step further, in the ways that attempts do. */
static void worker_progress(struct sim *sim, struct sim_worker *worker)
{
	static const Maestro__AttemptPhase ends[] = { PHASE(PUSHED), PHASE(PUSHED), PHASE(EXITED), PHASE(FAILED) };
	struct held *held;

	if (!worker->count)
		return;
	held = &worker->held[pick(sim, (unsigned int)worker->count)];
	if (!held->live)
		return;
	if (held->phase == PHASE(ACCEPTED) && !held->stopping) {
		report(sim, worker, held, pick(sim, 6) ? PHASE(RUNNING) : PHASE(FAILED));
	} else if (held->stopping) {
		report(sim, worker, held, held->phase == PHASE(PUSHED) ? PHASE(ENDED) : PHASE(STOPPED));
	} else if (held->phase == PHASE(RUNNING)) {
		report(sim, worker, held, ends[pick(sim, 4)]);
	} else if (held->phase == PHASE(PUSHED)) {
		report(sim, worker, held, pick(sim, 2) ? PHASE(ENDED) : PHASE(PUSHED));
	}
	held->live = held->phase == PHASE(ACCEPTED) || held->phase == PHASE(RUNNING) || held->phase == PHASE(PUSHED);
}

static void send_inventory(struct sim_worker *worker)
{
	for (size_t i = 0; i <= worker->count; i++) { /* one entry a page, and an empty last one */
		Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
		Maestro__Inventory page = MAESTRO__INVENTORY__INIT;
		Maestro__InventoryEntry entry = MAESTRO__INVENTORY_ENTRY__INIT, *pointer = &entry;
		const struct held *held = &worker->held[i];

		page.last = i == worker->count;
		page.has_total = page.last;
		page.total = (uint32_t)worker->count;
		if (!page.last) {
			entry.task = held->task;
			entry.attempt = held->attempt;
			entry.run_id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)held->run_id };
			entry.phase = held->phase;
			entry.has_session_live = true;
			entry.session_live = held->live && held->phase != PHASE(ACCEPTED);
			page.n_entries = 1;
			page.entries = &pointer;
		}
		envelope.body_case = BODY(INVENTORY);
		envelope.inventory = &page;
		queue_put(&worker->out, &envelope);
	}
}

static void worker_connect(struct sim *sim, struct sim_worker *worker)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = worker->name, .text = worker->boot_id,
		.name = "sim" };
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;

	if (worker->connected)
		return;
	commit(sim, true); /* the executor's rule: words for the old connection must not reach the new one */
	note(sim, "%s connects", worker->name);
	worker->connected = true;
	handle(sim, &event);
	info.has_slots = true;
	info.slots = 3;
	envelope.body_case = BODY(WORKER_INFO);
	envelope.worker_info = &info;
	queue_put(&worker->out, &envelope);
	send_inventory(worker);
}

static void worker_reboot(struct sim *sim, struct sim_worker *worker)
{
	note(sim, "%s reboots", worker->name);
	cut(sim, worker, true);
	snprintf(worker->boot_id, sizeof(worker->boot_id), "%032u", ++worker->boots);
	for (size_t i = 0; i < worker->count; i++) { /* what ran is gone; the journal says so at the next start */
		struct held *held = &worker->held[i];

		if (held->live && held->phase != PHASE(PUSHED))
			report(sim, worker, held, PHASE(FAILED));
		else if (held->live)
			report(sim, worker, held, PHASE(ENDED));
		held->live = false;
	}
}

static void carry(struct sim *sim, struct sim_worker *worker)
{
	Maestro__Envelope *envelope;

	if (!worker->connected)
		return;
	if (pick(sim, 2)) {
		worker_receive(sim, worker);
		return;
	}
	envelope = queue_take(&worker->out);
	if (envelope) {
		struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker->name, .envelope = envelope };

		handle(sim, &event);
		maestro__envelope__free_unpacked(envelope, NULL);
	}
}

static void repeat_report(struct sim *sim, struct sim_worker *worker)
{
	struct held *held = worker->count ? &worker->held[pick(sim, (unsigned int)worker->count)] : NULL;

	if (held && held->reports && worker->ready)
		send_report(worker, held, pick(sim, (unsigned int)held->reports));
}

/* --- people -------------------------------------------------------------------------------------------------- */

static void submit(struct sim *sim)
{
	uint64_t request = sim->requests && !pick(sim, 4) ? 1 + pick(sim, (unsigned int)sim->requests) : ++sim->requests;
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .client = { 1, request, "sim" } };
	Maestro__Submit message = MAESTRO__SUBMIT__INIT;
	char id[24], *agent = (char *)(uintptr_t)"command";

	if (sim->requests >= TASKS_MAX - 1 || sim->acknowledged_count > TASKS_MAX - 8)
		return;
	snprintf(id, sizeof(id), "r%" PRIu64, request);
	message.has_request_id = true;
	message.request_id = bytes_of(id);
	message.n_agents = 1;
	message.agents = &agent;
	message.prompt = bytes_of("true");
	message.has_copies = true;
	message.copies = 1 + (uint32_t)(request % 3);
	message.has_retries = true;
	message.retries = (uint32_t)(request % 2);
	event.submit = &message;
	note(sim, "submit %s", id);
	handle(sim, &event);
}

static void act(struct sim *sim)
{
	static const Maestro__TaskAction actions[] = { MAESTRO__TASK_ACTION__ACT_STOP, MAESTRO__TASK_ACTION__ACT_RETRY,
		MAESTRO__TASK_ACTION__ACT_REJECT };
	struct core_event event = { .type = CORE_EVENT_ACT, .client = { 1, 0, "sim" } };
	Maestro__ActOnTask message = MAESTRO__ACT_ON_TASK__INIT;

	if (!sim->acknowledged_count)
		return;
	message.task = sim->acknowledged[pick(sim, (unsigned int)sim->acknowledged_count)];
	message.action = actions[pick(sim, 3)];
	message.has_abandon = true;
	message.abandon = pick(sim, 4) == 0;
	event.act = &message;
	note(sim, "act %d on task=%" PRIu64, (int)message.action, message.task);
	handle(sim, &event);
}

static void merge(struct sim *sim)
{
	struct core_event event = { .type = CORE_EVENT_MERGED, .text = "0000000000000000000000000000000000000001" };

	if (!sim->acknowledged_count)
		return;
	event.task = sim->acknowledged[pick(sim, (unsigned int)sim->acknowledged_count)];
	handle(sim, &event);
}

/* --- the invariants ------------------------------------------------------------------------------------------ */

static void check_task(uint64_t task, void *userdata)
{
	struct sim *sim = userdata;
	const struct task_row *row = core_task(sim->core, task);

	for (uint32_t n = 1; n <= row->attempt; n++) {
		const struct attempt_row *attempt = core_attempt(sim->core, task, n);
		const struct seen *seen = find_seen(sim, task, n);
		bool accepted = attempt->state == MAESTRO__TASK_STATE__TASK_REVIEW ||
			attempt->state == MAESTRO__TASK_STATE__TASK_MERGED;

		if (accepted && n != row->attempt)
			violate(sim, "P2 an old attempt's branch is accepted", task, n);
		sim->reviews += accepted;
		if (seen && seen->terminal && seen->terminal != attempt->state)
			violate(sim, "P4 a terminal state changed", task, n);
	}
}

static void check(struct sim *sim)
{
	core_each_task(sim->core, check_task, sim);
	for (size_t i = 0; i < sim->acknowledged_count; i++)
		if (!core_task(sim->core, sim->acknowledged[i]))
			violate(sim, "P3 an acknowledged submit is lost", sim->acknowledged[i], 0);
}

/* --- a history ----------------------------------------------------------------------------------------------- */

/* What must not come too often, or nothing else ever happens. */
static void rare(struct sim *sim, struct sim_worker *worker)
{
	unsigned int roll = pick(sim, 16);

	if (roll < 3)
		cut(sim, worker, true);
	else if (roll < 4)
		worker_reboot(sim, worker);
	else if (roll < 6)
		crash(sim, pick(sim, 2));
	else
		sim->now_ms += pick(sim, 20000);
}

static void step(struct sim *sim)
{
	struct sim_worker *worker = &sim->workers[pick(sim, WORKERS)];
	struct core_event tick = { .type = CORE_EVENT_TICK };
	unsigned int roll = pick(sim, 100);

	if (roll < 3)
		submit(sim);
	else if (roll < 5)
		act(sim);
	else if (roll < 6)
		merge(sim);
	else if (roll < 62)
		carry(sim, worker);
	else if (roll < 72)
		worker_progress(sim, worker);
	else if (roll < 74)
		repeat_report(sim, worker);
	else if (roll < 80)
		worker_connect(sim, worker);
	else if (roll < 82)
		handle(sim, &tick);
	else if (roll < 84)
		rare(sim, worker);
	else
		commit(sim, true);
	sim->now_ms++;
}

static void setup(struct sim *sim)
{
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD };
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
	struct error error = ERROR_NULL;

	must(store_open(&sim->store, ":memory:", &error), "store");
	load_core(sim);
	add.name = (char *)(uintptr_t)"p";
	add.url = bytes_of("host:p.git");
	add.base_branch = (char *)(uintptr_t)"main";
	event.project_add = &add;
	handle(sim, &event);
	commit(sim, true);
	for (int i = 0; i < WORKERS; i++)
		snprintf(sim->workers[i].name, sizeof(sim->workers[i].name), "w%d", i);
}

static void teardown(struct sim *sim)
{
	drop_outbox(sim);
	free(sim->outbox);
	core_effects_deinit(&sim->effects);
	core_free(sim->core);
	store_rollback(sim->store);
	store_free(sim->store);
	for (int i = 0; i < WORKERS; i++) {
		queue_clear(&sim->workers[i].in);
		queue_clear(&sim->workers[i].out);
	}
	buf_deinit(&sim->history);
}

static bool run(uint64_t seed, unsigned int steps, const char *broken, unsigned long *reviews, unsigned long *ends)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	bool failed;

	must(sim ? 0 : -ENOMEM, "memory");
	sim->rng = sim->seed = seed;
	sim->now_ms = 1000;
	sim->broken = broken;
	current = sim;
	setup(sim);
	for (unsigned int i = 0; i < steps && !sim->failed; i++) {
		step(sim);
		check(sim);
	}
	if (sim->failed)
		printf("%sseed %" PRIu64 " failed\n", buf_text(&sim->history), seed);
	*reviews += sim->reviews;
	*ends += sim->ends;
	failed = sim->failed;
	teardown(sim);
	free(sim);
	return !failed;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 50, seed = 1, failed = 0;
	unsigned long reviews = 0, ends = 0;
	unsigned int steps = 3000;
	const char *broken = NULL;

	must(id_init(), "randomness");
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seeds") == 0)
			seeds = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--steps") == 0)
			steps = (unsigned int)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--break") == 0)
			broken = argv[i + 1];
		else
			return 2;
	}
	for (uint64_t i = 0; i < seeds && !failed; i++)
		failed += !run(seed + i, steps, broken, &reviews, &ends);
	printf("%" PRIu64 " histories from seed %" PRIu64 ", %lu looks at accepted branches, %lu attempts ended, %" PRIu64
	       " failed\n",
		seeds, seed, reviews, ends, failed);
	return failed || (!broken && (!reviews || !ends)); /* histories in which nothing happens prove nothing */
}
