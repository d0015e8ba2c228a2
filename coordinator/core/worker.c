/* Workers: coming, going, and growing silent. What they tell of their sessions is judged in inventory.c. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <string.h>

bool worker_is_up(const struct core *core, const char *name)
{
	const struct worker *worker = name ? find_worker(core, name) : NULL;

	return worker && worker->phase == WORKER_UP;
}

#define BEATS_PER_S 50u /* of all workers together */

uint64_t core_heartbeat_ms(const struct core *core)
{
	uint64_t many_ms = HASH_COUNT(core->workers) * 1000ull / BEATS_PER_S;

	return many_ms > core->config.heartbeat_ms ? many_ms : core->config.heartbeat_ms;
}

static void set_state(struct core *core, struct core_effects *fx, struct worker *worker, Maestro__WorkerState state)
{
	if (worker->state == state)
		return;
	worker->state = state;
	worker_moved(core, worker);
	worker_note_due(core, worker);
	record_event(core, fx, "worker.state", NULL, worker->row.name, name_worker_state(state));
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

/* One of this name may have been here before, and have been removed. */
static struct worker *add_newcomer(struct core *core, struct core_effects *fx, const char *name)
{
	struct worker *worker = add_worker(core, name);

	for (struct task *task = core->tasks; worker && task; task = task->hh.next) {
		for (size_t i = 0; i < task->attempt_count; i++)
			if (strcmp(task->attempts[i]->row.worker, name) == 0)
				attempt_hold(core, task->attempts[i]);
		idle_update(core, fx, task);
	}
	return worker;
}

void handle_connected(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker)
		worker = add_newcomer(core, fx, event->worker);
	if (!worker) {
		fx->error = -ENOMEM;
		return;
	}
	worker->rebooted = worker->row.boot_id && strcmp(worker->row.boot_id, str_or(event->text, "")) != 0;
	set_text(fx, &worker->row.boot_id, str_or(event->text, ""));
	set_text(fx, &worker->row.software, event->name);
	worker->row.lost = worker->given_up = false;
	worker->row.seen_ms = core->wall_ms;
	worker->seen_ms = core->now_ms;
	worker->heard_ms = core->wall_ms;
	worker->heartbeat_ms = core_heartbeat_ms(core);
	worker->phase = WORKER_CONNECTED;
	worker_moved(core, worker);
	inventory_forget(worker);
	effect_put(fx, ROW_WORKER, &worker->row);
	record_event(core, fx, "worker.connected", NULL, worker->row.name, NULL);
	set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_READY);
	worker_note_due(core, worker);
	effect_changed_worker(fx, worker->row.name);
}

void handle_disconnected(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker || worker->phase == WORKER_AWAY)
		return;
	worker->phase = WORKER_AWAY;
	worker_moved(core, worker);
	worker->row.seen_ms = worker->heard_ms = core->wall_ms;
	inventory_forget(worker);
	effect_put(fx, ROW_WORKER, &worker->row);
	record_event(core, fx, "worker.disconnected", NULL, worker->row.name, event->text);
	if (worker->state == MAESTRO__WORKER_STATE__WORKER_READY) /* a closed link needs no waiting; a silent one does */
		set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_SUSPECT);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

/* --- start and stop ------------------------------------------------------------------------------------------ */

void worker_send_stop(struct core_effects *fx, const struct attempt *attempt)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Stop stop = MAESTRO__STOP__INIT;

	stop.task = attempt->row.task;
	stop.attempt = attempt->row.attempt;
	stop.has_grace_ms = true;
	stop.grace_ms = 10000;
	envelope.body_case = BODY(STOP);
	envelope.stop = &stop;
	effect_send(fx, attempt->row.worker, &envelope);
}

static void fill_start(const struct core *core, Maestro__Start *start, const struct task *task, const struct attempt *attempt)
{
	const Maestro__Submit *spec = task->spec;

	start->task = task->row.id;
	start->attempt = attempt->row.attempt;
	start->run_id = (ProtobufCBinaryData){ attempt->row.run_id.len, attempt->row.run_id.data };
	start->agent = task->row.agent;
	start->prompt = spec->prompt;
	start->has_title = true;
	start->title = bytes_of(task->row.title);
	start->branch = attempt->row.branch;
	start->base_branch = task->row.base_branch;
	start->from_commit = task->row.from_commit;
	start->has_cols = spec->has_cols;
	start->cols = spec->cols;
	start->has_rows = spec->has_rows;
	start->rows = spec->rows;
	start->has_max_time_ms = spec->has_max_time_ms;
	start->max_time_ms = spec->max_time_ms;
	start->has_max_idle_ms = spec->has_max_idle_ms;
	start->max_idle_ms = spec->max_idle_ms;
	start->has_model = spec->has_model;
	start->model = spec->model;
	start->has_permission = spec->has_permission;
	start->permission = spec->permission;
	start->author = spec->author;
	start->has_push_of = attempt->row.push_of != 0;
	start->push_of = attempt->row.push_of;
	start->has_linger_ms = core->config.linger_ms != 0;
	start->linger_ms = core->config.linger_ms;
}

