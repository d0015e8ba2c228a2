/* The path of an attempt and its ends, and a snapshot that says all of it. */
#include "tests/unit/worker/host.h"

static void test_exit_0_with_commits_is_pushed(void **state)
{
	struct world *world = *state;

	to_running(world);
	assert_int_equal(last(world), PHASE(RUNNING));
	exited(world, 0);
	assert_int_equal(world->forgotten, 1);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 2);
	assert_int_equal(world->asked, 1);
	assert_int_not_equal(last_job(world), WORK_PUSH); /* never before the grant */
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(world->phases[world->report_count - 2], PHASE(PUSHED));
	assert_false(world->live[world->report_count - 2]);
	assert_int_equal(last(world), PHASE(ENDED));
}

/* An attempt that could not push stays as it ended; the next one takes its worktree and goes on with it. (Seen red with
 * the worktree of attempt 2 taken for its own.) */
static void test_a_push_is_tried_again(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_START), released = about(EVENT_RELEASE);
	const struct attempt *attempt;
	Maestro__Start *again;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(UNREACHABLE), NULL, 0);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "push: it broke");
	again = start_message(2);
	again->has_push_of = true;
	again->push_of = 1;
	event.attempt = number = 2;
	event.start.message = again;
	tell(world, &event);
	again->has_push_of = false;
	again->push_of = 0;
	assert_int_equal(world->spawned, 1);
	assert_int_equal(last_job(world), WORK_COMMIT);
	attempt = attempts_find(world->core, TASK, 2);
	assert_int_equal(attempt_worktree(attempt), 1);
	assert_string_equal(attempt->base_commit, BASE);
	boot(world); /* a crash: it goes on from its journal */
	tell(world, &(struct event){ .kind = EVENT_READY });
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(world->phases[world->report_count - 2], PHASE(PUSHED));
	assert_int_equal(last(world), PHASE(ENDED));
	assert_int_equal(attempts_find(world->core, TASK, 1)->phase, PHASE(FAILED));
	number = 1;
	released.release.remove_worktree = true;
	released.request = 1;
	tell(world, &released); /* the first has none to remove any more */
	assert_true(world->replied && world->reply_ok);
	assert_int_equal(last_job(world), WORK_PUSH);
	assert_null(attempts_find(world->core, TASK, 1));
	released.attempt = 2;
	tell(world, &released);
	assert_int_equal(last_job(world), WORK_REMOVE);
}

/* Seen to fail: the crash lost that it was being removed, and the next attempt went on in what was left. */
static void test_no_push_from_what_is_being_removed(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_START);
	Maestro__Start *again;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(UNREACHABLE), NULL, 0);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	release(world, true);
	assert_int_equal(last_job(world), WORK_REMOVE);
	boot(world);
	tell(world, &(struct event){ .kind = EVENT_READY });
	again = start_message(2);
	again->has_push_of = true;
	again->push_of = 1;
	event.attempt = number = 2;
	event.start.message = again;
	tell(world, &event);
	again->has_push_of = false;
	again->push_of = 0;
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "push: the worktree of attempt 1 is not on this worker any more");
}

static void test_a_push_of_what_is_gone_fails(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_START);
	Maestro__Start *again = start_message(2);

	again->has_push_of = true;
	again->push_of = 1;
	event.attempt = 2;
	event.start.message = again;
	tell(world, &event);
	again->has_push_of = false;
	again->push_of = 0;
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "push: the worktree of attempt 1 is not on this worker any more");
	assert_int_equal(world->job_count, 0);
}

static void test_exit_0_without_commits_is_done(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), BASE, 0);
	assert_int_equal(last(world), PHASE(EXITED));
	assert_int_equal(world->asked, 0);
}

/* A commit that left something out: told with PUSHED and EXITED, names bounded. */
static void committed_without(struct world *world, const char *commit, uint32_t ahead, size_t count)
{
	static const char *const names[] = { "a (1 MiB)", "b (2 MiB)", "c (3 MiB)", "d (4 MiB)", "e (5 MiB)", "f (6 MiB)" };
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitCommitted committed = MAESTRO__GIT_COMMITTED__INIT;
	ProtobufCBinaryData skipped[6];
	struct event event = about(EVENT_GIT_DONE);

	for (size_t i = 0; i < count; i++)
		skipped[i] = bytes_of(names[i]);
	committed.head = (char *)(uintptr_t)commit;
	committed.ahead = ahead;
	committed.n_skipped = count;
	committed.skipped = skipped;
	committed.has_skipped_more = count == 6;
	committed.skipped_more = count == 6 ? 10 : 0;
	result.code = GIT_CODE(OK);
	result.result_case = MAESTRO__GIT_RESULT__RESULT_COMMITTED;
	result.committed = &committed;
	event.git.work = WORK_COMMIT;
	event.git.result = &result;
	tell(world, &event);
}

