/* Projects, the queue's switch, and what an admin does to workers. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void take_probe(struct core_effects *fx, struct project *project, const Maestro__GitProbed *probed)
{
	project->row.checked = true;
	project->row.needs_git = probed->has_needs_git && probed->needs_git;
	if (probed->base_branch && *probed->base_branch)
		set_text(fx, &project->row.base_branch, probed->base_branch);
	if (probed->has_reason)
		set_bytes(fx, &project->row.reason, &probed->reason);
	else
		set_text(fx, &project->row.reason, NULL);
}

static bool same_url(const struct project *project, const Maestro__ProjectAdd *add)
{
	return project->row.url.len == add->url.len && memcmp(project->row.url.data, add->url.data, add->url.len) == 0;
}

static bool check_add(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	const Maestro__ProjectAdd *add = event->project_add;
	const struct project *old = name_valid(add->name) ? find_project(core, add->name) : NULL;

	if (!name_valid(add->name))
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_USAGE, "project add", NULL,
			"'%s' is no name: a-z 0-9 . _ -, 64 characters at most, the first a letter or digit", add->name);
	else if (!add->url.len || add->url.len > 4096 || memchr(add->url.data, 0, add->url.len))
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_USAGE, "project add",
			"user@host:path, ssh://user@host/path, or a path that the workers can reach",
			"the URL is empty or too long");
	else if (add->base_branch && *add->base_branch && !name_branch_valid(add->base_branch))
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_USAGE, "project add", NULL,
			"'%s' is no name of a branch", add->base_branch);
	else if (add->agent && *add->agent && !name_valid(add->agent))
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_USAGE, "project add", NULL,
			"'%s' is no name of an agent", add->agent);
	else if (old && (!add->has_replace || !add->replace || !same_url(old, add)))
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "project add",
			"take another name, or remove that one first", "project '%s' is there already%s", add->name,
			same_url(old, add) ? "" : ", with another URL");
	else
		return true;
	return false;
}

void handle_project_add(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	const Maestro__ProjectAdd *add = event->project_add;
	struct project *project;

	if (!check_add(core, event, fx))
		return;
	project = find_project(core, add->name);
	if (!project)
		project = add_project(core, add->name);
	if (!project || row_set_blob(&project->row.url, add->url.data, add->url.len)) {
		fx->error = -ENOMEM;
		return;
	}
	if (add->base_branch && *add->base_branch)
		set_text(fx, &project->row.base_branch, add->base_branch);
	if (add->agent && *add->agent)
		set_text(fx, &project->row.agent, add->agent);
	if (event->probed)
		take_probe(fx, project, event->probed);
	effect_put(fx, ROW_PROJECT, &project->row);
	record_event(core, fx, "project.added", NULL, NULL, project->row.name);
	record_audit(core, fx, "project add", "project=%s", project->row.name);
	effect_changed_project(fx, project->row.name);
	core->want_schedule = true;
	if (event->probed)
		reply_done(fx, &event->client, "project %s, base %s", project->row.name,
			str_or(project->row.base_branch, "unknown"));
	else
		reply_done(fx, &event->client,
			"project %s was added; it was not checked yet, since no worker that could reach it is connected",
			project->row.name);
}

void handle_project_probed(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct project *project = find_project(core, event->name);

	if (!project)
		return;
	if (event->probed)
		take_probe(fx, project, event->probed);
	else
		set_text(fx, &project->row.reason, event->text);
	effect_put(fx, ROW_PROJECT, &project->row);
	effect_changed_project(fx, project->row.name);
	core->want_schedule = true;
}

void handle_project_remove(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct project *project = find_project(core, event->name);
	_cleanup_(buf_deinit) struct buf busy = BUF_NULL;

	if (!project) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, "project rm",
			"`maestro project ls` lists them", "there is no project '%s'", event->name);
		return;
	}
	for (const struct task *t = core->tasks; t; t = t->hh.next)
		if (strcmp(t->row.project, event->name) == 0 && !task_state_over((Maestro__TaskState)t->row.state))
			buf_printf(&busy, "%s%" PRIu64, busy.len ? ", " : "", t->row.id);
	if (busy.len) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "project rm",
			"stop, merge or reject them first", "tasks of project '%s' are not over: %s", event->name,
			buf_text(&busy));
		return;
	}
	effect_drop(fx, ROW_PROJECT, &project->row);
	record_event(core, fx, "project.removed", NULL, NULL, project->row.name);
	record_audit(core, fx, "project rm", "project=%s", project->row.name);
	effect_changed_project(fx, project->row.name);
	HASH_DEL(core->projects, project);
	core->dead_project = project;
	reply_done(fx, &event->client, "project %s was removed", event->name);
}

void handle_queue(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	core->paused = event->flag;
	put_meta(fx, "queue_paused", core->paused ? "1" : "0");
	record_event(core, fx, core->paused ? "queue.paused" : "queue.resumed", NULL, NULL, NULL);
	record_audit(core, fx, core->paused ? "queue pause" : "queue resume", "%s", "");
	core->want_schedule = true;
	reply_done(fx, &event->client, core->paused ? "the queue is paused: nothing new starts" : "the queue goes on");
}

static void remove_worker(struct core *core, const struct core_event *event, struct worker *worker,
	struct core_effects *fx)
{
	struct task *task, *next;
	struct attempt *attempt, *next_attempt;

	if (worker->phase != WORKER_AWAY) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "worker rm",
			"stop maestro-worker there first ('maestro worker drain' lets it finish what it has)",
			"worker '%s' is connected", worker->row.name);
		return;
	}
	if (worker->used && !worker->row.lost) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "worker rm",
			"drain it and wait, or `maestro worker rm --lost` if it will never answer again",
			"%u sessions run on worker '%s'", worker->used, worker->row.name);
		return;
	}
	record_audit(core, fx, "worker rm", "worker=%s", worker->row.name);
	record_event(core, fx, "worker.removed", NULL, worker->row.name, NULL);
	effect_drop(fx, ROW_WORKER, &worker->row);
	effect_changed_worker(fx, worker->row.name);
	effect_disconnect(fx, worker->row.name, "this worker was removed");
	list_for_each_safe (task, next, &worker->idle, idle)
		idle_remove(task);
	list_for_each_safe (attempt, next_attempt, &worker->held, held)
		list_remove(&attempt->held);
	debts_forget(core, fx, worker->row.name);
	strangers_forget(core, fx, worker->row.name);
	worker_forget(core, worker);
	HASH_DEL(core->workers, worker);
	core->dead_worker = worker;
	core->want_schedule = true;
	reply_done(fx, &event->client, "worker %s was removed", event->worker_act->name);
}

static void set_worker_flag(struct core *core, const struct core_event *event, struct worker *worker, bool *flag,
	bool on, const char *act, const char *text, struct core_effects *fx)
{
	*flag = on;
	worker_moved(core, worker);
	effect_put(fx, ROW_WORKER, &worker->row);
	record_audit(core, fx, act, "worker=%s", worker->row.name);
	record_event(core, fx, "worker.state", NULL, worker->row.name, text);
	effect_changed_worker(fx, worker->row.name);
	core->want_schedule = true;
	reply_done(fx, &event->client, "worker %s is %s", worker->row.name, text);
}

/* A person's word that it will not come back: what runs there is given up. If it does come back, its sessions are
 * ended after a checkpoint. */
