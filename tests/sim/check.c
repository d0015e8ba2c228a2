/* What Maestro promises, checked. */
#include "tests/sim/world.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool terminal(int32_t state)
{
	return task_state_over((Maestro__TaskState)state);
}

/* Review is no end of an attempt: merged and rejected follow it. */
static void check_attempt(struct world *world, const struct attempt_row *old, const struct attempt_row *row)
{
	unsigned int accepted = 0;

	if (old && terminal(old->state) && old->state != row->state)
		broken(world, "P4", "task=%" PRIu64 ".%u was %s and becomes %s", row->task, row->attempt,
			name_task_state((Maestro__TaskState)old->state), name_task_state((Maestro__TaskState)row->state));
	if (old && old->granted_ms != row->granted_ms)
		check_superseded(world, row->task, row->attempt);
	for (size_t i = 0; i < world->row_count[ROW_ATTEMPT]; i++) {
		const struct attempt_row *other = world->rows[ROW_ATTEMPT][i];

		if (!other || other->task != row->task || other->attempt == row->attempt)
			continue;
		accepted += other->state == MAESTRO__TASK_STATE__TASK_REVIEW ||
			other->state == MAESTRO__TASK_STATE__TASK_MERGED;
	}
	if (accepted && (row->state == MAESTRO__TASK_STATE__TASK_REVIEW || row->state == MAESTRO__TASK_STATE__TASK_MERGED))
		broken(world, "P2", "task=%" PRIu64 " has two accepted attempts", row->task);
}

static bool paused(const struct world *world)
{
	return world->paused_ms && world->now_ms > world->paused_ms;
}

static bool holds_slot(const struct attempt_row *row)
{
	return row->state == MAESTRO__TASK_STATE__TASK_STARTING || row->state == MAESTRO__TASK_STATE__TASK_RUNNING;
}

static bool is_claude(struct world *world, uint64_t task)
{
	struct task_row key = { .id = task };
	const struct task_row *row = coordinator_row(world, ROW_TASK, &key);

	return row && !strcmp(row->agent, "claude");
}

/* Those that are there with the one that is new. */
static void check_slots(struct world *world, const struct attempt_row *row)
{
	unsigned int here = 1, all = 1, claude = is_claude(world, row->task);

	for (size_t i = 0; i < world->row_count[ROW_ATTEMPT]; i++) {
		const struct attempt_row *other = world->rows[ROW_ATTEMPT][i];

		if (!other || !holds_slot(other))
			continue;
		all++;
		here += !strcmp(other->worker, row->worker);
		claude += is_claude(world, other->task);
	}
	if (here > SIM_SLOTS || all > SIM_PROJECT_SLOTS || (claude > SIM_CLAUDE_SLOTS && is_claude(world, row->task)))
		broken(world, "SLOTS", "task=%" PRIu64 ".%u is the %uth on %s, the %uth of its project, the %uth claude",
			row->task, row->attempt, here, row->worker, all, claude);
}

static int number_of(const struct world *world, const char *name)
{
	int i = 0;

	while (i < SIM_WORKERS - 1 && strcmp(world->workers[i].name, name) != 0)
		i++;
	return i;
}

static void check_limit(struct world *world, const struct attempt_row *row)
{
	const struct sim_worker *worker = &world->workers[number_of(world, row->worker)];

	if (is_claude(world, row->task) && worker->limit.until_ms > world->now_ms)
		broken(world, "LIMIT", "task=%" PRIu64 ".%u is assigned to %s, whose account is used up until %" PRIu64, row->task,
			row->attempt, row->worker, worker->limit.until_ms);
}

/* It becomes a task by what an admin said, under the number that it has. */
static bool adopted(const struct world *world, uint64_t task)
{
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++)
		if (((const struct question_row *)world->rows[ROW_QUESTION][i])->task == task)
			return true;
	return false;
}

