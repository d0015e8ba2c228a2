/* One attempt to reach a listener: dial, then the handshake or the fetching of the CA, all within
 * LIMIT_HANDSHAKE_MS. Private to proto/link. */
#pragma once

#include "proto/link/handshake.h"
#include "proto/link/stream.h"
#include "proto/link/tls.h"

struct link_dial;

struct link_dial_result {
	bool ok;
	int code;                         /* on failure: 0 network, else a Maestro__RefusedCode */
	const char *why;
	struct link_stream *stream;       /* on success of a handshake: the receiver's now */
	struct link_handshake *handshake; /* borrowed */
	const ProtobufCBinaryData *ca;    /* on success of a fetch: borrowed */
};
/* Once, never from within link_dial_new; the dial is gone after it returns. */
typedef void (*link_dial_done)(const struct link_dial_result *result, void *userdata);

/* `tls` NULL over ipc; held as long as needed. `handshake` is copied; NULL: fetch the CA, and `userdata` is freed with
 * the dial, on success of this call. */
int link_dial_new(struct link_dial **ret_dial, struct link *link, struct list *owner, const char *url,
	struct tls_config *tls, const struct link_handshake *handshake, link_dial_done done, void *userdata,
	struct error *error);
/* No `done` comes any more. */
void link_dial_cancel(struct link_dial *dial);
/* Cancels all in an owner's list. */
void link_dial_cancel_all(struct list *owner);
