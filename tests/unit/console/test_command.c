#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "console/cli/command.h"
#include "proto/base/io.h"
#include "tests/unit/console/fake.h"

/* A command with a connection to the fake. */
struct fixture {
	struct fake fake;
	struct cli cli;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_start(&f->fake);
	setenv("MAESTRO_HOME", f->fake.directory, 1);
	assert_int_equal(cli_init(&f->cli, NULL), 0);
	sd_event_unref(f->cli.event); /* both ends on one loop */
	f->cli.event = sd_event_ref(f->fake.event);
	f->cli.coordinator = f->fake.address;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cli_deinit(&f->cli);
	fake_stop(&f->fake);
	free(f);
	return 0;
}

#define MAX_WORDS 16

/* Runs "ls --json" and the like; *ret_output (may be NULL) is what it printed. */
static int run(struct fixture *f, const char *line, char **ret_output, struct error *error)
{
	char words[512], *argv[MAX_WORDS + 1] = { words };
	const struct command *command;
	int argc = 0, used, saved, r;
	FILE *out = tmpfile();

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word && argc < MAX_WORDS; word = strtok(NULL, " "))
		argv[argc++] = word;
	command = command_find((const char *const *)argv, argc, &used);
	assert_non_null(command);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	r = command_run(command, &f->cli, argc - used + 1, argv + used - 1, error);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	if (ret_output) {
		char buffer[65536];
		size_t n;

		rewind(out);
		n = fread(buffer, 1, sizeof(buffer) - 1, out);
		buffer[n] = 0;
		*ret_output = strdup(buffer);
	}
	fclose(out);
	return r;
}

static void test_every_command_is_whole(void **state)
{
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *command = commands[i];
		char program[64];

		snprintf(program, sizeof(program), "maestro %s", command->name);
		assert_string_equal(command->table.program, program);
		assert_non_null(command->brief);
		assert_non_null(command->table.usage);
		assert_non_null(command->table.summary);
		assert_true(command->values_size >= sizeof(struct cli_common));
		assert_string_equal(command->table.specs[command->table.count - 1].name, "json");
	}
}

static void test_find(void **state)
{
	const char *add[] = { "project", "add", "x" }, *ls[] = { "ls", "--json" }, *none[] = { "project" };
	int used;

	assert_string_equal(command_find(add, 3, &used)->name, "project add");
	assert_int_equal(used, 2);
	assert_string_equal(command_find(ls, 2, &used)->name, "ls");
	assert_int_equal(used, 1);
	assert_null(command_find(none, 1, &used));
}

static void test_unknown(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const char *typo[] = { "wiat" }, *second[] = { "project", "lss" }, *alone[] = { "worker" }, *odd[] = { "xyzzy" };

	assert_int_equal(command_unknown(typo, 1, &error), CLIENT_E_USAGE);
	assert_non_null(strstr(error.hint, "'wait'"));
	assert_int_equal(command_unknown(second, 2, &error), CLIENT_E_USAGE);
	assert_non_null(strstr(error.hint, "project ls"));
	assert_int_equal(command_unknown(alone, 1, &error), CLIENT_E_USAGE);
	assert_non_null(strstr(error.why, "cordon"));
	assert_int_equal(command_unknown(odd, 1, &error), CLIENT_E_USAGE);
	assert_non_null(strstr(error.hint, "--help"));
}

/* All of these are refused before anything is sent. */
static void test_usage(void **state)
{
	static const struct {
		const char *line, *part;
	} table[] = {
		{ "run", "missing" }, { "run a b", "too many" }, { "run --titel x y", "title" },
		{ "run -l x y", "KEY=VALUE" }, { "run --size 10 y", "COLSxROWS" }, { "run -n 99 y", "out of range" },
		{ "run --priority abc y", "priority" }, { "run --after abc y", "abc" }, { "run -p Bad y", "name" },
		{ "run --base -x y", "branch" }, { "run --max-time soon y", "duration" }, { "ls --state runing", "running" },
		{ "show abc", "abc" }, { "show 0", "0" }, { "show -1", "-1" }, { "wait 1 --state no", "no" },
		{ "stop", "missing" }, { "send 1", "TEXT" }, { "merge 1 --squash --ff-only", "exclude" },
		{ "token create", "role" }, { "token create --role boss", "boss" }, { "key revoke xyz", "xyz" },
		{ "project add Bad_Name /x", "name" }, { "events --since x", "since" }, { "attach x", "x" },
		{ "join [::1 --token-file /dev/null", "::1" }, { "worker cordon -- --x", "--x" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(error_deinit) struct error error = ERROR_NULL;
		int r = run(f, table[i].line, NULL, &error);

		if (r != CLIENT_E_USAGE)
			fail_msg("'%s' gives %d: %s", table[i].line, r, error_text(&error, r));
		if (!strstr(error.why, table[i].part) && !(error.hint && strstr(error.hint, table[i].part)))
			fail_msg("'%s' does not tell of '%s': %s", table[i].line, table[i].part, error.why);
	}
	assert_int_equal(f->fake.asked, 0);
}

static void fill_task(Maestro__Task *task, uint64_t id, const char *title)
{
	maestro__task__init(task);
	task->id = id;
	task->has_title = true;
	task->title = bytes_of(title);
	task->has_state = true;
	task->state = MAESTRO__TASK_STATE__TASK_REVIEW;
	task->project = (char *)(uintptr_t)"repo";
}

static void answer_tasks(struct fake *fake, const Maestro__Envelope *request, Maestro__Envelope *reply)
{
	static Maestro__Task one, two, *tasks[] = { &one, &two };
	static Maestro__TaskList list;
	static Maestro__Submitted submitted;
	static Maestro__ProjectList projects;
	static Maestro__Done done;
	static uint64_t ids[] = { 7, 8 };

	fill_task(&one, 7, "evil\033[31m");
	fill_task(&two, 8, "other");
	maestro__task_list__init(&list);
	maestro__submitted__init(&submitted);
	maestro__project_list__init(&projects);
	maestro__done__init(&done);
	list.tasks = tasks;
	list.n_tasks = 2;
	switch (request->body_case) {
	case MAESTRO__ENVELOPE__BODY_LIST_TASKS:
		if (request->list_tasks->n_tasks) {
			list.n_tasks = request->list_tasks->tasks[0] == 7;
		}
		reply->body_case = MAESTRO__ENVELOPE__BODY_TASK_LIST;
		reply->task_list = &list;
		break;
	case MAESTRO__ENVELOPE__BODY_SUBMIT:
		submitted.n_tasks = 2;
		submitted.tasks = ids;
		reply->body_case = MAESTRO__ENVELOPE__BODY_SUBMITTED;
		reply->submitted = &submitted;
		break;
	case MAESTRO__ENVELOPE__BODY_LIST_PROJECTS:
		reply->body_case = MAESTRO__ENVELOPE__BODY_PROJECT_LIST;
		reply->project_list = &projects;
		break;
	default:
		reply->body_case = MAESTRO__ENVELOPE__BODY_DONE;
		reply->done = &done;
	}
}

static void test_ls(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *people = NULL, *machines = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	json_t *json;

	f->fake.answer = answer_tasks;
	assert_int_equal(run(f, "ls", &people, &error), 0);
	assert_non_null(strstr(people, "review"));
	assert_null(strchr(people, '\033'));
	assert_int_equal(run(f, "ls --json --state review", &machines, &error), 0);
	assert_int_equal(f->fake.last->list_tasks->n_states, 1);
	json = json_loads(machines, 0, NULL);
	assert_int_equal(json_array_size(json), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json, 0), "title")), "evil\033[31m");
	json_decref(json);
}

