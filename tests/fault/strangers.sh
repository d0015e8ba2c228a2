#!/usr/bin/env bash
# Who should not be there, at a coordinator at work: 500 that say nothing, 3,000 that connect and reset, frames that are too
# long, short, wrong or noise; tokens used twice, keys that are foreign, revoked or another worker's. Who belongs there is
# served meanwhile, memory and descriptors stay bounded, and every refusal says what to do.
#
# strangers.sh [SEED].
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
seed=${1:-$$}
note "seed $seed"
stranger() { python3 "$MAESTRO_TESTS/support/stranger.py" "$@"; }
files() { find "/proc/$coordinator/fd" -mindepth 1 2> /dev/null | wc -l; }
memory_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$coordinator/status"; }
make_repo repo
echo 0 > "$place/wall"
start coordinator with_faults FAULT_PROGRAM=maestro-coordinator FAULT_WALL="$place/wall" maestro-coordinator run --listen 127.0.0.1:0
coordinator=$started
port=$(sed -n 's/^tls+tcp:\/\/127.0.0.1://p' <<< "$ready")
maestro token create --role worker > "$place/token"
check "a worker joins over TLS" maestro-worker join "127.0.0.1:$port" --name w1 --token-file "$place/token"
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
begin "through it all"
lives=$id lives_pid=$pid
same() { is "$1: same coordinator, same session" "running $lives_pid ready" "$(kill -0 "$coordinator" && state_of "$lives") $(cat "$place/pid.$lives") $(worker_state w1)"; }
calm() { [ "$(files)" -le "$1" ]; }
before=$(files) memory=$(memory_kib)

mkfifo "$place/hold"
stranger silent "$port" 500 > "$place/silent.log" < "$place/hold" &
silent=$!
pids+=("$silent")
exec 7> "$place/hold"
wait_for 60 grep -q '^held' "$place/silent.log" && pass "500 said nothing" || fail "500 said nothing" "$(cat "$place/silent.log")"
id=$(maestro run -a command --title "beside the silent" "$work")
check "who belongs there is served beside them" maestro wait "$id"
like "few of them are kept" '^[0-9]{1,3}$' "$(files)"
[ "$(files)" -lt $((before + 200)) ] && pass "$(files) descriptors" || fail "descriptors are bounded" "$(files), $before before"
exec 7>&-
wait "$silent"
wait_for 60 calm $((before + 4)) && pass "nothing of them is left" || fail "nothing of them is left" "$(files), $before before"
same "silent"

check "3,000 connect and reset" stranger reset "$port" 3000
id=$(maestro run -a command --title "after the resets" "$work")
check "work goes on" maestro wait "$id"
wait_for 60 calm $((before + 4)) && pass "no descriptor is left" || fail "no descriptor is left" "$(files), $before before"
same "reset"

check "frames that are none, over TLS's port" stranger frames "$port" "$seed"
check "and over the local socket" stranger frames "$MAESTRO_HOME/run/coordinator.sock" "$seed"
id=$(maestro run -a command --title "after the noise" "$work")
check "work goes on after noise" maestro wait "$id"
wait_for 60 calm $((before + 4)) && pass "no descriptor is left by it" || fail "no descriptor is left by it" "$(files), $before before"
# A sanitizer keeps 256 MiB of what was freed.
[ "$(memory_kib)" -lt $((memory + 400000)) ] && pass "memory is bounded" || fail "memory is bounded" "$(memory_kib) KiB, $memory before"
same "frames"

# Identities.
join() { maestro-worker join "127.0.0.1:$port" --name "$1" --token-file "$2"; }
refuses "a token is good once" 1 'token' join w2 "$place/token"
sed 's/\(.*\)./\1x/' "$place/token" > "$place/bad"
maestro token create --role worker | tr 'a-f' 'b-fa' > "$place/wrong"
refuses "a token that was changed" 1 'token|certificate' join w2 "$place/wrong"
maestro token create --role worker --ttl 1h > "$place/late"
echo 3601000 > "$place/wall"
refuses "a token that has expired, and what to do" 1 'expired.*maestro token create' join w2 "$place/late"
echo 0 > "$place/wall"
maestro token create --role viewer > "$place/viewer"
refuses "a viewer's token makes no worker" 1 'token|worker|role' join w2 "$place/viewer"
maestro token create --role worker > "$place/token2"
check "a second worker joins" join w2 "$place/token2"
halt KILL "$worker"
cp -p "$MAESTRO_HOME/state/workers/w1/worker.key" keep.key
cp -p "$MAESTRO_HOME/state/workers/w2/worker.key" "$MAESTRO_HOME/state/workers/w1/worker.key"
timeout 15 maestro-worker run --name w1 > w1.foreign 2>&1
grep -q 'info ready' w1.foreign && [ "$(worker_state w1)" = ready ] && fail "another worker's key does not pass for this one" "$(cat w1.foreign)" ||
	pass "another worker's key does not pass for this one"
head -c 32 /dev/urandom | cat > noise
cp -p keep.key "$MAESTRO_HOME/state/workers/w1/worker.key"
start_worker w1
worker=$started
wait_for 30 worker_is w1 ready || fail "with its own key it is back" "$(maestro worker ls)"
same "foreign"
check "w2 is forgotten" maestro worker rm w2
timeout 15 maestro-worker run --name w2 > w2.revoked 2>&1
like "a key that was shut out is told what to do" 'join|enrol|revoked|not known' "$(cat w2.revoked)"
touch "$place/go.$lives"
check "the session ends well" maestro wait "$lives"
is "and ran once" "review 1" "$(state_of "$lives") $(ran "$lives")"
