#!/usr/bin/env bash
# What a person must be told: work that no commit has, a repository that cannot be used, a holder that died.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo whole
git clone -q --depth 1 "file://$PWD/whole" cut && cd cut || exit 1
refuses "up refuses a shallow repository" 1 'git fetch --unshallow' maestro up --no-console
git fetch -q --unshallow
check "up takes it when it is whole" maestro up --no-console
cd .. && git clone -q --depth 1 "file://$PWD/whole" other
refuses "project add refuses a shallow repository" 1 'shallow' maestro project add other "$PWD/other"
cd cut || exit 1

id=$(maestro run -a command 'truncate -s 101M big; git init -q inner; echo x > inner/f')
check "wait for what cannot be committed" maestro wait "$id"
is "nothing to commit is done" done "$(state_of "$id")"
left='left out of the commit: big \(101 MiB, above 100 MiB\), inner \(a repository of its own\)'
like "show says what was left out" "$left" "$(maestro show "$id")"
like "ls --json says it" "$left" "$(maestro ls --all --json | jq -r '.[].reason')"
like "the events say it" "done: $left" "$(maestro events --since 0 --json)"
refuses "merge says that there is nothing" 1 'without a change' maestro merge "$id"
refuses "rm keeps what is nowhere else" 1 'not committed' maestro rm "$id"

id=$(maestro run -a command 'truncate -s 101M big; echo small > small')
check "wait for what can be committed in part" maestro wait "$id"
is "the rest is in review" review "$(state_of "$id")"
like "it says what was left out" 'left out of the commit: big \(101 MiB' "$(field_of "$id" reason)"
id=$(maestro run -a command 'echo small > small')
maestro wait "$id"
is "nothing left out, nothing said" null "$(field_of "$id" reason)"

id=$(maestro run -a command --retries 0 "echo begun >> $place/begun; kill -9 \$PPID; read -r line")
maestro wait "$id"
is "a holder that died is a failure of that attempt" "failed 1" "$(maestro show "$id" --json | jq -r '"\(.state) \(.attempt)"')"
is "what began is not begun again" 1 "$(wc -l < "$place/begun")"
like "it says so" 'holder process died' "$(field_of "$id" reason)"
refuses "retry has no --push" 2 'push' maestro retry --push "$id"

id=$(maestro run -a command 'rm .git; echo lost > lost')
maestro wait "$id"
like "a worktree without .git is explained" 'failed.*\.git was deleted.*worktree repair' \
	"$(maestro show "$id" --json | jq -r '"\(.state) \(.reason)"')"
check "down" maestro down --force
