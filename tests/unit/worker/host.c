#include "tests/unit/worker/host.h"

static uint8_t run_id[16] = "0123456789abcdef";

Maestro__Start *start_message(uint32_t attempt)
{
	static Maestro__ProjectSpec project = MAESTRO__PROJECT_SPEC__INIT;
	static Maestro__Start start = MAESTRO__START__INIT;

	project.name = (char *)(uintptr_t) "p";
	project.url = bytes_of("/repo");
	project.base_branch = (char *)(uintptr_t) "main";
	start.task = TASK;
	start.attempt = attempt;
	start.run_id = (ProtobufCBinaryData){ 16, run_id };
	start.project = &project;
	start.agent = (char *)(uintptr_t) "command";
	start.prompt = bytes_of("true");
	start.branch = (char *)(uintptr_t) "maestro/7-true";
	start.base_branch = (char *)(uintptr_t) "main";
	return &start;
}

static void do_effect(struct world *world, const struct effect *effect)
{
	const Maestro__AttemptReport *report;

	switch (effect->kind) {
	case EFFECT_GIT:
		world->jobs[world->job_count++] = effect->work;
		return;
	case EFFECT_SPAWN:
		world->spawned++;
		world->holder_alive = true;
		return;
	case EFFECT_KILL:
		world->killed++;
		return;
	case EFFECT_FORGET:
		world->forgotten++;
		world->holder_alive = false;
		return;
	case EFFECT_CLEAN:
		world->cleaned++;
		return;
	case EFFECT_ASK:
		world->asked++;
		return;
	case EFFECT_REPLY:
		world->replied = true;
		world->reply_ok = effect->ok;
		return;
	case EFFECT_REPORT:
		report = attempts_report(world->core, effect->number);
		assert_non_null(report);
		assert_true(world->report_count < 64);
		world->phases[world->report_count] = report->phase;
		world->live[world->report_count] = report->session_live;
		snprintf(world->reasons[world->report_count], 128, "%.*s", (int)report->reason.len,
			report->reason.data ? (const char *)report->reason.data : "");
		world->numbers[world->report_count++] = report->number;
		return;
	default:
		return;
	}
}

/* As the executor: the journal first, then the rest; a crash loses what was not written, and does nothing more. */
void execute(struct world *world, struct effects *effects)
{
	struct effect *effect;

	assert_false(effects->failed);
	list_for_each (effect, &effects->list, link) {
		if (effect->kind != EFFECT_JOURNAL || world->dead)
			continue;
		if (world->crash_armed && world->records_left-- == 0) {
			world->dead = true;
			continue;
		}
		assert_int_equal(journal_encode(effect->record, &world->journal), 0);
	}
	list_for_each (effect, &effects->list, link)
		if (effect->kind != EFFECT_JOURNAL && !world->dead)
			do_effect(world, effect);
	effects_deinit(effects);
}

static struct moment at(const struct world *world)
{
	return (struct moment){ world->now_ms, 1 };
}

void tell(struct world *world, const struct event *event)
{
	struct moment now = at(world);
	struct effects effects;

	if (world->dead)
		return;
	effects_init(&effects);
	attempts_handle(world->core, event, &now, &effects);
	execute(world, &effects);
}

int replay(const Maestro__JournalRecord *record, void *userdata)
{
	return attempts_replay(userdata, record);
}

void boot(struct world *world)
{
	struct moment now = at(world);
	struct effects effects;
	size_t good = 0;

	attempts_free(world->core);
	assert_int_equal(attempts_new(&world->core), 0);
	assert_int_equal(journal_decode(world->journal.data, world->journal.len, replay, world->core, &good), 0);
	assert_int_equal(good, world->journal.len);
	world->dead = false;
	effects_init(&effects);
	attempts_open(world->core, "boot", false, &now, &effects);
	execute(world, &effects);
}

uint32_t number; /* of the attempt that things happen to */

