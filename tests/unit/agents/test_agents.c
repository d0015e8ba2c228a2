/* Adapters, status fusion, hooks, the protocol for models. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "worker/agents/adapter.h"
#include "worker/agents/hook.h"
#include "worker/agents/mcp.h"
#include "worker/agents/status.h"
#include "worker/agents/until.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- status ------------------------------------------------------------------------------------------------------- */

#define SAYS(source_, state_, at) \
	((struct status_report){ .state = MAESTRO__AGENT_STATE__AGENT_##state_, .source = MAESTRO__STATUS_SOURCE__SOURCE_##source_, \
		.progress = STATUS_NO_PROGRESS, .time_ms = (at) })

static void expect_after(struct status *status, struct status_report report, Maestro__AgentState state)
{
	assert_int_equal(status_take(status, &report, NULL), 0);
	assert_int_equal(status->current.state, state);
}

static void test_status_fusion(void **state)
{
	struct status status;

	status_init(&status);
	expect_after(&status, SAYS(PROCESS, WORKING, 1000), MAESTRO__AGENT_STATE__AGENT_WORKING);
	expect_after(&status, SAYS(SCREEN, IDLE, 1001), MAESTRO__AGENT_STATE__AGENT_IDLE);
	expect_after(&status, SAYS(PROCESS, WORKING, 1500), MAESTRO__AGENT_STATE__AGENT_IDLE); /* too soon for a weaker one */
	expect_after(&status, SAYS(PROCESS, WORKING, 1002 + STATUS_HOLD_MS), MAESTRO__AGENT_STATE__AGENT_WORKING);
	expect_after(&status, SAYS(MCP, COMPLETE, 6000), MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	expect_after(&status, SAYS(PROCESS, WORKING, 99000), MAESTRO__AGENT_STATE__AGENT_COMPLETE); /* never */
	expect_after(&status, SAYS(HOOK, WORKING, 8000), MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	expect_after(&status, SAYS(HOOK, WORKING, 99000), MAESTRO__AGENT_STATE__AGENT_WORKING);
	expect_after(&status, SAYS(MCP, ERROR, 98000), MAESTRO__AGENT_STATE__AGENT_WORKING); /* older than what is known */
	status_deinit(&status);
}

static void test_status_message(void **state)
{
	struct status_report report = SAYS(MCP, WORKING, 5000);
	Maestro__AgentStatus message;
	struct status status, other;
	bool changed;

	status_init(&status);
	status_init(&other);
	assert_false(status_message(&status, 1, &message));
	report.message = (char[]){ "half way" };
	report.progress = 50;
	assert_int_equal(status_take(&status, &report, &changed), 0);
	assert_true(changed);
	report.time_ms = 5100;
	assert_int_equal(status_take(&status, &report, &changed), 0);
	assert_false(changed);
	assert_true(status_message(&status, 6000, &message));
	assert_int_equal(message.age_ms, 900);
	assert_int_equal(status_take_message(&other, &message, 10000, &changed), 0);
	assert_string_equal(other.current.message, "half way");
	assert_int_equal(other.current.progress, 50);
	assert_null(other.current.file);
	assert_int_equal(other.current.time_ms, 9100);
	status_deinit(&status);
	status_deinit(&other);
}

/* --- hooks -------------------------------------------------------------------------------------------------------- */

static void test_hooks(void **state)
{
	const char tool[] = "{\"tool_name\":\"Edit\",\"tool_input\":{\"file_path\":\"src/a.c\"}}";
	const char reminder[] = "{\"notification_type\":\"idle_prompt\",\"message\":\"waiting\"}";
	struct hook_meaning meaning;

	assert_true(hook_understand("PreToolUse", tool, strlen(tool), &meaning));
	assert_int_equal(meaning.state, MAESTRO__AGENT_STATE__AGENT_WORKING);
	assert_string_equal(meaning.message, "Edit");
	assert_string_equal(meaning.file, "src/a.c");
	hook_meaning_deinit(&meaning);
	assert_true(hook_understand("PermissionRequest", tool, strlen(tool), &meaning));
	assert_int_equal(meaning.state, MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT);
	assert_string_equal(meaning.message, "asks to use Edit");
	hook_meaning_deinit(&meaning);
	assert_false(hook_understand("Notification", reminder, strlen(reminder), &meaning));
	assert_true(hook_understand("Stop", "{broken", 7, &meaning));
	assert_int_equal(meaning.state, MAESTRO__AGENT_STATE__AGENT_IDLE);
	assert_true(hook_understand("Stop", NULL, 0, &meaning));
	assert_false(hook_understand("SomethingNew", NULL, 0, &meaning));
	assert_true(hook_understand("PreToolUse", "[1,2]", 5, &meaning));
	assert_null(meaning.message);
}

/* --- MCP: conversations ------------------------------------------------------------------------------------------- */

struct heard {
	struct mcp_report report;
	char message[64];
	unsigned int count;
};

static int hear(void *userdata, const struct mcp_report *report, struct error *error)
{
	struct heard *heard = userdata;

	if (report->message && strcmp(report->message, "refuse me") == 0)
		return error_set(error, -EIO, "the worker is away");
	heard->report = *report;
	snprintf(heard->message, sizeof(heard->message), "%s", report->message ? report->message : "");
	heard->count++;
	return 0;
}

/* Every pair of lines: what is sent, and what must be in the answer ("" none; several parts are apart by a tab). A
 * line of the file that begins with # says what it is about. */
static void converse(const char *name)
{
	_cleanup_free_ char *path = io_join(getenv("MAESTRO_GOLDEN"), name), *text = NULL;
	struct heard heard = { 0 };
	struct mcp mcp = { .report = hear, .userdata = &heard };
	char *at, *line, *sent = NULL;

	assert_int_equal(io_read_file(path, 1 << 20, &text, NULL), 0);
	for (at = text; (line = strsep(&at, "\n"));) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;

		if (line[0] == '#' || (!*line && !sent))
			continue;
		if (!sent) {
			sent = line;
			continue;
		}
		assert_int_equal(mcp_handle(&mcp, sent, strlen(sent), &out), 0);
		if (strcmp(buf_text(&out), line) != 0)
			fail_msg("%s\n  sent     %s\n  expected %s\n  got      %s", name, sent, line, buf_text(&out));
		sent = NULL;
	}
	assert_null(sent);
	assert_int_equal(heard.count, 2);
}

static void test_mcp_handshake_era(void **state)
{
	converse("mcp-2025-11-25.txt");
}

static void test_mcp_stateless_era(void **state)
{
	converse("mcp-2026-07-28.txt");
}

static void test_mcp_report(void **state)
{
	const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"name\":\"report_status\","
			    "\"arguments\":{\"state\":\"working\",\"message\":\"halb \\u00fcber\",\"progress\":50.7}}}";
	struct heard heard = { 0 };
	struct mcp mcp = { .report = hear, .userdata = &heard, .initialized = true };
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	assert_int_equal(mcp_handle(&mcp, call, strlen(call), &out), 0);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.report.state, MAESTRO__AGENT_STATE__AGENT_WORKING);
	assert_string_equal(heard.message, "halb über");
	assert_true(heard.report.has_progress);
	assert_int_equal(heard.report.progress, 50);
}

