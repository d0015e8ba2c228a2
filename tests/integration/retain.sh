#!/usr/bin/env bash
# Tasks that ended long ago go by themselves, with their worktrees; never with work that is not pushed. (Seen red with
# keep-tasks = 1h.)
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
mkdir -p "$MAESTRO_HOME/config"
printf 'keep-tasks = 4s\n' > "$MAESTRO_HOME/config/coordinator.conf"
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
trees=$MAESTRO_HOME/state/workers/w1/worktrees
over=$(maestro run -a command --title done true)
broke=$(maestro run -a command --title failed 'echo precious > work; exit 1')
review=$(maestro run -a command --title review 'echo x > x')
wait_for 60 sh -c "! maestro show $over" && pass "what ended well is gone" || fail "what ended well is gone" "$(maestro show "$over")"
wait_for 30 sh -c "[ ! -e $trees/$over.1 ]" && pass "with its worktree" || fail "with its worktree" "$(ls "$trees")"
check "what waits in review stays" maestro show "$review"
is "what is not pushed stays" "failed precious" "$(state_of "$broke") $(cat "$trees/$broke.1/repo/work")"
like "an event tells of it" 'it ended long ago' "$(maestro events --json | jq -r --argjson t "$over" '.[] | select(.task == $t and .kind == "task.removed") | .text')"
check "rejected, it has nothing that is not pushed" maestro reject "$review"
wait_for 60 sh -c "! maestro show $review" && pass "and goes too" || fail "and goes too" "$(maestro show "$review")"
check "a person may throw work away" maestro rm "$broke" --force
check "the audit log is whole" maestro audit --verify
check "and the database" maestro-coordinator check
is "numbers go on" 4 "$(maestro run -a command --title next true)"
