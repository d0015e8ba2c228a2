#include "tests/unit/link/harness.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/wire/message.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct side *side = userdata;

	assert_ptr_equal(side->peer, peer);
	side->messages++;
	side->channel_messages[channel]++;
	side->last_body = envelope->body_case;
	if (envelope->has_request) {
		if (envelope->request <= side->channel_request[channel])
			side->out_of_order = true;
		side->channel_request[channel] = side->last_request = envelope->request;
	}
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_FAILURE)
		side->last_failure = (int)envelope->failure->code;
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_DONE && envelope->done->has_text) {
		buf_clear(&side->last_text);
		buf_append(&side->last_text, envelope->done->text.data, envelope->done->text.len);
	}
	if (side->echo)
		link_peer_send(peer, channel, envelope);
}

static void on_writable(struct link_peer *peer, enum channel channel, void *userdata)
{
	((struct side *)userdata)->writable++;
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct side *side = userdata;

	side->closed++;
	side->peer = NULL;
	snprintf(side->why, sizeof(side->why), "%s", why);
}

static const struct link_peer_ops peer_ops = {
	.message = on_message,
	.writable = on_writable,
	.closed = on_closed,
};

static void take_peer(struct side *side, struct link_peer *peer)
{
	side->peer = peer;
	side->ready++;
	side->identity = *link_peer_identity(peer);
	snprintf(side->name, sizeof(side->name), "%s", side->identity.name);
	link_peer_set_ops(peer, &peer_ops, side);
}

static int on_authenticate(const struct link_identity *claim, struct link_grant *ret_grant, struct error *error, void *userdata)
{
	struct harness *h = userdata;

	h->authenticated++;
	if (h->refuse_code)
		return error_set(error, h->refuse_code, "this key is not known here");
	if (claim->has_key && memcmp(claim->key, h->key.public_key, LINK_KEY_BYTES) != 0)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "another key");
	*ret_grant = (struct link_grant){ claim->role, 7, 5000 };
	return 0;
}

static int on_enroll(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *ret_grant,
	struct error *error, void *userdata)
{
	struct harness *h = userdata;

	if (!h->token || len != strlen(h->token) || memcmp(secret, h->token, len) != 0)
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "this token has expired");
	h->enrolled++;
	*ret_grant = (struct link_grant){ claim->role, 7, 5000 };
	return 0;
}

static void on_accepted(struct link_peer *peer, void *userdata)
{
	take_peer(&((struct harness *)userdata)->server, peer);
}

static const struct link_listener_ops listener_ops = {
	.authenticate = on_authenticate,
	.enroll = on_enroll,
	.accepted = on_accepted,
};

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct harness *h = userdata;

	h->client.welcome = *welcome;
	take_peer(&h->client, peer);
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct harness *h = userdata;

	h->client.failed++;
	h->client.code = code;
	h->client.retry_ms = retry_ms;
	log_info(&h->log, "client: %s", why);
	snprintf(h->client.why, sizeof(h->client.why), "%s", why);
}

static const struct link_dialer_ops dialer_ops = {
	.connected = on_connected,
	.failed = on_failed,
};

