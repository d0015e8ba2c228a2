/* What consoles see of the state: messages made on the spot from borrowed pointers, then copied. */
#include "coordinator/core/internal.h"
#include "proto/base/clock.h"
#include "proto/base/list.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ProtobufCBinaryData blob_bytes(const struct row_blob *blob)
{
	return (ProtobufCBinaryData){ blob->len, blob->data };
}

static void view_status(const struct task *task, uint64_t now_ms, Maestro__AgentStatus *status)
{
	const struct status_row *row = &task->status;

	maestro__agent_status__init(status);
	status->state = (Maestro__AgentState)row->state;
	status->has_message = row->message.len > 0;
	status->message = blob_bytes(&row->message);
	status->has_file = row->file.len > 0;
	status->file = blob_bytes(&row->file);
	status->has_progress = row->has_progress;
	status->progress = row->progress;
	status->has_source = row->source != 0;
	status->source = (Maestro__StatusSource)row->source;
	status->has_age_ms = true;
	status->age_ms = (int64_t)now_ms > task->status_at_ms ? (uint64_t)((int64_t)now_ms - task->status_at_ms) : 0;
	status->has_limited_ms = task->limited_ms != 0 && row->state == MAESTRO__AGENT_STATE__AGENT_LIMITED;
	status->limited_ms = task->limited_ms;
}

static void view_attempt(const struct attempt_row *row, Maestro__Attempt *attempt)
{
	maestro__attempt__init(attempt);
	attempt->attempt = row->attempt;
	attempt->worker = row->worker;
	attempt->has_state = true;
	attempt->state = (Maestro__TaskState)row->state;
	attempt->has_reason = row->reason != NULL;
	attempt->reason = bytes_of(row->reason);
	attempt->has_exit_code = row->has_exit_code;
	attempt->exit_code = row->exit_code;
	attempt->branch = row->branch;
	attempt->commit = row->commit_id;
	attempt->has_started_ms = row->started_ms != 0;
	attempt->started_ms = row->started_ms;
	attempt->has_ended_ms = row->ended_ms != 0;
	attempt->ended_ms = row->ended_ms;
}

static void view_row(const struct task_row *row, Maestro__Task *task)
{
	task->id = row->id;
	task->has_title = true;
	task->title = bytes_of(row->title);
	task->project = row->project;
	task->agent = row->agent;
	task->has_group = row->group_id != 0;
	task->group = row->group_id;
	task->has_state = true;
	task->state = (Maestro__TaskState)row->state;
	task->has_reason = row->reason != NULL;
	task->reason = bytes_of(row->reason);
	task->has_attempt = row->attempt != 0;
	task->attempt = row->attempt;
	task->base_branch = row->base_branch;
	task->commit = row->commit_id;
	task->has_priority = true;
	task->priority = row->priority;
	task->has_exit_code = row->has_exit_code;
	task->exit_code = row->exit_code;
	task->has_created_ms = true;
	task->created_ms = row->created_ms;
	task->has_started_ms = row->started_ms != 0;
	task->started_ms = row->started_ms;
	task->has_ended_ms = row->ended_ms != 0;
	task->ended_ms = row->ended_ms;
}

static void view_spec(const Maestro__Submit *spec, bool in_full, Maestro__Task *task)
{
	if (!spec)
		return;
	task->n_labels = spec->n_labels;
	task->labels = spec->labels;
	task->n_after = spec->n_after;
	task->after = spec->after;
	task->has_cols = spec->has_cols;
	task->cols = spec->cols;
	task->has_rows = spec->has_rows;
	task->rows = spec->rows;
	task->has_prompt = in_full;
	if (in_full)
		task->prompt = spec->prompt;
}

/* All attempts, into arrays that the caller frees. False: no memory. */
static bool view_attempts(const struct task *task, Maestro__Attempt **ret_attempts, Maestro__Attempt ***ret_pointers)
{
	size_t n = task->attempt_count ? task->attempt_count : 1;
	Maestro__Attempt *attempts = calloc(n, sizeof(*attempts)), **pointers = calloc(n, sizeof(*pointers));

	if (!attempts || !pointers) {
		free(attempts);
		free(pointers);
		return false;
	}
	for (size_t i = 0; i < task->attempt_count; i++) {
		view_attempt(&task->attempts[i]->row, &attempts[i]);
		pointers[i] = &attempts[i];
	}
	*ret_attempts = attempts;
	*ret_pointers = pointers;
	return true;
}

