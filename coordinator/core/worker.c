/* Workers: coming, telling what they have, being judged, going, and growing silent.
 *
 * Nothing is decided before the last page of an inventory. Then everything is decided at once, in the transaction of
 * that one event; Starts and Stops that were missed go out when the worker has said READY. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERDICT_PAGE 512

bool worker_is_up(const struct core *core, const char *name)
{
	const struct worker *worker = name ? find_worker(core, name) : NULL;

	return worker && worker->phase == WORKER_UP;
}

#define BEATS_PER_S 50u /* of all workers together */

uint64_t core_heartbeat_ms(const struct core *core)
{
	uint64_t many_ms = HASH_COUNT(core->workers) * 1000ull / BEATS_PER_S;

	return many_ms > core->config.heartbeat_ms ? many_ms : core->config.heartbeat_ms;
}

static void set_state(struct core *core, struct core_effects *fx, struct worker *worker, Maestro__WorkerState state)
{
	if (worker->state == state)
		return;
	worker->state = state;
	worker_moved(core, worker);
	worker_note_due(core, worker);
	record_event(core, fx, "worker.state", NULL, worker->row.name, name_worker_state(state));
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

static void forget_inventory(struct worker *worker)
{
	free(worker->inventory);
	worker->inventory = NULL;
	worker->inventory_count = 0;
}

/* One of this name may have been here before, and have been removed. */
static struct worker *add_newcomer(struct core *core, struct core_effects *fx, const char *name)
{
	struct worker *worker = add_worker(core, name);

	for (struct task *task = core->tasks; worker && task; task = task->hh.next) {
		for (size_t i = 0; i < task->attempt_count; i++)
			if (strcmp(task->attempts[i]->row.worker, name) == 0)
				attempt_hold(core, task->attempts[i]);
		idle_update(core, fx, task);
	}
	return worker;
}

void handle_connected(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker)
		worker = add_newcomer(core, fx, event->worker);
	if (!worker) {
		fx->error = -ENOMEM;
		return;
	}
	worker->rebooted = worker->row.boot_id && strcmp(worker->row.boot_id, str_or(event->text, "")) != 0;
	set_text(fx, &worker->row.boot_id, str_or(event->text, ""));
	set_text(fx, &worker->row.software, event->name);
	worker->row.lost = worker->given_up = false;
	worker->row.seen_ms = core->wall_ms;
	worker->seen_ms = core->now_ms;
	worker->heard_ms = core->wall_ms;
	worker->heartbeat_ms = core_heartbeat_ms(core);
	worker->phase = WORKER_CONNECTED;
	worker_moved(core, worker);
	forget_inventory(worker);
	effect_put(fx, ROW_WORKER, &worker->row);
	record_event(core, fx, "worker.connected", NULL, worker->row.name, NULL);
	set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_READY);
	worker_note_due(core, worker);
	effect_changed_worker(fx, worker->row.name);
}

void handle_disconnected(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker || worker->phase == WORKER_AWAY)
		return;
	worker->phase = WORKER_AWAY;
	worker_moved(core, worker);
	worker->row.seen_ms = worker->heard_ms = core->wall_ms;
	forget_inventory(worker);
	effect_put(fx, ROW_WORKER, &worker->row);
	record_event(core, fx, "worker.disconnected", NULL, worker->row.name, event->text);
	if (worker->state == MAESTRO__WORKER_STATE__WORKER_READY) /* a closed link needs no waiting; a silent one does */
		set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_SUSPECT);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

/* --- start and stop ------------------------------------------------------------------------------------------ */

void worker_send_stop(struct core_effects *fx, const struct attempt *attempt)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Stop stop = MAESTRO__STOP__INIT;

	stop.task = attempt->row.task;
	stop.attempt = attempt->row.attempt;
	stop.has_grace_ms = true;
	stop.grace_ms = 10000;
	envelope.body_case = BODY(STOP);
	envelope.stop = &stop;
	effect_send(fx, attempt->row.worker, &envelope);
}

