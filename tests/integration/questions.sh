#!/usr/bin/env bash
# What only an admin can decide, asked by a running cluster: an old database was put back while sessions ran that it
# knows nothing of. Each choice is tried on a real session.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
mkdir -p "$MAESTRO_HOME/config"
printf 'notify = "cat >> %s/heard"\nnotify-kinds = { question }\n' "$place" > "$MAESTRO_HOME/config/coordinator.conf"
database=$MAESTRO_HOME/state/coordinator/coordinator.db
end_coordinator() { kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null; }
restore() { end_coordinator; rm -f "$database"*; cp "$place/copy.db" "$database"; start_coordinator; }
# open_question KIND [TASK]: its number
open_question() { maestro question ls --json | jq -r --arg k "$1" --argjson t "${2:-null}" '.[] | select(.kind == $k and ($t == null or .task == $t)) | .id'; }
asked() { [ -n "$(open_question "$@")" ]; }
lives() { kill -0 "$1" 2> /dev/null; }
is_gone() { ! lives "$1"; }

start_coordinator
start_worker w1 --slots 8
check "project add" maestro project add repo "$place/repo"
known=$(maestro run -a command --title known true)
maestro wait "$known"
is "nothing is asked" "[]" "$(maestro question ls --json)"
check "backup" maestro-coordinator backup "$place/copy.db"
task=() q=()
for name in adopt end keep; do
	mkfifo "$place/$name.go"
	task[${#task[@]}]=$(maestro run -a command --title "$name" "echo \$\$ > $place/$name.pid; cat $place/$name.go; echo $name > new.txt")
done
for i in 0 1 2; do maestro wait "${task[$i]}" --state running > /dev/null; done
wait_for 20 test -s "$place/adopt.pid" -a -s "$place/end.pid" -a -s "$place/keep.pid" || fail "three sessions run" "$(maestro ls)"
adopt_pid=$(cat "$place/adopt.pid") end_pid=$(cat "$place/end.pid") keep_pid=$(cat "$place/keep.pid")

# The worker obeys later epochs than the copy knows of.
for i in 1 2; do end_coordinator; start_coordinator; done
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back" "$(maestro worker ls)"
restore
wait_for 60 asked restored && pass "the restored database is asked about" || fail "the restored database is asked about" "$(tail "$place/coordinator.log" "$place/w1.log")"
first=$(open_question restored)
refuses "a submit is refused, and says how to go on" 1 "maestro question answer $first accept" maestro run -a command true
like "show names the choices" "maestro question answer $first accept-end" "$(maestro question show "$first")"
like "doctor says it" "question.*maestro question show $first" "$(maestro doctor)"
like "the worker's page says it" "question +$first: " "$(maestro worker show w1)"
is "it is an event" "$first" "$(maestro events --since 1 --json | jq -r '.[] | select(.kind == "cluster.question") | .text' | sed -n 's/^question \([0-9]*\):.*/\1/p' | tail -n 1)"
wait_for 20 grep -q cluster.question "$place/heard" && pass "notify hears of it" || fail "notify hears of it"
mv "$MAESTRO_HOME/state/coordinator/admin.key" "$place/admin.key"
is "an operator may read it" restored "$(maestro question ls --json | jq -r '.[0].kind')"
refuses "and not answer it" 5 'role admin' maestro question answer "$first" accept
mv "$place/admin.key" "$MAESTRO_HOME/state/coordinator/admin.key"
refuses "an unknown choice" 2 'accept, accept-end' maestro question answer "$first" yes
refuses "an unknown question" 4 'no such question' maestro question answer 99 accept
lives "$adopt_pid" && lives "$end_pid" && lives "$keep_pid" && pass "the sessions run on meanwhile" || fail "the sessions run on meanwhile"
check "accept" maestro question answer "$first" accept
check "the same answer again" maestro question answer "$first" accept
refuses "another answer" 1 'answered already' maestro question answer "$first" accept-end
check "submits are taken again" sh -c "maestro run -a command --title after true > $place/after"
after=$(cat "$place/after")
for i in 0 1 2; do
	wait_for 60 asked unknown-session "${task[$i]}" && pass "session ${task[$i]} is asked about" || fail "session ${task[$i]} is asked about" "$(maestro question ls; tail "$place/w1.log")"
	q[i]=$(open_question unknown-session "${task[$i]}")
done
maestro wait "$after"
[ "$after" -gt "${task[2]}" ] && pass "ids go on above what the worker shows" || fail "ids go on above what the worker shows" "$after"

check "end" maestro question answer "${q[1]}" end
wait_for 60 is_gone "$end_pid" && pass "it is ended" || fail "it is ended"
check "its worktree stays" test -d "$MAESTRO_HOME/state/workers/w1/worktrees/${task[1]}.1/repo"
wait_for 60 maestro worker show w1 || fail "worker show"
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back"
check "keep" maestro question answer "${q[2]}" keep
wait_for 60 maestro question answer "${q[0]}" adopt && pass "adopt" || fail "adopt" "$(maestro question answer "${q[0]}" adopt 2>&1)"
wait_for 60 sh -c "[ \"\$(maestro show ${task[0]} --json | jq -r .state)\" = running ]" && pass "it is a task" || fail "it is a task" "$(maestro show "${task[0]}" 2>&1)"
is "of the same program" "$adopt_pid adopt" "$(cat "$place/adopt.pid") $(field_of "${task[0]}" title)"
lives "$adopt_pid" && pass "which was not touched" || fail "which was not touched"
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back"
timeout 20 sh -c "echo go > $place/adopt.go"
check "and ends like any other" maestro wait "${task[0]}"
is "in review, pushed" "review adopt" "$(state_of "${task[0]}") $(git -C "$place/repo" show "$(field_of "${task[0]}" branch):new.txt")"
lives "$keep_pid" && pass "what is kept runs on" || fail "what is kept runs on"
is "and is asked about no more" "[]" "$(maestro question ls --json)"
is "every answer is in the audit log" "accept adopt end keep" "$(maestro audit --json | jq -r '.[] | select(.act == "question answer") | .text' | sed 's/.*answer=//' | sort | xargs)"
check "which holds together" maestro audit --verify

# Once more the same old copy: what was answered then says nothing of now.
restore
wait_for 60 asked restored && pass "a second restore asks anew" || fail "a second restore asks anew" "$(maestro question ls --all)"
check "accept-end" maestro question answer "$(open_question restored)" accept-end
wait_for 60 is_gone "$keep_pid" && pass "what it does not know is ended" || fail "what it does not know is ended" "$(maestro question ls --all; tail "$place/w1.log")"

# A worker whose link is closed is known to be away at once.
worker=$(tr -dc 0-9 < "$MAESTRO_HOME/state/workers/w1/lock")
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back"
since=$(maestro events --since 1 --json | jq '[.[].seq] | max + 1')
kill -KILL "$worker"
wait_for 20 sh -c "maestro events --since $since --json | grep -q worker.disconnected" || fail "its link is closed"
is "a killed worker is suspect with its link" "suspect no link since" "$(maestro worker ls --json | jq -r '.[0] | "\(.state) \(.reason[:13])"')"