static void test_show_of_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_tasks;
	assert_int_equal(run(f, "show 99", NULL, &error), CLIENT_E_NOT_FOUND);
	assert_non_null(strstr(error.why, "no such task"));
}

static void test_run_fills_the_submit(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *output = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const Maestro__Submit *submit;

	f->fake.answer = answer_tasks;
	assert_int_equal(run(f, "run -p repo -a command -a shell -n 3 -l gpu=yes --after 4 --priority -2 --max-time 2m "
			       "--size 100x30 --request-id abc", &output, &error), CLIENT_E_USAGE); /* the prompt is missing */
	free(take(output));
	error_deinit(&error);
	assert_int_equal(run(f, "run -p repo -a command -n 3 -l gpu=yes --priority -2 --max-time 2m --size 100x30 prompt",
		&output, &error), 0);
	assert_string_equal(output, "7\n8\n");
	submit = f->fake.last->submit;
	assert_string_equal(submit->project, "repo");
	assert_int_equal(submit->copies, 3);
	assert_string_equal(submit->labels[0]->key, "gpu");
	assert_int_equal(submit->priority, -2);
	assert_int_equal(submit->max_time_ms, 120000);
	assert_int_equal(submit->cols, 100);
	assert_int_equal(submit->prompt.len, 6);
	assert_int_equal(submit->request_id.len, 32); /* made here: safe to repeat */
}

static void test_run_survives_a_lost_reply(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *output = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_tasks;
	f->fake.drop = 1;
	assert_int_equal(run(f, "run -p repo --request-id same prompt", &output, &error), 0);
	assert_string_equal(output, "7\n8\n");
	assert_int_equal(f->fake.asked, 2);
	assert_memory_equal(f->fake.last->submit->request_id.data, "same", 4);
}

static void test_wait_is_done_at_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *output = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_tasks;
	assert_int_equal(run(f, "wait 7", &output, &error), 0);
	assert_string_equal(output, "7 review\n");
}

static void test_act(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *output = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	f->fake.answer = answer_tasks;
	assert_int_equal(run(f, "rm --force --json 7", &output, &error), 0);
	assert_int_equal(f->fake.last->act_on_task->action, MAESTRO__TASK_ACTION__ACT_REMOVE);
	assert_true(f->fake.last->act_on_task->force);
	assert_non_null(strstr(output, "\"removed\": true"));
}

static void test_limit_of_a_prompt(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL, big = BUF_NULL;

	for (size_t i = 0; i <= 256 * 1024; i++)
		buf_append_byte(&big, 'x');
	assert_int_equal(cli_read_text(buf_text(&big), "the prompt", 256 * 1024, &text, &error), CLIENT_E_USAGE);
	assert_non_null(strstr(error.why, "256 KiB"));
	big.data[200 * 1024] = 0;
	buf_clear(&text);
	assert_int_equal(cli_read_text(buf_text(&big), "the prompt", 256 * 1024, &text, &error), 0);
	assert_int_equal(text.len, 200 * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_command_is_whole), cmocka_unit_test(test_find), cmocka_unit_test(test_unknown),
		TEST(test_usage), TEST(test_ls), TEST(test_show_of_nothing), TEST(test_run_fills_the_submit),
		TEST(test_run_survives_a_lost_reply), TEST(test_wait_is_done_at_once), TEST(test_act),
		cmocka_unit_test(test_limit_of_a_prompt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