static void fill_start(const struct core *core, Maestro__Start *start, const struct task *task, const struct attempt *attempt)
{
	const Maestro__Submit *spec = task->spec;

	start->task = task->row.id;
	start->attempt = attempt->row.attempt;
	start->run_id = (ProtobufCBinaryData){ attempt->row.run_id.len, attempt->row.run_id.data };
	start->agent = task->row.agent;
	start->prompt = spec->prompt;
	start->has_title = true;
	start->title = bytes_of(task->row.title);
	start->branch = attempt->row.branch;
	start->base_branch = task->row.base_branch;
	start->from_commit = task->row.from_commit;
	start->has_cols = spec->has_cols;
	start->cols = spec->cols;
	start->has_rows = spec->has_rows;
	start->rows = spec->rows;
	start->has_max_time_ms = spec->has_max_time_ms;
	start->max_time_ms = spec->max_time_ms;
	start->has_max_idle_ms = spec->has_max_idle_ms;
	start->max_idle_ms = spec->max_idle_ms;
	start->has_model = spec->has_model;
	start->model = spec->model;
	start->has_permission = spec->has_permission;
	start->permission = spec->permission;
	start->author = spec->author;
	start->has_push_of = attempt->row.push_of != 0;
	start->push_of = attempt->row.push_of;
	start->has_linger_ms = core->config.linger_ms != 0;
	start->linger_ms = core->config.linger_ms;
}

void worker_send_start(struct core *core, struct core_effects *fx, const struct task *task)
{
	const struct attempt *attempt = current_attempt(task);
	const struct project *project = find_project(core, task->row.project);
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Start start = MAESTRO__START__INIT;
	Maestro__ProjectSpec spec = MAESTRO__PROJECT_SPEC__INIT;

	if (fx->error || !project || !task->spec)
		return;
	spec.name = project->row.name;
	spec.url = (ProtobufCBinaryData){ project->row.url.len, project->row.url.data };
	spec.base_branch = project->row.base_branch ? project->row.base_branch : task->row.base_branch;
	spec.has_needs_git = true;
	spec.needs_git = project->row.needs_git;
	start.project = &spec;
	fill_start(core, &start, task, attempt);
	envelope.body_case = BODY(START);
	envelope.start = &start;
	effect_send(fx, attempt->row.worker, &envelope);
}

static bool may_lose(const struct task *task)
{
	return task->spec && task->row.retries_used < task->spec->retries && !task->row.stopping;
}

void lose_attempts(struct core *core, struct core_effects *fx, struct worker *worker, const char *reason, bool retryable)
{
	struct attempt *attempt;

	list_for_each (attempt, &worker->held, held) {
		struct task *task = attempt->task;

		if (attempt != current_attempt(task) || (retryable && !may_lose(task)))
			continue;
		if (task_move(core, fx, task, CAUSE_LOSE, reason) && retryable)
			task_retry_by_itself(core, fx, task);
		else if (task->row.state == REVIEW)
			attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
	}
}

/* --- the inventory and its verdicts -------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
	const struct inventory_entry *x = a, *y = b;

	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	if (x->attempt != y->attempt)
		return x->attempt < y->attempt ? -1 : 1;
	return memcmp(x->run_id, y->run_id, sizeof(x->run_id));
}

/* The inventory is in order from its last page on. */
static const struct inventory_entry *inventory_find(const struct worker *worker, const struct attempt *attempt)
{
	struct inventory_entry like = { .task = attempt->row.task, .attempt = attempt->row.attempt };

	if (!worker->inventory_count)
		return NULL;
	memcpy(like.run_id, attempt->row.run_id.data, sizeof(like.run_id));
	return bsearch(&like, worker->inventory, worker->inventory_count, sizeof(like), compare_entries);
}

bool inventory_live(const struct inventory_entry *entry)
{
	return entry->session_live || entry->phase == MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED ||
		entry->phase == MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING;
}

/* Another run under the same number: of a time that the database has forgotten. What is over needs no question. */
static Maestro__Verdict judge_double(struct core *core, struct core_effects *fx, struct worker *worker,
	const struct inventory_entry *entry)
{
	if (!inventory_live(entry))
		return MAESTRO__VERDICT__VERDICT_ACCEPT;
	if (core->trusted && !core->question)
		return core->asking ? stranger_judge(core, fx, worker, entry) : MAESTRO__VERDICT__VERDICT_KILL;
	restore_ask(core, fx, worker, entry->task, entry->attempt);
	return MAESTRO__VERDICT__VERDICT_QUARANTINE;
}

