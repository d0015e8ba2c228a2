#!/usr/bin/env bash
# The disk under the database is full: what cannot be kept is refused and says so, everything else goes on, and it ends
# by itself when there is space again. On a small tmpfs of our own, in a mount namespace that goes with this process.
if [ -z "${MAESTRO_OWN_MOUNTS:-}" ]; then
	export MAESTRO_OWN_MOUNTS=1
	if [ "$(id -u)" = 0 ]; then exec unshare --mount --propagation private bash "$0"; fi
	exec unshare --user --map-root-user --mount --propagation private bash "$0"
fi
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
disk=$MAESTRO_HOME/state/coordinator
mkdir -p "$disk"
mount -t tmpfs -o size=6m,mode=0700 none "$disk" || { fail "a tmpfs can be mounted"; finish; }
eval "finish_all() $(declare -f finish | tail -n +2)"
finish() { umount --lazy "$disk"; finish_all; }
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
talk=$(maestro run -a command --title talk 'while read -r line; do echo "got <$line>"; done; echo $$ > ended')
wait_for 30 sh -c "[ \"\$(maestro show $talk --json | jq -r .session)\" = live ]" && pass "a session lives" || fail "a session lives" "$(maestro show "$talk")"
check "the queue is paused, so that tasks stay tasks" maestro queue pause
: > "$place/followed"
maestro events -f --since 1 --json > "$place/followed" 2>&1 &
pids+=($!)

# Full: the file system, then what room the log of the database has left in itself.
head -c 8m /dev/zero > "$disk/ballast" 2> /dev/null
head -c 200000 /dev/zero | tr '\0' x > "$place/prompt"
kept=0 refused=
for _ in $(seq 60); do
	if maestro run -a command --title kept - < "$place/prompt" > "$place/id" 2> "$place/err"; then
		kept=$((kept + 1))
		head -c 8m /dev/zero >> "$disk/ballast" 2> /dev/null
	else refused=yes; break; fi
done
is "a submit is refused" yes "$refused"
like "it says what is wrong" 'database cannot be written.*full' "$(cat "$place/err")"
like "and what to do" 'make space on' "$(cat "$place/err")"
refuses "so is every other act" 1 'cannot be written' maestro queue resume
refuses "and a token" 1 'cannot be written' maestro token create --role viewer

# Reading, screens and keys.
is "ls has what was acknowledged" "$kept" "$(maestro ls --all --json | jq '[.[] | select(.title == "kept")] | length')"
is "show" "talk running" "$(maestro show "$talk" --json | jq -r '"\(.title) \(.state)"')"
is "project ls" repo "$(maestro project ls --json | jq -r '.[].name')"
check "audit --verify" maestro audit --verify
like "events" '"text":"queued"' "$(maestro events --since 1 --json)"
check "send" maestro send "$talk" 'still there?'
wait_for 20 sh -c "maestro screen $talk | grep -q 'got <still there?>'" && pass "the session answers on its screen" ||
	fail "the session answers on its screen" "$(maestro screen "$talk" 2>&1)"
check "the coordinator is the same process" kill -0 "$coordinator"

# Space again: nobody has to do anything.
rm -f "$disk/ballast"
wait_for 30 maestro queue resume && pass "it recovers by itself" || fail "it recovers by itself" "$(maestro queue resume 2>&1)"
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" && pass "the worker is back" || fail "the worker is back" "$(maestro worker ls)"
is "the session lives on" "running live" "$(maestro show "$talk" --json | jq -r '"\(.state) \(.session)"')"
id=$(maestro run -a command --title after 'echo after > after')
check "new work runs" maestro wait "$id"
is "nothing was lost, nothing is twice" "$kept" "$(maestro ls --all --json | jq '[.[] | select(.title == "kept")] | length')"
is "the follower missed nothing and saw nothing twice" "$(maestro events --since 1 --json | jq -r '[.[].seq] | max')" \
	"$(wait_for 10 sh -c "grep -q '\"task\":$id,.*review' $place/followed"; jq -rs '[.[].seq] | if . == [range(1; length + 1)] then max else "gaps" end' "$place/followed")"

# Started on a full disk it says so, and does not start.
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
head -c 8m /dev/zero > "$disk/ballast" 2> /dev/null
refuses "on a full disk it does not start, and says why" 1 'cannot be written|No space left' maestro-coordinator run
rm -f "$disk/ballast"
start_coordinator
is "then it starts, with everything" "$kept" "$(maestro ls --all --json | jq '[.[] | select(.title == "kept")] | length')"
check "the database is whole" maestro-coordinator check