static void test_left_out_is_told_at_the_end(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	committed_without(world, BASE, 0, 2);
	assert_int_equal(last(world), PHASE(EXITED));
	assert_string_equal(world->reasons[world->report_count - 1], "left out of the commit: a (1 MiB), b (2 MiB)");
}

static void test_left_out_is_told_with_a_push(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	committed_without(world, COMMIT_A, 1, 6);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(world->phases[world->report_count - 2], PHASE(PUSHED));
	assert_string_equal(world->reasons[world->report_count - 2],
		"left out of the commit: a (1 MiB), b (2 MiB), c (3 MiB), d (4 MiB), e (5 MiB) and 11 more");
}

/* Pushed, then a big file and nothing else: the push stands, and what it lacks is told. */
static void test_left_out_after_a_push_is_told(void **state)
{
	struct world *world = *state;

	to_running(world);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_string_equal(world->reasons[world->report_count - 1], "");
	exited(world, 0);
	committed_without(world, COMMIT_A, 1, 1);
	assert_int_equal(world->phases[world->report_count - 2], PHASE(PUSHED));
	assert_string_equal(world->reasons[world->report_count - 2], "left out of the commit: a (1 MiB)");
	assert_int_equal(last(world), PHASE(ENDED));
}

static void test_exit_3_is_failed_with_a_checkpoint(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 3);
	assert_int_equal(last_job(world), WORK_CHECKPOINT);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(FAILED), NULL, 0); /* which must not keep it from ending */
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "exit 3");
}

static void test_cannot_start(void **state)
{
	struct world *world = *state;
	struct event event = about(EVENT_START);

	event.start.message = start_message(1);
	event.start.refusal = "claude is not on this worker";
	tell(world, &event);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "claude is not on this worker");
	assert_int_equal(world->job_count, 0);
}

static void test_worktree_fails(void **state)
{
	struct world *world = *state;

	start(world);
	git_done(world, WORK_PREPARE, GIT_CODE(NOT_FOUND), NULL, 0);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "worktree: it broke");
	assert_int_equal(world->spawned, 0);
}

static void test_complete_is_pushed_and_lives_on(void **state)
{
	struct world *world = *state;

	to_running(world);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(last(world), PHASE(PUSHED));
	assert_true(world->live[world->report_count - 1]);
	/* a follow-up */
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_B, 2);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_B, 0);
	assert_int_equal(last(world), PHASE(PUSHED));
	/* and the end, with nothing new */
	exited(world, 1);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(last(world), PHASE(ENDED));
}

/* Seen to fail: the word was lost, and the task ran on for ever. */
static void test_complete_before_it_runs(void **state)
{
	struct world *world = *state;

	start(world);
	git_done(world, WORK_PREPARE, GIT_CODE(OK), BASE, 0);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	assert_int_equal(last_job(world), WORK_PREPARE);
	holder_started(world);
	assert_int_equal(last_job(world), WORK_COMMIT);
}

static void test_complete_without_change_stays_running(void **state)
{
	struct world *world = *state;

	to_running(world);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), BASE, 0);
	assert_int_equal(last(world), PHASE(RUNNING));
	assert_int_equal(attempts_find(world->core, TASK, 1)->work, WORK_NONE);
}

static void test_exit_during_a_push_looks_again(void **state)
{
	struct world *world = *state;

	to_running(world);
	status(world, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	exited(world, 0); /* with one more commit */
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(last_job(world), WORK_COMMIT);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_B, 2);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_B, 0);
	assert_int_equal(last(world), PHASE(ENDED));
}

static void test_push_refused_is_failed(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(REFUSED), NULL, 0);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "push: it broke");
	/* and only the push is tried again */
	tell(world, &(struct event){ .kind = EVENT_PUBLISH, .task = TASK, .attempt = 1, .request = 5 });
	assert_true(world->reply_ok);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	granted(world);
	git_done(world, WORK_PUSH, GIT_CODE(OK), COMMIT_A, 0);
	assert_int_equal(last(world), PHASE(PUSHED));
}

static void test_stop(void **state)
{
	struct world *world = *state;

	to_running(world);
	stop(world);
	assert_int_equal(last_job(world), WORK_CHECKPOINT);
	assert_int_equal(world->killed, 0);
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(world->killed, 1);
	exited(world, 0); /* whatever it says now: it was told to end */
	assert_int_equal(last(world), PHASE(STOPPED));
}

