/* The store's promises, and the core's answers to people. What happens between core and workers: tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "coordinator/core/core.h"
#include "coordinator/store/store.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind

/* --- store --------------------------------------------------------------------------------------------------- */

static struct store *open_memory(void)
{
	struct store *store = NULL;

	assert_int_equal(store_open(&store, ":memory:", NULL), 0);
	return store;
}

static void put_audit(struct store *store, const char *text)
{
	struct audit_row row = { .time_ms = 1, .actor = (char *)"me", .act = (char *)"act", .text = (char *)text };

	assert_int_equal(store_put(store, ROW_AUDIT, &row, NULL), 0);
}

static void test_audit_chain(void **state)
{
	_cleanup_(store_free_p) struct store *store = open_memory();
	struct audit_row forged = { .number = 2, .actor = (char *)"me", .act = (char *)"act" };
	uint64_t bad = 99;

	assert_int_equal(store_begin(store, NULL), 0);
	put_audit(store, "1");
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(store_begin(store, NULL), 0);
	put_audit(store, "never");
	store_rollback(store);
	assert_int_equal(store_begin(store, NULL), 0);
	put_audit(store, "2");
	put_audit(store, "3");
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(store_verify_audit(store, &bad, NULL), 0);
	assert_int_equal(bad, 0);
	assert_int_equal(store_begin(store, NULL), 0);
	assert_int_equal(store_drop(store, ROW_AUDIT, &forged, NULL), 0);
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(store_verify_audit(store, &bad, NULL), 0);
	assert_int_equal(bad, 2);
}

static void test_foreign_file(void **state)
{
	char path[] = "/tmp/mt-store-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct store *store = NULL;

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, "this is a letter, and a long one, to somebody else entirely\n", 59), 0);
	assert_int_equal(store_open(&store, path, &error), STORE_E_FOREIGN);
	assert_non_null(strstr(error_text(&error, 0), "not a database"));
	unlink(path);
}

/* --- core ---------------------------------------------------------------------------------------------------- */

struct world {
	struct core *core;
	struct core_effects effects;
};

static void setup_world(struct world *world)
{
	struct core_config config = core_config_default;
	struct core_event start = { .type = CORE_EVENT_START };
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD };
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;

	*world = (struct world){ .effects = CORE_EFFECTS_NULL };
	assert_int_equal(core_new(&world->core, &config), 0);
	assert_int_equal(core_handle(world->core, &start, 1, &world->effects), 0);
	add.name = (char *)"p";
	add.url = bytes_of("h:p");
	add.base_branch = (char *)"main";
	event.project_add = &add;
	assert_int_equal(core_handle(world->core, &event, 1, &world->effects), 0);
}

static void world_deinit(struct world *world)
{
	core_effects_deinit(&world->effects);
	core_free(world->core);
}

static const Maestro__Envelope *answer_to(struct world *world, struct core_event *event)
{
	event->client = (struct core_client){ 1, 1, "test" };
	core_effects_clear(&world->effects);
	assert_int_equal(core_handle(world->core, event, 2, &world->effects), 0);
	for (size_t i = 0; i < world->effects.count; i++)
		if (world->effects.items[i].type == CORE_EFFECT_REPLY)
			return world->effects.items[i].envelope;
	return NULL;
}

static const Maestro__Envelope *submit(struct world *world, const char *request, const char *prompt, size_t len)
{
	struct core_event event = { .type = CORE_EVENT_SUBMIT };
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	char *agent = (char *)"command";

	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)prompt };
	submit.has_request_id = request != NULL;
	submit.request_id = bytes_of(request);
	event.submit = &submit;
	return answer_to(world, &event);
}

static void test_submit_is_repeatable(void **state)
{
	_cleanup_(world_deinit) struct world world;
	const Maestro__Envelope *answer;

	setup_world(&world);
	answer = submit(&world, "r", "true", 4);
	assert_int_equal(answer->body_case, BODY(SUBMITTED));
	assert_int_equal(answer->submitted->tasks[0], 1);
	answer = submit(&world, "r", "true", 4);
	assert_int_equal(answer->submitted->tasks[0], 1);
	answer = submit(&world, "r", "else", 4);
	assert_int_equal(answer->body_case, BODY(FAILURE));
	assert_int_equal(submit(&world, NULL, "true", 4)->submitted->tasks[0], 2);
}

static void test_prompt_limit(void **state)
{
	_cleanup_(world_deinit) struct world world;
	_cleanup_free_ char *prompt = malloc(LIMIT_PROMPT_BYTES + 1);
	const Maestro__Envelope *answer;

	setup_world(&world);
	assert_non_null(prompt);
	memset(prompt, 'x', LIMIT_PROMPT_BYTES + 1);
	assert_int_equal(submit(&world, NULL, prompt, LIMIT_PROMPT_BYTES)->body_case, BODY(SUBMITTED));
	answer = submit(&world, NULL, prompt, LIMIT_PROMPT_BYTES + 1);
	assert_int_equal(answer->failure->code, MAESTRO__FAILURE_CODE__FAILURE_USAGE);
	assert_non_null(memmem(answer->failure->why.data, answer->failure->why.len, "256 KiB", 7));
}

static void test_stop_queued_and_retry(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_event event = { .type = CORE_EVENT_ACT };
	Maestro__ActOnTask act = MAESTRO__ACT_ON_TASK__INIT;

	setup_world(&world);
	submit(&world, NULL, "true", 4);
	act.task = 1;
	act.action = MAESTRO__TASK_ACTION__ACT_REJECT;
	event.act = &act;
	assert_int_equal(answer_to(&world, &event)->body_case, BODY(FAILURE));
	act.action = MAESTRO__TASK_ACTION__ACT_STOP;
	assert_int_equal(answer_to(&world, &event)->body_case, BODY(DONE));
	assert_int_equal(core_task(world.core, 1)->state, MAESTRO__TASK_STATE__TASK_CANCELLED);
	act.action = MAESTRO__TASK_ACTION__ACT_RETRY;
	assert_int_equal(answer_to(&world, &event)->body_case, BODY(DONE));
	assert_int_equal(core_task(world.core, 1)->state, MAESTRO__TASK_STATE__TASK_QUEUED);
	act.task = 7;
	assert_int_equal(answer_to(&world, &event)->failure->code, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_audit_chain),
		cmocka_unit_test(test_foreign_file),
		cmocka_unit_test(test_submit_is_repeatable),
		cmocka_unit_test(test_prompt_limit),
		cmocka_unit_test(test_stop_queued_and_retry),
	};

	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
