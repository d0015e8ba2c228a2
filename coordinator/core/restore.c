/* The question that a restored backup raises. A worker shows a session that this database knows nothing of, or has
 * obeyed a later epoch: either the database is an old one, or the worker belongs elsewhere. Until an admin has said
 * which, nothing is accepted, started or killed, and what is not known is left alone in quarantine. Ids and numbers of
 * attempts go on above what any worker shows, so that nothing is ever called like something that exists, and the epoch
 * goes on above what any worker has seen, so that they obey again.
 *
 * Stored in meta: `restored`: "2" this database was said to be the truth and what it does not know ends, "3" the truth,
 * and each such session is asked about; `gaps`: ids below next_task that no task of this database ever had. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void restore_load(struct core *core, const char *value)
{
	core->asking = strcmp(value, "3") == 0;
	core->trusted = core->asking || strcmp(value, "2") == 0;
}

void restore_load_gaps(struct core *core, const char *value)
{
	unsigned long long from, to;
	int used;

	for (; sscanf(value, " %llu-%llu%n", &from, &to, &used) == 2; value += used) {
		struct gap *gaps = realloc(core->gaps, (core->gap_count + 1) * sizeof(*gaps));

		if (!gaps)
			return;
		core->gaps = gaps;
		core->gaps[core->gap_count++] = (struct gap){ from, to };
	}
}

bool restore_never_given(const struct core *core, uint64_t task)
{
	for (size_t i = 0; i < core->gap_count; i++)
		if (task >= core->gaps[i].from && task < core->gaps[i].to)
			return true;
	return task >= core->next_task;
}

static void ask(struct core *core, struct core_effects *fx, const struct worker *worker, const char *text)
{
	if (core->question || core->answered)
		return;
	core->question = true;
	question_ask(core, fx, QUESTION_RESTORED, worker, NULL, text);
	core->want_schedule = true; /* what waits is told why */
}

void restore_ask(struct core *core, struct core_effects *fx, const struct worker *worker, uint64_t task,
	uint32_t attempt)
{
	char text[160];

	snprintf(text, sizeof(text), "worker %s holds task %" PRIu64 ".%u, which this database does not know: was a backup restored?",
		worker->row.name, task, attempt);
	ask(core, fx, worker, text);
}

/* --- the epoch ------------------------------------------------------------------------------------------------ */

static void raise_epoch(struct core *core, struct core_effects *fx)
{
	char value[24];

	if (core->epoch_seen < core->epoch)
		return;
	core->epoch = core->epoch_seen + 1;
	snprintf(value, sizeof(value), "%" PRIu64, core->epoch);
	put_meta(fx, "epoch", value);
}

void restore_see_epoch(struct core *core, struct core_effects *fx, const struct worker *worker, uint64_t epoch)
{
	char text[160];

	if (epoch <= core->epoch || epoch >= UINT64_MAX / 2)
		return;
	if (core->epoch_seen < epoch)
		core->epoch_seen = epoch;
	if (core->answered) { /* it was away when the answer came */
		raise_epoch(core, fx);
		effect_disconnect(fx, worker->row.name, "the database was said to be the truth: come again");
		return;
	}
	snprintf(text, sizeof(text), "worker %s has obeyed epoch %" PRIu64 ", this database is of epoch %" PRIu64 ": was a backup restored?",
		worker->row.name, epoch, core->epoch);
	ask(core, fx, worker, text);
}

/* --- numbers -------------------------------------------------------------------------------------------------- */

static void put_gaps(struct core *core, struct core_effects *fx)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < core->gap_count; i++)
		buf_printf(&text, "%s%" PRIu64 "-%" PRIu64, i ? " " : "", core->gaps[i].from, core->gaps[i].to);
	put_meta(fx, "gaps", buf_text(&text));
}

static void add_gap(struct core *core, struct core_effects *fx, uint64_t from, uint64_t to)
{
	struct gap *gaps;

	if (core->gap_count && core->gaps[core->gap_count - 1].to == from) {
		core->gaps[core->gap_count - 1].to = to;
		put_gaps(core, fx);
		return;
	}
	gaps = realloc(core->gaps, (core->gap_count + 1) * sizeof(*gaps));
	if (!gaps) {
		fx->error = -ENOMEM;
		return;
	}
	core->gaps = gaps;
	core->gaps[core->gap_count++] = (struct gap){ from, to };
	put_gaps(core, fx);
}

void restore_take_id(struct core *core, struct core_effects *fx, uint64_t task)
{
	char next[24];

	if (task < core->next_task || task >= UINT64_MAX / 2)
		return;
	add_gap(core, fx, core->next_task, task + 1);
	core->next_task = task + 1;
	snprintf(next, sizeof(next), "%" PRIu64, core->next_task);
	put_meta(fx, "next_task", next);
}

