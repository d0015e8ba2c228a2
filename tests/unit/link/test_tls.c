/* TLS sessions against each other, in memory: no network decides here what arrives when. */
#include "tests/unit/link/harness.h"
#include "proto/link/keys.h"
#include "proto/link/tls.h"

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <sodium.h>
#include <string.h>

#define BULK_BYTES 200000u

struct pems {
	char *ca, *ca_key, *server, *server_key;
};

struct pair {
	struct tls_config *server_config, *client_config;
	struct tls_session *server, *client;
	const char *server_why, *client_why; /* once it is over */
	struct buf got;                      /* by the server */
};

static int make_pems(void **state)
{
	struct pems *pems = calloc(1, sizeof(*pems));

	*state = pems;
	return certificate_make(&pems->ca, &pems->ca_key, &pems->server, &pems->server_key, NULL);
}

static int free_pems(void **state)
{
	struct pems *pems = *state;

	free(pems->ca);
	free(pems->ca_key);
	free(pems->server);
	free(pems->server_key);
	free(pems);
	return 0;
}

static void pair_open(struct pair *pair, const char *ca, const char *certificate, const char *key)
{
	*pair = (struct pair){ .got = BUF_NULL };
	assert_int_equal(tls_server(&pair->server_config, certificate, key, NULL), 0);
	assert_int_equal(tls_client(&pair->client_config, ca, NULL), 0);
	assert_int_equal(tls_session_new(&pair->server, pair->server_config), 0);
	assert_int_equal(tls_session_new(&pair->client, pair->client_config), 0);
}

static void pair_close(struct pair *pair)
{
	tls_session_free(pair->server);
	tls_session_free(pair->client);
	tls_config_unref(pair->server_config);
	tls_config_unref(pair->client_config);
	buf_deinit(&pair->got);
}

static void read_all(struct tls_session *session, struct buf *got, const char **ret_why)
{
	uint8_t data[3000];
	ssize_t n;

	while (!*ret_why && (n = tls_session_read(session, data, sizeof(data), ret_why)) > 0)
		assert_int_equal(buf_append(got, data, (size_t)n), 0);
}

/* Moves what one has to send to the other, at most `piece` bytes at a time. Returns how many there were. */
static size_t carry(struct tls_session *from, struct tls_session *to, size_t piece, struct buf *got, const char **ret_why)
{
	struct buf *out = tls_session_output(from);
	size_t carried = out->len;

	while (out->len) {
		size_t room, len = out->len < piece ? out->len : piece;
		uint8_t *space = tls_session_space(to, &room);

		len = len < room ? len : room;
		memcpy(space, out->data, len);
		buf_consume(out, len);
		tls_session_received(to, len);
		read_all(to, got, ret_why);
	}
	return carried;
}

static void shake(struct pair *pair, size_t piece)
{
	_cleanup_(buf_deinit) struct buf none = BUF_NULL;

	read_all(pair->client, &none, &pair->client_why);
	while (carry(pair->client, pair->server, piece, &none, &pair->server_why) +
		carry(pair->server, pair->client, piece, &none, &pair->client_why) > 0)
		continue;
	assert_int_equal(none.len, 0);
}

