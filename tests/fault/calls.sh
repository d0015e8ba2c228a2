#!/usr/bin/env bash
# fork, open and memory failing maestro-worker at the Nth call, while it starts and while it works. It goes on or ends with a
# reason, never by a signal; a start without faults finds everything: sessions are the same, tasks end once.
#
# calls.sh [all [SEED]]: many more.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
RANDOM=${2:-$$}
note "seed ${2:-$$}"
make_repo repo
start_coordinator
: > "$place/plan"
maestro token create --role worker > "$place/token"
check "a worker joins" maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name w1 --token-file "$place/token"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
start_sound() { : > "$place/plan"; start w1 maestro-worker run --name w1 --slots 4; worker=$started; }
start_sound
check "project add" maestro project add repo "$place/repo"
begin "through it all"
lives=$id lives_pid=$pid
halt KILL "$worker"
reached=0 ended=0 bad=
ready_or_gone() { grep -q 'info ready' "$place/faulty.log" || ! kill -0 "$worker" 2> /dev/null; }

# one CALL AT ERRNO: a worker under this fault, a task, then a worker without.
one() {
	local id status=0
	rm -f "$place/did"
	FAULT_DID="$place/did" faulty maestro-worker "$1" "$2" "$3" maestro-worker run --name w1 --slots 4
	worker=$started
	wait_for 30 ready_or_gone || bad="$bad ($*): neither ready nor gone;"
	id=$(maestro run -a command --title "$*" "$work")
	over_or_gone() { is_over "$id" || ! kill -0 "$worker" 2> /dev/null; }
	wait_for 20 over_or_gone
	[ -e "$place/did" ] && reached=$((reached + 1))
	kill -TERM "$worker" 2> /dev/null
	wait "$worker" || status=$?
	if [ $status -ne 0 ]; then
		ended=$((ended + 1))
		# libconfuse and its lexer abort a program for which they find no memory while it reads its files; so does the
		# sanitizer at the start of a thread.
		grep -qE 'libConfuse|lexer\.l:|in yy_|sanitizer_linux.*pthread_getattr_np' "$place/faulty.log" || { [ $status -lt 3 ] && grep -qE 'maestro-worker: |error ' "$place/faulty.log" || bad="$bad $id ($*): ended with $status: $(tail -n 3 "$place/faulty.log");"; }
	fi
	cat "$place/faulty.log" >> "$place/faulty-all.log"
	is_over "$id" || { start_sound; wait_for 60 is_over "$id" || bad="$bad $id ($*): $(state_of "$id") $(field_of "$id" waiting_for);"; halt KILL "$worker"; }
	[ "$(ran "$id")" -le 1 ] || bad="$bad $id ($*): ran $(ran "$id") times;"
	case $(state_of "$id") in
	review) ;;
	failed) [ -n "$(field_of "$id" reason)" ] || bad="$bad $id ($*): failed without a reason;"
		note "$id ($*): $(field_of "$id" reason)" ;;
	*) bad="$bad $id ($*): $(state_of "$id");" ;;
	esac
	kill -0 "$lives_pid" || { bad="$bad ($*): the session is gone;"; finish; }
}

many=3
[ "${1:-}" = all ] && many=60
for ((i = 1; i <= many; i++)); do
	one fork $((1 + RANDOM % 6)) 11
	one open $((1 + RANDOM % 120)) 24
	one malloc $((1 + RANDOM % 3000)) 12
done
is "calls that fail a worker" "" "$bad"
[ $reached -gt $many ] && pass "which it made ($reached; $ended ended it)" || fail "which it made" "$reached"
start_sound
is "the session is the same" "running $lives_pid 1" "$(state_of "$lives") $(cat "$place/pid.$lives") $(ran "$lives")"
touch "$place/go.$lives"
check "and ends well" maestro wait "$lives"
id=$(maestro run -a command --title last "$work")
check "the next task is as good as any" maestro wait "$id"
maestro ls --all --json | jq -r '.[].id' | xargs -P 4 -n 1 maestro rm --force > rm.log 2>&1 || fail "rm of every task" "$(grep -v 'was removed' rm.log)"
wait_for 60 no_leftovers && pass "no worktree and no half file is left" || fail "no worktree and no half file is left" "$(left_behind)"
wait_for 30 no_holders && pass "no session's process is left" || fail "no session's process is left" "$(holders)"