/* No backup gives one run to two workers: this one's state was copied, or it lies. */
static Maestro__Verdict judge_stolen(struct core *core, struct core_effects *fx, struct worker *worker, struct task *task,
	const struct inventory_entry *entry)
{
	record_event(core, fx, "worker.refused", task, worker->row.name, "it shows an attempt that another worker was given");
	return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_KILL : MAESTRO__VERDICT__VERDICT_ACCEPT;
}

static Maestro__Verdict judge_known(struct core *core, struct core_effects *fx, struct worker *worker,
	struct task *task, struct attempt *attempt, const struct inventory_entry *entry)
{
	Maestro__SessionState session =
		entry->session_live ? MAESTRO__SESSION_STATE__SESSION_LIVE : MAESTRO__SESSION_STATE__SESSION_ENDED;
	bool same_run = !memcmp(entry->run_id, attempt->row.run_id.data, sizeof(entry->run_id));

	if (same_run && strcmp(attempt->row.worker, worker->row.name) != 0)
		return judge_stolen(core, fx, worker, task, entry);
	if (!same_run)
		return judge_double(core, fx, worker, entry);
	if (core->question && task_state_over((Maestro__TaskState)attempt->row.state))
		return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_QUARANTINE : MAESTRO__VERDICT__VERDICT_ACCEPT;
	if (attempt != current_attempt(task) || task->row.state == QUEUED)
		return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_KILL : MAESTRO__VERDICT__VERDICT_ACCEPT;
	if (task_state_over((Maestro__TaskState)task->row.state) && !inventory_live(entry) &&
		attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE)
		attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
	if (task_state_over((Maestro__TaskState)task->row.state))
		return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_END : MAESTRO__VERDICT__VERDICT_ACCEPT;
	if (entry->phase == MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING)
		task_move(core, fx, task, CAUSE_RUN, NULL);
	if (task->row.state == REVIEW || entry->phase == MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING)
		attempt_set_session(core, fx, task, attempt, session);
	return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_ADOPT : MAESTRO__VERDICT__VERDICT_ACCEPT;
}

static Maestro__Verdict judge(struct core *core, struct core_effects *fx, struct worker *worker,
	const struct inventory_entry *entry)
{
	struct task *task = find_task(core, entry->task);
	struct attempt *attempt = task ? find_attempt(task, entry->attempt) : NULL;
	bool stranger = !task && restore_never_given(core, entry->task);

	if (!attempt && (task || entry->task >= core->next_task)) {
		restore_ask(core, fx, worker, entry->task, entry->attempt);
		restore_take_id(core, fx, entry->task);
		if (task)
			restore_take_attempt(core, fx, task, worker, entry->attempt, entry->run_id);
		attempt = task ? find_attempt(task, entry->attempt) : NULL;
	}
	if (attempt)
		return judge_known(core, fx, worker, task, attempt, entry);
	if (core->question) {
		record_event(core, fx, "worker.quarantine", NULL, worker->row.name,
			"it holds a session that this coordinator never started");
		return MAESTRO__VERDICT__VERDICT_QUARANTINE;
	}
	if (stranger && core->asking && inventory_live(entry))
		return stranger_judge(core, fx, worker, entry);
	/* The task was removed by force while its worker was away, or is not to be asked about. */
	return inventory_live(entry) ? MAESTRO__VERDICT__VERDICT_END : MAESTRO__VERDICT__VERDICT_ACCEPT;
}

