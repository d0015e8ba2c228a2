/* See handshake.h. */
#include "proto/link/handshake.h"
#include "proto/link/bridge.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define CONTEXT "maestro-auth-1" /* with its NUL */
#define SIGNED_BYTES (sizeof(CONTEXT) + LINK_DIGEST_BYTES + LINK_CLUSTER_BYTES + 1 + LINK_KEY_BYTES +              \
	2 * HANDSHAKE_NONCE_BYTES + 4 + 4 + 1 + 8)
#define SOFTWARE "maestro " MAESTRO_VERSION

void link_claim_init(struct link_claim *claim)
{
	*claim = (struct link_claim){ 0 };
	claim->identity.name = claim->name;
	claim->identity.software = claim->software;
	claim->identity.boot_id = claim->boot_id;
	claim->identity.address = claim->address;
}

void link_claim_copy(struct link_claim *to, const struct link_claim *from)
{
	*to = *from;
	to->identity.name = to->name;
	to->identity.software = to->software;
	to->identity.boot_id = to->boot_id;
	to->identity.address = to->address;
}

void handshake_wipe(struct link_handshake *handshake)
{
	id_wipe(handshake->secret_key, sizeof(handshake->secret_key));
	id_wipe(handshake->join_secret, sizeof(handshake->join_secret));
}

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return at + len;
}

static void make_signed(const struct link_handshake *handshake, uint8_t text[SIGNED_BYTES])
{
	const struct link_identity *identity = &handshake->claim.identity;
	uint8_t *at = text;

	at = put(at, CONTEXT, sizeof(CONTEXT));
	at = put(at, handshake->ca_digest, LINK_DIGEST_BYTES);
	at = put(at, handshake->cluster_id, LINK_CLUSTER_BYTES);
	*at++ = (uint8_t)identity->role;
	at = put(at, identity->key, LINK_KEY_BYTES);
	at = put(at, handshake->dialer_nonce, HANDSHAKE_NONCE_BYTES);
	at = put(at, handshake->listener_nonce, HANDSHAKE_NONCE_BYTES);
	put_u32(at, handshake->version_min);
	put_u32(at + 4, handshake->version_max);
	at[8] = (uint8_t)handshake->kind;
	put_u32(at + 9, (uint32_t)(handshake->connection >> 32));
	put_u32(at + 13, (uint32_t)handshake->connection);
	require(at + 17 == text + SIGNED_BYTES);
}

/* Foreign text goes to logs, tables and rows: printable UTF-8 or it is refused. */
static bool take_text(const ProtobufCBinaryData *data, bool present, char *text, size_t size)
{
	if (!present)
		return true;
	if (data->len >= size || !str_utf8_valid((const char *)data->data, data->len))
		return false;
	for (size_t i = 0; i < data->len; i++)
		if (data->data[i] < 0x20 || data->data[i] == 0x7f)
			return false;
	if (data->len)
		memcpy(text, data->data, data->len);
	text[data->len] = 0;
	return true;
}

static ProtobufCBinaryData bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data };
}

/* --- the listener's side ------------------------------------------------------------------------------------ */

void handshake_listen(struct link_handshake *handshake, const uint8_t cluster_id[LINK_CLUSTER_BYTES],
	const uint8_t ca_digest[LINK_DIGEST_BYTES], bool keyless_ok)
{
	handshake->state = HANDSHAKE_WAIT_HELLO;
	handshake->keyless_ok = keyless_ok;
	memcpy(handshake->cluster_id, cluster_id, LINK_CLUSTER_BYTES);
	memcpy(handshake->ca_digest, ca_digest, LINK_DIGEST_BYTES);
	id_random(handshake->listener_nonce, HANDSHAKE_NONCE_BYTES);
}

int handshake_refuse(struct link_handshake *handshake, Maestro__RefusedCode code, const char *why, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Refused refused = MAESTRO__REFUSED__INIT;
	int r;

	snprintf(handshake->why, sizeof(handshake->why), "%s", why);
	handshake->refused_code = (int)code;
	handshake->state = HANDSHAKE_OVER;
	refused.code = code;
	refused.has_why = true;
	refused.why = bytes_of(handshake->why);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_REFUSED;
	envelope.refused = &refused;
	r = link_frame_append(out, CHANNEL_CONTROL, &envelope);
	return r ? r : HANDSHAKE_REFUSED;
}

