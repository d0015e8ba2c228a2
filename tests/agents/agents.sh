#!/usr/bin/env bash
# Real AI CLIs, from npm in fixed versions, through a task to review. The model is a scripted server on loopback: it has each
# write a file and call report_status of our MCP server.
#
# By hand: ./deploy/check --suite agents. The first run downloads several hundred megabytes into MAESTRO_CLIS.
. "${MAESTRO_TESTS:?}/support/harness.sh"
versions=(@anthropic-ai/claude-code@2.1.197 @openai/codex@0.169.0 opencode-ai@1.18.33)
clis=${MAESTRO_CLIS:?}/node_modules/.bin

skip() {
	note "skipped: $*"
	trap - EXIT INT TERM
	cd / && rm -rf "$place"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}
for program in npm node python3 jq; do command -v $program > /dev/null || skip "$program is not installed"; done
if ! [ -x "$clis/claude" ] || ! [ -x "$clis/codex" ] || ! [ -x "$clis/opencode" ]; then
	mkdir -p "$MAESTRO_CLIS"
	HOME=$MAESTRO_CLIS npm install --prefix "$MAESTRO_CLIS" --no-audit --no-fund "${versions[@]}" > "$place/npm.log" 2>&1 ||
		skip "npm cannot install ${versions[*]}: $(tail -n 3 "$place/npm.log")"
fi
for name in claude codex opencode; do note "$name $("$clis/$name" --version 2> /dev/null | head -n 1)"; done

mkfifo model.port
python3 "$MAESTRO_TESTS/agents/model.py" "$place/model.txt" > model.port 2> model.err &
pids+=($!)
read -r port < model.port || { fail "the model's server starts" "$(cat model.err)"; finish; }

# Each is told by its own configuration, in this test's home, where the model is and that this project is trusted.
export PATH=$clis:$PATH ANTHROPIC_BASE_URL=http://127.0.0.1:$port ANTHROPIC_AUTH_TOKEN=test OPENAI_API_KEY=test
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 NO_PROXY=127.0.0.1
mirror=$MAESTRO_HOME/state/workers/one/mirrors/demo.git
jq -n --arg mirror "$mirror" '{ hasCompletedOnboarding: true, projects: { ($mirror): { hasTrustDialogAccepted: true } } }' > "$HOME/.claude.json"
mkdir -p "$HOME/.codex" "$HOME/.config/opencode" "$MAESTRO_HOME/config"
cat > "$HOME/.codex/config.toml" <<C
model_provider = "lab"
model = "gpt-5"
[model_providers.lab]
name = "lab"
base_url = "http://127.0.0.1:$port/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
[projects."$mirror"]
trust_level = "trusted"
[tui]
screen_reader_detection_done = true
C
jq -n --arg url "http://127.0.0.1:$port/v1" '{ provider: { lab: { npm: "@ai-sdk/openai-compatible", name: "lab",
	options: { baseURL: $url, apiKey: "x" }, models: { m1: { name: "m1", tool_call: true } } } },
	model: "lab/m1", autoupdate: false, share: "disabled" }' > "$HOME/.config/opencode/opencode.json"
echo 'logged-in = { claude, codex, opencode }' > "$MAESTRO_HOME/config/worker.conf"

make_repo src && git clone -q --bare src remote.git || exit 1
start_coordinator
start_worker one
check "the project is added" maestro project add demo "$place/remote.git"
knows() { maestro agent ls --json | jq -e --arg name "$1" 'any(.. | objects; .name? == $name or .agent? == $name)'; }

# Codex asks by itself whether the folder is trusted. It is the person's to answer, and seen as such.
answer_trust() {
	wait_for 90 sh -c "maestro show $1 --json | jq -e '.status.state == \"needs_input\"'" && wait_for 30 sh -c "maestro screen $1 | grep -q 'Trust this folder'" &&
		pass "codex' dialog is needs_input" || fail "codex' dialog is needs_input" "$(maestro screen "$1" 2>&1)"
	check "and is answered" maestro send "$1" --key Enter
}

# to_review AGENT PERMISSION
to_review() {
	local id
	wait_for 60 knows "$1" || { fail "$1 is offered" "$(maestro agent ls 2>&1)"; return; }
	id=$(maestro run -p demo -a "$1" --permission "$2" "Add a greeting") || { fail "$1 is submitted"; return; }
	[ "$1" != codex ] || answer_trust "$id"
	if timeout 240 maestro wait "$id" > wait.txt 2>&1 && [ "$(state_of "$id")" = review ]; then
		pass "$1 comes to review"
	else
		fail "$1 comes to review" "$(maestro show "$id" 2>&1)" "$(maestro screen "$id" 2>&1)" "$(tail -n 4 model.txt | cut -c1-300)"
	fi
	like "$1 wrote the file" 'greeting.txt' "$(maestro diff "$id" --stat 2>&1)"
	is "$1 said so by our tool" "complete mcp greeting is written" \
		"$(maestro show "$id" --json | jq -r '"\(.status.state) \(.status.source) \(.status.message)"')"
	maestro stop "$id" > /dev/null 2>&1
}
to_review claude accept-edits
to_review codex full
to_review opencode allow
