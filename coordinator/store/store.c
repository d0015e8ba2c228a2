/* Statements are made from the column tables of coordinator/core/rows.c and prepared once. */
#include "coordinator/store/internal.h"
#include "coordinator/store/schema.h"
#include "proto/base/buf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* SQLite says "disk I/O error" of much; what the kernel said is what helps. sqlite3_system_errno is not set by a COMMIT
 * that fails, so it is errno, if it is one that a write leaves. */
static int cannot_write(const char *words, int code, struct error *error)
{
	bool forbidden = code == EROFS || code == EACCES || code == EPERM;
	bool known = forbidden || code == ENOSPC || code == EDQUOT || code == EIO;

	error_set(error, STORE_E_FULL, "the coordinator's database cannot be written: %s%s%s%s", words, known ? " (" : "",
		known ? strerror(code) : "", known ? ")" : "");
	error_hint(error, forbidden ?
			"make its state directory writable again (the kernel's log says why a file system became read-only);\n"
			"what was saved is safe" :
			"make space on the disk of its state directory; what was saved is safe");
	return STORE_E_FULL;
}

int store_translate(struct store *store, int code, const char *what, struct error *error)
{
	int said = errno;
	const char *words = store && store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
	case SQLITE_READONLY:
	case SQLITE_IOERR:
		return cannot_write(words, said, error);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return error_set(error, STORE_E_FOREIGN, "%s: %s", what, words);
	default:
		return error_set(error, -EIO, "%s: %s", what, words);
	}
}

int store_run_sql(struct store *store, const char *sql, struct error *error)
{
	return store_translate(store, sqlite3_exec(store->db, sql, NULL, NULL, NULL), "database", error);
}

int store_prepare(struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct error *error)
{
	return store_translate(store, sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL),
		"database", error);
}

int store_query_number(struct store *store, const char *sql, int64_t *ret_number, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int r, code;

	r = store_prepare(store, sql, &statement, error);
	if (r)
		return r;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_number = sqlite3_column_int64(statement, 0);
	r = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENODATA : store_translate(store, code, "database", error);
	sqlite3_finalize(statement);
	return r;
}

/* --- opening ------------------------------------------------------------------------------------------------- */