/* --- adapters ----------------------------------------------------------------------------------------------------- */

static struct adapter_set *shipped(void)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct adapter_set *set;

	if (adapter_load_dir(getenv("MAESTRO_ADAPTERS"), &set, &error))
		fail_msg("%s", error_text(&error, 0));
	return set;
}

static struct adapter_params params_of(const char *prompt)
{
	return (struct adapter_params){ .prompt = prompt, .prompt_len = strlen(prompt), .session_dir = "/s", .worktree = "/w",
		.project_dir = "/p", .branch = "maestro/1-x", .agent_program = "/opt/it's \"here\"/maestro-agent", .socket = "/k",
		.task = 1, .attempt = 2 };
}

static void join(char *const *words, struct buf *out)
{
	for (; *words; words++)
		assert_int_equal(buf_printf(out, "[%s]", *words), 0);
}

static const struct launch_file *find_launch_file(const struct launch *launch, const char *path)
{
	for (size_t i = 0; i < launch->file_count; i++)
		if (strcmp(launch->files[i].path, path) == 0)
			return &launch->files[i];
	return NULL;
}

static void test_adapters_shipped(void **state)
{
	static const char *const names[] = { "claude", "codex", "command", "copilot", "gemini", "opencode", "shell" };
	_cleanup_(adapter_set_free_p) struct adapter_set *set = shipped();
	struct adapter_params params = params_of("do {it} \"now\"");

	params.model = "best";
	assert_int_equal(adapter_count(set), ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(error_deinit) struct error error = ERROR_NULL;
		_cleanup_(launch_deinit) struct launch launch = LAUNCH_NULL;

		assert_string_equal(adapter_name(adapter_at(set, i)), names[i]);
		if (adapter_prepare(adapter_at(set, i), &params, &launch, &error))
			fail_msg("%s: %s", names[i], error_text(&error, 0));
		assert_non_null(find_launch_file(&launch, "/s/prompt"));
		/* Every file is what its program can read. */
		for (size_t f = 0; f < launch.file_count; f++)
			if (strstr(launch.files[f].path, ".json")) {
				json_t *json = json_loadb(launch.files[f].data, launch.files[f].len, 0, NULL);

				assert_non_null(json);
				json_decref(json);
			}
	}
	assert_null(adapter_find(set, "vi"));
	assert_false(adapter_is_agent(adapter_find(set, "command")));
	assert_false(adapter_is_interactive(adapter_find(set, "command")));
	assert_true(adapter_is_interactive(adapter_find(set, "claude")));
}

