#!/usr/bin/env bash
# Many consoles on one session that floods, one of them stopped: all others see the end of the flood, no process grows with
# what is printed, and killed consoles leave nothing behind. Then the wall clock a day ahead and a day back, under a
# coordinator and a worker at work: nobody is lost by it, nothing ends, and ages stay sane.
#
# MAESTRO_CONSOLES says how many (15 unless told; 50 is worth it now and then).
# Seen to fail: with one who stands still and is not told to go on; with CLOCK_BOOTTIME (FAULT_CLOCK) moved by as much, as
# if what is counted were counted by the wall.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
count=${MAESTRO_CONSOLES:-15}
make_repo repo
echo 0 > "$place/wall"
walled() { local program=$1; shift; with_faults FAULT_PROGRAM="$program" FAULT_WALL="$place/wall" "$program" "$@"; }
start coordinator walled maestro-coordinator run --listen 127.0.0.1:0
coordinator=$started
port=$(sed -n 's/^tls+tcp:\/\/127.0.0.1://p' <<< "$ready")
maestro token create --role worker > "$place/token"
check "a worker joins" maestro-worker join "127.0.0.1:$port" --name w1 --token-file "$place/token"
start_walled() { start w1 walled maestro-worker run --name w1 --slots 8; worker=$started; }
start_walled
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
memory_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
files() { find "/proc/$coordinator/fd" -mindepth 1 2> /dev/null | wc -l; }
before_files=$(files)

# It says hello, floods when it is told to, and says when that is over.
flood="echo \$MAESTRO_TASK >> '$place/ran'; echo hello; while [ ! -e '$place/flood' ]; do read -r -t 0.2 x <> <(:) || :; done; seq -f 'line %.0f of a flood' 400000; echo the flood is over; while [ ! -e '$place/stop' ]; do read -r -t 1 x <> <(:) || :; done; echo out > out"
flooding=$(maestro run -a command --title flooding "exec bash -c '${flood//\'/\'\\\'\'}'")
wait_for 30 sh -c "maestro screen $flooding | grep -q hello" || fail "it speaks" "$(maestro show "$flooding")"
consoles=()
mkfifo "$place/keys"
exec 8<> "$place/keys" # nobody types
for ((i = 0; i < count; i++)); do
	script -qec "exec maestro attach --read-only $flooding" /dev/null > "$place/console.$i" 2> /dev/null <&8 &
	consoles+=("$!")
done
pids+=("${consoles[@]}")
saw() { local i; for ((i = $1; i < count; i++)); do grep -qa "$2" "$place/console.$i" || return 1; done; }
wait_for 120 saw 0 hello && pass "$count consoles see one session" || fail "$count consoles see one session" "$(grep -la hello "$place"/console.* | wc -l)"
memory=$(($(memory_kib "$coordinator") + $(memory_kib "$worker")))
still=$(pgrep -P "${consoles[0]}")
kill -STOP "$still"
touch "$place/flood"
wait_for 120 saw 1 'the flood is over' && pass "the others see the end of a flood beside one that stands still" ||
	fail "the others see the end of a flood beside one that stands still" "$(grep -la 'flood is over' "$place"/console.* | wc -l)"
is "it stands still" 0 "$(grep -ca 'flood is over' "$place/console.0")"
# A sanitizer keeps 256 MiB of what was freed, in each.
grown=$(($(memory_kib "$coordinator") + $(memory_kib "$worker") - memory))
[ "$grown" -lt 400000 ] && pass "memory is bounded" || fail "memory is bounded" "$grown KiB more"
note "$grown KiB more than before the flood of 9 MB"
kill -CONT "$still" "${consoles[0]}" # script(1) stops with its child
wait_for 60 saw 0 'the flood is over' && pass "going on, it sees it too" || fail "going on, it sees it too" "$(tail -c 300 "$place/console.0")"
for console in "${consoles[@]}"; do pkill -KILL -P "$console"; halt KILL "$console"; done
calm() { [ "$(files)" -le $((before_files + 4)) ]; }
wait_for 60 calm && pass "killed consoles leave nothing behind" || fail "killed consoles leave nothing behind" "$(files), $before_files before"

mkfifo "$place/never"
# The wall clock. A grant, an expiry or a heartbeat that was counted by it would be over, or never be.
begin "through the days"
lives=$id lives_pid=$pid
limited=$(maestro run -a command --title "an hour at most" --max-time 1h "echo \$MAESTRO_TASK >> '$place/ran'; echo \$\$ > '$place/pid.limited'; exec cat '$place/never'")
wait_for 30 test -s "$place/pid.limited" || fail "one with a limit runs" "$(maestro show "$limited")"
for day in 86400000 -86400000; do
	since=$(($(maestro events --since 1 --json | jq 'map(.seq) | max') + 1))
	echo $day > "$place/wall"
	id=$(maestro run -a command --title "another day" "$work")
	check "with the wall clock off by $day ms work goes on" maestro wait "$id"
	is "it ran once, the others live" "review 1 running live" "$(state_of "$id") $(ran "$id") $(state_of "$lives") $(field_of "$flooding" session)"
	is "an hour's limit is not reached" "running" "$(state_of "$limited")"
	is "nobody was taken for lost" "" "$(maestro events --since "$since" --json | jq -r '.[] | select(.kind | test("worker.(state|disconnected)|attempt.lost")) | .text')"
	is "the worker is ready" ready "$(worker_state w1)"
	halt KILL "$worker"
	start_walled
	wait_for 60 worker_is w1 ready && pass "a worker that starts then is let in" || fail "a worker that starts then is let in" "$(tail -n 5 "$place/w1.log")"
	is "and knows its sessions" "live live" "$(field_of "$lives" session) $(field_of "$flooding" session)"
	is "no age is below nothing" "" "$(maestro ls --all | grep -E '(^| )-[0-9]')"
done
echo 0 > "$place/wall"
is "the session is the same" "$lives_pid 1" "$(cat "$place/pid.$lives") $(ran "$lives")"
check "the limited one is stopped" maestro stop "$limited"
touch "$place/stop" "$place/go.$lives"
check "both end well" maestro wait "$flooding" "$lives"
is "once" "1 1" "$(ran "$flooding") $(ran "$lives")"
check "the audit log is whole" maestro audit --verify
check "and the database" maestro-coordinator check
