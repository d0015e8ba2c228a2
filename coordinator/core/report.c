/* What a worker tells of its attempts. A report is a fact about one attempt; it is believed only from the worker that
 * was given the attempt, under its run_id, and changes the task only while the attempt is the newest and not over. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One report, with what it is about. */
struct report {
	const Maestro__AttemptReport *message;
	struct task *task;
	struct attempt *attempt;
	struct core_effects *fx;
	char *reason; /* owned, NULL: none was given */
};

static void acknowledge(struct core_effects *fx, const char *worker, uint64_t number)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__ReportAck ack = MAESTRO__REPORT_ACK__INIT;

	ack.number = number;
	envelope.body_case = BODY(REPORT_ACK);
	envelope.report_ack = &ack;
	effect_send(fx, worker, &envelope);
}

static void set_session(struct core *core, struct report *r, Maestro__SessionState state)
{
	attempt_set_session(core, r->fx, r->task, r->attempt, state);
}

static void end_session(struct core *core, struct report *r)
{
	set_session(core, r, MAESTRO__SESSION_STATE__SESSION_ENDED);
}

static bool is_live(const struct report *r)
{
	return r->task->row.state == STARTING || r->task->row.state == RUNNING;
}

static void report_accepted(struct core *core, struct report *r)
{
	record_event(core, r->fx, "attempt.accepted", r->task, r->attempt->row.worker, NULL);
}

static void report_running(struct core *core, struct report *r)
{
	if (r->message->base_commit)
		set_text(r->fx, &r->attempt->row.base_commit, r->message->base_commit);
	task_move(core, r->fx, r->task, CAUSE_RUN, NULL);
	set_session(core, r, MAESTRO__SESSION_STATE__SESSION_LIVE);
}

static void report_pushed(struct core *core, struct report *r)
{
	const Maestro__AttemptReport *m = r->message;

	if (!m->commit || !name_commit_valid(m->commit))
		return;
	task_move(core, r->fx, r->task, CAUSE_RUN, NULL); /* if its RUNNING was overtaken */
	if (!task_may_move(r->task, CAUSE_PUSHED))
		return;
	set_text(r->fx, &r->task->row.commit_id, m->commit);
	set_text(r->fx, &r->attempt->row.commit_id, m->commit);
	if (m->base_commit)
		set_text(r->fx, &r->attempt->row.base_commit, m->base_commit);
	if (m->branch && name_branch_valid(m->branch))
		set_text(r->fx, &r->attempt->row.branch, m->branch);
	r->task->row.stopping = false;
	task_move(core, r->fx, r->task, CAUSE_PUSHED, r->reason); /* what was left out, or why a later push failed */
	set_session(core, r, m->has_session_live && m->session_live ? MAESTRO__SESSION_STATE__SESSION_LIVE :
								      MAESTRO__SESSION_STATE__SESSION_ENDED);
}

static void note_exit(struct report *r)
{
	if (!r->message->has_exit_code)
		return;
	r->attempt->row.has_exit_code = r->task->row.has_exit_code = true;
	r->attempt->row.exit_code = r->task->row.exit_code = r->message->exit_code;
}

/* Failed, unless somebody had asked for the end; tried again where the submit allows it. */
static void fail(struct core *core, struct report *r, const char *reason)
{
	struct task *task = r->task;

	if (task->row.stopping) {
		task_move(core, r->fx, task, CAUSE_STOP, reason);
		return;
	}
	if (!task_move(core, r->fx, task, CAUSE_FAIL, reason))
		return;
	if (!str_starts(str_or(reason, ""), "push:"))
		task_retry_by_itself(core, r->fx, task);
}

static void report_exited(struct core *core, struct report *r)
{
	char text[64];
	int32_t code = r->message->has_exit_code ? r->message->exit_code : 0;

	note_exit(r);
	task_move(core, r->fx, r->task, CAUSE_RUN, NULL);
	end_session(core, r);
	if (!is_live(r))
		return;
	if (r->message->has_signal)
		snprintf(text, sizeof(text), "ended by signal %d", r->message->signal);
	else
		snprintf(text, sizeof(text), "exit code %d", code);
	if (code || r->message->has_signal)
		fail(core, r, r->reason ? r->reason : text);
	else
		task_move(core, r->fx, r->task, CAUSE_FINISH, r->reason);
}

