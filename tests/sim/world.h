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
#define SIM_VIEWS 512
#define SIM_SLOTS 3
#define SIM_KEEP_TASKS_MS 60000u /* in every third history; in the others for ever */
#define SIM_LIMITED_MS 60000u     /* an agent that does not say for how long */
#define SIM_PROJECT_SLOTS 7
#define SIM_CLAUDE_SLOTS 2

#define ENVELOPE(kind, message)                                                                                    \
	(Maestro__Envelope)                                                                                        \
	{                                                                                                          \
		PROTOBUF_C_MESSAGE_INIT(&maestro__envelope__descriptor), .body_case = MAESTRO__ENVELOPE__BODY_##kind, \
			.message                                                                                   \
	}

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
	bool flag, limited; /* a time limit may end it */
	uint64_t not_after_ms; /* it may begin until then */
	const uint64_t *frozen_until_ms; /* of the process that does it; NULL: nothing can stop it */
	const uint64_t *cut_until_ms;    /* of the way that it takes */
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
	bool worktree; /* it was made, and not removed */
};

enum undo_kind { UNDO_NEW, UNDO_CHANGE, UNDO_DROP };

/* What takes one step of a transaction back. */
struct undo {
	enum undo_kind kind;
	enum row_table table;
	size_t at;
	void *old; /* owned */
};

/* That an admin was told: the question is answered so. */
struct sim_answer {
	uint64_t question;
	const char *choice;
};

struct sim_ask {
	uint64_t request, task;
	uint32_t attempt;
	int worker;
};

struct sim_worker {
	char name[8];
	struct attempts *core; /* NULL: not running */
	struct buf journal;    /* what is durable */
	struct effects queue;
	bool executing;
	uint64_t life;         /* of the process */
	uint64_t link, far;    /* the connection's number, as its two ends see it; 0: none */
	uint64_t hole;         /* what is sent on this connection comes nowhere */
	bool ready, verdicts_taken;
	bool disobeyed;        /* its coordinator is older than one that was obeyed: it only learns what is here */
	bool leaving;          /* its connection is gone, and the coordinator is just being told */
	uint64_t sent_ms[2];   /* due time of the last message to it and from it: order is kept */
	uint64_t cut_until_ms[2]; /* nothing comes through, to it and from it */
	int boot;
	uint64_t frozen_until_ms, disk_until_ms;
	uint64_t disturbed_ms; /* when something last befell it */
	uint64_t removed_until_ms; /* its key is gone until then */
	bool was_removed;
	struct {
		uint64_t task, until_ms, said_ms; /* whose session said it, and for how long, 0: it did not say */
	} limit; /* of its claude account, as the coordinator was told */
	int64_t wall_ms;       /* how far its clock is wrong */
	uint64_t next_request, tick_ms;
	struct sim_ask asks[64];
	struct sim_session *sessions;
	size_t session_count;
};

struct sim_task {
	uint8_t request_id[16];
	uint64_t id;      /* of the first, 0: not acknowledged yet */
	uint64_t copies;
	bool removed;     /* somebody asked for that */
	bool gave_up;     /* nobody asks for its id any more */
	uint32_t max_time_ms, max_idle_ms; /* 0: none */
	bool lost;        /* acknowledged after the backup that was restored */
	bool label;       /* it wants w1 */
	bool claude;      /* an agent that w1 and w2 have */
	uint64_t conn;    /* its client's connection: answers to an earlier one are lost */
	uint64_t after[2];
};

/* What a console believes of a task, and since when coordinator and worker do not agree on it. */
struct sim_view {
	uint64_t task, digest, differs_ms;
	uint64_t waiting, waits_ms; /* why it waits, and since when that was not told; 0: it was */
	bool changed; /* it was told to look again */
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
	BUG_LOST_EVENTS,
	BUG_IGNORE_SLOTS,
	BUG_NO_TIMEOUT,
	BUG_IGNORE_LEASE,
	BUG_SKIP_TORN,
	BUG_DEAF_CONSOLE,
	BUG_TAKE_ANY_BODY,
	BUG_SILENT_BREAK,
	BUG_BELIEVE_LIES,
	BUG_FORGET_ANSWER,
	BUG_HIDE_EPOCH,
	BUG_PUSH_SUPERSEDED,
	BUG_FORGET_LIMIT,
	BUG_DEAF_TO_LEAVING,
	BUG_SPEAK_UNWRITTEN,
	BUG_WRONG_CLIENT,
	BUG_KEEP_WORKTREE,
	BUG_COUNT,
};