static int run_step(struct store *store, int version, struct error *error)
{
	char finish[96];
	int r;

	snprintf(finish, sizeof(finish), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		SCHEMA_APPLICATION_ID, version + 1);
	r = store_run_sql(store, "BEGIN IMMEDIATE", error);
	if (!r)
		r = store_run_sql(store, schema_steps[version], error);
	if (!r)
		r = store_run_sql(store, finish, error);
	if (r && !sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int store_identify(struct store *store, const char *path, int64_t *ret_version, struct error *error)
{
	int64_t version = 0, application = 0, tables = 0;
	int r;

	r = store_query_number(store, "PRAGMA user_version", &version, error);
	if (!r)
		r = store_query_number(store, "PRAGMA application_id", &application, error);
	if (!r)
		r = store_query_number(store, "SELECT count(*) FROM sqlite_master", &tables, error);
	if (r == STORE_E_FOREIGN) {
		error_prefix(error, "%s", path);
		error_hint(error, "put a backup in its place (README: Backup and restore), or move it away");
	}
	if (r)
		return r;
	if (tables && application != SCHEMA_APPLICATION_ID)
		return error_set(error, STORE_E_FOREIGN, "%s: a database, but not one of Maestro's", path);
	if (version > SCHEMA_VERSION)
		return error_set(error, STORE_E_FOREIGN,
			"%s: made by a newer Maestro (schema %" PRId64 ", this program knows %d)", path, version,
			SCHEMA_VERSION);
	*ret_version = version;
	return 0;
}

static int bring_up_to_date(struct store *store, const char *path, struct error *error)
{
	int64_t version = 0;
	int r;

	r = store_identify(store, path, &version, error);
	for (; version < SCHEMA_VERSION && !r; version++)
		r = run_step(store, (int)version, error);
	return r;
}

static int configure(struct store *store, struct error *error)
{
	sqlite3_busy_timeout(store->db, 2000);
	return store_run_sql(store,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
		"PRAGMA cache_size=-2048; PRAGMA wal_autocheckpoint=500",
		error);
}

static void put_statement(const struct row_layout *layout, struct buf *sql)
{
	buf_printf(sql, "INSERT INTO %s (", layout->table);
	for (size_t i = 0; i < layout->count; i++)
		buf_printf(sql, "%s%s", i ? "," : "", layout->columns[i].name);
	buf_append_str(sql, ") VALUES (");
	for (size_t i = 0; i < layout->count; i++)
		buf_printf(sql, "%s?%zu", i ? "," : "", i + 1);
	buf_append_str(sql, ") ON CONFLICT DO UPDATE SET "); /* not REPLACE: that would delete what hangs on the row */
	for (size_t i = layout->key_count; i < layout->count; i++)
		buf_printf(sql, "%s%s=excluded.%s", i > layout->key_count ? "," : "", layout->columns[i].name,
			layout->columns[i].name);
}

static void drop_statement(const struct row_layout *layout, struct buf *sql)
{
	buf_printf(sql, "DELETE FROM %s WHERE ", layout->table);
	for (size_t i = 0; i < layout->key_count; i++)
		buf_printf(sql, "%s%s=?%zu", i ? " AND " : "", layout->columns[i].name, i + 1);
}

static int prepare_all(struct store *store, struct error *error)
{
	int r = 0;

	for (int t = 0; t < ROW_TABLE_COUNT && !r; t++) {
		_cleanup_(buf_deinit) struct buf put = BUF_NULL, drop = BUF_NULL;

		put_statement(row_layout((enum row_table)t), &put);
		drop_statement(row_layout((enum row_table)t), &drop);
		r = store_prepare(store, buf_text(&put), &store->put[t], error);
		if (!r)
			r = store_prepare(store, buf_text(&drop), &store->drop[t], error);
	}
	if (!r)
		r = store_prepare(store, "BEGIN IMMEDIATE", &store->begin, error);
	if (!r)
		r = store_prepare(store, "COMMIT", &store->commit, error);
	if (!r)
		r = store_prepare(store, "ROLLBACK", &store->rollback, error);
	return r;
}

int store_find_audit_end(struct store *store, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int r;

	r = store_prepare(store, "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", &statement, error);
	if (!r && sqlite3_step(statement) == SQLITE_ROW) {
		store->audit_number = (uint64_t)sqlite3_column_int64(statement, 0);
		if (sqlite3_column_bytes(statement, 1) == ID_DIGEST_BYTES) /* else it is broken: `audit --verify` says so */
			memcpy(store->audit_hash, sqlite3_column_blob(statement, 1), ID_DIGEST_BYTES);
	}
	sqlite3_finalize(statement);
	return r;
}

/* SQLite would make it with the umask's mode; keys and prompts are nobody else's business. */
static int make_private(const char *path, struct error *error)
{
	int fd;

	if (path[0] == ':')
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int store_open(struct store **ret_store, const char *path, struct error *error)
{
	_cleanup_(store_free_p) struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	r = make_private(path, error);
	if (r)
		return r;
	r = store_translate(store, sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), path,
		error);
	if (!r)
		r = bring_up_to_date(store, path, error);
	if (!r)
		r = configure(store, error);
	if (!r)
		r = prepare_all(store, error);
	if (!r)
		r = store_find_audit_end(store, error);
	if (r)
		return r;
	*ret_store = take(store);
	return 0;
}

void store_free(struct store *store)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		sqlite3_finalize(store->put[t]);
		sqlite3_finalize(store->drop[t]);
	}
	sqlite3_finalize(store->begin);
	sqlite3_finalize(store->commit);
	sqlite3_finalize(store->rollback);
	sqlite3_close(store->db);
	free(store);
}

/* --- writing ------------------------------------------------------------------------------------------------- */