/* After the first failure, the second, and so on. */
static const uint64_t retry_delays_ms[] = { 5000, 30000, 120000 };

/* A start that failed for a passing reason goes back to the queue, a few times, and not at once. */
static bool requeue(struct core *core, struct report *r, const char *reason)
{
	struct task *task = r->task;
	size_t last = ARRAY_SIZE(retry_delays_ms) - 1, n = task->row.start_failures;

	if (task->row.state != STARTING || task->row.stopping || r->attempt->row.push_of ||
		task->row.start_failures >= core->config.start_retries)
		return false;
	task->row.start_failures++;
	task->retry_at_ms = core->now_ms + retry_delays_ms[n < last ? n : last];
	return task_move(core, r->fx, task, CAUSE_REQUEUE, reason);
}

static void report_failed(struct core *core, struct report *r)
{
	note_exit(r);
	end_session(core, r);
	if (!is_live(r))
		return;
	if (r->message->has_retryable && r->message->retryable && requeue(core, r, r->reason))
		return;
	fail(core, r, r->reason ? r->reason : "the worker gave no reason");
}

static void report_stopped(struct core *core, struct report *r)
{
	note_exit(r);
	end_session(core, r);
	task_move(core, r->fx, r->task, CAUSE_STOP, r->reason ? r->reason : "stopped");
}

static void report_ended(struct core *core, struct report *r)
{
	note_exit(r);
	end_session(core, r);
	if (r->message->has_exit_code)
		effect_put(r->fx, ROW_TASK, &r->task->row);
}

static void report_tombstone(struct core *core, struct report *r)
{
	if (requeue(core, r, "it never started"))
		return;
	if (r->task->row.state == STARTING)
		fail(core, r, r->reason ? r->reason : "it never started");
	else
		task_move(core, r->fx, r->task, CAUSE_LOSE, "its worker says that it never started");
}

static void (*const phases[])(struct core *core, struct report *report) = {
	[MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED] = report_accepted,
	[MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING] = report_running,
	[MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED] = report_pushed,
	[MAESTRO__ATTEMPT_PHASE__PHASE_EXITED] = report_exited,
	[MAESTRO__ATTEMPT_PHASE__PHASE_FAILED] = report_failed,
	[MAESTRO__ATTEMPT_PHASE__PHASE_STOPPED] = report_stopped,
	[MAESTRO__ATTEMPT_PHASE__PHASE_ENDED] = report_ended,
	[MAESTRO__ATTEMPT_PHASE__PHASE_TOMBSTONE] = report_tombstone,
};

/* The attempt, if this worker may speak of it under this run_id. */
static struct attempt *own_attempt(struct worker *worker, struct task *task, uint32_t number,
	const ProtobufCBinaryData *run_id)
{
	struct attempt *attempt = task ? find_attempt(task, number) : NULL;

	if (!attempt || strcmp(attempt->row.worker, worker->row.name) != 0 || run_id->len != attempt->row.run_id.len ||
		memcmp(run_id->data, attempt->row.run_id.data, run_id->len) != 0)
		return NULL;
	return attempt;
}

/* Nothing runs after it. */
static bool is_last(Maestro__AttemptPhase phase)
{
	return phase != MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED && phase != MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING &&
		phase != MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED;
}

static void take_report(struct core *core, struct report *r)
{
	bool newest = r->attempt == current_attempt(r->task);

	if (r->message->has_reason && r->message->reason.len) {
		size_t len = r->message->reason.len < LIMIT_REASON_BYTES ? r->message->reason.len : LIMIT_REASON_BYTES;

		if (row_set_textn(&r->reason, r->message->reason.data, len))
			r->fx->error = -ENOMEM;
	}
	if (newest && !task_state_over((Maestro__TaskState)r->attempt->row.state) &&
		(size_t)r->message->phase < ARRAY_SIZE(phases) && phases[r->message->phase])
		phases[r->message->phase](core, r);
	else if (is_last(r->message->phase))
		end_session(core, r);
	removal_continue(core, r->fx, r->task);
}

/* What a worker may well say: of a task that was removed, or of another run of an attempt, from before a backup was
 * restored. */
static bool forgotten(const struct core *core, const struct task *task, const Maestro__AttemptReport *message)
{
	if (!task)
		return message->task < core->next_task;
	return core->trusted && message->attempt <= task->attempt_count;
}

