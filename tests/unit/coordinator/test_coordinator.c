/* The store's promises, and the core's answers to people. What happens between core and workers: tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The first bad row, looked for in pieces. */
static uint64_t verify_all(struct store *store, uint32_t piece)
{
	uint64_t next = 1, bad = 0;

	while (next)
		assert_int_equal(store_verify_audit(store, next, piece, &next, &bad, NULL), 0);
	return bad;
}

static void test_audit_chain(void **state)
{
	_cleanup_(store_free_p) struct store *store = open_memory();
	struct audit_row forged = { .number = 2, .actor = (char *)"me", .act = (char *)"act" };

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
	assert_int_equal(verify_all(store, 100), 0);
	assert_int_equal(verify_all(store, 1), 0);
	assert_int_equal(store_begin(store, NULL), 0);
	assert_int_equal(store_drop(store, ROW_AUDIT, &forged, NULL), 0);
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(verify_all(store, 100), 2);
	assert_int_equal(verify_all(store, 1), 2);
}

/* The place of `text` in the file, which is there once. */
static off_t find_in_file(const char *path, const char *text, char *ret_byte)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0;
	char *found;

	assert_int_equal(io_read_file(path, 1 << 24, &data, &len), 0);
	found = memmem(data, len, text, strlen(text));
	assert_non_null(found);
	assert_null(memmem(found + 1, len - (size_t)(found + 1 - data), text, strlen(text)));
	*ret_byte = *found;
	return found - data;
}

static void flip_in_file(const char *path, const char *text)
{
	char byte;
	off_t at = find_in_file(path, text, &byte);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	byte ^= 1;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static struct store *open_file(const char *path)
{
	struct store *store = NULL;

	assert_int_equal(store_open(&store, path, NULL), 0);
	return store;
}

static void fill_file(const char *path)
{
	_cleanup_(store_free_p) struct store *store = open_file(path);
	char text[32];

	assert_int_equal(store_begin(store, NULL), 0);
	for (int i = 1; i <= 300; i++) {
		snprintf(text, sizeof(text), "row-%03d.", i);
		put_audit(store, text);
	}
	assert_int_equal(store_commit(store, NULL), 0);
}

/* One bit of the file on the disk, and the row that it is in is named. */
static void test_flipped_byte_is_named(void **state)
{
	char dir[] = "/tmp/mt-store-XXXXXX", path[64];
	_cleanup_(store_free_p) struct store *store = NULL;
	_cleanup_(store_health_deinit) struct store_health health = { 0 };

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/db", dir);
	fill_file(path);
	assert_int_equal(store_check(path, &health, NULL), 0);
	assert_int_equal(health.audits, 300);
	assert_int_equal(health.audit_bad, 0);
	flip_in_file(path, "row-217.");
	store = open_file(path);
	assert_int_equal(verify_all(store, 4096), 217);
	assert_int_equal(verify_all(store, 50), 217);
	store_free(take(store));
	assert_int_equal(store_check(path, &health, NULL), 0);
	assert_null(health.damage);
	assert_int_equal(health.audit_bad, 217);
	io_remove_tree(dir);
}

/* A row that vanishes from the end while the coordinator knows better. */
static void test_missing_end_is_seen(void **state)
{
	_cleanup_(store_free_p) struct store *store = open_memory();
	struct audit_row last = { .number = 2 };

	assert_int_equal(store_begin(store, NULL), 0);
	put_audit(store, "1");
	put_audit(store, "2");
	assert_int_equal(store_drop(store, ROW_AUDIT, &last, NULL), 0);
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(verify_all(store, 10), 2);
}

static void put_event(struct store *store, uint64_t seq)
{
	struct event_row row = { .seq = seq, .kind = (char *)"task.state" };

	assert_int_equal(store_put(store, ROW_EVENT, &row, NULL), 0);
}

static int count_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	++*(unsigned int *)userdata;
	row_free(table, row);
	return 0;
}

