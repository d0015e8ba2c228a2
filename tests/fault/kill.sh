#!/usr/bin/env bash
# kill -9 of coordinator, a worker, or all at random moments under load: what was acknowledged ends, every command ran
# exactly once, long sessions keep their processes, and nothing is left behind.
#
# kill.sh [ROUNDS [SEED]], or MAESTRO_ROUNDS and MAESTRO_SEED: 12 rounds unless told (hundreds are worth it now and then); the
# seed, which is printed, gives the order of kills and their moments.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
rounds=${1:-${MAESTRO_ROUNDS:-12}} seed=${2:-${MAESTRO_SEED:-$$}}
RANDOM=$seed
note "seed $seed"
make_repo repo
start_coordinator
start_worker w1 --slots 4
w1=$started
start_worker w2 --slots 4
w2=$started
check "project add" maestro project add repo "$place/repo"

# Two sessions that live through everything, and say who they are.
long="echo \$MAESTRO_TASK >> '$place/ran'; echo \$\$ > '$place/pid.'\$MAESTRO_TASK; while [ ! -e '$place/go' ]; do read -r -t 1 x <> <(:) || :; done"
long_ids=()
for i in 1 2; do long_ids+=("$(submit_surely "long-$i" -a command --title "long $i" "exec bash -c '${long//\'/\'\\\'\'}'")"); done
for id in "${long_ids[@]}"; do wait_for 30 test -s "$place/pid.$id" || fail "long session $id runs" "$(maestro show "$id")"; done
long_pids=$(cat "${long_ids[@]/#/$place/pid.}")

# Three kinds of short ones: with a commit (to review), without (done), and one that fails.
works=("echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
	"echo \$MAESTRO_TASK >> '$place/ran'"
	"echo \$MAESTRO_TASK >> '$place/ran'; exit 7")
wanted=(review "done" failed)

submit_round() {
	local k
	for k in 0 1 2; do
		printf '%s %s\n' "$(submit_surely "r$1-$k" -a command --title "round $1 $k" "${works[k]}")" "${wanted[k]}" >> "$place/acknowledged"
	done
}

restart_worker() { start_worker "$1" --slots 4; declare -g "$1=$started"; }

for ((round = 1; round <= rounds; round++)); do
	submit_round $round &
	load=$!
	pause_ms $((RANDOM % 1200))
	case $((RANDOM % 4)) in
	0) halt KILL "$coordinator"; pause_ms $((RANDOM % 300)); start_coordinator ;;
	1) halt KILL "$w1"; pause_ms $((RANDOM % 300)); restart_worker w1 ;;
	2) halt KILL "$w2"; pause_ms $((RANDOM % 300)); restart_worker w2 ;;
	3)
		kill -KILL "$coordinator" "$w1" "$w2"
		halt KILL "$coordinator"; halt KILL "$w1"; halt KILL "$w2"
		start_coordinator; restart_worker w1; restart_worker w2
		;;
	esac
	wait "$load"
done
is "every submit was acknowledged" $((rounds * 3)) "$(grep -c '^[0-9]' "$place/acknowledged")"
is "no submit became two" $((rounds * 3 + 2)) "$(maestro ls --all --json | jq length)"
is "the long sessions have their processes" "$long_pids" "$(cat "${long_ids[@]/#/$place/pid.}")"
for pid in $long_pids; do check "and $pid runs" kill -0 "$pid"; done
touch "$place/go"

all_over() { maestro ls --all --json | jq -e 'all(.[]; .state | IN("queued", "starting", "running") | not)'; }
wait_for 90 all_over || fail "every task is over" "$(maestro ls)"
maestro ls --all --json | jq -r '.[] | "\(.id) \(.state) \(.title) \(.reason)"' > tasks
bad=
while read -r id state; do
	got="$(sed -n "s/^$id \([a-z]*\) .*/\1/p" tasks) ran $(ran "$id")"
	[ "$got" = "$state ran 1" ] || bad="$bad
$got, not $state: $(grep "^$id " tasks)"
done < "$place/acknowledged"
is "each ended as it should, and ran once" "" "$bad"
out=$(ended_once "${long_ids[@]}") && pass "the long ones ended, and ran once" || fail "the long ones ended, and ran once" "$out"
wait_for 30 no_holders && pass "no session's process is left" || fail "no session's process is left" "$(holders)"
# Tasks of two attempts most of all: the first one's worktree may have been made behind the back of a dead worker.
wait_for 30 sh -c '[ "$(maestro worker ls --json | jq "map(select(.state == \"ready\")) | length")" = 2 ]'
cut -d' ' -f1 tasks | xargs -P 4 -n 1 maestro rm --force > rm.log 2>&1 || fail "rm of every task" "$(cat rm.log)"
wait_for 60 no_leftovers && pass "no worktree and no half file is left" || fail "no worktree and no half file is left" "$(left_behind)"
