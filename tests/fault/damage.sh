#!/usr/bin/env bash
# Truncated and flipped bytes in every file that we write: a message that names the file and what to do, and nothing
# lost that need not be.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
state=$MAESTRO_HOME/state/workers/w1 mind=$MAESTRO_HOME/state/coordinator
flip() { # FILE OFFSET: every bit of that byte; a negative one is counted from the end
	local at=$2
	[ "$at" -lt 0 ] && at=$(($(stat -c %s "$1") + at))
	printf "\\x$(printf %02x $((0x$(xxd -s "$at" -l 1 -p "$1") ^ 255)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
# damaged FILE HOW COMMAND...: with the file so damaged; it is put back afterwards.
damaged() {
	local file=$1 how=$2
	shift 2
	cp -p "$file" "$place/kept"
	case $how in
	cut) truncate -s $(($(stat -c %s "$file") / 2)) "$file" ;;
	empty) : > "$file" ;;
	flip) flip "$file" $(($(stat -c %s "$file") / 2)) ;;
	esac
	"$@"
	cp -p "$place/kept" "$file"
}
run_worker() { timeout 10 maestro-worker run --name w1; }
run_coordinator() { timeout 10 maestro-coordinator run; }

# The worker's journal: what was written before the damage counts, the whole file is kept, sessions are found again.
begin "journal"
halt KILL "$worker"
flip "$state/journal" -5
cp "$state/journal" whole
start_worker w1 && worker=$started
like "a flipped byte at the journal's end is told" 'journal was damaged' "$(cat "$place/w1.log")"
is "and the damaged file is kept" 1 "$(find "$state" -name 'journal.damaged-*' | wc -l)"
check "the damaged copy is the whole file" cmp whole "$(find "$state" -name 'journal.damaged-*')"
check "the session still runs" kill -0 "$pid"
touch "$place/go.$id"
wait_for 60 is_over "$id" || fail "its task ends" "$(maestro show "$id")"
is "and it ran once" 1 "$(ran "$id")"
halt KILL "$worker"
cp "$state/journal" whole
truncate -s -3 "$state/journal"
start_worker w1 && worker=$started
is "a torn last record is no more than that" 2 "$(find "$state" -name 'journal.damaged-*' | wc -l)"
begin "after damage"
touch "$place/go.$id"
check "the worker works on behind the good part" maestro wait "$id"
halt KILL "$worker"
cp "$state/journal" whole
flip "$state/journal" 2
refuses "a journal that is none is refused, and what to do is said" 1 'journal.*no journal(.|\n)*|move it away' run_worker
cp whole "$state/journal"

# The worker's other files.
for how in cut empty flip; do
	damaged "$state/worker.key" $how refuses "worker.key: $how" 1 'worker.key: .*key|worker.key' run_worker
done
printf 'slots = many\n' > "$state/worker.conf"
refuses "a value that is no number names the file" 2 'worker.conf' run_worker
printf 'slots = 2\nsltos = 3\n' > "$state/worker.conf"
refuses "an unknown key names the nearest" 2 "slots" run_worker
head -c 300 /dev/urandom > "$state/worker.conf"
refuses "noise instead of a configuration" 2 'worker.conf' run_worker
rm "$state/worker.conf"
start_worker w1 && worker=$started

# A holder's state file: the session cannot be known by it any more. Nobody is adopted, nothing starts a second time.
for how in flip cut; do
	begin "holder $how"
	halt KILL "$worker"
	case $how in flip) flip "$state/sessions/$id.1/holder" 20 ;; cut) truncate -s 5 "$state/sessions/$id.1/holder" ;; esac
	start_worker w1 && worker=$started
	wait_for 60 is_over "$id"
	is "with its state file damaged ($how) an attempt fails" "failed 1" "$(state_of "$id") $(ran "$id")"
	like "with the reason" 'holder' "$(field_of "$id" reason)"
	wait_for 20 sh -c "! kill -0 $pid" && pass "and what nobody holds is ended ($how)" || fail "and what nobody holds is ended ($how)"
done
wait_for 30 no_holders && pass "no holder stays behind" || fail "no holder stays behind" "$(holders)"

# What a holder left on its end: unreadable, the attempt fails with a reason, once.
for how in cut empty flip; do
	begin "exit $how"
	halt KILL "$worker"
	touch "$place/go.$id"
	wait_for 20 test -s "$state/sessions/$id.1/exit" || fail "the holder writes its exit"
	file=$state/sessions/$id.1/exit
	kill -KILL $(holders)
	wait_for 10 no_holders
	case $how in cut) truncate -s 3 "$file" ;; empty) : > "$file" ;; flip) flip "$file" $(($(stat -c %s "$file") / 2)) ;; esac
	start_worker w1 && worker=$started
	wait_for 60 is_over "$id"
	is "with its exit damaged ($how) it is not guessed how it ended" "failed 1" "$(state_of "$id") $(ran "$id")"
	like "and says why" 'holder|exit' "$(field_of "$id" reason)"
