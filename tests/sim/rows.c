/* The database of a simulated coordinator: rows in memory. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

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

/* --- the transaction: what undoes it, in order --------------------------------------------------------------------- */

static void note(struct world *world, enum undo_kind kind, enum row_table table, size_t at, void *old)
{
	if (world->undo_count == world->undo_size) {
		world->undo_size = world->undo_size ? world->undo_size * 2 : 64;
		world->undo = realloc(world->undo, world->undo_size * sizeof(*world->undo));
		require(world->undo);
	}
	world->undo[world->undo_count++] = (struct undo){ kind, table, at, old };
}

static void insert(struct world *world, enum row_table table, size_t at, void *row)
{
	size_t count = world->row_count[table]++;
	void **rows = realloc(world->rows[table], (count + 1) * sizeof(void *));

	require(rows);
	world->rows[table] = rows;
	memmove(&rows[at + 1], &rows[at], (count - at) * sizeof(void *));
	rows[at] = row;
}

static void *take_out(struct world *world, enum row_table table, size_t at)
{
	void **rows = world->rows[table], *row = rows[at];

	memmove(&rows[at], &rows[at + 1], (--world->row_count[table] - at) * sizeof(void *));
	return row;
}

void rows_commit(struct world *world)
{
	for (size_t i = 0; i < world->undo_count; i++)
		if (world->undo[i].old)
			row_free(world->undo[i].table, world->undo[i].old);
	world->undo_count = 0;
}

void rows_rollback(struct world *world, size_t keep)
{
	while (world->undo_count > keep) {
		const struct undo *undo = &world->undo[--world->undo_count];

		if (undo->kind != UNDO_DROP)
			row_free(undo->table, take_out(world, undo->table, undo->at));
		if (undo->kind != UNDO_NEW)
			insert(world, undo->table, undo->at, undo->old);
	}
	rows_commit(world);
}

void rows_put(struct world *world, enum row_table table, const void *row)
{
	/* Of the two logs only the newest row matters to the core. */
	bool log = table == ROW_EVENT || table == ROW_AUDIT;
	size_t i = log ? 0 : find_row(world, table, row);
	void *copy = row_copy(table, row), *old = NULL;

	require(copy);
	if (i < world->row_count[table])
		old = world->rows[table][i];
	else
		insert(world, table, i, NULL);
	note(world, old ? UNDO_CHANGE : UNDO_NEW, table, i, old);
	world->rows[table][i] = old;
	check_row(world, table, old, copy);
	world->rows[table][i] = copy;
}

static void drop_at(struct world *world, enum row_table table, size_t i)
{
	note(world, UNDO_DROP, table, i, take_out(world, table, i));
}

/* What hangs on a task goes with it, as in the store: their first column is the task's id. */
static void drop_task_rows(struct world *world, const struct task_row *task)
{
	static const enum row_table tables[] = { ROW_SPEC, ROW_ATTEMPT, ROW_STATUS };

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (size_t i = world->row_count[tables[t]]; i--;)
			if (*(const uint64_t *)world->rows[tables[t]][i] == task->id)
				drop_at(world, tables[t], i);
}

void rows_drop(struct world *world, enum row_table table, const void *row)
{
	size_t i = find_row(world, table, row);

	if (i == world->row_count[table])
		return;
	if (table == ROW_TASK) {
		check_drop(world, world->rows[table][i]);
		drop_task_rows(world, row);
	}
	drop_at(world, table, i);
}

static void free_rows(struct world *world, enum row_table table)
{
	for (size_t i = 0; i < world->row_count[table]; i++)
		row_free(table, world->rows[table][i]);
	world->row_count[table] = 0;
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

void rows_backup(struct world *world)
{
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		copy_rows(table, world->rows[table], world->row_count[table], &world->backup[table],
			&world->backup_count[table]);
	world->saved = true;
}

void rows_restore(struct world *world)
{
	for (int table = 0; table < ROW_TABLE_COUNT; table++)
		copy_rows(table, world->backup[table], world->backup_count[table], &world->rows[table],
			&world->row_count[table]);
}

void rows_free(struct world *world)
{
	rows_commit(world);
	free(world->undo);
	for (int table = 0; table < ROW_TABLE_COUNT; table++) {
		free_rows(world, table);
		free(world->rows[table]);
		copy_rows(table, NULL, 0, &world->backup[table], &world->backup_count[table]);
		free(world->backup[table]);
	}
}
