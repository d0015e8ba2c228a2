#!/usr/bin/env bash
# The same submit a hundred times at once makes one task; another one under its id is refused by the name of the first;
# and with every reply lost once, on a client's way and on a worker's, nothing is done twice.
#
# submit.sh [WORDS]: so many words to the worker are lost, one a task (7 unless told).
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator --listen 127.0.0.1:0
tls=$(sed -n 's/^tls+tcp:\/\/127.0.0.1://p' <<< "$ready")
start_worker w1
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"

at_once=()
for ((i = 0; i < 100; i++)); do
	maestro run --request-id same -a command --title same "$work" > "$place/out.$i" 2> "$place/err.$i" &
	at_once+=("$!")
done
refused=0
for pid in "${at_once[@]}"; do wait "$pid" || refused=$((refused + 1)); done
is "a hundred at once are all answered" "0 " "$refused $(cat "$place"/err.*)"
is "and all with the same task" 1 "$(cat "$place"/out.* | sort -u | grep -c .)"
is "there is one" 1 "$(maestro ls --all --json | jq length)"
id=$(cat "$place/out.0")
refuses "another one under that id names the earlier task" 2 "task $id" maestro run --request-id same -a command --title other "$work"
check "it ends well" maestro wait "$id"
is "and ran once" 1 "$(ran "$id")"
is "the same answer after its end" "$id" "$(maestro run --request-id same -a command --title same "$work")"
halt KILL "$coordinator"
start_coordinator --listen "127.0.0.1:$tls"
is "and after the coordinator's" "$id" "$(maestro run --request-id same -a command --title same "$work")"

# A client: the first reply is lost, then the second, and so on through the handshake to the answer itself.
start_proxy client "unix:$place/client.sock" "unix:$MAESTRO_HOME/run/coordinator.sock"
bad= ids=()
for ((n = 1; n <= 20; n++)); do
	before=$(grep -c swallowed "$place/client.log")
	tell_proxy client "swallow $n"
	maestro --coordinator "ipc://$place/client.sock" run --request-id "lost-$n" -a command --title "lost $n" "$work" > "$place/first" 2>&1
	status=$?
	[ "$(grep -c swallowed "$place/client.log")" -gt "$before" ] || break
	again=$(submit_surely "lost-$n" -a command --title "lost $n" "$work")
	[ $status = 0 ] && [ "$(cat "$place/first")" != "$again" ] && bad="$bad $n: two tasks;"
	[ $status = 0 ] || grep -q '^maestro: ' "$place/first" || bad="$bad $n: $(cat "$place/first");"
	ids+=("$again")
done
tell_proxy client heal
[ $n -gt 2 ] && pass "a submit had $((n - 1)) replies to lose" || fail "a submit had replies to lose" "$(cat "$place/first")"
is "a lost reply is an error or made good" "" "$bad"
out=$(ended_once "${ids[@]}") && pass "each of them ran once" || fail "each of them ran once" "$out"
is "no task too many" $((1 + n)) "$(maestro ls --all --json | jq length)"

# A worker behind the proxy: every reply is lost once while it takes a task from its START to its end.
start_proxy worker "tcp:0" "tcp:$tls"
check "cordon" maestro worker cordon w1
maestro token create --role worker > "$place/token2"
check "a worker joins through the proxy" maestro-worker join "tls+tcp://127.0.0.1:${proxied#tcp:}" --name far --token-file "$place/token2"
start_worker far
# Only there, so that every word goes through the proxy.
bad=
lost=0
for ((n = 1; n <= ${1:-7}; n++)); do
	before=$(grep -c swallowed "$place/worker.log")
	tell_proxy worker "swallow $n"
	id=$(submit_surely "far-$n" -a command --title "far $n" "$work")
	out=$(ended_once "$id") || bad="$bad $n: $out;"
	lost=$((lost + $(grep -c swallowed "$place/worker.log") - before))
done
tell_proxy worker heal
is "with the Nth word to the worker lost, each ran once" "" "$bad"
[ $lost -gt 3 ] && pass "$lost words were lost" || fail "words were lost" "$lost"
