/* P8 while a history runs: once nothing has befallen either side for a minute, coordinator and worker say the same of
 * every session, and what a console was told to look at is what it would see now. */
#include "tests/sim/world.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

#define AGREE_MS 60000u
#define LOOK_MS 10000u
#define WAITING_TOLD_MS 5000u

/* --- consoles ---------------------------------------------------------------------------------------------------- */

static struct sim_view *view_of(struct world *world, uint64_t task)
{
	struct sim_view *view = &world->views[task % SIM_VIEWS];

	if (view->task != task)
		*view = (struct sim_view){ .task = task, .changed = true };
	return view;
}

static uint64_t mix(uint64_t digest, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
	return digest;
}

static uint64_t mix_text(uint64_t digest, const char *text)
{
	return text ? mix(digest, text, strlen(text)) : digest;
}

/* Why a task waits is worked out for a view only, which is a copy. */
static uint64_t look_waiting(const struct world *world, uint64_t id)
{
	const struct task_row *task = core_task(world->core, id);
	Maestro__Task *view = NULL;
	uint64_t digest = 0;

	if (task && task->state == MAESTRO__TASK_STATE__TASK_QUEUED)
		view = core_view_task(world->core, id, false, world->now_ms);
	if (view)
		digest = mix(UINT64_C(0xcbf29ce484222325), view->waiting_for.data, view->waiting_for.len);
	maestro__task__free_unpacked(view, NULL);
	return digest;
}

static uint64_t look(const struct world *world, uint64_t id)
{
	const struct task_row *task = core_task(world->core, id);
	const struct attempt_row *attempt = task ? core_attempt(world->core, id, 0) : NULL;
	uint64_t digest = UINT64_C(0xcbf29ce484222325);

	if (!task)
		return 0;
	digest = mix(digest, &task->state, sizeof(task->state));
	digest = mix(digest, &task->attempt, sizeof(task->attempt));
	digest = mix_text(digest, task->reason);
	digest = mix_text(digest, task->commit_id);
	if (attempt)
		digest = mix(digest, &attempt->session, sizeof(attempt->session));
	return digest;
}

void agree_changed(struct world *world, uint64_t task)
{
	if (world->bug != BUG_DEAF_CONSOLE || chance(world, 10))
		view_of(world, task)->changed = true;
}

void agree_anew(struct world *world)
{
	for (size_t i = 0; i < SIM_VIEWS; i++) {
		world->views[i].changed = true;
		world->views[i].differs_ms = 0;
	}
}

/* Why it waits is told within WAITING_TOLD_MS of a coordinator that runs. */
static void check_waiting(struct world *world, struct sim_view *view)
{
	uint64_t waiting = look_waiting(world, view->task);

	if (view->changed || waiting == view->waiting) {
		view->waiting = waiting;
		view->waits_ms = 0;
	} else if (!view->waits_ms || world->now_ms <= world->core_frozen_ms) {
		view->waits_ms = world->now_ms;
	} else if (world->now_ms - view->waits_ms > WAITING_TOLD_MS) {
		broken(world, "P8", "task=%" PRIu64 " waits for something else than consoles were told", view->task);
		view->waiting = waiting;
	}
}

