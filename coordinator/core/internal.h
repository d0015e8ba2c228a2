/* The core's state and the functions that its files lend one another. Nothing outside coordinator/core includes it. */
#pragma once

#include <uthash.h>
#include "coordinator/core/core.h"
#include "proto/base/list.h"

/* The contract's words for enum constants that would not fit on a line. */
enum {
	QUEUED = MAESTRO__TASK_STATE__TASK_QUEUED,
	STARTING = MAESTRO__TASK_STATE__TASK_STARTING,
	RUNNING = MAESTRO__TASK_STATE__TASK_RUNNING,
	REVIEW = MAESTRO__TASK_STATE__TASK_REVIEW,
	DONE = MAESTRO__TASK_STATE__TASK_DONE,
	FAILED = MAESTRO__TASK_STATE__TASK_FAILED,
	CANCELLED = MAESTRO__TASK_STATE__TASK_CANCELLED,
	LOST = MAESTRO__TASK_STATE__TASK_LOST,
	MERGED = MAESTRO__TASK_STATE__TASK_MERGED,
	REJECTED = MAESTRO__TASK_STATE__TASK_REJECTED,
};

struct attempt {
	struct attempt_row row;
};

/* Who waits for a removal, while workers let go and sessions end. */
struct removal {
	bool wanted, force, asked;
	struct core_client client; /* actor is owned */
	char *actor;
};

struct task {
	struct task_row row;
	Maestro__Submit *spec;
	struct attempt **attempts; /* by number, 1 first */
	size_t attempt_count;
	struct status_row status;
	bool has_status, status_dirty;
	uint64_t status_at_ms, status_stored_ms; /* boot time */
	char *waiting_for;
	struct removal removal;
	struct list queued; /* in core->queued while it is */
	UT_hash_handle hh;
};

enum worker_phase {
	WORKER_AWAY,
	WORKER_CONNECTED, /* its inventory is coming */
	WORKER_JUDGED,    /* verdicts are sent */
	WORKER_UP,        /* READY: may be given work */
};

struct inventory_entry {
	uint64_t task;
	uint32_t attempt;
	uint8_t run_id[16];
	int phase;
	bool session_live;
};

struct worker {
	struct worker_row row;
	Maestro__WorkerInfo *info;
	enum worker_phase phase;
	Maestro__WorkerState state;
	bool rebooted; /* since it was seen last */
	uint64_t seen_ms; /* boot time */
	uint32_t used; /* attempts in starting and running */
	struct inventory_entry *inventory;
	size_t inventory_count;
	UT_hash_handle hh;
};

struct project {
	struct project_row row;
	UT_hash_handle hh;
};

struct request {
	struct request_row row;
	UT_hash_handle hh;
};

struct core {
	struct core_config config;
	struct task *tasks;
	struct worker *workers;
	struct project *projects;
	struct request *requests;
	struct list queued;
	uint64_t next_task, next_seq, next_audit, epoch;
	uint64_t began_ms;
	int64_t requests_looked_ms; /* when old ones were last looked for, by the wall clock */
	bool paused, loading;
	bool want_schedule;
	unsigned int dirty_statuses;
	struct task **dead; /* freed at the next event: effects may point into them */
	size_t dead_count;
	struct project *dead_project;
	struct worker *dead_worker;
	/* of the event at hand */
	uint64_t now_ms;
	int64_t wall_ms;
	const char *actor;
};

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind

/* core.c */
void set_text(struct core_effects *fx, char **field, const char *text);
void set_textf(struct core_effects *fx, char **field, const char *format, ...) __attribute__((format(printf, 3, 4)));
void set_bytes(struct core_effects *fx, char **field, const ProtobufCBinaryData *data);
struct task *find_task(const struct core *core, uint64_t id);
struct worker *find_worker(const struct core *core, const char *name);
struct project *find_project(const struct core *core, const char *name);
struct attempt *find_attempt(const struct task *task, uint32_t number);
/* The newest; NULL before the first. */
struct attempt *current_attempt(const struct task *task);
struct attempt *add_attempt(struct task *task);
struct task *add_task(struct core *core, uint64_t id);
struct worker *add_worker(struct core *core, const char *name);
struct project *add_project(struct core *core, const char *name);
void bury_task(struct core *core, struct task *task);
void record_event(struct core *core, struct core_effects *fx, const char *kind, const struct task *task,
	const char *worker, const char *text);
void record_audit(struct core *core, struct core_effects *fx, const char *act, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void put_meta(struct core_effects *fx, const char *name, const char *value);

/* answer.c */
struct answer {
	Maestro__FailureCode code;
	const char *what;
	const char *hint;
};
void reply_done(struct core_effects *fx, const struct core_client *client, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void reply_failure(struct core_effects *fx, const struct core_client *client, Maestro__FailureCode code,
	const char *what, const char *hint, const char *format, ...) __attribute__((format(printf, 6, 7)));
void reply_no_task(struct core_effects *fx, const struct core_client *client, uint64_t task);

/* state.c */
enum cause {
	CAUSE_ASSIGN,
	CAUSE_RUN,
	CAUSE_PUSHED,
	CAUSE_FINISH,
	CAUSE_FAIL,
	CAUSE_REQUEUE,
	CAUSE_STOP,
	CAUSE_LOSE,
	CAUSE_MERGE,
	CAUSE_REJECT,
	CAUSE_RETRY,
};
/* The only writer of a task's and an attempt's state. False if the table has no such transition: nothing changed. */
bool task_move(struct core *core, struct core_effects *fx, struct task *task, enum cause cause, const char *reason);
bool task_may_move(const struct task *task, enum cause cause);
void task_load_state(struct core *core, struct task *task);
void attempt_set_session(struct core *core, struct core_effects *fx, struct task *task, struct attempt *attempt,
	Maestro__SessionState session);

/* submit.c, act.c, project.c */
void handle_submit(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_act(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_merged(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_answered(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_project_add(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_project_probed(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_project_remove(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_worker_act(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_queue(struct core *core, const struct core_event *event, struct core_effects *fx);
/* Goes on with removals whose task is over. */
void removal_continue(struct core *core, struct core_effects *fx, struct task *task);
void release_attempt(struct core_effects *fx, const struct attempt *attempt, bool force);
/* A new attempt: from the last pushed commit unless fresh. The task must be able to. */
void task_retry(struct core *core, struct core_effects *fx, struct task *task, bool fresh);

/* worker.c, report.c */
void handle_connected(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_disconnected(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_worker_message(struct core *core, const struct core_event *event, struct core_effects *fx);
void workers_tick(struct core *core, struct core_effects *fx);
uint64_t workers_deadline(const struct core *core);
void worker_send_stop(struct core_effects *fx, const struct attempt *attempt);
void worker_send_start(struct core *core, struct core_effects *fx, const struct task *task);
bool worker_is_up(const struct core *core, const char *name);
void lose_attempts(struct core *core, struct core_effects *fx, const char *worker, const char *reason);
void handle_report(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
void handle_push_request(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx);
void handle_status(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
void status_tick(struct core *core, struct core_effects *fx);
uint64_t status_deadline(const struct core *core);

/* schedule.c */
void schedule(struct core *core, struct core_effects *fx);
/* Whether some worker, here or away, has it; command and shell are always there. */
bool agent_known(const struct core *core, const char *agent);
bool agent_is_builtin(const char *agent);
