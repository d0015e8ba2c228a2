/* Which worker suits a task: the hard constraints, what keeps a worker from having it (in words too), and how good a
 * choice it is among those that may. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"

#include <stdio.h>
#include <string.h>

bool agent_is_builtin(const char *agent)
{
	return strcmp(agent, "command") == 0 || strcmp(agent, "shell") == 0;
}

static const Maestro__AgentProgram *find_agent(const struct worker *worker, const char *agent)
{
	for (size_t i = 0; worker->info && i < worker->info->n_agents; i++)
		if (strcmp(worker->info->agents[i]->name, agent) == 0)
			return worker->info->agents[i];
	return NULL;
}

bool agent_known(const struct core *core, const char *agent)
{
	if (agent_is_builtin(agent))
		return true;
	for (const struct worker *w = core->workers; w; w = w->hh.next)
		if (find_agent(w, agent))
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

static enum obstacle agent_obstacle(const struct worker *worker, const char *agent)
{
	const Maestro__AgentProgram *program;

	if (agent_is_builtin(agent))
		return OBSTACLE_COUNT;
	program = find_agent(worker, agent);
	if (!program)
		return OBSTACLE_AGENT;
	return program->has_logged_in && !program->logged_in ? OBSTACLE_LOGIN : OBSTACLE_COUNT;
}

static bool agent_limited(const struct core *core, const struct worker *worker, const struct share *agent)
{
	for (size_t i = 0; i < worker->limit_count; i++)
		if (worker->limits[i].agent == agent && worker->limits[i].until_ms > core->now_ms)
			return true;
	return false;
}

enum obstacle worker_room(const struct core *core, const struct worker *worker)
{
	const Maestro__WorkerInfo *info = worker->info;
	const struct core_config *config = &core->config;

	if (info && info->has_disk_free_bytes && info->disk_free_bytes < config->min_disk_bytes)
		return OBSTACLE_DISK;
	if (info && info->has_memory_free_bytes && info->memory_free_bytes < config->min_memory_bytes)
		return OBSTACLE_MEMORY;
	if (info && info->has_load_percent && config->max_load_percent && info->load_percent > config->max_load_percent)
		return OBSTACLE_LOAD;
	return OBSTACLE_COUNT;
}

static uint32_t free_slots(const struct worker *worker)
{
	uint32_t slots = worker->info ? worker->info->slots : 0;

	return slots > worker->used ? slots - worker->used : 0;
}

enum obstacle worker_offers(const struct worker *worker, const struct shape *shape, size_t *ret_label)
{
	enum obstacle obstacle;

	if (!worker_allows(worker, shape->project->name))
		return OBSTACLE_PROJECT;
	obstacle = agent_obstacle(worker, shape->agent->name);
	for (size_t i = 0; obstacle == OBSTACLE_COUNT && i < shape->label_count; i++) {
		if (worker_has_label(worker, shape->labels[i]))
			continue;
		*ret_label = i;
		return OBSTACLE_LABEL;
	}
	return obstacle;
}

enum obstacle worker_obstacle(const struct core *core, const struct worker *worker, const struct shape *shape,
	enum obstacle offers)
{
	if (worker->phase != WORKER_UP || worker->state != MAESTRO__WORKER_STATE__WORKER_READY)
		return OBSTACLE_AWAY;
	if (worker->row.cordoned || worker->row.draining)
		return OBSTACLE_HELD;
	if (offers != OBSTACLE_COUNT)
		return offers;
	if (!free_slots(worker))
		return OBSTACLE_FULL;
	if (agent_limited(core, worker, shape->agent))
		return OBSTACLE_LIMITED;
	return worker_room(core, worker);
}

bool worker_had(const struct worker *worker, const struct share *project)
{
	for (size_t i = 0; i < worker->mirror_count; i++)
		if (worker->mirrors[i] == project)
			return true;
	return false;
}

void worker_note_project(struct core *core, struct core_effects *fx, struct worker *worker, struct share *project)
{
	struct share **mirrors;

	if (worker_had(worker, project))
		return;
	mirrors = realloc(worker->mirrors, (worker->mirror_count + 1) * sizeof(*mirrors));
	if (!mirrors) {
		fx->error = -ENOMEM;
		return;
	}
	worker->mirrors = mirrors;
	mirrors[worker->mirror_count++] = project;
	worker_moved(core, worker);
}

/* A mirror, and what is warm beside it, is worth a quarter of a worker's slots. */
uint32_t worker_score(const struct worker *worker, const struct share *project)
{
	uint32_t slots = free_slots(worker);

	if (!slots)
		return 0;
	return 1 + (uint32_t)((uint64_t)slots * 1000 / worker->info->slots) + (worker_had(worker, project) ? 250 : 0);
}

