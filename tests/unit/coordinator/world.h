/* A core with a store in memory and a clock that the test moves; workers and people are played. */
#pragma once

#include "coordinator/core/core.h"
#include "coordinator/store/store.h"

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind
#define QUEUED MAESTRO__TASK_STATE__TASK_QUEUED
#define STARTING MAESTRO__TASK_STATE__TASK_STARTING
#define RUNNING MAESTRO__TASK_STATE__TASK_RUNNING
#define EXITED MAESTRO__ATTEMPT_PHASE__PHASE_EXITED

struct world {
	struct core *core;
	struct store *store;
	struct core_config config;
	struct core_effects effects; /* of the last event */
	uint64_t now_ms, reports;
	int64_t wall_ms;             /* above now_ms */
};

struct wish {
	const char *project, *agent, *who, *label;
	int priority;
	uint32_t retries;
	uint64_t after;
};

void world_handle(struct world *world, struct core_event *event);
void world_add_project(struct world *world, const char *name);
void world_init(struct world *world, const struct core_config *config);
void world_deinit(struct world *world);
void tell(struct world *world, const char *worker, Maestro__Envelope *envelope);
void world_add_worker(struct world *world, const char *name, Maestro__WorkerInfo *info);
void add_slots(struct world *world, const char *name, uint32_t slots);
void submit(struct world *world, struct wish wish);
void report(struct world *world, uint64_t task, Maestro__AttemptPhase phase, bool retryable);
void report_why(struct world *world, uint64_t task, Maestro__AttemptPhase phase, const char *reason);
void say_limited(struct world *world, uint64_t task, Maestro__AgentState state, uint64_t limited_ms);
void assert_waits(struct world *world, uint64_t task, const char *why);
void say_status(struct world *world, uint64_t task, Maestro__AgentState state);
void pause_queue(struct world *world, bool paused);
void tick(struct world *world, uint64_t now_ms);
int state_of(const struct world *world, uint64_t task);
/* A new process over what is stored. */
void world_restart(struct world *world);
