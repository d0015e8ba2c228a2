/* Who is let in, over both transports, and what the others are told. */
#include "tests/unit/link/harness.h"

#include <string.h>

static void check_both(struct harness *h)
{
	assert_string_equal(h->server.name, "build-1");
	assert_int_equal(h->server.identity.role, MAESTRO__ROLE__ROLE_WORKER);
	assert_int_equal(h->server.identity.incarnation, 3);
	assert_true(h->server.identity.has_key);
	assert_memory_equal(h->server.identity.key, h->key.public_key, LINK_KEY_BYTES);
	assert_int_equal(h->client.welcome.epoch, 7);
	assert_int_equal(h->client.welcome.heartbeat_ms, 5000);
	assert_int_equal(h->client.welcome.role, MAESTRO__ROLE__ROLE_WORKER);
	assert_int_equal(h->client.welcome.cluster_id[3], 0x5a);
	assert_int_equal(h->authenticated, 1);
	assert_int_equal(harness_send(h->client.peer, CHANNEL_CONTROL, 1, 10), 0);
	harness_wait(h, &h->server.messages, 1);
	assert_int_equal(harness_send(h->server.peer, CHANNEL_INTERACTIVE, 1, 10), 0);
	harness_wait(h, &h->client.messages, 1);
}

static void test_ipc(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_IPC, false);
	assert_true(h->server.identity.local);
	assert_int_equal(h->server.identity.peer_uid, geteuid());
	check_both(h);
}

static void test_tls(void **state)
{
	struct harness *h = *state;

	harness_connect(h, OVER_TLS, false);
	assert_false(h->server.identity.local);
	check_both(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_tls, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
