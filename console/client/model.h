/* The picture of everything that a console shows: tasks, workers, projects, the newest events.
 *
 * Asked for with WATCH, kept up to date by CHANGEs. After a lost connection the old picture stays until the new one is
 * there whole; model_age_ms says how old it is. All pointers are good until the next turn of the loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "console/client/client.h"

struct model;

enum model_part {
	MODEL_TASKS = 1 << 0,
	MODEL_WORKERS = 1 << 1, /* and what is asked about them */
	MODEL_PROJECTS = 1 << 2,
	MODEL_EVENTS = 1 << 3,
	MODEL_CONNECTION = 1 << 4, /* connected, disconnected, queue paused */
	MODEL_ALL = (1 << 5) - 1,
};

struct model_ops {
	/* `parts` of the picture are different (enum model_part). `task` is the one that changed, 0: several or none.
	 * Called once a message. */
	void (*changed)(struct model *model, unsigned int parts, uint64_t task, void *userdata);
};

/* Events that are kept: the newest ones. */
#define MODEL_EVENTS_MAX 1000u

/* Begins to watch as soon as the client is connected, and again after each reconnect. `client` outlives it. */
int model_new(struct model **ret_model, struct client *client, const struct model_ops *ops, void *userdata);
void model_free(struct model *model);
DEFINE_CLEANUP(struct model *, model_free)

/* Whether a whole picture was ever received. */
bool model_ready(const struct model *model);
/* 0 while connected and whole; else for how long it has not been (in ms). */
uint64_t model_age_ms(const struct model *model);
/* Why there is no connection (foreign text: clean it), "" while there is one. */
const char *model_trouble(const struct model *model);
/* Milliseconds until the next try to connect, 0 while connected or trying. */
uint64_t model_retry_ms(const struct model *model);
bool model_queue_paused(const struct model *model);

/* Sorted by id, ascending. */
size_t model_task_count(const struct model *model);
const Maestro__Task *model_task_at(const struct model *model, size_t index);
/* NULL if there is none. */
const Maestro__Task *model_task(const struct model *model, uint64_t id);
/* How long ago the agent said what is in task->status; 0 if it said nothing. */
uint64_t model_status_age_ms(const struct model *model, uint64_t id);

/* Sorted by name. */
size_t model_worker_count(const struct model *model);
const Maestro__Worker *model_worker_at(const struct model *model, size_t index);
const Maestro__Worker *model_worker(const struct model *model, const char *name);

/* Sorted by name. */
size_t model_project_count(const struct model *model);
const Maestro__Project *model_project_at(const struct model *model, size_t index);
const Maestro__Project *model_project(const struct model *model, const char *name);

/* What the cluster asks its admin, and nobody has answered yet. By number. */
size_t model_question_count(const struct model *model);
const Maestro__Question *model_question_at(const struct model *model, size_t index);

/* Oldest first. */
size_t model_event_count(const struct model *model);
const Maestro__Event *model_event_at(const struct model *model, size_t index);
