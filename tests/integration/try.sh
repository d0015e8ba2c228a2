#!/usr/bin/env bash
# The README's first command, without its console: TLS, two workers, a private sshd, three branches.
. "${MAESTRO_TESTS:?}/support/harness.sh"
unset MAESTRO_HOME
make_repo repo
: "${MAESTRO_TRY_BUILD:?}"
export TMPDIR=$place/tmp && mkdir "$TMPDIR"
out=$("$MAESTRO_TESTS/../deploy/try" --no-console --repo "$place/repo" --build "$MAESTRO_TRY_BUILD" 2>&1 < /dev/null)
r=$?
MAESTRO_HOME=$place/h
is "try exits 0" 0 $r
[ $r -eq 0 ] || fail "its output" "$out"
is "three branches are on the remote" 3 "$(grep -c 'review. On the remote: maestro/' <<< "$out")"
is "on two workers" 2 "$(grep -oE 'on worker-[12]: review' <<< "$out" | sort -u | wc -l)"
is "nothing is left behind" "" "$(ls -A "$TMPDIR")"
