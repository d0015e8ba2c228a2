/* Authenticated message connections over nng's stream API, for one thread on sd-event.
 *
 * nng's callbacks run on its own threads; they only move a buffer into a bounded queue and write an eventfd. Every
 * callback declared here runs on the loop's thread, from that eventfd. All functions are to be called from that
 * thread only, and none blocks.
 *
 * A peer is an identity that passed the handshake (proto/schema/handshake.proto). It has a main connection and, once
 * its dialer has opened it, a second one for CHANNEL_BULK (until then bulk goes over the main one). What is sent on
 * one channel arrives in order; between channels there is no order, except that control and interactive share a
 * connection and control overtakes. Messages above 64 KiB are cut into parts and put together again in here.
 * Ping, dead-peer detection, credit and the 10 s handshake deadline are in here too.
 *
 * Conditions: LINK_E_FULL (this channel's queue is at its cap: nothing was queued, wait for `writable`),
 * LINK_E_CLOSED, LINK_E_ADDRESS (the address cannot be understood; error says how one looks). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/base/log.h"
#include "proto/schema/envelope.pb-c.h"
#include "proto/wire/frame.h"

enum {
	LINK_E_FULL = 1,
	LINK_E_CLOSED,
	LINK_E_ADDRESS,
};

struct link;
struct link_listener;
struct link_dialer;
struct link_peer;

#define LINK_KEY_BYTES 32u
#define LINK_SECRET_KEY_BYTES 64u
#define LINK_CLUSTER_BYTES 16u
#define LINK_DIGEST_BYTES 32u

/* --- the loop's side of nng: one a process ------------------------------------------------------------------- */

/* Signals must be blocked before (nng starts its threads here). `event` and `log` outlive the link. */
int link_new(struct link **ret_link, sd_event *event, struct log *log);
/* Closes what is still open, without callbacks, and waits for nng's pending calls to end. Listeners and dialers are
 * freed before; never from within a callback. */
void link_free(struct link *link);
DEFINE_CLEANUP(struct link *, link_free)

/* --- peers --------------------------------------------------------------------------------------------------- */

/* What the other side said of itself, and was granted. Strings live as long as the peer. */
struct link_identity {
	Maestro__Role role;          /* asked for; after the handshake: granted */
	bool has_key;
	uint8_t key[LINK_KEY_BYTES]; /* all zero without one (ipc, same uid) */
	const char *name;            /* a worker's name, "user@host"; checked to be printable, "" if none */
	const char *software;
	const char *boot_id;
	uint64_t incarnation;
	uint64_t instance;           /* random, of its process; 0: it did not say */
	bool local;                  /* over ipc */
	uint32_t peer_uid;           /* over ipc */
	const char *address;         /* for the log: "ipc", "192.0.2.7:51234" */
};

struct link_peer_ops {
	/* A checked message; it and all in it live until this returns. `body_case` 0 (unknown) was answered already. */
	void (*message)(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata);
	/* A channel whose send said LINK_E_FULL has room again (half of its cap). May be NULL. */
	void (*writable)(struct link_peer *peer, enum channel channel, void *userdata);
	/* Exactly once, last. `why` is a sentence. The peer is freed after this returns. */
	void (*closed)(struct link_peer *peer, const char *why, void *userdata);
};

void link_peer_set_ops(struct link_peer *peer, const struct link_peer_ops *ops, void *userdata);
const struct link_identity *link_peer_identity(const struct link_peer *peer);
/* Copies the message into the channel's queue. Caps: control 8 MiB, interactive 4 MiB, bulk 16 MiB of packed bytes.
 * LINK_E_FULL, LINK_E_CLOSED, -EMSGSIZE (above LIMIT_MESSAGE_BYTES), -ENOMEM. */
int link_peer_send(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope);

/* Hands what is queued to the kernel now, as far as it takes it, rather than when the loop's turn ends: for what
 * somebody waits for, before other work of the same turn. */
void link_peer_flush(struct link_peer *peer);

/* What many peers are to get: packed once, and sent to each as link_peer_send does. -EMSGSIZE, -ENOMEM. */
struct link_packed;
int link_packed_new(struct link_packed **ret_packed, const Maestro__Envelope *envelope);
void link_packed_unref(struct link_packed *packed);
DEFINE_CLEANUP(struct link_packed *, link_packed_unref)
int link_peer_send_packed(struct link_peer *peer, enum channel channel, struct link_packed *packed);

/* Packed bytes that wait in a channel's queue. */
size_t link_peer_queued_bytes(const struct link_peer *peer, enum channel channel);
/* Stops and continues reading of a peer (it gets no credit any more, so it slows down). Its acknowledgements are not
 * read either: never stop because a queue towards the same peer is full. */
void link_peer_set_reading(struct link_peer *peer, bool on);
/* Asks whether it is still there: what says nothing within within_ms is closed. Harmless while it is being asked. */
void link_peer_ask(struct link_peer *peer, uint32_t within_ms);
/* Sends what is queued for at most drain_ms, then closes; `closed` is called (not from within this call). */
void link_peer_close(struct link_peer *peer, const char *why, uint32_t drain_ms);

