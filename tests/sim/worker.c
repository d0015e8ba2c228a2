/* A worker of a simulated cluster: the real core over a journal in memory; its machine, holders, git jobs and remote
 * are played here. The order of writing and doing is the executor's of worker/service. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct moment worker_now(const struct world *world, const struct sim_worker *worker)
{
	return (struct moment){ world->now_ms, (int64_t)world->now_ms + worker->wall_ms };
}

static void on_tick(struct world *world, struct action *action)
{
	struct event tick = { .kind = EVENT_TICK };

	world->workers[action->worker].tick_ms = 0;
	if (world->bug != BUG_NO_TIMEOUT)
		worker_event(world, action->worker, &tick);
}

void worker_event(struct world *world, int number, const struct event *event)
{
	struct sim_worker *worker = &world->workers[number];
	struct moment now = worker_now(world, worker);
	struct effects effects;
	uint64_t deadline;

	if (!worker->core)
		return;
	effects_init(&effects);
	attempts_handle(worker->core, event, &now, &effects);
	require(!effects.failed);
	worker_execute(world, number, &effects);
	effects_deinit(&effects);
	deadline = worker->core ? attempts_deadline_ms(worker->core) : UINT64_MAX;
	if (deadline != UINT64_MAX && (!worker->tick_ms || worker->tick_ms > deadline)) {
		worker->tick_ms = deadline;
		later(world, deadline > world->now_ms ? deadline - world->now_ms : 1, on_tick, &worker->life)->worker = number;
	}
}

/* --- effects ----------------------------------------------------------------------------------------------------- */

static void (*const actions[])(struct world *world, int number, const struct effect *effect) = {
	[EFFECT_GIT] = session_git,
	[EFFECT_SPAWN] = session_spawn,
	[EFFECT_KILL] = session_kill,
	[EFFECT_REPORT] = talk_report,
	[EFFECT_ASK] = talk_ask,
	[EFFECT_REPLY] = talk_reply,
	[EFFECT_CLEAN] = session_clean,
	/* JOURNAL is done; a job that is cancelled still comes back; STATUS is soft */
};

static void act(struct world *world, int number, const struct effect *effect)
{
	if ((size_t)effect->kind < ARRAY_SIZE(actions) && actions[effect->kind])
		actions[effect->kind](world, number, effect);
}

static bool lose_record(const struct world *world, const Maestro__JournalRecord *record)
{
	return world->bug == BUG_NO_JOURNAL ||
		(world->bug == BUG_LOST_REPORTS && record->body_case == MAESTRO__JOURNAL_RECORD__BODY_REPORT);
}

static void try_again(struct world *world, struct action *action)
{
	struct effects none;

	effects_init(&none);
	worker_execute(world, action->worker, &none);
}

/* The disk is full, or fails: what was to be done waits, and the process goes on. Or it only hangs, and the process
 * with it. */
static void disk_fails(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	bool hangs = chance(world, 2);

	worker->disk_until_ms = world->now_ms + 1 + chance(world, 30000);
	if (hangs && worker->frozen_until_ms < worker->disk_until_ms)
		worker->frozen_until_ms = worker->disk_until_ms;
	tell(world, "%s's disk %s until %" PRIu64, worker->name, hangs ? "hangs" : "fails", worker->disk_until_ms);
	later(world, worker->disk_until_ms - world->now_ms, try_again, &worker->life)->worker = number;
}

static int ignore_record(const Maestro__JournalRecord *record, void *userdata)
{
	return 0;
}

/* Of what was written last only a part is there: some records, and perhaps a piece of the next. */
static void tear(struct world *world, struct sim_worker *worker, const struct buf *records)
{
	size_t len = chance(world, records->len + 1), whole;

	require(buf_append(&worker->journal, records->data, len) == 0);
	if (chance(world, 2))
		return;
	require(journal_decode(worker->journal.data, worker->journal.len, ignore_record, NULL, &whole) == 0);
	worker->journal.len = whole;
}

