/* The core's state and the functions that its files lend one another. Nothing outside coordinator/core includes it but a
 * unit test of what no event shows. */
#pragma once

#include <uthash.h>
#include "coordinator/core/core.h"
#include "coordinator/core/shape.h"
#include "proto/base/buf.h"
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
	struct task *task;
	struct list held; /* in its worker's, while that may keep something of it */
};

/* A worker that was away still has to let go of this: its task was removed by force. */
struct debt {
	struct debt_row row;
	struct list owed; /* in core->debts */
};

/* Whoever shares slots with others: a project, an agent, a submitter. Lives as long as the core. */
struct share {
	char *name;
	uint32_t used, limit; /* attempts in starting and running; 0: no limit */
	uint64_t served;      /* when it was given a slot last, counted in placements */
	UT_hash_handle hh;
};

/* Tasks of one priority, shape and submitter, oldest first. */
struct flow {
	struct flow_key {
		int64_t priority;
		struct shape *shape;
		struct share *submitter;
	} key;
	struct list tasks;
	UT_hash_handle hh;
};

/* An agent account on a worker that has used up what it may. */
struct account_limit {
	const struct share *agent;
	uint64_t task; /* whose session said so */
	uint64_t until_ms;
	int64_t until_wall_ms; /* for people */
};

/* Who waits for a removal, while workers let go and sessions end. */
struct removal {
	bool wanted, force, asked;
	bool old; /* nobody asked: it ended long ago */
	struct core_client client; /* actor is owned */
	char *actor;
};

struct task {
	struct task_row row;
	Maestro__Submit *spec;
	struct attempt **attempts; /* by number, 1 first */
	size_t attempt_count;
	struct status_row status;
	bool has_status;
	int64_t status_at_ms; /* boot time; below 0: before the machine was started */
	uint64_t status_stored_ms, status_due_ms; /* boot time */
	uint64_t limited_ms; /* of its status: for so long; 0: it did not say */
	char *waiting_for;
	struct removal removal;
	struct share *project, *agent, *submitter; /* set when it is queued or counted first */
	struct list queued; /* while it is: in its flow, in core->held or in core->delayed */
	struct flow *flow;
	uint64_t retry_at_ms; /* boot time: not before */
	uint64_t *followers;  /* tasks that come after it, by id */
	size_t follower_count;
	struct list dirty;    /* in core->dirty while its status is not stored */
	struct list idle;     /* in its worker's while its session waits in review */
	struct worker *idle_on;
	uint64_t kept_until_ms; /* boot time: a worker keeps unpushed work of it, so it is not asked again before */
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
	char commit[72]; /* that was pushed; empty: none */
};

struct worker {
	struct worker_row row;
	uint32_t number;
	uint64_t moved, described; /* in core->moves */
	struct list by_move;       /* in core->moved */
	Maestro__WorkerInfo *info;
	enum worker_phase phase;
	Maestro__WorkerState state;
	bool rebooted; /* since it was seen last */
	uint64_t seen_ms; /* boot time */
	int64_t heard_ms; /* the same by the wall clock, or when its link closed; 0: not since the start */
	uint64_t heartbeat_ms; /* that it was told */
	uint32_t used; /* attempts in starting and running */
	struct list held; /* attempts that it may keep something of, so that its coming and going costs what it has */
	struct list idle; /* tasks whose sessions wait in review, the longest first */
	uint32_t idle_count;
	struct share **mirrors; /* projects that it had, and so has a mirror of */
	size_t mirror_count;
	struct account_limit *limits;
	size_t limit_count;
	bool given_up; /* it was silent for so long that what may be retried was taken from it */
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
	uint64_t since_ms; /* boot time: since when this process has known it */
	UT_hash_handle hh;
};

struct question {
	struct question_row row;
	bool adopting; /* its worker was asked what the session is */
	struct core_client client; /* who waits for that; actor is owned */
	char *actor;
	UT_hash_handle hh;
};

/* Ids that no task of this database ever had, though they are below next_task: first, and the one after the last. */
struct gap {
	uint64_t from, to;
};

