/* What a connection promises once it is there: order, parts, caps, one end. */
#include "tests/unit/link/harness.h"
#include "proto/link/peer.h"
#include "proto/wire/limit.h"

#include <string.h>

static void long_message(struct harness *h, enum transport transport)
{
	const size_t len = 300 * 1024;

	harness_connect(h, transport, false);
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 1, len), 0);
	harness_wait(h, &h->server.messages, 1);
	assert_int_equal(h->server.last_text.len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(h->server.last_text.data[i], (uint8_t)(i * 31 + i / 251));
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 2, 100 * 1024), 0);
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 3, 5), 0);
	harness_wait(h, &h->server.messages, 3);
	assert_int_equal(h->server.last_request, 3);
	assert_false(h->server.out_of_order);
}

static void test_long_message_ipc(void **state)
{
	long_message(*state, OVER_IPC);
}

static void test_long_message_tls(void **state)
{
	long_message(*state, OVER_TLS);
}

static void test_too_long(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_IPC, false);
	assert_int_equal(harness_send(h->client.peer, CHANNEL_BULK, 1, LIMIT_MESSAGE_BYTES + 1), -EMSGSIZE);
	assert_int_equal(link_peer_queued_bytes(h->client.peer, CHANNEL_BULK), 0);
}

/* The reader stops, the queue fills to its cap, and `writable` comes once when there is room again. */
static void test_full_and_writable(void **state)
{
	struct harness *h = *state;
	unsigned int sent = 0;
	int r;

	harness_connect(h, OVER_IPC, false);
	link_peer_set_reading(h->server.peer, false);
	while ((r = harness_send(h->client.peer, CHANNEL_INTERACTIVE, sent + 1, 60000)) == 0)
		sent++;
	assert_int_equal(r, LINK_E_FULL);
	assert_in_range(link_peer_queued_bytes(h->client.peer, CHANNEL_INTERACTIVE), 4000000, 4 * 1024 * 1024);
	assert_int_equal(h->client.writable, 0);
	/* Another channel has room of its own. */
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 1, 100), 0);
	link_peer_set_reading(h->server.peer, true);
	harness_wait(h, &h->client.writable, 1);
	harness_wait(h, &h->server.messages, sent + 1);
	assert_int_equal(h->client.writable, 1);
	assert_int_equal(h->server.messages, sent + 1);
	assert_false(h->server.out_of_order);
}

/* Unacknowledged bytes stay under the limit, and keys pass what is held back. */
static void test_keys_overtake(void **state)
{
	struct harness *h = *state;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StreamInput input = MAESTRO__STREAM_INPUT__INIT;

	harness_connect(h, OVER_IPC, false);
	for (unsigned int i = 1; i <= 50; i++)
		assert_int_equal(harness_send(h->client.peer, CHANNEL_BULK, i, 30000), 0);
	input.stream = 1;
	input.has_data = true;
	input.data = (ProtobufCBinaryData){ 1, (uint8_t *)"x" };
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_INPUT;
	envelope.stream_input = &input;
	harness_until(h, h->server.messages >= 1);
	assert_in_range(h->client.peer->main.sent_bytes - h->client.peer->main.acknowledged_bytes, 0, LIMIT_UNACKED_BYTES);
	assert_int_equal(link_peer_send(h->client.peer, CHANNEL_INTERACTIVE, &envelope), 0);
	harness_wait(h, &h->server.channel_messages[CHANNEL_INTERACTIVE], 1);
	assert_in_range(h->server.channel_messages[CHANNEL_BULK], 1, 10);
	harness_wait(h, &h->server.channel_messages[CHANNEL_BULK], 50);
	assert_false(h->server.out_of_order);
}

