# For tests of tests/fault; sourced behind harness.sh. MAESTRO_FAULTS is the build's directory of proxy and preload library.
: "${MAESTRO_FAULTS:?run by ./deploy/check or 'meson test'}"

# halt SIGNAL PID: and waits for its end; the pid is nobody's afterwards.
halt() {
	local kept=() pid
	kill "-$1" "$2" 2>/dev/null
	wait "$2" 2>/dev/null
	for pid in "${pids[@]}"; do [ "$pid" = "$2" ] || kept+=("$pid"); done
	pids=("${kept[@]}")
}

# pause_ms N: how a random moment is reached. Never a way to wait for something.
pause_ms() { read -r -t "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" <> <(:) || :; }

# start_proxy NAME LISTEN TARGET [SEED]: its address goes to $proxied.
start_proxy() {
	mkfifo "$place/$1.control"
	"$MAESTRO_FAULTS/proxy" "$2" "$3" "$place/$1.control" "${4:-1}" > "$place/$1.log" 2>&1 < /dev/null &
	pids+=("$!")
	wait_for 10 grep -q '^ready ' "$place/$1.log" || { fail "the proxy starts" "$(cat "$place/$1.log")"; finish; }
	proxied=$(sed -n 's/^ready //p' "$place/$1.log")
}

# tell_proxy NAME COMMAND: returns when it is obeyed.
tell_proxy() {
	local before
	before=$(grep -c '^did ' "$place/$1.log")
	printf '%s\n' "$2" > "$place/$1.control"
	wait_for 10 sh -c "[ \"\$(grep -c '^did ' '$place/$1.log')\" -gt $before ]" ||
		{ fail "the proxy obeys '$2'" "$(cat "$place/$1.log")"; finish; }
}

# with_faults NAME=VALUE... COMMAND...: runs it with the preload library. ASan does not mind not to be the first one.
with_faults() { exec env LD_PRELOAD="$MAESTRO_FAULTS/libfaults.so" ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" "$@"; }

# faulty PROGRAM CALL AT ACTION COMMAND...: without waiting for anything; its pid goes to $started, its words to faulty.log.
faulty() {
	local faults=(FAULT_PROGRAM="$1" FAULT_CALL="$2" FAULT_AT="$3" FAULT_ACTION="$4")
	shift 4
	with_faults "${faults[@]}" "$@" > "$place/faulty.log" 2>&1 < /dev/null &
	started=$!
	pids+=("$started")
}

# ran ID: how often the command of this task ran. Commands of tests append "$MAESTRO_TASK" to $place/ran.
ran() { grep -cx "$1" "$place/ran" 2>/dev/null || :; }

is_over() { case $(state_of "$1") in queued | starting | running | '') return 1 ;; esac; }

worker_state() { maestro worker ls --json | jq -r ".[] | select(.name == \"$1\") | .state"; }
worker_is() { [ "$(worker_state "$1")" = "$2" ]; }

# submit_surely REQUEST-ID OPTION...: again and again under the same id until somebody acknowledges; prints the id.
submit_surely() {
	local id=$1 deadline=$((SECONDS + 60)) out
	shift
	until out=$(maestro run --request-id "$id" "$@" 2>> "$place/submit.err") && [ -n "$out" ]; do
		[ $SECONDS -ge $deadline ] && return 1
		read -r -t 0.05 <> <(:) || :
	done
	printf '%s\n' "$out"
}

# ended_once ID...: each task is over and its command ran exactly once.
ended_once() {
	local id bad=()
	for id in "$@"; do
		timeout 120 maestro wait "$id" > /dev/null 2>&1
		is_over "$id" || { bad+=("$id: $(state_of "$id") $(field_of "$id" reason)"); continue; }
		[ "$(ran "$id")" = 1 ] || bad+=("$id: ran $(ran "$id") times, $(state_of "$id"): $(field_of "$id" reason)")
	done
	printf '%s\n' "${bad[@]}"
	[ ${#bad[@]} -eq 0 ]
}

# left_behind: files of a writing that never ended, and worktrees; for when every task was removed.
left_behind() {
	find "$MAESTRO_HOME"/state/coordinator "$MAESTRO_HOME"/state/workers/* -maxdepth 1 -regextype posix-extended -regex '.*\.[A-Za-z0-9]{6}'
	find "$MAESTRO_HOME"/state/workers/*/worktrees -mindepth 1 -maxdepth 2
}
no_leftovers() { [ -z "$(left_behind)" ]; }

# holders: pids of maestro-session processes of this test.
holders() {
	local file
	grep -laF "MAESTRO_HOME=$MAESTRO_HOME" /proc/[0-9]*/environ 2>/dev/null | while read -r file; do
		[ "$(tr '\0' ' ' < "${file%environ}cmdline" 2>/dev/null | grep -c maestro-session)" = 1 ] && file=${file#/proc/} && echo "${file%/environ}"
	done
}
no_holders() { [ -z "$(holders)" ]; }

# begin TITLE [PREFIX]: a task that runs until $place/go.ID is there, after PREFIX; its id goes to $id, its process to $pid.
begin() {
	local waits="${2:-}echo \$MAESTRO_TASK >> '$place/ran'; echo \$\$ > '$place/pid.'\$MAESTRO_TASK; while [ ! -e '$place/go.'\$MAESTRO_TASK ]; do read -r -t 1 x <> <(:) || :; done; echo new > new"
	id=$(maestro run -a command --title "$1" "exec bash -c '${waits//\'/\'\\\'\'}'")
	wait_for 30 test -s "$place/pid.$id" || fail "$1 runs" "$(maestro show "$id")"
	pid=$(cat "$place/pid.$id")
}