/* It changes nothing. Its worker may forget it, unless an admin has yet to say whether this is the right database:
 * a report that nobody takes would be repeated and kept for ever. */
static void refuse_report(struct core *core, struct worker *worker, const struct report *r)
{
	if (core->question || !forgotten(core, r->task, r->message))
		record_event(core, r->fx, "worker.refused", r->task, worker->row.name,
			"it reported an attempt that it was not given");
	if (!core->question)
		acknowledge(r->fx, worker->row.name, r->message->number);
}

void handle_report(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx)
{
	const Maestro__AttemptReport *message = envelope->attempt_report;
	struct report r = { .message = message, .task = find_task(core, message->task), .fx = fx };

	r.attempt = own_attempt(worker, r.task, message->attempt, &message->run_id);
	if (!r.attempt) {
		if (is_last(message->phase) && message->run_id.len == 16)
			stranger_ended(core, fx, worker, message->run_id.data);
		refuse_report(core, worker, &r);
		return;
	}
	if (message->number > r.attempt->row.last_report) {
		r.attempt->row.last_report = message->number;
		effect_put(fx, ROW_ATTEMPT, &r.attempt->row);
		take_report(core, &r);
	}
	acknowledge(fx, worker->row.name, message->number);
	free(r.reason);
}

/* --- push grants --------------------------------------------------------------------------------------------- */

static const char *refuse_push(const struct core *core, const struct task *task, const struct attempt *attempt,
	const char *commit)
{
	if (!attempt)
		return "this attempt was not given to this worker";
	if (attempt != current_attempt(task))
		return "there is a newer attempt";
	if (task->row.state != STARTING && task->row.state != RUNNING && task->row.state != REVIEW)
		return "the task is over";
	if (task->row.stopping)
		return "the task is being stopped";
	if (!name_commit_valid(commit))
		return "that is no commit";
	return NULL;
}

static void send_refusal(struct core_effects *fx, const char *worker, uint64_t request, const char *why)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;

	failure.code = MAESTRO__FAILURE_CODE__FAILURE_NOT_ALLOWED;
	failure.has_what = failure.has_why = true;
	failure.what = bytes_of("push");
	failure.why = bytes_of(why);
	envelope.has_reply_to = true;
	envelope.reply_to = request;
	envelope.body_case = BODY(FAILURE);
	envelope.failure = &failure;
	effect_send(fx, worker, &envelope);
}

void handle_push_request(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__PushRequest *request = envelope->push_request;
	struct task *task = find_task(core, request->task);
	struct attempt *attempt = own_attempt(worker, task, request->attempt, &request->run_id);
	Maestro__Envelope answer = MAESTRO__ENVELOPE__INIT;
	Maestro__PushGrant grant = MAESTRO__PUSH_GRANT__INIT;
	const char *why = refuse_push(core, task, attempt, request->commit);
	char tag[5];

	if (why) {
		if (!attempt && task && find_attempt(task, request->attempt))
			record_event(core, fx, "worker.refused", task, worker->row.name,
				"it asked to push an attempt that it was not given");
		send_refusal(fx, worker->row.name, envelope->request, why);
		return;
	}
	attempt->row.granted_ms = core->wall_ms;
	effect_put(fx, ROW_ATTEMPT, &attempt->row);
	id_hex(core->config.cluster_id, 2, tag);
	grant.lease_ms = (uint32_t)core->config.lease_ms;
	grant.last_pushed = attempt->row.commit_id;
	grant.has_cluster_tag = true;
	grant.cluster_tag = bytes_of(tag);
	answer.has_reply_to = true;
	answer.reply_to = envelope->request;
	answer.body_case = BODY(PUSH_GRANT);
	answer.push_grant = &grant;
	effect_send(fx, worker->row.name, &answer);
}

/* --- agent status -------------------------------------------------------------------------------------------- */

#define STATUS_STORE_MS 1000u

static void store_status(struct core *core, struct core_effects *fx, struct task *task)
{
	list_remove(&task->dirty);
	task->status_stored_ms = core->now_ms;
	effect_put(fx, ROW_STATUS, &task->status);
}