/* Bulk moves to its own connection in the middle of a long transfer, and nothing overtakes. */
static void bulk_order(struct harness *h, enum transport transport)
{
	unsigned int i;

	harness_connect(h, transport, true);
	assert_null(h->client.peer->bulk.stream);
	for (i = 1; i <= 40; i++) {
		assert_int_equal(harness_send(h->client.peer, CHANNEL_BULK, i, i % 7 == 0 ? 200000 : 20000), 0);
		assert_int_equal(harness_send(h->server.peer, CHANNEL_BULK, i, 30000), 0);
	}
	harness_until(h, h->client.peer->bulk_ready && h->server.peer->bulk_ready);
	for (; i <= 60; i++) {
		assert_int_equal(harness_send(h->client.peer, CHANNEL_BULK, i, 20000), 0);
		assert_int_equal(harness_send(h->server.peer, CHANNEL_BULK, i, 20000), 0);
	}
	harness_wait(h, &h->server.channel_messages[CHANNEL_BULK], 60);
	harness_wait(h, &h->client.channel_messages[CHANNEL_BULK], 60);
	assert_false(h->server.out_of_order);
	assert_false(h->client.out_of_order);
	assert_true(h->client.peer->bulk.sent_bytes > 0);
	assert_int_equal(h->authenticated, 1);
}

static void test_bulk_ipc(void **state)
{
	bulk_order(*state, OVER_IPC);
}

static void test_bulk_tls(void **state)
{
	bulk_order(*state, OVER_TLS);
}

static void test_close_drains(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_TLS, true);
	harness_until(h, h->client.peer->bulk_ready && h->server.peer->bulk_ready);
	for (unsigned int i = 1; i <= 30; i++) {
		assert_int_equal(harness_send(h->server.peer, CHANNEL_CONTROL, i, 20000), 0);
		assert_int_equal(harness_send(h->server.peer, CHANNEL_BULK, i, 50000), 0);
	}
	link_peer_close(h->server.peer, "drained", 10000);
	assert_int_equal(harness_send(h->server.peer, CHANNEL_CONTROL, 31, 1), LINK_E_CLOSED);
	assert_int_equal(h->server.closed, 0);
	harness_wait(h, &h->server.closed, 1);
	assert_string_equal(h->server.why, "drained");
	harness_wait(h, &h->client.closed, 1);
	assert_int_equal(h->client.messages, 60);
	assert_int_equal(h->server.closed, 1);
}

static void test_close_at_once(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_IPC, false);
	link_peer_close(h->client.peer, "enough", 0);
	assert_int_equal(h->client.closed, 0);
	link_peer_close(h->client.peer, "twice", 0);
	harness_wait(h, &h->client.closed, 1);
	harness_wait(h, &h->server.closed, 1);
	assert_string_equal(h->client.why, "enough");
	assert_int_equal(h->client.closed, 1);
	assert_int_equal(h->server.closed, 1);
}

static void test_revoke(void **state)
{
	struct harness *h = *state;
	uint8_t other[LINK_KEY_BYTES] = { 0 };

	harness_connect(h, OVER_TLS, true);
	assert_int_equal(link_listener_close_key(h->listener, other, "revoked"), 0);
	assert_int_equal(link_listener_close_key(h->listener, h->key.public_key, "revoked"), 1);
	harness_wait(h, &h->server.closed, 1);
	harness_wait(h, &h->client.closed, 1);
}

static void test_dialer_free(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_IPC, true);
	link_dialer_free(h->dialer);
	h->dialer = NULL;
	assert_int_equal(h->client.closed, 0);
	harness_wait(h, &h->client.closed, 1);
	harness_wait(h, &h->server.closed, 1);
}