static void look(const struct task *task, bool in_full, uint64_t now_ms, struct core_task_look *ret_look)
{
	const struct attempt *attempt = current_attempt(task);
	Maestro__Task *view = &ret_look->task;

	maestro__task__init(view);
	view_row(&task->row, view);
	view_spec(task->spec, in_full, view);
	view->worker = attempt ? attempt->row.worker : NULL;
	view->branch = attempt ? attempt->row.branch : NULL;
	view->has_session = true;
	view->session = attempt ? (Maestro__SessionState)attempt->row.session : MAESTRO__SESSION_STATE__SESSION_NONE;
	view->has_waiting_for = task->row.state == QUEUED && task_waiting_for(task);
	view->waiting_for = bytes_of(task_waiting_for(task));
	if (task->has_status && task->status.attempt == task->row.attempt) {
		view_status(task, now_ms, &ret_look->status);
		view->status = &ret_look->status;
	}
}

bool core_look_task(const struct core *core, uint64_t id, uint64_t now_ms, struct core_task_look *ret_look)
{
	const struct task *task = find_task(core, id);

	if (task)
		look(task, false, now_ms, ret_look);
	return task != NULL;
}

Maestro__Task *core_view_task(const struct core *core, uint64_t id, bool in_full, uint64_t now_ms)
{
	const struct task *task = find_task(core, id);
	_cleanup_free_ Maestro__Attempt *attempts = NULL;
	_cleanup_free_ Maestro__Attempt **pointers = NULL;
	struct core_task_look view;

	if (!task)
		return NULL;
	look(task, in_full, now_ms, &view);
	if (in_full && !view_attempts(task, &attempts, &pointers))
		return NULL;
	view.task.n_attempts = in_full ? task->attempt_count : 0;
	view.task.attempts = pointers;
	return message_copy(&view.task);
}

static void view_info(const Maestro__WorkerInfo *info, Maestro__Worker *view)
{
	if (!info)
		return;
	view->has_slots = info->has_slots;
	view->slots = info->slots;
	view->n_labels = info->n_labels;
	view->labels = info->labels;
	view->has_load_percent = info->has_load_percent;
	view->load_percent = info->load_percent;
	view->has_memory_free_bytes = info->has_memory_free_bytes;
	view->memory_free_bytes = info->memory_free_bytes;
	view->has_disk_free_bytes = info->has_disk_free_bytes;
	view->disk_free_bytes = info->disk_free_bytes;
	view->has_may_merge = info->has_may_merge;
	view->may_merge = info->may_merge;
}

/* Its agents, into arrays that the caller frees, and until when their accounts there are limited. False: no memory. */
static bool view_agents(const struct worker *worker, Maestro__AgentProgram **ret_agents,
	Maestro__AgentProgram ***ret_pointers)
{
	size_t n = worker->info ? worker->info->n_agents : 0;
	Maestro__AgentProgram *agents = calloc(n + 1, sizeof(*agents)), **pointers = calloc(n + 1, sizeof(*pointers));

	*ret_agents = agents;
	*ret_pointers = pointers;
	if (!agents || !pointers)
		return false;
	for (size_t i = 0; i < n; i++) {
		agents[i] = *worker->info->agents[i];
		pointers[i] = &agents[i];
		agents[i].has_limited_until_ms = false;
		for (size_t k = 0; k < worker->limit_count; k++) {
			if (!worker->limits[k].until_ms || strcmp(worker->limits[k].agent->name, agents[i].name) != 0)
				continue;
			agents[i].has_limited_until_ms = true;
			agents[i].limited_until_ms = worker->limits[k].until_wall_ms;
		}
	}
	return true;
}

/* Why it is not ready, empty: it is. */
static void worker_reason(const struct worker *worker, char *text, size_t size)
{
	char when[CLOCK_RFC3339_MAX];

	text[0] = 0;
	if (worker->state == MAESTRO__WORKER_STATE__WORKER_READY)
		return;
	if (!worker->heard_ms)
		snprintf(text, size, "it has not come since the coordinator started");
	else
		snprintf(text, size, "%s since %s", worker->phase == WORKER_AWAY ? "no link" : "silent",
			clock_format_rfc3339(worker->heard_ms, when));
}

