/* A crash after every record of the journal, and a journal torn between any two. */
#include "tests/unit/worker/host.h"

/* What the service finds in the session's directory; a tombstone keeps a holder from ever starting. */
static void look(struct world *world)
{
	const struct attempt *attempt = attempts_find(world->core, TASK, 1);
	struct event event = about(EVENT_FOUND);

	if (!attempt || !attempt_needs_look(attempt))
		return;
	event.found.found = world->holder_alive ? FOUND_ALIVE : world->spawned ? FOUND_DEAD : FOUND_TOMBSTONE;
	world->tombstones += event.found.found == FOUND_TOMBSTONE;
	tell(world, &event);
}

/* Whatever is under way is brought to its end, as often as it takes. */
static void finish(struct world *world)
{
	for (unsigned int i = 0; i < 20 && !world->dead; i++) {
		const struct attempt *attempt = attempts_find(world->core, TASK, 1);

		if (!attempt || attempt->state == ATTEMPT_OVER)
			return;
		switch (attempt->work) {
		case WORK_NONE:
			if (attempt->state == ATTEMPT_STARTING)
				holder_started(world);
			else
				exited(world, 0);
			break;
		case WORK_ASK:
			granted(world);
			break;
		default:
			git_done(world, attempt->work, GIT_CODE(OK), COMMIT_A, 1);
		}
	}
}

static bool terminal(Maestro__AttemptPhase phase)
{
	return phase == PHASE(EXITED) || phase == PHASE(ENDED) || phase == PHASE(FAILED) || phase == PHASE(STOPPED) ||
	       phase == PHASE(TOMBSTONE);
}

/* A crash after n records of the journal: after any n it starts at most once, and comes to an end that is told. */
static bool crash_after(unsigned int n)
{
	void *state = NULL;
	struct world *world;
	bool crashed;

	setup(&state);
	world = state;
	world->crash_armed = true;
	world->records_left = n;
	start(world);
	finish(world);
	crashed = world->dead;
	world->crash_armed = false;
	boot(world);
	look(world);
	tell(world, &(struct event){ .kind = EVENT_READY });
	start(world); /* the coordinator may not know that it arrived */
	finish(world);
	assert_true(world->spawned <= 1);
	assert_true(world->spawned + world->tombstones <= 1 || n == 0);
	assert_true(terminal(last(world)));
	assert_int_equal(attempts_find(world->core, TASK, 1)->state, ATTEMPT_OVER);
	/* A worktree may lie there whatever the journal knows of it: nothing is forgotten before it was looked for. */
	release(world, true);
	assert_int_equal(last_job(world), WORK_REMOVE);
	git_done(world, WORK_REMOVE, GIT_CODE(OK), NULL, 0);
	assert_null(attempts_find(world->core, TASK, 1));
	teardown(&state);
	return crashed;
}

static void test_crash_after_each_record(void **state)
{
	unsigned int n = 0;

	while (crash_after(n))
		assert_true(++n < 100);
	assert_true(n > 8); /* or the crash was never where it matters */
}

static bool told(const struct world *world, Maestro__AttemptPhase phase)
{
	for (unsigned int i = 0; i < world->report_count; i++)
		if (world->phases[i] == phase)
			return true;
	return false;
}

/* A batch is not one write: torn between any two of its records, a push and an end are told by what is left of the
 * journal, since nothing else will. (Seen red with OVER, and with PUSHED, written before their reports.) */
static bool torn_after(unsigned int n)
{
	const struct attempt *attempt;
	void *state = NULL;
	struct world *world;
	bool crashed;

	setup(&state);
	world = state;
	world->crash_armed = true;
	world->records_left = n;
	start(world);
	finish(world);
	crashed = world->dead;
	world->crash_armed = false;
	world->report_count = 0;
	boot(world);
	tell(world, &(struct event){ .kind = EVENT_READY });
	attempt = attempts_find(world->core, TASK, 1);
	if (attempt && attempt->pushed_commit)
		assert_true(told(world, PHASE(PUSHED)));
	if (attempt && attempt->state == ATTEMPT_OVER)
		assert_true(terminal(last(world)));
	teardown(&state);
	return crashed;
}

static void test_torn_after_each_record(void **state)
{
	unsigned int n = 0;

	while (torn_after(n))
		assert_true(++n < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash_after_each_record),
		cmocka_unit_test(test_torn_after_each_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
