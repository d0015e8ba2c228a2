#!/usr/bin/env bash
# SIGSTOP past a lease and past a silence, SIGTERM with work in flight, drain, an exit while the coordinator is away, an
# account that is limited until a time, and a console that stands still beside a session that floods.
#
# The minute of a lease is not waited for: a preload library moves the clock that counts, as a suspend would.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
echo 0 > "$place/ahead"
start_clocked_coordinator() {
	start coordinator with_faults FAULT_PROGRAM=maestro-coordinator FAULT_CLOCK="$place/ahead" maestro-coordinator run
	coordinator=$started
}
start_clocked_coordinator
maestro token create --role worker > "$place/token"
check "a worker joins" maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name w1 --token-file "$place/token"
start_clocked_worker() {
	start w1 with_faults FAULT_PROGRAM=maestro-worker FAULT_CLOCK="$place/ahead" maestro-worker run --name w1 --slots 8
	worker=$started
}
start_clocked_worker
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
is_stopped() { [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -c1)" = T ]; }

# A worker that stands still while its session ends and a grant's minute goes by: it asks anew, and pushes once.
begin "stopped past a lease"
kill -STOP "$worker" && wait_for 5 is_stopped "$worker"
touch "$place/go.$id"
wait_for 20 sh -c "! kill -0 $pid" || fail "the session ends while its worker stands still"
echo 90000 > "$place/ahead"
kill -CONT "$worker"
check "a worker stopped past a lease publishes afterwards" maestro wait "$id"
is "and its task ran once" "review 1" "$(state_of "$id") $(ran "$id")"

# The same at the moment that counts: stopped with the grant in its hand (or about to have it).
begin "stopped with a grant"
touch "$place/go.$id"
wait_for 20 grep -q "task=$id attempt=1: session ended" "$place/w1.log"
kill -STOP "$worker" && wait_for 5 is_stopped "$worker"
echo 200000 > "$place/ahead"
kill -CONT "$worker"
check "a worker stopped with a grant publishes afterwards" maestro wait "$id"
is "and the branch is what it pushed" "$(field_of "$id" commit)" "$(git -C repo rev-parse "$(field_of "$id" branch)")"
is "once" 1 "$(git -C repo for-each-ref "refs/heads/maestro/$id-*" | wc -l)"

# A coordinator that stands still: nobody is lost by it, and nothing of the silence is held against the worker.
begin "coordinator stopped"
kill -STOP "$coordinator" && wait_for 5 is_stopped "$coordinator"
echo 400000 > "$place/ahead"
kill -CONT "$coordinator"
wait_for 30 worker_is w1 ready && pass "after a coordinator's stop the worker is ready" || fail "after a coordinator's stop the worker is ready" "$(maestro worker ls)"
is "its session lives" "running $pid" "$(state_of "$id") $(cat "$place/pid.$id")"
check "under the same process" kill -0 "$pid"
id2=$(maestro run -a command --title "after it" "$work")
check "new work runs" maestro wait "$id2"

# An exit while the coordinator is away, and the worker starts anew in between.
halt KILL "$coordinator"
touch "$place/go.$id"
wait_for 20 sh -c "! kill -0 $pid" || fail "the session ends while the coordinator is away"
wait_for 20 grep -q "task=$id attempt=1: session ended" "$place/w1.log" && pass "an exit while the coordinator is away is seen" || fail "an exit while the coordinator is away is seen"
start_clocked_coordinator
check "and reported when it is back" maestro wait "$id"
is "once" "review 1" "$(state_of "$id") $(ran "$id")"

# SIGTERM with work in flight: sessions live on; both end with 0.
begin "sigterm"
kept=$id kept_pid=$pid
ids=()
for i in 1 2 3; do ids+=("$(maestro run -a command --title "in flight $i" "$work")"); done
kill -TERM "$worker"; wait "$worker"
is "a worker that is told to end ends well" 0 $?
check "its session lives on" kill -0 "$kept_pid"
kill -TERM "$coordinator"; wait "$coordinator"
is "a coordinator that is told to end ends well" 0 $?
start_clocked_coordinator
start_clocked_worker
out=$(ended_once "${ids[@]}") && pass "what was in flight ended, and ran once" || fail "what was in flight ended, and ran once" "$out"
is "the session is the same" "running $kept_pid" "$(state_of "$kept") $(cat "$place/pid.$kept")"

# Drain: what runs ends, nothing new comes.
check "drain" maestro worker drain w1
id=$(maestro run -a command --title "not here" "$work")
like "a draining worker gets nothing new" 'drain' "$(field_of "$id" waiting_for)"
touch "$place/go.$kept"
check "what ran there ends well" maestro wait "$kept"
is "and the new one still waits" "queued 0" "$(state_of "$id") $(ran "$id")"
check "uncordon" maestro worker uncordon w1
check "then it runs" maestro wait "$id"

# An account that has used up what it may: nothing of its agent starts there until the time that it named, then by itself.
mkdir -p "$place/bin"
mkfifo "$place/again"
cat > "$place/bin/opencode" << END
#!/bin/sh
if [ "\$1" = --version ]; then echo opencode 1.0; exit; fi
echo \$MAESTRO_TASK >> $place/ran
if mkdir $place/first 2> /dev/null; then maestro-agent status limited --until 2h; cat $place/again; exit 0; fi
echo new > new
END
chmod +x "$place/bin/opencode"
halt KILL "$worker"
start w1 with_faults PATH="$place/bin:$PATH" FAULT_PROGRAM=maestro-worker FAULT_CLOCK="$place/ahead" maestro-worker run --name w1 --slots 8
worker=$started
first=$(maestro run -a opencode --title "used up" 'go')
limited() { maestro worker show w1 | grep -q 'opencode.*limited until'; }
wait_for 60 limited && pass "a limited account is shown, with its time" || fail "a limited account is shown, with its time" "$(maestro worker show w1; maestro show "$first")"
waits=$(maestro run -a opencode --title "waits for the account" 'go')
id=$(maestro run -a command --title "another agent" "$work")
check "another agent works on there" maestro wait "$id"
is "what is of the limited one waits" "queued 0" "$(state_of "$waits") $(ran "$waits")"
like "and says why" 'limit' "$(field_of "$waits" waiting_for)"
echo $((400000 + 3 * 3600000)) > "$place/ahead"
wait_for 60 sh -c "maestro events --since 1 --json | jq -e 'any(.[]; .kind == \"agent.resumed\")'" && pass "when the time has come it is told to be well again" ||
	fail "when the time has come it is told to be well again" "$(maestro worker show w1)"
wait_for 60 is_over "$waits"
is "and what waited runs by itself, once" 1 "$(ran "$waits")"
timeout 20 sh -c "echo go > '$place/again'"
wait_for 60 is_over "$first"

# One console stands still beside a session that floods; the session goes on, and so does another console.
flood="i=0; while [ ! -e '$place/stop' ]; do i=\$((i + 1)); echo \"line \$i of a flood that does not end\"; [ \$((i % 5000)) = 0 ] && echo \$i > '$place/count'; done; exit 0"
id=$(maestro run -a command --title flood "exec bash -c '${flood//\'/\'\\\'\'}'")
wait_for 30 test -s "$place/count" || fail "the flood flows" "$(maestro show "$id")"
mkfifo "$place/pipe"
exec 8<> "$place/pipe" # a pipe that nobody reads
script -qec "maestro attach --read-only $id" /dev/null > "$place/pipe" 2>/dev/null < /dev/null &
still=$!
pids+=("$still")
wait_for 20 sh -c "[ \$(pgrep -P $still | wc -l) -gt 0 ]"
kill -STOP "$(pgrep -P "$still")" 2>/dev/null
before=$(cat "$place/count")
check "the session flows on beside a console that stands still" wait_for 30 sh -c "[ \$(cat $place/count) -gt $((before + 50000)) ]"
like "and another one sees it" 'of a flood' "$(maestro screen "$id")"
check "the worker is well" worker_is w1 ready
touch "$place/stop"
check "and it ends" maestro wait "$id"
kill -KILL $(pgrep -P "$still") "$still" 2>/dev/null
exec 8>&-
