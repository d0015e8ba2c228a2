#!/usr/bin/env bash
# A remote that refuses, and takes it later: the push alone is tried again. And an account that says until when.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
lock=$place/repo/.git/refs/heads/maestro/1-work.lock # somebody else's hand on the branch: the remote refuses
mkdir -p "${lock%/*}" && touch "$lock"
id=$(maestro run -a command --title work "echo run >> $place/runs; echo x > x.txt")
maestro wait "$id"
is "the push is refused" failed "$(state_of "$id")"
like "and says so" '^push: ' "$(field_of "$id" reason)"
like "show offers it" "maestro retry --push $id" "$(script -qec "maestro show $id" /dev/null < /dev/null)"
refuses "not with --fresh" 2 'neither --fresh' maestro retry --push --fresh "$id"
check "retry --push" maestro retry --push "$id"
maestro wait "$id"
is "refused again" "failed 2" "$(maestro show "$id" --json | jq -r '"\(.state) \(.attempt)"')"
rm "$lock"
worker=$started
kill -TERM "$worker"; wait "$worker" 2> /dev/null
wait_for 20 sh -c "[ \"\$(maestro worker ls --json | jq -r '.[0].state')\" != ready ]" || fail "the worker is away"
refuses "not while its worker is away" 1 'not connected' maestro retry --push "$id"
start_worker w1
check "retry --push, of what the worker kept" maestro retry --push "$id"
check "it ends in review" maestro wait "$id"
is "state, attempts" "review 3" "$(maestro show "$id" --json | jq -r '"\(.state) \(.attempt)"')"
is "the commit is there" x "$(git -C "$place/repo" show "$(field_of "$id" branch):x.txt")"
is "the program ran once" 1 "$(wc -l < "$place/runs")"
is "earlier attempts stay as they ended" "failed failed review" "$(maestro show "$id" --json | jq -r '[.attempts[].state] | join(" ")')"
refuses "what is in review has nothing to push" 1 'only what failed at its push' maestro retry --push "$id"
bad=$(maestro run -a command --title bad 'exit 3')
maestro wait "$bad"
refuses "what failed before its push has nothing either" 1 'before its push' maestro retry --push "$bad"
check "reject" maestro reject "$id"
check "rm" maestro rm "$id"
wait_for 20 sh -c "[ -z \"\$(ls -A $MAESTRO_HOME/state/workers/w1/worktrees | grep '^$id\\.')\" ]" && pass "and its worktree is gone" || fail "and its worktree is gone" "$(ls -R "$MAESTRO_HOME/state/workers/w1/worktrees" | head)"

# Until when an account is limited.
limited=$(maestro run -a command --title limited "maestro-agent status limited --until '2h 30m' --message 'no more today'; cat $place/go")
mkfifo "$place/go"
wait_for 20 sh -c "[ \"\$(maestro show $limited --json | jq -r .status.state)\" = limited ]" || fail "the status comes" "$(maestro show "$limited")"
left=$(maestro show "$limited" --json | jq '(.status.limited_until | sub("\\.[0-9]+"; "") | fromdate) - now | floor')
[ "$left" -gt 8700 ] && [ "$left" -le 9000 ] && pass "it is limited for two and a half hours" || fail "it is limited for two and a half hours" "$left"
like "show says until when" 'limited +until 2' "$(maestro show "$limited")"
refuses "a time that is none" 2 'no time' maestro-agent status limited --until soon
refuses "a time without a limit" 2 'limited only' maestro-agent status working --until 3pm
timeout 20 sh -c "echo go > $place/go"
maestro wait "$limited"