Maestro__Worker *core_view_worker(const struct core *core, const char *name)
{
	const struct worker *worker = find_worker(core, name);
	_cleanup_free_ Maestro__AgentProgram *agents = NULL;
	_cleanup_free_ Maestro__AgentProgram **pointers = NULL;
	Maestro__Worker view = MAESTRO__WORKER__INIT;
	char reason[96];

	if (!worker || !view_agents(worker, &agents, &pointers))
		return NULL;
	worker_reason(worker, reason, sizeof(reason));
	view.has_reason = reason[0] != 0;
	view.reason = bytes_of(reason);
	view.name = worker->row.name;
	view.has_state = view.has_cordoned = view.has_draining = view.has_used = view.has_idle = true;
	view.state = worker->state;
	view.cordoned = worker->row.cordoned;
	view.draining = worker->row.draining;
	view.used = worker->used;
	view.idle = worker->idle_count;
	view.has_version = worker->row.software != NULL;
	view.version = bytes_of(worker->row.software);
	view_info(worker->info, &view);
	view.n_agents = worker->info ? worker->info->n_agents : 0;
	view.agents = pointers;
	return message_copy(&view);
}

Maestro__Project *core_view_project(const struct core *core, const char *name)
{
	const struct project *project = find_project(core, name);
	Maestro__Project view = MAESTRO__PROJECT__INIT;

	if (!project)
		return NULL;
	view.name = project->row.name;
	view.has_url = true;
	view.url = blob_bytes(&project->row.url);
	view.base_branch = project->row.base_branch;
	view.has_needs_git = project->row.checked;
	view.needs_git = project->row.needs_git;
	view.has_reason = project->row.reason != NULL;
	view.reason = bytes_of(project->row.reason);
	view.agent = project->row.agent;
	return message_copy(&view);
}

/* The tables are in the order of insertion: ids count up, and what is loaded is loaded in order. */
void core_each_task(const struct core *core, void (*each)(uint64_t task, void *userdata), void *userdata)
{
	for (const struct task *t = core->tasks; t; t = t->hh.next)
		each(t->row.id, userdata);
}

void core_each_worker(const struct core *core, void (*each)(const char *name, void *userdata), void *userdata)
{
	for (const struct worker *w = core->workers; w; w = w->hh.next)
		each(w->row.name, userdata);
}

void core_each_project(const struct core *core, void (*each)(const char *name, void *userdata), void *userdata)
{
	for (const struct project *p = core->projects; p; p = p->hh.next)
		each(p->row.name, userdata);
}

bool core_restore_asked(const struct core *core)
{
	return core->question;
}

uint64_t core_epoch(const struct core *core)
{
	return core->epoch;
}

uint64_t core_last_event(const struct core *core)
{
	return core->next_seq ? core->next_seq - 1 : 0;
}

bool core_queue_paused(const struct core *core)
{
	return core->paused;
}

uint32_t core_live_sessions(const struct core *core)
{
	uint32_t n = 0;

	for (const struct task *t = core->tasks; t; t = t->hh.next) {
		const struct attempt *a = current_attempt(t);

		n += t->row.state == STARTING || (a && a->row.session == MAESTRO__SESSION_STATE__SESSION_LIVE);
	}
	return n;
}

const struct task_row *core_task(const struct core *core, uint64_t id)
{
	const struct task *task = find_task(core, id);

	return task ? &task->row : NULL;
}

const struct attempt_row *core_attempt(const struct core *core, uint64_t id, uint32_t number)
{
	const struct task *task = find_task(core, id);
	const struct attempt *attempt = !task ? NULL : number ? find_attempt(task, number) : current_attempt(task);

	return attempt ? &attempt->row : NULL;
}

const struct project_row *core_project(const struct core *core, const char *name)
{
	const struct project *project = find_project(core, name);

	return project ? &project->row : NULL;
}

bool core_worker_ready(const struct core *core, const char *name)
{
	return worker_is_up(core, name);
}

static bool allows(const struct worker *worker, const char *project)
{
	if (!worker->info || !worker->info->n_projects)
		return true;
	for (size_t i = 0; i < worker->info->n_projects; i++)
		if (strcmp(worker->info->projects[i], project) == 0)
			return true;
	return false;
}

static bool had(const struct core *core, const struct worker *worker, const char *project)
{
	const struct share *share;

	HASH_FIND_STR(core->project_shares, project, share);
	return share && worker_had(worker, share);
}

const char *core_find_worker(const struct core *core, const char *project, bool may_merge, const char **ret_why)
{
	const struct worker *best = NULL;

	*ret_why = "no worker is connected";
	for (const struct worker *w = core->workers; w; w = w->hh.next) {
		if (w->phase != WORKER_UP)
			continue;
		if (!allows(w, project)) {
			*ret_why = "no connected worker may have this project";
			continue;
		}
		if (may_merge && !(w->info && w->info->may_merge)) {
			*ret_why = "no connected worker may merge";
			continue;
		}
		if (!best || had(core, w, project))
			best = w;
	}
	return best ? best->row.name : NULL;
}
