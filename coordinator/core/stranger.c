/* Live sessions of runs that this database never gave out: of a time that a restored backup has forgotten, or of another
 * coordinator. Each waits in quarantine (it runs, and publishes nothing) until an admin has said what becomes of it.
 *
 * "adopt" is true or refused: the worker tells the order that started the session, and that becomes the task, under its
 * own number and run, so that the worker's next inventory fits it like any other. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

Maestro__Verdict stranger_judge(struct core *core, struct core_effects *fx, struct worker *worker,
	const struct inventory_entry *entry)
{
	const struct question *question = question_find_run(core, entry->run_id);
	char text[200];

	if (!question) {
		snprintf(text, sizeof(text),
			"worker %s runs a session of task %" PRIu64 ", attempt %u, that this database never started", worker->row.name,
			entry->task, entry->attempt);
		question_ask(core, fx, QUESTION_SESSION, worker, entry, text);
		return MAESTRO__VERDICT__VERDICT_QUARANTINE;
	}
	return question->row.answer && strcmp(question->row.answer, "end") == 0 ? MAESTRO__VERDICT__VERDICT_END :
										  MAESTRO__VERDICT__VERDICT_QUARANTINE;
}

static bool is_shown(const struct worker *worker, const struct question *question)
{
	for (size_t i = 0; i < worker->inventory_count; i++)
		if (memcmp(worker->inventory[i].run_id, question->row.run_id.data, 16) == 0)
			return inventory_live(&worker->inventory[i]);
	return false;
}

static bool is_of(const struct question *question, const char *worker)
{
	return !question->row.answer && question->row.run_id.len == 16 &&
		strcmp(str_or(question->row.worker, ""), worker) == 0;
}

static void withdraw(struct core *core, struct core_effects *fx, struct question *question)
{
	question_settle(core, fx, question, "gone", NULL);
}

void strangers_sweep(struct core *core, struct core_effects *fx, const struct worker *worker)
{
	for (struct question *q = core->questions; q; q = q->hh.next)
		if (is_of(q, worker->row.name) && !is_shown(worker, q))
			withdraw(core, fx, q);
}

void strangers_forget(struct core *core, struct core_effects *fx, const char *worker)
{
	for (struct question *q = core->questions; q; q = q->hh.next)
		if (is_of(q, worker))
			withdraw(core, fx, q);
}

void stranger_ended(struct core *core, struct core_effects *fx, const struct worker *worker, const uint8_t run_id[16])
{
	struct question *question = question_find_run(core, run_id);

	if (question && is_of(question, worker->row.name))
		withdraw(core, fx, question);
}

/* --- end, keep ------------------------------------------------------------------------------------------------ */

/* It comes again and is judged by the answer. */
static void call_back(struct core *core, struct core_effects *fx, const struct question *question)
{
	const struct worker *worker = find_worker(core, question->row.worker);

	if (worker && worker->phase != WORKER_AWAY)
		effect_disconnect(fx, worker->row.name, "a question about its sessions was answered: come again");
}

bool stranger_end(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event)
{
	question_settle(core, fx, question, "end", event->client.actor);
	call_back(core, fx, question);
	reply_done(fx, &event->client, "the session is ended after a checkpoint; its worktree stays on worker %s",
		question->row.worker);
	return true;
}

bool stranger_keep(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event)
{
	question_settle(core, fx, question, "keep", event->client.actor);
	reply_done(fx, &event->client, "the session runs on on worker %s, and publishes nothing", question->row.worker);
	return true;
}

/* --- adopt ---------------------------------------------------------------------------------------------------- */

static bool refuse(struct core_effects *fx, const struct core_client *client, const struct question *question,
	const char *hint, const char *why)
{
	char what[48];

	snprintf(what, sizeof(what), "question %" PRIu64, question->row.id);
	reply_failure(fx, client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, what, hint, "%s", why);
	return false;
}

bool stranger_adopt(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__DescribeAttempt describe = MAESTRO__DESCRIBE_ATTEMPT__INIT;

	if (question->adopting)
		return refuse(fx, &event->client, question, NULL, "its worker is being asked already");
	if (find_task(core, question->row.task))
		return refuse(fx, &event->client, question, "choose end or keep", "its number belongs to another task by now");
	if (!worker_is_up(core, question->row.worker))
		return refuse(fx, &event->client, question, "try again when it is back", "its worker is not connected");
	question->adopting = true;
	question->client = event->client;
	question->client.actor = NULL;
	set_text(fx, &question->actor, event->client.actor);
	describe.task = question->row.task;
	describe.attempt = question->row.attempt;
	envelope.body_case = BODY(DESCRIBE_ATTEMPT);
	envelope.describe_attempt = &describe;
	effect_ask(fx, question->row.worker, describe.task, describe.attempt, &envelope);
	return true;
}

/* What was asked for, as far as the order to start it tells. */
static Maestro__Submit *submit_of(const Maestro__Start *start, const char *actor)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	char *agents[] = { start->agent };

	submit.project = start->project->name;
	submit.n_agents = 1;
	submit.agents = agents;
	submit.base_branch = start->base_branch;
	submit.has_title = start->has_title;
	submit.title = start->title;
	submit.prompt = start->prompt;
	submit.has_cols = start->has_cols;
	submit.cols = start->cols;
	submit.has_rows = start->has_rows;
	submit.rows = start->rows;
	submit.has_max_time_ms = start->has_max_time_ms;
	submit.max_time_ms = start->max_time_ms;
	submit.has_max_idle_ms = start->has_max_idle_ms;
	submit.max_idle_ms = start->max_idle_ms;
	submit.has_model = start->has_model;
	submit.model = start->model;
	submit.has_permission = start->has_permission;
	submit.permission = start->permission;
	submit.author = start->author;
	submit.has_submitter = true;
	submit.submitter = bytes_of(str_or(actor, ""));
	return message_copy(&submit);
}

