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

static void check_new(struct world *world, enum row_table table, const void *row)
{
	const struct task_row *task = row;
	const struct attempt_row *attempt = row;

	if (table == ROW_TASK && task->id <= world->highest_shown)
		broken(world, "WHO", "task=%" PRIu64 " is made anew, and a worker has shown %" PRIu64, task->id,
			world->highest_shown);
	if (table == ROW_ATTEMPT && attempt->state == MAESTRO__TASK_STATE__TASK_STARTING && paused(world))
		broken(world, "PAUSE", "task=%" PRIu64 ".%u is assigned while the queue is paused", attempt->task,
			attempt->attempt);
}

void check_row(struct world *world, enum row_table table, const void *old, const void *row)
{
	const struct task_row *task = row;
	const struct attempt_row *attempt = row;

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

void check_rest(struct world *world)
{
	for (size_t i = 0; i < world->task_count; i++) {
		struct task_row key = { .id = world->tasks[i].id };

		if (world->tasks[i].lost)
			continue; /* the backup is older */
		if (!key.id)
			broken(world, "P3", "submit %zu was never acknowledged", i);
		else if (!world->tasks[i].removed && !coordinator_row(world, ROW_TASK, &key))
			broken(world, "P3", "task=%" PRIu64 " was acknowledged and is lost", key.id);
	}
	for (size_t i = 0; i < world->row_count[ROW_TASK]; i++) {
		const struct task_row *row = world->rows[ROW_TASK][i];

		check_task(world, row);
		if (!world->restored && !client_task(world, row->id))
			broken(world, "P3", "task=%" PRIu64 " was made a second time for one request", row->id);
	}
	for (int i = 0; i < SIM_WORKERS; i++)
		for (size_t k = 0; k < world->workers[i].session_count; k++)
			if (world->workers[i].sessions[k].state == HOLDER_ALIVE)
				broken(world, "P6", "task=%" PRIu64 ".%u still runs on %s", world->workers[i].sessions[k].task,
					world->workers[i].sessions[k].attempt, world->workers[i].name);
}