/* What should be on this worker and is not. A start that never arrived is sent again at READY. */
static void judge_absent(struct core *core, struct core_effects *fx, struct worker *worker)
{
	const char *reason = worker->rebooted ? "its worker's machine was started again" :
						"its session vanished from the worker";
	_cleanup_(buf_deinit) struct buf removed = BUF_NULL; /* ids: going on takes attempts out of the list */
	struct attempt *attempt;

	list_for_each (attempt, &worker->held, held) {
		struct task *task = attempt->task;

		if (attempt != current_attempt(task) || inventory_find(worker, attempt))
			continue;
		if (task->row.state == RUNNING)
			task_move(core, fx, task, CAUSE_LOSE, reason);
		else if (task->row.state != STARTING && attempt->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE)
			attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
		else if (task->row.state == STARTING && task->row.stopping)
			task_move(core, fx, task, CAUSE_STOP, "stopped before it began");
		if (task->removal.wanted && buf_append(&removed, &task->row.id, sizeof(task->row.id)))
			fx->error = -ENOMEM;
	}
	for (size_t at = 0; at < removed.len && !fx->error; at += sizeof(uint64_t)) {
		uint64_t id;

		memcpy(&id, removed.data + at, sizeof(id));
		removal_continue(core, fx, find_task(core, id));
	}
}

static void send_verdicts(struct core_effects *fx, const struct worker *worker, Maestro__VerdictEntry *entries)
{
	_cleanup_free_ Maestro__VerdictEntry **pointers = calloc(VERDICT_PAGE, sizeof(*pointers));
	size_t sent = 0;

	if (!pointers) {
		fx->error = -ENOMEM;
		return;
	}
	do {
		Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
		Maestro__Verdicts page = MAESTRO__VERDICTS__INIT;

		for (; page.n_entries < VERDICT_PAGE && sent < worker->inventory_count; sent++)
			pointers[page.n_entries++] = &entries[sent];
		page.entries = pointers;
		page.last = sent == worker->inventory_count;
		envelope.body_case = BODY(VERDICTS);
		envelope.verdicts = &page;
		effect_send(fx, worker->row.name, &envelope);
	} while (sent < worker->inventory_count);
}

static void judge_all(struct core *core, struct core_effects *fx, struct worker *worker)
{
	size_t n = worker->inventory_count;
	_cleanup_free_ Maestro__VerdictEntry *entries = calloc(n ? n : 1, sizeof(*entries));

	if (!entries) {
		fx->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct inventory_entry *entry = &worker->inventory[i];

		maestro__verdict_entry__init(&entries[i]);
		entries[i].task = entry->task;
		entries[i].attempt = entry->attempt;
		entries[i].run_id = (ProtobufCBinaryData){ sizeof(entry->run_id), entry->run_id };
		entries[i].verdict = judge(core, fx, worker, entry);
	}
	judge_absent(core, fx, worker);
	strangers_sweep(core, fx, worker);
	send_verdicts(fx, worker, entries);
	worker->phase = WORKER_JUDGED;
}

static void handle_inventory(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__Inventory *page = envelope->inventory;
	size_t count = worker->inventory_count + page->n_entries;
	struct inventory_entry *entries;

	if (worker->phase != WORKER_CONNECTED || count > LIMIT_REPEATED) {
		effect_disconnect(fx, worker->row.name, "an inventory that was not expected");
		return;
	}
	entries = realloc(worker->inventory, (count ? count : 1) * sizeof(*entries));
	if (!entries) {
		fx->error = -ENOMEM;
		return;
	}
	worker->inventory = entries;
	for (size_t i = 0; i < page->n_entries; i++) {
		const Maestro__InventoryEntry *from = page->entries[i];
		struct inventory_entry *to = &entries[worker->inventory_count++];

		*to = (struct inventory_entry){ .task = from->task, .attempt = from->attempt,
			.phase = (int)from->phase, .session_live = from->has_session_live && from->session_live };
		if (from->run_id.len == sizeof(to->run_id))
			memcpy(to->run_id, from->run_id.data, sizeof(to->run_id));
		if (from->commit && name_commit_valid(from->commit))
			snprintf(to->commit, sizeof(to->commit), "%s", from->commit);
	}
	if (!page->last)
		return;
	if (page->has_total && page->total != worker->inventory_count) {
		effect_disconnect(fx, worker->row.name, "an inventory whose total is wrong");
		return;
	}
	if (worker->inventory_count)
		qsort(worker->inventory, worker->inventory_count, sizeof(*worker->inventory), compare_entries);
	judge_all(core, fx, worker);
}

/* --- READY --------------------------------------------------------------------------------------------------- */

