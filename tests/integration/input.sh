#!/usr/bin/env bash
# Bad input of every kind: a clear message, the right exit status, and nothing else harmed.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
refuses "no coordinator" 3 'maestro up' maestro ls
refuses "unknown command" 2 "did you mean '?wait" maestro wiat
refuses "unknown option" 2 "title" maestro run --titel x
refuses "no prompt" 2 'PROMPT|prompt' maestro run
start_coordinator
refuses "no project yet" 4 'project add|no project' maestro run -a command true
check "a project can be added before there is a worker" maestro project add repo "$place/repo"
refuses "unknown project" 4 "repo" maestro run -p rpeo -a command true
refuses "unknown state" 2 'queued' maestro ls --state runing
refuses "no such task" 4 'no (such )?task' maestro show 99
refuses "not a task" 2 'abc' maestro show abc
refuses "bad label" 2 'KEY=VALUE' maestro run -a command -l x true
refuses "unknown agent" 4 'nosuch' maestro run -a nosuch true
refuses "after a task that is not there" 4 '99' maestro run -a command --after 99 true
head -c $((256 * 1024 + 1)) /dev/zero | tr '\0' x > big
refuses "a prompt above the limit names it" 2 '256 KiB' sh -c 'maestro run -a command - < big'
id=$(maestro run -a command --title waits true)
is "without a worker it is queued" queued "$(state_of "$id")"
like "and says why" 'no worker' "$(field_of "$id" waiting_for)"
check "stop of a queued task" maestro stop "$id"
is "is cancelled" cancelled "$(state_of "$id")"
start_worker w1
refuses "a URL that cannot be cloned" 1 'nowhere' maestro project add nowhere "$place/nowhere"
refuses "a base branch that is not there" 1 'nobase' maestro project add other "$place/repo" --base nobase
refuses "a project's name is checked" 2 'name' maestro project add 'Bad Name' "$place/repo"
refuses "no AI agent and none asked for" 4 '-a|agent' maestro run -p repo hello

{ printf ': '; head -c $((200 * 1024)) /dev/zero | tr '\0' x; printf '\necho done > out\n'; } > long
id=$(maestro run -p repo -a command --title long - < long)
check "a prompt of 200 KiB works" maestro wait "$id"
is "and does its work" review "$(state_of "$id")"
id=$(maestro run -p repo -a command --base nosuch true)
maestro wait "$id"
is "a task on a base that is not there fails" failed "$(state_of "$id")"
like "and its reason names it" 'nosuch' "$(field_of "$id" reason)"
id=$(maestro run -p repo -a command $'printf \'\\033]0;evil\\007\\033[31mred\'; exit 1' --title $'ti\033[31mtle')
maestro wait "$id"
is "no escape reaches the terminal" "" "$(maestro ls --all | tr -cd '\033'; maestro show "$id" | tr -cd '\033')"
git init -q -b main empty
refuses "up in an empty repository says what to do" 1 'commit' sh -c 'cd empty && maestro up --no-console'
git -C repo checkout -q --detach
mkdir -p sub && check "up outside of a repository works" sh -c 'cd sub && maestro up --no-console'
maestro reject 2 > reject.log # a project with tasks under way is not forgotten
out=$(cd repo && maestro project rm repo && maestro up --no-console 2>&1)
like "up in a detached repository works or says what to do" 'base|branch' "$out"
maestro token create --role worker > token
refuses "a wrong token is refused" 1 'token' maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name w2 \
	--token-file <(sed 's/.\{8\}$/AAAAAAAA/' token)
check "the right one joins" maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name w2 --token-file token
refuses "a token works once" 1 'token' maestro-worker join "ipc://$MAESTRO_HOME/run/coordinator.sock" --name w3 --token-file token
like "a second coordinator is refused" 'running|already|lock' "$(maestro-coordinator run 2>&1 </dev/null)"
check "and all is still well" maestro worker ls
