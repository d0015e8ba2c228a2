#!/usr/bin/env bash
# `maestro send`: what arrives in a program, byte by byte.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator
start_worker w1 --slots 4
check "a project" maestro project add repo "$place/repo"
# Prints the modes that it is told to, then a line for each read, with what came in hexadecimal.
cat > reader.pl <<- 'PERL'
	$| = 1;
	system "stty raw -echo";
	printf "%s\r\nready\r\n", $ARGV[1];
	open my $out, '>', $ARGV[0] or die;
	$out->autoflush(1);
	while (sysread STDIN, my $bytes, 4096) { print $out unpack("H*", $bytes), "\n" }
PERL
# reads MODES: a session that reads so; its id in $id, what it read in file read.N.
count=0
reads() {
	count=$((count + 1))
	id=$(maestro run -p repo -a command "exec perl $place/reader.pl $place/read.$count \"\$(printf '$1')\"")
	wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q ready" || fail "a session begins" "$(maestro show "$id")"
}
hex() { printf "$1" | od -An -tx1 | tr -d ' \n'; }
# came NAME WANTED: all that was read is WANTED, in hexadecimal.
got() { [ "$(tr -d '\n' < "read.$count")" = "$1" ]; }
came() {
	if wait_for 20 got "$2"; then pass "$1"; else fail "$1" "wanted: $2" "read: $(cat "read.$count")"; fi
}

reads ''
maestro send "$id" 'two words'
came "text, then Enter" "$(hex 'two words\r')"
maestro send "$id" --no-enter $'a\nb'
came "lines are Enter to a program that knows no paste" "$(hex 'two words\ra\rb')"
for key in C-c Escape Up M-x F5 C-@; do maestro send "$id" --key "$key"; done
came "keys" "$(hex 'two words\ra\rb\003\033\033[A\033x\033[15~\000')"
refuses "an unknown key lists those that there are" 2 'no such key.*|Enter, Tab' maestro send "$id" --key Hyper-q
refuses "and so does one beside text" 2 'either TEXT' maestro send "$id" text --key Up

reads '\033[?2004h\033[?1h'
maestro send "$id" $'one\ntwo'
came "text is a bracketed paste where that was asked for" "$(hex '\033[200~one\ntwo\033[201~\r')"
maestro send "$id" $'in\033[201~side'
came "no text ends the paste" "$(hex '\033[200~one\ntwo\033[201~\r\033[200~inside\033[201~\r')"
reads '\033[?1h'
maestro send "$id" --key Up
came "a cursor key is the application's where that was asked for" "$(hex '\033OA')"
maestro send "$id" --key M-Left
came "with Alt too" "$(hex '\033OA\033\033OD')"

# --when-idle: a program that works says nothing of itself, it prints.
id=$(maestro run -p repo -a command "stty -echo; (while [ ! -e $place/rest ]; do echo working; sleep 0.2; done; echo resting) & while read -r line; do echo \"\$line\" >> $place/told; done")
wait_for 30 sh -c "maestro screen $id 2> /dev/null | grep -q working"
: > told
check "send --when-idle is taken" maestro send "$id" --when-idle 'when you are ready'
check "what is sent without it comes at once" maestro send "$id" 'now'
check "and before it" wait_for 20 grep -q now told
is "which waits while something is printed" now "$(cat told)"
touch rest
check "and comes when that ends" wait_for 30 grep -q 'when you are ready' told
refuses "a session that is not there" 4 'no (such )?task' maestro send 99 x
maestro stop "$id" > /dev/null; maestro wait "$id" > /dev/null
refuses "a session that is over" 1 'ended|session' maestro send "$id" x
