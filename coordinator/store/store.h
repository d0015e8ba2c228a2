/* The coordinator's database: SQLite in WAL with synchronous=FULL, so what was committed is there after a loss of power.
 *
 * One transaction at a time: store_begin, puts and drops, then store_commit or store_rollback. A put or drop outside a
 * transaction is our own mistake. Everything blocks for as long as the disk takes.
 *
 * Conditions: STORE_E_FULL (no space, or read-only: nothing of this transaction is kept after store_rollback; may work
 * later), STORE_E_FOREIGN (not a database, not ours, or made by a newer Maestro; error says which).
 * Errors: -EIO with SQLite's own words in error, -ENOMEM. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "coordinator/core/rows.h"
#include "proto/base/error.h"

enum {
	STORE_E_FULL = 1,
	STORE_E_FOREIGN,
};

struct store;

/* Makes the file (0600) if there is none; ":memory:" for tests. Brings an older schema up to date. */
int store_open(struct store **ret_store, const char *path, struct error *error);
void store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free)

int store_begin(struct store *store, struct error *error);
bool store_in_transaction(const struct store *store);
/* Inserts or replaces. An audit row gets its number and hash here, chained to the one before. */
int store_put(struct store *store, enum row_table table, const void *row, struct error *error);
/* Deletes by the row's key. A task takes its spec, attempts and status along. */
int store_drop(struct store *store, enum row_table table, const void *row, struct error *error);
/* Durable when it returns 0. On failure call store_rollback. */
int store_commit(struct store *store, struct error *error);
void store_rollback(struct store *store);

/* Every row in the order of its key, handed over: `take` frees it (row_free) or keeps it. What `take` returns below
 * or above 0 ends the walk and is returned. */
typedef int (*store_take)(enum row_table table, void *row, void *userdata, struct error *error);
int store_each(struct store *store, enum row_table table, store_take take, void *userdata, struct error *error);
/* Events with seq >= since, `limit` at most, in order. */
int store_each_event(struct store *store, uint64_t since, uint32_t limit, store_take take, void *userdata,
	struct error *error);
/* The highest seq, 0: none. */
int store_last_event(struct store *store, uint64_t *ret_seq, struct error *error);
/* Events that are older than the newest `keep` are deleted, `limit` at most, in a transaction of its own (never within
 * another). *ret_more: there are more to delete. The audit log is never shortened. */
int store_prune_events(struct store *store, uint64_t keep, uint32_t limit, bool *ret_more, struct error *error);
/* One task's spec. -ENODATA: there is none. Free with row_free. */
int store_get_spec(struct store *store, uint64_t task, struct spec_row **ret_spec, struct error *error);

/* --- audit --------------------------------------------------------------------------------------------------- */

/* Audit rows with number >= since, `limit` at most, in order. */
int store_each_audit(struct store *store, uint64_t since, uint32_t limit, store_take take, void *userdata,
	struct error *error);
/* The number of the last row, 0: none. */
int store_last_audit(struct store *store, uint64_t *ret_number, struct error *error);
/* Walks a piece of the audit chain: `limit` rows at most from `from` (0: the first), resting on the row before it.
 * *ret_bad is the number of the first row that does not fit or is missing, 0: all do. *ret_next is where to go on,
 * 0: it was the last piece, or one is bad. */
int store_verify_audit(struct store *store, uint64_t from, uint32_t limit, uint64_t *ret_next, uint64_t *ret_bad,
	struct error *error);

/* --- backup -------------------------------------------------------------------------------------------------- */

/* Copies the database at `path` into the new file `to` (0600): whole and consistent, also while a coordinator writes to
 * it. -EEXIST if `to` is there. A copy that could not be finished is removed. */
int store_backup(const char *path, const char *to, struct error *error);

struct store_health {
	int64_t schema, tasks, events, audits;
	uint64_t audit_bad;  /* first broken row of the audit log, 0: none */
	char *damage;        /* SQLite's own first words on what is broken, NULL: nothing */
};

/* Reads all of the database at `path` and changes nothing: integrity, references, audit chain. 0 also if it is damaged:
 * look into *ret_health. STORE_E_FOREIGN as store_open, -ENOENT. */
int store_check(const char *path, struct store_health *ret_health, struct error *error);
void store_health_deinit(struct store_health *health);
