/* The connection of a person's program to the coordinator: requests and their replies, and what comes unasked.
 *
 * Everything runs on one sd-event loop. The client redials by itself for as long as it lives; requests that wait when
 * a connection is lost end with CLIENT_E_UNREACHABLE and are not sent again by themselves (client_call_repeatable
 * does that for what is safe to repeat).
 *
 * Conditions are the exit statuses of the contract, so a command can return what it got (see client_exit_status):
 * CLIENT_E_FAILED, CLIENT_E_USAGE, CLIENT_E_UNREACHABLE, CLIENT_E_NOT_FOUND, CLIENT_E_NOT_ALLOWED. The error holds the
 * coordinator's words (not cleaned: print through str_clean) and its hint. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "console/client/profile.h"
#include "proto/base/error.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/link/link.h"
#include "proto/schema/envelope.pb-c.h"
#include "proto/wire/message.h"

enum {
	CLIENT_E_FAILED = 1,
	CLIENT_E_USAGE = 2,
	CLIENT_E_UNREACHABLE = 3,
	CLIENT_E_NOT_FOUND = 4,
	CLIENT_E_NOT_ALLOWED = 5,
};

struct client;

/* Starts dialling; does not block. `event`, `log` and `profile` outlive the client. Signals are blocked while nng
 * starts its threads, so they reach the caller's thread only. `bulk`: a second connection for what may be slow. */
int client_new(struct client **ret_client, sd_event *event, struct log *log, const struct profile *profile, bool bulk,
	struct error *error);
/* Requests that wait get no callback. Listeners must be gone or are forgotten. */
void client_free(struct client *client);
DEFINE_CLEANUP(struct client *, client_free)

sd_event *client_event(const struct client *client);
bool client_connected(const struct client *client);
/* What the coordinator granted; ROLE_NONE while not connected. */
Maestro__Role client_role(const struct client *client);
/* The sentence of the last failure to connect, "" if there was none. */
const char *client_last_failure(const struct client *client);
/* Whether a try to connect has failed since the last connection. *ret_refused: a Maestro__RefusedCode, 0: network. */
bool client_tried(const struct client *client, int *ret_refused);
const struct profile *client_profile(const struct client *client);

/* --- what comes unasked -------------------------------------------------------------------------------------- */

struct client_listener;

struct client_listener_ops {
	/* A handshake is done (again): ask anew for what is wanted. May be NULL. */
	void (*connected)(struct client_listener *listener);
	/* The connection was lost, or a try failed; the next is in retry_ms. `why` is foreign text. May be NULL. */
	void (*disconnected)(struct client_listener *listener, const char *why, uint32_t retry_ms);
	/* SNAPSHOT, CHANGE, EVENT_BATCH, STREAM_FRAME, STREAM_CLOSE; lives until this returns. May be NULL. */
	void (*message)(struct client_listener *listener, const Maestro__Envelope *envelope);
};

/* Embedded in whatever listens (container_of). Every listener gets everything. */
struct client_listener {
	struct list link;
	struct client *client;
	const struct client_listener_ops *ops;
};

/* May be called from a listener: then the new one may be told of the same thing still (a stream that was opened when
 * the connection came is told that it came). If the client is connected already, `connected` is not called for it. */
void client_listen(struct client *client, struct client_listener *listener, const struct client_listener_ops *ops);
/* Harmless when it does not listen. From within a listener too, for itself and for others. */
void client_unlisten(struct client_listener *listener);

/* --- requests ------------------------------------------------------------------------------------------------ */

#define CLIENT_DEADLINE_MS 30000u       /* for what the coordinator knows by itself */
#define CLIENT_DEADLINE_GIT_MS 900000u  /* for what a worker may have to clone for */

/* r 0: `reply` is there (a FAILURE never is: it became r and error), borrowed until this returns. */
typedef void (*client_reply)(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error,
	void *userdata);

/* Sends `request` (its number is set here) and calls `reply` exactly once, unless it is cancelled: later, never from
 * within. deadline_ms 0: none. ret_number may be NULL. CLIENT_E_UNREACHABLE while not connected. */
int client_request(struct client *client, Maestro__Envelope *request, uint32_t deadline_ms, client_reply reply,
	void *userdata, uint64_t *ret_number, struct error *error);
/* Forgets it; the reply, if it comes, is dropped. */
void client_cancel(struct client *client, uint64_t number);
/* Sends what has no reply (stream messages). LINK_E_FULL as in link.h; CLIENT_E_UNREACHABLE. */
int client_send(struct client *client, enum channel channel, const Maestro__Envelope *envelope);
/* What was sent goes now, not when the loop's turn ends. */
void client_flush(struct client *client);

/* --- for programs that have nothing else to do: these run the loop until they are done ----------------------- */

/* Waits for the first connection. CLIENT_E_UNREACHABLE when the first try failed, CLIENT_E_NOT_ALLOWED if we were
 * refused; with a hint. */
int client_wait_connected(struct client *client, struct error *error);
/* Sends and waits. *ret_reply is its own copy (message_deinit) of a reply whose body is `expected` (0: any). */
int client_call(struct client *client, Maestro__Envelope *request, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error);
/* The same for requests that may be done twice: after a lost connection it is sent again on the next one. */
int client_call_repeatable(struct client *client, Maestro__Envelope *request, Maestro__Envelope__BodyCase expected,
	uint32_t deadline_ms, struct message *ret_reply, struct error *error);

/* 0, 1 to 5: of a result of this header; every errno is 1. */
int client_exit_status(int r);
/* Turns a FAILURE body into its condition and words. */
int client_failure(const Maestro__Failure *failure, struct error *error);

static inline const Maestro__Envelope *client_reply_of(const struct message *message)
{
	return (const Maestro__Envelope *)message->base;
}
