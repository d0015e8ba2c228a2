/* What the coordinator keeps: one struct a stored record, one table of columns for each.
 *
 * The table drives reading, writing and freeing, so a field is added in three places only: the struct, its line in
 * rows.c, and the schema of coordinator/store with the procedure that stands there. Rows are plain: they own their
 * strings and blobs and point to nothing else. Times are milliseconds since 1970, 0 where not known. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"

enum row_table {
	ROW_META,
	ROW_TASK,
	ROW_SPEC,
	ROW_ATTEMPT,
	ROW_STATUS,
	ROW_PROJECT,
	ROW_WORKER,
	ROW_REQUEST,
	ROW_DEBT,
	ROW_QUESTION,
	ROW_KEY,
	ROW_TOKEN,
	ROW_EVENT,
	ROW_AUDIT,
	ROW_TABLE_COUNT,
};

struct row_blob {
	uint8_t *data;
	size_t len;
};

struct meta_row {
	char *name;
	char *value;
};

/* What changes while a task lives. What was asked, with the prompt, is in its spec and written once. */
struct task_row {
	uint64_t id;
	uint64_t group_id; /* 0: none; else the id of the group's first task */
	int32_t state;     /* Maestro__TaskState */
	uint32_t attempt;  /* the newest, 0: none yet */
	char *project, *agent, *title, *slug, *base_branch, *reason;
	char *commit_id;   /* the last that was pushed */
	char *from_commit; /* where the next attempt begins, NULL: the base */
	int32_t priority;
	bool stopping;     /* a person asked for the end; the worker has not said that it came */
	bool has_exit_code;
	int32_t exit_code;
	uint32_t start_failures, retries_used;
	int64_t created_ms, started_ms, ended_ms;
};

/* A packed Maestro__Submit, as it was checked. */
struct spec_row {
	uint64_t task;
	struct row_blob submit;
};

struct attempt_row {
	uint64_t task;
	uint32_t attempt;
	struct row_blob run_id; /* 16 random bytes */
	char *worker;
	int32_t state;          /* Maestro__TaskState: starting, running, review and the ends */
	char *reason, *branch, *commit_id, *base_commit;
	bool has_exit_code;
	int32_t exit_code;
	int32_t session;        /* Maestro__SessionState */
	uint64_t last_report;   /* the worker's number of the last report that was taken */
	bool released;          /* the worker keeps nothing of it any more */
	int64_t granted_ms;     /* last push grant */
	uint32_t push_of;       /* pushes again what this attempt, whose worktree it takes over, could not; 0: none */
	int64_t started_ms, ended_ms;
};

struct status_row {
	uint64_t task;
	uint32_t attempt;
	int32_t state, source;
	struct row_blob message, file;
	bool has_progress;
	uint32_t progress;
	int64_t time_ms;
};

struct project_row {
	char *name;
	struct row_blob url;
	char *base_branch, *agent, *reason;
	bool needs_git;
	bool checked; /* a worker has reached it */
};

struct worker_row {
	char *name;
	bool cordoned, draining, lost;
	char *boot_id;
	struct row_blob info; /* a packed Maestro__WorkerInfo */
	char *software;
	int64_t seen_ms;
};

/* Makes a submit repeatable. */
struct request_row {
	struct row_blob request_id;
	struct row_blob digest; /* SHA-256 of the body */
	uint64_t first_task;
	uint32_t count;
	int64_t created_ms;
};

/* A worker that was away when a task was removed by force still has to throw this attempt away. */
struct debt_row {
	uint64_t task;
	uint32_t attempt;
	char *worker;
};

/* What only an admin can decide. Answered once, and kept: the answer goes on to hold for its session. */
struct question_row {
	uint64_t id;
	char *kind;             /* one of the table in question.c */
	char *worker;           /* that showed what is asked about, NULL: none */
	uint64_t task;          /* 0: none */
	uint32_t attempt;
	struct row_blob run_id; /* of the session that is asked about; empty: none */
	char *text;
	char *answer, *actor;   /* NULL: it is open */
	int64_t asked_ms, answered_ms;
};

struct key_row {
	struct row_blob public_key;
	int32_t role; /* Maestro__Role */
	char *name;
	bool revoked;
	int64_t created_ms;
};

/* A join token's secret is stored as its SHA-256 only. */
struct token_row {
	struct row_blob digest;
	int32_t role;
	bool used;
	int64_t created_ms, expires_ms;
};

struct event_row {
	uint64_t seq;
	int64_t time_ms;
	char *kind;
	uint64_t task; /* 0: none */
	uint32_t attempt;
	char *worker, *actor, *text, *data;
};

/* Chained: hash = SHA-256(previous hash, number, time, actor, act, text). Filled in by the store. */
struct audit_row {
	uint64_t number;
	int64_t time_ms;
	char *actor, *act, *text;
	struct row_blob hash;
};

enum row_type {
	ROW_TYPE_BOOL,
	ROW_TYPE_I32,
	ROW_TYPE_U32,
	ROW_TYPE_I64,
	ROW_TYPE_U64,
	ROW_TYPE_TEXT, /* char *, NULL is stored as NULL */
	ROW_TYPE_BLOB, /* struct row_blob */
};

struct row_column {
	const char *name;
	enum row_type type;
	size_t offset;
};

struct row_layout {
	const char *table;
	size_t size;      /* of the struct */
	size_t key_count; /* the first columns that are the primary key */
	size_t count;
	const struct row_column *columns;
};

const struct row_layout *row_layout(enum row_table table);
/* Frees what the row owns and clears it; not the struct itself. */
void row_deinit(enum row_table table, void *row);
/* row_deinit and free. NULL is ignored. */
void row_free(enum row_table table, void *row);
/* A deep copy, NULL when out of memory. Free with row_free. */
void *row_copy(enum row_table table, const void *row);

/* Replace a string or blob that a row owns. A NULL text is kept as NULL. -ENOMEM leaves the old one. */
int row_set_text(char **field, const char *text);
int row_set_textn(char **field, const void *text, size_t len);
int row_set_blob(struct row_blob *field, const void *data, size_t len);
