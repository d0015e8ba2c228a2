#!/usr/bin/env bash
# The database over time: one of every earlier schema is brought up to date with all that is in it, one of a later is
# refused untouched; and what `check` finds in one that is damaged, with what to do. (Seen red with a fixture
# whose user_version was one too high, so that its step was not run.)
. "${MAESTRO_TESTS:?}/support/harness.sh"
mind=$MAESTRO_HOME/state/coordinator db=$MAESTRO_HOME/state/coordinator/coordinator.db
newest=$(basename -a "$MAESTRO_TESTS"/fault/schema/version-*.sql | tr -dc '0-9\n' | sort -n | tail -n 1)
put() { rm -f "$db"*; sqlite3 "$db" < "$1"; }
halt() { kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null; }
check "init" maestro-coordinator init
keys=$(sqlite3 "$db" '.dump key' | grep '^INSERT') # the fixtures know another admin: as in a restored backup, ours is put in

for old in "$MAESTRO_TESTS"/fault/schema/version-*.sql; do
	version=$(basename "$old" | tr -dc 0-9)
	put "$old"
	like "version $version is whole before" "is whole: schema $version, 2 tasks" "$(maestro-coordinator check)"
	sqlite3 "$db" "${keys//INSERT INTO/INSERT OR IGNORE INTO}"
	start_coordinator
	is "version $version: its tasks" "1 review first,2 queued second" \
		"$(maestro ls --all --json | jq -r '[sort_by(.id)[] | "\(.id) \(.state) \(.title)"] | join(",")')"
	is "version $version: what was asked" 1 "$(maestro show 2 --json | jq -r '.after[0]')"
	is "version $version: its attempt" "w1 maestro/1-first" "$(maestro show 1 --json | jq -r '.attempts[0] | "\(.worker) \(.branch)"')"
	like "version $version: its events" '"kind":"queue.paused"' "$(maestro events --json)"
	check "version $version: its audit log" maestro audit --verify
	check "version $version: it can be written" maestro stop 2
	halt
	like "version $version: it is the newest now" "is whole: schema $newest, 2 tasks" "$(maestro-coordinator check)"
	is "version $version: as if made new" "" \
		"$(diff <(sqlite3 "$db" 'PRAGMA user_version; SELECT name FROM sqlite_master ORDER BY name; SELECT m.name, p.name, p.type FROM sqlite_master m, pragma_table_info(m.name) p ORDER BY 1, p.cid') \
			<(rm -rf fresh && MAESTRO_HOME=$place/fresh maestro-coordinator init > /dev/null && sqlite3 fresh/state/coordinator/coordinator.db 'PRAGMA user_version; SELECT name FROM sqlite_master ORDER BY name; SELECT m.name, p.name, p.type FROM sqlite_master m, pragma_table_info(m.name) p ORDER BY 1, p.cid'))"
done

cp "$db" whole.db
sqlite3 "$db" "PRAGMA user_version = $((newest + 1))" > /dev/null
before=$(sha256sum < "$db")
refuses "a later schema is refused" 1 "newer Maestro .schema $((newest + 1)), this program knows $newest" timeout 20 maestro-coordinator run
refuses "check says so, too" 1 'newer Maestro' maestro-coordinator check
is "and left as it is" "$before" "$(sha256sum < "$db")"

# spoil NAME WORDS...: what is wrong with the file that stands in $db.
finds() {
	refuses "check finds $1" 1 "$2" maestro-coordinator check
	like "and says what to do ($1)" 'backup' "$(maestro-coordinator check 2>&1)"
}
cp whole.db "$db"
truncate -s $(($(stat -c %s whole.db) / 2)) "$db"
finds "a truncated file" 'coordinator.db.*(damaged|malformed|not a database)'
cp whole.db "$db"
page=$(sqlite3 "$db" "SELECT rootpage FROM sqlite_master WHERE name = 'event'")
head -c 64 /dev/urandom | dd of="$db" bs=1 seek=$(((page - 1) * $(sqlite3 "$db" 'PRAGMA page_size'))) conv=notrunc status=none
finds "a page of noise" 'coordinator.db.*(damaged|malformed)'
cp whole.db "$db"
sqlite3 "$db" 'PRAGMA foreign_keys = OFF; DELETE FROM task WHERE id = 1'
finds "attempts without their task" 'a row of (attempt|spec) belongs to a task that is not there'
cp whole.db "$db"
sqlite3 "$db" "UPDATE audit SET text = 'task=3' WHERE number = 5"
finds "a changed row of audit" 'audit log is broken at row 5'
cp whole.db "$db"
sqlite3 "$db" "DELETE FROM audit WHERE number = 5"
finds "a missing row of audit" 'audit log is broken at row 5'
cp whole.db "$db"
check "and nothing in a whole one" maestro-coordinator check