/* The listener goes away and comes back on the same address. */
static void redial(struct harness *h, enum transport transport)
{
	struct link_dialer_config config;
	char address[128];

	harness_listen(h, transport);
	config = harness_dialer_config(h);
	config.once = false;
	harness_dial(h, &config);
	harness_wait(h, &h->server.ready, 1);
	harness_wait(h, &h->client.ready, 1);
	strcpy(address, link_listener_address(h->listener));
	link_listener_free(h->listener);
	h->listener = NULL;
	link_peer_close(h->server.peer, "restart", 0);
	harness_wait(h, &h->client.closed, 1);
	harness_wait(h, &h->client.failed, 1);
	assert_in_range(h->client.retry_ms, 1, 30050);
	h->listener_config.address = address;
	harness_listen(h, transport);
	harness_wait(h, &h->client.ready, 2);
	harness_wait(h, &h->server.ready, 2);
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 1, 10), 0);
	harness_wait(h, &h->server.messages, 1);
}

static void test_redial_ipc(void **state)
{
	redial(*state, OVER_IPC);
}

static void test_redial_tls(void **state)
{
	redial(*state, OVER_TLS);
}

static void test_unknown_body(void **state)
{
	struct harness *h = *state;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	harness_connect(h, OVER_IPC, false);
	envelope.has_request = true;
	envelope.request = 9;
	assert_int_equal(link_peer_send(h->client.peer, CHANNEL_CONTROL, &envelope), 0);
	harness_wait(h, &h->client.messages, 1);
	assert_int_equal(h->client.last_failure, MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED);
	assert_int_equal(h->server.messages, 0);
}

/* A message of the link's own, where only the program's may stand, ends the connection. */
static void test_handshake_again(void **state)
{
	struct harness *h = *state;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__FetchCa fetch = MAESTRO__FETCH_CA__INIT;

	harness_connect(h, OVER_IPC, false);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_FETCH_CA;
	envelope.fetch_ca = &fetch;
	assert_int_equal(link_peer_send(h->client.peer, CHANNEL_CONTROL, &envelope), 0);
	harness_wait(h, &h->server.closed, 1);
	assert_int_equal(h->server.messages, 0);
	harness_wait(h, &h->client.closed, 1);
}

/* Idle: a ping after 10 s, an answer keeps it alive; silence of 30 s ends it; a suspend does not. */
static void test_keepalive(void **state)
{
	struct harness *h = *state;
	struct link_connection *main;
	uint64_t t;

	harness_connect(h, OVER_IPC, false);
	main = &h->client.peer->main;
	t = main->received_ms;
	assert_int_equal(link_peer_tick(h->client.peer, t + 5000), t + LIMIT_PING_MS);
	assert_false(main->ping_due);
	link_peer_tick(h->client.peer, t + LIMIT_PING_MS);
	assert_true(main->ping_due);
	harness_until(h, main->answered_value == main->ping_value);
	t = main->received_ms;
	main->pinged_ms = main->ticked_ms = t;
	link_peer_set_reading(h->client.peer, false);
	for (unsigned int i = 1; i <= 6; i++)
		link_peer_tick(h->client.peer, t + i * LIMIT_PING_MS);
	assert_int_equal(h->client.peer->state, LINK_PEER_OPEN); /* its own doing */
	link_peer_set_reading(h->client.peer, true);
	t = main->received_ms;
	main->ticked_ms = main->pinged_ms = t;
	link_peer_tick(h->client.peer, t + 3600000);
	assert_int_equal(h->client.peer->state, LINK_PEER_OPEN); /* slept for an hour */
	t += 3600000;
	link_peer_tick(h->client.peer, t + 10000);
	assert_int_equal(h->client.peer->state, LINK_PEER_OPEN);
	link_peer_tick(h->client.peer, t + 20000);
	assert_int_equal(h->client.peer->state, LINK_PEER_CLOSED);
	assert_int_equal(h->client.closed, 0);
	harness_wait(h, &h->client.closed, 1);
	assert_non_null(strstr(h->client.why, "30 s"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_long_message_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_long_message_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_too_long, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_full_and_writable, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_keys_overtake, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_bulk_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_bulk_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_close_drains, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_close_at_once, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_revoke, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_dialer_free, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_redial_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_redial_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_body, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_handshake_again, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_keepalive, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
