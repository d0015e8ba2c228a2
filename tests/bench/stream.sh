#!/usr/bin/env bash
# What watching costs: bytes a second on the wire (TLS over TCP, as the kernel counts them in the watching program) for
# output of several kinds, attached and as a tile; idle sessions; as many that flood beside the one attached to; and 20
# watchers of one session. One table, the goals beside; asserts nothing. A minute; for 50 sessions and steadier figures,
# some five: SESSIONS=50 (tens) SECONDS_EACH=3.
. "${MAESTRO_TESTS:?}/support/harness.sh" > /dev/null
each=${SECONDS_EACH:-1} sessions=${SESSIONS:-10} watchers=20 idle_seconds=5
programs=${MAESTRO_BENCH_PROGRAMS:?the directory of watch and flood: run by ./deploy/bench}
trap 'stop_started; rm -rf "$place"' EXIT
keys=$place/keys
${CC:-cc} -O2 -D_GNU_SOURCE -o "$keys" "$MAESTRO_TESTS/bench/keys.c" || exit 1

start_coordinator --listen 127.0.0.1:0
address=$(grep '^tls' <<< "$ready")
maestro token create --role worker > token && maestro-worker join "$address" --name w1 --token-file token > /dev/null || exit 1
start w1 maestro-worker run --name w1 --slots $((2 * sessions + 10))
worker=$(tr -dc 0-9 < "$MAESTRO_HOME/state/workers/w1/lock")
maestro token create --role operator > token && maestro join "$address" --profile far --token-file token > /dev/null || exit 1
make_repo src && git clone -q --bare src remote.git && maestro project add demo "$place/remote.git" > /dev/null || exit 1
seq 3000000 | sed 's/.*/& lines of a big file, each a little different from the one before: &/' | head -c 40000000 > big

row() { printf '%-46s %12s %12s   %s\n' "$@"; }
shown() { wait_for 60 maestro screen "$1"; }
begin() { maestro run -p demo -a command --size 80x24 "$1"; }
many() { for _ in $(seq $((sessions / 10))); do maestro run -p demo -a command --size 80x24 -n 10 "$1"; done; }
watch() { MAESTRO_COORDINATOR=far "$programs/watch" "$@"; }
# In kB/s, with the pictures a second.
told() { awk '{ printf "%.2f kB/s (%.0f Hz)", $1 / 1000, $2 }'; }

row 'On the wire for' attached 'tile (4 Hz)' goal
# wire NAME GOAL COMMAND
wire() {
	local id attached tile
	id=$(begin "$3") && shown "$id" || { echo "$1: did not begin"; return; }
	attached=$(watch attached 1 "$each" "$id" | told)
	tile=$(watch tile 1 "$each" "$id" | told)
	row "$1" "$attached" "$tile" "$2"
	maestro stop "$id" > /dev/null
}
wire 'a repaint storm of 600 kB/s' '10 kB/s at 30 Hz' "exec $programs/flood storm"
wire 'yes' '1 kB/s' 'exec yes'
wire 'cat of a big file, again and again' '100 kB/s' "while :; do cat $place/big; done"
wire 'truecolor noise, each cell' '(all is new)' "exec $programs/flood noise"
wire 'a quiet screen' '0' 'echo here; exec cat'

id=$(begin "exec $programs/flood storm") && shown "$id"
one=$(watch attached 1 "$each" "$id") many=$(watch attached "$watchers" "$each" "$id")
row "pictures encoded by the holder" "1: $(cut -d' ' -f3 <<< "$one") Hz" "$watchers: $(cut -d' ' -f3 <<< "$many") Hz" 'the same: one series for all'
maestro stop "$id" > /dev/null

# Programs of this run: coordinator, worker, holders. Nanoseconds on a CPU, of all threads.
holders() { pgrep -f "maestro-session" | while read -r pid; do grep -qaF "$place" "/proc/$pid/environ" 2> /dev/null && echo "$pid"; done; }
cpu_ns() { for pid in "$@"; do cat /proc/"$pid"/task/*/schedstat; done 2> /dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
memory_kb() { awk '/^Private_/ { n += $2 } END { print n }' "/proc/$1/smaps_rollup"; }
all_begun() { [ "$(maestro ls --json | jq '[.[] | select(.state == "running")] | length')" -ge "$1" ]; }

echo
row "$sessions sessions" '' '' goal
task=$(begin 'echo ready; exec cat > /dev/null') && shown "$task"
quiet=$("$keys" 60 maestro --coordinator far attach "$task")
mapfile -t idle < <(many 'echo ready; exec cat > /dev/null')
wait_for 60 all_begun $((sessions + 1)) && shown "${idle[-1]}"
read -r -t 3 <> <(:) || : # what starting left to do is done; what is measured here is time itself
everybody=("coordinator $coordinator" "worker $worker" "holders $(holders | xargs)") before=()
# shellcheck disable=SC2086
for who in "${everybody[@]}"; do before+=("$(cpu_ns ${who#* })"); done
read -r -t $idle_seconds <> <(:) || :
at=0
for who in "${everybody[@]}"; do
	# shellcheck disable=SC2086
	row "idle: CPU of ${who%% *} in $idle_seconds s" "$(awk -v a="${before[$at]}" -v b="$(cpu_ns ${who#* })" 'BEGIN { printf "%.1f ms", (b - a) / 1e6 }')" '' '0 ms'
	at=$((at + 1))
done
mapfile -t flooding < <(many 'exec yes')
wait_for 60 all_begun $((2 * sessions + 1)) && shown "${flooding[-1]}"
before=("$(memory_kb "$coordinator")" "$(memory_kb "$worker")")
beside=$("$keys" 40 maestro --coordinator far attach "$task")
after=("$(memory_kb "$coordinator")" "$(memory_kb "$worker")")
row "flooding: key to glyph p50, quiet / beside" "${quiet% *} us" "${beside% *} us" 'a quarter of ssh + tmux (bench attach)'
row "flooding: key to glyph p99, quiet / beside" "${quiet#* } us" "${beside#* } us" ''
row "flooding: coordinator's memory before / after" "${before[0]} kB" "${after[0]} kB" flat
row "flooding: worker's memory before / after" "${before[1]} kB" "${after[1]} kB" flat
