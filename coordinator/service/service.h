/* The coordinator's outside: listeners, identities, requests, routing. Binds core, store and link on one loop. */
#pragma once

#include <stdio.h>
#include <stdbool.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/base/log.h"

struct service;
struct core_config;

struct service_config {
	const char *state;         /* directory made by service_init */
	const char *run;           /* for the local socket */
	const char *const *listen; /* full URLs */
	size_t listen_count;
	uint64_t heartbeat_ms;     /* 0: the default */
	bool accept_restore;       /* an admin says that the database, an old backup, is the truth */
	const struct core_config *core; /* limits and times, without cluster id and heartbeat; NULL: the defaults */
	const char *notify;        /* a shell command, run with an event as JSON on its standard input; NULL: none */
	const char *const *notify_kinds;
	uint64_t notify_time_ms;   /* how long it may take, 0: the default */
	size_t notify_kind_count;  /* 0: all kinds. SIGCHLD must be blocked if there is a command */
	uint64_t keep_events;      /* how many, of the newest; 0: all */
};

/* Makes cluster id, CA, server certificate, admin key and database in `state`; what is there is kept.
 * *ret_made (may be NULL): whether anything was missing. */
int service_init(const char *state, bool *ret_made, struct error *error);
/* For a person on the coordinator's machine; a coordinator may run with this state all the while. Copies its database
 * into the new file `to` (-EEXIST if it is there). */
int service_backup(const char *state, const char *to, struct error *error);
/* Reads all of a database (NULL: the state's own) and says on `out` what is in it. -EBADMSG with what is broken, and what
 * to do, in error. */
int service_check(const char *state, const char *database, FILE *out, struct error *error);
/* Borrows event and log. Listens when it returns 0. */
int service_new(struct service **ret_service, sd_event *event, struct log *log, const struct service_config *config,
	struct error *error);
/* Tells peers and closes: what is committed stays. */
void service_free(struct service *service);
DEFINE_CLEANUP(struct service *, service_free)

size_t service_address_count(const struct service *service);
/* With the real port. Borrowed. */
const char *service_address(const struct service *service, size_t index);
