/* A coordinator's core with projects, workers and people in it, without clock, disk or network: for benches. */
#pragma once

#include <stdint.h>
#include "coordinator/core/core.h"

#define WORLD_SLOTS 5u /* of a worker */
#define WORLD_PROJECTS 8u
#define WORLD_PEOPLE 6u

struct world {
	struct core *core;
	struct core_effects effects;
	uint64_t now_ms, reports;
};

void world_init(struct world *world);
void world_deinit(struct world *world);
/* CPU of this process, in seconds: nothing here waits, and others may be busy beside it. */
double world_cpu(void);

/* Each returns what it took, in milliseconds of CPU; its effects are in the world until the next. */
double world_handle(struct world *world, struct core_event *event);
double world_tell(struct world *world, const char *worker, Maestro__Envelope *envelope);
double world_submit(struct world *world, unsigned int number);
double world_end_session(struct world *world, uint64_t task);
/* Past READY, without a session. It may have been there before. */
void world_add_worker(struct world *world, unsigned int number);
