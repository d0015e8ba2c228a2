#!/usr/bin/env bash
# Truncated and flipped bytes in the files that damage.sh has not: what `join` wrote on a worker and at a person's machine,
# certificates, locks, a session's port, token and index of its transcript, a mirror. Who cannot go on names the file and what to do;
# what a session does not need does not end it.
#
# What it was written for: certificates and addresses that could not be used, in messages that named no file.
. "${MAESTRO_TESTS:?}/support/harness.sh"
. "$MAESTRO_TESTS/support/fault.sh"
make_repo repo
start_coordinator --listen 127.0.0.1:0
port=$(sed -n 's/^tls+tcp:\/\/127.0.0.1://p' <<< "$ready")
maestro token create --role worker > token
check "a worker joins over TLS" maestro-worker join "127.0.0.1:$port" --name w1 --token-file token
start_worker w1
worker=$started
check "project add" maestro project add repo "$place/repo"
work="echo \$MAESTRO_TASK >> '$place/ran'; echo \$MAESTRO_TASK > new"
state=$MAESTRO_HOME/state/workers/w1 mind=$MAESTRO_HOME/state/coordinator
# harm FILE HOW: and a copy is kept; heal puts it back.
harm() {
	local at=$(($(stat -c %s "$1") / 2))
	harmed=$1
	cp -p "$1" "$place/kept"
	case $2 in
	cut) truncate -s $at "$1" ;;
	empty) : > "$1" ;;
	flip) printf "\\x$(printf %02x $((0x$(xxd -s $at -l 1 -p "$1") ^ 255)))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none ;;
	esac
}
heal() { cp -p "$place/kept" "$harmed"; }

# A person's own machine.
maestro token create --role operator > token
away() { MAESTRO_HOME=$place/away timeout 20 maestro "$@"; }
check "a person joins" away join "127.0.0.1:$port" --token-file token
for how in cut empty flip; do
	for file in config/keys/default.pem config/keys/default.key config/client.conf; do
		harm "$place/away/$file" $how
		status=1
		[ $file = config/client.conf ] && status=2
		[ "$file $how" = "config/client.conf empty" ] && status=3 # nobody joined: the coordinator here, which is none
		refuses "$file: $how" $status "$(basename $file)|no coordinator at" away ls
		heal
	done
done
check "put back, all is well" away ls

# A worker that starts.
begin "through it all"
lives=$id lives_pid=$pid
for how in cut empty flip; do
	for file in coordinator ca.pem; do
		halt KILL "$worker"
		harm "$state/$file" $how
		maestro-worker run --name w1 > refused.log 2>&1 &
		refused=$!
		pids+=("$refused")
		said() { grep -qE "$state/coordinator and ca.pem cannot|no coordinator reached at" refused.log; }
		wait_for 20 said && pass "$file, $how, is named" || fail "$file, $how, is named" "$(cat refused.log)"
		halt KILL "$refused"
		heal
	done
done
for how in cut empty flip; do
	halt KILL "$worker"
	harm "$state/lock" $how
	start_worker w1
	worker=$started
done
pass "a lock is not what is in it"
is "the session is the same" "running $lives_pid 1" "$(state_of "$lives") $(cat "$place/pid.$lives") $(ran "$lives")"

# A session's small files: it goes on, and so does whoever looks at it.
id=$(maestro run -a command --title "output" 'for i in $(seq 1 60000); do echo "line $i of the output"; done; exit 1')
timeout 120 maestro wait "$id" > /dev/null
maestro logs "$id" > all.txt
export_last() { maestro logs "$id" --since 1h; }
for how in cut empty flip; do
	harm "$state/sessions/$id.1/transcript.zst.idx" $how
	is "an index that is damaged ($how) is only a shortcut" "" "$(export_last 2>&1 | cmp - all.txt 2>&1)"
	heal
	halt KILL "$worker"
	for file in port token; do harm "$state/sessions/$lives.1/$file" $how; done
	start_worker w1
	worker=$started
	wait_for 60 sh -c "[ \"\$(maestro show $lives --json | jq -r .session)\" = live ]" && pass "with its port and token damaged ($how) a session is found again" ||
		fail "with its port and token damaged ($how) a session is found again" "$(maestro show "$lives")"
done
touch "$place/go.$lives"
check "and ends well" timeout 120 maestro wait "$lives"
is "once" "review 1" "$(state_of "$lives") $(ran "$lives")"

# The mirror: a task on it fails and says why, or does not mind; nobody else minds either.
make_repo other
check "another project" maestro project add other "$place/other"
mirror=$state/mirrors/repo.git
bad=
for file in HEAD config refs/remotes/origin/main packed; do
	[ $file = packed ] && file=$(cd "$mirror" && find objects -type f | sort | head -n 1)
	for how in cut empty flip; do
		chmod u+w "$mirror/$file" || continue
		harm "$mirror/$file" $how
		id=$(maestro run -p repo -a command --title "$file $how" "$work")
		wait_for 120 is_over "$id"
		case "$(state_of "$id") $(ran "$id")" in
		"review 1") ;;
		"failed "[01]) [ -n "$(field_of "$id" reason)" ] || bad="$bad $file $how: no reason;"; note "$file $how: $(field_of "$id" reason)" ;;
		*) bad="$bad $file $how: $(state_of "$id") $(ran "$id") $(field_of "$id" waiting_for);" ;;
		esac
		heal
	done
done
is "a damaged mirror is told or does not matter" "" "$bad"
id=$(maestro run -p other -a command --title beside "$work")
check "another project's is whole" timeout 120 maestro wait "$id"
id=$(maestro run -p repo -a command --title healed "$work")
check "put back, it works" timeout 120 maestro wait "$id"
is "in the same worker" ready "$(kill -0 "$worker" && worker_state w1)"

# The coordinator's.
halt KILL "$coordinator"
harm "$mind/ca.key" cut # made the server's certificate, and is needed for the next
harm "$mind/lock" flip
[ -e "$mind/coordinator.db-shm" ] && harm "$mind/coordinator.db-shm" flip
start_coordinator --listen "127.0.0.1:$port"
wait_for 60 worker_is w1 ready && pass "the worker is back" || fail "the worker is back" "$(maestro worker ls)"
check "the database is whole" maestro-coordinator check
id=$(maestro run -p repo -a command --title last "$work")
check "new work runs" timeout 120 maestro wait "$id"
