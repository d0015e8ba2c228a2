/* What a person does to the database from outside: backup and check. */
#include "coordinator/service/internal.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static int no_database(const char *path, struct error *error)
{
	error_set(error, -ENOENT, "%s is not there", path);
	error_hint(error, "is this the user (or --system, or MAESTRO_HOME) that the coordinator runs as?");
	return -ENOENT;
}

int service_backup(const char *state, const char *to, struct error *error)
{
	_cleanup_(service_files_deinit) struct service_files files = { 0 };
	int r;

	r = service_files_init(&files, state);
	if (r)
		return r;
	if (access(files.database, F_OK) != 0 && errno == ENOENT)
		return no_database(files.database, error);
	return error_fold(store_backup(files.database, to, error));
}

static int judge(const char *path, const struct store_health *health, struct error *error)
{
	if (health->damage) {
		error_set(error, -EBADMSG, "%s is damaged: %s", path, health->damage);
		error_hint(error, "stop the coordinator and put a backup in its place (README: Backup and restore)");
		return -EBADMSG;
	}
	if (health->audit_bad) {
		error_set(error, -EBADMSG, "%s: the audit log is broken at row %" PRIu64, path, health->audit_bad);
		error_hint(error, "that row was changed, added or taken away behind the coordinator's back; a backup that\n"
				  "passes this check shows what was there");
		return -EBADMSG;
	}
	return 0;
}

int service_check(const char *state, const char *database, FILE *out, struct error *error)
{
	_cleanup_(service_files_deinit) struct service_files files = { 0 };
	_cleanup_(store_health_deinit) struct store_health health = { 0 };
	const char *path = database;
	int r;

	r = service_files_init(&files, state);
	if (r)
		return r;
	path = database ? database : files.database;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return no_database(path, error);
	r = store_check(path, &health, error);
	if (!r)
		r = judge(path, &health, error);
	if (r)
		return error_fold(r);
	fprintf(out, "%s is whole: schema %" PRId64 ", %" PRId64 " tasks, %" PRId64 " events, %" PRId64 " rows of audit\n",
		path, health.schema, health.tasks, health.events, health.audits);
	return 0;
}
