#!/usr/bin/env bash
# logs -f goes on when its coordinator is killed and started again: nothing is missing, nothing is told twice.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
start_coordinator; start_worker w1
maestro project add repo "$place/repo" >/dev/null
id=$(maestro run -a command 'for i in 1 2 3 4 5 6; do echo tick $i; sleep 1; done')
wait_for 20 sh -c "maestro screen $id | grep -q 'tick 2'"
maestro logs -f $id > out.txt 2> err.txt & L=$!
wait_for 20 grep -q "tick 3" out.txt
kill -KILL $coordinator; wait $coordinator 2>/dev/null; start_coordinator
wait $L; is "logs -f ends well" 0 $?
is "none is missing" 6 "$(grep -c tick out.txt)"
