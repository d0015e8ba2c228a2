/* Accepting: strangers first, peers when they have shown who they are.
 *
 * The accept is armed again after every error but our own closing. A stranger has LIMIT_HANDSHAKE_MS, may send frames
 * of LIMIT_FRAME_HANDSHAKE_BYTES, and there are only so many of one address (gate.h). */
#include "proto/link/gate.h"
#include "proto/link/peer.h"
#include "proto/link/tls.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/paths.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define PEERS_MAX 16384u
#define STRANGERS_PER_ADDRESS_MAX 32u
#define STRANGERS_LOCAL_MAX 1024u /* over ipc: only our own uid gets that far */
#define STRANGERS_MAX 2048u
#define REFUSED_DRAIN_MS 2000u
#define ACCEPT_PAUSE_MS 200u

struct link_listener {
	struct link *link;
	char *address;
	bool local;
	nng_stream_listener *nng;
	struct tls_config *tls;
	struct link_call accept;
	struct link_timer pause;
	struct link_post release, knock;
	nng_stream *waiting; /* at the gate; nothing is accepted meanwhile */
	unsigned int failures;
	bool closing;

	void *ca_der;
	size_t ca_der_len;
	uint8_t ca_digest[LINK_DIGEST_BYTES];
	uint8_t cluster_id[LINK_CLUSTER_BYTES];
	const struct link_listener_ops *ops;
	void *userdata;
	struct gate gate;
	uint32_t max_peers;

	struct list strangers, peers;
	uint32_t peer_count;
};

struct stranger {
	struct list entry;
	struct link_listener *listener;
	struct link_stream *stream;
	struct link_handshake handshake;
	struct link_timer deadline;
	uint8_t host[GATE_HOST_BYTES]; /* its address without the port */
	bool passed;                   /* it has shown who it is */
	bool over;                     /* said all there is to say; waits for the other side to close */
};

/* --- strangers ----------------------------------------------------------------------------------------------- */

static void stranger_free(struct stranger *stranger)
{
	struct link_listener *listener = stranger->listener;

	if (stranger->stream)
		link_stream_close(stranger->stream);
	link_timer_deinit(&stranger->deadline);
	list_remove(&stranger->entry);
	gate_leave(&listener->gate, stranger->host, stranger->passed, clock_boottime_ms());
	if (listener->waiting)
		link_post_schedule(listener->link, &listener->knock);
	free(stranger);
}

static void on_stranger_deadline(struct link_timer *timer)
{
	struct stranger *stranger = container_of(timer, struct stranger, deadline);

	if (!stranger->over)
		link_log_limited(stranger->listener->link, "peer=%s: no handshake within 10 s",
			stranger->handshake.claim.address);
	stranger_free(stranger);
}

static void on_stranger_ended(struct link_stream *stream, const char *why, void *userdata)
{
	stranger_free(userdata);
}

/* What was written goes out, and the other side closes when it has read it; closing first could lose it. */
static void stranger_over(struct stranger *stranger)
{
	stranger->over = true;
	link_timer_set(stranger->listener->link, &stranger->deadline, REFUSED_DRAIN_MS, 100);
}

static void on_peer_gone(struct link_peer *peer, void *owner)
{
	struct link_listener *listener = owner;

	listener->peer_count--;
}

static void become_peer(struct stranger *stranger, const struct link_grant *grant, struct buf *out)
{
	struct link_listener *listener = stranger->listener;
	struct link_stream *stream = take(stranger->stream);
	struct link_peer *peer;
	uint64_t connection;

	stranger->passed = true;
	id_random(&connection, sizeof(connection));
	stranger->handshake.claim.identity.role = grant->role;
	if (handshake_welcome(&stranger->handshake, grant, connection, out) || link_stream_write(stream, out->data, out->len)) {
		link_stream_close(stream);
		stranger_free(stranger);
		return;
	}
	if (link_peer_new(&peer, listener->link, stream, &stranger->handshake.claim, connection) == 0) {
		peer->gone = on_peer_gone;
		peer->owner = listener;
		list_append(&listener->peers, &peer->owner_entry);
		listener->peer_count++;
		stranger_free(stranger);
		listener->ops->accepted(peer, listener->userdata);
		return;
	}
	stranger_free(stranger);
}

