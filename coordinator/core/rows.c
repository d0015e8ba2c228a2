#include "coordinator/core/rows.h"

#include <string.h>

#define COLUMN(row, field, kind) { #field, ROW_TYPE_##kind, offsetof(struct row, field) }

static const struct row_column meta_columns[] = {
	COLUMN(meta_row, name, TEXT),
	COLUMN(meta_row, value, TEXT),
};

static const struct row_column task_columns[] = {
	COLUMN(task_row, id, U64),
	COLUMN(task_row, group_id, U64),
	COLUMN(task_row, state, I32),
	COLUMN(task_row, attempt, U32),
	COLUMN(task_row, project, TEXT),
	COLUMN(task_row, agent, TEXT),
	COLUMN(task_row, title, TEXT),
	COLUMN(task_row, slug, TEXT),
	COLUMN(task_row, base_branch, TEXT),
	COLUMN(task_row, reason, TEXT),
	COLUMN(task_row, commit_id, TEXT),
	COLUMN(task_row, from_commit, TEXT),
	COLUMN(task_row, priority, I32),
	COLUMN(task_row, stopping, BOOL),
	COLUMN(task_row, has_exit_code, BOOL),
	COLUMN(task_row, exit_code, I32),
	COLUMN(task_row, start_failures, U32),
	COLUMN(task_row, retries_used, U32),
	COLUMN(task_row, created_ms, I64),
	COLUMN(task_row, started_ms, I64),
	COLUMN(task_row, ended_ms, I64),
};

static const struct row_column spec_columns[] = {
	COLUMN(spec_row, task, U64),
	COLUMN(spec_row, submit, BLOB),
};

static const struct row_column attempt_columns[] = {
	COLUMN(attempt_row, task, U64),
	COLUMN(attempt_row, attempt, U32),
	COLUMN(attempt_row, run_id, BLOB),
	COLUMN(attempt_row, worker, TEXT),
	COLUMN(attempt_row, state, I32),
	COLUMN(attempt_row, reason, TEXT),
	COLUMN(attempt_row, branch, TEXT),
	COLUMN(attempt_row, commit_id, TEXT),
	COLUMN(attempt_row, base_commit, TEXT),
	COLUMN(attempt_row, has_exit_code, BOOL),
	COLUMN(attempt_row, exit_code, I32),
	COLUMN(attempt_row, session, I32),
	COLUMN(attempt_row, last_report, U64),
	COLUMN(attempt_row, released, BOOL),
	COLUMN(attempt_row, granted_ms, I64),
	COLUMN(attempt_row, push_of, U32),
	COLUMN(attempt_row, started_ms, I64),
	COLUMN(attempt_row, ended_ms, I64),
};

static const struct row_column status_columns[] = {
	COLUMN(status_row, task, U64),
	COLUMN(status_row, attempt, U32),
	COLUMN(status_row, state, I32),
	COLUMN(status_row, source, I32),
	COLUMN(status_row, message, BLOB),
	COLUMN(status_row, file, BLOB),
	COLUMN(status_row, has_progress, BOOL),
	COLUMN(status_row, progress, U32),
	COLUMN(status_row, time_ms, I64),
};

static const struct row_column project_columns[] = {
	COLUMN(project_row, name, TEXT),
	COLUMN(project_row, url, BLOB),
	COLUMN(project_row, base_branch, TEXT),
	COLUMN(project_row, agent, TEXT),
	COLUMN(project_row, reason, TEXT),
	COLUMN(project_row, needs_git, BOOL),
	COLUMN(project_row, checked, BOOL),
};

static const struct row_column worker_columns[] = {
	COLUMN(worker_row, name, TEXT),
	COLUMN(worker_row, cordoned, BOOL),
	COLUMN(worker_row, draining, BOOL),
	COLUMN(worker_row, lost, BOOL),
	COLUMN(worker_row, boot_id, TEXT),
	COLUMN(worker_row, info, BLOB),
	COLUMN(worker_row, software, TEXT),
	COLUMN(worker_row, seen_ms, I64),
};

static const struct row_column request_columns[] = {
	COLUMN(request_row, request_id, BLOB),
	COLUMN(request_row, digest, BLOB),
	COLUMN(request_row, first_task, U64),
	COLUMN(request_row, count, U32),
	COLUMN(request_row, created_ms, I64),
};

static const struct row_column debt_columns[] = {
	COLUMN(debt_row, task, U64),
	COLUMN(debt_row, attempt, U32),
	COLUMN(debt_row, worker, TEXT),
};

static const struct row_column question_columns[] = {
	COLUMN(question_row, id, U64),
	COLUMN(question_row, kind, TEXT),
	COLUMN(question_row, worker, TEXT),
	COLUMN(question_row, task, U64),
	COLUMN(question_row, attempt, U32),
	COLUMN(question_row, run_id, BLOB),
	COLUMN(question_row, text, TEXT),
	COLUMN(question_row, answer, TEXT),
	COLUMN(question_row, actor, TEXT),
	COLUMN(question_row, asked_ms, I64),
	COLUMN(question_row, answered_ms, I64),
};

