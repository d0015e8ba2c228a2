/* The worker's root object, and what its files share. One thread, one sd-event loop.
 *
 * Events of the host and of the coordinator go to worker/core; its effects come back to executor.c, which makes the
 * journal durable before it does anything of a batch. Sessions here are what the core's attempts need of this
 * process: a connection to the holder, a token, a range of ports, screens. They are found again after a restart. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/link/keys.h"
#include "proto/link/link.h"
#include "proto/schema/envelope.pb-c.h"
#include "worker/agents/adapter.h"
#include "worker/agents/endpoint.h"
#include "worker/agents/status.h"
#include "worker/core/attempts.h"
#include "worker/core/journal.h"
#include "worker/service/config.h"
#include "worker/service/jobs.h"
#include "worker/service/watch.h"
#include "worker/session/client.h"

struct service;

/* The core keeps one number for who is to be answered: the connection and the request on it. */
#define REQUEST_BITS 48u
#define REQUEST_KEY(service, request) \
	((request) ? ((service)->peer_number << REQUEST_BITS | ((request) & ((1ull << REQUEST_BITS) - 1))) : 0)
#define REQUEST_OF(key) ((key) & ((1ull << REQUEST_BITS) - 1))
#define PEER_OF(key) ((key) >> REQUEST_BITS)

/* What is to be typed into a session, in order. */
struct input {
	struct list link;
	struct buf bytes;
	bool paste;     /* text, to be marked as a paste if the program wants that */
	bool key;       /* the name of one that has two forms */
	bool joined;    /* only after the one before it */
	bool when_idle; /* not before the agent waits for it */
};

enum modes_asked {
	MODES_UNKNOWN,
	MODES_ASKED, /* a picture is on its way */
	MODES_KNOWN,
};

/* A request for the screen that its holder has not answered yet. */
struct reading {
	struct list link;
	uint64_t request, peer_number;
	bool ours; /* asked by quiet.c */
};

struct session {
	struct list link;
	struct service *service;
	uint64_t task;
	uint32_t attempt;
	char *dir;
	struct holder *holder;
	struct holder_spawn *spawn;
	struct job *job;      /* of the attempt's work */
	enum work job_work;
	bool exited;          /* the holder told the exit */
	bool kill_wanted;
	uint64_t kill_grace_ms;
	bool interactive;
	struct status status;
	int port_fd;
	unsigned int port;
	char *paste;          /* the prompt, to be typed once the program takes input */
	size_t paste_len;
	struct list inputs;   /* struct input */
	struct list readings; /* struct reading */
	struct series series[2]; /* by HolderSeries - 1 */
	uint64_t activity_ms;
	sd_event_source *quiet; /* since the last activity */
	uint32_t modes;       /* of the newest picture */
	enum modes_asked modes_asked;
	bool greeted;         /* the holder said hello */
	bool counts;          /* and counts what is typed */
};

/* A watcher of the coordinator's. */
struct stream {
	struct list link;
	struct session *session;
	uint32_t number;
	Maestro__HolderSeries kind;
	uint32_t rate_hz;
	bool drive;
	bool asks;       /* drives only while no other that asks does; is told */
	uint32_t told;   /* enum of streams.c: what it knows of who drives */
	bool counting;   /* its keys are to be counted, under this name */
	bool counting_told;
	uint64_t source, begin; /* and from here on */
	struct holder_taken taken; /* to be told, if source is not 0 */
	struct watcher watcher;
};

struct service {
	struct config *config;
	sd_event *event;
	struct log *log;
	char boot_id[33];
	char *programs[2]; /* maestro-agent, its directory */
	bool has_git_author;

	/* what must be durable */
	struct attempts *core;
	struct journal *journal;
	struct effects queue;   /* not yet given to the journal */
	struct effects written; /* given, but not yet durable */
	bool executing;
	uint64_t compacted_bytes; /* the journal after its last compaction */
	sd_event_source *retry, *deadline;

	/* this host */
	struct adapter_set *adapters;
	struct probe *probe;
	struct endpoint *endpoint;
	char *endpoint_path;
	struct jobs *jobs;
	struct list sessions; /* struct session */
	char *search_program;
	struct list searches; /* struct searching */

