/* The coordinator of a simulated cluster: the real core over rows in memory. A transaction is applied whole or, when
 * it crashes before the commit, not at all; what was to be sent after it may be lost. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *shared_random;

static uint64_t step(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void seeded_random(void *buffer, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buffer)[i] = shared_random ? (uint8_t)step(shared_random) : 7;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

static bool column_equal(const struct row_column *column, const void *a, const void *b)
{
	const char *x = (const char *)a + column->offset, *y = (const char *)b + column->offset;
	const struct row_blob *p, *q;

	switch (column->type) {
	case ROW_TYPE_TEXT:
		return !strcmp(*(char *const *)x, *(char *const *)y);
	case ROW_TYPE_BLOB:
		p = (const struct row_blob *)x;
		q = (const struct row_blob *)y;
		return p->len == q->len && !memcmp(p->data, q->data, p->len);
	case ROW_TYPE_I64:
	case ROW_TYPE_U64:
		return !memcmp(x, y, 8);
	case ROW_TYPE_BOOL:
		return *x == *y;
	default:
		return !memcmp(x, y, 4);
	}
}

static size_t find_row(const struct world *world, enum row_table table, const void *like)
{
	const struct row_layout *layout = row_layout(table);
	size_t i, k;

	for (i = 0; i < world->row_count[table]; i++) {
		for (k = 0; k < layout->key_count; k++)
			if (!column_equal(&layout->columns[k], world->rows[table][i], like))
				break;
		if (k == layout->key_count)
			break;
	}
	return i;
}

const void *coordinator_row(const struct world *world, enum row_table table, const void *like)
{
	size_t i = find_row(world, table, like);

	return i < world->row_count[table] ? world->rows[table][i] : NULL;
}

static void put_row(struct world *world, enum row_table table, const void *row)
{
	/* Of the two logs only the newest row matters to the core. */
	bool log = table == ROW_EVENT || table == ROW_AUDIT;
	size_t i = log ? 0 : find_row(world, table, row);
	void *copy = row_copy(table, row);

	require(copy);
	if (i == world->row_count[table]) {
		world->rows[table] = realloc(world->rows[table], (i + 1) * sizeof(void *));
		require(world->rows[table]);
		world->rows[table][world->row_count[table]++] = NULL;
	}
	if (!log)
		check_row(world, table, world->rows[table][i], copy);
	row_free(table, world->rows[table][i]);
	world->rows[table][i] = copy;
}

/* What hangs on a task goes with it, as in the store: their first column is the task's id. */
static void drop_task_rows(struct world *world, const struct task_row *task)
{
	static const enum row_table tables[] = { ROW_SPEC, ROW_ATTEMPT, ROW_STATUS };

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		void **rows = world->rows[tables[t]];
		size_t kept = 0;

		for (size_t i = 0; i < world->row_count[tables[t]]; i++) {
			if (*(const uint64_t *)rows[i] == task->id)
				row_free(tables[t], rows[i]);
			else
				rows[kept++] = rows[i];
		}
		world->row_count[tables[t]] = kept;
	}
}

static void drop_row(struct world *world, enum row_table table, const void *row)
{
	size_t i = find_row(world, table, row);

	if (table == ROW_TASK)
		drop_task_rows(world, row);
	if (i == world->row_count[table])
		return;
	row_free(table, world->rows[table][i]);
	memmove(&world->rows[table][i], &world->rows[table][i + 1],
		(--world->row_count[table] - i) * sizeof(void *));
}

static void free_rows(struct world *world, enum row_table table)
{
	for (size_t i = 0; i < world->row_count[table]; i++)
		row_free(table, world->rows[table][i]);
	world->row_count[table] = 0;
}

/* --- events and effects ------------------------------------------------------------------------------------------ */

static int worker_number(const struct world *world, const char *name)
{
	for (int i = 0; i < SIM_WORKERS; i++)
		if (!strcmp(world->workers[i].name, name))
			return i;
	return -1;
}

