/* Staying connected: one main connection, its bulk companion, and dialling again with full jitter, so that a thousand
 * peers of a restarted coordinator do not come all at once. */
#include "proto/link/dial.h"
#include "proto/link/keys.h"
#include "proto/link/peer.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/paths.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define RETRY_FIRST_MS 1000u
#define RETRY_MAX_MS 30000u
#define RETRY_LEAST_MS 50u

struct link_dialer {
	struct link *link;
	char *address;
	struct tls_config *tls;
	struct link_handshake handshake; /* what every attempt begins with */
	bool bulk, once;
	const struct link_dialer_ops *ops;
	void *userdata;
	struct list dials; /* the attempts under way: main, bulk */
	struct link_peer *peer;
	struct link_timer retry, bulk_retry;
	unsigned int failures, bulk_failures;
};

static void dial_main(struct link_dialer *dialer);
static void dial_bulk(struct link_dialer *dialer);

static uint32_t jitter_ms(unsigned int failures)
{
	uint32_t window_ms = failures >= 5 ? RETRY_MAX_MS : RETRY_FIRST_MS << failures;

	return RETRY_LEAST_MS + randombytes_uniform(window_ms);
}

static uint32_t schedule_retry(struct link_dialer *dialer)
{
	uint32_t after_ms;

	if (dialer->once)
		return 0;
	after_ms = jitter_ms(dialer->failures++);
	link_timer_set(dialer->link, &dialer->retry, after_ms, 10);
	return after_ms;
}

static void on_peer_gone(struct link_peer *peer, void *owner)
{
	struct link_dialer *dialer = owner;

	dialer->peer = NULL;
	link_dial_cancel_all(&dialer->dials);
	link_timer_deinit(&dialer->bulk_retry);
	schedule_retry(dialer);
}

static void bulk_done(const struct link_dial_result *result, void *userdata)
{
	struct link_dialer *dialer = userdata;

	if (result->ok && dialer->peer && link_peer_attach_bulk(dialer->peer, result->stream) == 0) {
		dialer->bulk_failures = 0;
		return;
	}
	if (result->ok)
		link_stream_close(result->stream);
	link_log_limited(dialer->link, "%s: no second connection: %s", dialer->address, result->why);
	if (dialer->peer)
		link_timer_set(dialer->link, &dialer->bulk_retry, jitter_ms(++dialer->bulk_failures), 100);
}

static void dial_bulk(struct link_dialer *dialer)
{
	struct link_handshake handshake = dialer->handshake;

	handshake.kind = MAESTRO__CONNECTION_KIND__CONNECTION_BULK;
	handshake.connection = dialer->peer->connection;
	if (link_dial_new(NULL, dialer->link, &dialer->dials, dialer->address, dialer->tls, &handshake, bulk_done, dialer,
		    NULL))
		link_timer_set(dialer->link, &dialer->bulk_retry, jitter_ms(++dialer->bulk_failures), 100);
	handshake_wipe(&handshake);
}

static void on_bulk_retry(struct link_timer *timer)
{
	struct link_dialer *dialer = container_of(timer, struct link_dialer, bulk_retry);

	if (dialer->peer && dialer->peer->state == LINK_PEER_OPEN)
		dial_bulk(dialer);
}

static void main_failed(struct link_dialer *dialer, int code, const char *why)
{
	uint32_t retry_ms = schedule_retry(dialer);

	if (dialer->ops->failed)
		dialer->ops->failed(code, why, retry_ms, dialer->userdata); /* last: it may free the dialer */
}

static void main_done(const struct link_dial_result *result, void *userdata)
{
	struct link_dialer *dialer = userdata;
	const struct link_handshake *handshake = result->handshake;
	struct link_welcome welcome;
	struct link_claim claim;

	if (!result->ok) {
		main_failed(dialer, result->code, result->why);
		return;
	}
	link_claim_copy(&claim, &handshake->claim);
	claim.identity.role = handshake->granted.role;
	snprintf(claim.address, sizeof(claim.address), "%s", dialer->tls ? dialer->address + strlen("tls+tcp://") : "ipc");
	if (link_peer_new(&dialer->peer, dialer->link, result->stream, &claim, handshake->connection)) {
		main_failed(dialer, 0, "out of memory");
		return;
	}
	dialer->peer->gone = on_peer_gone;
	dialer->peer->owner = dialer;
	dialer->failures = dialer->bulk_failures = 0;
	if (dialer->bulk)
		dial_bulk(dialer);
	welcome = (struct link_welcome){ .epoch = handshake->granted.epoch, .heartbeat_ms = handshake->granted.heartbeat_ms,
		.role = handshake->granted.role, .software = handshake->peer_software };
	memcpy(welcome.cluster_id, handshake->cluster_id, LINK_CLUSTER_BYTES);
	dialer->ops->connected(dialer->peer, &welcome, dialer->userdata);
}

