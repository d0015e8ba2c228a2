/* Copies of the database and a look at its health, for a person at the coordinator's machine: each opens the file by
 * itself, beside a coordinator that may be running. */
#include "coordinator/store/internal.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS 10000
#define AUDIT_ROWS_A_STEP 4096u

/* An existing database, to be read. WAL needs to write its own index beside it, so not SQLITE_OPEN_READONLY. */
static int open_existing(struct store *store, const char *path, int64_t *ret_version, struct error *error)
{
	int r;

	if (access(path, R_OK) != 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	r = store_translate(store, sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE, NULL), path, error);
	if (r)
		return r;
	sqlite3_busy_timeout(store->db, BUSY_MS);
	r = store_identify(store, path, ret_version, error);
	if (!r && !*ret_version)
		r = error_set(error, STORE_E_FOREIGN, "%s: an empty file, no database of Maestro's", path);
	return r;
}

static void close_plain(struct store *store)
{
	sqlite3_close(store->db);
}

/* --- backup -------------------------------------------------------------------------------------------------- */

/* Nobody else's file is ever written over, and nobody else may read it: prompts are in it. */
static int make_new(const char *to, struct error *error)
{
	int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		error_set(error, -EEXIST, "%s is there already, and a backup overwrites nothing", to);
		error_hint(error, "name another file, or move that one away");
		return -EEXIST;
	}
	if (fd < 0)
		return error_set(error, -errno, "%s: %s", to, strerror(errno));
	close(fd);
	return 0;
}

/* All pages in one step, so in one read transaction, which in WAL keeps no writer from going on. In smaller steps every
 * write of the coordinator in between would make SQLite begin anew. */
static int copy_pages(struct store *from, struct store *to, struct error *error)
{
	sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
	int code;

	if (!backup)
		return store_translate(to, sqlite3_errcode(to->db), "backup", error);
	code = sqlite3_backup_step(backup, -1);
	sqlite3_backup_finish(backup);
	return code == SQLITE_DONE ? 0 : store_translate(to, code, "backup", error);
}

/* The copy is one file, with nothing beside it that could be forgotten, and on the disk when this returns. */
static int finish_copy(struct store *copy, const char *to, struct error *error)
{
	_cleanup_free_ char *dir = strdup(to);
	_cleanup_close_ int fd = -1;
	char *slash;
	int r;

	r = store_run_sql(copy, "PRAGMA journal_mode=DELETE", error);
	if (r)
		return r;
	fd = open(to, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return error_set(error, -errno, "%s: %s", to, strerror(errno));
	slash = dir ? strrchr(dir, '/') : NULL;
	if (slash)
		slash[slash == dir] = 0;
	r = io_fsync_dir(slash ? dir : ".");
	return r ? error_set(error, r, "%s: %s", to, strerror(-r)) : 0;
}

int store_backup(const char *path, const char *to, struct error *error)
{
	struct store from = { 0 }, copy = { 0 };
	int64_t version = 0;
	int r;

	r = open_existing(&from, path, &version, error);
	if (!r)
		r = make_new(to, error);
	if (r) {
		close_plain(&from);
		return r;
	}
	r = store_translate(&copy, sqlite3_open_v2(to, &copy.db, SQLITE_OPEN_READWRITE, NULL), to, error);
	if (!r)
		r = copy_pages(&from, &copy, error);
	if (!r)
		r = finish_copy(&copy, to, error);
	close_plain(&copy);
	close_plain(&from);
	if (r) {
		error_prefix(error, "the backup was not made");
		unlink(to);
	}
	return r;
}

/* --- check --------------------------------------------------------------------------------------------------- */

/* The first line that is not "ok". */
static int first_damage(struct store *store, const char *pragma, char **ret_damage, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	const char *text = NULL;
	int r, code;

	r = store_prepare(store, pragma, &statement, error);
	if (r)
		return r;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(statement, 0);
	else if (code != SQLITE_DONE)
		text = sqlite3_errmsg(store->db);
	if (text && strcmp(text, "ok") != 0) {
		*ret_damage = strdup(text);
		r = *ret_damage ? 0 : -ENOMEM;
	}
	sqlite3_finalize(statement);
	return r;
}

static int check_audit(struct store *store, uint64_t *ret_bad, struct error *error)
{
	uint64_t next = 1;
	int r;

	r = store_find_audit_end(store, error);
	while (!r && next)
		r = store_verify_audit(store, next, AUDIT_ROWS_A_STEP, &next, ret_bad, error);
	return r;
}

static int check_contents(struct store *store, struct store_health *health, struct error *error)
{
	int r;

	r = first_damage(store, "PRAGMA integrity_check(1)", &health->damage, error);
	if (!r && !health->damage)
		r = first_damage(store,
			"SELECT printf('a row of %s belongs to a %s that is not there', \"table\", parent)"
			" FROM pragma_foreign_key_check LIMIT 1", &health->damage, error);
	if (r || health->damage)
		return r;
	r = store_query_number(store, "SELECT count(*) FROM task", &health->tasks, error);
	if (!r)
		r = store_query_number(store, "SELECT count(*) FROM event", &health->events, error);
	if (!r)
		r = store_query_number(store, "SELECT count(*) FROM audit", &health->audits, error);
	return r ? r : check_audit(store, &health->audit_bad, error);
}

int store_check(const char *path, struct store_health *ret_health, struct error *error)
{
	struct store_health health = { 0 };
	struct store store = { 0 };
	int r;

	r = open_existing(&store, path, &health.schema, error);
	if (!r)
		r = check_contents(&store, &health, error);
	close_plain(&store);
	if (r) {
		store_health_deinit(&health);
		return r;
	}
	*ret_health = health;
	return 0;
}

void store_health_deinit(struct store_health *health)
{
	free(take(health->damage));
}
