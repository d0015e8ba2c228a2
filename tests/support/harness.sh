# For tests that run the installed programs whole; sourced by bash scripts.
#
# MAESTRO_STAGE is a staged install's prefix (./deploy/check sets it; else meson's test environment). Each test has a private directory as
# MAESTRO_HOME, and what it started is stopped by its pid when it ends. Nothing waits by sleeping: `wait_for` watches
# for a fact with a deadline that only a failure reaches.
set -u -o pipefail
: "${MAESTRO_STAGE:?run by ./deploy/check or 'meson test'}"
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=${MAESTRO_TESTS:?}/support/lsan.supp:print_suppressions=0}
export PATH=$MAESTRO_STAGE/bin:/usr/sbin:$PATH
unset MAESTRO_COORDINATOR MAESTRO_SOCKET MAESTRO_TOKEN MAESTRO_TASK NO_COLOR XDG_RUNTIME_DIR
place=$(mktemp -d /tmp/mt.XXXXXX)
export MAESTRO_HOME=$place/h HOME=$place/user GIT_CONFIG_NOSYSTEM=1 TERM=xterm-256color LANG=C.UTF-8
mkdir -p "$HOME" "$MAESTRO_HOME"
cd "$place" || exit 1
passed=0 failed=0
pids=()

note() { printf '# %s\n' "$*"; }
pass() { passed=$((passed + 1)); printf 'ok %s\n' "$*"; }
fail() {
	failed=$((failed + 1))
	printf 'not ok %s\n' "$1"
	shift
	[ $# -gt 0 ] && printf '%s\n' "$@" | sed 's/^/#   /'
	return 0
}

# check NAME COMMAND...: passes if the command does.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then pass "$name"; else fail "$name" "$* -> $?" "$out"; fi
}

# refuses NAME STATUS WORDS COMMAND...: the command ends with STATUS and says WORDS (a regular expression) on stderr.
refuses() {
	local name=$1 status=$2 words=$3 err r
	shift 3
	err=$("$@" 2>&1 >/dev/null </dev/null)
	r=$?
	if [ $r -ne "$status" ]; then fail "$name" "status $r, not $status" "$err"
	elif ! grep -qE -- "$words" <<< "$err"; then fail "$name" "does not say '$words'" "$err"
	else pass "$name"; fi
}

# is NAME WANTED GOT
is() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "wanted: $2" "got:    $3"; fi
}

# like NAME REGEX TEXT
like() {
	if grep -qE -- "$2" <<< "$3"; then pass "$1"; else fail "$1" "no '$2' in:" "$3"; fi
}

# wait_for SECONDS COMMAND...: until it succeeds. The deadline is for failures only.
wait_for() {
	local deadline=$((SECONDS + $1)) pause_ms=30
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -ge $deadline ] && return 1
		read -r -t "0.$(printf %03d $pause_ms)" <> <(:) || :
		pause_ms=$((pause_ms < 250 ? pause_ms * 3 / 2 : pause_ms)) # looking costs the machine a program or two
	done
}

# start NAME COMMAND...: in the background with a ready descriptor; its ready lines go to $ready, its pid to $started.
start() {
	local what=$1
	shift
	rm -f "$place/ready" && mkfifo "$place/ready"
	"$@" --ready-fd 9 9> "$place/ready" >> "$place/$what.log" 2>&1 < /dev/null &
	started=$!
	pids+=("$started")
	ready=$(sed '/^$/q' "$place/ready")
	[ -n "$ready" ] || { fail "$what starts" "$(tail -n 20 "$place/$what.log")"; finish; }
}

start_coordinator() {
	start coordinator maestro-coordinator run "$@"
	coordinator=$started
}

# start_worker NAME [OPTION...]: enrols it over the local socket if it is new.
start_worker() {
	local name=$1
	shift
	if [ ! -d "$MAESTRO_HOME/state/workers/$name" ]; then
		maestro token create --role worker > "$place/token" &&
			maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name "$name" --token-file "$place/token" \
				> "$place/join.log" 2>&1 || { fail "$name joins" "$(cat "$place/join.log")"; finish; }
	fi
	start "$name" maestro-worker run --name "$name" "$@"
}

# make_repo DIR: a small repository with history.
make_repo() {
	git init -q -b main "$1" &&
		printf 'hello\n' > "$1/README.md" && printf 'int main(void) { return 0; }\n' > "$1/main.c" &&
		git -C "$1" add . && git -C "$1" -c user.name=T -c user.email=t@example.org commit -qm "first" &&
		printf 'more\n' >> "$1/README.md" &&
		git -C "$1" -c user.name=T -c user.email=t@example.org commit -qam "second"
}

state_of() { maestro show "$1" --json | jq -r .state; }
field_of() { maestro show "$1" --json | jq -r ".$2"; }

stop_started() {
	local pid file
	for file in "$MAESTRO_HOME"/state/coordinator/lock "$MAESTRO_HOME"/state/workers/*/lock; do
		[ -s "$file" ] && pid=$(tr -dc 0-9 < "$file") && [ -n "$pid" ] &&
			[ "$(readlink "/proc/$pid/exe")" != "${0}" ] &&
			grep -qaF "MAESTRO_HOME=$MAESTRO_HOME" "/proc/$pid/environ" 2>/dev/null && pids+=("$pid")
	done
	# holders and what runs in them carry this test's directory in their environment
	for file in /proc/[0-9]*/environ; do
		pid=${file#/proc/} pid=${pid%/environ}
		[ "$pid" != $$ ] && grep -qaF "$place" "$file" 2>/dev/null &&
			grep -qaE 'maestro-(session|worker|coordinator)' "/proc/$pid/cmdline" 2>/dev/null && pids+=("$pid")
	done
	for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
	wait 2>/dev/null
}

finish() {
	trap - EXIT INT TERM
	[ "$failed" -gt 0 ] && for log in "$place"/*.log "$MAESTRO_HOME"/state/coordinator/log "$MAESTRO_HOME"/state/workers/*/log; do
		[ -f "$log" ] && { echo "# --- ${log#"$place"/}"; tail -n 25 "$log" | sed 's/^/# /'; }
	done
	stop_started
	# A sanitizer's report of any of our programs is a failure of the test that provoked it.
	for log in "$place"/*.log "$MAESTRO_HOME"/state/coordinator/log "$MAESTRO_HOME"/state/workers/*/log; do
		[ -f "$log" ] && grep -qE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$log" || continue
		failed=$((failed + 1))
		printf 'not ok no sanitizer report in %s\n' "${log#"$place"/}"
		grep -hE -A25 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$log" | head -n 40 | sed 's/^/# /'
	done
	cd / && { [ -n "${KEEP:-}" ] && echo "# kept $place" || rm -rf "$place"; }
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}
trap finish EXIT
trap 'fail "not interrupted"; finish' INT TERM
