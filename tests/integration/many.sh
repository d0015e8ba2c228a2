#!/usr/bin/env bash
# 2,500 tasks that say everything that a task can say: `maestro ls --all` has them all, page by page, in order.
#
# Seen to fail: at 1,000 of them the answer took more memory than its bytes allowed, and the link was closed.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
id=$(maestro run -a command --title w --priority 3 'echo x > x')
check "a task ends" maestro wait "$id"
kill -TERM "$worker" "$coordinator"
wait "$worker" "$coordinator" 2> /dev/null
sqlite3 "$MAESTRO_HOME/state/coordinator/coordinator.db" "
	CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) SELECT $id + i AS i FROM n;
	CREATE TEMP TABLE t AS SELECT * FROM task WHERE id = $id;
	CREATE TEMP TABLE s AS SELECT * FROM spec WHERE task = $id;
	CREATE TEMP TABLE a AS SELECT * FROM attempt WHERE task = $id;
	UPDATE t SET group_id = 1, reason = 'r', has_exit_code = 1;
	CREATE TEMP TABLE tn AS SELECT n.i, t.* FROM n, t; UPDATE tn SET id = i; ALTER TABLE tn DROP COLUMN i; INSERT INTO task SELECT * FROM tn;
	CREATE TEMP TABLE sn AS SELECT n.i, s.* FROM n, s; UPDATE sn SET task = i; ALTER TABLE sn DROP COLUMN i; INSERT INTO spec SELECT * FROM sn;
	CREATE TEMP TABLE an AS SELECT n.i, a.* FROM n, a; UPDATE an SET task = i, run_id = randomblob(16); ALTER TABLE an DROP COLUMN i; INSERT INTO attempt SELECT * FROM an;
	INSERT OR REPLACE INTO status SELECT task, attempt, 2, 2, 'm', 'f', 1, 50, 1 FROM attempt;" > sql.log 2>&1 || fail "the tasks are there" "$(cat sql.log)"
start_coordinator
maestro ls --all --json > all.json 2> all.err || fail "ls --all" "$(cat all.err)"
is "all are listed, each once, in order" "2500 true" "$(jq -r '"\(length) \(map(.id) == (map(.id) | unique))"' all.json)"
is "the copies with all that they say" 2499 "$(jq '[.[] | select(.title == "w" and .reason == "r" and .worker == "w1" and .commit != null)] | length' all.json)"
is "for people too" 2501 "$(maestro ls --all | wc -l)"
is "in a state" 2500 "$(maestro ls --state review --json | jq length)"
