#!/usr/bin/env bash
# What a session printed, afterwards: export, grep, scrollback, and the same while it lives.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo && cd repo || exit 1
check "up" maestro up --no-console

id=$(maestro run -a command 'printf "\033[1;31mneedle-one\033[m gr\303\274n\r\n"; seq 1 200; printf "\377 end\n"')
check "it ends well" maestro wait "$id"
maestro export "$id" > v2.cast || fail "export"
check "every line is JSON" jq -e . v2.cast
is "the header is version 2" "2 true true" "$(head -1 v2.cast | jq -r '"\(.version) \(.width > 0) \(.timestamp > 0)"')"
is "every event is [time, code, text]" 0 "$(tail -n +2 v2.cast | jq -c 'select((length != 3) or (.[0]|type != "number") or (.[2]|type != "string"))' | wc -l)"
is "its output is the session's" "$(maestro logs "$id" --raw | iconv -f utf-8 -t utf-8 -c | sha256sum)" \
	"$(tail -n +2 v2.cast | jq -j 'select(.[1] == "o") | .[2]' | sed 's/\xef\xbf\xbd//' | sha256sum)"
is "times do not go back" true "$(tail -n +2 v2.cast | jq -s '[.[][0]] | . == sort')"
maestro export "$id" --format asciicast-v3 > v3.cast || fail "export v3"
is "version 3 has a term and the exit status" "3 number 0" "$(jq -rs '"\(.[0].version) \(.[0].term.cols | type) \(.[-1][2])"' v3.cast)"
like "text is text" '^needle-one gr.n$' "$(maestro export "$id" --format text)"
refuses "a format that is not there" 2 'asciicast-v3' maestro export "$id" --format gif
refuses "a task that is not there" 4 'no (such )?task' maestro export 99
refuses "replay wants a terminal" 2 'needs a terminal' maestro replay "$id"

is "grep finds it" "$id.1:1:needle-one grün" "$(maestro grep 'needle-o.e')"
is "grep --json" "$id 1" "$(maestro grep -i NEEDLE --json | jq -r '"\(.task) \(.line)"')"
is "grep -l" "$id" "$(maestro grep -l '^1')"
is "grep stops at --max" 5 "$(maestro grep --max 5 '^1' 2> /dev/null | wc -l)"
maestro grep 'nowhere to be found' > /dev/null; is "nothing found is 1" 1 $?
refuses "a bad pattern" 2 'regular expression' maestro grep '('

# Long enough for keyframes: its end is found without what comes before it.
long=$(maestro run -a command 'echo first-words; seq 1 500000; printf "\033[2J\033[H\033[32mlast-words\033[m\n"')
check "the long one ends well" maestro wait "$long"
session=$(echo "$MAESTRO_HOME"/state/workers/*/sessions/"$long".1)
[ -s "$session/transcript.zst.idx" ] && pass "there are keyframes" || fail "there are keyframes" "$(ls -l "$session")"
is "the last screen of a session that has ended" "last-words" "$(maestro screen "$long" --attempt 1)"
mkfifo keys
script -qfec "maestro replay $long --seek=-0s" replay.out < keys > /dev/null &
exec 9> keys
wait_for 20 grep -q last-words replay.out && pass "replay begins at the end" || fail "replay begins at the end" "$(cat replay.out)"
printf q >&9
wait $! && pass "and is left by q" || fail "and is left by q"
exec 9>&-
grep -q first-words replay.out && fail "and nothing from the beginning is played" || pass "and nothing from the beginning is played"
rm "$session/transcript.zst.idx"
is "without its index too" "last-words" "$(maestro screen "$long" --attempt 1)"
refuses "a seek that is no time" 2 'takes a time' maestro replay "$long" --seek soon
is "logs --since of long ago is all" "$(maestro logs "$long" | sha256sum)" "$(maestro logs "$long" --since 1d | sha256sum)"
is "logs --since of just now is nothing" "" "$(maestro logs "$long" --since 1ms)"

id=$(maestro run -a command 'echo alive-now; read -r line')
wait_for 20 sh -c "maestro export $id --format text | grep -q alive-now" && pass "a live session exports" || fail "a live session exports"
check "stop" maestro stop "$id"
check "down" maestro down --force
