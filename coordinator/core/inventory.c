/* Workers that tell what they have, and are judged.
 *
 * Nothing is decided before the last page of an inventory. Then everything is decided at once, in the transaction of
 * that one event; Starts and Stops that were missed go out when the worker has said READY. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

#define VERDICT_PAGE 512

void inventory_forget(struct worker *worker)
{
	free(worker->inventory);
	worker->inventory = NULL;
	worker->inventory_count = 0;
}

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

void handle_inventory(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
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

void handle_ready(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
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