static struct task *make_task(struct core *core, struct core_effects *fx, const struct question *question,
	const Maestro__Start *start)
{
	struct task *task = add_task(core, start->task);

	if (!task) {
		fx->error = -ENOMEM;
		return NULL;
	}
	task->row.state = QUEUED;
	task->row.created_ms = core->wall_ms;
	task->spec = submit_of(start, question->actor);
	if (!task->spec)
		fx->error = -ENOMEM;
	if (fx->error)
		return NULL;
	set_text(fx, &task->row.project, start->project->name);
	set_text(fx, &task->row.agent, start->agent);
	set_text(fx, &task->row.base_branch, start->base_branch);
	set_bytes(fx, &task->row.title, &start->title);
	task_set_slug(fx, task, task->spec);
	effect_put(fx, ROW_TASK, &task->row);
	task_put_spec(fx, task);
	return task;
}

/* Those before it are known to nobody any more. */
static struct attempt *make_attempt(struct core *core, struct core_effects *fx, struct task *task, struct worker *worker,
	const Maestro__AttemptDescription *about)
{
	static const uint8_t unknown[16];
	const Maestro__Start *start = about->start;
	struct attempt *attempt;

	if (start->attempt > 1)
		restore_take_attempt(core, fx, task, worker, start->attempt - 1, unknown);
	attempt = fx->error ? NULL : add_attempt(task);
	if (!attempt || row_set_blob(&attempt->row.run_id, start->run_id.data, start->run_id.len)) {
		fx->error = -ENOMEM;
		return NULL;
	}
	set_text(fx, &attempt->row.worker, worker->row.name);
	attempt_hold(core, attempt);
	set_text(fx, &attempt->row.branch, about->entry->branch ? about->entry->branch : start->branch);
	task->row.attempt = attempt->row.attempt;
	return attempt;
}

static void adopt(struct core *core, struct core_effects *fx, struct question *question,
	const Maestro__AttemptDescription *about)
{
	struct worker *worker = find_worker(core, question->row.worker);
	struct task *task = make_task(core, fx, question, about->start);
	struct attempt *attempt = task ? make_attempt(core, fx, task, worker, about) : NULL;

	if (!attempt)
		return;
	task_move(core, fx, task, CAUSE_ASSIGN, NULL);
	if (about->entry->phase != MAESTRO__ATTEMPT_PHASE__PHASE_ACCEPTED)
		task_move(core, fx, task, CAUSE_RUN, NULL);
	attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_LIVE);
	if (about->entry->commit && name_commit_valid(about->entry->commit)) {
		set_text(fx, &task->row.commit_id, about->entry->commit);
		set_text(fx, &attempt->row.commit_id, about->entry->commit);
		task_move(core, fx, task, CAUSE_PUSHED, NULL);
	}
	effect_put(fx, ROW_ATTEMPT, &attempt->row);
	worker_note_project(core, fx, worker, task->project);
	core->actor = question->actor;
	question_settle(core, fx, question, "adopt", question->actor);
	call_back(core, fx, question);
	reply_done(fx, &question->client, "the session is task %" PRIu64 " now", task->row.id);
	core->want_schedule = true;
}

/* What keeps the session that was described from being a task here, NULL: nothing. */
static const char *obstacle(const struct core *core, const struct question *question,
	const Maestro__AttemptDescription *about, const char **ret_hint)
{
	const Maestro__Start *start = about->start;

	*ret_hint = "choose end or keep";
	if (start->run_id.len != 16 || memcmp(start->run_id.data, question->row.run_id.data, 16) != 0 ||
		start->task != question->row.task || start->attempt != question->row.attempt || !start->attempt)
		return "its worker has another session under that number by now";
	if (!about->entry->session_live)
		return "the session is not live";
	if (find_task(core, start->task))
		return "its number belongs to another task by now";
	if (!name_branch_valid(start->branch) || !name_branch_valid(start->base_branch) || !name_valid(start->agent))
		return "its order is not valid";
	*ret_hint = "add its project with `maestro project add`, under the same name, then answer again";
	return find_project(core, start->project->name) ? NULL : "its project is not known here";
}

static void describe_failed(struct core_effects *fx, const struct core_event *event, const struct question *question)
{
	_cleanup_free_ char *why = NULL;

	if (event->envelope && event->envelope->body_case == BODY(FAILURE))
		why = bytes_dup(&event->envelope->failure->why);
	refuse(fx, &question->client, question, "choose end or keep, or try again",
		why && *why ? why : "its worker did not say what the session is");
}

bool stranger_described(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	const Maestro__AttemptDescription *about;
	struct question *question = core->questions;
	const char *why, *hint;

	while (question && !(question->adopting && question->row.task == event->task && question->row.attempt == event->attempt))
		question = question->hh.next;
	if (!question)
		return false;
	question->adopting = false;
	if (question->row.answer) {
		refuse(fx, &question->client, question, NULL, "it was answered meanwhile");
		return true;
	}
	if (!event->envelope || event->envelope->body_case != BODY(ATTEMPT_DESCRIPTION)) {
		describe_failed(fx, event, question);
		return true;
	}
	about = event->envelope->attempt_description;
	why = obstacle(core, question, about, &hint);
	if (why)
		refuse(fx, &question->client, question, hint, why);
	else
		adopt(core, fx, question, about);
	return true;
}
