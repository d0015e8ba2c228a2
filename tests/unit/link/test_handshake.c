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

static void expect_failure(struct harness *h, const struct link_dialer_config *config, int code, const char *word)
{
	harness_dial(h, config);
	harness_wait(h, &h->client.failed, 1);
	assert_int_equal(h->client.code, code);
	if (!strstr(h->client.why, word))
		fail_msg("'%s' does not say '%s'", h->client.why, word);
	assert_int_equal(h->client.retry_ms, 0);
	assert_int_equal(h->client.ready, 0);
	assert_int_equal(h->server.ready, 0);
}

/* The right public key is of no use without its secret: what is signed is checked before anybody is asked. */
static void test_unknown_key(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;
	struct key other;

	key_generate(&other);
	harness_listen(h, OVER_TLS);
	config = harness_dialer_config(h);
	config.secret_key = other.secret_key;
	expect_failure(h, &config, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "another key");
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	h->refuse_code = MAESTRO__REFUSED_CODE__REFUSED_IDENTITY;
	harness_listen(h, OVER_TLS);
	config = harness_dialer_config(h);
	expect_failure(h, &config, MAESTRO__REFUSED_CODE__REFUSED_IDENTITY, "not known here");
}

static void test_bad_worker_name(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	harness_listen(h, OVER_IPC);
	config = harness_dialer_config(h);
	config.name = "../etc";
	expect_failure(h, &config, MAESTRO__REFUSED_CODE__REFUSED_NAME, "name");
	assert_int_equal(h->authenticated, 0);
}

static void test_keyless_over_ipc(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	harness_listen(h, OVER_IPC);
	config = harness_dialer_config(h);
	config.secret_key = NULL;
	config.role = MAESTRO__ROLE__ROLE_OPERATOR;
	config.name = "ann@desk";
	harness_dial(h, &config);
	harness_wait(h, &h->server.ready, 1);
	assert_false(h->server.identity.has_key);
	assert_int_equal(h->server.identity.role, MAESTRO__ROLE__ROLE_OPERATOR);
	assert_string_equal(h->server.name, "ann@desk");
}

static void test_other_ca(void **state)
{
	struct harness *h = *state;
	_cleanup_free_ char *ca = NULL, *ca_key = NULL, *server = NULL, *server_key = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_dialer_config config;

	assert_int_equal(certificate_make(&ca, &ca_key, &server, &server_key, &error), 0);
	harness_listen(h, OVER_TLS);
	config = harness_dialer_config(h);
	config.ca_pem = ca;
	expect_failure(h, &config, 0, "pinned CA");
	assert_int_equal(h->authenticated, 0);
}

static void test_nobody_there(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	harness_listen(h, OVER_IPC);
	config = harness_dialer_config(h);
	config.address = "ipc:///nonexistent/maestro/socket";
	expect_failure(h, &config, 0, "listens");
}

static void test_enroll(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	h->token = "sixteen bytes or more";
	harness_listen(h, OVER_TLS);
	config = harness_dialer_config(h);
	config.join_secret = h->token;
	config.join_secret_len = strlen(h->token);
	harness_dial(h, &config);
	harness_wait(h, &h->server.ready, 1);
	harness_wait(h, &h->client.ready, 1);
	assert_int_equal(h->enrolled, 1);
	assert_int_equal(h->authenticated, 0);
}

static void test_expired_token(void **state)
{
	struct harness *h = *state;
	struct link_dialer_config config;

	h->token = "sixteen bytes or more";
	harness_listen(h, OVER_TLS);
	config = harness_dialer_config(h);
	config.join_secret = "some other secret";
	config.join_secret_len = strlen(config.join_secret);
	expect_failure(h, &config, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "expired");
	assert_int_equal(h->enrolled, 0);
}

struct fetched {
	unsigned int count;
	int r;
	char *pem;
	char why[256];
};

static void on_fetched(int r, const char *ca_pem, const char *why, void *userdata)
{
	struct fetched *fetched = userdata;

	fetched->count++;
	fetched->r = r;
	fetched->pem = ca_pem ? strdup(ca_pem) : NULL;
	strncpy(fetched->why, why ? why : "", sizeof(fetched->why) - 1);
}

static void test_fetch_ca(void **state)
{
	struct harness *h = *state;
	struct fetched fetched = { 0 };

	harness_listen(h, OVER_TLS);
	assert_int_equal(link_fetch_ca(h->link, link_listener_address(h->listener), h->ca_digest, on_fetched, &fetched, NULL), 0);
	harness_wait(h, &fetched.count, 1);
	assert_int_equal(fetched.r, 0);
	assert_string_equal(fetched.pem, h->ca_pem);
	free(fetched.pem);
}

static void test_fetch_ca_of_another(void **state)
{
	struct harness *h = *state;
	struct fetched fetched = { 0 };

	harness_listen(h, OVER_TLS);
	h->ca_digest[0] ^= 1;
	assert_int_equal(link_fetch_ca(h->link, link_listener_address(h->listener), h->ca_digest, on_fetched, &fetched, NULL), 0);
	harness_wait(h, &fetched.count, 1);
	assert_int_equal(fetched.r, -EPERM);
	assert_null(fetched.pem);
	assert_non_null(strstr(fetched.why, "digest"));
}

/* A fetch that nobody answered is given up with the link, without a callback and without a leak. */
static void test_fetch_ca_abandoned(void **state)
{
	struct harness *h = *state;
	struct fetched fetched = { 0 };

	harness_listen(h, OVER_TLS);
	assert_int_equal(link_fetch_ca(h->link, link_listener_address(h->listener), h->ca_digest, on_fetched, &fetched, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_tls, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_key, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_refused, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_bad_worker_name, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_keyless_over_ipc, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_other_ca, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_enroll, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_expired_token, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_fetch_ca, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_fetch_ca_of_another, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_fetch_ca_abandoned, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