static bool same_identity(const struct link_identity *a, const struct link_identity *b)
{
	return a->has_key == b->has_key && id_equal(a->key, b->key, LINK_KEY_BYTES) && a->local == b->local &&
		a->peer_uid == b->peer_uid;
}

/* The second connection of a peer that is here already: same key, and the number that only that peer was told. */
static int attach(struct stranger *stranger, struct buf *out)
{
	struct link_listener *listener = stranger->listener;
	struct link_handshake *handshake = &stranger->handshake;
	struct link_grant grant = { .role = handshake->claim.identity.role };
	struct link_peer *peer;

	list_for_each(peer, &listener->peers, owner_entry) {
		if (peer->connection != handshake->connection ||
			!same_identity(&peer->claim.identity, &handshake->claim.identity))
			continue;
		if (peer->bulk.stream || peer->state != LINK_PEER_OPEN)
			break;
		stranger->passed = true;
		grant.role = peer->claim.identity.role;
		if (handshake_welcome(handshake, &grant, handshake->connection, out) ||
			link_stream_write(stranger->stream, out->data, out->len))
			return -ENOMEM;
		return link_peer_attach_bulk(peer, take(stranger->stream));
	}
	return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY,
		"there is no such main connection", out);
}

static int decide(struct stranger *stranger, bool enroll, struct buf *out)
{
	struct link_listener *listener = stranger->listener;
	struct link_handshake *handshake = &stranger->handshake;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_grant grant = { 0 };
	int r;

	if (handshake->kind == MAESTRO__CONNECTION_KIND__CONNECTION_BULK)
		return attach(stranger, out);
	if (listener->peer_count >= listener->max_peers)
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_BUSY, "too many peers are connected", out);
	if (enroll)
		r = !listener->ops->enroll ? error_set(&error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "no keys are enrolled here") :
			listener->ops->enroll(&handshake->claim.identity, handshake->secret, handshake->secret_len, &grant,
				&error, listener->userdata);
	else
		r = listener->ops->authenticate(&handshake->claim.identity, &grant, &error, listener->userdata);
	if (r < 0)
		return handshake_refuse(handshake, MAESTRO__REFUSED_CODE__REFUSED_BUSY, "the coordinator has a problem of its own; see its log", out);
	if (r > 0)
		return handshake_refuse(handshake, (Maestro__RefusedCode)r, error_text(&error, EPERM), out);
	become_peer(stranger, &grant, out);
	return -ECANCELED; /* the stranger is no more */
}

static int stranger_step(struct stranger *stranger, const Maestro__Envelope *envelope, struct buf *out)
{
	struct link_listener *listener = stranger->listener;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	r = handshake_take(&stranger->handshake, envelope, out, &error);
	if (r == HANDSHAKE_DECIDE || r == HANDSHAKE_ENROLL)
		return decide(stranger, r == HANDSHAKE_ENROLL, out);
	if (r == HANDSHAKE_FETCH_CA && listener->ca_der)
		return handshake_send_ca(listener->ca_der, listener->ca_der_len, out);
	if (r == HANDSHAKE_FETCH_CA || r == -EPROTO)
		return handshake_refuse(&stranger->handshake, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL,
			r < 0 ? error_text(&error, r) : "there is no CA over a local socket", out);
	return r;
}