/* What was committed while the worker was away, and what it may never have heard. */
static void catch_up(struct core *core, struct core_effects *fx, struct worker *worker)
{
	const struct attempt *attempt;

	list_for_each (attempt, &worker->held, held) {
		const struct task *task = attempt->task;
		bool known = inventory_find(worker, attempt) != NULL, current = attempt == current_attempt(task);

		if (current && task->row.state == STARTING && !known && !core->question)
			worker_send_start(core, fx, task);
		else if (current && (task->row.state == STARTING || task->row.state == RUNNING) && task->row.stopping)
			worker_send_stop(fx, attempt);
		else if ((task->row.state == MERGED || task->row.state == REJECTED) && known)
			release_attempt(fx, attempt, false);
	}
}

/* Leftovers of tasks that are gone. Unpushed work stays: force is not set. */
static void release_strangers(struct core *core, struct core_effects *fx, struct worker *worker)
{
	for (size_t i = 0; i < worker->inventory_count; i++) {
		const struct inventory_entry *entry = &worker->inventory[i];
		struct attempt gone = { .row = { .task = entry->task, .attempt = entry->attempt, .worker = worker->row.name } };

		if (!core->question && !find_task(core, entry->task) && entry->task < core->next_task &&
			!debt_known(core, entry->task, entry->attempt) && !question_find_run(core, entry->run_id))
			release_attempt(fx, &gone, false);
	}
}

static void handle_ready(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	if (worker->phase != WORKER_JUDGED)
		return;
	worker->phase = WORKER_UP;
	worker_moved(core, worker);
	catch_up(core, fx, worker);
	release_strangers(core, fx, worker);
	if (!core->question)
		debts_ask(core, fx, worker);
	record_event(core, fx, "worker.ready", NULL, worker->row.name, NULL);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

/* --- small news ---------------------------------------------------------------------------------------------- */

static void handle_info(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	Maestro__WorkerInfo *info = message_copy(envelope->worker_info);

	if (!info || message_pack(info, &packed)) {
		fx->error = -ENOMEM;
		return;
	}
	if (worker->info)
		maestro__worker_info__free_unpacked(worker->info, NULL);
	worker->info = info;
	worker_described(core, worker);
	if (packed.len != worker->row.info.len || !packed.len ||
		memcmp(packed.data, worker->row.info.data, packed.len) != 0) {
		if (row_set_blob(&worker->row.info, packed.data, packed.len))
			fx->error = -ENOMEM;
		effect_put(fx, ROW_WORKER, &worker->row);
	}
	if (info->has_epoch_seen)
		restore_see_epoch(core, fx, worker, info->epoch_seen);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

static void take_load(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__Heartbeat *beat = envelope->heartbeat;
	Maestro__WorkerInfo *info = worker->info;
	enum obstacle room;

	if (!info)
		return;
	room = worker_room(core, worker);
	info->has_load_percent = beat->has_load_percent;
	info->load_percent = beat->load_percent;
	info->has_memory_free_bytes = beat->has_memory_free_bytes;
	info->memory_free_bytes = beat->memory_free_bytes;
	info->has_disk_free_bytes = beat->has_disk_free_bytes;
	info->disk_free_bytes = beat->disk_free_bytes;
	if (room != worker_room(core, worker)) {
		worker_moved(core, worker);
		core->want_schedule = true;
	}
	effect_load(fx, worker->row.name);
}

static void handle_heartbeat(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__Heartbeat *beat = envelope->heartbeat;

	/* Its reports are said by now, unless its disk keeps them back: what they leave unsaid was said to another database. */
	if (worker->phase == WORKER_UP && worker->inventory && !(beat->has_behind && beat->behind)) {
		restore_settle(core, fx, worker);
		forget_inventory(worker);
	}
	take_load(core, worker, envelope, fx);
}

static const struct {
	Maestro__Envelope__BodyCase body;
	void (*handle)(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
} messages[] = {
	{ BODY(WORKER_INFO), handle_info },
	{ BODY(INVENTORY), handle_inventory },
	{ BODY(WORKER_READY), handle_ready },
	{ BODY(ATTEMPT_REPORT), handle_report },
	{ BODY(STATUS_REPORT), handle_status },
	{ BODY(PUSH_REQUEST), handle_push_request },
	{ BODY(HEARTBEAT), handle_heartbeat },
};

void handle_worker_message(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker || worker->phase == WORKER_AWAY)
		return;
	worker->seen_ms = core->now_ms;
	worker->heard_ms = core->wall_ms;
	set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_READY);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (messages[i].body == event->envelope->body_case)
			messages[i].handle(core, worker, event->envelope, fx);
}

/* --- silence ------------------------------------------------------------------------------------------------- */

static uint64_t beat_ms(const struct core *core, const struct worker *worker)
{
	return worker->heartbeat_ms ? worker->heartbeat_ms : core_heartbeat_ms(core);
}

/* When this worker's next state is due, UINT64_MAX: never. */
static uint64_t expiry(const struct core *core, const struct worker *worker, Maestro__WorkerState *ret_next)
{
	uint64_t at, grace = core->began_ms + core->config.grace_ms;

	if (worker->state == MAESTRO__WORKER_STATE__WORKER_READY) {
		at = worker->seen_ms + 3 * beat_ms(core, worker);
		*ret_next = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	} else if (worker->state == MAESTRO__WORKER_STATE__WORKER_SUSPECT) {
		at = worker->seen_ms + 6 * beat_ms(core, worker);
		*ret_next = MAESTRO__WORKER_STATE__WORKER_UNKNOWN;
	} else if (!worker->given_up) {
		at = worker->seen_ms + core->config.silence_ms;
		*ret_next = worker->state;
	} else {
		return UINT64_MAX;
	}
	return at > grace ? at : grace;
}

static void expire(struct core *core, struct core_effects *fx, struct worker *worker)
{
	Maestro__WorkerState next = MAESTRO__WORKER_STATE__WORKER_READY;

	while (expiry(core, worker, &next) <= core->now_ms) {
		if (next != worker->state) {
			set_state(core, fx, worker, next);
			continue;
		}
		worker->given_up = true;
		lose_attempts(core, fx, worker, "its worker was silent for too long", true);
	}
}

static uint64_t limits_deadline(const struct worker *worker)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < worker->limit_count; i++)
		if (worker->limits[i].until_ms && worker->limits[i].until_ms < first)
			first = worker->limits[i].until_ms;
	return first;
}

