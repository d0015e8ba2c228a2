/* What the coordinator decides: verdicts, releases, repeated starts and reports, epochs. */
#include "tests/unit/worker/host.h"

static void test_quarantine_publishes_nothing(void **state)
{
	struct world *world = *state;

	to_running(world);
	verdict(world, MAESTRO__VERDICT__VERDICT_QUARANTINE);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	exited(world, 0);
	assert_int_equal(world->job_count, 1);
	verdict(world, MAESTRO__VERDICT__VERDICT_ADOPT);
	assert_int_equal(last_job(world), WORK_COMMIT);
}

static void test_stale_is_killed_and_kept(void **state)
{
	struct world *world = *state;

	to_running(world);
	verdict(world, MAESTRO__VERDICT__VERDICT_KILL);
	assert_int_equal(world->killed, 1);
	exited(world, 0);
	assert_int_equal(world->job_count, 1); /* the worktree's */
	assert_int_equal(last(world), PHASE(STOPPED));
}

static void test_a_push_of_what_is_being_removed_fails(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_START);
	Maestro__Start *again;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 2);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(REFUSED), NULL, 0);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	release(world, true);
	assert_int_equal(last_job(world), WORK_REMOVE);
	again = start_message(2);
	again->has_push_of = true;
	again->push_of = 1;
	event.attempt = 2;
	event.start.message = again;
	tell(world, &event);
	again->has_push_of = false;
	again->push_of = 0;
	assert_int_equal(last(world), PHASE(FAILED));
	assert_int_equal(last_job(world), WORK_REMOVE);
}

static void test_release(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 3);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	release(world, true);
	assert_int_equal(last_job(world), WORK_REMOVE);
	git_done(world, WORK_REMOVE, GIT_CODE(DIRTY), NULL, 0);
	assert_true(world->replied && !world->reply_ok); /* work that nobody has: kept */
	assert_non_null(attempts_find(world->core, TASK, 1));
	release(world, true);
	git_done(world, WORK_REMOVE, GIT_CODE(OK), NULL, 0);
	assert_true(world->replied && world->reply_ok);
	assert_int_equal(world->cleaned, 1);
	assert_null(attempts_find(world->core, TASK, 1));
	release(world, true); /* what is gone needs no release */
	assert_true(world->replied && world->reply_ok);
	start(world); /* but it never starts a second time */
	assert_int_equal(world->spawned, 1);
	assert_int_equal(last(world), PHASE(FAILED));
}

static void test_older_attempt_is_a_tombstone(void **state)
{
	struct world *world = *state;
	struct event event = { .kind = EVENT_START, .task = TASK, .attempt = 2 };

	event.start.message = start_message(2);
	tell(world, &event);
	start(world);
	assert_int_equal(last(world), PHASE(TOMBSTONE));
	assert_int_equal(world->job_count, 1);
}

static void test_start_twice_starts_once(void **state)
{
	struct world *world = *state;

	start(world);
	start(world);
	assert_int_equal(world->job_count, 1);
	assert_int_equal(last(world), PHASE(ACCEPTED));
}

static void test_reports_until_acknowledged(void **state)
{
	struct world *world = *state;
	unsigned int before;

	to_running(world);
	before = world->report_count;
	tell(world, &(struct event){ .kind = EVENT_READY });
	assert_int_equal(world->report_count, 2 * before);
	for (unsigned int i = 0; i < before; i++)
		tell(world, &(struct event){ .kind = EVENT_ACK, .ack = { world->numbers[i] } });
	before = world->report_count;
	tell(world, &(struct event){ .kind = EVENT_READY });
	assert_int_equal(world->report_count, before);
	boot(world);
	tell(world, &(struct event){ .kind = EVENT_READY });
	assert_int_equal(world->report_count, before);
}

static void test_epoch(void **state)
{
	struct world *world = *state;
	struct effects effects;

	effects_init(&effects);
	assert_int_equal(attempts_take_epoch(world->core, 5, false, &effects), 0);
	execute(world, &effects);
	boot(world);
	effects_init(&effects);
	assert_int_equal(attempts_take_epoch(world->core, 4, false, &effects), ATTEMPTS_E_EPOCH);
	assert_int_equal(attempts_take_epoch(world->core, 4, true, &effects), 0);
	effects_deinit(&effects);
}

static void test_reboot_is_told_by_absence(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_FOUND);

	to_running(world);
	boot(world);
	event.found.found = FOUND_REBOOT;
	tell(world, &event);
	assert_false(attempt_in_inventory(attempts_find(world->core, TASK, 1)));
	tell(world, &(struct event){ .kind = EVENT_READY });
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "the machine was restarted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_quarantine_publishes_nothing),
		T(test_stale_is_killed_and_kept),
		T(test_a_push_of_what_is_being_removed_fails),
		T(test_release),
		T(test_older_attempt_is_a_tombstone),
		T(test_start_twice_starts_once),
		T(test_reports_until_acknowledged),
		T(test_epoch),
		T(test_reboot_is_told_by_absence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