/* Whether the bug at hand keeps this row from the store. */
static bool lose_row(struct world *world, const struct core_effect *effect)
{
	const struct meta_row *meta = effect->row;

	switch (world->bug) {
	case BUG_LOST_ROWS:
		return effect->table == ROW_TASK && chance(world, 20) == 0;
	case BUG_NO_REQUESTS:
		return effect->table == ROW_REQUEST;
	case BUG_FORGET_PAUSE:
		return effect->table == ROW_META && !strcmp(meta->name, "queue_paused") && !strcmp(meta->value, "1");
	default:
		return false;
	}
}

static void commit(struct world *world, const struct core_effects *effects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct core_effect *effect = &effects->items[i];

		if (effect->type == CORE_EFFECT_PUT && lose_row(world, effect))
			continue;
		if (effect->type == CORE_EFFECT_PUT)
			put_row(world, effect->table, effect->row);
		else if (effect->type == CORE_EFFECT_DROP)
			drop_row(world, effect->table, effect->row);
	}
}

static void send_all(struct world *world, const struct core_effects *effects)
{
	uint64_t life = world->core_life;

	for (size_t i = 0; i < effects->count && world->core_life == life; i++) {
		const struct core_effect *effect = &effects->items[i];

		if (effect->type == CORE_EFFECT_SEND || effect->type == CORE_EFFECT_ASK) {
			int number = worker_number(world, effect->worker);
			Maestro__Envelope *envelope = effect->envelope;

			if (effect->type == CORE_EFFECT_ASK) {
				/* the task is the request's number: enough for one question at a time */
				envelope->has_request = true;
				envelope->request = effect->task << 16 | effect->attempt;
			}
			if (number >= 0)
				send_to_worker(world, number, envelope);
			if (world->bug == BUG_TWO_WORKERS && envelope->body_case == MAESTRO__ENVELOPE__BODY_START)
				send_to_worker(world, (number + 1) % SIM_WORKERS, envelope);
		} else if (effect->type == CORE_EFFECT_REPLY) {
			client_reply(world, effect->client, effect->envelope);
		} else if (effect->type == CORE_EFFECT_DISCONNECT) {
			int number = worker_number(world, effect->worker);

			tell(world, "coordinator cuts %s off: %s", effect->worker, effect->name);
			if (number >= 0)
				worker_disconnect(world, number);
		}
	}
}

static void on_tick(struct world *world, struct action *action)
{
	struct core_event event = { .type = CORE_EVENT_TICK };

	world->core_tick_ms = 0;
	coordinator_event(world, &event);
}

static void arm_tick(struct world *world)
{
	uint64_t deadline = world->core ? core_deadline(world->core) : UINT64_MAX;

	if (deadline == UINT64_MAX || (world->core_tick_ms && world->core_tick_ms <= deadline))
		return;
	world->core_tick_ms = deadline;
	later(world, deadline > world->now_ms ? deadline - world->now_ms : 1, on_tick, &world->core_life);
}

void coordinator_event(struct world *world, struct core_event *event)
{
	struct core_effects effects = CORE_EFFECTS_NULL;
	uint64_t life = world->core_life;

	if (!world->core)
		return;
	shared_random = world->bug == BUG_EQUAL_RUN_IDS ? NULL : &world->random;
	event->wall_ms = (int64_t)world->now_ms;
	require(core_handle(world->core, event, world->now_ms, &effects) == 0);
	if (world->bug == BUG_SEND_FIRST)
		send_all(world, &effects);
	if (fault(world, 400)) {
		if (world->bug == BUG_HALF_COMMIT)
			commit(world, &effects, effects.count / 2);
		core_effects_deinit(&effects); /* may point into the core */
		coordinator_crash(world, "before its commit");
		return;
	}
	commit(world, &effects, effects.count);
	if (fault(world, 400)) {
		core_effects_deinit(&effects);
		coordinator_crash(world, "after its commit, before it sends");
		return;
	}
	if (world->bug != BUG_SEND_FIRST)
		send_all(world, &effects);
	core_effects_deinit(&effects);
	if (world->core_life == life)
		arm_tick(world);
}

static void on_start(struct world *world, struct action *action)
{
	coordinator_start(world);
}

