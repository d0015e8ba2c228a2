#!/usr/bin/env bash
# A worker of this machine that was removed: refused while it is connected, and enrolled anew by the next `up`.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo && cd repo || exit 1
check "up" maestro up --no-console
name=$(maestro worker ls --json | jq -r '.[0].name')
refuses "a connected worker is not removed" 1 'connected' maestro worker rm "$name"
kill -TERM "$(tr -dc 0-9 < "$MAESTRO_HOME/state/workers/$name/lock")"
wait_for 40 maestro worker rm "$name" && pass "one that is away is" || fail "one that is away is" "$(maestro worker rm "$name" 2>&1)"
like "up enrols it anew" 'enrolled anew' "$(maestro up --no-console)"
is "it is ready" "$name ready" "$(maestro worker ls --json | jq -r '.[0] | "\(.name) \(.state)"')"
id=$(maestro run -a command 'echo x > y')
check "it works" maestro wait "$id"
check "down" maestro down