static void check_assigned(struct world *world, const struct attempt_row *row)
{
	struct worker_row key = { .name = row->worker };
	const struct worker_row *worker = coordinator_row(world, ROW_WORKER, &key);

	if (asked_about(world, &row->run_id))
		return; /* it runs, and is a task now */
	if (!world->workers[number_of(world, row->worker)].far && !world->workers[number_of(world, row->worker)].leaving)
		broken(world, "LINK", "task=%" PRIu64 ".%u is assigned to %s, which is not connected", row->task, row->attempt,
			row->worker);
	if (row->push_of) {
		check_pushed_again(world, row);
		return; /* it needs no turn in the queue */
	}
	check_slots(world, row);
	check_limit(world, row);
	if (world->core && core_restore_asked(world->core))
		broken(world, "ASKED", "task=%" PRIu64 ".%u is assigned before an admin has said which database is the truth",
			row->task, row->attempt);
	if (!worker || worker->cordoned || worker->draining)
		broken(world, "HELD", "task=%" PRIu64 ".%u is assigned to %s, which takes nothing", row->task, row->attempt,
			row->worker);
	if (paused(world))
		broken(world, "PAUSE", "task=%" PRIu64 ".%u is assigned while the queue is paused", row->task, row->attempt);
}

/* Whoever follows the stream by its numbers misses nothing. */
static void check_event(struct world *world, const struct event_row *old, const struct event_row *row)
{
	if (old && row->seq != old->seq + 1)
		broken(world, "EVENTS", "event %" PRIu64 " follows %" PRIu64, row->seq, old->seq);
}

static void check_new(struct world *world, enum row_table table, const void *row)
{
	const struct task_row *task = row;
	const struct attempt_row *attempt = row;

	if (table == ROW_TASK && task->id <= world->highest_shown && !adopted(world, task->id))
		broken(world, "WHO", "task=%" PRIu64 " is made anew, and a worker has shown %" PRIu64, task->id,
			world->highest_shown);
	if (table == ROW_ATTEMPT && attempt->state == MAESTRO__TASK_STATE__TASK_STARTING)
		check_assigned(world, attempt);
}

void check_row(struct world *world, enum row_table table, const void *old, const void *row)
{
	const struct task_row *task = row;
	const struct attempt_row *attempt = row;

	if (table == ROW_EVENT)
		check_event(world, old, row);
	if (table == ROW_QUESTION)
		check_question(world, old, row);
	if (!old)
		check_new(world, table, row);
	if (table == ROW_TASK)
		tell(world, "task=%" PRIu64 " %s%s%s", task->id, name_task_state((Maestro__TaskState)task->state),
			task->reason ? ": " : "", task->reason ? task->reason : "");
	if (table != ROW_ATTEMPT)
		return;
	tell(world, "task=%" PRIu64 ".%u %s on %s", attempt->task, attempt->attempt,
		name_task_state((Maestro__TaskState)attempt->state), attempt->worker);
	check_attempt(world, old, row);
	if (world->lied)
		broken(world, "WHO", "task=%" PRIu64 ".%u of %s changes on another worker's word", attempt->task, attempt->attempt,
			attempt->worker);
}

void check_drop(struct world *world, const struct task_row *row)
{
	struct sim_task *task = client_task(world, row->id);
	int64_t age_ms = (int64_t)world->now_ms + world->wall_ms - row->ended_ms;

	tell(world, "task=%" PRIu64 " is gone", row->id);
	world->gone[row->id % SIM_VIEWS] = row->id;
	if (!task || task->removed)
		return;
	if (world->now_ms < world->clock_set_ms + 2 * SIM_KEEP_TASKS_MS)
		age_ms = SIM_KEEP_TASKS_MS; /* its removal may have begun by another time */
	if (world->seed % 3 || !terminal(row->state) || age_ms < (int64_t)SIM_KEEP_TASKS_MS)
		broken(world, "P3", "task=%" PRIu64 " is removed, which nobody asked for", row->id);
	task->removed = true;
}

void check_start(struct world *world, const struct sim_worker *worker, const struct sim_session *session)
{
	const struct sim_task *task = client_task(world, session->task);
	int starts = 0;

	for (int i = 0; i < SIM_WORKERS; i++)
		for (size_t k = 0; k < world->workers[i].session_count; k++) {
			const struct sim_session *other = &world->workers[i].sessions[k];

			if (!memcmp(other->run_id, session->run_id, sizeof(other->run_id)))
				starts += other->starts;
		}
	if (task && task->label && worker != &world->workers[0] && !world->restored)
		broken(world, "LABEL", "task=%" PRIu64 ".%u starts on %s, which lacks its label", session->task,
			session->attempt, worker->name);
	if (session->buried)
		broken(world, "P1", "task=%" PRIu64 ".%u starts on %s behind its tombstone", session->task, session->attempt,
			worker->name);
	if (starts > 1)
		broken(world, "P1", "task=%" PRIu64 ".%u starts a second time, on %s", session->task, session->attempt,
			worker->name);
}

