/* What the files of the service share. Nothing outside coordinator/service includes it. */
#pragma once

#include <uthash.h>
#include "coordinator/service/executor.h"
#include "coordinator/service/service.h"
#include "proto/base/id.h"
#include "proto/base/list.h"
#include "proto/link/link.h"

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind
#define FAIL(kind) MAESTRO__FAILURE_CODE__FAILURE_##kind

/* A peer that came in: a worker or a person's program. */
struct conn {
	struct service *service;
	struct link_peer *peer;
	uint64_t id; /* never used again */
	Maestro__Role role;
	char *name;  /* a worker's; NULL for people */
	char *actor; /* for audit and events */
	bool replaced; /* a newer connection of the same worker speaks for it */
	bool suspended; /* a worker that the core does not know of while nothing can be written: screens and keys only */
	struct {
		struct list entry; /* service->watchers */
		bool model, events, follow, stale;
		uint64_t request, next_seq;
	} watch;
	UT_hash_handle hh, hh_name; /* the second: of the worker's newest connection, by its name */
};

struct known_key {
	struct key_row row;
	UT_hash_handle hh;
};

struct known_token {
	struct token_row row;
	UT_hash_handle hh;
};

/* A question to a worker that is not answered yet. */
struct ask {
	struct list entry;
	uint64_t number, worker, deadline_ms;
	uint64_t client, request, task;
	uint32_t attempt;
	Maestro__Envelope *original; /* what the person asked; owned */
	/* answer NULL: none came, and why. Called once; the ask is freed after it. */
	void (*done)(struct service *service, struct ask *ask, const Maestro__Envelope *answer, const char *why);
};

struct route_key {
	uint64_t console;
	uint32_t stream;
	uint32_t zero;
};

/* A stream between a console and a worker. */
struct route {
	struct route_key console; /* its number there */
	uint32_t worker_stream;   /* ours, towards the worker */
	uint64_t worker;          /* conn id */
	uint64_t dropped;         /* a frame that found the console's queue full, 0: none */
	UT_hash_handle hh_console, hh_worker;
};

struct dirty {
	char kind; /* t, w, p, q */
	uint64_t task;
	char *name;
	char key[96];
	UT_hash_handle hh;
};

struct service {
	sd_event *event;
	struct log *log;
	struct log_limit limit;
	struct link *link;
	struct store *store;
	struct executor *executor;
	struct link_listener *listeners[8];
	size_t listener_count;
	struct conn *conns, *workers;
	struct list watchers;
	uint64_t next_conn;
	struct known_key *keys;
	struct known_token *tokens;
	struct list asks;
	sd_event_source *ask_timer;
	uint64_t next_ask;
	struct route *by_console, *by_worker;
	uint32_t next_stream;
	struct dirty *dirty, *moved; /* the second: workers' load, told a little later */
	sd_event_source *moved_timer;
	uint8_t cluster_id[LINK_CLUSTER_BYTES];
	uint8_t ca_digest[LINK_DIGEST_BYTES];
	uint64_t began_ms, keep_events;
	sd_event_source *prune_timer;
	struct notify *notify; /* NULL: nobody is to be told */
};

/* service.c */
struct conn *conn_find(const struct service *service, uint64_t id);
struct conn *conn_find_worker(const struct service *service, const char *name);
/* Whether a worker can be asked about its sessions: it is past READY, or only the database keeps it from being so. */
bool conn_worker_reachable(const struct service *service, const char *name);
/* 0 or what link_peer_send said. */
int conn_send(struct conn *conn, enum channel channel, Maestro__Envelope *envelope);
/* To a person's request; the client may be gone. Large answers go by bulk. */
void service_reply(struct service *service, uint64_t client, uint64_t request, Maestro__Envelope *envelope);
void service_fail(struct service *service, uint64_t client, uint64_t request, Maestro__FailureCode code,
	const char *what, const char *why, const char *hint);
void service_done(struct service *service, uint64_t client, uint64_t request, const char *text);
static inline struct core *service_core(const struct service *service)
{
	return executor_core(service->executor);
}

