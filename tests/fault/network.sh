#!/usr/bin/env bash
# A coordinator and two workers, each in a network namespace of its own with a veth between: the link cut for 20 s, dead one
# way only (each way), flapping 200 times, and a partition in which an attempt is abandoned, tried again elsewhere, and heals.
# Sessions keep their processes, nothing starts twice, and a stale attempt changes nobody else's branch.
#
# network.sh [SECONDS [FLAPS]]: how long a cut lasts (20 in CI; 120 is worth it now and then). Needs root. A way is made dead
# by a neighbour's address that nobody has: packets leave and nobody takes them, as with a broken switch.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
cut_ms=$((${1:-20} * 1000)) flaps=${2:-200}
net=mt$$
remove_net() { local n; for n in c a b; do ip netns del "$net$n" 2> /dev/null; done; }
eval "finish_all() $(declare -f finish | tail -n +2)"
finish() { trap - EXIT INT TERM; stop_started; remove_net; finish_all; }
make_net() {
	local n i=1
	ip netns add "${net}c" || return
	for n in a b; do
		ip netns add "$net$n" && ip -n "${net}c" link add "v$n" type veth peer name v netns "$net$n" &&
			ip -n "${net}c" addr add "10.77.$i.1/24" dev "v$n" && ip -n "${net}c" link set "v$n" up &&
			ip -n "$net$n" addr add "10.77.$i.2/24" dev v && ip -n "$net$n" link set v up &&
			ip -n "$net$n" link set lo up || return
		i=$((i + 1))
	done
	ip -n "${net}c" link set lo up
}
if ! make_net 2> "$place/net.err"; then
	remove_net
	echo "SKIP: network namespaces cannot be made here: $(head -n 1 "$place/net.err")"
	cd / && rm -rf "$place"
	trap - EXIT
	exit 77
fi
link() { ip -n "${net}c" link set "v$1" "$2"; }                                  # WORKER up|down
nobody=02:00:00:00:00:99
dead_from() { ip -n "$net$1" neigh replace "10.77.$2.1" lladdr $nobody dev v nud permanent; }         # what the worker sends
dead_towards() { ip -n "${net}c" neigh replace "10.77.$2.2" lladdr $nobody dev "v$1" nud permanent; } # what it is sent
healed() { ip -n "$net$1" neigh del "10.77.$2.1" dev v; ip -n "${net}c" neigh del "10.77.$2.2" dev "v$1"; } 2> /dev/null

make_repo repo
echo 0 > "$place/ahead"
start coordinator ip netns exec "${net}c" env LD_PRELOAD="$MAESTRO_FAULTS/libfaults.so" ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
	FAULT_PROGRAM=maestro-coordinator FAULT_CLOCK="$place/ahead" maestro-coordinator run --listen 0.0.0.0:0 --heartbeat 1s
coordinator=$started
port=$(sed -n 's/^tls+tcp:\/\/0.0.0.0://p' <<< "$ready")
i=1
for n in a b; do
	maestro token create --role worker > "$place/token"
	check "worker $n joins over its link" ip netns exec "$net$n" maestro-worker join "10.77.$i.1:$port" --name $n --token-file "$place/token"
	start $n ip netns exec "$net$n" maestro-worker run --name $n --slots 4
	i=$((i + 1))
done
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
only() { case $1 in a) maestro worker cordon b; maestro worker uncordon a ;; b) maestro worker cordon a; maestro worker uncordon b ;; esac > /dev/null; }
both() { maestro worker uncordon a; maestro worker uncordon b; } > /dev/null 2>&1
back() { wait_for 180 worker_is "$1" ready && pass "$2" || fail "$2" "$(maestro worker ls)"; }
kept() { is "$1" "$2 1" "$(cat "$place/pid.$3") $(ran "$3")"; check "and it runs" kill -0 "$2"; }

# Cut: one session ends meanwhile, one goes on; another worker does new work.
only a
begin "ends in the cut"; ends=$id ends_pid=$pid
begin "outlives the cut"; lives=$id lives_pid=$pid
link a down
touch "$place/go.$ends"
wait_for 20 sh -c "! kill -0 $ends_pid" || fail "a session ends without its coordinator"
only b
id=$(maestro run -a command --title "elsewhere" "$work")
check "another worker does new work" maestro wait "$id"
pause_ms "$cut_ms"
link a up
back a "after a cut of $((cut_ms / 1000)) s the worker is back"
check "what ended in the cut is reported" maestro wait "$ends"
is "once" "review 1" "$(state_of "$ends") $(ran "$ends")"
kept "what went on is the same session" "$lives_pid" "$lives"

# One way only: from worker a nothing comes, to worker b nothing goes.
begin "on b"; on_b=$id on_b_pid=$pid
dead_from a 1
dead_towards b 2
both
id=$(maestro run --request-id oneway -a command --title "in the dark" "$work")
pause_ms "$cut_ms"
healed a 1
healed b 2
back a "after a link that was dead one way, the worker is back"
back b "and so is the one that was dead the other way"
out=$(ended_once "$id") && pass "what was given meanwhile ran once" || fail "what was given meanwhile ran once" "$out"
kept "the session on a is the same" "$lives_pid" "$lives"
kept "and the one on b" "$on_b_pid" "$on_b"

# Flapping with work in flight.
ids=()
for ((i = 0; i < flaps; i++)); do
	link a down; link a up
	[ $((i % 50)) = 0 ] && ids+=("$(submit_surely "flap-$i" -a command --title "flap $i" "$work")")
	pause_ms $((RANDOM % 60))
done
back a "after $flaps flaps the worker is back"
out=$(ended_once "${ids[@]}") && pass "what was given while it flapped ran once" || fail "what was given while it flapped ran once" "$out"
kept "the session is the same" "$lives_pid" "$lives"

# Partition: the attempt is abandoned, the next one runs elsewhere, and the stale one comes back with work to push.
link a down
echo 200000 > "$place/ahead" # for the coordinator it lasts three minutes
silent() { ! worker_is a ready; }
wait_for 150 silent || fail "the silence is noticed" "$(maestro worker ls)"
only b
wait_for 60 maestro retry --abandon "$lives" && pass "an attempt on a silent worker can be abandoned" || fail "an attempt on a silent worker can be abandoned" "$(maestro retry --abandon "$lives" 2>&1)"
touch "$place/go.$lives" # both may end now: the stale one has work to push
check "the next attempt ends well" maestro wait "$lives"
before=$(state_of "$lives") tip=$(field_of "$lives" commit) branch=$(field_of "$lives" branch)
link a up
back a "the partition heals"
wait_for 30 sh -c "! kill -0 $lives_pid" && pass "the stale session is over" || fail "the stale session is over"
is "the task is what it was" "$before $tip" "$(state_of "$lives") $(field_of "$lives" commit)"
is "its branch too" "$tip" "$(git -C repo rev-parse "$branch")"
is "each attempt ran once" 2 "$(ran "$lives")"
touch "$place/go.$on_b"
check "the other session ends well" maestro wait "$on_b"
wait_for 30 no_holders && pass "no session's process is left" || fail "no session's process is left" "$(holders)"
id=$(maestro run -a command --title last "$work")
check "and all works on" maestro wait "$id"
