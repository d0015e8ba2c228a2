/* Who is next, and where it goes.
 *
 * Who: the highest priority; in it the project that holds fewest slots, or was served longest ago; in that the
 * submitter likewise; then the oldest task. Where: the worker with the largest share of its slots free, where having
 * the project's mirror counts for a quarter of them.
 *
 * A pass costs what it places, plus flows and workers for each shape of task that is waiting: the tasks behind the
 * first of each flow are not looked at. Slots are only taken during a pass, so a shape that found nothing is done
 * with, and its workers in a heap need to be put right only when they come to the top. */
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

/* --- the workers of a shape ------------------------------------------------------------------------------------- */

static bool better(const struct candidate *a, const struct candidate *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	return strcmp(a->worker->row.name, b->worker->row.name) < 0;
}

static void sift_down(struct shape *shape, size_t i)
{
	struct candidate *heap = shape->candidates, moved = heap[i];
	size_t child;

	while ((child = 2 * i + 1) < shape->candidate_count) {
		if (child + 1 < shape->candidate_count && better(&heap[child + 1], &heap[child]))
			child++;
		if (!better(&heap[child], &moved))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moved;
}

static bool shape_look(struct pass *pass, struct shape *shape, const struct task *task)
{
	size_t n = HASH_COUNT(pass->core->workers);

	shape->candidates = calloc(n ? n : 1, sizeof(*shape->candidates));
	shape->obstacles = calloc(1, sizeof(*shape->obstacles));
	shape->candidate_count = 0;
	if (!shape->candidates || !shape->obstacles)
		return false;
	for (struct worker *w = pass->core->workers; w; w = w->hh.next) {
		enum obstacle obstacle = worker_obstacle(pass->core, w, task, &shape->obstacles->missing);

		if (obstacle != OBSTACLE_COUNT)
			shape->obstacles->count[obstacle]++;
		else
			shape->candidates[shape->candidate_count++] = (struct candidate){ w, worker_score(w, task->project) };
	}
	for (size_t i = shape->candidate_count / 2; i-- > 0;)
		sift_down(shape, i);
	return true;
}

/* The best worker by now. NULL: none has room, or no memory. */
static struct worker *shape_best(struct pass *pass, struct shape *shape, const struct task *task)
{
	if (!shape->candidates && !shape_look(pass, shape, task)) {
		pass->fx->error = -ENOMEM;
		return NULL;
	}
	while (shape->candidate_count) {
		struct candidate *top = &shape->candidates[0];
		uint32_t score = worker_score(top->worker, task->project);

		if (score == top->score)
			return top->worker;
		top->score = score;
		if (!score) {
			shape->obstacles->count[OBSTACLE_FULL]++;
			*top = shape->candidates[--shape->candidate_count];
		}
		if (shape->candidate_count)
			sift_down(shape, 0);
	}
	return NULL;
}

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
	worker = shape_best(pass, shape, task);
	if (!worker && !pass->fx->error)
		explain_obstacles(pass->core, task, shape->obstacles, why);
	return worker;
}

static void set_why(struct pass *pass, struct shape *shape, const char *why)
{
	if (strcmp(str_or(shape->why, ""), str_or(why, "")) == 0)
		return;
	set_text(pass->fx, &shape->why, why);
	shape->changed = true;
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
	worker_note_project(fx, worker, task->project);
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
			free(flow);
			continue;
		}
		flow->key.shape->blocked = flow->key.shape->changed = false;
		pass->flows[pass->count++] = flow;
	}
	return true;
}

static void tell_flow(struct pass *pass, const struct flow *flow)
{
	const struct task *task;

	list_for_each (task, &flow->tasks, queued)
		effect_changed_task(pass->fx, task->row.id);
}

static void pass_end(struct pass *pass)
{
	for (size_t i = 0; i < pass->count; i++) {
		struct shape *shape = pass->flows[i]->key.shape;

		if (shape->changed)
			tell_flow(pass, pass->flows[i]);
		free(take(shape->candidates));
		free(take(shape->obstacles));
	}
	free(pass->flows);
}

void schedule(struct core *core, struct core_effects *fx)
{
	struct pass pass = { .core = core, .fx = fx };

	core->want_schedule = false;
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
