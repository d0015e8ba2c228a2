/* A simulated cluster: the real cores of one coordinator and a few workers, with a seeded clock, network and disk.
 *
 * Everything that happens is an action in one queue, ordered by virtual time; all chance comes from the seed, so a
 * history is replayed by its number. Processes crash before and after what they make durable; connections break with
 * what is on them; machines restart; holders are killed. After every step the promises are checked. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "coordinator/core/core.h"
#include "proto/base/buf.h"
#include "proto/schema/envelope.pb-c.h"
#include "worker/core/attempts.h"
#include "worker/core/journal.h"

#define SIM_WORKERS 3
#define SIM_TASKS_MAX 64

struct world;

/* What a process of the machine may be told by, later. `life` must still be the owner's when it is due. */
struct action {
	uint64_t due_ms, order;
	void (*run)(struct world *world, struct action *action);
	uint64_t *life, alive; /* NULL: always */
	int worker;
	uint64_t task;
	uint32_t attempt;
	int number;
	bool flag;
	const uint64_t *frozen_until_ms; /* of the process that does it; NULL: nothing can stop it */
	uint8_t run_id[16];
	struct buf bytes;
};

enum holder_state { HOLDER_NONE, HOLDER_TOMBSTONE, HOLDER_ALIVE, HOLDER_EXITED, HOLDER_KILLED };

/* A session's directory on a worker's disk, and its process. */
struct sim_session {
	uint64_t task;
	uint32_t attempt;
	enum holder_state state;
	int boot; /* of the machine it ran in */
	int starts;
	bool buried; /* it had a tombstone */
	uint8_t run_id[16];
	int code, signal;
	unsigned int commits;
};

struct sim_ask {
	uint64_t request, task;
	uint32_t attempt;
};

struct sim_worker {
	char name[8];
	struct attempts *core; /* NULL: not running */
	struct buf journal;    /* what is durable */
	struct effects queue;
	bool executing;
	uint64_t life;         /* of the process */
	uint64_t connection;   /* life of the connection; both ends see the same one */
	bool connected, ready, verdicts_taken;
	uint64_t sent_ms[2];   /* due time of the last message to it and from it: order is kept */
	int boot;
	uint64_t frozen_until_ms;
	uint64_t next_request, tick_ms;
	struct sim_ask asks[64];
	struct sim_session *sessions;
	size_t session_count;
};

struct sim_task {
	uint8_t request_id[16];
	uint64_t id; /* 0: not acknowledged yet */
	bool removed;     /* somebody asked for that */
	bool lost;        /* acknowledged after the backup that was restored */
	bool label;       /* it wants w1 */
	bool claude;      /* an agent that w1 and w2 have */
	uint64_t after[2];
};

/* Bugs put in on purpose. What each breaks: README.md. */
enum {
	BUG_NONE,
	BUG_NO_JOURNAL,
	BUG_SEND_FIRST,
	BUG_NO_TOMBSTONE,
	BUG_LOST_ROWS,
	BUG_NO_REQUESTS,
	BUG_LOST_REPORTS,
	BUG_HALF_COMMIT,
	BUG_TWO_WORKERS,
	BUG_ADOPT_THE_DEAD,
	BUG_DEAF_TO_EXITS,
	BUG_FORGET_PAUSE,
	BUG_EQUAL_RUN_IDS,
	BUG_HIDE_STRANGERS,
	BUG_WRONG_LABELS,
	BUG_COUNT,
};

struct world {
	uint64_t seed, random, now_ms, order, steps;
	struct action **heap;
	size_t heap_len, heap_size;
	bool faults, failed;
	struct buf history;
	unsigned int bug; /* a promise broken on purpose, to see that it is noticed */

	struct core *core; /* NULL: not running */
	uint64_t core_life, core_tick_ms, core_frozen_ms, epoch;
	void **rows[ROW_TABLE_COUNT];
	size_t row_count[ROW_TABLE_COUNT];
	void **backup[ROW_TABLE_COUNT];
	size_t backup_count[ROW_TABLE_COUNT];
	bool saved, restored, force_epoch;
	uint64_t paused_ms; /* since when, 0: not */
	uint64_t highest_shown; /* task that a worker told of, and got its verdict */

	struct sim_worker workers[SIM_WORKERS];
	struct sim_task tasks[SIM_TASKS_MAX];
	size_t task_count;
};

/* main.c */
uint64_t chance(struct world *world, uint64_t below);
/* True once in `n` times, and only while faults are let in. */
bool fault(struct world *world, uint64_t n);
struct action *later(struct world *world, uint64_t after_ms, void (*run)(struct world *, struct action *), uint64_t *life);
void tell(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void broken(struct world *world, const char *promise, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* coordinator.c */
void coordinator_start(struct world *world);
void coordinator_crash(struct world *world, const char *when);
void coordinator_event(struct world *world, struct core_event *event);
void coordinator_free(struct world *world);
/* Copies the database; and puts the copy back, with a new process over it. */
void coordinator_backup(struct world *world);
void coordinator_restore(struct world *world);
const void *coordinator_row(const struct world *world, enum row_table table, const void *like);

/* worker.c */
void worker_start(struct world *world, int number);
void worker_crash(struct world *world, int number, const char *when);
void worker_reboot(struct world *world, int number);
void worker_disconnect(struct world *world, int number);
void worker_kill_a_holder(struct world *world, int number);
void worker_receive(struct world *world, int number, const Maestro__Envelope *envelope);
void worker_free(struct sim_worker *worker);
/* Sends over the connection between a worker and the coordinator, in order, some time later. */
void send_to_worker(struct world *world, int number, const Maestro__Envelope *envelope);
void send_to_coordinator(struct world *world, int number, const Maestro__Envelope *envelope);

/* client.c */
void client_begin(struct world *world);
/* Nobody hinders anything any more. */
void client_calm(struct world *world);
struct sim_task *client_task(struct world *world, uint64_t id);
void client_reply(struct world *world, uint64_t client, const Maestro__Envelope *envelope);

/* check.c */
/* After a row is committed: P2, P4. `old` may be NULL. */
void check_row(struct world *world, enum row_table table, const void *old, const void *row);
void check_start(struct world *world, const struct sim_worker *worker, const struct sim_session *session);
/* When everything has healed and come to rest: P3, P6, P8. */
void check_rest(struct world *world);
