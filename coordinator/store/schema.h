/* The database's schema and the steps that lead to it. Private to coordinator/store.
 *
 * A step's place in the list is the `PRAGMA user_version` that it leads to; each is run in one transaction with setting
 * that version. How to add one: coordinator/README.md, "Changing the schema". A database whose version is above ours is
 * refused: an older program must not write what it does not understand. */
#pragma once

#define SCHEMA_APPLICATION_ID 0x4d535452 /* "MSTR" in the file's header */

static const char *const schema_steps[] = {
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
	"CREATE TABLE task (id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, state INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL, project TEXT NOT NULL, agent TEXT NOT NULL, title TEXT NOT NULL,"
	" slug TEXT NOT NULL, base_branch TEXT, reason TEXT, commit_id TEXT, from_commit TEXT,"
	" priority INTEGER NOT NULL, stopping INTEGER NOT NULL, has_exit_code INTEGER NOT NULL,"
	" exit_code INTEGER NOT NULL, start_failures INTEGER NOT NULL, retries_used INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL);"
	"CREATE TABLE spec (task INTEGER PRIMARY KEY REFERENCES task(id) ON DELETE CASCADE, submit BLOB NOT NULL);"
	"CREATE TABLE attempt (task INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE, attempt INTEGER NOT NULL,"
	" run_id BLOB NOT NULL, worker TEXT NOT NULL, state INTEGER NOT NULL, reason TEXT, branch TEXT,"
	" commit_id TEXT, base_commit TEXT, has_exit_code INTEGER NOT NULL, exit_code INTEGER NOT NULL,"
	" session INTEGER NOT NULL, last_report INTEGER NOT NULL, released INTEGER NOT NULL,"
	" granted_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
	" PRIMARY KEY (task, attempt)) WITHOUT ROWID;"
	"CREATE TABLE status (task INTEGER PRIMARY KEY REFERENCES task(id) ON DELETE CASCADE,"
	" attempt INTEGER NOT NULL, state INTEGER NOT NULL, source INTEGER NOT NULL, message BLOB, file BLOB,"
	" has_progress INTEGER NOT NULL, progress INTEGER NOT NULL, time_ms INTEGER NOT NULL);"
	"CREATE TABLE project (name TEXT PRIMARY KEY, url BLOB NOT NULL, base_branch TEXT, agent TEXT, reason TEXT,"
	" needs_git INTEGER NOT NULL, checked INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE worker (name TEXT PRIMARY KEY, cordoned INTEGER NOT NULL, draining INTEGER NOT NULL,"
	" lost INTEGER NOT NULL, boot_id TEXT, info BLOB, software TEXT, seen_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE request (request_id BLOB PRIMARY KEY, digest BLOB NOT NULL, first_task INTEGER NOT NULL,"
	" count INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE key (public_key BLOB PRIMARY KEY, role INTEGER NOT NULL, name TEXT, revoked INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE token (digest BLOB PRIMARY KEY, role INTEGER NOT NULL, used INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE event (seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind TEXT NOT NULL,"
	" task INTEGER NOT NULL, attempt INTEGER NOT NULL, worker TEXT, actor TEXT, text TEXT, data TEXT);"
	"CREATE TABLE audit (number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, actor TEXT, act TEXT, text TEXT,"
	" hash BLOB NOT NULL);",
	/* 2: when a request was seen, so that it can be forgotten; those that are there were all seen lately, for all we know */
	"ALTER TABLE request ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;"
	"UPDATE request SET created_ms = strftime('%s', 'now') * 1000;",
	/* 3: what a worker that is away still has to throw away */
	"CREATE TABLE debt (task INTEGER NOT NULL, attempt INTEGER NOT NULL, worker TEXT NOT NULL,"
	" PRIMARY KEY (task, attempt)) WITHOUT ROWID;",
	/* 4: questions to the admin; the one that may be open already becomes the first. Pushes that are tried again */
	"CREATE TABLE question (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, worker TEXT, task INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL, run_id BLOB, text TEXT, answer TEXT, actor TEXT, asked_ms INTEGER NOT NULL,"
	" answered_ms INTEGER NOT NULL);"
	"INSERT INTO question SELECT 1, 'restored', NULL, 0, 0, NULL, 'a worker holds what this database does not know',"
	" NULL, NULL, strftime('%s', 'now') * 1000, 0 FROM meta WHERE name = 'restored' AND value = '1';"
	"ALTER TABLE attempt ADD COLUMN push_of INTEGER NOT NULL DEFAULT 0;",
};

#define SCHEMA_VERSION ((int)(sizeof(schema_steps) / sizeof(schema_steps[0])))
