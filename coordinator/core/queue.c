/* What is queued. A task that may go stands in a flow: those of one priority, shape and submitter, oldest first, so
 * that a pass looks at flows and shapes and not at tasks. One that may not go yet stands in core->held (it comes after
 * something) or in core->delayed (its start failed a moment ago). Its place is given by what is stored of it, so a
 * restart finds the same queue; only a delay is forgotten. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

/* --- shares, flows ---------------------------------------------------------------------------------------------- */

static uint32_t limit_of(const struct core_limit *limits, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(limits[i].name, name) == 0)
			return limits[i].count;
	return 0;
}

static struct share *get_share(struct core_effects *fx, struct share **table, const char *name, uint32_t limit)
{
	struct share *share;

	HASH_FIND_STR(*table, name, share);
	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share || row_set_text(&share->name, name)) {
		free(share);
		fx->error = -ENOMEM;
		return NULL;
	}
	share->limit = limit;
	HASH_ADD_KEYPTR(hh, *table, share->name, strlen(share->name), share);
	return share;
}

static char *submitter_of(const struct task *task)
{
	return task->spec && task->spec->has_submitter ? bytes_dup(&task->spec->submitter) : strdup("");
}

void task_find_shares(struct core *core, struct core_effects *fx, struct task *task)
{
	const struct core_config *config = &core->config;
	_cleanup_free_ char *submitter = NULL;

	if (task->project && task->agent && task->submitter)
		return;
	submitter = submitter_of(task);
	task->project = get_share(fx, &core->project_shares, task->row.project,
		limit_of(config->project_slots, config->project_slot_count, task->row.project));
	task->agent = get_share(fx, &core->agent_shares, task->row.agent,
		limit_of(config->agent_slots, config->agent_slot_count, task->row.agent));
	task->submitter = get_share(fx, &core->submitter_shares, str_or(submitter, ""), 0);
}

static struct flow *get_flow(struct core *core, struct core_effects *fx, const struct task *task)
{
	struct flow_key key;
	struct flow *flow;

	memset(&key, 0, sizeof(key)); /* it is hashed with its padding */
	key.priority = task->row.priority;
	key.shape = shape_of(core, fx, task);
	key.submitter = task->submitter;
	if (!key.shape)
		return NULL;
	HASH_FIND(hh, core->flows, &key, sizeof(key), flow);
	if (flow)
		return flow;
	flow = calloc(1, sizeof(*flow));
	if (!flow) {
		fx->error = -ENOMEM;
		return NULL;
	}
	flow->key = key;
	key.shape->flows++;
	list_init(&flow->tasks);
	HASH_ADD(hh, core->flows, key, sizeof(flow->key), flow);
	return flow;
}

/* By age. A new task is the youngest, one that is tried again is mostly among the oldest. */
static void flow_insert(struct flow *flow, struct task *task)
{
	struct task *other = list_last(&flow->tasks, struct task, queued);
	struct list *at = &flow->tasks;

	task->flow = flow;
	if (!other || other->row.id < task->row.id) {
		list_append(&flow->tasks, &task->queued);
		return;
	}
	list_for_each (other, &flow->tasks, queued) {
		if (other->row.id < task->row.id)
			continue;
		at = &other->queued;
		break;
	}
	list_insert_before(at, &task->queued);
}

static void free_shares(struct share **table)
{
	struct share *share, *next;

	HASH_ITER (hh, *table, share, next) {
		HASH_DEL(*table, share);
		free(share->name);
		free(share);
	}
}

void queue_deinit(struct core *core)
{
	struct flow *flow, *next_flow;

	HASH_ITER (hh, core->flows, flow, next_flow) {
		HASH_DEL(core->flows, flow);
		free(flow);
	}
	shapes_deinit(core);
	free_shares(&core->project_shares);
	free_shares(&core->agent_shares);
	free_shares(&core->submitter_shares);
	free(core->recheck);
}

/* --- what comes after what -------------------------------------------------------------------------------------- */

static bool ended_badly(int state)
{
	return state == FAILED || state == CANCELLED || state == LOST || state == REJECTED;
}

