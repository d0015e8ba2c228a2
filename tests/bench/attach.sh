#!/usr/bin/env bash
# Key to glyph through the whole chain (attach, TLS, coordinator, TLS, worker, holder, terminal and back), beside ssh +
# tmux: quiet, and beside ten sessions that flood. The two take turns, round by round, so that what else the machine does
# falls on both; printed are the medians of the rounds, their ratio, and the context switches a key costs each side's
# programs (wake-ups: what latency is made of). Asserts nothing. COUNT keys a round, ROUNDS, FLOODS.
. "${MAESTRO_TESTS:?}/support/harness.sh" > /dev/null
count=${COUNT:-70} rounds=${ROUNDS:-5} floods=${FLOODS:-10}
trap 'tmux -L "mk$$" kill-server 2> /dev/null; [ -n "${sshd:-}" ] && kill "$sshd" 2> /dev/null; stop_started; rm -rf "$place"' EXIT
keys=$place/keys
${CC:-cc} -O2 -D_GNU_SOURCE -o "$keys" "$MAESTRO_TESTS/bench/keys.c" || exit 1
echoes='echo ready; exec cat > /dev/null'

start_coordinator --listen 127.0.0.1:0
address=$(grep '^tls' <<< "$ready")
maestro token create --role worker > token && maestro-worker join "$address" --name w1 --token-file token > /dev/null || exit 1
start w1 maestro-worker run --name w1 --slots 40
maestro token create --role operator > token && maestro join "$address" --profile far --token-file token > /dev/null || exit 1
make_repo src && git clone -q --bare src remote.git && maestro project add demo "$place/remote.git" > /dev/null || exit 1

mkdir -m 700 ssh
ssh-keygen -q -t ed25519 -N '' -f ssh/host && ssh-keygen -q -t ed25519 -N '' -f ssh/key && cp ssh/key.pub ssh/authorized
[ "$(id -u)" -eq 0 ] && mkdir -p /run/sshd
for _ in 1 2 3 4 5; do
	port=$((20000 + RANDOM % 40000))
	printf '%s\n' "ListenAddress 127.0.0.1:$port" "HostKey $place/ssh/host" "AuthorizedKeysFile $place/ssh/authorized" \
		"PidFile $place/ssh/pid" 'PasswordAuthentication no' 'UsePAM no' 'StrictModes no' > ssh/config
	"$(command -v sshd)" -D -e -f "$place/ssh/config" 2>> ssh/log &
	sshd=$!
	wait_for 10 sh -c "[ -s ssh/pid ] || ! kill -0 $sshd" && kill -0 $sshd 2> /dev/null && break
done
far() { ssh -tt -q -F none -p "$port" -i ssh/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null 127.0.0.1 "$@"; }
export -f far
export place port

ours() { "$keys" "$count" maestro --coordinator far attach "$1"; }
peer() { "$keys" "$count" bash -c "far tmux -L mk$$ -f /dev/null attach -t keys"; }

# Context switches so far of all threads of the programs with these names (of this run).
switches() {
	local pid
	for pid in $(pgrep -f "$1"); do
		[ "$(readlink "/proc/$pid/cwd")" = "$place" ] || [[ "$(readlink "/proc/$pid/exe")" = "$MAESTRO_STAGE"* ]] || continue
		cat /proc/"$pid"/task/*/status
	done 2> /dev/null | awk '/ctxt_switches/ { n += $2 } END { print n + 0 }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# both NAME: rounds of each in turn.
both() {
	local before=0 after=0 round
	rm -f ours.txt peer.txt
	for round in $(seq "$rounds"); do
		before=$((before + $(switches 'maestro-(coordinator|worker|session)')))
		ours "$task" >> ours.txt || return 1
		after=$((after + $(switches 'maestro-(coordinator|worker|session)')))
		peer >> peer.txt || return 1
	done
	for round in 1 2; do
		local a b
		a=$(awk -v k=$round '{ print $k }' ours.txt | median) b=$(awk -v k=$round '{ print $k }' peer.txt | median)
		printf '%-12s p%-3s attach %7d us   ssh + tmux %7d us   ratio %s\n' "$1" $((round == 1 ? 50 : 99)) "$a" "$b" \
			"$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')"
	done
	printf '%-12s %d context switches a key in coordinator, worker and holders\n' "$1" $(((after - before) / rounds / count))
}

task=$(maestro run -p demo -a command "$echoes")
wait_for 30 sh -c "maestro screen $task 2> /dev/null | grep -q ready" || exit 1
tmux -L "mk$$" -f /dev/null new-session -d -s keys -x 80 -y 24 "$echoes"
both quiet

# Beside floods each is measured beside its own kind, so these cannot take turns. New screens: keys.c looks for what it
# typed on lines that do not scroll.
task=$(maestro run -p demo -a command "$echoes")
wait_for 30 sh -c "maestro screen $task 2> /dev/null | grep -q ready" || exit 1
tmux -L "mk$$" kill-session -t keys
tmux -L "mk$$" -f /dev/null new-session -d -s keys -x 80 -y 24 "$echoes"
told() { printf '%-34s p50 %6d us   p99 %6d us\n' "$1" $2; }
flooding=()
for _ in $(seq "$floods"); do flooding+=("$(maestro run -p demo -a command yes)"); done
for id in "${flooding[@]}"; do wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q y"; done
told "attach, $floods floods" "$(ours "$task")"
for id in "${flooding[@]}"; do maestro stop "$id" > /dev/null; done
maestro wait "${flooding[@]}" > /dev/null
for _ in $(seq "$floods"); do tmux -L "mk$$" new-session -d -x 80 -y 24 yes; done
told "ssh + tmux, $floods floods" "$(peer)"