/* --- listening ----------------------------------------------------------------------------------------------- */

struct link_grant {
	Maestro__Role role;
	uint64_t epoch;
	uint32_t heartbeat_ms;
};

struct link_listener_ops {
	/* Signature and version were right (or it is an ipc peer of our uid without a key): may it come in? 0 and the
	 * grant, or a positive Maestro__RefusedCode with a sentence in error. */
	int (*authenticate)(const struct link_identity *claim, struct link_grant *ret_grant, struct error *error,
		void *userdata);
	/* As authenticate, for a join token's secret. The key is to be known afterwards. Durable before it returns 0. */
	int (*enroll)(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *ret_grant,
		struct error *error, void *userdata);
	/* A peer is there; call link_peer_set_ops now. */
	void (*accepted)(struct link_peer *peer, void *userdata);
};

struct link_listener_config {
	const char *address;            /* "tls+tcp://0.0.0.0:7717", "tls+tcp://[::1]:0", "ipc:///run/…/x.sock" (0600) */
	const char *certificate_pem;    /* server certificate and its CA, for tls */
	const char *private_key_pem;
	const void *ca_der;             /* answered to FETCH_CA; its SHA-256 is what is signed over tls */
	size_t ca_der_len;
	uint8_t cluster_id[LINK_CLUSTER_BYTES];
	const struct link_listener_ops *ops;
	void *userdata;
	uint32_t max_peers;             /* 0: 16384 */
	uint32_t max_unauthenticated_per_address; /* 0: 32 */
};

/* Copies the configuration. A stale ipc socket that nobody answers on is replaced; a live one is -EADDRINUSE. */
int link_listener_new(struct link_listener **ret_listener, struct link *link,
	const struct link_listener_config *config, struct error *error);
/* The address with the real port. Borrowed. */
const char *link_listener_address(const struct link_listener *listener);
/* Stops accepting; peers live on. */
void link_listener_free(struct link_listener *listener);
DEFINE_CLEANUP(struct link_listener *, link_listener_free)
/* Closes every peer that came in with this key (revocation). Returns how many. */
unsigned int link_listener_close_key(struct link_listener *listener, const uint8_t key[LINK_KEY_BYTES], const char *why);

/* --- dialling ------------------------------------------------------------------------------------------------ */

struct link_welcome {
	uint64_t epoch;
	uint32_t heartbeat_ms;
	Maestro__Role role;
	uint8_t cluster_id[LINK_CLUSTER_BYTES];
	const char *software;
};

struct link_dialer_ops {
	/* The handshake is done; call link_peer_set_ops now. After the peer closed the dialer redials by itself
	 * (1 to 30 s, exponential, full jitter) unless `once`. */
	void (*connected)(struct link_peer *peer, const struct link_welcome *welcome, void *userdata);
	/* An attempt failed. `code`: 0 network, else a Maestro__RefusedCode. `retry_ms`: until the next try, 0: none. */
	void (*failed)(int code, const char *why, uint32_t retry_ms, void *userdata);
};

struct link_dialer_config {
	const char *address;                 /* "tls+tcp://host:port", "ipc:///path" */
	const char *ca_pem;                  /* pinned, for tls */
	const uint8_t *secret_key;           /* Ed25519, LINK_SECRET_KEY_BYTES; NULL: none (ipc, same uid) */
	const void *join_secret;             /* of a token: ENROLL instead of PROOF */
	size_t join_secret_len;
	Maestro__Role role;
	const char *name;
	uint64_t incarnation;
	bool bulk;                           /* open the second connection too */
	bool once;                           /* do not redial */
	const struct link_dialer_ops *ops;
	void *userdata;
};

int link_dialer_new(struct link_dialer **ret_dialer, struct link *link, const struct link_dialer_config *config,
	struct error *error);
/* Closes its peer too (with `closed`, later). No callback of the dialer comes after this. */
void link_dialer_free(struct link_dialer *dialer);
DEFINE_CLEANUP(struct link_dialer *, link_dialer_free)

/* --- joining ------------------------------------------------------------------------------------------------- */

/* Takes a "mst1.<role>.<digest>.<secret>" apart. -EINVAL with a sentence. Wipe ret_secret after use. */
struct link_token {
	Maestro__Role role;
	uint8_t ca_digest[LINK_DIGEST_BYTES];
	uint8_t secret[64];
	size_t secret_len;
};
int link_token_parse(const char *text, struct link_token *ret_token, struct error *error);
/* Caller frees. */
char *link_token_format(const struct link_token *token);

/* Connects without any trust, takes the CA certificate, compares its digest, closes. `done` is called once: 0 and the
 * certificate as PEM (borrowed), or an error. Over ipc there is no CA: use the dialer at once. */
typedef void (*link_fetch_ca_done)(int r, const char *ca_pem, const char *why, void *userdata);
int link_fetch_ca(struct link *link, const char *address, const uint8_t digest[LINK_DIGEST_BYTES],
	link_fetch_ca_done done, void *userdata, struct error *error);

/* "host:port", "host", "[v6]:port", or a full URL -> "tls+tcp://host:port" (default port 7717). Caller frees. */
int link_address_parse(const char *text, char **ret_url, struct error *error);
