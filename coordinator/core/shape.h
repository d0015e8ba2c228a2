/* Shapes: what tasks ask of a worker, and which workers have it.
 *
 * Each shape knows of every worker what keeps it from having such a task, or how good a choice it is, and keeps those that
 * may have one in a heap. Workers stand in core->moved in the order in which they changed last, so a shape that is looked at
 * puts right only those that changed since it was looked at before: a fleet in which nothing moves costs nothing.
 *
 * What a shape knows is forgotten, the longest unused first, where all of them know more than config.known_fits. That and
 * nothing else depends on it: what was forgotten is found again, at the cost of looking at all workers. */
#pragma once

#include <uthash.h>
#include "coordinator/core/core.h"
#include "proto/base/buf.h"
#include "proto/base/list.h"

struct share;
struct task;
struct worker;

/* What keeps a worker from having a task, the more lasting first. */
enum obstacle {
	OBSTACLE_LABEL,
	OBSTACLE_AGENT,
	OBSTACLE_LOGIN,
	OBSTACLE_PROJECT,
	OBSTACLE_HELD,
	OBSTACLE_LIMITED,
	OBSTACLE_DISK,
	OBSTACLE_MEMORY,
	OBSTACLE_LOAD,
	OBSTACLE_FULL,
	OBSTACLE_AWAY,
	OBSTACLE_COUNT, /* nothing does */
};

/* How a worker suits a shape. */
struct fit {
	struct worker *worker; /* NULL: not looked at */
	uint32_t score;
	uint32_t at; /* in the heap; FIT_NOWHERE: it may not have one */
	uint8_t obstacle;
	uint8_t told; /* the same, by what the worker said of itself alone */
	uint16_t label; /* the first that it lacks, of the shape's */
};

#define FIT_NOWHERE UINT32_MAX

struct shape {
	char *key;
	struct share *project, *agent;
	Maestro__Label **labels; /* in order, owned */
	size_t label_count;
	size_t flows; /* that are of it */
	struct list used; /* in core->shape_list, the latest last */

	struct fit *fits; /* by the worker's number */
	size_t fit_count;
	uint32_t *heap; /* numbers of those that may have one, the best first */
	size_t heap_count;
	uint32_t count[OBSTACLE_COUNT]; /* workers that each obstacle keeps back */
	uint32_t *lacking;              /* workers that OBSTACLE_LABEL keeps back, by label */
	uint64_t seen;                  /* changes of workers */

	char *why; /* it waits; NULL: it does not */
	bool untold;  /* why has changed, and those who watch its tasks do not know yet */
	bool blocked; /* in the pass at hand */
	UT_hash_handle hh;
};

/* NULL: no memory. */
struct shape *shape_of(struct core *core, struct core_effects *fx, const struct task *task);
/* The worker that is to have the next task of this shape: with the highest score, of these the first by name. NULL: none may,
 * or no memory. */
struct worker *shape_best(struct core *core, struct core_effects *fx, struct shape *shape);
/* After shape_best found none: why, in words. */
void shape_explain(const struct core *core, const struct shape *shape, struct buf *out);
/* Between passes: frees shapes that no flow is of, and what shapes know, until the rest is no more than it may be. */
void shapes_trim(struct core *core);
void shapes_deinit(struct core *core);

/* Has to be called after every change of what worker_obstacle and worker_score look at. */
void worker_moved(struct core *core, struct worker *worker);
/* The same, of what the worker said of itself: labels, agents, projects, slots. */
void worker_described(struct core *core, struct worker *worker);
/* When a worker comes to be known, false: no memory; and before it is gone. */
bool worker_number(struct core *core, struct worker *worker);
void worker_forget(struct core *core, struct worker *worker);
