/* Who is next, and where it goes.
 *
 * Who: the highest priority; in it the project that holds fewest slots, or was served longest ago; in that the
 * submitter likewise; then the oldest task. Where: the worker with the largest share of its slots free, where having
 * the project's mirror counts for a quarter of them.
 *
 * A pass costs what it places, plus for each shape of task that is waiting its flows and the workers that changed since
 * the last pass (shape.h): the tasks behind the first of each flow are not looked at. Slots are only taken during a pass, so a
 * shape that found nothing is done with. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One pass over the flows that hold something. */
struct pass {
	struct core *core;
	struct core_effects *fx;
	struct flow **flows;
	size_t count;
};

/* --- what keeps a whole shape back ------------------------------------------------------------------------------ */

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

static bool share_free(const struct share *share, const char *kind, struct buf *out)
{
	if (!share->limit || share->used < share->limit)
		return true;
	buf_printf(out, "%s %s uses its %u slot%s", kind, share->name, share->limit, share->limit == 1 ? "" : "s");
	return false;
}

/* NULL, and in words why. */
static struct worker *choose(struct pass *pass, struct shape *shape, const struct task *task, struct buf *why)
{
	struct worker *worker;
	char hint[80];

	if (pass->core->question) {
		buf_printf(why, "a backup was restored, it seems: an admin has to say so first%s",
			question_hint(pass->core, QUESTION_RESTORED, hint, sizeof(hint)));
		return NULL;
	}
	if (pass->core->paused) {
		buf_append_str(why, "the queue is paused");
		return NULL;
	}
	if (!project_usable(pass->core, task, why) || !share_free(shape->project, "project", why) ||
		!share_free(shape->agent, "agent", why))
		return NULL;
	worker = shape_best(pass->core, pass->fx, shape);
	if (!worker && !pass->fx->error)
		shape_explain(pass->core, shape, why);
	return worker;
}

static void set_why(struct pass *pass, struct shape *shape, const char *why)
{
	if (strcmp(str_or(shape->why, ""), str_or(why, "")) == 0)
		return;
	set_text(pass->fx, &shape->why, why);
	shape->untold = pass->core->untold = true;
}

/* --- placing ---------------------------------------------------------------------------------------------------- */

void assign_attempt(struct core *core, struct core_effects *fx, struct task *task, struct worker *worker, uint32_t push_of)
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
	attempt->row.push_of = push_of;
	if (push_of)
		snprintf(branch, sizeof(branch), "%s", find_attempt(task, push_of)->row.branch);
	else
		name_branch(task->row.id, task->row.slug, attempt->row.attempt, branch);
	set_text(fx, &attempt->row.worker, worker->row.name);
	set_text(fx, &attempt->row.branch, branch);
	if (row_set_blob(&attempt->row.run_id, run_id, sizeof(run_id)))
		fx->error = -ENOMEM;
	attempt_hold(core, attempt);
	worker_note_project(core, fx, worker, task->project);
	task->project->served = task->submitter->served = ++core->placed;
	task_move(core, fx, task, CAUSE_ASSIGN, NULL);
	worker_send_start(core, fx, task);
}

/* Below 0: a goes first. */
static int compare_shares(const struct share *a, const struct share *b)
{
	if (a->used != b->used)
		return a->used < b->used ? -1 : 1;
	return a->served < b->served ? -1 : a->served > b->served;
}

static bool goes_first(const struct flow *a, const struct flow *b)
{
	const struct task *x = list_first(&a->tasks, struct task, queued), *y = list_first(&b->tasks, struct task, queued);
	int order;

	if (a->key.priority != b->key.priority)
		return a->key.priority > b->key.priority;
	order = compare_shares(a->key.shape->project, b->key.shape->project);
	if (!order)
		order = compare_shares(a->key.submitter, b->key.submitter);
	return order ? order < 0 : x->row.id < y->row.id;
}

static struct flow *pick(const struct pass *pass)
{
	struct flow *first = NULL;

	for (size_t i = 0; i < pass->count; i++) {
		struct flow *flow = pass->flows[i];

		if (!flow->key.shape->blocked && !list_empty(&flow->tasks) && (!first || goes_first(flow, first)))
			first = flow;
	}
	return first;
}

static void place_all(struct pass *pass)
{
	struct flow *flow;
	uint32_t placed = 0;

	while (!pass->fx->error && (flow = pick(pass))) {
		_cleanup_(buf_deinit) struct buf why = BUF_NULL;
		struct task *task = list_first(&flow->tasks, struct task, queued);
		struct worker *worker;

		if (placed == pass->core->config.placements) {
			pass->core->more = true;
			return;
		}
		worker = choose(pass, flow->key.shape, task, &why);
		if (worker) {
			placed++;
			assign_attempt(pass->core, pass->fx, task, worker, 0);
		} else {
			flow->key.shape->blocked = true;
			set_why(pass, flow->key.shape, buf_text(&why));
		}
	}
}

/* --- the pass --------------------------------------------------------------------------------------------------- */

/* Collects the flows that hold something; the others go. */
static bool pass_begin(struct pass *pass)
{
	struct core *core = pass->core;
	struct flow *flow, *next;
	size_t n = HASH_COUNT(core->flows);

	pass->flows = calloc(n ? n : 1, sizeof(*pass->flows));
	if (!pass->flows)
		return false;
	core->more = false;
	HASH_ITER (hh, core->flows, flow, next) {
		if (list_empty(&flow->tasks)) {
			HASH_DEL(core->flows, flow);
			flow->key.shape->flows--;
			free(flow);
			continue;
		}
		flow->key.shape->blocked = false;
		pass->flows[pass->count++] = flow;
	}
	return true;
}

#define TOLD_PER_S 500u

static size_t tell_flow(struct pass *pass, const struct flow *flow)
{
	const struct task *task;
	size_t told = 0;

	list_for_each (task, &flow->tasks, queued) {
		effect_changed_task(pass->fx, task->row.id);
		told++;
	}
	return told;
}

/* Why it waits is news of each task, and counts workers, which may come and go: where many wait, those who watch learn it
 * a little later, and at once where nothing was said of late. */
static void tell(struct pass *pass)
{
	struct core *core = pass->core;
	size_t told = 0;

	if (!core->untold || core->now_ms < core->tell_at_ms)
		return;
	for (size_t i = 0; i < pass->count; i++)
		if (pass->flows[i]->key.shape->untold)
			told += tell_flow(pass, pass->flows[i]);
	for (size_t i = 0; i < pass->count; i++)
		pass->flows[i]->key.shape->untold = false;
	core->untold = false;
	core->tell_at_ms = core->now_ms + told * 1000 / TOLD_PER_S;
}

static void pass_end(struct pass *pass)
{
	tell(pass);
	free(pass->flows);
	shapes_trim(pass->core);
}

void schedule(struct core *core, struct core_effects *fx)
{
	struct pass pass = { .core = core, .fx = fx };

	core->want_schedule = false;
	limits_look(core);
	queue_recheck(core, fx);
	if (fx->error)
		return;
	if (!pass_begin(&pass)) {
		fx->error = -ENOMEM;
		return;
	}
	place_all(&pass);
	pass_end(&pass);
	core->want_schedule = false; /* what was taken in the pass leaves nothing more to place */
}