done

# A prompt that was handed over is nobody's any more.
begin "prompt"
prompt=$(find "$state/sessions/$id.1" -name 'prompt*' | head -n 1)
if [ -n "$prompt" ]; then
	halt KILL "$worker"
	head -c 40 /dev/urandom > "$prompt"
	start_worker w1 && worker=$started
fi
touch "$place/go.$id"
check "with its prompt damaged a session that runs ends well" maestro wait "$id"
is "and ran once" "review 1" "$(state_of "$id") $(ran "$id")"

# A transcript: what is whole is shown, what is not is a gap.
id=$(maestro run -a command --title output 'for i in $(seq 1 20000); do echo "line $i of the output"; done; exit 1')
maestro wait "$id"
transcript=$state/sessions/$id.1/transcript.zst
maestro logs "$id" > all.txt
like "the output is there" 'line 20000 of' "$(tail -n 3 all.txt)"
damaged "$transcript" flip sh -c "maestro logs $id > flipped.txt 2> flipped.err"
is "a flipped byte in a transcript shows nothing false" "" "$(tr -d '\r' < flipped.txt | grep -a '^line' | grep -vE '^line [0-9]+( of( the( output)?)?)?$|^line [0-9]* ?' | head -n 3)"
damaged "$transcript" cut sh -c "maestro logs $id > cut.txt 2> cut.err"
is "and a cut one what is before it" "" "$(head -c "$(stat -c %s cut.txt)" all.txt | cmp - cut.txt 2>&1 | head -n 1)"
damaged "$transcript" empty sh -c "maestro logs $id > empty.txt 2> empty.err"
check "the worker minds none of it" worker_is w1 ready

# The coordinator's files: it does not run on what it cannot read, says which file, and makes no new identity by itself.
halt KILL "$worker"
halt KILL "$coordinator"
for how in cut empty flip; do
	for file in ca.pem server.pem server.key; do
		damaged "$mind/$file" $how refuses "$file: $how" 1 "$file|certificate|key" timeout 10 maestro-coordinator run --listen 127.0.0.1:0
	done
done
for how in cut empty flip; do damaged "$mind/admin.key" $how refuses "admin.key: $how" 1 'admin.key' run_coordinator; done
for how in cut empty; do damaged "$mind/cluster" $how refuses "cluster: $how" 1 'cluster' run_coordinator; done
sqlite3 "$mind/coordinator.db" 'PRAGMA wal_checkpoint(TRUNCATE)' > checkpoint.log 2>&1
damaged "$mind/coordinator.db" cut refuses "half a database" 1 'coordinator.db' run_coordinator
cp -p "$mind/coordinator.db" kept.db
flip "$mind/coordinator.db" 3
refuses "a database that is none" 1 'coordinator.db' run_coordinator
cp -p kept.db "$mind/coordinator.db"
printf 'listen = {\n' > "$MAESTRO_HOME/config/coordinator.conf" 2>/dev/null || { mkdir -p "$MAESTRO_HOME/config" && printf 'listen = {\n' > "$MAESTRO_HOME/config/coordinator.conf"; }
refuses "a broken configuration names the file" 2 'coordinator.conf' run_coordinator
rm "$MAESTRO_HOME/config/coordinator.conf"
start_coordinator
is "everything is there afterwards" "$(grep -c . "$place/ran")" "$(maestro ls --all --json | jq '[.[] | select(.title != "output")] | length')"
start_worker w1
worker=$started
wait_for 30 worker_is w1 ready && pass "and the worker is ready" || fail "and the worker is ready" "$(maestro worker ls)"
id=$(maestro run -a command --title last "echo x > x")
check "and works" maestro wait "$id"

# A flipped byte in what the database had written ahead: it comes up with what is before it, or says that it does not, and
# what the worker holds is not thrown away for it.
begin "ahead"
halt KILL "$coordinator"
if [ -s "$mind/coordinator.db-wal" ]; then
	flip "$mind/coordinator.db-wal" $(($(stat -c %s "$mind/coordinator.db-wal") * 3 / 4))
	start_coordinator
	check "a flipped byte in the WAL leaves a whole database" maestro-coordinator check
	check "and a whole audit log" maestro audit --verify
	check "the session runs on" kill -0 "$pid"
	known=$(maestro show "$id" --json 2> /dev/null | jq -r .state)
	asked=$(maestro question ls --json 2> /dev/null | jq length)
	[ "$known" = running ] || [ "${asked:-0}" -gt 0 ] || wait_for 60 sh -c "[ \"\$(maestro question ls --json | jq length)\" -gt 0 ] || [ \"\$(maestro show $id --json | jq -r .state)\" = running ]"
	like "its task is known, or the admin is asked" '^running|^[a-z]* [1-9]' "$(maestro show "$id" --json 2> /dev/null | jq -r .state) $(maestro question ls --json | jq length)"
else
	fail "there is a WAL to damage"
fi
touch "$place/go.$id"