void worker_send_start(struct core *core, struct core_effects *fx, const struct task *task)
{
	const struct attempt *attempt = current_attempt(task);
	const struct project *project = find_project(core, task->row.project);
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Start start = MAESTRO__START__INIT;
	Maestro__ProjectSpec spec = MAESTRO__PROJECT_SPEC__INIT;

	if (fx->error || !project || !task->spec)
		return;
	spec.name = project->row.name;
	spec.url = (ProtobufCBinaryData){ project->row.url.len, project->row.url.data };
	spec.base_branch = project->row.base_branch ? project->row.base_branch : task->row.base_branch;
	spec.has_needs_git = true;
	spec.needs_git = project->row.needs_git;
	start.project = &spec;
	fill_start(core, &start, task, attempt);
	envelope.body_case = BODY(START);
	envelope.start = &start;
	effect_send(fx, attempt->row.worker, &envelope);
}

static bool may_lose(const struct task *task)
{
	return task->spec && task->row.retries_used < task->spec->retries && !task->row.stopping;
}

void lose_attempts(struct core *core, struct core_effects *fx, struct worker *worker, const char *reason, bool retryable)
{
	struct attempt *attempt;

	list_for_each (attempt, &worker->held, held) {
		struct task *task = attempt->task;

		if (attempt != current_attempt(task) || (retryable && !may_lose(task)))
			continue;
		if (task_move(core, fx, task, CAUSE_LOSE, reason) && retryable)
			task_retry_by_itself(core, fx, task);
		else if (task->row.state == REVIEW)
			attempt_set_session(core, fx, task, attempt, MAESTRO__SESSION_STATE__SESSION_ENDED);
	}
}

/* --- small news ---------------------------------------------------------------------------------------------- */

static void handle_info(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	Maestro__WorkerInfo *info = message_copy(envelope->worker_info);

	if (!info || message_pack(info, &packed)) {
		fx->error = -ENOMEM;
		return;
	}
	if (worker->info)
		maestro__worker_info__free_unpacked(worker->info, NULL);
	worker->info = info;
	worker_described(core, worker);
	if (packed.len != worker->row.info.len || !packed.len ||
		memcmp(packed.data, worker->row.info.data, packed.len) != 0) {
		if (row_set_blob(&worker->row.info, packed.data, packed.len))
			fx->error = -ENOMEM;
		effect_put(fx, ROW_WORKER, &worker->row);
	}
	if (info->has_epoch_seen)
		restore_see_epoch(core, fx, worker, info->epoch_seen);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
}

static void take_load(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__Heartbeat *beat = envelope->heartbeat;
	Maestro__WorkerInfo *info = worker->info;
	enum obstacle room;

	if (!info)
		return;
	room = worker_room(core, worker);
	info->has_load_percent = beat->has_load_percent;
	info->load_percent = beat->load_percent;
	info->has_memory_free_bytes = beat->has_memory_free_bytes;
	info->memory_free_bytes = beat->memory_free_bytes;
	info->has_disk_free_bytes = beat->has_disk_free_bytes;
	info->disk_free_bytes = beat->disk_free_bytes;
	if (room != worker_room(core, worker)) {
		worker_moved(core, worker);
		core->want_schedule = true;
	}
	effect_load(fx, worker->row.name);
}

static void handle_heartbeat(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx)
{
	const Maestro__Heartbeat *beat = envelope->heartbeat;

	/* Its reports are said by now, unless its disk keeps them back: what they leave unsaid was said to another database. */
	if (worker->phase == WORKER_UP && worker->inventory && !(beat->has_behind && beat->behind)) {
		restore_settle(core, fx, worker);
		inventory_forget(worker);
	}
	take_load(core, worker, envelope, fx);
}