struct world {
	uint64_t seed, random, now_ms, order, steps;
	struct action **heap;
	size_t heap_len, heap_size;
	bool faults, failed, telling;
	struct buf history;
	unsigned int bug; /* a promise broken on purpose, to see that it is noticed */

	struct core *core; /* NULL: not running */
	uint64_t core_life, core_tick_ms, core_frozen_ms;
	uint64_t links;        /* connections made */
	uint64_t disturbed_ms; /* when something last befell the coordinator */
	int64_t wall_ms;       /* how far its clock is wrong */
	uint64_t clock_set_ms; /* since when */
	struct sim_ask asks[64];
	uint64_t next_ask;
	void **rows[ROW_TABLE_COUNT];
	size_t row_count[ROW_TABLE_COUNT];
	struct undo *undo; /* of the transaction that is open */
	size_t undo_count, undo_size;
	struct core_effects outbox; /* to be said when it is committed */
	unsigned int gathered;      /* events in it */
	void **backup[ROW_TABLE_COUNT];
	size_t backup_count[ROW_TABLE_COUNT];
	bool saved, restored, force_epoch, reloads;
	bool lied; /* what is heard at the moment comes from a liar */
	uint64_t paused_ms; /* since when, 0: not */
	uint64_t highest_shown; /* task that a worker told of, and got its verdict */

	uint64_t gone[SIM_VIEWS]; /* tasks that were removed */
	struct sim_answer answers[64];
	size_t answer_count;
	uint64_t admin_conn;

	struct sim_worker workers[SIM_WORKERS];
	uint64_t asked_ms; /* when the question of a restored backup was last open */
	struct sim_view views[SIM_VIEWS];
	struct sim_task tasks[SIM_TASKS_MAX];
	size_t task_count;
};

