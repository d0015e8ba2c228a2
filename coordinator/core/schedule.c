/* Which queued task goes where: priority, then age; then the worker with most free slots of those that may have it,
 * one that had the project before if it is a tie of sorts. Says of every task that stays why it waits. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

bool agent_is_builtin(const char *agent)
{
	return strcmp(agent, "command") == 0 || strcmp(agent, "shell") == 0;
}

static bool worker_has_agent(const struct worker *worker, const char *agent)
{
	if (agent_is_builtin(agent))
		return true;
	for (size_t i = 0; worker->info && i < worker->info->n_agents; i++)
		if (strcmp(worker->info->agents[i]->name, agent) == 0)
			return true;
	return false;
}

bool agent_known(const struct core *core, const char *agent)
{
	if (agent_is_builtin(agent))
		return true;
	for (const struct worker *w = core->workers; w; w = w->hh.next)
		if (worker_has_agent(w, agent))
			return true;
	return false;
}

static bool worker_has_label(const struct worker *worker, const Maestro__Label *label)
{
	for (size_t i = 0; worker->info && i < worker->info->n_labels; i++)
		if (strcmp(worker->info->labels[i]->key, label->key) == 0 &&
			strcmp(worker->info->labels[i]->value, label->value) == 0)
			return true;
	return false;
}

static bool worker_allows(const struct worker *worker, const char *project)
{
	if (!worker->info || !worker->info->n_projects)
		return true;
	for (size_t i = 0; i < worker->info->n_projects; i++)
		if (strcmp(worker->info->projects[i], project) == 0)
			return true;
	return false;
}

static uint32_t free_slots(const struct worker *worker)
{
	uint32_t slots = worker->info ? worker->info->slots : 0;

	return slots > worker->used ? slots - worker->used : 0;
}

/* How often each reason kept a worker from having the task. */
struct obstacles {
	uint32_t away, held, full, agent, project, label;
	const Maestro__Label *missing;
};

static bool worker_fits(const struct worker *worker, const struct task *task, struct obstacles *obstacles)
{
	if (worker->phase != WORKER_UP || worker->state != MAESTRO__WORKER_STATE__WORKER_READY) {
		obstacles->away++;
		return false;
	}
	if (worker->row.cordoned || worker->row.draining) {
		obstacles->held++;
		return false;
	}
	if (!worker_allows(worker, task->row.project)) {
		obstacles->project++;
		return false;
	}
	if (!worker_has_agent(worker, task->row.agent)) {
		obstacles->agent++;
		return false;
	}
	for (size_t i = 0; task->spec && i < task->spec->n_labels; i++) {
		if (!worker_has_label(worker, task->spec->labels[i])) {
			obstacles->label++;
			obstacles->missing = task->spec->labels[i];
			return false;
		}
	}
	if (!free_slots(worker)) {
		obstacles->full++;
		return false;
	}
	return true;
}

static bool had_project(const struct core *core, const struct worker *worker, const char *project)
{
	for (const struct task *t = core->tasks; t; t = t->hh.next) {
		const struct attempt *attempt = current_attempt(t);

		if (attempt && strcmp(t->row.project, project) == 0 &&
			strcmp(attempt->row.worker, worker->row.name) == 0)
			return true;
	}
	return false;
}

static void say(struct buf *out, const char *format, uint32_t count, const char *noun)
{
	if (!count)
		return;
	buf_printf(out, "%s%u %s%s ", out->len ? ", " : "", count, noun, count == 1 ? "" : "s");
	buf_append_str(out, format);
}

static void explain(const struct core *core, const struct task *task, const struct obstacles *o, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf label = BUF_NULL;
	uint32_t here = HASH_COUNT(core->workers) - o->away;

	if (!here) {
		buf_append_str(out, "no worker is connected");
		return;
	}
	if (o->missing)
		buf_printf(&label, "lack%s label %s=%s", o->label == 1 ? "s" : "", o->missing->key, o->missing->value);
	say(out, buf_text(&label), o->label, "worker");
	buf_clear(&label);
	buf_printf(&label, "lack%s agent %s", o->agent == 1 ? "s" : "", task->row.agent);
	say(out, buf_text(&label), o->agent, "worker");
	buf_clear(&label);
	buf_printf(&label, "may not have project %s", task->row.project);
	say(out, buf_text(&label), o->project, "worker");
	say(out, o->held == 1 ? "is cordoned or draining" : "are cordoned or draining", o->held, "worker");
	say(out, o->full == 1 ? "is full" : "are full", o->full, "worker");
	say(out, o->away == 1 ? "is away" : "are away", o->away, "worker");
}

static struct worker *choose(struct core *core, const struct task *task, struct buf *out)
{
	struct obstacles obstacles = { 0 };
	struct worker *best = NULL;
	uint64_t best_score = 0;

	for (struct worker *w = core->workers; w; w = w->hh.next) {
		uint64_t score;

		if (!worker_fits(w, task, &obstacles))
			continue;
		score = (uint64_t)free_slots(w) * 2 + had_project(core, w, task->row.project);
		if (!best || score > best_score ||
			(score == best_score && strcmp(w->row.name, best->row.name) < 0)) {
			best = w;
			best_score = score;
		}
	}
	if (!best)
		explain(core, task, &obstacles, out);
	return best;
}