static int check_versions(struct link_handshake *handshake, const Maestro__Hello *hello, struct buf *out)
{
	char why[160];

	if (hello->version_min <= PROTOCOL_VERSION_MAX && hello->version_max >= PROTOCOL_VERSION_MIN &&
		hello->version_min <= hello->version_max)
		return 0;
	snprintf(why, sizeof(why), "this side speaks versions %u to %u of the protocol, yours %u to %u: update the %s",
		PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, hello->version_min, hello->version_max,
		hello->version_max < PROTOCOL_VERSION_MIN ? "older program, which is yours" : "coordinator");
	return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_VERSION, why, out);
}

/* Copies what HELLO says. 0, or a refusal that was appended. */
static int check_hello(struct link_handshake *handshake, const Maestro__Hello *hello, struct buf *out)
{
	struct link_claim *claim = &handshake->claim;
	int r;

	r = check_versions(handshake, hello, out);
	if (r)
		return r;
	if (hello->nonce.len != HANDSHAKE_NONCE_BYTES ||
		(hello->has_public_key && hello->public_key.len != LINK_KEY_BYTES) ||
		(hello->kind == MAESTRO__CONNECTION_KIND__CONNECTION_BULK) != (hello->has_connection != 0))
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL, "a malformed HELLO", out);
	if (!hello->has_public_key && !handshake->keyless_ok)
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY,
			"a key is needed: join this machine first (maestro join, maestro-worker join)", out);
	if (!take_text(&hello->name, hello->has_name, claim->name, sizeof(claim->name)) ||
		(hello->role == MAESTRO__ROLE__ROLE_WORKER && !name_valid(claim->name)))
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_NAME,
			"a worker's name is made of a-z 0-9 . _ - and has 64 characters at most", out);
	if (!take_text(&hello->software, hello->has_software, claim->software, sizeof(claim->software)) ||
		!take_text(&hello->boot_id, hello->has_boot_id, claim->boot_id, sizeof(claim->boot_id)))
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL, "a malformed HELLO", out);
	return 0;
}

static int take_hello(struct link_handshake *handshake, const Maestro__Hello *hello, struct buf *out)
{
	struct link_identity *identity = &handshake->claim.identity;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Challenge challenge = MAESTRO__CHALLENGE__INIT;
	int r;

	r = check_hello(handshake, hello, out);
	if (r)
		return r;
	identity->role = hello->role;
	identity->incarnation = hello->has_incarnation ? hello->incarnation : 0;
	identity->instance = hello->has_instance ? hello->instance : 0;
	identity->has_key = hello->has_public_key;
	if (hello->has_public_key)
		memcpy(identity->key, hello->public_key.data, LINK_KEY_BYTES);
	memcpy(handshake->dialer_nonce, hello->nonce.data, HANDSHAKE_NONCE_BYTES);
	handshake->version_min = hello->version_min;
	handshake->version_max = hello->version_max;
	handshake->kind = hello->kind;
	handshake->connection = hello->has_connection ? hello->connection : 0;

	challenge.cluster_id = bytes(handshake->cluster_id, LINK_CLUSTER_BYTES);
	challenge.nonce = bytes(handshake->listener_nonce, HANDSHAKE_NONCE_BYTES);
	challenge.version = hello->version_max < PROTOCOL_VERSION_MAX ? hello->version_max : PROTOCOL_VERSION_MAX;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_CHALLENGE;
	envelope.challenge = &challenge;
	handshake->state = HANDSHAKE_WAIT_PROOF;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

static bool signature_right(const struct link_handshake *handshake, const ProtobufCBinaryData *signature)
{
	uint8_t text[SIGNED_BYTES];

	make_signed(handshake, text);
	return signature->len == crypto_sign_BYTES &&
		crypto_sign_verify_detached(signature->data, text, sizeof(text), handshake->claim.identity.key) == 0;
}

static int take_proof(struct link_handshake *handshake, const ProtobufCBinaryData *signature, bool present,
	struct buf *out)
{
	bool has_key = handshake->claim.identity.has_key;

	if (has_key && (!present || !signature_right(handshake, signature)))
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY,
			"the signature does not fit this coordinator and key", out);
	handshake->state = HANDSHAKE_WAIT_DECISION;
	return HANDSHAKE_DECIDE;
}

