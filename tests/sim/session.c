/* What runs on a worker's machine beside it: holders with their agents, and git jobs. */
#include "tests/sim/world.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_session *session_find(struct sim_worker *worker, uint64_t task, uint32_t attempt, bool make)
{
	for (size_t i = 0; i < worker->session_count; i++)
		if (worker->sessions[i].task == task && worker->sessions[i].attempt == attempt)
			return &worker->sessions[i];
	if (!make)
		return NULL;
	worker->sessions = realloc(worker->sessions, (worker->session_count + 1) * sizeof(*worker->sessions));
	require(worker->sessions);
	worker->sessions[worker->session_count] = (struct sim_session){ .task = task, .attempt = attempt };
	return &worker->sessions[worker->session_count++];
}

void session_tell_end(struct world *world, int number, const struct sim_session *session)
{
	struct event event = { .kind = EVENT_HOLDER_ENDED, .task = session->task, .attempt = session->attempt };

	if (session->state == HOLDER_EXITED) {
		event.ended.has_code = !session->signal;
		event.ended.code = session->code;
		event.ended.signal = session->signal;
	} else {
		event.ended.reason = "the session's holder process died";
	}
	worker_event(world, number, &event);
}

static void holder_exit(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = session_find(worker, action->task, action->attempt, false);
	struct sim_session copy;

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot)
		return;
	session->state = HOLDER_EXITED;
	session->signal = action->flag ? 15 : 0;
	session->code = action->number;
	session->commits += chance(world, 3) > 0;
	copy = *session;
	tell(world, "%s task=%" PRIu64 ".%u exits with %d%s", worker->name, copy.task, copy.attempt, copy.code,
		copy.signal ? " by a signal" : "");
	if (world->bug == BUG_DEAF_TO_EXITS && chance(world, 10) == 0)
		return;
	session_tell_end(world, action->worker, &copy);
}

static void agent_says_complete(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = session_find(worker, action->task, action->attempt, false);
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	struct event event = { .kind = EVENT_STATUS, .task = action->task, .attempt = action->attempt };

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot)
		return;
	session->commits++;
	status.state = MAESTRO__AGENT_STATE__AGENT_COMPLETE;
	event.status.status = &status;
	worker_event(world, action->worker, &event);
}

static void agent_says_limited(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	const struct sim_session *session = session_find(worker, action->task, action->attempt, false);
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Envelope envelope = ENVELOPE(STATUS_REPORT, status_report = &report);

	if (!session || session->state != HOLDER_ALIVE || session->boot != worker->boot || !worker->ready)
		return;
	status.state = chance(world, 3) ? MAESTRO__AGENT_STATE__AGENT_LIMITED : MAESTRO__AGENT_STATE__AGENT_WORKING;
	if (status.state == MAESTRO__AGENT_STATE__AGENT_LIMITED && chance(world, 2))
		status.limited_ms = 1000 + chance(world, 200000);
	worker->limit.said_ms = status.limited_ms;
	status.has_limited_ms = status.limited_ms && world->bug != BUG_FORGET_LIMIT;
	report.task = action->task;
	report.attempt = action->attempt;
	report.status = &status;
	send_to_coordinator(world, action->worker, &envelope);
}

/* Something else of the same session, held while its machine sleeps. */
static struct action *session_later(struct world *world, const struct action *of, uint64_t after_ms,
	void (*run)(struct world *, struct action *))
{
	struct action *next = later(world, after_ms, run, NULL);

	next->worker = of->worker;
	next->task = of->task;
	next->attempt = of->attempt;
	next->frozen_until_ms = &world->workers[of->worker].frozen_until_ms;
	return next;
}

static void holder_refused(struct world *world, struct action *action)
{
	struct event event = { .kind = EVENT_HOLDER_REFUSED, .task = action->task, .attempt = action->attempt };

	event.refused.why = "no memory for a holder";
	event.refused.retryable = action->flag;
	worker_event(world, action->worker, &event);
}