static void transfer(const struct pems *pems, size_t piece)
{
	uint8_t *data = calloc(1, BULK_BYTES);
	struct pair pair;

	for (size_t i = 0; i < BULK_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	pair_open(&pair, pems->ca, pems->server, pems->server_key);
	shake(&pair, piece);
	assert_null(pair.client_why);
	assert_null(pair.server_why);
	assert_true(tls_session_ready(pair.client) && tls_session_ready(pair.server));
	assert_int_equal(tls_session_write(pair.client, data, BULK_BYTES), 0);
	carry(pair.client, pair.server, piece, &pair.got, &pair.server_why);
	assert_null(pair.server_why);
	assert_int_equal(pair.got.len, BULK_BYTES);
	assert_memory_equal(pair.got.data, data, BULK_BYTES);
	free(data);
	pair_close(&pair);
}

static void test_transfer(void **state)
{
	transfer(*state, SIZE_MAX);
}

static void test_pieces(void **state)
{
	transfer(*state, 1);
}

static void refused(const char *ca, const char *certificate, const char *key)
{
	struct pair pair;

	pair_open(&pair, ca, certificate, key);
	shake(&pair, SIZE_MAX);
	assert_non_null(pair.client_why);
	assert_non_null(strstr(pair.client_why, "pinned CA"));
	assert_false(tls_session_ready(pair.client));
	pair_close(&pair);
}

static void test_another_ca(void **state)
{
	const struct pems *pems = *state;
	struct pems *other;

	assert_int_equal(make_pems((void **)&other), 0);
	refused(other->ca, pems->server, pems->server_key);
	free_pems((void **)&other);
}

static int random_bytes(void *userdata, unsigned char *data, size_t len)
{
	randombytes_buf(data, len);
	return 0;
}

/* For the server's key, by the same CA, but of another name. */
static void sign_as(const struct pems *pems, const char *subject, char *ret_pem, size_t size)
{
	mbedtls_x509write_cert certificate;
	mbedtls_pk_context ca, server;
	mbedtls_mpi serial;

	mbedtls_pk_init(&ca);
	mbedtls_pk_init(&server);
	mbedtls_mpi_init(&serial);
	mbedtls_x509write_crt_init(&certificate);
	assert_int_equal(mbedtls_pk_parse_key(&ca, (uint8_t *)pems->ca_key, strlen(pems->ca_key) + 1, NULL, 0), 0);
	assert_int_equal(mbedtls_pk_parse_key(&server, (uint8_t *)pems->server_key, strlen(pems->server_key) + 1, NULL, 0), 0);
	assert_int_equal(mbedtls_mpi_lset(&serial, 7), 0);
	assert_int_equal(mbedtls_x509write_crt_set_serial(&certificate, &serial), 0);
	mbedtls_x509write_crt_set_md_alg(&certificate, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&certificate, &server);
	mbedtls_x509write_crt_set_issuer_key(&certificate, &ca);
	assert_int_equal(mbedtls_x509write_crt_set_subject_name(&certificate, subject), 0);
	assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&certificate, "CN=Maestro CA"), 0);
	assert_int_equal(mbedtls_x509write_crt_set_validity(&certificate, "20200101000000", "20990101000000"), 0);
	assert_int_equal(mbedtls_x509write_crt_pem(&certificate, (uint8_t *)ret_pem, size, random_bytes, NULL), 0);
	mbedtls_x509write_crt_free(&certificate);
	mbedtls_mpi_free(&serial);
	mbedtls_pk_free(&server);
	mbedtls_pk_free(&ca);
}

/* Seen to fail without the host name in tls.c. */
static void test_another_name(void **state)
{
	const struct pems *pems = *state;
	char pem[4096];
	struct pair pair;

	sign_as(pems, "CN=maestro-coordinator", pem, sizeof(pem));
	pair_open(&pair, pems->ca, pem, pems->server_key);
	shake(&pair, SIZE_MAX);
	assert_null(pair.client_why);
	pair_close(&pair);
	sign_as(pems, "CN=somebody-else", pem, sizeof(pem));
	refused(pems->ca, pem, pems->server_key);
}

/* One bit of a record is another: nothing of it is given out, and the connection is over. */
static void test_flipped(void **state)
{
	const struct pems *pems = *state;
	struct pair pair;
	struct buf *out;

	pair_open(&pair, pems->ca, pems->server, pems->server_key);
	shake(&pair, SIZE_MAX);
	assert_int_equal(tls_session_write(pair.client, "attack at dawn", 14), 0);
	out = tls_session_output(pair.client);
	out->data[out->len - 20] ^= 1;
	carry(pair.client, pair.server, SIZE_MAX, &pair.got, &pair.server_why);
	assert_int_equal(pair.got.len, 0);
	assert_non_null(pair.server_why);
	pair_close(&pair);
}

static void test_no_tls(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: build.example\r\n\r\n";
	const struct pems *pems = *state;
	struct pair pair;
	size_t room;

	pair_open(&pair, pems->ca, pems->server, pems->server_key);
	memcpy(tls_session_space(pair.server, &room), text, sizeof(text));
	tls_session_received(pair.server, sizeof(text));
	read_all(pair.server, &pair.got, &pair.server_why);
	assert_int_equal(pair.got.len, 0);
	assert_non_null(pair.server_why);
	pair_close(&pair);
}

static void test_bad_pem(void **state)
{
	const struct pems *pems = *state;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct tls_config *config;

	assert_int_equal(tls_client(&config, "no certificate", &error), -EINVAL);
	assert_non_null(strstr(error_text(&error, -EINVAL), "CA certificate"));
	/* The key of another certificate. */
	assert_int_equal(tls_server(&config, pems->server, pems->ca_key, &error), -EINVAL);
	assert_non_null(strstr(error_text(&error, -EINVAL), "private key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_another_ca),
		cmocka_unit_test(test_another_name),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_bad_pem),
	};

	return cmocka_run_group_tests_name("tls", tests, make_pems, free_pems);
}