/* files.c */
struct service_files {
	char *cluster, *ca, *ca_key, *server, *server_key, *admin, *database;
};
int service_files_init(struct service_files *files, const char *state);
void service_files_deinit(struct service_files *files);

/* identity.c */
int identity_load(struct service *service, const char *admin_key, struct error *error);
void identity_deinit(struct service *service);
int identity_authenticate(const struct link_identity *claim, struct link_grant *ret_grant, struct error *error,
	void *userdata);
int identity_enroll(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *ret_grant,
	struct error *error, void *userdata);
void identity_create_token(struct conn *conn, const Maestro__Envelope *envelope);
void identity_list_keys(struct conn *conn, const Maestro__Envelope *envelope);
void identity_revoke(struct conn *conn, const Maestro__Envelope *envelope);
/* Revokes every key under which a worker came in. */
void identity_forget_worker(struct service *service, const char *name, const char *actor);

/* prune.c */
int prune_init(struct service *service, uint64_t keep_events);
void prune_deinit(struct service *service);

/* notify.c */
int notify_init(struct service *service, const struct service_config *config, struct error *error);
void notify_deinit(struct service *service);
/* Everything of a turn is committed. */
void notify_settled(struct service *service);

/* audit.c */
void audit_read(struct conn *conn, const Maestro__Envelope *envelope);

/* client.c, worker.c: one message of a peer */
void client_message(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope);
/* Another process with this worker's key while the one that is there may live: REFUSED_BUSY, and the old one is asked. */
int worker_check_double(struct service *service, const struct link_identity *claim, struct error *error);
void worker_message(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope);

/* ask.c */
int ask_init(struct service *service);
void ask_deinit(struct service *service);
/* Sends a question; `ask` (from calloc, with everything but number and worker set) is taken over. */
void ask_send(struct service *service, struct ask *ask, const char *worker, const Maestro__Envelope *question,
	uint64_t timeout_ms);
/* Whether the envelope was an answer. */
bool ask_answered(struct service *service, struct conn *worker, const Maestro__Envelope *envelope);
void ask_worker_gone(struct service *service, struct conn *worker);
/* ask.c: what people ask of sessions and repositories */
void ask_read(struct conn *conn, const Maestro__Envelope *envelope);
void ask_search(struct conn *conn, const Maestro__Envelope *envelope);
void ask_input(struct conn *conn, const Maestro__Envelope *envelope);
void ask_diff(struct conn *conn, const Maestro__Envelope *envelope);
void ask_merge(struct conn *conn, const Maestro__Envelope *envelope);
void ask_project_add(struct conn *conn, const Maestro__Envelope *envelope);
void ask_release(struct service *service, const struct core_effect *effect);
/* Asks this worker about projects that no worker has reached yet. */
void ask_unchecked_projects(struct service *service, const char *worker);

/* watch.c */
void watch_start(struct conn *conn, const Maestro__Envelope *envelope);
void watch_mark_task(struct service *service, uint64_t task);
void watch_mark_question(struct service *service, uint64_t question);
void watch_mark_name(struct service *service, char kind, const char *name);
/* A worker's load is not what it was: told with others', within a second. */
void watch_mark_load(struct service *service, const char *name);
void watch_status(struct service *service, uint64_t task, uint32_t attempt);
/* Everything of a turn is committed: tell the watchers. */
void watch_settled(struct service *service);
void watch_writable(struct conn *conn);
void watch_deinit(struct service *service);

/* feed.c: the event stream, read from the store, so that there is one path for old and new. */
/* From this number on; `say`: it did not name it, and is told. */
void feed_start(struct conn *conn, uint64_t next_seq, bool say);
/* What this one may have by now, as far as there is room. */
void feed_pump(struct conn *conn);
/* Everything of a turn is committed: all who follow. */
void feed_settled(struct service *service);

/* stream.c */
void stream_from_console(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope);
void stream_from_worker(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope);
void stream_conn_gone(struct conn *conn);
void stream_writable(struct conn *conn);