static void test_adapter_claude(void **state)
{
	_cleanup_(adapter_set_free_p) struct adapter_set *set = shipped();
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(launch_deinit) struct launch launch = LAUNCH_NULL;
	_cleanup_(buf_deinit) struct buf argv = BUF_NULL;
	struct adapter_params params = params_of("-fix {model} it");

	params.permission = "plan";
	assert_int_equal(adapter_prepare(adapter_find(set, "claude"), &params, &launch, &error), 0);
	join(launch.argv, &argv);
	assert_string_equal(buf_text(&argv), "[claude][--permission-mode][plan][--mcp-config][/s/mcp.json]"
		"[--allowedTools][mcp__maestro__report_status][--settings][/s/claude-settings.json][--][-fix {model} it]");
	assert_non_null(strstr(find_launch_file(&launch, "/s/mcp.json")->data, "\"/opt/it's \\\"here\\\"/maestro-agent\""));
	assert_true(strncmp(launch.env[0], "PATH=/opt/it's \"here\":", 22) == 0);
	launch_deinit(&launch);
	params.permission = "yolo";
	assert_int_equal(adapter_prepare(adapter_find(set, "claude"), &params, &launch, &error), ADAPTER_E_INVALID);
	assert_string_equal(error.why, "Claude Code has no permission mode \"yolo\"");
	assert_string_equal(error.hint, "it has: default, plan, accept-edits, bypass");
}

static void test_adapter_command(void **state)
{
	_cleanup_(adapter_set_free_p) struct adapter_set *set = shipped();
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(launch_deinit) struct launch launch = LAUNCH_NULL;
	_cleanup_(buf_deinit) struct buf argv = BUF_NULL;
	struct adapter_params params = params_of("echo hi; exit 3");

	assert_int_equal(adapter_prepare(adapter_find(set, "command"), &params, &launch, &error), 0);
	join(launch.argv, &argv);
	assert_string_equal(buf_text(&argv), "[sh][/s/prompt]");
	assert_int_equal(launch.files[0].mode, 0600);
	assert_string_equal(launch.files[0].data, "echo hi; exit 3");
	launch_deinit(&launch);
	params.prompt = NULL;
	assert_int_equal(adapter_prepare(adapter_find(set, "command"), &params, &launch, &error), ADAPTER_E_INVALID);
	assert_string_equal(error.why, "Command needs a prompt");
	params.prompt = "a\0b";
	params.prompt_len = 3;
	assert_int_equal(adapter_prepare(adapter_find(set, "command"), &params, &launch, &error), ADAPTER_E_INVALID);
}

static void test_adapter_long_prompt(void **state)
{
	_cleanup_(adapter_set_free_p) struct adapter_set *set = shipped();
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(launch_deinit) struct launch launch = LAUNCH_NULL;
	_cleanup_free_ char *prompt = calloc(LIMIT_PROMPT_BYTES + 2, 1);
	struct adapter_params params;
	size_t last = 0;

	memset(prompt, 'x', LIMIT_PROMPT_ARG_BYTES + 1);
	params = params_of(prompt);
	assert_int_equal(adapter_prepare(adapter_find(set, "claude"), &params, &launch, &error), 0);
	while (launch.argv[last + 1])
		last++;
	assert_string_equal(launch.argv[last], "Your task is in the file /s/prompt. Read all of it first, then do what it says.");
	assert_int_equal(find_launch_file(&launch, "/s/prompt")->len, LIMIT_PROMPT_ARG_BYTES + 1);
	launch_deinit(&launch);
	memset(prompt, 'x', LIMIT_PROMPT_BYTES + 1);
	params = params_of(prompt);
	assert_int_equal(adapter_prepare(adapter_find(set, "claude"), &params, &launch, &error), ADAPTER_E_INVALID);
}

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir;

	assert_true(asprintf(&dir, "%s/maestro-agents-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int remove_dir(void **state)
{
	assert_int_equal(io_remove_tree(*state), 0);
	free(*state);
	return 0;
}

static void test_adapter_broken(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "program = x\narguments { words = {\"{promt}\"} }", "there is no placeholder {promt}" },
		{ "program = x\narguments { words = {\"a\"} }", "prompt = argument, but the arguments do not hold it" },
		{ "program = x\nprompt = none", "program and arguments are needed" },
		{ "program = x\nprompt = guess\narguments { words = {} }", "prompt = guess: argument, file, paste or none" },
		{ "programme = x", "no such option 'programme'" },
		{ "program = x\nprompt = none\narguments { words = {} }\nfile \"../up\" { text = a }", "a name inside the directory" },
		{ "program = {", "" },
	};
	_cleanup_free_ char *path = io_join(*state, "odd.conf");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_deinit) struct error error = ERROR_NULL;
		struct adapter_set *set;

		assert_int_equal(io_replace_file(path, cases[i].text, strlen(cases[i].text), 0600), 0);
		assert_int_equal(adapter_load_dir(*state, &set, &error), ADAPTER_E_INVALID);
		if (!strstr(error.why, cases[i].why))
			fail_msg("%s", error.why);
	}
	assert_int_equal(adapter_load_dir("/no/such/place", &(struct adapter_set *){ NULL }, NULL), ADAPTER_E_NOT_FOUND);
}