static void check_console(struct world *world, struct sim_view *view)
{
	uint64_t digest = look(world, view->task);

	if (world->gathered)
		return; /* it is told when that is committed */
	check_waiting(world, view);
	if (!view->changed && digest != view->digest)
		broken(world, "P8", "task=%" PRIu64 " looks other than what consoles were told", view->task);
	view->digest = digest;
	view->changed = false;
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When the last thing that hindered these two is over, UINT64_MAX: it is not. */
static uint64_t healed_ms(const struct world *world, const struct sim_worker *worker)
{
	uint64_t ms = later_of(world->disturbed_ms, worker->disturbed_ms);

	if (!world->core || core_restore_asked(world->core) || !worker->core || !worker->ready || !worker->link ||
		worker->link != worker->far || worker->hole == worker->link)
		return UINT64_MAX;
	ms = later_of(ms, later_of(world->core_frozen_ms, worker->frozen_until_ms));
	ms = later_of(ms, later_of(worker->cut_until_ms[0], worker->cut_until_ms[1]));
	return later_of(ms, later_of(worker->disk_until_ms, later_of(worker->sent_ms[0], worker->sent_ms[1])));
}

static const char *difference(const struct task_row *task, const struct attempt_row *row, const struct attempt *known)
{
	bool live = known && attempt_live(known);

	if (live != (row->session == MAESTRO__SESSION_STATE__SESSION_LIVE))
		return live ? "it lives, and the coordinator does not know" : "the coordinator believes that it lives";
	if (task->state == MAESTRO__TASK_STATE__TASK_STARTING && !known)
		return "it was never told to start";
	if (task->state == MAESTRO__TASK_STATE__TASK_RUNNING && (!known || known->state == ATTEMPT_OVER))
		return "the coordinator waits for its end, which has come";
	if (live && task_state_over((Maestro__TaskState)row->state))
		return "it is over, and lives";
	return NULL;
}

static void check_session(struct world *world, const struct sim_worker *worker, const struct task_row *task,
	const struct attempt_row *row)
{
	struct sim_view *view = view_of(world, task->id);
	const struct attempt *known = worker->core ? attempts_find(worker->core, row->task, row->attempt) : NULL;
	const char *why = difference(task, row, known);
	uint64_t healed = healed_ms(world, worker);

	if (!why || healed == UINT64_MAX) {
		view->differs_ms = 0;
		return;
	}
	if (!view->differs_ms)
		view->differs_ms = world->now_ms;
	if (world->now_ms > later_of(view->differs_ms, healed) + AGREE_MS)
		broken(world, "P8", "task=%" PRIu64 ".%u on %s: %s, a minute after all was well", row->task, row->attempt,
			worker->name, why);
}

static struct sim_worker *named(struct world *world, const char *name)
{
	for (int i = 0; i < SIM_WORKERS; i++)
		if (!strcmp(world->workers[i].name, name))
			return &world->workers[i];
	return NULL;
}

static void check_task(struct world *world, const struct task_row *task)
{
	struct attempt_row key = { .task = task->id, .attempt = task->attempt };
	const struct attempt_row *row = task->attempt ? coordinator_row(world, ROW_ATTEMPT, &key) : NULL;
	const struct sim_worker *worker = row ? named(world, row->worker) : NULL;

	check_console(world, view_of(world, task->id));
	if (worker)
		check_session(world, worker, task, row);
}

/* What is shown of a worker is what its tasks add up to; else a slot would be lost for ever, or given twice. */
static void check_counts(struct world *world, const struct sim_worker *worker)
{
	Maestro__Worker *view = core_view_worker(world->core, worker->name);
	unsigned int used = 0, idle = 0;

	if (!view)
		return;
	for (size_t i = 0; i < world->row_count[ROW_TASK]; i++) {
		const struct task_row *task = world->rows[ROW_TASK][i];
		const struct attempt_row *row = core_attempt(world->core, task->id, 0);
		bool live = row && row->session == MAESTRO__SESSION_STATE__SESSION_LIVE;

		if (!row || strcmp(row->worker, worker->name) != 0)
			continue;
		used += task->state == MAESTRO__TASK_STATE__TASK_STARTING || task->state == MAESTRO__TASK_STATE__TASK_RUNNING;
		idle += task->state == MAESTRO__TASK_STATE__TASK_REVIEW && live;
	}
	if (view->state == MAESTRO__WORKER_STATE__WORKER_READY && !worker->far)
		broken(world, "LINK", "%s is said to be ready, and its connection is closed", worker->name);
	if (view->used != used || view->idle != idle)
		broken(world, "SLOTS", "%s is said to have %u at work and %u idle, and has %u and %u", worker->name, view->used,
			view->idle, used, idle);
	maestro__worker__free_unpacked(view, NULL);
}

static void check_all(struct world *world, struct action *action)
{
	later(world, LOOK_MS, check_all, NULL);
	check_asking(world);
	for (int i = 0; i < SIM_WORKERS && world->core; i++)
		check_counts(world, &world->workers[i]);
	for (size_t i = 0; i < world->row_count[ROW_TASK] && world->core; i++)
		check_task(world, world->rows[ROW_TASK][i]);
}

void agree_begin(struct world *world)
{
	later(world, LOOK_MS, check_all, NULL);
}
