/* The coordinator's mind: tasks, attempts, workers and projects, as a pure function of what happened.
 *
 * core_handle takes one event and appends effects: rows to write, messages to send, answers, and what watchers should
 * be told. It reads no clock, opens nothing and sends nothing; randomness comes from the configuration. The caller
 * writes the rows in one transaction, commits, and only then sends. If a write fails, or core_handle does, this
 * core's state is ahead of the store and must be thrown away: make a new one and load the rows again.
 *
 * Promises that this file keeps (and that the simulation checks): an attempt starts at most once, since it is bound
 * to one worker and one run_id when it is made; at most one attempt of a task, the newest, is listened to; a terminal
 * state of an attempt never changes; nothing is acknowledged in an effect before the row that it rests on.
 *
 * Errors: -ENOMEM. What a person or a worker did wrong is no error but an answer (a Failure effect). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "coordinator/core/rows.h"
#include "coordinator/core/effects.h"
#include "proto/schema/envelope.pb-c.h"

struct core;

/* At most so many at once of what has this name. */
struct core_limit {
	const char *name;
	uint32_t count;
};

struct core_config {
	uint8_t cluster_id[16];
	uint64_t heartbeat_ms;  /* the shortest that workers are told; suspect after 3, unknown after 6 of them */
	uint64_t grace_ms;      /* nothing expires for so long after the start */
	uint64_t silence_ms;    /* of a worker, after which its attempts that may be retried are lost */
	uint64_t lease_ms;      /* of a push grant */
	uint32_t start_retries; /* how often a task whose start failed for a passing reason is queued again */
	uint32_t placements;    /* in one turn, so that none is long; the rest follows at once */

	/* Borrowed as long as the core lives. What has no entry has no limit but its workers' slots. */
	const struct core_limit *project_slots, *agent_slots; /* in the whole cluster */
	size_t project_slot_count, agent_slot_count;

	/* A worker below these, or above this load, is given nothing new; 0: does not matter. What it does not report does
	 * not matter either. */
	uint64_t min_disk_bytes, min_memory_bytes;
	uint32_t max_load_percent;

	uint32_t max_idle_sessions; /* that wait in review on one worker; beyond it the oldest is ended. 0: any number */
	uint64_t linger_ms;         /* how long a session in review may be silent before it is ended, 0: for ever */
	uint64_t keep_tasks_ms;     /* a task that ended so long ago is removed whole, 0: never */
	uint64_t limited_ms;        /* how long an agent account is taken for limited after it said so last */
	uint32_t known_fits;        /* which workers suit which tasks is remembered for so many pairs; changes no decision */
	void (*random)(void *buffer, size_t len);
};

/* The values that a real coordinator uses, but for cluster_id. */
extern const struct core_config core_config_default;

int core_new(struct core **ret_core, const struct core_config *config);
void core_free(struct core *core);
DEFINE_CLEANUP(struct core *, core_free)

/* --- loading ------------------------------------------------------------------------------------------------- */

/* Before the first event, table by table in the order of enum row_table. Takes the row over (also on failure) except
 * those of tables that the core does not keep, which are freed. -EINVAL with a sentence if the row cannot be: an
 * attempt without its task, a spec that is no submit. */
int core_load(struct core *core, enum row_table table, void *row, struct error *error);

/* --- events -------------------------------------------------------------------------------------------------- */

enum core_event_type {
	CORE_EVENT_START,               /* once, after loading */
	CORE_EVENT_TICK,                /* core_deadline has come */
	CORE_EVENT_SUBMIT,              /* submit */
	CORE_EVENT_ACT,                 /* act */
	CORE_EVENT_MERGED,              /* task, text: the merged commit; a worker has merged it */
	CORE_EVENT_PROJECT_ADD,         /* project_add, probed (or NULL: not checked) */
	CORE_EVENT_PROJECT_PROBED,      /* name, probed or text: why it failed */
	CORE_EVENT_PROJECT_REMOVE,      /* name */
	CORE_EVENT_WORKER_ACT,          /* worker_act */
	CORE_EVENT_QUEUE,               /* flag: paused */
	CORE_EVENT_WORKER_CONNECTED,    /* worker, text: boot id, name: its software. Before it, commit and send what is
	                                 * held: a Start for its old connection must not reach the new one before READY */
	CORE_EVENT_WORKER_DISCONNECTED, /* worker */
	CORE_EVENT_WORKER_MESSAGE,      /* worker, envelope: any of the worker's conversation but streams and answers */
	CORE_EVENT_RESTORED,            /* an admin says that this database, restored from a backup, is the truth, and that
	                                 * sessions that it does not know are to end */
	CORE_EVENT_ANSWER_QUESTION,     /* answer */
	CORE_EVENT_ANSWERED,            /* task, attempt, envelope: the answer to a CORE_EFFECT_ASK, NULL: none came */
};