/* All records of the queue are durable before anything of it is done. False: it died, or has to wait. */
static bool write_down(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	_cleanup_(buf_deinit) struct buf records = BUF_NULL;
	struct effect *effect;

	if (fault(world, 700)) {
		disk_fails(world, number);
		return false;
	}
	list_for_each (effect, &worker->queue.list, link)
		if (effect->kind == EFFECT_JOURNAL && !lose_record(world, effect->record))
			require(journal_encode(effect->record, &records) == 0);
	if (fault(world, 500)) {
		tear(world, worker, &records);
		worker_crash(world, number, "while its journal is written");
		return false;
	}
	require(buf_append(&worker->journal, records.data, records.len) == 0);
	if (fault(world, 500)) {
		worker_crash(world, number, "after its journal is written");
		return false;
	}
	return true;
}

static int read_record(const Maestro__JournalRecord *record, void *userdata)
{
	return attempts_replay(userdata, record);
}

/* The journal as if it had grown too long. A new core must read the same from it. */
static void compact(struct world *world, struct sim_worker *worker)
{
	_cleanup_(buf_deinit) struct buf snapshot = BUF_NULL, again = BUF_NULL;
	_cleanup_(attempts_free_p) struct attempts *copy = NULL;
	size_t good;

	require(attempts_snapshot(worker->core, &snapshot) == 0 && attempts_new(&copy) == 0);
	require(journal_decode(snapshot.data, snapshot.len, read_record, copy, &good) == 0);
	require(attempts_snapshot(copy, &again) == 0);
	if (again.len != snapshot.len)
		broken(world, "P7", "%s's compacted journal says something else", worker->name);
	buf_clear(&worker->journal);
	require(buf_append(&worker->journal, snapshot.data, snapshot.len) == 0);
}

void worker_execute(struct world *world, int number, struct effects *effects)
{
	struct sim_worker *worker = &world->workers[number];
	uint64_t life = worker->life;
	struct effect *effect;

	effects_move(&worker->queue, effects);
	if (worker->executing || world->now_ms < worker->disk_until_ms)
		return;
	if (!list_empty(&worker->queue.list) && !write_down(world, number))
		return;
	worker->executing = true;
	while (worker->life == life && (effect = list_first(&worker->queue.list, struct effect, link))) {
		list_remove(&effect->link);
		act(world, number, effect);
		effect_free(effect);
	}
	worker->executing = false;
	if (worker->life == life && fault(world, 300) && world->bug != BUG_NO_JOURNAL && world->bug != BUG_LOST_REPORTS)
		compact(world, worker);
	if (worker->life == life)
		talk_try_ready(world, number);
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
	worker->tick_ms = worker->frozen_until_ms = worker->disk_until_ms = 0;
	worker->executing = false;
	wire_close_near(world, number);
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

static void look(struct world *world, int number, uint64_t task, uint32_t attempt, bool needs_look)
{
	struct sim_worker *worker = &world->workers[number];
	const struct attempt *known = attempts_find(worker->core, task, attempt);
	struct sim_session *session = session_find(worker, task, attempt, true), copy;
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
		session_tell_end(world, number, &copy);
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

/* What is there of the journal. True if its end was torn: numbers go on well above what it says. */
static bool read_journal(struct world *world, struct sim_worker *worker)
{
	size_t good = 0;
	bool torn;

	require(attempts_new(&worker->core) == 0);
	require(journal_decode(worker->journal.data, worker->journal.len, read_record, worker->core, &good) == 0);
	torn = good < worker->journal.len;
	if (torn)
		tell(world, "%s's journal is torn", worker->name);
	if (!torn || world->bug != BUG_SKIP_TORN)
		worker->journal.len = good;
	return torn;
}

void worker_start(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct moment now = worker_now(world, worker);
	struct effects effects;
	uint64_t life = worker->life;
	char boot[33];
	bool torn;

	if (worker->core)
		return;
	tell(world, "%s starts", worker->name);
	worker->disturbed_ms = world->now_ms;
	snprintf(boot, sizeof(boot), "%032d", worker->boot);
	torn = read_journal(world, worker);
	effects_init(&effects);
	attempts_open(worker->core, boot, torn, &now, &effects);
	worker_execute(world, number, &effects);
	effects_deinit(&effects);
	if (worker->life == life)
		recover(world, number);
	if (worker->life == life)
		wire_dial(world, number);
}

void worker_free(struct sim_worker *worker)
{
	if (worker->core)
		attempts_free(worker->core);
	effects_deinit(&worker->queue);
	buf_deinit(&worker->journal);
	free(worker->sessions);
}