static void on_stranger_frame(struct link_stream *stream, enum channel channel, const uint8_t *payload, size_t len,
	void *userdata)
{
	struct stranger *stranger = userdata;
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r;

	if (stranger->over)
		return;
	if (message_unpack(&maestro__envelope__descriptor, payload, len, &message, NULL)) {
		stranger_free(stranger);
		return;
	}
	r = stranger_step(stranger, (const Maestro__Envelope *)message.base, &out);
	if (r == -ECANCELED)
		return;
	if (!stranger->stream || r < 0) { /* it became a bulk connection, or there is no memory */
		stranger_free(stranger);
		return;
	}
	if (r == HANDSHAKE_REFUSED)
		link_log_limited(stranger->listener->link, "peer=%s key=%02x%02x%02x%02x name=%s: refused: %s",
			stranger->handshake.claim.address, stranger->handshake.claim.identity.key[0],
			stranger->handshake.claim.identity.key[1], stranger->handshake.claim.identity.key[2],
			stranger->handshake.claim.identity.key[3], stranger->handshake.claim.name, stranger->handshake.why);
	if (out.len && link_stream_write(stream, out.data, out.len))
		stranger_free(stranger);
	else if (stranger->handshake.state == HANDSHAKE_OVER)
		stranger_over(stranger);
}

static const struct link_stream_ops stranger_ops = {
	.frame = on_stranger_frame,
	.ended = on_stranger_ended,
};

/* --- accepting ----------------------------------------------------------------------------------------------- */

/* Fills the claim's address and the host for the cap. False: not to be let in. */
static bool look_at(struct stranger *stranger, nng_stream *nng)
{
	struct link_claim *claim = &stranger->handshake.claim;
	nng_sockaddr address = { 0 };
	char text[INET6_ADDRSTRLEN] = "?";
	uint64_t uid;

	if (stranger->listener->local) {
		claim->identity.local = true;
		if (nng_stream_get_uint64(nng, NNG_OPT_IPC_PEER_UID, &uid))
			return false;
		strcpy(claim->address, "ipc");
		claim->identity.peer_uid = (uint32_t)uid;
		return uid == geteuid();
	}
	if (nng_stream_get_addr(nng, NNG_OPT_REMADDR, &address))
		return false;
	if (address.s_family == NNG_AF_INET) {
		memcpy(stranger->host, &address.s_in.sa_addr, 4);
		inet_ntop(AF_INET, &address.s_in.sa_addr, text, sizeof(text));
		snprintf(claim->address, sizeof(claim->address), "%s:%u", text, ntohs(address.s_in.sa_port));
	} else if (address.s_family == NNG_AF_INET6) {
		memcpy(stranger->host, address.s_in6.sa_addr, 16);
		inet_ntop(AF_INET6, address.s_in6.sa_addr, text, sizeof(text));
		snprintf(claim->address, sizeof(claim->address), "[%s]:%u", text, ntohs(address.s_in6.sa_port));
	}
	return true;
}

static void refuse(struct link_listener *listener, const struct stranger *stranger, nng_stream *nng)
{
	const struct link_claim *claim = &stranger->handshake.claim;

	/* Without an address it is gone already. */
	if (claim->address[0])
		link_log_limited(listener->link, "peer=%s uid=%u: not let in: %s", claim->address, claim->identity.peer_uid,
			listener->local && claim->identity.peer_uid != geteuid() ? "the local socket is for its own user only" :
										   "too many handshakes from there");
	nng_stream_free(nng);
}

#define KNOCK_MS 100u /* whoever leaves is noticed at once; this is for nobody leaving */

/* False: not yet. */
static bool pass_gate(struct stranger *stranger, nng_stream *nng)
{
	struct link_listener *listener = stranger->listener;
	enum gate_answer answer = look_at(stranger, nng) ? gate_ask(&listener->gate, stranger->host, clock_boottime_ms()) : GATE_SHUT;

	if (answer == GATE_WAIT && link_timer_set(listener->link, &listener->pause, KNOCK_MS, 10) >= 0) {
		listener->waiting = nng;
		return false;
	}
	if (answer == GATE_OPEN && gate_enter(&listener->gate, stranger->host))
		return true;
	refuse(listener, stranger, nng);
	return false;
}

