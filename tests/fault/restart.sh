#!/usr/bin/env bash
# kill -9 of worker and coordinator: sessions run on under the same pid, nothing is lost, nothing starts twice.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
script='echo $$ >> pid; echo started; while [ ! -e '$place'/go ]; do read -r -t 1 x || :; done; echo done > out; echo finished'
id=$(maestro run -a command --title long "exec bash -c '$script'")
wait_for 30 sh -c "maestro screen $id | grep -q started" && pass "it runs" || fail "it runs" "$(maestro show "$id")"
pid=$(cat "$MAESTRO_HOME"/state/workers/w1/worktrees/"$id".1/*/pid)

kill -KILL "$worker"; wait "$worker" 2>/dev/null
check "the session outlives its worker" kill -0 "$pid"
start_worker w1
worker=$started
wait_for 30 sh -c "maestro screen $id | grep -q started" && pass "the new worker has its screen" || fail "the new worker has its screen" "$(maestro screen "$id" 2>&1)"
is "same session" "live running" "$(maestro show "$id" --json | jq -r '"\(.session) \(.state)"')"

kill -KILL "$coordinator"; wait "$coordinator" 2>/dev/null
check "the session outlives its coordinator" kill -0 "$pid"
start_coordinator
is "the task is there" "long" "$(field_of "$id" title)"
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" && pass "the worker is back" || fail "the worker is back" "$(maestro worker ls)"
id2=$(maestro run -a command --title second 'echo two > two')
check "new work runs after the restart" maestro wait "$id2"

kill -KILL "$coordinator" "$worker"; wait "$coordinator" "$worker" 2>/dev/null
touch "$place/go"
wait_for 20 sh -c "! kill -0 $pid" && pass "it ends while both are away" || fail "it ends while both are away"
start_coordinator
start_worker w1
check "the exit is reported afterwards" maestro wait "$id"
is "it is in review" review "$(state_of "$id")"
is "it ran once" 1 "$(git -C repo show "$(field_of "$id" branch):pid" | wc -l)"