static int run_once(struct store *store, sqlite3_stmt *statement, struct error *error)
{
	int code = sqlite3_step(statement), r;

	r = store_translate(store, code, "database", error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int store_begin(struct store *store, struct error *error)
{
	int r;

	require(!store->active);
	r = run_once(store, store->begin, error);
	if (r)
		return r;
	store->active = true;
	store->audit_number_began = store->audit_number;
	memcpy(store->audit_hash_began, store->audit_hash, ID_DIGEST_BYTES);
	return 0;
}

bool store_in_transaction(const struct store *store)
{
	return store->active;
}

int store_commit(struct store *store, struct error *error)
{
	int r;

	require(store->active);
	r = run_once(store, store->commit, error);
	if (!r)
		store->active = false;
	return r;
}

void store_rollback(struct store *store)
{
	if (!store->active)
		return;
	if (!sqlite3_get_autocommit(store->db)) /* some errors have rolled back already */
		run_once(store, store->rollback, NULL);
	store->active = false;
	store->audit_number = store->audit_number_began;
	memcpy(store->audit_hash, store->audit_hash_began, ID_DIGEST_BYTES);
}

static int bind(sqlite3_stmt *statement, int place, const struct row_column *column, const void *row)
{
	const char *field = (const char *)row + column->offset;
	const struct row_blob *blob = (const struct row_blob *)field;

	switch (column->type) {
	case ROW_TYPE_BOOL:
		return sqlite3_bind_int(statement, place, *(const bool *)field);
	case ROW_TYPE_I32:
		return sqlite3_bind_int(statement, place, *(const int32_t *)field);
	case ROW_TYPE_U32:
		return sqlite3_bind_int64(statement, place, *(const uint32_t *)field);
	case ROW_TYPE_I64:
	case ROW_TYPE_U64:
		return sqlite3_bind_int64(statement, place, *(const int64_t *)field);
	case ROW_TYPE_TEXT:
		return sqlite3_bind_text(statement, place, *(char *const *)field, -1, SQLITE_STATIC);
	case ROW_TYPE_BLOB:
		return sqlite3_bind_blob64(statement, place, blob->len ? (const void *)blob->data : "", blob->len,
			SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static int execute(struct store *store, sqlite3_stmt *statement, const struct row_layout *layout, size_t count,
	const void *row, struct error *error)
{
	int code = SQLITE_OK;

	require(store->active);
	for (size_t i = 0; i < count && code == SQLITE_OK; i++)
		code = bind(statement, (int)i + 1, &layout->columns[i], row);
	if (code != SQLITE_OK) {
		sqlite3_clear_bindings(statement);
		return store_translate(store, code, layout->table, error);
	}
	return run_once(store, statement, error);
}

static int put_audit(struct store *store, const struct audit_row *given, struct error *error)
{
	struct audit_row row = *given;
	uint8_t digest[ID_DIGEST_BYTES];
	int r;

	row.number = store->audit_number + 1;
	audit_digest(store->audit_hash, &row, digest);
	row.hash = (struct row_blob){ digest, sizeof(digest) };
	r = execute(store, store->put[ROW_AUDIT], row_layout(ROW_AUDIT), row_layout(ROW_AUDIT)->count, &row, error);
	if (r)
		return r;
	store->audit_number = row.number;
	memcpy(store->audit_hash, digest, sizeof(digest));
	return 0;
}

int store_put(struct store *store, enum row_table table, const void *row, struct error *error)
{
	const struct row_layout *layout = row_layout(table);

	if (table == ROW_AUDIT)
		return put_audit(store, row, error);
	return execute(store, store->put[table], layout, layout->count, row, error);
}

int store_drop(struct store *store, enum row_table table, const void *row, struct error *error)
{
	const struct row_layout *layout = row_layout(table);

	return execute(store, store->drop[table], layout, layout->key_count, row, error);
}

/* --- reading ------------------------------------------------------------------------------------------------- */

static int read_field(sqlite3_stmt *statement, int place, const struct row_column *column, void *row)
{
	char *field = (char *)row + column->offset;
	int64_t number = sqlite3_column_int64(statement, place);

	switch (column->type) {
	case ROW_TYPE_BOOL:
		*(bool *)field = number != 0;
		return 0;
	case ROW_TYPE_I32:
		*(int32_t *)field = (int32_t)number;
		return 0;
	case ROW_TYPE_U32:
		*(uint32_t *)field = (uint32_t)number;
		return 0;
	case ROW_TYPE_I64:
	case ROW_TYPE_U64:
		*(int64_t *)field = number;
		return 0;
	case ROW_TYPE_TEXT:
		return row_set_text((char **)field, (const char *)sqlite3_column_text(statement, place));
	case ROW_TYPE_BLOB:
		return row_set_blob((struct row_blob *)field, sqlite3_column_blob(statement, place),
			(size_t)sqlite3_column_bytes(statement, place));
	}
	return -EINVAL;
}

static int hand_over(sqlite3_stmt *statement, enum row_table table, store_take take_row, void *userdata,
	struct error *error)
{
	const struct row_layout *layout = row_layout(table);
	void *row = calloc(1, layout->size);
	int r = row ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < layout->count; i++)
		r = read_field(statement, (int)i, &layout->columns[i], row);
	if (r) {
		row_free(table, row);
		return r;
	}
	return take_row(table, row, userdata, error);
}

int store_walk(struct store *store, enum row_table table, const char *rest, store_take take_row, void *userdata,
	struct error *error)
{
	const struct row_layout *layout = row_layout(table);
	_cleanup_(buf_deinit) struct buf sql = BUF_NULL;
	sqlite3_stmt *statement = NULL;
	int r, code = SQLITE_DONE;

	buf_append_str(&sql, "SELECT ");
	for (size_t i = 0; i < layout->count; i++)
		buf_printf(&sql, "%s%s", i ? "," : "", layout->columns[i].name);
	buf_printf(&sql, " FROM %s %s", layout->table, rest);
	r = store_prepare(store, buf_text(&sql), &statement, error);
	while (!r && (code = sqlite3_step(statement)) == SQLITE_ROW)
		r = hand_over(statement, table, take_row, userdata, error);
	if (!r)
		r = store_translate(store, code, layout->table, error);
	sqlite3_finalize(statement);
	return r;
}

int store_each(struct store *store, enum row_table table, store_take take_row, void *userdata, struct error *error)
{
	const struct row_layout *layout = row_layout(table);
	_cleanup_(buf_deinit) struct buf order = BUF_NULL;

	buf_append_str(&order, "ORDER BY ");
	for (size_t i = 0; i < layout->key_count; i++)
		buf_printf(&order, "%s%s", i ? "," : "", layout->columns[i].name);
	return store_walk(store, table, buf_text(&order), take_row, userdata, error);
}

int store_each_event(struct store *store, uint64_t since, uint32_t limit, store_take take_row, void *userdata,
	struct error *error)
{
	char rest[96];

	if (since > INT64_MAX)
		since = INT64_MAX;
	snprintf(rest, sizeof(rest), "WHERE seq >= %" PRIu64 " ORDER BY seq LIMIT %" PRIu32, since, limit);
	return store_walk(store, ROW_EVENT, rest, take_row, userdata, error);
}

int store_last_event(struct store *store, uint64_t *ret_seq, struct error *error)
{
	int64_t seq = 0;
	int r;

	r = store_query_number(store, "SELECT coalesce(max(seq), 0) FROM event", &seq, error);
	if (!r)
		*ret_seq = (uint64_t)seq;
	return r;
}

int store_prune_events(struct store *store, uint64_t keep, uint32_t limit, bool *ret_more, struct error *error)
{
	int64_t first = 0, last = 0;
	uint64_t upto;
	char sql[96];
	int r;

	require(!store->active);
	r = store_query_number(store, "SELECT coalesce(min(seq), 0) FROM event", &first, error);
	if (!r)
		r = store_query_number(store, "SELECT coalesce(max(seq), 0) FROM event", &last, error);
	if (r)
		return r;
	*ret_more = false;
	if ((uint64_t)(last - first) < keep)
		return 0;
	upto = (uint64_t)last - keep;
	if (upto - (uint64_t)first >= limit) {
		upto = (uint64_t)first + limit - 1;
		*ret_more = true;
	}
	snprintf(sql, sizeof(sql), "DELETE FROM event WHERE seq <= %" PRIu64, upto);
	return store_run_sql(store, sql, error);
}

static int take_spec(enum row_table table, void *row, void *userdata, struct error *error)
{
	*(struct spec_row **)userdata = row;
	return 0;
}

int store_get_spec(struct store *store, uint64_t task, struct spec_row **ret_spec, struct error *error)
{
	struct spec_row *spec = NULL;
	char rest[64];
	int r;

	snprintf(rest, sizeof(rest), "WHERE task = %" PRIu64 " LIMIT 1", task > INT64_MAX ? 0 : task);
	r = store_walk(store, ROW_SPEC, rest, take_spec, &spec, error);
	if (r)
		row_free(ROW_SPEC, spec);
	else if (spec)
		*ret_spec = spec;
	return r ? r : spec ? 0 : -ENODATA;
}
