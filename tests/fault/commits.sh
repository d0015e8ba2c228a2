#!/usr/bin/env bash
# kill -9 of the coordinator before and behind every commit of its database, over the whole life of a task: its start, the
# worker's return, submit, assignment, running, grant, review, merge. What was acknowledged is there, the command ran once,
# the merge was done once, and no event is missing or twice.
#
# commits.sh [all]: each commit both ways; else (in CI) before one and behind the next, which are almost the same moment.
# Seen to fail: its last part, while a list of eleven merged tasks could not be decoded.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > \"new.\$MAESTRO_TASK\""

# revive: somebody (systemd, by and large) starts a coordinator that died.
revive() {
	kill -0 "$coordinator" 2> /dev/null && return
	died=1
	halt KILL "$coordinator"
	start_coordinator
}
submitted() { revive; id=$(maestro run --request-id "$1" -a command --title "$1" "$work" 2>> "$place/submit.err") && [ -n "$id" ]; }
reviewed() { revive; [ "$(state_of "$id")" = review ]; }
merged() { revive; maestro merge "$id" || :; [ "$(state_of "$id")" = merged ]; }

# one_life AT ACTION: fails if the coordinator lived through it: then there is no such commit.
one_life() {
	died=
	halt KILL "$coordinator"
	faulty maestro-coordinator fdatasync "$@" maestro-coordinator run
	coordinator=$started
	wait_for 60 submitted "$1.$2" || { bad="$bad $*: not submitted;"; return 2; }
	wait_for 60 reviewed || bad="$bad $*: $id is $(state_of "$id");"
	wait_for 60 merged || bad="$bad $*: $id is $(state_of "$id"), not merged;"
	[ "$(ran "$id")" = 1 ] || bad="$bad $*: $id ran $(ran "$id") times;"
	[ "$(git -C repo log --format=%h main -- "new.$id" | wc -l)" = 1 ] || bad="$bad $*: $id is not in main once;"
	ids+=("$id")
	[ -n "$died" ]
}

all_ids=()
actions=("before after")
[ "${1:-}" = all ] && actions=(before after)
for action in "${actions[@]}"; do
	ids=() bad= n=0
	while n=$((n + 1)); set -- $action; [ $((n % 2)) = 0 ] && shift $(($# - 1)); one_life $n "$1"; do :; done
	note "$action: $((n - 1)) commits"
	is "killed $action the commits of its database" "" "$bad"
	[ $n -gt 8 ] && pass "there were commits to die at" || fail "there were commits to die at" "$n"
	all_ids+=("${ids[@]}")
	halt KILL "$coordinator" # the last one's fault may be still to come
	start_coordinator
done
is "every task is there, none twice" "$(printf '%s\n' "${all_ids[@]}" | sort -n)" "$(maestro ls --all --json | jq .[].id | sort -n)"
maestro events --since 1 --json | jq -c '.[]' > events
is "no event is missing or twice" true "$(jq -s '[.[].seq] | . == [range(1; length + 1)]' events)"
is "each was queued once" "" "$(jq -r 'select(.text == "queued") | .task' events | sort | uniq -d)"
check "the audit log is whole" maestro audit --verify
check "and the database" maestro-coordinator check
wait_for 30 no_holders && pass "no session's process is left" || fail "no session's process is left" "$(holders)"