static void check_started(struct world *world, const Maestro__Start *start)
{
	struct attempt_row key = { .task = start->task, .attempt = start->attempt };
	const struct attempt_row *row = coordinator_row(world, ROW_ATTEMPT, &key);

	if (!row || row->run_id.len != start->run_id.len || memcmp(row->run_id.data, start->run_id.data, row->run_id.len))
		broken(world, "COMMIT", "task=%" PRIu64 ".%u is started before it is stored", start->task, start->attempt);
}

/* Now and then within the transaction that made it. */
bool task_gone(const struct world *world, uint64_t id)
{
	return world->gone[id % SIM_VIEWS] == id;
}

static void check_answer(struct world *world, const Maestro__Submitted *answer)
{
	for (size_t i = 0; i < answer->n_tasks; i++) {
		struct task_row key = { .id = answer->tasks[i] };
		const struct sim_task *task = client_task(world, key.id);

		if (!coordinator_row(world, ROW_TASK, &key) && !(task && task->removed) && !task_gone(world, key.id))
			broken(world, "P3", "task=%" PRIu64 " is acknowledged before it is stored", key.id);
	}
}

void check_sent(struct world *world, const struct core_effect *effect)
{
	if (effect->type == CORE_EFFECT_SEND && effect->envelope->body_case == MAESTRO__ENVELOPE__BODY_START)
		check_started(world, effect->envelope->start);
	else if (effect->type == CORE_EFFECT_REPLY && effect->envelope->body_case == MAESTRO__ENVELOPE__BODY_SUBMITTED)
		check_answer(world, effect->envelope->submitted);
}

void check_push(struct world *world, uint64_t task, uint32_t attempt, uint64_t not_after_ms)
{
	struct attempt_row key = { .task = task, .attempt = attempt };
	const struct attempt_row *row = coordinator_row(world, ROW_ATTEMPT, &key);

	if (world->now_ms > not_after_ms)
		broken(world, "LEASE", "task=%" PRIu64 ".%u is pushed after its grant ran out", task, attempt);
	if (row && !world->restored)
		check_superseded(world, task, attempt);
	if (row && !row->granted_ms && !world->restored)
		broken(world, "COMMIT", "task=%" PRIu64 ".%u is pushed and no grant is stored", task, attempt);
}

/* Why it waits, in the core's own words. */
static const char *waiting_for(struct world *world, uint64_t id)
{
	static char text[256];
	Maestro__Task *task = world->core ? core_view_task(world->core, id, false, world->now_ms) : NULL;

	snprintf(text, sizeof(text), "%.*s", task ? (int)task->waiting_for.len : 0,
		task ? (const char *)task->waiting_for.data : "");
	if (task)
		maestro__task__free_unpacked(task, NULL);
	return text;
}

/* It comes after one in review, or after one that does. */
static bool waits_for_a_person(struct world *world, const struct task_row *row)
{
	Maestro__Task *task = world->core ? core_view_task(world->core, row->id, false, world->now_ms) : NULL;
	bool waits = false;

	for (size_t i = 0; task && i < task->n_after && row->state == MAESTRO__TASK_STATE__TASK_QUEUED; i++) {
		struct task_row key = { .id = task->after[i] };
		const struct task_row *before = coordinator_row(world, ROW_TASK, &key);

		waits |= before && (before->state == MAESTRO__TASK_STATE__TASK_REVIEW || waits_for_a_person(world, before));
	}
	if (task)
		maestro__task__free_unpacked(task, NULL);
	return waits;
}

static void check_task(struct world *world, const struct task_row *row)
{
	struct attempt_row key = { .task = row->id, .attempt = row->attempt };
	const struct attempt_row *attempt = row->attempt ? coordinator_row(world, ROW_ATTEMPT, &key) : NULL;

	if (!task_state_settled((Maestro__TaskState)row->state) && !waits_for_a_person(world, row))
		broken(world, "P8", "task=%" PRIu64 " is still %s after an hour of rest: %s", row->id,
			name_task_state((Maestro__TaskState)row->state), waiting_for(world, row->id));
	for (int i = 0; i < SIM_WORKERS && attempt; i++) {
		const struct attempt *known;
		bool live;

		if (strcmp(world->workers[i].name, attempt->worker) != 0 || !world->workers[i].core)
			continue;
		known = attempts_find(world->workers[i].core, row->id, row->attempt);
		live = known && attempt_live(known);
		if (live != (attempt->session == MAESTRO__SESSION_STATE__SESSION_LIVE))
			broken(world, "P8", "task=%" PRIu64 ".%u: its session is %s here and %s on %s", row->id, row->attempt,
				name_session((Maestro__SessionState)attempt->session), live ? "live" : "not live",
				attempt->worker);
	}
}

