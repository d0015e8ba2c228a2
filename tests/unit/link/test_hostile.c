/* Strangers that mean no good: the listener stays, and nothing is left behind. */
#include "tests/unit/link/harness.h"
#include "proto/base/id.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void still_lets_in(struct harness *h)
{
	struct link_dialer_config config = harness_dialer_config(h);
	unsigned int ready = h->server.ready;

	harness_dial(h, &config);
	harness_wait(h, &h->client.ready, ready + 1);
	harness_wait(h, &h->server.ready, ready + 1);
	assert_int_equal(h->client.failed, 0);
}

static void leave(struct harness *h)
{
	unsigned int closed = h->server.closed;

	link_dialer_free(h->dialer);
	h->dialer = NULL;
	harness_wait(h, &h->server.closed, closed + 1);
	harness_wait(h, &h->client.closed, closed + 1);
}

/* Bursts that fit into the kernel's backlog (a full one delays a TCP connect by a second), each followed by a peer that
 * means well: it comes after them in the queue, so they have all been accepted when it is in. */
static void storm(struct harness *h, enum transport transport, bool reset)
{
	struct linger linger = { 1, 0 };
	unsigned int before = 0;

	h->listener_config.max_unauthenticated_per_address = 1000; /* the cap has a test of its own */
	harness_listen(h, transport);
	for (unsigned int burst = 0; burst < 5; burst++) {
		for (unsigned int i = 0; i < 50; i++) {
			int fd = harness_raw_connect(h);

			if (reset)
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
			close(fd);
		}
		still_lets_in(h);
		if (!before)
			before = harness_open_files();
		if (burst < 4)
			leave(h);
	}
	/* nng closes descriptors on a thread of its own. */
	for (unsigned int i = 1; harness_open_files() > before; i++) {
		assert_in_range(i, 1, 5000);
		assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, i, 1), 0);
		harness_wait(h, &h->server.messages, i);
	}
}

static void test_storm_ipc(void **state)
{
	storm(*state, OVER_IPC, false);
}

static void test_storm_tls(void **state)
{
	storm(*state, OVER_TLS, false);
}

static void test_storm_reset(void **state)
{
	storm(*state, OVER_TLS, true);
}

static void test_oversized(void **state)
{
	struct harness *h = *state;
	uint8_t header[FRAME_HEADER_BYTES];
	int fd;

	harness_listen(h, OVER_IPC);
	fd = harness_raw_connect(h);
	frame_put_header(header, CHANNEL_CONTROL, LIMIT_FRAME_HANDSHAKE_BYTES + 1);
	assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
	harness_wait_eof(h, fd, NULL);
	still_lets_in(h);
}

static void test_unknown_channel(void **state)
{
	struct harness *h = *state;
	uint8_t header[FRAME_HEADER_BYTES] = { 0, 0, 0, 1, CHANNEL_COUNT };
	int fd;

	harness_listen(h, OVER_IPC);
	fd = harness_raw_connect(h);
	assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
	harness_wait_eof(h, fd, NULL);
	still_lets_in(h);
}

static void random_bytes(struct harness *h, enum transport transport)
{
	harness_listen(h, transport);
	for (unsigned int i = 0; i < 30; i++) {
		uint8_t noise[700];
		int fd = harness_raw_connect(h);

		id_random(noise, sizeof(noise));
		if (i % 2)
			frame_put_header(noise, CHANNEL_CONTROL, 100 + i);
		assert_true(send(fd, noise, sizeof(noise), MSG_NOSIGNAL) > 0);
		if (i % 3 == 0)
			shutdown(fd, SHUT_WR);
		else if (transport == OVER_IPC && i % 2)
			; /* a frame that is no message */
		else
			shutdown(fd, SHUT_WR);
		harness_wait_eof(h, fd, NULL);
	}
	still_lets_in(h);
}

static void test_random_ipc(void **state)
{
	random_bytes(*state, OVER_IPC);
}

static void test_random_tls(void **state)
{
	random_bytes(*state, OVER_TLS);
}

