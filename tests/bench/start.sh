#!/usr/bin/env bash
# Submit to program started, beside `git worktree add` + `tmux new-window` in the same run; memory and idle CPU of the
# whole set with ten quiet sessions. Prints figures; asserts nothing.
. "${MAESTRO_TESTS:?}/support/harness.sh" > /dev/null
rounds=${ROUNDS:-15} idle_seconds=${IDLE_SECONDS:-30}
trap 'stop_started; tmux -L "mb$$" kill-server 2>/dev/null; rm -rf "$place"' EXIT
mkdir src && git init -q -b main src
for i in $(seq 200); do printf 'line %s\n' $(seq 50) > "src/file$i.txt"; done
git -C src add . && git -C src -c user.name=T -c user.email=t@example.org commit -qm first
git clone -q --bare src remote.git
start_coordinator
start_worker w1 --slots 40
worker=$started
maestro project add demo "$place/remote.git" > /dev/null || exit 1

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.1f", (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) / 1e6 }'; }
warm=$(maestro run -p demo -a command true) && maestro wait "$warm" # the mirror is there from now on

tmux -L "mb$$" -f /dev/null new-session -d -s b -x 80 -y 24 'exec cat'
git clone -q --bare src peer.git
: > ours > peer
for i in $(seq "$rounds"); do
	t=$(date +%s%N)
	id=$(maestro run -p demo -a command "date +%s%N > $place/t")
	maestro wait "$id" > /dev/null
	echo $(($(cat t) - t)) >> ours
	rm -f t
	t=$(date +%s%N)
	git -C peer.git worktree add -q -b "b$i" "$place/wt$i" main
	tmux -L "mb$$" new-window -d -c "$place/wt$i" "date +%s%N > $place/t; tmux -L mb$$ wait-for -S done$i"
	tmux -L "mb$$" wait-for "done$i"
	echo $(($(cat t) - t)) >> peer
	rm -f t
done
a=$(median < ours) b=$(median < peer)
echo "submit to program started, median of $rounds: maestro $a ms, git worktree add + tmux new-window $b ms, ratio $(awk "BEGIN { printf \"%.2f\", $a / $b }")"

for _ in $(seq 10); do ids+=("$(maestro run -p demo -a shell idle)"); done
maestro wait --state running "${ids[@]}" > /dev/null
memory() { awk '/^Rss:/ { r = $2 } /^Private_(Clean|Dirty):/ { p += $2 } END { printf "%d kB resident, %d kB private", r, p }' "/proc/$1/smaps_rollup"; }
holders=$(pgrep -f "maestro-session" | while read -r p; do grep -qaF "$place" "/proc/$p/environ" 2>/dev/null && echo "$p"; done)
echo "coordinator: $(memory "$coordinator")"
echo "worker with ten sessions: $(memory "$worker")"
for h in $holders; do echo "holder at rest: $(memory "$h")"; done | sort | uniq -c | sort -rn | head -n 3
use() { for p in "$coordinator" "$worker" $holders; do
	awk '/ctxt_switches/ { s += $2 } END { print s }' "/proc/$p/task/"*/status
	sed 's/.*) //' "/proc/$p/stat" | awk '{ print "cpu", $12 + $13 }'; done |
	awk '$1 == "cpu" { c += $2; next } { s += $1 } END { print c, s }'; }
sleep 5
read -r c0 s0 <<< "$(use)"
sleep "$idle_seconds"
read -r c1 s1 <<< "$(use)"
echo "idle for $idle_seconds s, ten quiet sessions, $(wc -w <<< "$holders") holders: $(((c1 - c0) * 10)) ms of CPU, $(((s1 - s0) / idle_seconds)) context switches a second in all processes"
