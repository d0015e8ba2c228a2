#!/usr/bin/env bash
# Keys are typed into a session once and in order, whatever dies between them and it: a typist that never stops types a
# counted sequence into `maestro attach` while the worker, and then the coordinator, are killed and replaced.
. "${MAESTRO_TESTS:?}/support/harness.sh"
trap 'outer kill-server 2> /dev/null; finish' EXIT
outer() { tmux -S "$place/outer" -f /dev/null "$@"; }
command -v tmux > /dev/null || fail "tmux is installed (packages of kind test in deploy/packages)"
shows() { outer capture-pane -p -t attached | grep -qE -- "$1"; }
make_repo repo
start_coordinator
start_worker w1
check "a project" maestro project add repo "$place/repo"
: > typed
id=$(maestro run -p repo -a command "stty -icanon -echo; echo ready; exec cat > $place/typed")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready"
outer new-session -d -s attached -x 80 -y 24 "maestro attach $id"
wait_for 20 shows ready || fail "the session is shown" "$(outer capture-pane -p -t attached)"

type_on() {
	local n=0
	while [ ! -e stop ]; do
		n=$((n + 1))
		outer send-keys -l -t attached "$n," || break
		echo "$n" > last
	done
}
kill_now() { kill -KILL "$1" && wait "$1" 2> /dev/null; } # and it holds no lock any more
grew() { [ "$(stat -c %s typed)" -gt "$1" ]; }
type_on & typist=$!
pids+=("$typist")
check "what is typed arrives" wait_for 20 grew 100
for round in 1 2 3 4; do
	kill_now "$started"
	start_worker w1
	size=$(stat -c %s typed)
	check "typing goes on after worker $round was killed" wait_for 20 grew $((size + 200))
done
kill_now "$coordinator"
start_coordinator
size=$(stat -c %s typed)
check "and after the coordinator was" wait_for 20 grew $((size + 200))
touch stop
wait "$typist"
last=$(cat last)
all_there() { [ "$(tail -c 12 typed | tr , '\n' | tail -n 1)" = "$last" ]; }
check "the last key arrives" wait_for 30 all_there
note "$last numbers were typed"
seq "$last" | tr '\n' , > wanted
is "every key arrived once, in order" "" "$(diff <(tr , '\n' < wanted) <(tr , '\n' < typed) | head -n 20)"

# A program that does not read: what there is no room for is told, not lost in silence.
id=$(maestro run -p repo -a command "stty raw -echo; echo ready; exec sleep 1000")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready"
outer respawn-pane -k -t attached "maestro attach $id"
wait_for 20 shows ready || fail "the second session is shown" "$(outer capture-pane -p -t attached)"
head -c 1300000 /dev/zero | tr '\0' x > much
outer load-buffer -b much much
outer paste-buffer -b much -t attached
check "keys that a program does not read are told of" wait_for 30 shows 'does not read its keys: [0-9]+ bytes'
