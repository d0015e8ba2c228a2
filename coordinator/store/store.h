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
/* Walks the audit chain. *ret_bad is the number of the first row that does not fit, 0: all do. */
int store_verify_audit(struct store *store, uint64_t *ret_bad, struct error *error);
