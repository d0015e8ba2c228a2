/* State, and the table of handlers; load.c fills it. The rules live in the files beside this one: state.c (what may follow
 * what), submit.c, act.c, project.c (people), worker.c, report.c (workers), schedule.c. */
#include "coordinator/core/internal.h"
#include "proto/base/id.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct core_config core_config_default = {
	.heartbeat_ms = 5000,
	.grace_ms = 60000,
	.silence_ms = 600000,
	.lease_ms = 60000,
	.start_retries = 3,
	.placements = 500,
	.min_disk_bytes = UINT64_C(512) << 20,
	.min_memory_bytes = UINT64_C(128) << 20,
	.max_idle_sessions = 16,
	.linger_ms = UINT64_C(12) * 3600 * 1000,
	.keep_tasks_ms = UINT64_C(90) * 24 * 3600 * 1000,
	.limited_ms = UINT64_C(30) * 60 * 1000,
	.known_fits = 1u << 18,
	.random = id_random,
};

int core_new(struct core **ret_core, const struct core_config *config)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return -ENOMEM;
	core->config = *config;
	core->workers_due_ms = UINT64_MAX;
	core->next_task = core->next_seq = core->next_audit = core->next_question = 1;
	core->loading = true;
	list_init(&core->held);
	list_init(&core->delayed);
	list_init(&core->dirty);
	list_init(&core->debts);
	list_init(&core->shape_list);
	list_init(&core->moved);
	core->limits_due_ms = UINT64_MAX;
	*ret_core = core;
	return 0;
}

static void task_free(struct task *task)
{
	for (size_t i = 0; i < task->attempt_count; i++) {
		row_deinit(ROW_ATTEMPT, &task->attempts[i]->row);
		free(task->attempts[i]);
	}
	free(task->attempts);
	row_deinit(ROW_TASK, &task->row);
	row_deinit(ROW_STATUS, &task->status);
	if (task->spec)
		maestro__submit__free_unpacked(task->spec, NULL);
	free(task->waiting_for);
	free(task->removal.actor);
	free(task->followers);
	free(task);
}

static void worker_free(struct worker *worker)
{
	row_deinit(ROW_WORKER, &worker->row);
	if (worker->info)
		maestro__worker_info__free_unpacked(worker->info, NULL);
	free(worker->inventory);
	free(worker->mirrors);
	free(worker->limits);
	free(worker);
}

static void project_free(struct project *project)
{
	row_deinit(ROW_PROJECT, &project->row);
	free(project);
}

static void free_dead(struct core *core)
{
	for (size_t i = 0; i < core->dead_count; i++)
		task_free(core->dead[i]);
	free(core->dead);
	core->dead = NULL;
	core->dead_count = 0;
	if (core->dead_project)
		project_free(take(core->dead_project));
	if (core->dead_worker)
		worker_free(take(core->dead_worker));
}

void core_free(struct core *core)
{
	struct task *task, *next_task;
	struct worker *worker, *next_worker;
	struct project *project, *next_project;
	struct request *request, *next_request;
	struct debt *debt, *next_debt;

	free_dead(core);
	list_for_each_safe (debt, next_debt, &core->debts, owed)
		debt_free(debt);
	HASH_ITER (hh, core->tasks, task, next_task) {
		HASH_DEL(core->tasks, task);
		task_free(task);
	}
	HASH_ITER (hh, core->workers, worker, next_worker) {
		HASH_DEL(core->workers, worker);
		worker_free(worker);
	}
	HASH_ITER (hh, core->projects, project, next_project) {
		HASH_DEL(core->projects, project);
		project_free(project);
	}
	HASH_ITER (hh, core->requests, request, next_request) {
		HASH_DEL(core->requests, request);
		row_deinit(ROW_REQUEST, &request->row);
		free(request);
	}
	questions_deinit(core);
	queue_deinit(core);
	free(core);
}

void set_text(struct core_effects *fx, char **field, const char *text)
{
	if (row_set_text(field, text))
		fx->error = -ENOMEM;
}

