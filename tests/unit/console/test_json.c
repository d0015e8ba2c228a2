#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "console/client/json.h"
#include "proto/wire/message.h"

static void check(json_t *json, const char *expected)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	assert_string_equal(text, expected);
	free(text);
	json_decref(json);
}

static void test_empty_task_has_every_key(void **state)
{
	Maestro__Task task = MAESTRO__TASK__INIT;

	task.id = 3;
	check(json_of_task(&task, 0),
		"{\"id\":3,\"title\":null,\"project\":null,\"agent\":null,\"group\":null,\"state\":null,\"reason\":null,"
		"\"attempt\":null,\"worker\":null,\"branch\":null,\"base\":null,\"commit\":null,\"labels\":{},\"priority\":0,"
		"\"after\":[],\"waiting_for\":null,\"status\":null,\"session\":\"none\",\"exit_code\":null,\"created\":null,"
		"\"started\":null,\"ended\":null,\"attempts\":[]}");
}

static void test_full_task(void **state)
{
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__Attempt attempt = MAESTRO__ATTEMPT__INIT, *attempts[] = { &attempt };
	Maestro__Task task = MAESTRO__TASK__INIT;
	uint64_t after[] = { 1, 2 };
	json_t *json, *part;

	label.key = (char *)(uintptr_t)"gpu";
	label.value = (char *)(uintptr_t)"yes";
	status.state = MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT;
	status.has_message = true;
	status.message = bytes_of("may I?");
	status.has_progress = true;
	status.progress = 40;
	status.has_age_ms = true;
	status.age_ms = 1000;
	status.has_source = true;
	status.source = MAESTRO__STATUS_SOURCE__SOURCE_MCP;
	attempt.attempt = 1;
	attempt.has_exit_code = true;
	attempt.exit_code = -1;
	task.id = 3;
	task.has_state = true;
	task.state = MAESTRO__TASK_STATE__TASK_RUNNING;
	task.n_labels = 1;
	task.labels = labels;
	task.n_after = 2;
	task.after = after;
	task.status = &status;
	task.n_attempts = 1;
	task.attempts = attempts;
	task.has_created_ms = true;
	task.created_ms = 1700000000123;
	json = json_of_task(&task, 500);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "running");
	assert_string_equal(json_string_value(json_object_get(json, "created")), "2023-11-14T22:13:20.123Z");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "labels"), "gpu")), "yes");
	part = json_object_get(json, "status");
	assert_int_equal(json_integer_value(json_object_get(part, "age_ms")), 1500);
	assert_string_equal(json_string_value(json_object_get(part, "state")), "needs_input");
	assert_true(json_is_null(json_object_get(part, "file")));
	part = json_array_get(json_object_get(json, "attempts"), 0);
	assert_int_equal(json_integer_value(json_object_get(part, "exit_code")), -1);
	assert_int_equal(json_object_size(part), 9);
	json_decref(json);
}

static void test_worker(void **state)
{
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__Worker worker = MAESTRO__WORKER__INIT;

	agent.name = (char *)(uintptr_t)"shell";
	worker.name = (char *)(uintptr_t)"w1";
	worker.has_state = true;
	worker.state = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	worker.n_agents = 1;
	worker.agents = agents;
	worker.has_load_percent = true;
	worker.load_percent = 150;
	check(json_of_worker(&worker),
		"{\"name\":\"w1\",\"state\":\"suspect\",\"reason\":null,\"cordoned\":false,\"draining\":false,\"slots\":null,\"used\":null,"
		"\"idle\":null,\"labels\":{},\"agents\":[{\"name\":\"shell\",\"version\":null,\"limited_until\":null,\"logged_in\":null}],\"load\":1.5,"
		"\"memory_free_bytes\":null,\"disk_free_bytes\":null,\"version\":null}");
}

static void test_project_event_key(void **state)
{
	Maestro__Project project = MAESTRO__PROJECT__INIT;
	Maestro__Event event = MAESTRO__EVENT__INIT;
	Maestro__KeyInfo key = MAESTRO__KEY_INFO__INIT;

	project.name = (char *)(uintptr_t)"p";
	check(json_of_project(&project), "{\"name\":\"p\",\"url\":null,\"base\":null,\"needs_git\":false,\"reason\":null}");
	event.seq = 9;
	event.has_data = true;
	event.data = bytes_of("{\"a\":1}");
	event.kind = (char *)(uintptr_t)"task.state";
	check(json_of_event(&event), "{\"seq\":9,\"time\":null,\"kind\":\"task.state\",\"task\":null,\"attempt\":null,"
		"\"worker\":null,\"actor\":null,\"text\":null,\"data\":{\"a\":1}}");
	event.data = bytes_of("{broken");
	check(json_of_event(&event), "{\"seq\":9,\"time\":null,\"kind\":\"task.state\",\"task\":null,\"attempt\":null,"
		"\"worker\":null,\"actor\":null,\"text\":null,\"data\":\"{broken\"}");
	key.id = (char *)(uintptr_t)"0123456789abcdef";
	key.role = MAESTRO__ROLE__ROLE_WORKER;
	check(json_of_key(&key), "{\"id\":\"0123456789abcdef\",\"role\":\"worker\",\"name\":null,\"created\":null,\"revoked\":false}");
}

static void test_diff(void **state)
{
	Maestro__GitDiffFile file = MAESTRO__GIT_DIFF_FILE__INIT, *files[] = { &file };
	Maestro__GitDiffed diff = MAESTRO__GIT_DIFFED__INIT;

	file.path = bytes_of("new.txt");
	file.status = MAESTRO__GIT_FILE_STATUS__FILE_ADDED;
	file.added = 1;
	diff.n_files = 1;
	diff.files = files;
	diff.added = 1;
	check(json_of_diff(&diff), "{\"files\":[{\"path\":\"new.txt\",\"old_path\":null,\"status\":\"added\",\"added\":1,"
		"\"removed\":0,\"binary\":false}],\"added\":1,\"removed\":0,\"truncated\":false,\"base_commit\":null,\"commit\":null}");
}

static void test_broken_utf8(void **state)
{
	check(json_of_bytes("a\xff" "b", 3), "\"a\xef\xbf\xbd" "b\"");
	check(json_of_bytes("", 0), "\"\"");
	check(json_of_bytes("\0x", 2), "\"\\u0000x\"");
}

static void test_question(void **state)
{
	Maestro__QuestionChoice choice = MAESTRO__QUESTION_CHOICE__INIT, *choices[] = { &choice };
	Maestro__Question question = MAESTRO__QUESTION__INIT;
	json_t *json;

	question.id = 3;
	question.kind = (char *)"restored";
	question.n_choices = 1;
	question.choices = choices;
	choice.name = (char *)"accept";
	json = json_of_question(&question);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), 11);
	assert_true(json_is_null(json_object_get(json, "answer")));
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json, "choices"), 0), "name")), "accept");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_task_has_every_key), cmocka_unit_test(test_full_task), cmocka_unit_test(test_worker), cmocka_unit_test(test_question),
		cmocka_unit_test(test_project_event_key), cmocka_unit_test(test_diff), cmocka_unit_test(test_broken_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