/* A number is not given out twice: what a worker shows, and all below it, is kept as lost. */
void restore_take_attempt(struct core *core, struct core_effects *fx, struct task *task, const struct worker *worker,
	uint32_t number, const uint8_t *run_id)
{
	static const uint8_t unknown[16];

	if (number > task->attempt_count + 1000)
		return; /* no worker of ours says that */
	while (task->attempt_count < number && !fx->error) {
		struct attempt *attempt = add_attempt(task);

		if (!attempt) {
			fx->error = -ENOMEM;
			return;
		}
		attempt->row.state = LOST;
		attempt->row.session = MAESTRO__SESSION_STATE__SESSION_ENDED;
		set_text(fx, &attempt->row.worker, worker->row.name);
		set_text(fx, &attempt->row.reason, "known to its worker only: a backup was restored");
		if (row_set_blob(&attempt->row.run_id, attempt->row.attempt == number ? run_id : unknown, sizeof(unknown)))
			fx->error = -ENOMEM;
		attempt_hold(core, attempt);
		effect_put(fx, ROW_ATTEMPT, &attempt->row);
	}
}

static const struct {
	int phase;
	enum cause cause;
	const char *reason;
} ends[] = {
	{ MAESTRO__ATTEMPT_PHASE__PHASE_EXITED, CAUSE_FINISH, "ended, says its worker; a backup was restored" },
	{ MAESTRO__ATTEMPT_PHASE__PHASE_FAILED, CAUSE_FAIL, "failed, says its worker; a backup was restored" },
	{ MAESTRO__ATTEMPT_PHASE__PHASE_STOPPED, CAUSE_STOP, "stopped, says its worker; a backup was restored" },
	{ MAESTRO__ATTEMPT_PHASE__PHASE_TOMBSTONE, CAUSE_LOSE, "never started, says its worker; a backup was restored" },
};

/* Pushed commits are a result to be looked at, whatever came after. */
static void take_end(struct core *core, struct core_effects *fx, struct task *task, const struct inventory_entry *entry)
{
	struct attempt *attempt = current_attempt(task);

	if (entry->phase != MAESTRO__ATTEMPT_PHASE__PHASE_TOMBSTONE)
		task_move(core, fx, task, CAUSE_RUN, NULL);
	/* The inventory may be older than a report of the end, and an end stays an end. */
	if (!entry->session_live)
		attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
	else if (attempt->row.session != MAESTRO__SESSION_STATE__SESSION_ENDED)
		attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_LIVE);
	if (entry->commit[0]) {
		set_text(fx, &task->row.commit_id, entry->commit);
		set_text(fx, &attempt->row.commit_id, entry->commit);
		task_move(core, fx, task, CAUSE_PUSHED, NULL);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends[i].phase == entry->phase)
			task_move(core, fx, task, ends[i].cause, ends[i].reason);
}

static bool is_over(const struct inventory_entry *entry)
{
	return entry->phase != MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED &&
		entry->phase != MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING;
}

void restore_settle(struct core *core, struct core_effects *fx, struct worker *worker)
{
	for (size_t i = 0; i < worker->inventory_count && !fx->error; i++) {
		const struct inventory_entry *entry = &worker->inventory[i];
		struct task *task = find_task(core, entry->task);
		const struct attempt *attempt = task ? current_attempt(task) : NULL;

		if (!attempt || attempt->row.attempt != entry->attempt || !is_over(entry) ||
			(task->row.state != STARTING && task->row.state != RUNNING) ||
			memcmp(entry->run_id, attempt->row.run_id.data, sizeof(entry->run_id)) != 0)
			continue;
		restore_ask(core, fx, worker, entry->task, entry->attempt);
		take_end(core, fx, task, entry);
	}
}

/* --- the answer ----------------------------------------------------------------------------------------------- */

/* "Go on with this database." Workers that are connected come again and are judged anew. */
static void accept(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event,
	bool asking)
{
	core->answered = core->trusted = true;
	core->asking = asking;
	put_meta(fx, "restored", asking ? "3" : "2");
	raise_epoch(core, fx);
	if (question)
		question_settle(core, fx, question, asking ? "accept" : "accept-end", event->client.actor);
	else
		record_audit(core, fx, "restore accept", "nothing was asked yet");
	record_event(core, fx, "coordinator.restored", NULL, NULL, "an admin said that this database is the truth");
	for (struct worker *worker = core->workers; worker && core->question; worker = worker->hh.next)
		if (worker->phase != WORKER_AWAY)
			effect_disconnect(fx, worker->row.name, "the database was said to be the truth: come again");
	core->question = false;
	core->want_schedule = true;
}

bool restore_accept(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event)
{
	accept(core, fx, question, event, true);
	reply_done(fx, &event->client,
		"this database is the truth now, and submits are taken again. What it does not know is asked about: maestro question ls");
	return true;
}

bool restore_accept_end(struct core *core, struct core_effects *fx, struct question *question,
	const struct core_event *event)
{
	accept(core, fx, question, event, false);
	reply_done(fx, &event->client, "this database is the truth now: sessions that it does not know are ended");
	return true;
}

void handle_restored(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	restore_accept_end(core, fx, question_find_open(core, QUESTION_RESTORED), event);
}