static void expire_limits(struct core *core, struct core_effects *fx, struct worker *worker)
{
	for (size_t i = 0; i < worker->limit_count; i++) {
		struct account_limit *limit = &worker->limits[i];

		if (!limit->until_ms || limit->until_ms > core->now_ms)
			continue;
		limit->until_ms = 0;
		worker_moved(core, worker);
		effect_changed_worker(fx, worker->row.name);
		record_event(core, fx, "agent.resumed", NULL, worker->row.name, limit->agent->name);
		core->want_schedule = true;
	}
}

#define FROZEN_MS 5000u /* a tick that comes so late was held up by a stopped process or a sleeping machine */

void workers_tick(struct core *core, struct core_effects *fx)
{
	uint64_t due_ms = UINT64_MAX;

	if (core->now_ms < core->workers_due_ms)
		return;
	for (const struct worker *worker = core->workers; worker; worker = worker->hh.next) {
		Maestro__WorkerState next;
		uint64_t at = expiry(core, worker, &next);

		due_ms = at < due_ms ? at : due_ms;
	}
	/* It was we who heard nothing: what the workers said lies in the sockets. */
	if (due_ms != UINT64_MAX && core->now_ms > due_ms + FROZEN_MS)
		core->began_ms = core->now_ms;
	core->workers_due_ms = UINT64_MAX;
	for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
		expire(core, fx, worker);
		expire_limits(core, fx, worker);
		worker_note_due(core, worker);
	}
}

/* Whoever is heard is due later, which nobody writes down: the tick that comes too soon finds out. */
void worker_note_due(struct core *core, const struct worker *worker)
{
	Maestro__WorkerState next;
	uint64_t at = min_ms(expiry(core, worker, &next), limits_deadline(worker));

	core->workers_due_ms = min_ms(core->workers_due_ms, at);
}

void worker_count_silence(struct core *core, struct worker *worker)
{
	worker->seen_ms = core->now_ms;
	worker_note_due(core, worker);
}

uint64_t workers_deadline(const struct core *core)
{
	return core->workers_due_ms;
}