/* Old events go, a piece at a time; the newest and the audit log stay. */
static void test_old_events_go(void **state)
{
	_cleanup_(store_free_p) struct store *store = open_memory();
	unsigned int events = 0, rounds = 0;
	uint64_t last = 0;
	bool more = true;

	assert_int_equal(store_begin(store, NULL), 0);
	for (uint64_t seq = 1; seq <= 100; seq++)
		put_event(store, seq);
	put_audit(store, "kept");
	assert_int_equal(store_commit(store, NULL), 0);
	for (; more; rounds++)
		assert_int_equal(store_prune_events(store, 30, 25, &more, NULL), 0);
	assert_int_equal(rounds, 3);
	assert_int_equal(store_each_event(store, 0, 1000, count_row, &events, NULL), 0);
	assert_int_equal(events, 30);
	assert_int_equal(store_last_event(store, &last, NULL), 0);
	assert_int_equal(last, 100);
	assert_int_equal(verify_all(store, 10), 0);
}

/* A copy made while its source is open and written to is a whole database, and overwrites nothing. */
static void test_backup(void **state)
{
	char dir[] = "/tmp/mt-store-XXXXXX", path[64], copy[64];
	_cleanup_(store_free_p) struct store *store = NULL;
	_cleanup_(store_health_deinit) struct store_health health = { 0 };
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/db", dir);
	snprintf(copy, sizeof(copy), "%s/copy", dir);
	fill_file(path);
	store = open_file(path);
	assert_int_equal(store_begin(store, NULL), 0);
	put_audit(store, "not committed yet");
	assert_int_equal(store_backup(path, copy, &error), 0);
	assert_int_equal(store_commit(store, NULL), 0);
	assert_int_equal(store_check(copy, &health, NULL), 0);
	assert_int_equal(health.audits, 300);
	assert_int_equal(health.audit_bad, 0);
	assert_int_equal(store_backup(path, copy, &error), -EEXIST);
	assert_non_null(strstr(error_text(&error, 0), "overwrites nothing"));
	io_remove_tree(dir);
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
	uint64_t now_ms;
	int64_t wall_ms;
};

static void setup_world(struct world *world)
{
	struct core_config config = core_config_default;
	struct core_event start = { .type = CORE_EVENT_START };
	struct core_event event = { .type = CORE_EVENT_PROJECT_ADD };
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;

	*world = (struct world){ .effects = CORE_EFFECTS_NULL, .now_ms = 2 };
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
	event->wall_ms = world->wall_ms;
	assert_int_equal(core_handle(world->core, event, world->now_ms, &world->effects), 0);
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

/* Seen to fail while the age of a request was counted by the wall clock alone. */
static void test_request_outlives_a_jump_of_the_clock(void **state)
{
	_cleanup_(world_deinit) struct world world;

	setup_world(&world);
	world.now_ms = 59 * 60 * 1000;
	assert_int_equal(submit(&world, "r", "true", 4)->submitted->tasks[0], 1);
	world.now_ms += 2 * 60 * 1000;
	world.wall_ms = 30ll * 24 * 3600 * 1000;
	assert_int_equal(submit(&world, "other", "true", 4)->submitted->tasks[0], 2);
	assert_int_equal(submit(&world, "r", "true", 4)->submitted->tasks[0], 1);
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
		cmocka_unit_test(test_flipped_byte_is_named),
		cmocka_unit_test(test_missing_end_is_seen),
		cmocka_unit_test(test_old_events_go),
		cmocka_unit_test(test_backup),
		cmocka_unit_test(test_foreign_file),
		cmocka_unit_test(test_submit_is_repeatable),
		cmocka_unit_test(test_request_outlives_a_jump_of_the_clock),
		cmocka_unit_test(test_prompt_limit),
		cmocka_unit_test(test_stop_queued_and_retry),
	};

	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