static void test_adapter_detect(void **state)
{
	_cleanup_(adapter_set_free_p) struct adapter_set *set = shipped();
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *path = io_join(*state, "claude"), *found = NULL;

	assert_int_equal(adapter_detect(adapter_find(set, "claude"), *state, &found, &error), ADAPTER_E_NOT_FOUND);
	assert_string_equal(error.why, "Claude Code is not installed here: no claude on PATH");
	assert_int_equal(io_replace_file(path, "#!", 2, 0600), 0);
	assert_int_equal(adapter_detect(adapter_find(set, "claude"), *state, &found, &error), ADAPTER_E_NOT_FOUND);
	assert_int_equal(io_replace_file(path, "#!", 2, 0700), 0);
	assert_int_equal(adapter_detect(adapter_find(set, "claude"), *state, &found, &error), 0);
	assert_string_equal(found, path);
	assert_int_equal(adapter_detect(adapter_find(set, "shell"), NULL, NULL, &error), 0);
}

/* --- until when --------------------------------------------------------------------------------------------------- */

#define NOON_MS INT64_C(1700049600000) /* 2023-11-15T12:00:00Z */
#define MINUTES(n) ((uint64_t)(n) * 60 * 1000)

static const struct {
	const char *text;
	int r;
	uint64_t ms;
} times[] = {
	{ "2023-11-15T12:30:00Z", 0, MINUTES(30) }, { "2023-11-15T12:30:00.250Z, they say", 0, MINUTES(30) },
	{ "2023-11-15T14:30:00+02:00", 0, MINUTES(30) }, { "2023-11-15 12:01", 0, MINUTES(1) },
	{ "12:05", 0, MINUTES(5) }, { "3pm", 0, MINUTES(180) }, { " 3:30 PM (UTC)", 0, MINUTES(210) },
	{ "12am", 0, MINUTES(720) }, { "11:59", 0, MINUTES(24 * 60 - 1) },
	{ "2h 30m", 0, MINUTES(150) }, { "3 days 4 hours.", 0, MINUTES(3 * 1440 + 240) }, { "1 hour, and 5 minutes", 0, MINUTES(65) },
	{ "90s", 0, 90000 }, { "2023-11-15T11:59:00Z", -ERANGE, 0 }, { "9 days", -ERANGE, 0 }, { "2024-11-15T12:00:00Z", -ERANGE, 0 },
	{ "soon", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "3", -EINVAL, 0 }, { "25:00", -EINVAL, 0 }, { "13pm", -EINVAL, 0 },
	{ "2023-13-15T12:00:00Z", -EINVAL, 0 }, { "5 apples", -EINVAL, 0 },
};

static void test_until(void **state)
{
	static const char *const marks[] = { "resets ", "try again in ", NULL };
	uint64_t ms;

	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		ms = 0;
		if (until_parse(times[i].text, strlen(times[i].text), NOON_MS, &ms) != times[i].r || ms != times[i].ms)
			fail_msg("'%s': %llu ms", times[i].text, (unsigned long long)ms);
	}
#define FIND(text) until_find(text, strlen(text), marks, NOON_MS, &ms)
	assert_int_equal(FIND("usage limit reached, resets 3pm"), 0);
	assert_int_equal(ms, MINUTES(180));
	assert_int_equal(FIND("it resets when it resets.\nresets 1pm\ntry again in 2 minutes"), 0);
	assert_int_equal(ms, MINUTES(2));
	assert_int_equal(FIND("resets 11am"), -ENODATA); /* an hour ago: the line still stands there */
	assert_int_equal(FIND("nothing of it"), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_fusion),
		cmocka_unit_test(test_status_message),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_mcp_handshake_era),
		cmocka_unit_test(test_mcp_stateless_era),
		cmocka_unit_test(test_mcp_report),
		cmocka_unit_test(test_until),
		cmocka_unit_test(test_adapters_shipped),
		cmocka_unit_test(test_adapter_claude),
		cmocka_unit_test(test_adapter_command),
		cmocka_unit_test(test_adapter_long_prompt),
		cmocka_unit_test_setup_teardown(test_adapter_broken, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_adapter_detect, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
