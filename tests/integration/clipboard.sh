#!/usr/bin/env bash
# What a session wants in the clipboard (OSC 52) gets there when the person says so, and only to who drives: a tmux that
# takes it plays the terminal. The bytes that arrive are ours, not the session's.
. "${MAESTRO_TESTS:?}/support/harness.sh"
trap 'outer kill-server 2> /dev/null; finish' EXIT
outer() { tmux -S "$place/outer" -f /dev/null "$@"; }
command -v tmux > /dev/null || fail "tmux is installed (packages of kind test in deploy/packages)"
shows() { outer capture-pane -p -t "$1" | grep -qE -- "$2"; }
holds() { [ "$(outer show-buffer 2> /dev/null)" = "$1" ]; }
make_repo repo
start_coordinator
start_worker w1
check "a project" maestro project add repo "$place/repo"
# Each line that is typed is copied; an empty one asks what the clipboard holds.
cat > copier <<- 'SH'
	stty -echo
	echo ready
	while IFS= read -r line; do
		if [ -n "$line" ]; then printf '\033]52;c;%s\007copied %s.\n' "$(printf %s "$line" | base64 -w 0)" "${#line}"
		else printf '\033]52;c;?\007asked.\n'; fi
	done
SH
id=$(maestro run -p repo -a command "bash $place/copier")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready"
outer new-session -d -s driver -x 100 -y 24 "maestro attach $id"
outer set -s set-clipboard on
wait_for 20 shows driver ready || fail "the session is shown" "$(outer capture-pane -p -t driver)"
outer new-session -d -s viewer -x 100 -y 24 "maestro attach --read-only $id"
wait_for 20 shows viewer ready || fail "and to a viewer" "$(outer capture-pane -p -t viewer)"
say() { outer send-keys -t driver -l "$1" && outer send-keys -t driver Enter; }

say first
check "the person is asked" wait_for 20 shows driver 'copy 5 bytes of the session.s to your clipboard'
check "a viewer is not" wait_for 20 shows viewer 'copied 5'
refuses "and nothing was copied" 1 '' shows viewer 'clipboard'
is "not yet" "" "$(outer show-buffer 2> /dev/null)"
outer send-keys -t driver 'C-\' n
wait_for 20 sh -c "! tmux -S $place/outer capture-pane -p -t driver | grep -q clipboard"
say second
check "the next one is asked for too" wait_for 20 shows driver 'copy 6 bytes'
outer send-keys -t driver 'C-\' y
check "yes copies it" wait_for 20 holds second
say 'third, and y n a are for the session'
wait_for 20 shows driver 'copy 36 bytes' || fail "asked again" "$(outer capture-pane -p -t driver)"
outer send-keys -t driver 'C-\' a
check "always copies it" wait_for 20 holds 'third, and y n a are for the session'
say 'fourth'
check "and the next one without a question" wait_for 20 holds fourth
say ''
wait_for 20 shows driver 'asked\.' || fail "a question" "$(outer capture-pane -p -t driver)"
is "what the clipboard holds is not told" "" "$(maestro screen "$id" | grep -a 52)"
outer send-keys -t driver 'C-\' d
wait_for 20 sh -c "! tmux -S $place/outer has-session -t driver 2> /dev/null"

attach_again() {
	outer kill-session -t driver 2> /dev/null
	outer new-session -d -s driver -x 100 -y 24 "maestro attach --take-over $1 $id"
	wait_for 20 shows driver 'copied' || fail "attached again" "$(outer capture-pane -p -t driver)"
}
mkdir -p "$MAESTRO_HOME/config"
echo 'clipboard = "always"' > "$MAESTRO_HOME/config/client.conf"
attach_again ''
say fifth
check "client.conf says always" wait_for 20 holds fifth
attach_again '--clipboard never'
say sixth-and-last
wait_for 20 shows driver 'copied 14' || fail "the sixth" "$(outer capture-pane -p -t driver)"
is "an option says never" fifth "$(outer show-buffer)"
echo 'clipboard = "perhaps"' > "$MAESTRO_HOME/config/client.conf"
refuses "client.conf with another word" 2 'ask.*always.*never' maestro ls
