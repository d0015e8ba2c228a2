/* A link with a listener, dialers and counters, on one loop, for the tests of proto/link. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/log.h"
#include "proto/link/keys.h"
#include "proto/link/link.h"

enum transport {
	OVER_IPC,
	OVER_TLS,
};

/* One end of a connection, and what it has seen. */
struct side {
	struct link_peer *peer;
	unsigned int ready, closed, messages, writable, failed;
	unsigned int channel_messages[CHANNEL_COUNT];
	uint64_t last_request;
	uint64_t channel_request[CHANNEL_COUNT]; /* last one of each; they must go up */
	bool out_of_order, echo;
	Maestro__Envelope__BodyCase last_body;
	int last_failure;       /* FailureCode of the last Failure */
	struct buf last_text;   /* of the last Done */
	int code;               /* of the last failed() */
	uint32_t retry_ms;
	char why[512];
	struct link_welcome welcome;
	struct link_identity identity;
	char name[65];
};

struct harness {
	sd_event *event;
	struct log log;
	struct link *link;
	char dir[64];
	char ipc_url[96];
	char *ca_pem, *ca_key_pem, *server_pem, *server_key_pem;
	void *ca_der;
	size_t ca_der_len;
	uint8_t ca_digest[LINK_DIGEST_BYTES];
	struct key key;
	struct link_listener *listener;
	struct link_listener_config listener_config;
	struct side server, client;
	struct link_dialer *dialer;
	/* what the listener is to answer */
	int refuse_code;
	const char *token; /* the one that enrolls */
	unsigned int authenticated, enrolled;
	bool timed_out;
};

int harness_setup(void **state);
int harness_teardown(void **state);
void harness_listen(struct harness *h, enum transport transport);
/* A configuration of a client that is let in. */
struct link_dialer_config harness_dialer_config(struct harness *h);
void harness_dial(struct harness *h, const struct link_dialer_config *config);
/* Listens and connects. */
void harness_connect(struct harness *h, enum transport transport, bool bulk);
/* Runs the loop until *counter is at least `value`; fails the test after 20 s. */
void harness_wait(struct harness *h, const unsigned int *counter, unsigned int value);
#define harness_until(h, condition)                                                                          \
	while (!(condition))                                                                                 \
	harness_step(h)
void harness_step(struct harness *h);
/* Sends a Done with that many bytes of text and this request number. */
int harness_send(struct link_peer *peer, enum channel channel, uint64_t request, size_t text_bytes);
unsigned int harness_open_files(void);
/* A plain TCP connection to the listener; nonblocking reads are up to the test. */
int harness_raw_connect(struct harness *h);
/* Runs the loop until the other side closes the descriptor; what comes before that is appended to `out` (may be NULL).
 * Closes it. */
void harness_wait_eof(struct harness *h, int fd, struct buf *out);