static void let_in(struct link_listener *listener, nng_stream *nng)
{
	struct stranger *stranger = calloc(1, sizeof(*stranger));

	if (!stranger) {
		nng_stream_free(nng);
		return;
	}
	stranger->listener = listener;
	stranger->deadline.fire = on_stranger_deadline;
	link_claim_init(&stranger->handshake.claim);
	if (!pass_gate(stranger, nng)) {
		free(stranger);
		return;
	}
	list_append(&listener->strangers, &stranger->entry);
	handshake_listen(&stranger->handshake, listener->cluster_id, listener->ca_digest, listener->local);
	if (link_stream_new(&stranger->stream, listener->link, nng, listener->tls, &stranger_ops, stranger) ||
		link_timer_set(listener->link, &stranger->deadline, LIMIT_HANDSHAKE_MS, 100) < 0)
		stranger_free(stranger);
}

static void arm_accept(struct link_listener *listener)
{
	if (listener->closing || listener->waiting || listener->accept.busy)
		return;
	link_call_begin(&listener->accept, 0);
	nng_stream_listener_accept(listener->nng, listener->accept.aio);
}

static void go_on(struct link_listener *listener)
{
	if (listener->waiting)
		let_in(listener, take(listener->waiting));
	arm_accept(listener);
}

static void on_accept_pause(struct link_timer *timer)
{
	go_on(container_of(timer, struct link_listener, pause));
}

static void on_knock(struct link_post *post)
{
	go_on(container_of(post, struct link_listener, knock));
}

