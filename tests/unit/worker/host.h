/* A worker's core on a scripted host: a journal in memory, and a disk, a holder, repository jobs and a coordinator that do
 * what the test says. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "worker/core/attempts.h"
#include "worker/core/journal.h"

#define TASK 7u
#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BASE "cccccccccccccccccccccccccccccccccccccccc"

/* A worker, its disk, and what the world saw of it. */
struct world {
	struct attempts *core;
	struct buf journal; /* durable */
	uint64_t now_ms;
	bool crash_armed;
	unsigned int records_left; /* until the crash */
	bool dead;

	unsigned int spawned, killed, forgotten, cleaned, asked, tombstones;
	bool holder_alive, exited;
	enum work jobs[64];
	unsigned int job_count;
	Maestro__AttemptPhase phases[64];
	char reasons[64][128];
	bool live[64];
	unsigned int report_count;
	uint64_t numbers[64];
	bool replied, reply_ok;
};

#define PHASE(name) MAESTRO__ATTEMPT_PHASE__PHASE_##name
#define GIT_CODE(name) MAESTRO__GIT_CODE__GIT_##name

extern uint32_t number; /* of the attempt that things happen to */

/* --- the host: what the core wants is done, and noted in the world ---------------------------------------------- */

Maestro__Start *start_message(uint32_t attempt);
void execute(struct world *world, struct effects *effects);
void tell(struct world *world, const struct event *event);
int replay(const Maestro__JournalRecord *record, void *userdata);
/* A new process over the same journal. */
void boot(struct world *world);
/* A worker that is past READY. */
int setup(void **state);
int teardown(void **state);
/* --- things that happen ------------------------------------------------------------------------------------------ */

struct event about(enum event_kind kind);
void start(struct world *world);
void git_done(struct world *world, enum work work, Maestro__GitCode code, const char *commit, uint32_t ahead);
void holder_started(struct world *world);
void exited(struct world *world, int code);
void granted(struct world *world);
void status(struct world *world, Maestro__AgentState state);
void stop(struct world *world);
void verdict(struct world *world, Maestro__Verdict what);
void release(struct world *world, bool remove_worktree);
void to_running(struct world *world);
/* --- what was told ------------------------------------------------------------------------------------------------ */

Maestro__AttemptPhase last(const struct world *world);
const char *last_reason(const struct world *world);
enum work last_job(const struct world *world);

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
