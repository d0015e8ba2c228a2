#!/usr/bin/env bash
# kill -9 of the worker before and behind every sync of its journal: each task ends well all the same, and its command
# ran exactly once.
#
# steps.sh [all]: each step both ways; else (in CI) before one and behind the next, which are almost the same moment.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
# A task that goes the whole way: the worktree, the holder, an exit, a commit, a grant, a push, the end.
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"

gone_or_over() { ! kill -0 "$1" || is_over "$2"; }
gone_or_ready() { ! kill -0 "$1" || grep -q ' info ready$' "$place/faulty.log"; }

# one_step CALL AT ACTION: a worker that dies there, at its start or in the course of a task, and one that goes on.
# Fails if the worker lived: then there is no such step.
one_step() {
	local id lived=1
	halt KILL "$worker"
	faulty maestro-worker "$@" maestro-worker run --name w1
	worker=$started
	wait_for 30 gone_or_ready "$worker"
	id=$(submit_surely "$1.$2.$3" -a command --title "$1 $2 $3" "$work") || return 2
	wait_for 60 gone_or_over "$worker" "$id"
	# What comes behind the end is journalled too: until the coordinator has taken all, and the worker is told to forget.
	kill -0 "$worker" 2>/dev/null || lived=0
	if [ $lived = 0 ]; then
		halt KILL "$worker"
		start_worker w1
		worker=$started
	fi
	ids+=("$id")
	wait_for 60 is_over "$id" || { bad="$bad$id ($*): $(state_of "$id") "; return $lived; }
	[ "$(state_of "$id") $(ran "$id")" = "review 1" ] ||
		bad="$bad$id ($*): $(state_of "$id"), ran $(ran "$id") times: $(field_of "$id" reason); "
	return $lived
}

actions=("before after")
[ "${1:-}" = all ] && actions=(before after)
for action in "${actions[@]}"; do
	ids=() bad= n=0
	while n=$((n + 1)); set -- $action; [ $((n % 2)) = 0 ] && shift $(($# - 1)); one_step fdatasync $n "$1"; do :; done
	note "$action: $((n - 1)) steps"
	is "killed $action the syncs of the journal" "" "$bad"
	[ $n -gt 6 ] && pass "there were steps to die at" || fail "there were steps to die at" "$n"
done
