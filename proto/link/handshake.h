/* The handshake of proto/schema/handshake.proto as a state machine over messages: no stream, no clock, no loop.
 * Private to proto/link. What it has to say is appended to `out` as frames.
 *
 * Conditions: enum handshake_step. Negative: -EPROTO with a sentence (the other side broke the protocol), -ENOMEM. */
#pragma once

#include "proto/base/buf.h"
#include "proto/link/link.h"
#include "proto/wire/limit.h"

#define HANDSHAKE_NONCE_BYTES 32u
#define HANDSHAKE_TEXT_BYTES 128u

enum handshake_step {
	HANDSHAKE_GO_ON = 0,
	HANDSHAKE_DECIDE,   /* listener: the proof is right; handshake_welcome or handshake_refuse is next */
	HANDSHAKE_ENROLL,   /* the same with a join token's secret in `secret`, valid until the message is freed */
	HANDSHAKE_FETCH_CA, /* listener: wants the CA; handshake_send_ca */
	HANDSHAKE_DONE,     /* dialer: welcome */
	HANDSHAKE_REFUSED,  /* listener: REFUSED was appended. Dialer: refused_code and why are set */
};

enum handshake_state {
	HANDSHAKE_WAIT_HELLO,
	HANDSHAKE_WAIT_CHALLENGE,
	HANDSHAKE_WAIT_PROOF,
	HANDSHAKE_WAIT_DECISION,
	HANDSHAKE_WAIT_WELCOME,
	HANDSHAKE_OVER,
};

/* An identity and the memory of its strings. */
struct link_claim {
	struct link_identity identity;
	char name[HANDSHAKE_TEXT_BYTES + 1], software[HANDSHAKE_TEXT_BYTES + 1], boot_id[33], address[64];
};
void link_claim_init(struct link_claim *claim);
/* A copy whose strings are its own. */
void link_claim_copy(struct link_claim *to, const struct link_claim *from);

struct link_handshake {
	enum handshake_state state;
	struct link_claim claim; /* listener: of the dialer. Dialer: its own */
	uint8_t ca_digest[LINK_DIGEST_BYTES]; /* zero over ipc */
	uint8_t cluster_id[LINK_CLUSTER_BYTES];
	uint8_t dialer_nonce[HANDSHAKE_NONCE_BYTES], listener_nonce[HANDSHAKE_NONCE_BYTES];
	uint32_t version_min, version_max; /* the dialer's */
	Maestro__ConnectionKind kind;
	uint64_t connection; /* of the main connection; the dialer's in WELCOME */

	bool keyless_ok;     /* listener: ipc, our own uid */
	const void *secret;  /* listener, at HANDSHAKE_ENROLL */
	size_t secret_len;

	uint8_t secret_key[LINK_SECRET_KEY_BYTES]; /* dialer */
	uint8_t join_secret[64];
	size_t join_secret_len;
	struct link_grant granted; /* dialer, at HANDSHAKE_DONE */
	char peer_software[HANDSHAKE_TEXT_BYTES + 1];
	int refused_code;
	char why[512];
};

/* Overwrites what is secret. */
void handshake_wipe(struct link_handshake *handshake);

void handshake_listen(struct link_handshake *handshake, const uint8_t cluster_id[LINK_CLUSTER_BYTES],
	const uint8_t ca_digest[LINK_DIGEST_BYTES], bool keyless_ok);
/* claim.identity (role, name, incarnation …), secrets, kind and connection are set by the caller before. */
int handshake_dial(struct link_handshake *handshake, struct buf *out);
int handshake_take(struct link_handshake *handshake, const Maestro__Envelope *envelope, struct buf *out,
	struct error *error);
int handshake_welcome(struct link_handshake *handshake, const struct link_grant *grant, uint64_t connection,
	struct buf *out);
int handshake_refuse(struct link_handshake *handshake, Maestro__RefusedCode code, const char *why, struct buf *out);
int handshake_send_ca(const void *der, size_t len, struct buf *out);
