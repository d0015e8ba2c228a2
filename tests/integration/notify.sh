#!/usr/bin/env bash
# A person's own hook: it hears of what wants somebody, in order, and whatever it does, the coordinator goes on.
. "${MAESTRO_TESTS:?}/support/harness.sh"
make_repo repo
mkdir -p "$MAESTRO_HOME/config"
cat > "$MAESTRO_HOME/config/coordinator.conf" << END
notify = "cat >> $place/heard; echo end >> $place/ended"
notify-kinds = { review, failed, needs_input }
END
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
good=$(maestro run -a command --title 'It"s good' 'echo x > x')
bad=$(maestro run -a command --title bad 'exit 3')
none=$(maestro run -a command --title none 'true')
asks=$(maestro run -a command --title asks 'maestro-agent status needs_input --message "which one?"; read -r line')
maestro wait "$good" "$bad" "$none"
wait_for 20 sh -c "[ \"\$(grep -c end $place/ended)\" -eq 3 ]" && pass "it is run for three of them" || fail "it is run for three of them" "$(cat "$place/heard" "$place/ended")"
is "review is told, with its branch" "It\"s good maestro/$good-it-s-good repo" \
	"$(jq -r --argjson t "$good" 'select(.task == $t) | select(.event == "review") | "\(.title) \(.branch) \(.project)"' "$place/heard")"
is "a failure" "failed task.state" "$(jq -r --argjson t "$bad" 'select(.task == $t) | "\(.event) \(.kind)"' "$place/heard")"
is "a question" "needs_input which one?" "$(jq -r --argjson t "$asks" 'select(.task == $t) | "\(.event) \(.text)"' "$place/heard")"
is "what was not chosen is not" "" "$(jq -r --argjson t "$none" 'select(.task == $t) | .event' "$place/heard")"
is "every line is one event" 3 "$(wc -l < "$place/heard")"
maestro stop "$asks" && maestro wait "$asks" > /dev/null

# One that never ends, never reads and ignores signals: bounded, and nobody waits for it.
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
cat > "$MAESTRO_HOME/config/coordinator.conf" << END
notify = "trap '' TERM HUP; echo \$\$ >> $place/stuck; while :; do sleep 600; done"
notify-time = "12s"
END
start_coordinator
ids=$(for i in 1 2 3 4 5 6; do maestro run -a command --title "stuck $i" 'exit 1'; done)
# shellcheck disable=SC2086
maestro wait $ids > /dev/null
is "six tasks ended beside it" 6 "$(maestro ls --all --json | jq '[.[] | select(.title | startswith("stuck"))] | map(select(.state == "failed")) | length')"
wait_for 20 sh -c "[ \"\$(wc -l < $place/stuck)\" -eq 4 ]" && pass "four run at once" || fail "four run at once" "$(cat "$place/stuck")"
check "the coordinator answers" maestro ls
first=$(head -n 1 "$place/stuck")
wait_for 60 sh -c "! kill -0 $first" && pass "its time is limited" || fail "its time is limited"
wait_for 20 sh -c "[ \"\$(wc -l < $place/stuck)\" -eq 6 ]" && pass "then the others have their turn" || fail "then the others have their turn" "$(cat "$place/stuck")"
like "the log says so" 'notify is stopped' "$(cat "$place/coordinator.log")"
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null
wait_for 20 sh -c "! kill -0 \$(tail -n 1 $place/stuck)" && pass "none outlives the coordinator" || fail "none outlives the coordinator"

# Lost, and limited: a worker that never comes back, and an agent whose account has nothing left.
mkdir -p "$place/bin" "$place/quiet"
printf '#!/bin/sh\nif [ "$1" = --version ]; then echo opencode 1.0; exit; fi\nmaestro-agent status limited --message "try at noon"\nread -r line\n' > "$place/bin/opencode"
chmod +x "$place/bin/opencode"
printf 'notify = "cat >> %s/gone"\nnotify-kinds = { lost, limited }\n' "$place" > "$MAESTRO_HOME/config/coordinator.conf"
start_coordinator
PATH=$place/bin:$PATH start_worker w2 --label second=yes
lonely=$started
limited=$(maestro run -a opencode --title limited 'what is left?')
lost=$(maestro run -a command --title lost -l second=yes 'read -r line')
wait_for 30 sh -c "[ \"\$(maestro show $lost --json | jq -r .session)\" = live ]" || fail "the second runs" "$(maestro show "$lost")"
wait_for 30 test -s "$place/gone" || fail "limited is told" "$(maestro show "$limited"; maestro events)"
kill -KILL "$lonely"; wait "$lonely" 2> /dev/null
wait_for 60 maestro worker rm w2 --lost && pass "a worker is declared lost" || fail "a worker is declared lost" "$(maestro worker ls)"
wait_for 30 sh -c "[ \"\$(wc -l < $place/gone)\" -eq 3 ]" || fail "three are told" "$(cat "$place/gone")"
is "a limit is told, with the agent" "limited agent.limited w2" \
	"$(jq -r 'select(.event == "limited") | "\(.event) \(.kind) \(.worker)"' "$place/gone")"
is "what is lost is told, each once" "$(printf '%s\n' "$limited" "$lost" | sort -n | xargs)" \
	"$(jq -r 'select(.event == "lost") | .task' "$place/gone" | sort -n | xargs)"
kill -TERM "$coordinator"; wait "$coordinator" 2> /dev/null

printf 'notify = "true"\nnotify-kinds = { reviews }\n' > "$MAESTRO_HOME/config/coordinator.conf"
refuses "an unknown kind" 1 "'reviews' is no kind of event .*needs_input, review" maestro-coordinator run
printf 'notify-kinds = { reviews }\n' > "$MAESTRO_HOME/config/coordinator.conf"
refuses "also without a command" 1 "'reviews' is no kind of event" maestro-coordinator run