/* 0: after nothing any more, 1: it waits (and for what), -1: one ended badly (and why). */
static int check_after(const struct core *core, const struct task *task, struct buf *out)
{
	for (size_t i = 0; task->spec && i < task->spec->n_after; i++) {
		const struct task *before = find_task(core, task->spec->after[i]);

		if (!before || before->row.state == MERGED || before->row.state == DONE)
			continue; /* what is removed without having ended well has taken those after it along */
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

void queue_follow(struct core *core, struct core_effects *fx, const struct task *task)
{
	for (size_t i = 0; task->spec && i < task->spec->n_after; i++) {
		struct task *before = find_task(core, task->spec->after[i]);
		uint64_t *followers;

		if (!before)
			continue;
		followers = realloc(before->followers, (before->follower_count + 1) * sizeof(*followers));
		if (!followers) {
			fx->error = -ENOMEM;
			return;
		}
		before->followers = followers;
		followers[before->follower_count++] = task->row.id;
	}
}

static void look_again(struct core *core, struct core_effects *fx, const uint64_t *tasks, size_t count)
{
	size_t size = core->recheck_count + count;
	uint64_t *recheck;

	if (!count)
		return;
	if (size > core->recheck_size) {
		size *= 2;
		recheck = realloc(core->recheck, size * sizeof(*recheck));
		if (!recheck) {
			fx->error = -ENOMEM;
			return;
		}
		core->recheck = recheck;
		core->recheck_size = size;
	}
	memcpy(core->recheck + core->recheck_count, tasks, count * sizeof(*tasks));
	core->recheck_count += count;
	core->want_schedule = true;
}

/* Not at once: what ended may be tried again in the same turn, and a chain may be long. */
void queue_ended(struct core *core, struct core_effects *fx, const struct task *task)
{
	look_again(core, fx, task->followers, task->follower_count);
}

void queue_recheck(struct core *core, struct core_effects *fx)
{
	for (size_t i = 0; i < core->recheck_count && !fx->error; i++) { /* it grows on the way */
		struct task *task = find_task(core, core->recheck[i]);

		if (task && task->row.state == QUEUED)
			queue_enter(core, fx, task);
	}
	core->recheck_count = 0;
}

/* --- in and out ------------------------------------------------------------------------------------------------- */

static void set_waiting(struct core_effects *fx, struct task *task, const char *why)
{
	if (strcmp(str_or(task->waiting_for, ""), str_or(why, "")) == 0)
		return;
	set_text(fx, &task->waiting_for, why);
	effect_changed_task(fx, task->row.id);
}

static void delay(struct core *core, struct task *task)
{
	struct list *at = &core->delayed;

	while (at->prev != &core->delayed && list_entry(at->prev, struct task, queued)->retry_at_ms > task->retry_at_ms)
		at = at->prev;
	list_insert_before(at, &task->queued);
}

void queue_leave(struct task *task)
{
	list_remove(&task->queued);
	task->flow = NULL;
}

void queue_enter(struct core *core, struct core_effects *fx, struct task *task)
{
	_cleanup_(buf_deinit) struct buf why = BUF_NULL;
	struct flow *flow;
	int after = check_after(core, task, &why);

	queue_leave(task);
	if (after < 0 && !core->loading) {
		task_move(core, fx, task, CAUSE_STOP, buf_text(&why));
		return;
	}
	if (after < 0)
		look_again(core, fx, &task->row.id, 1); /* what loading does is not written */
	if (after) {
		set_waiting(fx, task, buf_text(&why));
		list_append(&core->held, &task->queued);
		return;
	}
	if (task->retry_at_ms > core->now_ms) {
		buf_printf(&why, "its start failed %u time%s: it is tried again a little later", task->row.start_failures,
			task->row.start_failures == 1 ? "" : "s");
		set_waiting(fx, task, buf_text(&why));
		delay(core, task);
		return;
	}
	set_waiting(fx, task, NULL);
	task_find_shares(core, fx, task);
	flow = fx->error ? NULL : get_flow(core, fx, task);
	if (flow)
		flow_insert(flow, task);
	core->want_schedule = true;
}

const char *task_waiting_for(const struct task *task)
{
	return task->flow ? task->flow->key.shape->why : task->waiting_for;
}

/* --- time ------------------------------------------------------------------------------------------------------- */

void queue_tick(struct core *core, struct core_effects *fx)
{
	struct task *task;

	while ((task = list_first(&core->delayed, struct task, queued)) && task->retry_at_ms <= core->now_ms)
		queue_enter(core, fx, task);
	core->want_schedule |= core->more || (core->untold && core->now_ms >= core->tell_at_ms);
}

uint64_t queue_deadline(const struct core *core)
{
	const struct task *task = list_first(&core->delayed, struct task, queued);

	if (core->more)
		return core->now_ms;
	return min_ms(task ? task->retry_at_ms : UINT64_MAX, core->untold ? core->tell_at_ms : UINT64_MAX);
}
