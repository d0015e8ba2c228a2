#!/usr/bin/env bash
# An older database is put back: who follows events by number is told so, and does not wait in silence for a number that
# comes much later. (Without the check in watch_start the followers never end.)
. "${MAESTRO_TESTS:?}/support/harness.sh"
mind=$MAESTRO_HOME/state/coordinator
start_coordinator
check "the queue is paused" maestro queue pause
check "a backup" maestro-coordinator backup "$place/old.db"
kept=$(maestro events --json | jq 'map(.seq) | max')
for _ in 1 2 3 4 5 6; do maestro queue resume > /dev/null && maestro queue pause > /dev/null; done
newest=$(maestro events --json | jq 'map(.seq) | max')
maestro events -f --since 1 --json > followed 2> follower.err &
follower=$!
pids+=("$follower")
wait_for 20 grep -q "\"seq\":$newest" followed || fail "the follower follows" "$(cat followed follower.err)"

kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
rm -f "$mind"/coordinator.db*
cp "$place/old.db" "$mind/coordinator.db"
start_coordinator
wait "$follower"
is "the follower ends" 4 $?
like "it is told the newest number, and why" "no event $((newest + 1)) yet: the newest is $kept.*backup" "$(cat follower.err)"
like "and what to do" "since $((kept + 1))" "$(cat follower.err)"
refuses "a new follower beyond the end is told, too" 4 'the newest is' timeout 20 maestro events -f --since $((newest + 1))
refuses "and a reader" 4 'the newest is' maestro events --since $((newest + 1))
maestro events -f --since $((kept + 1)) --json > next 2>&1 &
pids+=($!)
check "the next number is waited for" maestro queue resume
wait_for 20 grep -q "\"seq\":$((kept + 1))" next && pass "and comes" || fail "and comes" "$(cat next)"
