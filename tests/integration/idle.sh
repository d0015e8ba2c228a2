#!/usr/bin/env bash
# Sessions that wait in review hold memory: on a worker only so many are kept, and none is silent for ever. Which one goes,
# what is left of it, and that its task stays in review. (Seen red with limits too high to be reached.)
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
mkdir -p "$MAESTRO_HOME/config"
printf 'max-idle-sessions = 1\nlinger = 1h\n' > "$MAESTRO_HOME/config/coordinator.conf"
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
# Says that it is done, and stays for its person.
stays="echo \$MAESTRO_TASK > new; echo \$\$ > '$place/pid.'\$MAESTRO_TASK; maestro-agent status complete; while read -r line; do :; done"
stays="exec bash -c '${stays//\'/\'\\\'\'}'"
session_is() { [ "$(maestro show "$1" --json | jq -r '"\(.state) \(.session)"')" = "review $2" ]; }

first=$(maestro run -a command --title first "$stays")
wait_for 60 session_is "$first" live && pass "the first waits in review" || fail "the first waits in review" "$(maestro show "$first")"
second=$(maestro run -a command --title second "$stays")
wait_for 60 session_is "$second" live && pass "the second has room to begin" || fail "the second has room to begin" "$(maestro show "$second")"
wait_for 60 session_is "$first" ended && pass "the one that waited longest is ended" || fail "the one that waited longest is ended" "$(maestro show "$first")"
wait_for 20 sh -c "! kill -0 $(cat "pid.$first")" && pass "with its processes" || fail "with its processes"
check "the other lives on" kill -0 "$(cat "pid.$second")"
like "an event says why" "too many wait in review" "$(maestro events --json | jq -r --argjson t "$first" '.[] | select(.task == $t and .kind == "task.idle") | .text')"
is "its work is on the remote" "$first" "$(git -C repo show "maestro/$first-first:new")"
check "its worktree stays" test -f "$MAESTRO_HOME/state/workers/w1/worktrees/$first.1/repo/new"
check "and its output" maestro logs "$first"
is "one is counted" 1 "$(maestro worker ls --json | jq '.[0].idle')"

# A session in review that is silent for too long.
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
printf 'max-idle-sessions = 9\nlinger = 2s\n' > "$MAESTRO_HOME/config/coordinator.conf"
start_coordinator
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back" "$(maestro worker ls)"
third=$(maestro run -a command --title third "$stays")
check "the third is in review" maestro wait "$third"
wait_for 60 session_is "$third" ended && pass "silent for too long, its session is ended" || fail "silent for too long, its session is ended" "$(maestro show "$third")"
check "what began with a longer time keeps it" kill -0 "$(cat "pid.$second")"
check "its worktree stays" test -f "$MAESTRO_HOME/state/workers/w1/worktrees/$third.1/repo/new"
refuses "a stop has nothing to end any more" 1 'ended already' maestro stop "$third"
check "a task in review whose session has ended is rejected" maestro reject "$third"
check "and taken up again" maestro retry "$third"
wait_for 60 session_is "$third" live && pass "a next attempt goes on from its commit" || fail "a next attempt goes on from its commit" "$(maestro show "$third")"
is "which is in its worktree" "$third" "$(git -C "$MAESTRO_HOME/state/workers/w1/worktrees/$third.2/repo" show HEAD:new)"
