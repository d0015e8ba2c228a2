#!/usr/bin/env bash
# The database cannot be written: what cannot be kept is refused and says so, reads go on, and it ends by itself when
# writing is possible again. Under a running coordinator only the kernel itself makes a file system read-only (after an
# error of the disk), so there the preload library answers as it would; a start meets a real one, a tmpfs in a mount
# namespace of our own, since a mode would not keep root out.
if [ -z "${MAESTRO_OWN_MOUNTS:-}" ]; then
	export MAESTRO_OWN_MOUNTS=1
	if [ "$(id -u)" = 0 ]; then exec unshare --mount --propagation private bash "$0"; fi
	exec unshare --user --map-root-user --mount --propagation private bash "$0"
fi
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
disk=$MAESTRO_HOME/state/coordinator
mkdir -p "$disk"
mount -t tmpfs -o size=64m,mode=0700 none "$disk" || { fail "a tmpfs can be mounted"; finish; }
eval "finish_all() $(declare -f finish | tail -n +2)"
finish() { umount --lazy "$disk"; finish_all; }
start coordinator with_faults FAULT_PROGRAM=maestro-coordinator FAULT_READONLY="$place/readonly" maestro-coordinator run
coordinator=$started
start_worker w1
check "project add" maestro project add repo "$place/repo"
talk=$(maestro run -a command --title talk 'while read -r line; do echo "got <$line>"; done')
wait_for 30 sh -c "[ \"\$(maestro show $talk --json | jq -r .session)\" = live ]" || fail "a session lives" "$(maestro show "$talk")"

: > readonly
refuses "a submit is refused, and why" 1 'cannot be written.*Read-only file system' maestro run -a command --title lost true
refuses "and what to do" 1 'writable again' maestro run -a command --title lost true
refuses "so is every other act" 1 'cannot be written' maestro queue pause
refuses "and a token" 1 'cannot be written' maestro token create --role viewer
is "show" "talk running" "$(maestro show "$talk" --json | jq -r '"\(.title) \(.state)"')"
like "events" '"text":"queued"' "$(maestro events --since 1 --json)"
check "audit --verify" maestro audit --verify
check "send" maestro send "$talk" 'still there?'
wait_for 20 sh -c "maestro screen $talk | grep -q 'got <still there?>'" && pass "the session answers on its screen" ||
	fail "the session answers on its screen" "$(maestro screen "$talk" 2>&1)"
check "the coordinator is the same process" kill -0 "$coordinator"

rm readonly
wait_for 30 maestro queue resume && pass "it recovers by itself" || fail "it recovers by itself" "$(maestro queue resume 2>&1)"
wait_for 60 worker_is w1 ready || fail "the worker is back" "$(maestro worker ls)"
id=$(maestro run -a command --title after 'echo after > after')
check "new work runs" maestro wait "$id"
is "what was refused is not there" 0 "$(maestro ls --all --json | jq '[.[] | select(.title == "lost")] | length')"
is "the session lives on" "running live" "$(maestro show "$talk" --json | jq -r '"\(.state) \(.session)"')"

# Really read-only, while nobody has it open.
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
mount -o remount,ro "$disk" || fail "it becomes read-only"
refuses "on a read-only file system it does not start, and says why" 1 'Read-only file system|cannot be written' timeout 20 maestro-coordinator run
mount -o remount,rw "$disk"
start_coordinator
is "then it starts, with everything" 2 "$(maestro ls --all --json | jq length)"
check "the database is whole" maestro-coordinator check
