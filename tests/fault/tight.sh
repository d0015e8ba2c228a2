#!/usr/bin/env bash
# The disk is full under a worker: its sessions go on with a transcript that says where it is cut off, a new task fails with
# the reason, and with space again all is as before. On a small tmpfs of our own, in a mount namespace that goes with this process.
#
# Seen to fail: with the transcript's error made the session's (session/transcript.c) sessions ended; with nothing said of a
# gap in `maestro logs`.
if [ -z "${MAESTRO_OWN_MOUNTS:-}" ]; then
	export MAESTRO_OWN_MOUNTS=1
	if [ "$(id -u)" = 0 ]; then exec unshare --mount --propagation private bash "$0"; fi
	exec unshare --user --map-root-user --mount --propagation private bash "$0"
fi
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
disk=$MAESTRO_HOME/state/workers
mkdir -p "$disk"
mount -t tmpfs -o size=200m,mode=0700 none "$disk" || { fail "a tmpfs can be mounted"; finish; }
eval "finish_all() $(declare -f finish | tail -n +2)"
finish() { umount --lazy "$disk"; finish_all; }
start_coordinator --min-disk 0
start_worker w1 --slots 8
worker=$started
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
begin "through it"
lives=$id lives_pid=$pid
noise="while [ ! -e '$place/loud' ]; do read -r -t 0.2 x <> <(:) || :; done; head -c 3000000 /dev/urandom | base64; echo the end of the noise; echo yes > '$place/said'; while [ ! -e '$place/stop' ]; do read -r -t 1 x <> <(:) || :; [ -e '$place/roomy' ] && echo there is room again; done; exit 0"
loud=$(maestro run -a command --title loud "echo \$MAESTRO_TASK >> '$place/ran'; exec bash -c '${noise//\'/\'\\\'\'}'")
wait_for 30 sh -c "[ \"\$(maestro show $loud --json | jq -r .session)\" = live ]" || fail "the loud one lives" "$(maestro show "$loud")"

head -c 210m /dev/zero > "$disk/ballast" 2> /dev/null
touch "$place/loud"
wait_for 60 test -s "$place/said" && pass "a session prints on with nowhere to write it down" || fail "a session prints on with nowhere to write it down" "$(maestro show "$loud")"
wait_for 20 sh -c "maestro screen $loud | grep -q 'the end of the noise'" && pass "its screen is true" || fail "its screen is true" "$(maestro screen "$loud" 2>&1 | tail -n 3)"
id=$(maestro run -a command --title "no room" "$work")
no_room() { is_over "$id" || [ "$(state_of "$id")" = queued ]; }
wait_for 60 no_room
like "a task that finds no room says so, or waits" 'failed 0 .*([Nn]o space|full|cannot be written)|queued 0 .*(disk|space|ready)' "$(state_of "$id") $(ran "$id") $(field_of "$id" reason) $(field_of "$id" waiting_for)"
is "the sessions are the same" "running $lives_pid running" "$(state_of "$lives") $(cat "$place/pid.$lives") $(state_of "$loud")"

rm -f "$disk/ballast"
if ! kill -0 "$worker" 2> /dev/null; then note "the worker ended: $(tail -n 1 "$place/w1.log")"; start_worker w1 --slots 8; worker=$started; fi
wait_for 60 worker_is w1 ready && pass "with space again the worker is ready" || fail "with space again the worker is ready" "$(maestro worker ls)"
after=$(maestro run -a command --title after "$work")
check "new work runs" maestro wait "$after"
touch "$place/roomy"
recorded() { maestro logs "$loud" 2> /dev/null | grep -q 'there is room again'; }
wait_for 60 recorded && pass "what is printed from now on is recorded again" || fail "what is printed from now on is recorded again" "$(maestro logs "$loud" 2>&1 | tail -n 3)"
touch "$place/stop" "$place/go.$lives"
check "what lived through it ends well" maestro wait "$lives"
is "and ran once" "review 1" "$(state_of "$lives") $(ran "$lives")"
wait_for 60 is_over "$loud"
is "the loud one too" "done 1" "$(state_of "$loud") $(ran "$loud")"
maestro logs "$loud" > "$place/logs" 2> "$place/logs.err"
like "its log says what is missing" '[0-9]{6,} bytes of output are missing' "$(cat "$place/logs.err")"
missing=$(sed -n 's/.*: \([0-9]*\) bytes.*/\1/p' "$place/logs.err" | awk '{ n += $1 } END { print n }')
is "and so in JSON" "$(maestro logs "$loud" --json | jq -s 'map(.missing // 0) | add')" "$missing"
like "and what is behind it" 'there is room again' "$(tail -n 2 "$place/logs")"
check "the worker minds none of it" worker_is w1 ready
