#!/usr/bin/env bash
# Drain with work running, queued and in review; a drain whose worker never comes back; debts: what is released while its
# worker is away is released when it returns; SIGTERM with work in flight, and a worker that leaves for good.
#
# Seen to fail: with a draining worker that the scheduler still used (core/fit.c); with --wait blind to lost attempts; with
# debts that READY does not ask about (debts_ask).
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator
start_worker w1 --slots 3
w1=$started
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
trees=$MAESTRO_HOME/state/workers/w1/worktrees
is_away() { ! worker_is w1 ready; }
session_is() { [ "$(maestro show "$1" --json | jq -r .session)" = "$2" ]; }

# One runs, one lives on in review, one waits for what runs; and w2 is there for what is new.
begin "runs"
runs=$id runs_pid=$pid
review=$(maestro run -a command --title review "$work; maestro-agent status complete; exec cat > /dev/null")
check "one is in review" maestro wait "$review"
wait_for 20 session_is "$review" live || fail "and its session lives" "$(maestro show "$review")"
unpushed=$(maestro run -a command --title unpushed "echo x > x; exit 3")
wait_for 60 is_over "$unpushed" || fail "one failed with work that is not pushed" "$(maestro show "$unpushed")"
queued=$(maestro run -a command --title queued --after "$runs" "$work")
(maestro worker drain --wait w1; echo "status $?") > drained 2>&1 &
drain=$!
pids+=("$drain")
draining() { maestro worker ls --json | jq -e '.[] | select(.name == "w1") | .draining'; }
wait_for 20 draining && pass "a worker drains" || fail "a worker drains" "$(maestro worker ls)"
new=$(maestro run -a command --title new "$work")
wait_for 20 sh -c "maestro show $new --json | jq -r .waiting_for | grep -q drain" && pass "what is new waits, and says why" ||
	fail "what is new waits, and says why" "$(maestro show "$new")"
start_worker w2 --slots 3
w2=$started
check "another worker takes it" maestro wait "$new"
is "that one" "w2 review" "$(field_of "$new" worker) $(state_of "$new")"
is "what runs goes on" "running $runs_pid" "$(state_of "$runs") $(cat "$place/pid.$runs")"
check "and its process is there" kill -0 "$runs_pid"
check "drain --wait waits for it" kill -0 "$drain"
touch "$place/go.$runs"
check "it ends well" maestro wait "$runs"
wait "$drain"
like "then drain --wait ends well, and says what became of it" 'status 0' "$(cat drained)"
like "by its number" "^$runs (review|done)" "$(cat drained)"
is "what is in review stays, and what comes after it waits" "review live queued" "$(state_of "$review") $(field_of "$review" session) $(state_of "$queued")"

# The drained worker leaves: 0, and its session in review lives on without it.
kill -TERM "$w1"; wait "$w1"
is "a worker that is told to end ends well" 0 $?
wait_for 60 is_away || fail "it is seen to be away"

# Debts: merged and removed while it is away; it is told when it is back.
check "what it pushed is merged in its absence" maestro merge "$runs"
check "what came after it runs elsewhere" maestro wait "$queued"
is "on the other worker; and each ran once" "w2 1 1 1 1" "$(field_of "$queued" worker) $(ran "$runs") $(ran "$review") $(ran "$queued") $(ran "$new")"
check "a task is removed in its absence" maestro reject "$review"
check "its worktree is still there" test -d "$trees/$runs.1"
start_worker w1 --slots 3
w1=$started

gone() { [ ! -e "$trees/$1.1" ]; }
wait_for 60 gone "$runs" && pass "back again it is told of the merge, and clears up" || fail "back again it is told of the merge, and clears up" "$(ls "$trees")"
wait_for 60 session_is "$review" ended && pass "and ends the session that was rejected" || fail "and ends the session that was rejected" "$(maestro show "$review")"
halt KILL "$w1"
wait_for 60 is_away || fail "it is seen to be away"
check "what an absent worker has unpushed can be removed by force" maestro rm --force "$unpushed"
check "and is gone from sight, but not from there" sh -c "! maestro show $unpushed && [ -d '$trees/$unpushed.1' ]"
halt KILL "$coordinator"
start_coordinator
start_worker w1 --slots 3
w1=$started
wait_for 60 gone "$unpushed" && pass "what it owes is remembered, and done when it is back" || fail "what it owes is remembered, and done when it is back" "$(ls "$trees")"
is "it still drains after all that" true "$(draining)"
check "uncordon" maestro worker uncordon w1

# SIGTERM with work in flight, and a restart: all of it ends once.
check "cordon of the other" maestro worker cordon w2
begin "through it"
ids=()
for i in 1 2 3; do ids+=("$(maestro run -a command --title "in flight $i" "$work")"); done
kill -TERM "$w1"; wait "$w1"
is "told to end with work in flight it ends well: its sessions live on" "0 $pid" "$? $(kill -0 "$pid" && echo "$pid")"
start_worker w1 --slots 3
w1=$started
out=$(ended_once "${ids[@]}") && pass "what was in flight ended, and ran once" || fail "what was in flight ended, and ran once" "$out"
is "the session is the same" "running $pid" "$(state_of "$id") $(cat "$place/pid.$id")"

# It never comes back from its drain: given up by an operator, the work is abandoned, and drain --wait says so.
kill -KILL "$w1"; wait "$w1" 2> /dev/null
wait_for 60 is_away || fail "it is seen to be away"
(maestro worker drain --wait w1; echo "status $?") > abandoned 2>&1 &
drain=$!
pids+=("$drain")
wait_for 20 draining || fail "one that is away can be drained" "$(cat abandoned)"
check "an operator gives it up" maestro worker rm --lost w1
wait "$drain"
like "drain --wait ends with 1" 'status 1' "$(cat abandoned)"
like "and says what was abandoned" "^$id lost \(abandoned\)" "$(cat abandoned)"
kill -KILL "$pid" 2> /dev/null