/* Speaks one message, and gives back the answer. */
static void say(struct harness *h, const Maestro__Envelope *envelope, struct message *ret_answer)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL, in = BUF_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	uint8_t header[FRAME_HEADER_BYTES];
	enum channel channel;
	uint32_t len;
	int fd = harness_raw_connect(h);

	frame_put_header(header, CHANNEL_CONTROL, (uint32_t)protobuf_c_message_get_packed_size(&envelope->base));
	buf_append(&out, header, sizeof(header));
	assert_int_equal(message_pack(envelope, &out), 0);
	/* Without a half close: its arrival could overtake the answer. The listener closes when it has waited for ours. */
	assert_int_equal(write(fd, out.data, out.len), (ssize_t)out.len);
	harness_wait_eof(h, fd, &in);
	assert_int_equal(frame_get_header(in.data, in.len, LIMIT_FRAME_BYTES, &channel, &len), 0);
	assert_int_equal(in.len, FRAME_HEADER_BYTES + len);
	assert_int_equal(message_unpack(&maestro__envelope__descriptor, in.data + FRAME_HEADER_BYTES, len, ret_answer, &error), 0);
}

static void test_version(void **state)
{
	struct harness *h = *state;
	_cleanup_(message_deinit) struct message answer = MESSAGE_NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Hello hello = MAESTRO__HELLO__INIT;
	const Maestro__Envelope *got;
	uint8_t nonce[32] = { 1 };

	harness_listen(h, OVER_IPC);
	hello.version_min = PROTOCOL_VERSION_MAX + 1;
	hello.version_max = PROTOCOL_VERSION_MAX + 2;
	hello.role = MAESTRO__ROLE__ROLE_VIEWER;
	hello.nonce = (ProtobufCBinaryData){ sizeof(nonce), nonce };
	hello.kind = MAESTRO__CONNECTION_KIND__CONNECTION_MAIN;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_HELLO;
	envelope.hello = &hello;
	say(h, &envelope, &answer);
	got = (const Maestro__Envelope *)answer.base;
	assert_int_equal(got->body_case, MAESTRO__ENVELOPE__BODY_REFUSED);
	assert_int_equal(got->refused->code, MAESTRO__REFUSED_CODE__REFUSED_VERSION);
	assert_true(got->refused->has_why);
	assert_int_equal(h->authenticated, 0);
}

static void test_out_of_turn(void **state)
{
	struct harness *h = *state;
	_cleanup_(message_deinit) struct message answer = MESSAGE_NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Proof proof = MAESTRO__PROOF__INIT;
	const Maestro__Envelope *got;

	harness_listen(h, OVER_IPC);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_PROOF;
	envelope.proof = &proof;
	say(h, &envelope, &answer);
	got = (const Maestro__Envelope *)answer.base;
	assert_int_equal(got->body_case, MAESTRO__ENVELOPE__BODY_REFUSED);
	assert_int_equal(got->refused->code, MAESTRO__REFUSED_CODE__REFUSED_PROTOCOL);
	assert_int_equal(h->authenticated, 0);
}

/* Many of one address that say nothing: the next are turned away at once, and leaving makes room. */
static void test_silent(void **state)
{
	struct harness *h = *state;
	int fds[8];

	h->listener_config.max_unauthenticated_per_address = 8;
	harness_listen(h, OVER_TLS);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = harness_raw_connect(h);
	harness_wait_eof(h, harness_raw_connect(h), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		shutdown(fds[i], SHUT_WR);
		harness_wait_eof(h, fds[i], NULL);
	}
	still_lets_in(h);
}

/* A peer whose process is killed: its end is told once. */
static void test_killed(void **state)
{
	struct harness *h = *state;
	pid_t pid;
	int status;

	harness_listen(h, OVER_IPC);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(LINK_CLIENT, LINK_CLIENT, link_listener_address(h->listener), NULL);
		_exit(127);
	}
	harness_wait(h, &h->server.messages, 1); /* it is there, and says so */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	harness_wait(h, &h->server.closed, 1);
	assert_int_equal(h->server.closed, 1);
	assert_int_equal(h->server.ready, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_storm_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_storm_reset, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_oversized, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_channel, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_random_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_random_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_version, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_out_of_turn, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_silent, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_killed, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
