#!/usr/bin/env bash
# What a person sees in `maestro attach` is what the same program shows straight in the same terminal: two panes of one
# size in a private tmux, the same keys to both, and their captures, colours, cursor and modes compared; at 80x24 and,
# after a resize under the running program, at 200x50. Then the worker is killed under an attached session, and replaced.
. "${MAESTRO_TESTS:?}/support/harness.sh"
trap 'for socket in "$place"/inner.* "$place/outer"; do tmux -S "$socket" kill-server 2> /dev/null; done; finish' EXIT
outer() { tmux -S "$place/outer" -f /dev/null "$@"; }
# A test that looks for a program and finds none must not pass by that.
for program in tmux vim.tiny less mc htop; do
	command -v $program > /dev/null || fail "$program is installed (packages of kind test in deploy/packages)"
done
make_repo repo
seq 300 | sed 's/.*/line & of a file that is longer than a screen, with a number at its end: &/' > text
printf '\033[1;31mred\033[0m \033[38;5;208morange\033[0m \033[48;2;10;60;90mdeep\033[0m \033[4munder\033[0m \033[7mback\033[0m\n' > colours
printf 'wide: 漢字かな 한글, combining: e\xcc\x81a\xcc\x88, box: ┌─┬─┐ │ └─┘, emoji: 🙂🚀, 中\033[?1002h\n' >> colours # and the mouse, not in the SGR encoding
mkdir -p box/list/one box/list/two && seq 99 > box/list/three && touch -d '2020-01-01 12:00' box/list/* box/list box # mc shows the date of .. too
sleep 1000 & sleeper=$!
pids+=("$sleeper")
printf '%s\n' 'fields=0 48 17 2 1' 'hide_kernel_threads=1' 'left_meters=Hostname' 'left_meter_modes=2' 'right_meters=' \
	'right_meter_modes=' 'header_margin=1' 'delay=1000' 'show_program_path=0' > htoprc
cat > inner.conf <<- 'CONF'
	set -g status-right ''
	set -g default-terminal tmux-256color
CONF
start_coordinator
start_worker w1 --slots 8
check "a project" maestro project add repo "$place/repo"

# What is in a pane: the picture with its colours, where the cursor is, and what the terminal was asked to send.
seen() {
	outer capture-pane -e -p -t "$1" | awk -f "$MAESTRO_TESTS/support/cells.awk"
	outer display-message -p -t "$1" 'cursor #{cursor_x},#{cursor_y} shown #{cursor_flag} mouse #{mouse_any_flag}#{mouse_standard_flag}#{mouse_button_flag}#{mouse_all_flag}#{mouse_sgr_flag} keys #{keypad_cursor_flag}#{keypad_flag}'
}
same() { seen straight > straight.txt; seen attached > attached.txt; cmp -s straight.txt attached.txt; }
shows() { outer capture-pane -p -t "$1" | grep -qE -- "$2"; }
alike() {
	if wait_for 10 same; then pass "$1"; else fail "$1" "$(diff straight.txt attached.txt | cat -v)"; fi
}

# Where the two may differ, and why: what a program asks of its terminal is answered by two terminals. vim chooses its
# colours by the background's colour (OSC 11), which tmux does not tell without a client: so vim is told (bg=dark).
#
# look NAME WORDS COMMAND KEYS...: the command in a session with attach on it, and straight; WORDS tell that it began.
look() {
	local name=$1 words=$2 command="cd $place; $3" id key
	shift 3
	id=$(maestro run -p repo -a command --size 80x24 "export HOME=$place/user; $command")
	wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -qE -- '$words'" || fail "$name begins" "$(maestro screen "$id" 2>&1)"
	outer new-session -d -s straight -x 80 -y 24 "export TERM=xterm-256color COLORTERM=truecolor; $command"
	outer new-session -d -s attached -x 80 -y 24 "maestro attach $id"
	wait_for 20 shows straight "$words" && wait_for 20 shows attached "$words" || fail "$name is shown" "$(seen straight; seen attached)"
	alike "$name looks right at 80x24"
	for key in "$@"; do
		outer send-keys -t straight "$key"
		outer send-keys -t attached "$key"
		alike "$name looks right after the key '$key'"
	done
	outer resize-window -t straight -x 200 -y 50
	outer resize-window -t attached -x 200 -y 50
	alike "$name looks right at 200x50"
	outer kill-session -t straight
	outer kill-session -t attached
	maestro stop "$id" > /dev/null
}

look less 'line 1 of' "less -N $place/text" Space G
look vim 'line 1 of' "vim.tiny -u NONE -i NONE -n -c 'set nocp nu hls ruler laststatus=2 bg=dark' $place/text" /1.0 Enter o
look "colours, wide characters and the mouse" 'emoji' "cat $place/colours; exec cat" x
look mc 'three' "LANG=C.UTF-8 mc -u -x -S default $place/box/list $place/box/list" Down C-o
look htop 'sleep' "HTOPRC=$place/htoprc htop -p $sleeper" Down
look tmux 'line 9' "tmux -S $place/inner.\$\$ -f $place/inner.conf new-session -s in 'head -n 12 $place/text; exec cat'" C-b %

# What tmux does not tell in a capture is read as attach wrote it: a palette that was changed, links, kinds and colours of
# underline, and keys with modifiers in both directions.
cat > styled <<- 'SH'
	stty raw -echo
	printf '\033]4;1;rgb:12/34/56\007\033]11;#102030\007\033]12;#0a0b0c\007\033[>4;2m'
	printf '\033]8;id=7;https://example.org/x\033\\linked\033]8;;\033\\ \033[31mred\033[m \033[4:3m\033[58;5;2mcurly\033[m styled\r\n'
	exec cat -v
SH
# raw TERM: attaches in a terminal of that name; what attach writes to it goes to file raw.
raw() {
	: > raw
	outer new-session -d -s raw -x 80 -y 24 "PS1='$ ' exec bash --norc"
	outer pipe-pane -t raw "cat >> $place/raw"
	outer send-keys -t raw "TERM=$1 exec maestro attach --take-over $id" Enter
	wait_for 20 shows raw 'styled' || fail "the styled session on $1" "$(seen raw)"
}
wrote() { grep -qaF -- "$(printf "$1")" raw; }
id=$(maestro run -p repo -a command "exec bash $place/styled")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q styled"
raw xterm-256color
check "a link is drawn as a link, with its id" wait_for 10 wrote '\033]8;id=7;https://example.org/x\033\\'
check "and ended" wait_for 10 wrote '\033]8;;\033\\'
check "a colour is the one that the program made it" wait_for 10 wrote '38;2;18;52;86'
check "the ground too" wait_for 10 wrote '48;2;16;32;48'
check "and the cursor" wait_for 10 wrote '\033]12;#0a0b0c\033\\'
check "an underline of its kind" wait_for 10 wrote '4:3'
check "and of its colour" wait_for 10 wrote '58'
check "keys with modifiers are asked for" wait_for 10 wrote '\033[>4;2m'
outer send-keys -t raw -H 1b 5b 32 37 3b 35 3b 31 30 35 7e
check "and passed on" wait_for 20 shows raw '\^\[\[27;5;105~'
outer send-keys -t raw 'C-\' d
check "given back when attach ends" wait_for 20 wrote '\033[>4;0m'
wait_for 20 sh -c "! tmux -S $place/outer has-session -t raw 2> /dev/null"
raw linux
check "a terminal that knows no links gets none" sh -c "! grep -qaF 'example.org' raw"
check "nor kinds of underline" sh -c "! grep -qaF '4:3' raw"
outer kill-session -t raw
maestro stop "$id" > /dev/null

# A shell that marks its prompts (OSC 133): copy mode goes from one to the next, and tells how the command before it ended.
mark() { printf '\033]133;%s\033\\' "$1"; }
{ mark A; echo '$ first'; mark C; seq 60; mark 'D;3'; mark A; echo '$ second'; mark C; echo done; } > prompts
id=$(maestro run -p repo -a command --size 80x24 "cat $place/prompts; exec cat")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q done"
outer new-session -d -s attached -x 80 -y 24 "maestro attach $id"
wait_for 20 shows attached second || fail "the session is shown" "$(seen attached)"
outer send-keys -t attached 'C-\' '['
check "copy mode shows its keys" wait_for 20 shows attached '\[ \] prompts'
outer send-keys -t attached '['
check "[ goes to the prompt above, which knows the exit code" wait_for 20 shows attached 'before it: exit 3'
outer send-keys -t attached '['
check "and to the one above the screen" wait_for 20 shows attached '^\$ first'
outer send-keys -t attached ']'
check "] goes down again" wait_for 20 shows attached '^\$ second'
outer kill-session -t attached
maestro stop "$id" > /dev/null

# The worker dies under an attached session, and another takes its place.
id=$(maestro run -p repo -a command 'echo ready; while read -r line; do echo "got $line."; done')
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready"
outer new-session -d -s attached -x 80 -y 24 "maestro attach $id"
wait_for 20 shows attached ready || fail "the session is shown" "$(seen attached)"
say() { outer send-keys -t attached "$1" Enter; }
for n in 1 2 3; do say "line$n" && wait_for 20 shows attached "got line$n\\."; done
worker=$(tr -dc 0-9 < "$MAESTRO_HOME/state/workers/w1/lock")
kill -KILL "$worker"
check "attach tells that the worker is lost, and how old the picture is" wait_for 30 shows attached 'picture [0-9]+ s old: connection lost'
check "and leaves the picture" shows attached 'got line3\.'
say held
check "keys that cannot be sent now are counted" wait_for 20 shows attached '5 bytes of keys wait'
start_worker w1
check "the new worker brings the session back, and the keys" wait_for 60 shows attached 'got held'
for n in 4 5 6; do say "line$n" && wait_for 20 shows attached "got line$n\\."; done
is "every line arrived once" "got line1. got line2. got line3. got held. got line4. got line5. got line6." \
	"$(maestro screen "$id" | grep -o 'got .*' | xargs)"
# However attach ends, the terminal is as it was.
for signal in TERM HUP INT; do
	outer new-session -d -s shell -x 80 -y 24 "PS1='$ ' exec bash --norc"
	wait_for 20 shows shell '\$' && before=$(outer display-message -p -t shell '#{alternate_on}#{cursor_flag}#{bracket_paste_flag}#{mouse_any_flag}#{keypad_flag}')
	outer send-keys -t shell "stty -a > before; maestro attach --take-over $id; stty -a > after; echo over" Enter
	wait_for 20 shows shell 'got line6' || fail "attach in a shell" "$(seen shell)"
	kill -"$signal" "$(pgrep -f "^maestro attach --take-over $id\$")"
	wait_for 20 shows shell '^over' || fail "SIG$signal ends attach" "$(seen shell)"
	is "after SIG$signal the terminal's modes are as they were" "$before" \
		"$(outer display-message -p -t shell '#{alternate_on}#{cursor_flag}#{bracket_paste_flag}#{mouse_any_flag}#{keypad_flag}')"
	check "and its line settings" cmp before after
	outer kill-session -t shell
done