static void test_stop_while_preparing(void **state)
{
	struct world *world = *state;

	start(world);
	stop(world);
	git_done(world, WORK_PREPARE, GIT_CODE(OK), NULL, 0); /* was too late to be cancelled */
	assert_int_equal(world->spawned, 0);
	assert_int_equal(last(world), PHASE(STOPPED));
}

static void test_late_grant_is_asked_again(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	world->now_ms += 61000; /* the machine slept */
	granted(world);
	assert_int_equal(world->asked, 2);
	assert_int_not_equal(last_job(world), WORK_PUSH);
	granted(world);
	assert_int_equal(last_job(world), WORK_PUSH);
}

static void test_ask_is_repeated(void **state)
{
	struct world *world = *state;

	to_running(world);
	exited(world, 0);
	git_done(world, WORK_COMMIT, GIT_CODE(OK), COMMIT_A, 1);
	tell(world, &(struct event){ .kind = EVENT_DISCONNECTED });
	tell(world, &(struct event){ .kind = EVENT_READY });
	assert_int_equal(world->asked, 2);
	world->now_ms = attempts_deadline_ms(world->core);
	tell(world, &(struct event){ .kind = EVENT_TICK });
	assert_int_equal(world->asked, 3);
}

static void test_time_limit(void **state)
{
	struct world *world = *state;
	Maestro__Start *message = start_message(1);
	struct event event = about(EVENT_START);

	message->has_max_time_ms = true;
	message->max_time_ms = 60000;
	event.start.message = message;
	tell(world, &event);
	message->has_max_time_ms = false;
	git_done(world, WORK_PREPARE, GIT_CODE(OK), NULL, 0);
	holder_started(world);
	assert_int_equal(attempts_deadline_ms(world->core), world->now_ms + 60000);
	world->now_ms += 60000;
	tell(world, &(struct event){ .kind = EVENT_TICK });
	git_done(world, WORK_CHECKPOINT, GIT_CODE(OK), NULL, 0);
	assert_int_equal(world->killed, 1);
	exited(world, 0);
	assert_int_equal(last(world), PHASE(FAILED));
	assert_string_equal(last_reason(world), "time limit of 1m reached");
}

static void assert_same(const struct attempt *a, const struct attempt *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->phase, b->phase);
	assert_int_equal(a->exited, b->exited);
	assert_int_equal(a->checkpointed, b->checkpointed);
	assert_string_equal(a->base_commit, b->base_commit);
	assert_string_equal(a->pushed_commit, b->pushed_commit);
	assert_string_equal(a->start->branch, b->start->branch);
	assert_memory_equal(a->run_id, b->run_id, 16);
}

static void test_snapshot_is_the_state(void **state)
{
	struct world *world = *state;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	struct attempts *again = NULL;
	size_t good;

	test_complete_is_pushed_and_lives_on(state);
	assert_int_equal(attempts_snapshot(world->core, &out), 0);
	assert_int_equal(attempts_new(&again), 0);
	assert_int_equal(journal_decode(out.data, out.len, replay, again, &good), 0);
	assert_int_equal(good, out.len);
	assert_same(attempts_find(world->core, TASK, 1), attempts_find(again, TASK, 1));
	assert_int_equal(attempts_seen(again, TASK), 1);
	for (unsigned int i = 0; i < world->report_count; i++)
		assert_non_null(attempts_report(again, world->numbers[i]));
	attempts_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_exit_0_with_commits_is_pushed),
		T(test_a_push_is_tried_again),
		T(test_no_push_from_what_is_being_removed),
		T(test_a_push_of_what_is_gone_fails),
		T(test_complete_before_it_runs),
		T(test_exit_0_without_commits_is_done),
		T(test_left_out_is_told_at_the_end),
		T(test_left_out_is_told_with_a_push),
		T(test_left_out_after_a_push_is_told),
		T(test_exit_3_is_failed_with_a_checkpoint),
		T(test_cannot_start),
		T(test_worktree_fails),
		T(test_complete_is_pushed_and_lives_on),
		T(test_complete_without_change_stays_running),
		T(test_exit_during_a_push_looks_again),
		T(test_push_refused_is_failed),
		T(test_stop),
		T(test_stop_while_preparing),
		T(test_late_grant_is_asked_again),
		T(test_ask_is_repeated),
		T(test_time_limit),
		T(test_snapshot_is_the_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