/* The holder runs by itself from its start on: link(2) has one winner, it or a tombstone. */
static void holder_begin(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = session_find(worker, action->task, action->attempt, true);
	struct event event = { .kind = EVENT_HOLDER_STARTED, .task = action->task, .attempt = action->attempt };

	if (action->number != worker->boot)
		return; /* the machine was restarted meanwhile */
	if (session->state == HOLDER_TOMBSTONE && world->bug != BUG_NO_TOMBSTONE)
		return;
	if (session->state != HOLDER_NONE && session->state != HOLDER_TOMBSTONE)
		return;
	session->state = HOLDER_ALIVE;
	session->boot = worker->boot;
	memcpy(session->run_id, action->run_id, sizeof(session->run_id));
	session->starts++;
	tell(world, "%s task=%" PRIu64 ".%u starts", worker->name, session->task, session->attempt);
	check_start(world, worker, session);
	if (!action->limited || chance(world, 2)) /* else a time limit has to end it */
		session_later(world, action, 500 + chance(world, 60000), holder_exit)->number = chance(world, 4) == 0;
	if (chance(world, 4) == 0)
		session_later(world, action, 200 + chance(world, 10000), agent_says_limited);
	if (chance(world, 3) == 0)
		session_later(world, action, 200 + chance(world, 20000), agent_says_complete);
	worker_event(world, action->worker, &event);
}

void session_clean(struct world *world, int number, const struct effect *effect)
{
	struct sim_session *session = session_find(&world->workers[number], effect->task, effect->attempt, false);

	/* The record of how often it ran stays: that is what is checked. */
	if (session && session->state != HOLDER_ALIVE && session->state != HOLDER_TOMBSTONE)
		session->state = HOLDER_EXITED;
}

/* --- git jobs ---------------------------------------------------------------------------------------------------- */

static void fill_commit(char text[41], uint64_t task, uint32_t attempt, unsigned int commits)
{
	snprintf(text, 41, "%08" PRIx64 "%08x%024x", task, attempt, commits);
}

/* Not of the remote, but like it: work that is not pushed is removed by force only. */
static Maestro__GitCode remote_says(struct world *world, const struct attempt *attempt, const struct sim_session *session,
	enum work work)
{
	if (work == WORK_REMOVE && session && session->commits && !attempt->pushed_commit && !attempt->release.force)
		return MAESTRO__GIT_CODE__GIT_DIRTY;
	if (work == WORK_REMOVE || work == WORK_CHECKPOINT)
		return MAESTRO__GIT_CODE__GIT_OK;
	if (work == WORK_PUSH && fault(world, 6)) /* a hook says no */
		return MAESTRO__GIT_CODE__GIT_REFUSED;
	return fault(world, 30) ? MAESTRO__GIT_CODE__GIT_UNREACHABLE : MAESTRO__GIT_CODE__GIT_OK;
}

/* The session whose worktree an attempt works in: a push that is tried again has an earlier one's. */
static struct sim_session *tree_of(struct sim_worker *worker, uint64_t task, uint32_t attempt)
{
	const struct attempt *known = worker->core ? attempts_find(worker->core, task, attempt) : NULL;

	return session_find(worker, task, known ? attempt_worktree(known) : attempt, true);
}