/* --- limited accounts ------------------------------------------------------------------------------------------- */

void worker_limit_agent(struct core *core, struct core_effects *fx, struct worker *worker, const struct task *task,
	uint64_t until_ms)
{
	struct account_limit *limits;
	size_t i = 0;

	while (i < worker->limit_count && worker->limits[i].agent != task->agent)
		i++;
	if (!until_ms) {
		if (i == worker->limit_count || worker->limits[i].task != task->row.id || !worker->limits[i].until_ms)
			return;
		worker->limits[i].until_ms = 0;
		worker_moved(core, worker);
		effect_changed_worker(fx, worker->row.name);
		core->want_schedule = true;
		record_event(core, fx, "agent.resumed", task, worker->row.name, task->row.agent);
		return;
	}
	if (i == worker->limit_count) {
		limits = realloc(worker->limits, (i + 1) * sizeof(*limits));
		if (!limits) {
			fx->error = -ENOMEM;
			return;
		}
		worker->limits = limits;
		worker->limits[worker->limit_count++] = (struct account_limit){ .agent = task->agent };
	}
	if (worker->limits[i].until_ms <= core->now_ms)
		record_event(core, fx, "agent.limited", task, worker->row.name, task->row.agent);
	worker->limits[i].task = task->row.id;
	worker->limits[i].until_ms = until_ms;
	worker->limits[i].until_wall_ms = core->wall_ms + (int64_t)(until_ms - core->now_ms);
	effect_changed_worker(fx, worker->row.name);
	worker_note_due(core, worker);
	worker_moved(core, worker);
	core->limits_due_ms = min_ms(core->limits_due_ms, until_ms);
	core->want_schedule = true; /* what waits is told why */
}

void limits_look(struct core *core)
{
	if (core->now_ms < core->limits_due_ms)
		return;
	core->limits_due_ms = UINT64_MAX;
	for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
		for (size_t i = 0; i < worker->limit_count; i++) {
			uint64_t until_ms = worker->limits[i].until_ms;

			if (until_ms > core->now_ms)
				core->limits_due_ms = min_ms(core->limits_due_ms, until_ms);
			else if (until_ms)
				worker_moved(core, worker);
		}
	}
}

/* --- words ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *one, *many; /* %s: what is asked for */
} phrases[OBSTACLE_COUNT] = {
	[OBSTACLE_LABEL] = { "lacks label %s", "lack label %s" },
	[OBSTACLE_AGENT] = { "lacks agent %s", "lack agent %s" },
	[OBSTACLE_LOGIN] = { "is not logged in to %s", "are not logged in to %s" },
	[OBSTACLE_PROJECT] = { "may not have project %s", "may not have project %s" },
	[OBSTACLE_HELD] = { "is cordoned or draining", "are cordoned or draining" },
	[OBSTACLE_LIMITED] = { "has used up its limit of %s", "have used up their limit of %s" },
	[OBSTACLE_DISK] = { "has too little free disk", "have too little free disk" },
	[OBSTACLE_MEMORY] = { "has too little free memory", "have too little free memory" },
	[OBSTACLE_LOAD] = { "has too high a load", "have too high a load" },
	[OBSTACLE_FULL] = { "is full", "are full" },
	[OBSTACLE_AWAY] = { "is away", "are away" },
};

static void say(const struct shape *shape, enum obstacle which, const Maestro__Label *missing, struct buf *out)
{
	uint32_t count = shape->count[which];
	const char *phrase = count == 1 ? phrases[which].one : phrases[which].many, *hole = strstr(phrase, "%s");

	buf_printf(out, "%s%u worker%s ", out->len ? ", " : "", count, count == 1 ? "" : "s");
	if (!hole) {
		buf_append_str(out, phrase);
		return;
	}
	buf_append(out, phrase, (size_t)(hole - phrase));
	if (which == OBSTACLE_LABEL)
		buf_printf(out, "%s=%s", missing->key, missing->value);
	else
		buf_append_str(out, which == OBSTACLE_PROJECT ? shape->project->name : shape->agent->name);
}

void explain_obstacles(const struct shape *shape, size_t workers, const Maestro__Label *missing, struct buf *out)
{
	if (workers == shape->count[OBSTACLE_AWAY]) {
		buf_append_str(out, "no worker is connected");
		return;
	}
	for (int i = 0; i < OBSTACLE_COUNT; i++)
		if (shape->count[i])
			say(shape, (enum obstacle)i, missing, out);
}