	/* the coordinator */
	struct link *link;
	struct link_dialer *dialer;
	char *address;          /* of the coordinator, to be shown */
	struct link_peer *peer; /* NULL: not connected */
	struct key key;
	uint64_t peer_number;   /* counts connections (16 bits): answers go only where the question came from */
	uint32_t heartbeat_ms;
	sd_event_source *heartbeat;
	bool verdicts_taken, ready_told, ready_once;
	bool disobeyed;         /* its epoch is older than one that was seen: it only learns what is here */
	uint64_t next_request;
	struct list asks;       /* struct ask */
	struct list streams;    /* struct stream */
	sd_event_source *pace;  /* the next due tile */
	uint64_t agents_found;  /* bits, as told last */
};

/* --- service.c --- */
int service_new(struct service **ret_service, struct config *config, sd_event *event, struct log *log,
	struct error *error);
void service_free(struct service *service);
DEFINE_CLEANUP(struct service *, service_free)
/* STATE/workers/NAME/a/b. NULL when out of memory. Caller frees. */
char *service_path(const struct service *service, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- executor.c --- */
/* Hands an event to the core and does what it says. The attempt and its session may be gone after it. */
void service_event(struct service *service, const struct event *event);
/* Does effects that did not come out of an event. */
void service_execute(struct service *service, struct effects *effects);
struct moment service_now(void);
bool service_idle(const struct service *service); /* everything said is durable */

/* --- uplink.c --- */
int uplink_start(struct service *service, struct error *error);
int uplink_send(struct service *service, enum channel channel, Maestro__Envelope *envelope);
/* Sends WorkerReady once the verdicts are durable. */
void uplink_try_ready(struct service *service);
void uplink_forget_asks(struct service *service);
/* Which attempt this is the answer to the push request of. False: none (any more). */
bool uplink_take_ask(struct service *service, const Maestro__Envelope *answer, uint64_t *ret_task, uint32_t *ret_attempt);
void uplink_report(struct service *service, uint64_t number);
void uplink_ask(struct service *service, uint64_t task, uint32_t attempt);
void uplink_status(struct service *service, uint64_t task, uint32_t attempt);
/* Tells what an attempt is: its order and its entry of the inventory. */
void uplink_describe(struct service *service, uint64_t request, uint64_t task, uint32_t attempt);
/* An answer to `request` of the connection `peer_number`; dropped if that is gone. */
void uplink_done(struct service *service, uint64_t request, uint64_t peer_number);
void uplink_failure(struct service *service, uint64_t request, uint64_t peer_number, Maestro__FailureCode code,
	const char *what, const char *why, const char *hint);
void uplink_answer(struct service *service, enum channel channel, uint64_t request, uint64_t peer_number,
	Maestro__Envelope *envelope);

/* --- inbox.c --- */
void inbox_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata);

/* --- asking.c: the coordinator's questions about repositories; info.c: what this worker is --- */
void asking_git(struct service *service, uint64_t request, const Maestro__GitAsk *ask);

/* --- searching.c --- */
void searching_ask(struct service *service, uint64_t request, const Maestro__SearchSessions *search);
/* Begins what waits and may. */
void searching_next(struct service *service);
void searching_clear(struct service *service);
void info_send(struct service *service);
void info_heartbeat(struct service *service);
/* Why this START cannot run here; NULL: it can. Caller frees. */
char *info_refusal(struct service *service, const Maestro__Start *start, bool *ret_retryable);

/* --- gitwork.c --- */
void gitwork_start(struct service *service, const struct attempt *attempt, enum work work, uint64_t not_after_ms);
void gitwork_cancel(struct service *service, uint64_t task, uint32_t attempt);
/* Fills url, mirror, keys. `strings` own what is not borrowed. */
struct git_place {
	char *mirror;
};
int gitwork_project(const struct service *service, const Maestro__ProjectSpec *spec, bool merging,
	Maestro__GitProject *ret_project, struct git_place *ret_place);
void git_place_deinit(struct git_place *place);
char *gitwork_worktree(const struct service *service, const struct attempt *attempt);

