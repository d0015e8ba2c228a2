#!/usr/bin/env bash
# What a person sees in the console's full-size view is what the same program shows straight in a terminal of that size:
# two panes of a private tmux, the same keys to both, their captures compared cell by cell; at 80x24 and, after a resize under the
# running program, at 200x50; on a dark terminal and on a light one. Then the link to the coordinator is lost.
. "${MAESTRO_TESTS:?}/support/harness.sh"
trap 'outer kill-server 2> /dev/null; finish' EXIT
outer() { tmux -S "$place/outer" -f /dev/null "$@"; }
for program in tmux vim.tiny less mc htop; do
	command -v $program > /dev/null || fail "$program is installed (packages of kind test in deploy/packages)"
done
make_repo repo
seq 300 | sed 's/.*/line & of a file that is longer than a screen, with a number at its end: &/' > text
printf '\033[1;31mred\033[0m \033[38;5;208morange\033[0m \033[48;5;24mdeep\033[0m \033[4munder\033[0m \033[7mback\033[0m\n' > colours
printf 'wide: 漢字かな 한글, combining: e\xcc\x81a\xcc\x88, box: ┌─┬─┐ │ └─┘, emoji: 🙂🚀, 中\n' >> colours
mkdir -p box/list/one box/list/two && seq 99 > box/list/three && touch -d '2020-01-01 12:00' box/list/* box/list box # mc shows the date of .. too
sleep 1000 & sleeper=$!
pids+=("$sleeper")
printf '%s\n' 'fields=0 48 17 2 1' 'hide_kernel_threads=1' 'left_meters=Hostname' 'left_meter_modes=2' 'right_meters=' \
	'right_meter_modes=' 'header_margin=1' 'delay=1000' 'show_program_path=0' > htoprc
start_coordinator
start_worker w1 --slots 8
check "a project" maestro project add repo "$place/repo"

# The cells and the cursor of a pane; the console has a row above the session's and one below it.
seen() {
	local above=0
	[ "$1" = console ] && above=1
	outer capture-pane -e -p -t "$1" | sed -n "$((above + 1)),\$p" | head -n "$rows" | awk -f "$MAESTRO_TESTS/support/cells.awk"
	outer display-message -p -t "$1" "cursor #{?cursor_flag,#{cursor_x} #{e|-:#{cursor_y},$above},hidden}"
}
same() { seen straight > straight.txt; seen console > console.txt; cmp -s straight.txt console.txt; }
shows() { outer capture-pane -p -t "$1" | grep -qE -- "$2"; }
alike() {
	if wait_for 10 same; then pass "$1"; else fail "$1" "$(diff straight.txt console.txt | cat -v)"; fi
}

# look NAME GROUND WORDS COMMAND KEYS...: the command in a session with the console on it, and straight. GROUND is the COLORFGBG
# of both terminals.
look() {
	local name=$1 ground=$2 words=$3 command="cd $place; $4" id key
	shift 4
	rows=24
	id=$(maestro run -p repo -a command --size 80x24 "export HOME=$place/user COLORFGBG='$ground'; $command")
	wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -qE -- '$words'" || fail "$name begins" "$(maestro screen "$id" 2>&1)"
	outer new-session -d -s straight -x 80 -y 24 "export TERM=xterm-256color COLORTERM=truecolor COLORFGBG='$ground'; $command"
	outer new-session -d -s console -x 80 -y 26 "export TERM=tmux-256color COLORFGBG='$ground'; maestro-console"
	wait_for 20 shows console "▸$id " || fail "the console shows $name" "$(outer capture-pane -p -t console)"
	outer send-keys -t console i
	wait_for 20 shows console 'TYPING' || fail "$name is typed into" "$(outer capture-pane -p -t console)"
	wait_for 20 shows straight "$words" && wait_for 20 shows console "$words" || fail "$name is shown" "$(seen straight; seen console)"
	alike "$name looks right at 80x24"
	for key in "$@"; do
		outer send-keys -t straight "$key"
		outer send-keys -t console "$key"
		alike "$name looks right after the key '$key'"
	done
	rows=50
	outer resize-window -t straight -x 200 -y 50
	outer resize-window -t console -x 200 -y 52
	alike "$name looks right at 200x50"
	outer kill-session -t straight
	outer kill-session -t console
	maestro stop "$id" > /dev/null
	maestro wait "$id" > /dev/null
}

look less '15;0' 'line 1 of' "less -N $place/text" Space G
look "vim on dark" '15;0' 'line 1 of' "vim.tiny -u NONE -i NONE -n -c 'set nocp nu hls ruler laststatus=2 bg=dark' $place/text" /1.0 Enter o
look "vim on light" '0;15' 'line 1 of' "vim.tiny -u NONE -i NONE -n -c 'set nocp nu hls ruler laststatus=2 bg=light' $place/text" /1.0 Enter o
look "colours and wide characters" '0;15' 'emoji' "cat $place/colours; exec cat" x
look mc '15;0' 'three' "LANG=C.UTF-8 mc -u -x -S default $place/box/list $place/box/list" Down C-o
look htop '0;15' 'sleep' "HTOPRC=$place/htoprc htop -p $sleeper" Down

# The link is lost: the picture stays, and how old it is stands above it.
id=$(maestro run -p repo -a command 'echo ready; while read -r line; do echo "got $line."; done')
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready"
outer new-session -d -s console -x 80 -y 26 "export TERM=tmux-256color; maestro-console"
wait_for 20 shows console "▸$id " && outer send-keys -t console i && wait_for 20 shows console TYPING
outer send-keys -t console one Enter
check "what is typed in the console arrives" wait_for 20 shows console 'got one\.'
kill -KILL "$coordinator" && wait "$coordinator" 2> /dev/null
check "without a link the console says how old the picture is" wait_for 30 shows console 'No connection: this is how it was [0-9]+'
check "and leaves the picture" shows console 'got one\.'
outer send-keys -t console -l tw
start_coordinator
gone() { ! shows console 'No connection'; }
check "it comes back" wait_for 60 gone
check "it is typed into still" wait_for 10 shows console TYPING
outer send-keys -t console o Enter
check "and what was typed meanwhile is not lost" wait_for 20 shows console 'got two\.'