/* queue.c: chance, time, and what is told */
uint64_t chance(struct world *world, uint64_t below);
/* True once in `n` times, and only while faults are let in. */
bool fault(struct world *world, uint64_t n);
/* Held while the process, or the way, that `life` belongs to stands still. */
struct action *later(struct world *world, uint64_t after_ms, void (*run)(struct world *, struct action *), uint64_t *life);
void run_until(struct world *world, uint64_t end_ms);
void queue_free(struct world *world);
void tell(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void broken(struct world *world, const char *promise, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* faults.c */
void faults_begin(struct world *world);

/* rows.c: the database */
const void *coordinator_row(const struct world *world, enum row_table table, const void *like);
/* Into the transaction that is open; it is seen at once. */
void rows_put(struct world *world, enum row_table table, const void *row);
void rows_drop(struct world *world, enum row_table table, const void *row);
void rows_commit(struct world *world);
/* Back to the last commit; `keep` steps stay, which no store does. */
void rows_rollback(struct world *world, size_t keep);
void rows_backup(struct world *world);
void rows_restore(struct world *world);
void rows_free(struct world *world);

/* coordinator.c */
void coordinator_start(struct world *world);
void coordinator_crash(struct world *world, const char *when);
/* Nothing can be written for a while: back to what is stored. */
void coordinator_disk_fails(struct world *world);
void coordinator_restore(struct world *world);

/* commit.c */
void coordinator_random(void *buffer, size_t len);
/* After loading. */
void coordinator_begin(struct world *world);
/* Its rows are committed, and its words said, some time later or at coordinator_flush. */
void coordinator_event(struct world *world, struct core_event *event);
void coordinator_flush(struct world *world);
/* The transaction that is open, and what was to be said. */
void coordinator_forget(struct world *world);
void coordinator_write_failed(struct world *world);
/* An answer of a worker to what the core asked; NULL: none comes. */
void coordinator_answered(struct world *world, uint64_t request, const Maestro__Envelope *envelope);
/* The worker is gone: it answers nothing any more. */
void coordinator_asks_end(struct world *world, int worker);

/* worker.c */
struct moment worker_now(const struct world *world, const struct sim_worker *worker);
void worker_start(struct world *world, int number);
void worker_crash(struct world *world, int number, const char *when);
void worker_reboot(struct world *world, int number);
void worker_event(struct world *world, int number, const struct event *event);
void worker_execute(struct world *world, int number, struct effects *effects);
void worker_free(struct sim_worker *worker);

/* session.c: holders, agents and git jobs of a worker */
struct sim_session *session_find(struct sim_worker *worker, uint64_t task, uint32_t attempt, bool make);
void session_tell_end(struct world *world, int number, const struct sim_session *session);
void session_spawn(struct world *world, int number, const struct effect *effect);
void session_kill(struct world *world, int number, const struct effect *effect);
void session_clean(struct world *world, int number, const struct effect *effect);
void session_git(struct world *world, int number, const struct effect *effect);
/* Someone kills one of its holders. */
void session_kill_a_holder(struct world *world, int number);

/* wire.c: the connections, each end with its own view */
void wire_dial(struct world *world, int number);
void wire_break(struct world *world, int number);
/* Nothing comes through for a while, in one way or both. */
void wire_cut(struct world *world, int number);
/* The end's process is gone, or closes it; the other hears of it sooner or later. */
void wire_close_near(struct world *world, int number);
void wire_close_far(struct world *world, int number, bool tell_core);
/* Sends over the connection between a worker and the coordinator, in order, some time later. */
void send_to_worker(struct world *world, int number, const Maestro__Envelope *envelope);
void send_to_coordinator(struct world *world, int number, const Maestro__Envelope *envelope);

/* talk.c: what a worker and the coordinator say to one another */
void talk_begin(struct world *world, int number);
void talk_receive(struct world *world, int number, const Maestro__Envelope *envelope);
/* READY, when the verdicts are applied and written down. */
void talk_try_ready(struct world *world, int number);
void talk_report(struct world *world, int number, const struct effect *effect);
void talk_ask(struct world *world, int number, const struct effect *effect);
void talk_reply(struct world *world, int number, const struct effect *effect);

/* impostor.c: another machine with a worker's key */
void impostor_come(struct world *world, int number);

/* admin.c */
void admin_begin(struct world *world);
void admin_reply(struct world *world, uint64_t conn, uint64_t request, const Maestro__Envelope *envelope);
/* What an admin was told is so. */
void check_answers(struct world *world);
void check_question(struct world *world, const struct question_row *old, const struct question_row *row);
/* The coordinator knows what is open; who was not obeyed is asked about. */
void check_asking(struct world *world);
/* At rest: nothing is asked about what is gone. */
void check_asked_in_vain(struct world *world);
/* This run was, or is, asked about. */
bool asked_about(const struct world *world, const struct row_blob *run_id);

/* client.c, operator.c */
#define CLIENT_ADMIN 20000u
#define CLIENT_NOBODY 10000u /* from here on no answer is looked at, but an admin's */
/* A connection's number, never used again, and who it belongs to. */
#define CLIENT_ID(conn, who) ((conn) << 16 | (who))
void client_begin(struct world *world);
struct sim_task *client_task(struct world *world, uint64_t id);
void client_reply(struct world *world, uint64_t client, uint64_t request, const Maestro__Envelope *envelope);
struct action *client_later(struct world *world, uint64_t after_ms,
	void (*run)(struct world *world, struct action *action));
void operator_begin(struct world *world);
/* Nobody hinders anything any more. */
void operator_calm(struct world *world);

/* check.c */
/* After a row is committed: P2, P4. `old` may be NULL. */
void check_row(struct world *world, enum row_table table, const void *old, const void *row);
/* Before a task's row goes: somebody asked for that, or it ended long ago. */
void check_drop(struct world *world, const struct task_row *row);
bool task_gone(const struct world *world, uint64_t id);
void check_start(struct world *world, const struct sim_worker *worker, const struct sim_session *session);
/* Before it is sent: what it rests on must be committed. */
void check_sent(struct world *world, const struct core_effect *effect);
/* Whether all that can end has. */
bool check_at_rest(struct world *world);
/* When everything has healed and come to rest: P3, P6, P7, P8. */
void check_rest(struct world *world);

/* Before a push begins: it was granted. */
void check_push(struct world *world, uint64_t task, uint32_t attempt, uint64_t not_after_ms);
/* pushed.c: what is done with worktrees */
void check_tree(struct world *world, const struct sim_worker *worker, const struct sim_session *session, enum work work);
void check_pushed_again(struct world *world, const struct attempt_row *row);
void check_superseded(struct world *world, uint64_t task, uint32_t attempt);
void check_worktrees(struct world *world);
void check_debts(struct world *world);

/* agree.c: P8, while it runs */
void agree_begin(struct world *world);
/* A console is told that a task has changed; a new coordinator shows all anew. */
void agree_changed(struct world *world, uint64_t task);
void agree_anew(struct world *world);