static void on_accepted(struct link_call *call)
{
	struct link_listener *listener = container_of(call, struct link_listener, accept);
	int rv = nng_aio_result(call->aio);

	if (listener->closing) {
		if (!rv)
			nng_stream_free(nng_aio_get_output(call->aio, 0));
		link_post_schedule(listener->link, &listener->release);
		return;
	}
	if (!rv) {
		listener->failures = 0;
		let_in(listener, nng_aio_get_output(call->aio, 0));
	} else {
		link_log_limited(listener->link, "%s: accept: %s", listener->address, link_nng_text(rv));
	}
	/* A reset before the accept is nobody's fault; out of files or memory is better waited out. */
	if (rv && (rv == NNG_ENOFILES || rv == NNG_ENOMEM || ++listener->failures > 16))
		link_timer_set(listener->link, &listener->pause, ACCEPT_PAUSE_MS, 10);
	else
		arm_accept(listener);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void listener_release(struct link_listener *listener)
{
	link_call_deinit(&listener->accept);
	if (listener->nng)
		nng_stream_listener_free(listener->nng);
	tls_config_unref(listener->tls);
	free(listener->address);
	free(listener->ca_der);
	free(listener);
}
DEFINE_CLEANUP(struct link_listener *, listener_release)

static void on_release(struct link_post *post)
{
	struct link_listener *listener = container_of(post, struct link_listener, release);

	if (!listener->accept.busy)
		listener_release(listener);
}

static int set_options(struct link_listener *listener, const struct link_listener_config *config, struct error *error)
{
	int r;

	if (listener->local)
		return link_nng_errno(nng_stream_listener_set_int(listener->nng, NNG_OPT_IPC_PERMISSIONS, 0600));
	if (!config->certificate_pem || !config->private_key_pem)
		return error_set(error, -EINVAL, "%s: a certificate and its key are needed to listen there", config->address);
	r = tls_server(&listener->tls, config->certificate_pem, config->private_key_pem, error);
	if (r)
		return r;
	return link_nng_errno(nng_stream_listener_set_bool(listener->nng, NNG_OPT_TCP_NODELAY, true));
}

/* The address as it is now, with the port that the kernel chose. */
static int find_address(struct link_listener *listener, const char *address)
{
	const char *colon = strrchr(address, ':');
	int port;

	if (listener->local || !colon || nng_stream_listener_get_int(listener->nng, NNG_OPT_TCP_BOUND_PORT, &port))
		listener->address = strdup(address);
	else if (asprintf(&listener->address, "%.*s:%d", (int)(colon - address), address, port) < 0)
		listener->address = NULL;
	return listener->address ? 0 : -ENOMEM;
}

static int listener_open(struct link_listener *listener, const struct link_listener_config *config, struct error *error)
{
	int r, rv;

	if (listener->local) {
		r = paths_check_socket(config->address + strlen("ipc://"), error);
		if (r)
			return r;
	}
	rv = nng_stream_listener_alloc(&listener->nng, config->address + (listener->local ? 0 : strlen("tls+")));
	if (rv)
		return error_set(error, rv == NNG_EADDRINVAL || rv == NNG_EINVAL ? LINK_E_ADDRESS : link_nng_errno(rv),
			"%s: %s", config->address, link_nng_text(rv));
	r = set_options(listener, config, error);
	if (r)
		return r;
	rv = nng_stream_listener_listen(listener->nng);
	if (rv)
		return error_set(error, link_nng_errno(rv), "cannot listen on %s: %s", config->address, link_nng_text(rv));
	r = find_address(listener, config->address);
	return r ? r : link_call_init(&listener->accept, listener->link, on_accepted);
}

static int copy_config(struct link_listener *listener, const struct link_listener_config *config)
{
	listener->ops = config->ops;
	listener->userdata = config->userdata;
	listener->max_peers = config->max_peers ? config->max_peers : PEERS_MAX;
	listener->gate.max = STRANGERS_MAX;
	listener->gate.max_per_host = listener->local ? STRANGERS_LOCAL_MAX :
		config->max_unauthenticated_per_address ? config->max_unauthenticated_per_address : STRANGERS_PER_ADDRESS_MAX;
	memcpy(listener->cluster_id, config->cluster_id, LINK_CLUSTER_BYTES);
	if (listener->local || !config->ca_der)
		return 0;
	listener->ca_der = malloc(config->ca_der_len);
	if (!listener->ca_der)
		return -ENOMEM;
	memcpy(listener->ca_der, config->ca_der, config->ca_der_len);
	listener->ca_der_len = config->ca_der_len;
	id_sha256(config->ca_der, config->ca_der_len, listener->ca_digest);
	return 0;
}

int link_listener_new(struct link_listener **ret_listener, struct link *link,
	const struct link_listener_config *config, struct error *error)
{
	_cleanup_(listener_release_p) struct link_listener *listener = calloc(1, sizeof(*listener));
	int r;

	if (!listener)
		return -ENOMEM;
	listener->link = link;
	listener->local = str_starts(config->address, "ipc://");
	listener->pause.fire = on_accept_pause;
	list_init(&listener->strangers);
	list_init(&listener->peers);
	link_post_init(&listener->release, on_release);
	link_post_init(&listener->knock, on_knock);
	if (!listener->local && !str_starts(config->address, "tls+tcp://"))
		return error_set(error, LINK_E_ADDRESS, "'%s' is no address to listen on: write tls+tcp://HOST:PORT or ipc:///PATH",
			config->address);
	r = copy_config(listener, config);
	if (!r)
		r = listener_open(listener, config, error);
	if (r)
		return r;
	link->owners++;
	arm_accept(listener);
	*ret_listener = take(listener);
	return 0;
}

const char *link_listener_address(const struct link_listener *listener)
{
	return listener->address;
}

unsigned int link_listener_close_key(struct link_listener *listener, const uint8_t key[LINK_KEY_BYTES], const char *why)
{
	struct link_peer *peer;
	unsigned int count = 0;

	list_for_each(peer, &listener->peers, owner_entry) {
		if (!peer->claim.identity.has_key || !id_equal(peer->claim.identity.key, key, LINK_KEY_BYTES))
			continue;
		link_peer_close(peer, why, 0);
		count++;
	}
	return count;
}

void link_listener_free(struct link_listener *listener)
{
	struct stranger *stranger;
	struct link_peer *peer;

	while ((stranger = list_first(&listener->strangers, struct stranger, entry)))
		stranger_free(stranger);
	while ((peer = list_first(&listener->peers, struct link_peer, owner_entry))) {
		list_remove(&peer->owner_entry);
		peer->gone = NULL;
	}
	link_timer_deinit(&listener->pause);
	link_post_cancel(&listener->knock);
	if (listener->waiting)
		nng_stream_free(take(listener->waiting));
	listener->closing = true;
	listener->link->owners--;
	nng_stream_listener_close(listener->nng);
	link_post_schedule(listener->link, &listener->release);
}