/* Who asks, and where the answer goes. */
struct core_client {
	uint64_t id;       /* 0: nobody waits */
	uint64_t request;
	const char *actor; /* for audit and events: "admin 12ab34cd12ab34cd", "uid 1000" */
};

struct core_event {
	enum core_event_type type;
	int64_t wall_ms; /* for display: stamped on rows */
	struct core_client client;
	const char *worker, *name, *text;
	uint64_t task;
	uint32_t attempt;
	bool flag;
	const Maestro__Submit *submit;
	const Maestro__ActOnTask *act;
	const Maestro__ProjectAdd *project_add;
	const Maestro__GitProbed *probed;
	const Maestro__ActOnWorker *worker_act;
	const Maestro__AnswerQuestion *answer;
	const Maestro__Envelope *envelope;
};

/* Everything pointed to is borrowed. Rows in the effects may point into the core: they are good until the next call. */
int core_handle(struct core *core, const struct core_event *event, uint64_t now_ms, struct core_effects *effects);
/* What a worker that comes now is told: longer where there are many, so that all of them are 50 beats a second at most. */
uint64_t core_heartbeat_ms(const struct core *core);
/* When a TICK is wanted, UINT64_MAX: not before something else happens. */
uint64_t core_deadline(const struct core *core);

/* --- reading: what consoles see ------------------------------------------------------------------------------ */

/* Deep copies; free with protobuf_c_message_free_unpacked. NULL: no such thing, or out of memory. Ages count to now_ms. */
/* The prompt of a task that is over is not kept here, nor after a retry: in full views, and in a Start that is sent, it is
 * then empty, and whoever has the rows puts it in from the task's spec. */
Maestro__Task *core_view_task(const struct core *core, uint64_t task, bool in_full, uint64_t now_ms);
/* The same, not in full and not copied: it points into the core, and is good until the next core_handle, where it is. False: no
 * such task. */
struct core_task_look {
	Maestro__Task task;
	Maestro__AgentStatus status;
};
bool core_look_task(const struct core *core, uint64_t task, uint64_t now_ms, struct core_task_look *ret_look);
Maestro__Worker *core_view_worker(const struct core *core, const char *name);
Maestro__Project *core_view_project(const struct core *core, const char *name);
/* In order of ids and of names. The callback must not change the core. */
void core_each_task(const struct core *core, void (*each)(uint64_t task, void *userdata), void *userdata);
void core_each_worker(const struct core *core, void (*each)(const char *name, void *userdata), void *userdata);
void core_each_project(const struct core *core, void (*each)(const char *name, void *userdata), void *userdata);
/* The number of the newest event, 0: none yet. */
uint64_t core_last_event(const struct core *core);
bool core_queue_paused(const struct core *core);
/* A worker holds what the database does not know: until that is answered nothing is submitted or started. */
bool core_restore_asked(const struct core *core);
/* What WELCOME says. It grows with an answer: above what any worker has seen. */
uint64_t core_epoch(const struct core *core);
/* NULL: no such question, or out of memory. */
Maestro__Question *core_view_question(const struct core *core, uint64_t question);
void core_each_question(const struct core *core, bool only_open, void (*each)(uint64_t question, void *userdata),
	void *userdata);
/* Sessions that are live on some worker. */
uint32_t core_live_sessions(const struct core *core);

/* Borrowed until the next core_handle. NULL: no such thing. attempt 0: the newest. */
const struct task_row *core_task(const struct core *core, uint64_t task);
const struct attempt_row *core_attempt(const struct core *core, uint64_t task, uint32_t attempt);
const struct project_row *core_project(const struct core *core, const char *name);
/* A worker that is past READY and may be asked about a project's repository; prefers one that had the project.
 * may_merge: only one that may merge. NULL: none; *ret_why says what is missing (a constant). */
const char *core_find_worker(const struct core *core, const char *project, bool may_merge, const char **ret_why);
bool core_worker_ready(const struct core *core, const char *name);