static void git_done(struct world *world, struct action *action)
{
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *session = tree_of(worker, action->task, action->attempt);
	const struct attempt *attempt = worker->core ? attempts_find(worker->core, action->task, action->attempt) : NULL;
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;
	Maestro__GitPrepared prepared = MAESTRO__GIT_PREPARED__INIT;
	Maestro__GitCommitted committed = MAESTRO__GIT_COMMITTED__INIT;
	Maestro__GitPushed pushed = MAESTRO__GIT_PUSHED__INIT;
	struct event event = { .kind = EVENT_GIT_DONE, .task = action->task, .attempt = action->attempt };
	char commit[41], zero[41];

	if (!attempt)
		return;
	fill_commit(commit, action->task, session->attempt, session->commits);
	memset(zero, '0', 40);
	zero[40] = 0;
	event.git.work = (enum work)action->number;
	event.git.result = &result;
	result.code = remote_says(world, attempt, session, event.git.work);
	switch (event.git.work) {
	case WORK_PREPARE:
		prepared.base_commit = prepared.head = zero;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PREPARED;
		result.prepared = &prepared;
		break;
	case WORK_COMMIT:
		committed.head = session->commits ? commit : zero;
		committed.ahead = session->commits;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_COMMITTED;
		result.committed = &committed;
		break;
	case WORK_PUSH:
		pushed.branch = attempt->start->branch;
		pushed.commit = attempt->tip;
		result.result_case = MAESTRO__GIT_RESULT__RESULT_PUSHED;
		result.pushed = &pushed;
		event.git.expired = action->flag;
		break;
	case WORK_REMOVE:
		if (result.code == MAESTRO__GIT_CODE__GIT_OK && world->bug != BUG_KEEP_WORKTREE)
			session->worktree = false;
		break;
	default:
		break;
	}
	if (result.code != MAESTRO__GIT_CODE__GIT_OK) {
		result.result_case = MAESTRO__GIT_RESULT__RESULT__NOT_SET;
		result.has_why = true;
		result.why = bytes_of("the remote says no");
	}
	worker_event(world, action->worker, &event);
}

/* The remote is touched from here on. */
static void git_begin(struct world *world, struct action *action)
{
	uint64_t after_ms = action->not_after_ms;
	struct sim_worker *worker = &world->workers[action->worker];
	struct sim_session *tree = tree_of(worker, action->task, action->attempt);
	struct action *next;

	if (action->number == WORK_PREPARE)
		tree->worktree = true;
	check_tree(world, worker, tree, (enum work)action->number);

	if (action->number == WORK_PUSH) {
		action->flag = world->now_ms > after_ms && world->bug != BUG_IGNORE_LEASE;
		if (!action->flag)
			check_push(world, action->task, world->bug == BUG_PUSH_SUPERSEDED ? tree->attempt : action->attempt, after_ms);
	}
	next = later(world, 5 + chance(world, 3000), git_done, action->life);
	next->worker = action->worker;
	next->task = action->task;
	next->attempt = action->attempt;
	next->number = action->number;
	next->flag = action->flag;
}

/* Now and then a job waits for others, or for its machine. */
void session_git(struct world *world, int number, const struct effect *effect)
{
	struct action *next = later(world, fault(world, 20) ? chance(world, 100000) : 0, git_begin,
		&world->workers[number].life);

	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->number = (int)effect->work;
	next->not_after_ms = effect->not_after_ms;
}

void session_spawn(struct world *world, int number, const struct effect *effect)
{
	/* now and then a machine is slow: then a tombstone may be planted before its holder comes so far */
	struct action *next = later(world, 1 + chance(world, chance(world, 10) ? 300 : 10000), holder_begin, NULL);
	bool refused = fault(world, 40);
	const struct attempt *attempt = attempts_find(world->workers[number].core, effect->task, effect->attempt);

	if (attempt) {
		memcpy(next->run_id, attempt->run_id, sizeof(next->run_id));
		next->limited = attempt->start->max_time_ms || attempt->start->max_idle_ms;
	}
	next->frozen_until_ms = &world->workers[number].frozen_until_ms;
	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->number = world->workers[number].boot;
	if (!refused)
		return;
	next->run = holder_refused;
	next->life = &world->workers[number].life;
	next->alive = world->workers[number].life;
	next->flag = chance(world, 2);
}

void session_kill(struct world *world, int number, const struct effect *effect)
{
	struct action *next = later(world, chance(world, fault(world, 10) ? 10000 : 500), holder_exit, NULL);

	next->worker = number;
	next->task = effect->task;
	next->attempt = effect->attempt;
	next->flag = true;
}

void session_kill_a_holder(struct world *world, int number)
{
	struct sim_worker *worker = &world->workers[number];
	struct sim_session *session, copy;

	if (!worker->session_count)
		return;
	session = &worker->sessions[chance(world, worker->session_count)];
	if (session->state != HOLDER_ALIVE)
		return;
	session->state = HOLDER_KILLED;
	copy = *session;
	tell(world, "%s task=%" PRIu64 ".%u: its holder is killed", worker->name, copy.task, copy.attempt);
	session_tell_end(world, number, &copy);
}