static const struct row_column key_columns[] = {
	COLUMN(key_row, public_key, BLOB),
	COLUMN(key_row, role, I32),
	COLUMN(key_row, name, TEXT),
	COLUMN(key_row, revoked, BOOL),
	COLUMN(key_row, created_ms, I64),
};

static const struct row_column token_columns[] = {
	COLUMN(token_row, digest, BLOB),
	COLUMN(token_row, role, I32),
	COLUMN(token_row, used, BOOL),
	COLUMN(token_row, created_ms, I64),
	COLUMN(token_row, expires_ms, I64),
};

static const struct row_column event_columns[] = {
	COLUMN(event_row, seq, U64),
	COLUMN(event_row, time_ms, I64),
	COLUMN(event_row, kind, TEXT),
	COLUMN(event_row, task, U64),
	COLUMN(event_row, attempt, U32),
	COLUMN(event_row, worker, TEXT),
	COLUMN(event_row, actor, TEXT),
	COLUMN(event_row, text, TEXT),
	COLUMN(event_row, data, TEXT),
};

static const struct row_column audit_columns[] = {
	COLUMN(audit_row, number, U64),
	COLUMN(audit_row, time_ms, I64),
	COLUMN(audit_row, actor, TEXT),
	COLUMN(audit_row, act, TEXT),
	COLUMN(audit_row, text, TEXT),
	COLUMN(audit_row, hash, BLOB),
};

#define LAYOUT(name, keys) { #name, sizeof(struct name##_row), keys, ARRAY_SIZE(name##_columns), name##_columns }

static const struct row_layout layouts[ROW_TABLE_COUNT] = {
	[ROW_META] = LAYOUT(meta, 1),
	[ROW_TASK] = LAYOUT(task, 1),
	[ROW_SPEC] = LAYOUT(spec, 1),
	[ROW_ATTEMPT] = LAYOUT(attempt, 2),
	[ROW_STATUS] = LAYOUT(status, 1),
	[ROW_PROJECT] = LAYOUT(project, 1),
	[ROW_WORKER] = LAYOUT(worker, 1),
	[ROW_REQUEST] = LAYOUT(request, 1),
	[ROW_DEBT] = LAYOUT(debt, 2),
	[ROW_QUESTION] = LAYOUT(question, 1),
	[ROW_KEY] = LAYOUT(key, 1),
	[ROW_TOKEN] = LAYOUT(token, 1),
	[ROW_EVENT] = LAYOUT(event, 1),
	[ROW_AUDIT] = LAYOUT(audit, 1),
};

const struct row_layout *row_layout(enum row_table table)
{
	require((unsigned int)table < ROW_TABLE_COUNT);
	return &layouts[table];
}

void row_deinit(enum row_table table, void *row)
{
	const struct row_layout *layout = row_layout(table);

	for (size_t i = 0; i < layout->count; i++) {
		char *field = (char *)row + layout->columns[i].offset;

		if (layout->columns[i].type == ROW_TYPE_TEXT)
			free(*(char **)field);
		else if (layout->columns[i].type == ROW_TYPE_BLOB)
			free(((struct row_blob *)field)->data);
	}
	memset(row, 0, layout->size);
}

void row_free(enum row_table table, void *row)
{
	if (!row)
		return;
	row_deinit(table, row);
	free(row);
}

static int copy_field(const struct row_column *column, char *to, const char *from)
{
	const struct row_blob *blob = (const struct row_blob *)from;

	if (column->type == ROW_TYPE_TEXT) {
		*(char **)to = NULL;
		return row_set_text((char **)to, *(char *const *)from);
	}
	if (column->type == ROW_TYPE_BLOB) {
		*(struct row_blob *)to = (struct row_blob){ NULL, 0 };
		return row_set_blob((struct row_blob *)to, blob->data, blob->len);
	}
	return 0;
}

void *row_copy(enum row_table table, const void *row)
{
	const struct row_layout *layout = row_layout(table);
	char *copy = malloc(layout->size);
	int r = 0;

	if (!copy)
		return NULL;
	memcpy(copy, row, layout->size);
	for (size_t i = 0; i < layout->count; i++) { /* every field is visited: none may still point into the original */
		size_t offset = layout->columns[i].offset;
		int each = copy_field(&layout->columns[i], copy + offset, (const char *)row + offset);

		r = r ? r : each;
	}
	if (!r)
		return copy;
	row_free(table, copy);
	return NULL;
}

int row_set_text(char **field, const char *text)
{
	return row_set_textn(field, text, text ? strlen(text) : 0);
}

int row_set_textn(char **field, const void *text, size_t len)
{
	char *copy = NULL;

	if (text) {
		copy = strndup(text, len);
		if (!copy)
			return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

int row_set_blob(struct row_blob *field, const void *data, size_t len)
{
	uint8_t *copy = NULL;

	if (len) {
		copy = malloc(len);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, data, len);
	}
	free(field->data);
	*field = (struct row_blob){ copy, len };
	return 0;
}