static void declare_lost(struct core *core, const struct core_event *event, struct worker *worker,
	struct core_effects *fx)
{
	if (worker->phase != WORKER_AWAY) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, "worker rm --lost",
			"drain it, or stop its tasks", "worker '%s' answers", worker->row.name);
		return;
	}
	worker->state = MAESTRO__WORKER_STATE__WORKER_LOST;
	lose_attempts(core, fx, worker, "its worker was declared lost", false);
	set_worker_flag(core, event, worker, &worker->row.lost, true, "worker rm --lost", "lost", fx);
}

void handle_worker_act(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	const Maestro__ActOnWorker *act = event->worker_act;
	struct worker *worker = find_worker(core, act->name);

	if (!worker) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, "worker",
			"`maestro worker ls` lists them", "there is no worker '%s'", act->name);
		return;
	}
	switch (act->action) {
	case MAESTRO__WORKER_ACTION__WORKER_CORDON:
		set_worker_flag(core, event, worker, &worker->row.cordoned, true, "worker cordon", "cordoned", fx);
		break;
	case MAESTRO__WORKER_ACTION__WORKER_UNCORDON:
		worker->row.draining = false;
		set_worker_flag(core, event, worker, &worker->row.cordoned, false, "worker uncordon", "uncordoned", fx);
		break;
	case MAESTRO__WORKER_ACTION__WORKER_DRAIN:
		set_worker_flag(core, event, worker, &worker->row.draining, true, "worker drain", "draining", fx);
		break;
	case MAESTRO__WORKER_ACTION__WORKER_REMOVE:
		remove_worker(core, event, worker, fx);
		break;
	case MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST:
		declare_lost(core, event, worker, fx);
		break;
	default:
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED, "worker", NULL,
			"this coordinator does not know that action");
	}
}