int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	number = 1;
	assert_int_equal(id_init(), 0);
	world->journal = BUF_NULL;
	world->now_ms = 1000;
	boot(world);
	tell(world, &(struct event){ .kind = EVENT_READY });
	*state = world;
	return 0;
}

int teardown(void **state)
{
	struct world *world = *state;

	attempts_free(world->core);
	buf_deinit(&world->journal);
	free(world);
	return 0;
}

/* --- things that happen --- */

struct event about(enum event_kind kind)
{
	return (struct event){ .kind = kind, .task = TASK, .attempt = number };
}

void start(struct world *world)
{
	struct event event = about(EVENT_START);

	event.start.message = start_message(1);
	tell(world, &event);
}

void git_done(struct world *world, enum work work, Maestro__GitCode code, const char *commit, uint32_t ahead)
{
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitPrepared prepared = MAESTRO__GIT_PREPARED__INIT;
	Maestro__GitCommitted committed = MAESTRO__GIT_COMMITTED__INIT;
	Maestro__GitPushed pushed = MAESTRO__GIT_PUSHED__INIT;
	struct event event = about(EVENT_GIT_DONE);

	result.code = code;
	prepared.base_commit = prepared.head = (char *)(uintptr_t)BASE;
	committed.head = pushed.commit = (char *)(uintptr_t)commit;
	committed.ahead = ahead;
	pushed.branch = (char *)(uintptr_t) "maestro/7-true";
	if (work == WORK_PREPARE) {
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PREPARED;
		result.prepared = &prepared;
	} else if (work == WORK_COMMIT) {
		result.result_case = MAESTRO__GIT_RESULT__RESULT_COMMITTED;
		result.committed = &committed;
	} else if (work == WORK_PUSH) {
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PUSHED;
		result.pushed = &pushed;
	}
	if (code) {
		result.has_why = true;
		result.why = bytes_of("it broke");
	}
	event.git.work = work;
	event.git.result = &result;
	tell(world, &event);
}

void holder_started(struct world *world)
{
	struct event event = about(EVENT_HOLDER_STARTED);

	tell(world, &event);
}

void exited(struct world *world, int code)
{
	struct event event = about(EVENT_HOLDER_ENDED);

	event.ended.has_code = true;
	event.ended.code = code;
	tell(world, &event);
}

void granted(struct world *world)
{
	struct event event = about(EVENT_GRANTED);

	event.granted.lease_ms = 60000;
	tell(world, &event);
}

void status(struct world *world, Maestro__AgentState state)
{
	Maestro__AgentStatus message = MAESTRO__AGENT_STATUS__INIT;
	struct event event = about(EVENT_STATUS);

	message.state = state;
	event.status.status = &message;
	tell(world, &event);
}

void stop(struct world *world)
{
	struct event event = about(EVENT_STOP);

	tell(world, &event);
}

void to_running(struct world *world)
{
	start(world);
	git_done(world, WORK_PREPARE, MAESTRO__GIT_CODE__GIT_OK, NULL, 0);
	holder_started(world);
}

Maestro__AttemptPhase last(const struct world *world)
{
	assert_true(world->report_count > 0);
	return world->phases[world->report_count - 1];
}

const char *last_reason(const struct world *world)
{
	return world->reasons[world->report_count - 1];
}

enum work last_job(const struct world *world)
{
	return world->job_count ? world->jobs[world->job_count - 1] : WORK_NONE;
}

void verdict(struct world *world, Maestro__Verdict what)
{
	struct event event = about(EVENT_VERDICT);

	event.verdict.verdict = what;
	event.verdict.run_id = run_id;
	tell(world, &event);
}

void release(struct world *world, bool remove_worktree)
{
	struct event event = about(EVENT_RELEASE);

	event.request = 9;
	event.release.remove_worktree = remove_worktree;
	world->replied = false;
	tell(world, &event);
}

/* Its removal had begun when the coordinator that had asked for it died. (Seen red without is_in_use;
 * found by seed 561513 of tests/sim.) */