static void copy_status_bytes(struct core_effects *fx, struct row_blob *field, bool has, const ProtobufCBinaryData *data)
{
	size_t len = !has ? 0 : data->len < LIMIT_STATUS_BYTES ? data->len : LIMIT_STATUS_BYTES;

	if (row_set_blob(field, data->data, len))
		fx->error = -ENOMEM;
}

static bool is_question(const struct task *task, const Maestro__AgentStatus *status)
{
	bool same = task->has_status && task->status.state == MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT &&
		task->status.attempt == task->row.attempt && task->status.message.len == status->message.len &&
		(!status->message.len ||
			memcmp(task->status.message.data, status->message.data, status->message.len) == 0);

	return status->state == MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT && !same;
}

static void take_status(struct core *core, struct core_effects *fx, struct task *task, const Maestro__AgentStatus *status)
{
	struct status_row *row = &task->status;
	uint64_t age = status->has_age_ms && status->age_ms <= core->now_ms ? status->age_ms : 0;

	row->task = task->row.id;
	row->attempt = task->row.attempt;
	row->state = (int32_t)status->state;
	row->source = status->has_source ? (int32_t)status->source : 0;
	copy_status_bytes(fx, &row->message, status->has_message, &status->message);
	copy_status_bytes(fx, &row->file, status->has_file, &status->file);
	row->has_progress = status->has_progress;
	row->progress = status->progress > 100 ? 100 : status->progress;
	row->time_ms = core->wall_ms - (int64_t)age;
	task->status_at_ms = (int64_t)(core->now_ms - age);
	task->limited_ms = status->has_limited_ms ? status->limited_ms : 0;
	task->has_status = true;
}

#define LIMITED_MAX_MS (8 * 24 * 3600 * UINT64_C(1000)) /* the longest that is believed: some accounts count by the week */

/* A limited account stops new starts of its agent there, until the same session says something else or time passes: the
 * time that it named, else a while. An error says nothing of it. */
static void note_limit(struct core *core, struct core_effects *fx, struct worker *worker, const struct task *task,
	const Maestro__AgentStatus *status)
{
	uint64_t said_ms = task->limited_ms < LIMITED_MAX_MS ? task->limited_ms : LIMITED_MAX_MS;
	uint64_t until_ms = (uint64_t)task->status_at_ms + (said_ms ? said_ms : core->config.limited_ms);

	if (!task->agent || agent_is_builtin(task->row.agent))
		return;
	if (status->state == MAESTRO__AGENT_STATE__AGENT_LIMITED && until_ms > core->now_ms)
		worker_limit_agent(core, fx, worker, task, until_ms);
	else if (status->state != MAESTRO__AGENT_STATE__AGENT_LIMITED &&
		 status->state != MAESTRO__AGENT_STATE__AGENT_ERROR)
		worker_limit_agent(core, fx, worker, task, 0);
}

void handle_status(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx)
{
	const Maestro__StatusReport *report = envelope->status_report;
	struct task *task = find_task(core, report->task);
	const struct attempt *attempt = task ? current_attempt(task) : NULL;
	_cleanup_free_ char *text = NULL;
	bool question;

	if (!attempt || attempt->row.attempt != report->attempt || strcmp(attempt->row.worker, worker->row.name) != 0 ||
		task_state_over((Maestro__TaskState)task->row.state))
		return;
	question = is_question(task, report->status);
	take_status(core, fx, task, report->status);
	effect_status(fx, task->row.id, task->row.attempt);
	if (question) {
		text = bytes_dup(&report->status->message);
		record_event(core, fx, "task.question", task, worker->row.name, text);
		store_status(core, fx, task);
	} else if (core->now_ms - task->status_stored_ms >= STATUS_STORE_MS) {
		store_status(core, fx, task);
	} else if (!list_linked(&task->dirty)) {
		task->status_due_ms = core->now_ms + STATUS_STORE_MS;
		list_append(&core->dirty, &task->dirty);
	}
	note_limit(core, fx, worker, task, report->status);
}

void status_tick(struct core *core, struct core_effects *fx)
{
	struct task *task, *next;

	list_for_each_safe (task, next, &core->dirty, dirty) {
		if (task->status_due_ms > core->now_ms)
			return;
		store_status(core, fx, task);
	}
}

uint64_t status_deadline(const struct core *core)
{
	const struct task *task = list_first(&core->dirty, struct task, dirty);

	return task ? task->status_due_ms : UINT64_MAX;
}