void set_textf(struct core_effects *fx, char **field, const char *format, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text)
		fx->error = -ENOMEM;
	free(*field);
	*field = text;
}

void set_bytes(struct core_effects *fx, char **field, const ProtobufCBinaryData *data)
{
	if (row_set_textn(field, data->data ? (const char *)data->data : "", data->len))
		fx->error = -ENOMEM;
}

struct task *find_task(const struct core *core, uint64_t id)
{
	struct task *task;

	HASH_FIND(hh, core->tasks, &id, sizeof(id), task);
	return task;
}

struct worker *find_worker(const struct core *core, const char *name)
{
	struct worker *worker;

	HASH_FIND(hh, core->workers, name, strlen(name), worker);
	return worker;
}

struct project *find_project(const struct core *core, const char *name)
{
	struct project *project;

	HASH_FIND(hh, core->projects, name, strlen(name), project);
	return project;
}

struct attempt *find_attempt(const struct task *task, uint32_t number)
{
	return number && number <= task->attempt_count ? task->attempts[number - 1] : NULL;
}

struct attempt *current_attempt(const struct task *task)
{
	return find_attempt(task, task->row.attempt);
}

struct attempt *add_attempt(struct task *task)
{
	struct attempt **attempts = realloc(task->attempts, (task->attempt_count + 1) * sizeof(*attempts));
	struct attempt *attempt;

	if (!attempts)
		return NULL;
	task->attempts = attempts;
	attempt = calloc(1, sizeof(*attempt));
	if (!attempt)
		return NULL;
	attempts[task->attempt_count++] = attempt;
	attempt->row.task = task->row.id;
	attempt->row.attempt = (uint32_t)task->attempt_count;
	attempt->task = task;
	list_init(&attempt->held);
	return attempt;
}

void attempt_hold(struct core *core, struct attempt *attempt)
{
	struct worker *worker = attempt->row.released ? NULL : find_worker(core, attempt->row.worker);

	list_remove(&attempt->held);
	if (worker)
		list_append(&worker->held, &attempt->held);
}

struct task *add_task(struct core *core, uint64_t id)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->row.id = id;
	list_init(&task->queued);
	list_init(&task->dirty);
	list_init(&task->idle);
	HASH_ADD(hh, core->tasks, row.id, sizeof(task->row.id), task);
	return task;
}

struct worker *add_worker(struct core *core, const char *name)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker || row_set_text(&worker->row.name, name) || !worker_number(core, worker)) {
		if (worker)
			free(worker->row.name);
		free(worker);
		return NULL;
	}
	worker->state = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	list_init(&worker->idle);
	list_init(&worker->held);
	HASH_ADD_KEYPTR(hh, core->workers, worker->row.name, strlen(name), worker);
	return worker;
}

struct project *add_project(struct core *core, const char *name)
{
	struct project *project = calloc(1, sizeof(*project));

	if (!project || row_set_text(&project->row.name, name)) {
		free(project);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, core->projects, project->row.name, strlen(name), project);
	return project;
}

void bury_task(struct core *core, struct task *task)
{
	struct task **dead = realloc(core->dead, (core->dead_count + 1) * sizeof(*dead));

	require(dead); /* a few pointers: nothing else could go on either */
	core->dead = dead;
	dead[core->dead_count++] = task;
	queue_leave(task);
	list_remove(&task->dirty);
	idle_remove(task);
	for (size_t i = 0; i < task->attempt_count; i++)
		list_remove(&task->attempts[i]->held);
	if (core->sweep == task)
		core->sweep = task->hh.next;
	HASH_DEL(core->tasks, task);
}

void record_event(struct core *core, struct core_effects *fx, const char *kind, const struct task *task,
	const char *worker, const char *text)
{
	struct event_row *row = calloc(1, sizeof(*row));

	if (!row) {
		fx->error = -ENOMEM;
		return;
	}
	row->seq = core->next_seq++;
	row->time_ms = core->wall_ms;
	row->task = task ? task->row.id : 0;
	row->attempt = task ? task->row.attempt : 0;
	set_text(fx, &row->kind, kind);
	set_text(fx, &row->worker, worker);
	set_text(fx, &row->actor, core->actor);
	set_text(fx, &row->text, text);
	effect_put_owned(fx, ROW_EVENT, row);
}