static bool ended_badly(int state)
{
	return state == FAILED || state == CANCELLED || state == LOST || state == REJECTED;
}

/* What it comes after: 0 nothing any more, 1 it waits (and for what), -1 one ended badly (and why). */
static int check_after(const struct core *core, const struct task *task, struct buf *out)
{
	for (size_t i = 0; task->spec && i < task->spec->n_after; i++) {
		const struct task *before = find_task(core, task->spec->after[i]);

		if (!before || before->row.state == MERGED || before->row.state == DONE)
			continue; /* only what ended well can be removed and leave somebody waiting */
		if (ended_badly(before->row.state)) {
			buf_clear(out);
			buf_printf(out, "task %" PRIu64 ", which this comes after, is %s", before->row.id,
				name_task_state((Maestro__TaskState)before->row.state));
			return -1;
		}
		buf_printf(out, "%s%" PRIu64, out->len ? ", " : "after ", before->row.id);
	}
	return out->len ? 1 : 0;
}

static bool project_usable(const struct core *core, const struct task *task, struct buf *out)
{
	const struct project *project = find_project(core, task->row.project);

	if (!project)
		buf_printf(out, "project %s is gone", task->row.project);
	else if (!task->row.base_branch && !str_or(project->row.base_branch, "")[0])
		buf_printf(out, "project %s: %s", project->row.name,
			project->row.reason ? project->row.reason : "no worker has reached its repository yet");
	else
		return true;
	return false;
}

static void assign(struct core *core, struct core_effects *fx, struct task *task, struct worker *worker)
{
	struct attempt *attempt = add_attempt(task);
	const struct project *project = find_project(core, task->row.project);
	char branch[NAME_BRANCH_MAX];
	uint8_t run_id[16];

	if (!attempt) {
		fx->error = -ENOMEM;
		return;
	}
	core->config.random(run_id, sizeof(run_id));
	task->row.attempt = attempt->row.attempt;
	if (!task->row.base_branch)
		set_text(fx, &task->row.base_branch, project->row.base_branch);
	name_branch(task->row.id, task->row.slug, attempt->row.attempt, branch);
	set_text(fx, &attempt->row.worker, worker->row.name);
	set_text(fx, &attempt->row.branch, branch);
	if (row_set_blob(&attempt->row.run_id, run_id, sizeof(run_id)))
		fx->error = -ENOMEM;
	task_move(core, fx, task, CAUSE_ASSIGN, NULL);
	worker_send_start(core, fx, task);
}

/* NULL: assigned, or over. */
static const char *place(struct core *core, struct core_effects *fx, struct task *task, struct buf *why)
{
	struct worker *worker;
	int after = check_after(core, task, why);

	if (after < 0) {
		task_move(core, fx, task, CAUSE_STOP, buf_text(why));
		return NULL;
	}
	if (after > 0)
		return buf_text(why);
	if (core->paused)
		return "the queue is paused";
	if (!project_usable(core, task, why))
		return buf_text(why);
	worker = choose(core, task, why);
	if (!worker)
		return buf_text(why);
	assign(core, fx, task, worker);
	return NULL;
}

static void set_waiting(struct core_effects *fx, struct task *task, const char *why)
{
	if (strcmp(str_or(task->waiting_for, ""), str_or(why, "")) == 0)
		return;
	set_text(fx, &task->waiting_for, why);
	effect_changed_task(fx, task->row.id);
}

static int compare_tasks(const void *a, const void *b)
{
	const struct task *x = *(struct task *const *)a, *y = *(struct task *const *)b;

	if (x->row.priority != y->row.priority)
		return x->row.priority > y->row.priority ? -1 : 1;
	return x->row.id < y->row.id ? -1 : x->row.id > y->row.id;
}

/* The queue in its order; a copy, since placing a task takes it out. */
static struct task **sorted_queue(struct core *core, size_t *ret_count)
{
	struct task **tasks, *task;
	size_t n = 0;

	list_for_each(task, &core->queued, queued)
		n++;
	tasks = calloc(n ? n : 1, sizeof(*tasks));
	if (!tasks)
		return NULL;
	n = 0;
	list_for_each(task, &core->queued, queued)
		tasks[n++] = task;
	qsort(tasks, n, sizeof(*tasks), compare_tasks);
	*ret_count = n;
	return tasks;
}

void schedule(struct core *core, struct core_effects *fx)
{
	do {
		_cleanup_free_ struct task **tasks = NULL;
		size_t n = 0;

		core->want_schedule = false; /* set again when a task ends here and others come after it */
		tasks = sorted_queue(core, &n);
		if (!tasks) {
			fx->error = -ENOMEM;
			return;
		}
		for (size_t i = 0; i < n && !fx->error; i++) {
			_cleanup_(buf_deinit) struct buf why = BUF_NULL;

			set_waiting(fx, tasks[i], place(core, fx, tasks[i], &why));
		}
	} while (core->want_schedule && !fx->error && !list_empty(&core->queued));
}
