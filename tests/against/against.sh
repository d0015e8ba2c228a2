#!/usr/bin/env bash
# Bytes in our emulator beside tmux and xterm: against.sh PROGRAM tmux|xterm STREAM|vttest KNOWN
# STREAM: a NAME.COLSxROWS.bin. Exit 77, with a sentence, where a program is missing.
set -u -o pipefail
against=$1 peer=$2 what=$3 known=$4
missing() { echo "skipped: $1 is not installed"; exit 77; }
place=$(mktemp -d) socket=against$$
cleanup() {
	tmux -L "$socket" kill-server 2> /dev/null
	[ -n "${server:-}" ] && kill "$server" 2> /dev/null
	rm -rf "$place"
}
trap cleanup EXIT
pieces=$place/pieces size=80x24
mkdir "$pieces"
case $what in
vttest)
	command -v vttest > /dev/null || missing vttest
	TERM=xterm "$against" drive "$pieces" $size "${CHOICES:?}" vttest 24x80.80 || exit 1
	;;
*)
	size=$(basename "$what" .bin) size=${size##*.}
	cp "$what" "$pieces/000.bin" || exit 1
	;;
esac
cols=${size%x*} rows=${size#*x}
if [ "$peer" = tmux ]; then
	command -v tmux > /dev/null || missing tmux
	printf '%s\n' 'set -g status off' 'set -g default-terminal tmux-256color' > "$place/conf"
	LC_ALL=C.UTF-8 tmux -u -L "$socket" -f "$place/conf" new-session -d -x "$cols" -y "$rows" \
		"'$against' feed '$pieces' tmux $rows $cols; echo \$? > '$place/code'; tmux wait-for -S done" || exit 1
	timeout 120 tmux -L "$socket" wait-for done
else
	command -v Xvfb > /dev/null || missing Xvfb
	command -v xterm > /dev/null || missing xterm
	mkfifo "$place/ready"
	Xvfb -displayfd 3 -screen 0 1600x1200x24 -nolisten tcp 3> "$place/ready" 2> /dev/null &
	server=$!
	read -r -t 60 display < "$place/ready" || { echo "Xvfb does not start"; exit 1; }
	# Window reports and checksums are off by default; the rest is xterm as it comes.
	DISPLAY=:$display LC_ALL=C.UTF-8 timeout 300 xterm -geometry "$size" -fn fixed -ti vt420 -u8 \
		-xrm 'XTerm*allowWindowOps: true' -xrm 'XTerm*disallowedWindowOps: ' -xrm 'XTerm*c132: false' \
		-e bash -c "'$against' feed '$pieces' xterm $rows $cols; echo \$? > '$place/code'" 2> "$place/xterm.log"
fi
[ "$(cat "$place/code" 2> /dev/null)" = 0 ] || { echo "$peer did not take all pieces"; cat "$place/xterm.log" 2> /dev/null; ls "$pieces" | tail -3; exit 1; }
[ -n "${KEEP:-}" ] && cp -r "$pieces" "$KEEP"
"$against" judge "$pieces" "$size" "$peer" "$known"