void record_audit(struct core *core, struct core_effects *fx, const char *act, const char *format, ...)
{
	struct audit_row *row = calloc(1, sizeof(*row));
	va_list args;

	if (!row) {
		fx->error = -ENOMEM;
		return;
	}
	va_start(args, format);
	if (vasprintf(&row->text, format, args) < 0) {
		row->text = NULL;
		fx->error = -ENOMEM;
	}
	va_end(args);
	row->time_ms = core->wall_ms;
	set_text(fx, &row->actor, core->actor ? core->actor : "coordinator");
	set_text(fx, &row->act, act);
	effect_put_owned(fx, ROW_AUDIT, row);
}

void put_meta(struct core_effects *fx, const char *name, const char *value)
{
	struct meta_row *row = calloc(1, sizeof(*row));

	if (!row) {
		fx->error = -ENOMEM;
		return;
	}
	set_text(fx, &row->name, name);
	set_text(fx, &row->value, value);
	effect_put_owned(fx, ROW_META, row);
}

/* --- events -------------------------------------------------------------------------------------------------- */

static void handle_start(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct request *request, *next_request;
	struct task *task, *next;

	core->began_ms = core->requests_looked_ms = core->now_ms;
	HASH_ITER (hh, core->requests, request, next_request)
		request->since_ms = core->now_ms;
	HASH_ITER (hh, core->tasks, task, next)
		task_load_state(core, fx, task);
	core->loading = false;
	retain_start(core);
	for (struct worker *worker = core->workers; worker; worker = worker->hh.next)
		worker_count_silence(core, worker);
	core->want_schedule = true;
}

static void handle_tick(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	workers_tick(core, fx);
	status_tick(core, fx);
	queue_tick(core, fx);
	retain_tick(core, fx);
}

static void (*const handlers[])(struct core *core, const struct core_event *event, struct core_effects *fx) = {
	[CORE_EVENT_START] = handle_start,
	[CORE_EVENT_TICK] = handle_tick,
	[CORE_EVENT_SUBMIT] = handle_submit,
	[CORE_EVENT_ACT] = handle_act,
	[CORE_EVENT_MERGED] = handle_merged,
	[CORE_EVENT_PROJECT_ADD] = handle_project_add,
	[CORE_EVENT_PROJECT_PROBED] = handle_project_probed,
	[CORE_EVENT_PROJECT_REMOVE] = handle_project_remove,
	[CORE_EVENT_WORKER_ACT] = handle_worker_act,
	[CORE_EVENT_QUEUE] = handle_queue,
	[CORE_EVENT_WORKER_CONNECTED] = handle_connected,
	[CORE_EVENT_WORKER_DISCONNECTED] = handle_disconnected,
	[CORE_EVENT_WORKER_MESSAGE] = handle_worker_message,
	[CORE_EVENT_RESTORED] = handle_restored,
	[CORE_EVENT_ANSWER_QUESTION] = handle_answer_question,
	[CORE_EVENT_ANSWERED] = handle_answered,
};

int core_handle(struct core *core, const struct core_event *event, uint64_t now_ms, struct core_effects *effects)
{
	free_dead(core);
	core->now_ms = now_ms;
	core->wall_ms = event->wall_ms;
	core->actor = event->client.actor;
	handlers[event->type](core, event, effects);
	core->actor = NULL;
	/* What START does is not written: it must change nothing. */
	if (core->want_schedule && !core->loading && event->type != CORE_EVENT_START)
		schedule(core, effects);
	return effects->error;
}

uint64_t core_deadline(const struct core *core)
{
	uint64_t deadlines[] = { workers_deadline(core), status_deadline(core), queue_deadline(core), retain_deadline(core) };
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(deadlines); i++)
		first = deadlines[i] < first ? deadlines[i] : first;
	return first;
}
