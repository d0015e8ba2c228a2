#!/usr/bin/env bash
# The whole path as a user goes it in a repository of their own: up, run, wait, look, merge, reject, remove, down.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo && cd repo || exit 1
printf 'dirty\n' >> main.c # a user's uncommitted work must stay as it is
before=$(git status --porcelain; git rev-parse HEAD; cat main.c)

check "up starts everything and adds the repository" maestro up --no-console
check "up is safe to repeat" maestro up --no-console
is "the repository is a project" "repo $PWD main" "$(maestro project ls --json | jq -r '.[] | "\(.name) \(.url) \(.base)"')"
is "one worker is ready" ready "$(maestro worker ls --json | jq -r '.[].state')"

id=$(maestro run -a command --title "Write a file" 'echo new > new.txt; maestro-agent status working --message "writing" --file new.txt --progress 50; echo from-the-session')
is "run prints the id" 1 "$id"
check "wait ends well" maestro wait "$id"
is "commits bring it to review" review "$(state_of "$id")"
is "the branch is named by id and slug" maestro/1-write-a-file "$(field_of "$id" branch)"
is "the branch is in the user's repository" "$(field_of "$id" commit)" "$(git rev-parse maestro/1-write-a-file)"
is "the commit has the file" new "$(git show maestro/1-write-a-file:new.txt)"
like "the commit names its task" 'Maestro-Task: 1\.1' "$(git log -1 --format=%B maestro/1-write-a-file)"
is "the user's own work is as it was" "$before" "$(git status --porcelain; git rev-parse HEAD; cat main.c)"
like "logs has the output" 'from-the-session' "$(maestro logs "$id")"
like "diff shows the file" '^\+new' "$(maestro diff "$id")"
is "diff --json has the shape" "new.txt added 1 0" "$(maestro diff "$id" --json | jq -r '.files[] | "\(.path) \(.status) \(.added) \(.removed)"')"
is "diff --stat counts" "1 0" "$(maestro diff "$id" --stat --json | jq -r '"\(.added) \(.removed)"')"

refuses "a dirty checked-out base is not merged over" 1 'uncommitted|changes' maestro merge --ff-only "$id"
git checkout -q -- main.c
check "merge --ff-only" maestro merge --ff-only "$id"
is "it is merged" merged "$(state_of "$id")"
is "main has it" new "$(git show main:new.txt)"
is "the clean checkout follows" new "$(cat new.txt)"

id=$(maestro run -a command 'true')
check "a task without changes is done" maestro wait "$id"
is "it is done" done "$(state_of "$id")"
id=$(maestro run -a command 'echo half > half; exit 3')
maestro wait "$id"; is "wait says that it failed" 1 $?
is "exit status 3 is a failure" "failed 3" "$(maestro show "$id" --json | jq -r '"\(.state) \(.exit_code)"')"
is "what it left is kept as a checkpoint" 1 "$(git -C "$MAESTRO_HOME"/state/workers/*/mirrors/repo.git for-each-ref "refs/maestro/checkpoints/$id.1/" | wc -l)"

id=$(maestro run -a command --title reject-me 'echo x > x')
check "wait for the one to reject" maestro wait "$id"
check "reject" maestro reject "$id"
is "it is rejected" rejected "$(state_of "$id")"
check "rm" maestro rm "$id"
refuses "it is gone" 4 'no (such )?task' maestro show "$id"
refuses "an empty request id is none" 2 "request id is empty" maestro run -a command --request-id "" true

id=$(maestro run -a command --title Talk 'read -r line; echo "got <$line>"; read -r line')
wait_for 20 sh -c "[ \"\$(maestro show $id --json | jq -r .session)\" = live ]" || fail "the session lives"
check "send" maestro send "$id" 'hello there'
wait_for 20 sh -c "maestro screen $id | grep -q 'got <hello there>'" && pass "screen shows what was sent" || fail "screen shows what was sent" "$(maestro screen "$id")"
check "stop" maestro stop "$id"
maestro wait "$id"
is "it is cancelled" cancelled "$(state_of "$id")"

like "events have them all" '"kind":"task.state"' "$(maestro events --since 0 --json | tr -d ' ' | head -n 50)"
is "ls --json is one array" array "$(maestro ls --all --json | jq -r type)"
is "task keys are the contract's" \
	"after agent attempt attempts base branch commit created ended exit_code group id labels priority project reason session started state status title waiting_for worker" \
	"$(maestro show 1 --json | jq -r 'keys | join(" ")')"
check "down" maestro down
refuses "then there is no coordinator" 3 'no coordinator|maestro up' maestro ls
check "up again" maestro up --no-console
is "every task is there after a restart" merged "$(state_of 1)"
check "down again" maestro down
