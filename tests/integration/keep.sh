#!/usr/bin/env bash
# What the coordinator keeps, and for how long: prompts, events across a restart, the audit log, backups.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
database=$MAESTRO_HOME/state/coordinator/coordinator.db

maestro events -f --json > "$place/followed" 2> "$place/followed.err" &
follower=$!
pids+=("$follower")
follower_is_there() { [ "$(grep -c 'peer=admin.* came' "$place/coordinator.log")" -gt "$(grep -c 'peer=admin.* left' "$place/coordinator.log")" ]; }
wait_for 20 follower_is_there || fail "the follower connects" "$(cat "$place/followed.err")"
id=$(maestro run -a command --title again 'echo run >> '"$place"'/runs; [ "$(wc -l < '"$place"'/runs)" -gt 1 ]')
maestro wait "$id"
is "the first attempt fails" failed "$(state_of "$id")"
like "show has the prompt of a task that is over" 'echo run >>' "$(maestro show "$id" --json | jq -r .prompt; maestro show "$id")"

first=$(maestro events --since 1 --json | jq '[.[].seq] | max')
kill -KILL "$coordinator"; wait "$coordinator" 2> /dev/null
start_coordinator
wait_for 60 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" = ready ]" || fail "the worker is back" "$(maestro worker ls)"
check "retry" maestro retry "$id"
check "a retry after a restart has its prompt" maestro wait "$id"
is "it ran twice" 2 "$(wc -l < "$place/runs")"
last=$(maestro events --since 1 --json | jq '[.[].seq] | max')
wait_for 60 grep -q "\"seq\":$last," "$place/followed" && pass "events -f goes on after the restart" || fail "events -f goes on after the restart" "$(tail -n 3 "$place/followed" "$place/followed.err")"
is "without a gap and nothing twice" "true" "$(jq -s '[.[].seq] | . == [range(.[0]; .[0] + length)]' "$place/followed")"
is "from before it" "true" "$(jq -s --argjson first "$first" '.[0].seq <= $first' "$place/followed")"

# A copy while it runs, and what it is good for.
check "backup" maestro-coordinator backup "$place/copy.db"
is "only its owner may read it" 600 "$(stat -c %a "$place/copy.db")"
check "the copy is whole" maestro-coordinator check "$place/copy.db"
refuses "a backup overwrites nothing" 1 'there already' maestro-coordinator backup "$place/copy.db"
refuses "check of a foreign file" 1 'not a database' maestro-coordinator check "$place/repo/README.md"
refuses "check of what is not there" 1 'is not there' maestro-coordinator check "$place/nothing"
refuses "backup without a file" 2 'into which FILE' maestro-coordinator backup

check "queue pause" maestro queue pause
is "audit lists who did what" "queue pause" "$(maestro audit --json | jq -r '.[-1].act')"
check "audit --verify" maestro audit --verify
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
row=$(maestro-coordinator check > /dev/null && grep -cabo 'project=repo agent=command' "$database")
[ "$row" -gt 0 ] && at=$(grep -abo 'project=repo agent=command' "$database" | head -n 1 | cut -d: -f1) &&
	printf 'P' | dd of="$database" bs=1 seek="$at" conv=notrunc status=none
refuses "check names the row that was changed" 1 'broken at row [0-9]+' maestro-coordinator check
start_coordinator
refuses "audit --verify names it" 1 'broken at row [0-9]+' maestro audit --verify
broken=$(maestro audit --verify --json 2> /dev/null | jq .broken)
is "it is the submit" submit "$(maestro audit --json | jq -r --argjson n "$broken" '.[] | select(.number == $n) | .act')"
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
rm -f "$database"*
cp "$place/copy.db" "$database"
start_coordinator
is "a restored backup has the tasks" "done 2" "$(maestro show "$id" --json | jq -r '"\(.state) \(.attempt)"')"
check "and an unbroken log" maestro audit --verify
is "and a queue as it was" false "$(maestro audit --json | jq 'any(.[]; .act == "queue pause")')"

# What the service's unit says is true of the program.
unit=$MAESTRO_TESTS/../deploy/systemd/maestro-coordinator.service
command=$(sed -n 's|^ExecStart=.*/\(maestro-coordinator .*\)|\1|p' "$unit")
like "the unit starts the coordinator" '^maestro-coordinator run' "$command"
# shellcheck disable=SC2086
check "with options that it has" $command --help
if command -v systemd-analyze > /dev/null; then
	sed "s|^ExecStart=/usr/local/bin|ExecStart=$MAESTRO_STAGE/bin|" "$unit" > "$place/maestro-coordinator.service"
	check "systemd takes the unit" systemd-analyze verify --man=no "$place/maestro-coordinator.service"
fi
