/* What the files of the store share. Nothing outside coordinator/store includes it. */
#pragma once

#include <sqlite3.h>
#include "coordinator/store/store.h"
#include "proto/base/id.h"

struct store {
	sqlite3 *db;
	sqlite3_stmt *put[ROW_TABLE_COUNT], *drop[ROW_TABLE_COUNT];
	sqlite3_stmt *begin, *commit, *rollback;
	bool active;
	/* the audit chain's end, and what it was when this transaction began */
	uint64_t audit_number, audit_number_began;
	uint8_t audit_hash[ID_DIGEST_BYTES], audit_hash_began[ID_DIGEST_BYTES];
};

/* store.c. store_translate: the one translation of SQLite's codes; its words are taken at once. `store` may be NULL. */
int store_translate(struct store *store, int code, const char *what, struct error *error);
int store_run_sql(struct store *store, const char *sql, struct error *error);
int store_prepare(struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct error *error);
/* The first column of the first row; -ENODATA without one. */
int store_query_number(struct store *store, const char *sql, int64_t *ret_number, struct error *error);
/* Every row of a table, with `rest` after FROM. */
int store_walk(struct store *store, enum row_table table, const char *rest, store_take take, void *userdata,
	struct error *error);
/* Whose file it is: STORE_E_FOREIGN if not ours or too new, else its schema's version. */
int store_identify(struct store *store, const char *path, int64_t *ret_version, struct error *error);

/* Where the audit log's chain goes on. */
int store_find_audit_end(struct store *store, struct error *error);

/* audit.c */
void audit_digest(const uint8_t previous[ID_DIGEST_BYTES], const struct audit_row *row,
	uint8_t digest[ID_DIGEST_BYTES]);