struct core {
	struct core_config config;
	struct task *tasks;
	struct worker *workers;
	struct project *projects;
	struct request *requests;
	struct flow *flows;
	struct shape *shapes;
	struct list shape_list; /* the longest unused first */
	size_t known_fits;      /* of all shapes */
	struct list moved;      /* workers by when they changed last, the latest last */
	uint64_t moves;
	struct worker **numbers; /* workers by number; NULL: free */
	size_t number_count, numbered;
	uint64_t limits_due_ms; /* the first account that is not limited any more */
	struct share *project_shares, *agent_shares, *submitter_shares;
	struct list held;    /* queued, and after something */
	struct list delayed; /* queued, and not before some time; the earliest first */
	uint64_t *recheck;   /* tasks whose predecessors have changed */
	size_t recheck_count, recheck_size;
	uint64_t placed;
	bool more;   /* to be placed, in the next turn */
	bool untold; /* those who watch what waits do not know yet why */
	uint64_t tell_at_ms; /* and are not told before */
	uint64_t next_task, next_seq, next_audit, next_question;
	uint64_t epoch, epoch_seen; /* ours; the highest that a worker has seen */
	struct question *questions;
	struct gap *gaps;
	size_t gap_count;
	uint64_t began_ms;
	uint64_t requests_looked_ms; /* when old ones were last looked for */
	bool paused, loading;
	bool question; /* was a backup restored? */
	bool trusted;  /* this database was said to be the truth, once */
	bool asking;   /* and that each session that it does not know is to be asked about */
	bool answered; /* since the start */
	bool want_schedule;
	struct list dirty; /* tasks whose status is not stored yet, by when it has to be */
	struct list debts;
	struct task *sweep; /* retention goes on here; NULL: at the first task */
	uint64_t sweep_at_ms;
	int64_t clocks_ms;  /* the wall clock above boot time, when retention looked last */
	/* Not before it is a tick of use to workers; it may find that it is not yet. So no event has to look at all of them to
	 * say when the next tick is due. */
	uint64_t workers_due_ms;
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

static inline uint64_t min_ms(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

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
/* Its worker has it from now on. */
void attempt_hold(struct core *core, struct attempt *attempt);
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
/* Of a task that is over: prompts are large and tasks are many. Whoever sends or shows it takes it from the spec's row. */
void task_forget_prompt(struct task *task);
void task_load_state(struct core *core, struct core_effects *fx, struct task *task);
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
/* remove.c */
void removal_begin(struct core *core, struct core_effects *fx, struct task *task, const struct core_client *client,
	bool force);
/* Nobody asked for it, and nobody is told: the task ended long ago. */
/* Nobody is told. */
void removal_end(struct task *task);
void removal_begin_old(struct core *core, struct core_effects *fx, struct task *task);
/* Goes on with removals whose task is over. */
void removal_continue(struct core *core, struct core_effects *fx, struct task *task);
void release_attempt(struct core_effects *fx, const struct attempt *attempt, bool force);
/* What the worker owes from removals while it was away is asked of it. */
void debts_ask(struct core *core, struct core_effects *fx, const struct worker *worker);
bool debt_known(const struct core *core, uint64_t task, uint32_t attempt);
/* The worker is gone for good. */
void debts_forget(struct core *core, struct core_effects *fx, const char *worker);
void debt_free(struct debt *debt);

/* retain.c: tasks that ended long ago. */
void retain_start(struct core *core);
void retain_tick(struct core *core, struct core_effects *fx);
uint64_t retain_deadline(const struct core *core);
/* A new attempt: from the last pushed commit unless fresh. The task must be able to. */
void task_retry(struct core *core, struct core_effects *fx, struct task *task, bool fresh);

/* submit.c */
void task_put_spec(struct core_effects *fx, struct task *task);
void task_set_slug(struct core_effects *fx, struct task *task, const Maestro__Submit *submit);

/* inventory.c: what workers tell of their sessions, and what is to become of those. */
bool inventory_live(const struct inventory_entry *entry);
void inventory_forget(struct worker *worker);
void handle_inventory(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
void handle_ready(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);

/* worker.c, report.c */
void handle_connected(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_disconnected(struct core *core, const struct core_event *event, struct core_effects *fx);
void handle_worker_message(struct core *core, const struct core_event *event, struct core_effects *fx);
void workers_tick(struct core *core, struct core_effects *fx);
/* Its silence counts from now on. */
void worker_count_silence(struct core *core, struct worker *worker);
uint64_t workers_deadline(const struct core *core);
/* When this one's next state or agent account is due may be sooner than was known. */
void worker_note_due(struct core *core, const struct worker *worker);
void worker_send_stop(struct core_effects *fx, const struct attempt *attempt);
void worker_send_start(struct core *core, struct core_effects *fx, const struct task *task);
bool worker_is_up(const struct core *core, const char *name);
/* `retryable`: only of tasks that may be retried by themselves, and then they are. */
void lose_attempts(struct core *core, struct core_effects *fx, struct worker *worker, const char *reason, bool retryable);
/* Counts one of the task's retries and queues it again, if it has one left. */
bool task_retry_by_itself(struct core *core, struct core_effects *fx, struct task *task);
void handle_report(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
void handle_push_request(struct core *core, struct worker *worker, const Maestro__Envelope *envelope,
	struct core_effects *fx);
void handle_status(struct core *core, struct worker *worker, const Maestro__Envelope *envelope, struct core_effects *fx);
void status_tick(struct core *core, struct core_effects *fx);
uint64_t status_deadline(const struct core *core);

/* fit.c: which worker suits. */
/* By what it says of itself; *ret_label is set with OBSTACLE_LABEL, to the first of the shape's that it lacks. */
enum obstacle worker_offers(const struct worker *worker, const struct shape *shape, size_t *ret_label);
/* By that and by how it is. */
enum obstacle worker_obstacle(const struct core *core, const struct worker *worker, const struct shape *shape,
	enum obstacle offers);
/* Above 0 while there is a free slot: what is free of its slots, and something for having the project already. */
uint32_t worker_score(const struct worker *worker, const struct share *project);
/* Whether disk, memory and load let something new in. */
enum obstacle worker_room(const struct core *core, const struct worker *worker);
/* missing: a label that workers lack. */
void explain_obstacles(const struct shape *shape, size_t workers, const Maestro__Label *missing, struct buf *out);
bool worker_had(const struct worker *worker, const struct share *project);
void worker_note_project(struct core *core, struct core_effects *fx, struct worker *worker, struct share *project);
/* The agent's account on this worker is limited until then; 0: not any more, if it was this task that said so. */
void worker_limit_agent(struct core *core, struct core_effects *fx, struct worker *worker, const struct task *task,
	uint64_t until_ms);
/* Limits that have run out by now are no obstacle any more, whether they were announced as that or not. */
void limits_look(struct core *core);
/* Whether some worker, here or away, has it; command and shell are always there. */
bool agent_known(const struct core *core, const char *agent);
bool agent_is_builtin(const char *agent);

/* queue.c: what is queued, in the order of its turn. */
/* The task has just become QUEUED, or what it waited for has changed. */
void queue_enter(struct core *core, struct core_effects *fx, struct task *task);
void queue_leave(struct task *task);
/* Makes it known to the tasks that it comes after. */
void queue_follow(struct core *core, struct core_effects *fx, const struct task *task);
/* It ended, or is gone: those that come after it are looked at again, by queue_recheck. */
void queue_ended(struct core *core, struct core_effects *fx, const struct task *task);
void queue_recheck(struct core *core, struct core_effects *fx);
void queue_tick(struct core *core, struct core_effects *fx);
uint64_t queue_deadline(const struct core *core);
void queue_deinit(struct core *core);
void task_find_shares(struct core *core, struct core_effects *fx, struct task *task);
/* NULL: it does not wait, or nobody knows yet. Borrowed. */
const char *task_waiting_for(const struct task *task);

/* question.c: what only an admin can decide. */
enum question_kind {
	QUESTION_RESTORED,
	QUESTION_SESSION, /* a live session of a run that this database never gave out */
	QUESTION_KIND_COUNT,
};
int question_load(struct core *core, struct question_row *row);
void questions_deinit(struct core *core);
/* The open question of this kind, NULL: there is none. */
struct question *question_find_open(const struct core *core, enum question_kind kind);
/* By the session's run, answered or not. */
struct question *question_find_run(const struct core *core, const uint8_t run_id[16]);
/* NULL: no memory. `entry` may be NULL. */
struct question *question_ask(struct core *core, struct core_effects *fx, enum question_kind kind,
	const struct worker *worker, const struct inventory_entry *entry, const char *text);
/* Answers it: row, audit, event. */
void question_settle(struct core *core, struct core_effects *fx, struct question *question, const char *answer,
	const char *actor);
/* " (maestro question answer 1 accept)": how the open question of a kind is answered. */
const char *question_hint(const struct core *core, enum question_kind kind, char *text, size_t size);
void handle_answer_question(struct core *core, const struct core_event *event, struct core_effects *fx);

/* stranger.c: sessions that this database never gave out. */
/* What is to become of it, by its question's answer; asks if it was not asked yet. */
Maestro__Verdict stranger_judge(struct core *core, struct core_effects *fx, struct worker *worker,
	const struct inventory_entry *entry);
/* After an inventory: what is not there any more is not asked about any more. */
void strangers_sweep(struct core *core, struct core_effects *fx, const struct worker *worker);
/* All that is asked about a worker's sessions, when it is removed. */
void strangers_forget(struct core *core, struct core_effects *fx, const char *worker);
/* Its run has ended, says its worker. */
void stranger_ended(struct core *core, struct core_effects *fx, const struct worker *worker, const uint8_t run_id[16]);
/* What the choices do; false: refused, and the person was told. */
bool stranger_end(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event);
bool stranger_keep(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event);
bool stranger_adopt(struct core *core, struct core_effects *fx, struct question *question,
	const struct core_event *event);
/* The description that stranger_adopt asked for. False: it was not about that. */
bool stranger_described(struct core *core, const struct core_event *event, struct core_effects *fx);

/* restore.c */
void restore_load(struct core *core, const char *value);
void restore_load_gaps(struct core *core, const char *value);
/* No task of this database ever had this id. */
bool restore_never_given(const struct core *core, uint64_t task);
/* A worker has obeyed a coordinator of this epoch. If it is above ours, this database is an older one. */
void restore_see_epoch(struct core *core, struct core_effects *fx, const struct worker *worker, uint64_t epoch);
bool restore_accept(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event);
bool restore_accept_end(struct core *core, struct core_effects *fx, struct question *question,
	const struct core_event *event);
/* Raises the question, unless it was answered. */
void restore_ask(struct core *core, struct core_effects *fx, const struct worker *worker, uint64_t task,
	uint32_t attempt);
/* Ids, and numbers of a task's attempts, go on above these. */
void restore_take_id(struct core *core, struct core_effects *fx, uint64_t task);
void restore_take_attempt(struct core *core, struct core_effects *fx, struct task *task, const struct worker *worker,
	uint32_t number, const uint8_t *run_id);
/* After READY a worker repeats the reports that were not acknowledged; its first heartbeat follows them. What its
 * inventory called over and is live here by then was acknowledged to somebody: a database that this one is older than.
 * The inventory is taken for the report. */
void restore_settle(struct core *core, struct core_effects *fx, struct worker *worker);
void handle_restored(struct core *core, const struct core_event *event, struct core_effects *fx);

/* idle.c: sessions that wait in review. */
/* After any change of the task's state or session. Ends the oldest where there are too many. */
void idle_update(struct core *core, struct core_effects *fx, struct task *task);
void idle_remove(struct task *task);

/* schedule.c */
/* A next attempt on this worker, that goes on where attempt `push_of` could not push; 0: as usual. */
void assign_attempt(struct core *core, struct core_effects *fx, struct task *task, struct worker *worker, uint32_t push_of);
void schedule(struct core *core, struct core_effects *fx);