static int take_enroll(struct link_handshake *handshake, const Maestro__Enroll *enroll, struct buf *out)
{
	int r;

	if (!handshake->claim.identity.has_key || handshake->kind != MAESTRO__CONNECTION_KIND__CONNECTION_MAIN)
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL,
			"only a key on a main connection can be enrolled", out);
	r = take_proof(handshake, &enroll->signature, true, out);
	if (r != HANDSHAKE_DECIDE)
		return r;
	handshake->secret = enroll->secret.data;
	handshake->secret_len = enroll->secret.len;
	return HANDSHAKE_ENROLL;
}

int handshake_welcome(struct link_handshake *handshake, const struct link_grant *grant, uint64_t connection,
	struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Welcome welcome = MAESTRO__WELCOME__INIT;

	welcome.epoch = grant->epoch;
	welcome.heartbeat_ms = grant->heartbeat_ms;
	welcome.role = grant->role;
	welcome.connection = connection;
	welcome.cluster_id = bytes(handshake->cluster_id, LINK_CLUSTER_BYTES);
	welcome.has_software = true;
	welcome.software = bytes_of(SOFTWARE);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_WELCOME;
	envelope.welcome = &welcome;
	handshake->state = HANDSHAKE_OVER;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

int handshake_send_ca(const void *der, size_t len, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Ca ca = MAESTRO__CA__INIT;

	ca.certificate = bytes(der, len);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_CA;
	envelope.ca = &ca;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

/* --- the dialer's side -------------------------------------------------------------------------------------- */

int handshake_dial(struct link_handshake *handshake, struct buf *out)
{
	const struct link_claim *claim = &handshake->claim;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Hello hello = MAESTRO__HELLO__INIT;
	char boot_id[33];

	id_random(handshake->dialer_nonce, HANDSHAKE_NONCE_BYTES);
	hello.version_min = handshake->version_min = PROTOCOL_VERSION_MIN;
	hello.version_max = handshake->version_max = PROTOCOL_VERSION_MAX;
	hello.role = claim->identity.role;
	hello.has_public_key = claim->identity.has_key;
	hello.public_key = bytes(claim->identity.key, LINK_KEY_BYTES);
	hello.nonce = bytes(handshake->dialer_nonce, HANDSHAKE_NONCE_BYTES);
	hello.has_name = true;
	hello.name = bytes_of(claim->name);
	hello.kind = handshake->kind;
	hello.has_connection = handshake->kind == MAESTRO__CONNECTION_KIND__CONNECTION_BULK;
	hello.connection = handshake->connection;
	hello.has_software = true;
	hello.software = bytes_of(SOFTWARE);
	hello.has_boot_id = clock_boot_id(boot_id) == 0;
	if (hello.has_boot_id)
		hello.boot_id = bytes_of(boot_id);
	hello.has_incarnation = true;
	hello.incarnation = claim->identity.incarnation;
	hello.has_instance = claim->identity.instance != 0;
	hello.instance = claim->identity.instance;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_HELLO;
	envelope.hello = &hello;
	handshake->state = HANDSHAKE_WAIT_CHALLENGE;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

static int send_proof(struct link_handshake *handshake, struct buf *out)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Enroll enroll = MAESTRO__ENROLL__INIT;
	Maestro__Proof proof = MAESTRO__PROOF__INIT;
	uint8_t text[SIGNED_BYTES], signature[crypto_sign_BYTES];

	make_signed(handshake, text);
	if (handshake->claim.identity.has_key)
		crypto_sign_detached(signature, NULL, text, sizeof(text), handshake->secret_key);
	if (handshake->join_secret_len && handshake->kind == MAESTRO__CONNECTION_KIND__CONNECTION_MAIN) {
		enroll.secret = bytes(handshake->join_secret, handshake->join_secret_len);
		enroll.signature = bytes(signature, sizeof(signature));
		envelope.body_case = MAESTRO__ENVELOPE__BODY_ENROLL;
		envelope.enroll = &enroll;
	} else {
		proof.has_signature = handshake->claim.identity.has_key;
		proof.signature = bytes(signature, sizeof(signature));
		envelope.body_case = MAESTRO__ENVELOPE__BODY_PROOF;
		envelope.proof = &proof;
	}
	handshake->state = HANDSHAKE_WAIT_WELCOME;
	return link_frame_append(out, CHANNEL_CONTROL, &envelope);
}

static int take_challenge(struct link_handshake *handshake, const Maestro__Challenge *challenge, struct buf *out,
	struct error *error)
{
	if (challenge->cluster_id.len != LINK_CLUSTER_BYTES || challenge->nonce.len != HANDSHAKE_NONCE_BYTES ||
		challenge->version < PROTOCOL_VERSION_MIN || challenge->version > PROTOCOL_VERSION_MAX)
		return error_set(error, -EPROTO, "the coordinator sent a malformed CHALLENGE");
	memcpy(handshake->cluster_id, challenge->cluster_id.data, LINK_CLUSTER_BYTES);
	memcpy(handshake->listener_nonce, challenge->nonce.data, HANDSHAKE_NONCE_BYTES);
	return send_proof(handshake, out);
}

static int take_welcome(struct link_handshake *handshake, const Maestro__Welcome *welcome, struct error *error)
{
	if (!take_text(&welcome->software, welcome->has_software, handshake->peer_software,
			sizeof(handshake->peer_software)) ||
		welcome->cluster_id.len != LINK_CLUSTER_BYTES ||
		memcmp(welcome->cluster_id.data, handshake->cluster_id, LINK_CLUSTER_BYTES) != 0)
		return error_set(error, -EPROTO, "the coordinator sent a malformed WELCOME");
	handshake->granted = (struct link_grant){ welcome->role, welcome->epoch, welcome->heartbeat_ms };
	if (handshake->kind == MAESTRO__CONNECTION_KIND__CONNECTION_MAIN)
		handshake->connection = welcome->connection;
	handshake->state = HANDSHAKE_OVER;
	return HANDSHAKE_DONE;
}

static int take_refused(struct link_handshake *handshake, const Maestro__Refused *refused)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;

	if (refused->has_why)
		str_clean(&clean, (const char *)refused->why.data, refused->why.len);
	snprintf(handshake->why, sizeof(handshake->why), "%s", clean.len ? buf_text(&clean) : "refused");
	handshake->refused_code = (int)refused->code;
	handshake->state = HANDSHAKE_OVER;
	return HANDSHAKE_REFUSED;
}

int handshake_take(struct link_handshake *handshake, const Maestro__Envelope *envelope, struct buf *out,
	struct error *error)
{
	enum handshake_state state = handshake->state;

	switch (envelope->body_case) {
	case MAESTRO__ENVELOPE__BODY_FETCH_CA:
		if (state != HANDSHAKE_WAIT_HELLO)
			break;
		handshake->state = HANDSHAKE_OVER;
		return HANDSHAKE_FETCH_CA;
	case MAESTRO__ENVELOPE__BODY_HELLO:
		if (state != HANDSHAKE_WAIT_HELLO)
			break;
		return take_hello(handshake, envelope->hello, out);
	case MAESTRO__ENVELOPE__BODY_CHALLENGE:
		if (state != HANDSHAKE_WAIT_CHALLENGE)
			break;
		return take_challenge(handshake, envelope->challenge, out, error);
	case MAESTRO__ENVELOPE__BODY_PROOF:
		if (state != HANDSHAKE_WAIT_PROOF)
			break;
		return take_proof(handshake, &envelope->proof->signature, envelope->proof->has_signature, out);
	case MAESTRO__ENVELOPE__BODY_ENROLL:
		if (state != HANDSHAKE_WAIT_PROOF)
			break;
		return take_enroll(handshake, envelope->enroll, out);
	case MAESTRO__ENVELOPE__BODY_WELCOME:
		if (state != HANDSHAKE_WAIT_WELCOME)
			break;
		return take_welcome(handshake, envelope->welcome, error);
	case MAESTRO__ENVELOPE__BODY_REFUSED:
		if (state != HANDSHAKE_WAIT_CHALLENGE && state != HANDSHAKE_WAIT_WELCOME)
			break;
		return take_refused(handshake, envelope->refused);
	default:
		break;
	}
	return error_set(error, -EPROTO, "an unexpected message in the handshake");
}