int harness_setup(void **state)
{
	struct harness *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	assert_int_equal(id_init(), 0);
	strcpy(h->dir, "/tmp/maestro-link-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->ipc_url, sizeof(h->ipc_url), "ipc://%s/s", h->dir);
	assert_true(sd_event_new(&h->event) >= 0);
	log_init(&h->log, "test", 2, getenv("MAESTRO_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	assert_int_equal(link_new(&h->link, h->event, &h->log), 0);
	key_generate(&h->key);
	*state = h;
	return 0;
}

int harness_teardown(void **state)
{
	struct harness *h = *state;

	if (h->dialer)
		link_dialer_free(h->dialer);
	if (h->listener)
		link_listener_free(h->listener);
	link_free(h->link);
	sd_event_unref(h->event);
	buf_deinit(&h->server.last_text);
	buf_deinit(&h->client.last_text);
	free(h->ca_pem);
	free(h->ca_key_pem);
	free(h->server_pem);
	free(h->server_key_pem);
	free(h->ca_der);
	assert_int_equal(io_remove_tree(h->dir), 0);
	free(h);
	return 0;
}

static void make_certificates(struct harness *h)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	if (h->ca_pem)
		return;
	assert_int_equal(certificate_make(&h->ca_pem, &h->ca_key_pem, &h->server_pem, &h->server_key_pem, &error), 0);
	assert_int_equal(certificate_to_der(h->ca_pem, &h->ca_der, &h->ca_der_len, &error), 0);
	id_sha256(h->ca_der, h->ca_der_len, h->ca_digest);
}

void harness_listen(struct harness *h, enum transport transport)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_listener_config *config = &h->listener_config;
	int r;

	if (!config->address)
		config->address = transport == OVER_IPC ? h->ipc_url : "tls+tcp://127.0.0.1:0";
	config->ops = &listener_ops;
	config->userdata = h;
	memset(config->cluster_id, 0x5a, sizeof(config->cluster_id));
	if (transport == OVER_TLS) {
		make_certificates(h);
		config->certificate_pem = h->server_pem;
		config->private_key_pem = h->server_key_pem;
		config->ca_der = h->ca_der;
		config->ca_der_len = h->ca_der_len;
	}
	r = link_listener_new(&h->listener, h->link, config, &error);
	if (r)
		fail_msg("listen: %s", error_text(&error, r));
}

struct link_dialer_config harness_dialer_config(struct harness *h)
{
	return (struct link_dialer_config){
		.address = link_listener_address(h->listener),
		.ca_pem = h->ca_pem,
		.secret_key = h->key.secret_key,
		.role = MAESTRO__ROLE__ROLE_WORKER,
		.name = "build-1",
		.incarnation = 3,
		.once = true,
		.ops = &dialer_ops,
		.userdata = h,
	};
}

void harness_dial(struct harness *h, const struct link_dialer_config *config)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	r = link_dialer_new(&h->dialer, h->link, config, &error);
	if (r)
		fail_msg("dial: %s", error_text(&error, r));
}

void harness_connect(struct harness *h, enum transport transport, bool bulk)
{
	struct link_dialer_config config;

	harness_listen(h, transport);
	config = harness_dialer_config(h);
	config.bulk = bulk;
	harness_dial(h, &config);
	harness_wait(h, &h->client.ready, 1);
	harness_wait(h, &h->server.ready, 1);
}

void harness_step(struct harness *h)
{
	int r = sd_event_run(h->event, 20 * 1000 * 1000);

	assert_true(r >= 0);
	if (r == 0)
		fail_msg("nothing happened for 20 s (client: %s; server: %s)", h->client.why, h->server.why);
}

void harness_wait(struct harness *h, const unsigned int *counter, unsigned int value)
{
	harness_until(h, *counter >= value);
}

int harness_send(struct link_peer *peer, enum channel channel, uint64_t request, size_t text_bytes)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;
	_cleanup_free_ uint8_t *text = malloc(text_bytes + 1);

	for (size_t i = 0; i < text_bytes; i++)
		text[i] = (uint8_t)(i * 31 + i / 251);
	envelope.has_request = true;
	envelope.request = request;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_DONE;
	envelope.done = &done;
	done.has_text = true;
	done.text = (ProtobufCBinaryData){ text_bytes, text };
	return link_peer_send(peer, channel, &envelope);
}

unsigned int harness_open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int harness_raw_connect(struct harness *h)
{
	const char *address = link_listener_address(h->listener);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd;

	if (strncmp(address, "ipc://", 6) == 0) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 6);
		/* Not blocking: with the backlog full it would wait for the loop, which is this thread. */
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		while (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
			assert_int_equal(errno, EAGAIN);
			harness_step(h);
		}
		assert_int_equal(io_set_nonblock(fd, false), 0);
		return fd;
	}
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

struct reader {
	struct buf *out;
	unsigned int ended;
};

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct reader *reader = userdata;
	uint8_t data[4096];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0 && reader->out)
		buf_append(reader->out, data, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		reader->ended++;
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	return 0;
}

void harness_wait_eof(struct harness *h, int fd, struct buf *out)
{
	struct reader reader = { .out = out };
	sd_event_source *source = NULL;

	assert_true(sd_event_add_io(h->event, &source, fd, EPOLLIN, on_readable, &reader) >= 0);
	harness_wait(h, &reader.ended, 1);
	sd_event_source_disable_unref(source);
	close(fd);
}