bool check_at_rest(struct world *world)
{
	if (!world->core || core_restore_asked(world->core))
		return false;
	for (int i = 0; i < SIM_WORKERS; i++) {
		const struct sim_worker *worker = &world->workers[i];

		if (!worker->core || !worker->ready || worker->link != worker->far || worker->frozen_until_ms > world->now_ms)
			return false;
		for (size_t k = 0; k < worker->session_count; k++)
			if (worker->sessions[k].state == HOLDER_ALIVE)
				return false;
	}
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++)
		if (!((const struct question_row *)world->rows[ROW_QUESTION][i])->answer)
			return false;
	for (size_t i = 0; i < world->task_count; i++)
		if (!world->tasks[i].id && !world->tasks[i].lost && !world->tasks[i].gave_up)
			return false;
	for (size_t i = 0; i < world->row_count[ROW_TASK]; i++) {
		const struct task_row *row = world->rows[ROW_TASK][i];

		if (!task_state_settled((Maestro__TaskState)row->state) && !waits_for_a_person(world, row))
			return false;
	}
	return true;
}

/* Everybody whose submit was answered finds it. */
static void check_acknowledged(struct world *world, size_t i)
{
	const struct sim_task *task = &world->tasks[i];

	if (task->lost || task->gave_up)
		return; /* the backup is older; or nobody knows */
	if (!task->id)
		broken(world, "P3", "submit %zu was never acknowledged", i);
	for (uint64_t n = 0; n < task->copies && task->id; n++) {
		struct task_row key = { .id = task->id + n };

		if (!task->removed && !coordinator_row(world, ROW_TASK, &key))
			broken(world, "P3", "task=%" PRIu64 " was acknowledged and is lost", key.id);
	}
}

static bool any_given_up(const struct world *world)
{
	for (size_t i = 0; i < world->task_count; i++)
		if (world->tasks[i].gave_up)
			return true;
	return false;
}

static int tell_report(const Maestro__JournalRecord *record, void *userdata)
{
	if (record->body_case == MAESTRO__JOURNAL_RECORD__BODY_REPORT)
		broken(userdata, "P7", "a report of task=%" PRIu64 ".%u (phase %d) is never acknowledged", record->report->task,
			record->report->attempt, (int)record->report->phase);
	return 0;
}

/* A report that is never acknowledged is repeated and kept for ever. */
static void check_bounded(struct world *world, const struct sim_worker *worker)
{
	_cleanup_(buf_deinit) struct buf snapshot = BUF_NULL;
	size_t good;

	if (!worker->core)
		return;
	require(attempts_snapshot(worker->core, &snapshot) == 0);
	require(journal_decode(snapshot.data, snapshot.len, tell_report, world, &good) == 0);
}

void check_rest(struct world *world)
{
	check_debts(world);
	check_answers(world);
	check_asked_in_vain(world);
	check_worktrees(world);
	for (size_t i = 0; i < world->task_count; i++)
		check_acknowledged(world, i);
	for (size_t i = 0; i < world->row_count[ROW_TASK]; i++) {
		const struct task_row *row = world->rows[ROW_TASK][i];

		check_task(world, row);
		if (!world->restored && !client_task(world, row->id) && !any_given_up(world))
			broken(world, "P3", "task=%" PRIu64 " was made a second time for one request", row->id);
	}
	for (int i = 0; i < SIM_WORKERS; i++) {
		check_bounded(world, &world->workers[i]);
		for (size_t k = 0; k < world->workers[i].session_count; k++)
			if (world->workers[i].sessions[k].state == HOLDER_ALIVE)
				broken(world, "P6", "task=%" PRIu64 ".%u still runs on %s", world->workers[i].sessions[k].task,
					world->workers[i].sessions[k].attempt, world->workers[i].name);
	}
}
