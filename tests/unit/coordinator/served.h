/* A coordinator's whole service with real connections over its local socket, on one loop in the test's process. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "coordinator/service/internal.h"
#include "proto/link/keys.h"
#include "proto/link/link.h"
#include "proto/schema/envelope.pb-c.h"

struct served {
	char dir[32];
	sd_event *event;
	struct log log;
	struct service *service;
	struct link *link;
};

/* A console, a person's command or a worker. */
struct client {
	struct served *world;
	struct link_dialer *dialer;
	struct link_peer *peer;
	bool closed;
	char why[512];
	uint64_t request, refused; /* refused: the last request that was NOT_ALLOWED */
	uint64_t unsupported;
	Maestro__Envelope *reply;  /* to `request` */
	unsigned int snapshots;
	char seen[256];            /* titles of the last snapshot's last page */
	void (*told)(struct client *client, const Maestro__Envelope *envelope); /* of a test's own, or NULL */
	void *userdata;
};

void served_init(struct served *world);
void served_deinit(struct served *world);
void admin_key(const struct served *world, struct key *key);

/* Connects; a worker may be turned away (peer is NULL then). */
void client_dial(struct client *client, struct served *world, Maestro__Role role, const struct key *key,
	const struct link_token *token);
void worker_dial(struct client *client, struct served *world, const char *name, const struct key *key,
	const struct link_token *token);
void client_deinit(struct client *client);
/* Returns the request's number. */
uint64_t client_send(struct client *client, Maestro__Envelope *envelope);
/* The reply is good until the next question. */
const Maestro__Envelope *client_ask(struct client *client, Maestro__Envelope *envelope);
/* Everything that was asked before has been answered when this returns. */
void client_sync(struct client *client);
void client_create_token(struct client *admin, Maestro__Role role, struct link_token *token);
void client_add_project(struct client *client, const char *name);

extern const struct link_dialer_ops dialer_ops;

/* Runs the loop until it is so; the deadline is only for failures. */
#define RUN_UNTIL(world, condition)                                                                          \
	do {                                                                                                 \
		for (unsigned int turns_ = 0; !(condition); turns_++) {                                      \
			assert_true(turns_ < 200000);                                                        \
			assert_true(sd_event_run((world)->event, 20000000) > 0);                             \
		}                                                                                            \
	} while (0)
