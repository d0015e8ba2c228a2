#!/usr/bin/env bash
# A search on two workers: every attempt, in order, in slices; one worker away, recordings damaged; patterns that do not end.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo src && git clone -q --bare src remote.git || exit 1
start_coordinator
start_worker one --label at=one
start_worker two --label at=two
two=$started
check "the project is added" maestro project add demo "$place/remote.git"
run_at() { local at=$1; shift; maestro run -p demo -l at="$at" -a command "$@"; }

first=$(run_at one 'echo alpha; echo beta-42; echo gamma; exit 3')
second=$(run_at two 'printf "\033[2;1Hthe\033[2;5H\033[1mneedle\033[m\033[3;1Hbeta-43\r\n"; echo GR"Ü"N')
many=$(run_at two 'seq -f "row %.0f" 1 30000')
third=$(run_at one 'echo beta-44')
maestro wait "$first" "$second" "$many" "$third" > /dev/null 2>&1
check "it runs again" maestro retry "$first"
maestro wait "$first" > /dev/null 2>&1

is "all attempts, both workers, in order" "$first.1:2:beta-42 $first.2:2:beta-42 $second.1:2:beta-43 $third.1:1:beta-44" \
	"$(maestro grep '^beta-4[0-9]$' | xargs)"
is "what a program placed is a line" "$second.1:1:the needle" "$(maestro grep 'the needle')"
is "-i knows other letters too" "$second.1:3:GRÜN" "$(maestro grep -i grün)"
is "-F takes it as it is" "" "$(maestro grep -F 'beta-4[0-9]')"
is "-F -i" 3 "$(maestro grep -F -i 'BETA-4' "$first" "$third" | wc -l)"
is "-l names each task once" "$first $second $third" "$(maestro grep -l beta | xargs)"
is "-C shows what stands beside" "$first.1-1-alpha $first.1:2:beta-42 $first.1-3-gamma -- $first.2-1-alpha $first.2:2:beta-42 $first.2-3-gamma" \
	"$(maestro grep -C 1 beta-42 | xargs)"
is "--json has all of it" "$third 1 1 beta-44 false true" "$(maestro grep --json beta-44 |
	jq -r '"\(.task) \(.attempt) \(.line) \(.text) \(.context) \(.time | test("^20[0-9-]+T"))"')"
like "-t says when" "^$third\.1:1:20[0-9-]+T[0-9:.]+Z beta-44" "$(maestro grep -t beta-44)"
is "by task" "$third.1:1:beta-44" "$(maestro grep beta "$third")"
is "by agent" "" "$(maestro grep -a shell beta)"
is "by project" "" "$(maestro grep -p nothing beta)"
is "many lines come in pages, none twice, none left out" "$(seq 1 30000 | sed "s/.*/$many.1:&:row &/" | sha256sum)" \
	"$(maestro grep --max 100000 '^row' | sha256sum)"
is "with their neighbours too" "$(seq 3 30000 | sha256sum)" \
	"$(maestro grep --max 100000 -C 2 'row .*[05]$' | sed 's/^[0-9.]*[:-]\([0-9]*\)[:-].*/\1/' | sha256sum)"
is "--max says that there are more" "5 maestro: grep: stopped after 5 lines; --max takes more" \
	"$(maestro grep --max 5 '^row' 2> more | wc -l) $(cat more)"
maestro grep 'nowhere to be found'; is "nothing found is 1" 1 $?
refuses "an empty pattern" 2 'is empty' maestro grep ''
refuses "a bad pattern" 2 'regular expression' maestro grep '('
refuses "a task that is not there" 4 'no such task' maestro grep x 99

# What is left of a damaged recording is searched, and it is said; so do the others that read it.
transcript=$MAESTRO_HOME/state/workers/one/sessions/$third.1/transcript.zst
cp "$transcript" whole.zst
truncate -s -5 "$transcript"
refuses "grep says that the end is missing" 2 "task $third attempt 1: the end of the recording is missing" maestro grep beta "$third"
like "logs says it" 'the end of the recording is missing' "$(maestro logs "$third" 2>&1)"
is "logs --json says it" true "$(maestro logs "$third" --json 2> /dev/null | jq -s 'any(.[]; .cut_off == true)')"
like "export says it" 'damaged here' "$(maestro export "$third")"
like "and as a text" 'output is missing here' "$(maestro export "$third" --format text)"
session=$MAESTRO_HOME/state/workers/two/sessions/$many.1/transcript.zst
cp "$session" many.zst
printf '\xff\xff\xff\xff' | dd of="$session" bs=1 seek=$(($(stat -c %s "$session") / 2)) conv=notrunc status=none
maestro grep --max 100000 '^row' "$many" > left 2> said
is "a flipped one: status" 2 $?
like "it is said" "task $many attempt 1: the recording is damaged" "$(cat said)"
like "logs says how much is missing" '[0-9]+ bytes of output are missing here|the end of the recording is missing' "$(maestro logs "$many" 2>&1 > /dev/null)"
cp many.zst "$session"

# An expression that never ends is ended; the worker goes on.
refuses "a pattern without end" 2 'takes more time or memory' maestro grep '(.*)(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5\6x$' "$many"
is "the worker is there still" "$third.1:1:beta-44" "$(cp whole.zst "$transcript" && maestro grep beta-44)"

kill "$two" && wait "$two" 2> /dev/null
wait_for 20 sh -c "maestro worker show two --json | jq -e '.state != \"ready\"'" || fail "two is away"
maestro grep '^beta' > found 2> said; is "a worker that is away: status" 2 $?
is "the other one is searched" 3 "$(wc -l < found)"
like "it is named" 'worker two were not searched' "$(cat said)"