void coordinator_crash(struct world *world, const char *when)
{
	if (!world->core)
		return;
	tell(world, "coordinator crashes: %s", when);
	core_free(take(world->core));
	world->core_life++;
	world->core_tick_ms = 0;
	world->core_frozen_ms = 0;
	for (int i = 0; i < SIM_WORKERS; i++)
		worker_disconnect(world, i);
	later(world, 100 + chance(world, 20000), on_start, NULL);
}

static void raise_epoch(struct world *world)
{
	char value[24], *name = (char *)(uintptr_t) "epoch";
	struct meta_row row = { name, value };
	const struct meta_row *old = coordinator_row(world, ROW_META, &row);

	world->epoch = (old ? strtoull(old->value, NULL, 10) : 0) + 1;
	snprintf(value, sizeof(value), "%" PRIu64, world->epoch);
	put_row(world, ROW_META, &row);
}

void coordinator_start(struct world *world)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct core_config config = core_config_default;
	struct core_event event = { .type = CORE_EVENT_START };
	bool first = !world->row_count[ROW_PROJECT];

	if (world->core)
		return;
	config.random = seeded_random;
	config.silence_ms = 100000; /* so that it happens in these few minutes */
	config.max_idle_sessions = 2;
	config.linger_ms = 60000;
	config.limited_ms = 60000;
	raise_epoch(world);
	require(core_new(&world->core, &config) == 0);
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		for (size_t i = 0; i < world->row_count[table]; i++)
			if (core_load(world->core, table, row_copy(table, world->rows[table][i]), &error)) {
				broken(world, "P3", "a stored row cannot be loaded: %s", error_text(&error, -EINVAL));
				return;
			}
	tell(world, "coordinator starts");
	coordinator_event(world, &event);
	if (first && world->core) {
		Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;
		Maestro__GitProbed probed = MAESTRO__GIT_PROBED__INIT;
		struct core_event project = { .type = CORE_EVENT_PROJECT_ADD, .project_add = &add, .probed = &probed };

		add.name = (char *)(uintptr_t) "p";
		add.url = bytes_of("ssh://git@example.org/p.git");
		add.base_branch = probed.base_branch = (char *)(uintptr_t) "main";
		world->faults = false;
		coordinator_event(world, &project);
		world->faults = true;
	}
}

static void copy_rows(enum row_table table, void **from, size_t count, void ***to, size_t *ret_count)
{
	for (size_t i = 0; i < *ret_count; i++)
		row_free(table, (*to)[i]);
	*to = realloc(*to, (count ? count : 1) * sizeof(void *));
	require(*to);
	for (size_t i = 0; i < count; i++)
		require((*to)[i] = row_copy(table, from[i]));
	*ret_count = count;
}

void coordinator_backup(struct world *world)
{
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		copy_rows(table, world->rows[table], world->row_count[table], &world->backup[table],
			&world->backup_count[table]);
	world->saved = true;
	tell(world, "a backup is made");
}

static void forget_lost_tasks(struct world *world)
{
	for (size_t i = 0; i < world->task_count; i++) {
		struct task_row key = { .id = world->tasks[i].id };

		if (key.id && !coordinator_row(world, ROW_TASK, &key)) {
			world->tasks[i].lost = true;
			world->tasks[i].id = 0;
		}
	}
}

void coordinator_restore(struct world *world)
{
	if (!world->saved)
		return;
	coordinator_crash(world, "an old backup is put in its place");
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		copy_rows(table, world->backup[table], world->backup_count[table], &world->rows[table],
			&world->row_count[table]);
	world->restored = true;
	world->force_epoch = false;
	world->highest_shown = 0;
	world->paused_ms = 0;
	forget_lost_tasks(world);
}

void coordinator_free(struct world *world)
{
	if (world->core)
		core_free(world->core);
	for (int table = 0; table < ROW_TABLE_COUNT; table++) {
		free_rows(world, table);
		free(world->rows[table]);
		copy_rows(table, NULL, 0, &world->backup[table], &world->backup_count[table]);
		free(world->backup[table]);
	}
}