static void dial_main(struct link_dialer *dialer)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	r = link_dial_new(NULL, dialer->link, &dialer->dials, dialer->address, dialer->tls, &dialer->handshake, main_done,
		dialer, &error);
	if (r)
		main_failed(dialer, 0, error_text(&error, r));
}

static void on_retry(struct link_timer *timer)
{
	dial_main(container_of(timer, struct link_dialer, retry));
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void dialer_release(struct link_dialer *dialer)
{
	link_timer_deinit(&dialer->retry);
	link_timer_deinit(&dialer->bulk_retry);
	handshake_wipe(&dialer->handshake);
	tls_config_unref(dialer->tls);
	free(dialer->address);
	free(dialer);
}
DEFINE_CLEANUP(struct link_dialer *, dialer_release)

static int copy_secrets(struct link_handshake *handshake, const struct link_dialer_config *config, struct error *error)
{
	if (config->join_secret_len > sizeof(handshake->join_secret))
		return error_set(error, -EINVAL, "the token's secret is too long");
	if (config->join_secret_len && !config->secret_key)
		return error_set(error, -EINVAL, "a key is needed to join");
	if (config->secret_key) {
		memcpy(handshake->secret_key, config->secret_key, LINK_SECRET_KEY_BYTES);
		crypto_sign_ed25519_sk_to_pk(handshake->claim.identity.key, config->secret_key);
		handshake->claim.identity.has_key = true;
	}
	if (config->join_secret_len)
		memcpy(handshake->join_secret, config->join_secret, config->join_secret_len);
	handshake->join_secret_len = config->join_secret_len;
	return 0;
}

static int prepare_handshake(struct link_handshake *handshake, const struct link_dialer_config *config, bool local,
	struct error *error)
{
	_cleanup_free_ void *der = NULL;
	size_t der_len;
	int r;

	link_claim_init(&handshake->claim);
	handshake->kind = MAESTRO__CONNECTION_KIND__CONNECTION_MAIN;
	handshake->claim.identity.role = config->role;
	handshake->claim.identity.incarnation = config->incarnation;
	id_random(&handshake->claim.identity.instance, sizeof(handshake->claim.identity.instance));
	handshake->claim.identity.local = local;
	snprintf(handshake->claim.name, sizeof(handshake->claim.name), "%s", config->name ? config->name : "");
	r = copy_secrets(handshake, config, error);
	if (r || local)
		return r;
	r = certificate_to_der(config->ca_pem, &der, &der_len, error);
	if (!r)
		id_sha256(der, der_len, handshake->ca_digest);
	return r;
}

static int open_transport(struct link_dialer *dialer, const struct link_dialer_config *config, bool local, struct error *error)
{
	if (local)
		return paths_check_socket(config->address + strlen("ipc://"), error);
	if (!str_starts(config->address, "tls+tcp://"))
		return error_set(error, LINK_E_ADDRESS, "'%s' is no address of a coordinator: write HOST:PORT or ipc:///PATH",
			config->address);
	if (!config->ca_pem || !config->secret_key)
		return error_set(error, -EINVAL, "%s: the coordinator's CA and a key are needed: join first", config->address);
	return tls_client(&dialer->tls, config->ca_pem, error);
}

int link_dialer_new(struct link_dialer **ret_dialer, struct link *link, const struct link_dialer_config *config,
	struct error *error)
{
	_cleanup_(dialer_release_p) struct link_dialer *dialer = calloc(1, sizeof(*dialer));
	bool local = str_starts(config->address, "ipc://");
	int r;

	if (!dialer)
		return -ENOMEM;
	*dialer = (struct link_dialer){ .link = link, .bulk = config->bulk, .once = config->once, .ops = config->ops,
		.userdata = config->userdata };
	dialer->retry.fire = on_retry;
	dialer->bulk_retry.fire = on_bulk_retry;
	list_init(&dialer->dials);
	dialer->address = strdup(config->address);
	if (!dialer->address)
		return -ENOMEM;
	r = open_transport(dialer, config, local, error);
	if (!r)
		r = prepare_handshake(&dialer->handshake, config, local, error);
	if (!r)
		r = link_dial_new(NULL, link, &dialer->dials, dialer->address, dialer->tls, &dialer->handshake, main_done,
			dialer, error);
	if (r)
		return r;
	link->owners++;
	*ret_dialer = take(dialer);
	return 0;
}

void link_dialer_free(struct link_dialer *dialer)
{
	link_dial_cancel_all(&dialer->dials);
	if (dialer->peer) {
		dialer->peer->gone = NULL;
		link_peer_close(dialer->peer, "closed here", 0);
	}
	dialer->link->owners--;
	dialer_release(dialer);
}