/* --- orphans.c --- */
/* Kills what is left of a session whose holder is dead. A holder that only cannot be recognized is told to end. */
void orphans_end(struct service *service, const struct attempt *attempt);

/* --- session.c --- */
struct session *session_find(const struct service *service, uint64_t task, uint32_t attempt);
/* Finds or makes it. NULL when out of memory. */
struct session *session_get(struct service *service, uint64_t task, uint32_t attempt);
void session_free(struct session *session);
/* Connects to a holder that runs. An errno if none is there. */
int session_connect(struct session *session);
void session_kill(struct service *service, uint64_t task, uint32_t attempt, uint64_t grace_ms);
void session_forget(struct service *service, uint64_t task, uint32_t attempt);
/* It is released: all of it goes but its output, which session_prune takes when it is old. */
void session_clean(struct service *service, uint64_t task, uint32_t attempt);
void session_prune(struct service *service);
/* A report of a status from somewhere. */
void session_status(struct session *session, const Maestro__AgentStatus *status);
char *session_dir(const struct service *service, uint64_t task, uint32_t attempt);

/* --- launch.c --- */
void launch_session(struct service *service, const struct attempt *attempt);
/* Patterns of files that the adapter writes into the worktree. Caller frees list and strings. */
int launch_excludes(struct service *service, const struct attempt *attempt, char ***ret_patterns, size_t *ret_count);

/* --- recover.c --- */
void recover_sessions(struct service *service);
/* What became of the session, by its directory. May plant a tombstone. */
int recover_look(struct service *service, const struct attempt *attempt, enum found *ret_found);

/* --- input.c --- */
void input_send(struct service *service, uint64_t request, const Maestro__SendInput *message);
void input_paste(struct session *session, const char *text, size_t len, bool enter, bool when_idle);
/* Types what may be typed now. */
void input_pump(struct session *session);
void input_clear(struct session *session);

/* --- reading.c --- */
void reading_ask(struct service *service, uint64_t request, const Maestro__ReadSession *message);
void reading_screenshot(struct session *session, const void *data, size_t len);
void reading_clear(struct session *session, const char *why);

/* Asks for the screen on our own behalf; quiet_screen is called with it. */
void reading_ask_quietly(struct session *session);

/* --- quiet.c --- */
/* Something was printed. */
void quiet_activity(struct session *session);
/* Looks at the session again when it has been silent for a while. */
void quiet_arm(struct session *session);
void quiet_screen(struct session *session, const void *screen, size_t len);

/* --- streams.c --- */
void streams_open(struct service *service, const Maestro__StreamOpen *open);
void streams_close(struct service *service, uint32_t number);
void streams_ack(struct service *service, const Maestro__StreamAck *ack);
void streams_input(struct service *service, const Maestro__StreamInput *input);
void streams_screen(struct session *session, Maestro__HolderSeries kind, uint64_t frame, const void *data, size_t len);
/* The holder says what it has taken. */
void streams_taken(struct session *session, const struct holder_taken *taken);
/* The program wants this in the clipboard of whoever drives. */
void streams_clipboard(struct session *session, const void *data, size_t len);
/* The session is over: last frames, then StreamClose. */
void streams_end(struct session *session, const char *reason);
void streams_drop_all(struct service *service);
void streams_pump(struct service *service);
/* A holder said hello: watch what is watched, count what is counted. */
void streams_resume(struct session *session);
/* Asks the holder for one picture, though nobody watches; input_pump is called when it is there. */
void streams_ask_modes(struct session *session);

/* --- counting.c: keys that are typed once, however often they come --- */
/* The stream is opened, before anything is sent to it. */
void counting_open(struct stream *stream, const Maestro__StreamOpen *open);
/* Types what came; -errno: it was not, and nothing said so. */
int counting_input(struct stream *stream, const Maestro__StreamInput *input);
/* Asks the holder what it has of this stream's keys; again when another holder's connection is there. */
void counting_ask(struct stream *stream);
/* Tells a stream what it has to know before its next picture. Whether that is done. */
bool counting_tell(struct stream *stream, enum channel channel);