static const struct {
	Maestro__Envelope__BodyCase body;
	void (*handle)(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
} messages[] = {
	{ BODY(WORKER_INFO), handle_info },
	{ BODY(INVENTORY), handle_inventory },
	{ BODY(WORKER_READY), handle_ready },
	{ BODY(ATTEMPT_REPORT), handle_report },
	{ BODY(STATUS_REPORT), handle_status },
	{ BODY(PUSH_REQUEST), handle_push_request },
	{ BODY(HEARTBEAT), handle_heartbeat },
};

void handle_worker_message(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct worker *worker = find_worker(core, event->worker);

	if (!worker || worker->phase == WORKER_AWAY)
		return;
	worker->seen_ms = core->now_ms;
	worker->heard_ms = core->wall_ms;
	set_state(core, fx, worker, MAESTRO__WORKER_STATE__WORKER_READY);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (messages[i].body == event->envelope->body_case)
			messages[i].handle(core, worker, event->envelope, fx);
}

/* --- silence ------------------------------------------------------------------------------------------------- */

static uint64_t beat_ms(const struct core *core, const struct worker *worker)
{
	return worker->heartbeat_ms ? worker->heartbeat_ms : core_heartbeat_ms(core);
}

/* When this worker's next state is due, UINT64_MAX: never. */
static uint64_t expiry(const struct core *core, const struct worker *worker, Maestro__WorkerState *ret_next)
{
	uint64_t at, grace = core->began_ms + core->config.grace_ms;

	if (worker->state == MAESTRO__WORKER_STATE__WORKER_READY) {
		at = worker->seen_ms + 3 * beat_ms(core, worker);
		*ret_next = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	} else if (worker->state == MAESTRO__WORKER_STATE__WORKER_SUSPECT) {
		at = worker->seen_ms + 6 * beat_ms(core, worker);
		*ret_next = MAESTRO__WORKER_STATE__WORKER_UNKNOWN;
	} else if (!worker->given_up) {
		at = worker->seen_ms + core->config.silence_ms;
		*ret_next = worker->state;
	} else {
		return UINT64_MAX;
	}
	return at > grace ? at : grace;
}

static void expire(struct core *core, struct core_effects *fx, struct worker *worker)
{
	Maestro__WorkerState next = MAESTRO__WORKER_STATE__WORKER_READY;

	while (expiry(core, worker, &next) <= core->now_ms) {
		if (next != worker->state) {
			set_state(core, fx, worker, next);
			continue;
		}
		worker->given_up = true;
		lose_attempts(core, fx, worker, "its worker was silent for too long", true);
	}
}

static uint64_t limits_deadline(const struct worker *worker)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < worker->limit_count; i++)
		if (worker->limits[i].until_ms && worker->limits[i].until_ms < first)
			first = worker->limits[i].until_ms;
	return first;
}

static void expire_limits(struct core *core, struct core_effects *fx, struct worker *worker)
{
	for (size_t i = 0; i < worker->limit_count; i++) {
		struct account_limit *limit = &worker->limits[i];

		if (!limit->until_ms || limit->until_ms > core->now_ms)
			continue;
		limit->until_ms = 0;
		worker_moved(core, worker);
		effect_changed_worker(fx, worker->row.name);
		record_event(core, fx, "agent.resumed", NULL, worker->row.name, limit->agent->name);
		core->want_schedule = true;
	}
}

#define FROZEN_MS 5000u /* a tick that comes so late was held up by a stopped process or a sleeping machine */

void workers_tick(struct core *core, struct core_effects *fx)
{
	uint64_t due_ms = UINT64_MAX;

	if (core->now_ms < core->workers_due_ms)
		return;
	for (const struct worker *worker = core->workers; worker; worker = worker->hh.next) {
		Maestro__WorkerState next;
		uint64_t at = expiry(core, worker, &next);

		due_ms = at < due_ms ? at : due_ms;
	}
	/* It was we who heard nothing: what the workers said lies in the sockets. */
	if (due_ms != UINT64_MAX && core->now_ms > due_ms + FROZEN_MS)
		core->began_ms = core->now_ms;
	core->workers_due_ms = UINT64_MAX;
	for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
		expire(core, fx, worker);
		expire_limits(core, fx, worker);
		worker_note_due(core, worker);
	}
}

/* Whoever is heard is due later, which nobody writes down: the tick that comes too soon finds out. */
void worker_note_due(struct core *core, const struct worker *worker)
{
	Maestro__WorkerState next;
	uint64_t at = min_ms(expiry(core, worker, &next), limits_deadline(worker));

	core->workers_due_ms = min_ms(core->workers_due_ms, at);
}

void worker_count_silence(struct core *core, struct worker *worker)
{
	worker->seen_ms = core->now_ms;
	worker_note_due(core, worker);
}

uint64_t workers_deadline(const struct core *core)
{
	return core->workers_due_ms;
}
