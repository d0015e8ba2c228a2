/* See tls.h. */
#include "proto/link/tls.h"
#include "proto/wire/limit.h"

#include <mbedtls/ssl.h>
#include <sodium.h>
#include <string.h>

#define RECEIVE_BYTES (16u * 1024)

struct tls_config {
	size_t references;
	mbedtls_ssl_config ssl;
	mbedtls_x509_crt certificates; /* a server's own, or the CA that a client trusts */
	mbedtls_pk_context key;
};

struct tls_session {
	struct tls_config *config;
	mbedtls_ssl_context ssl;
	uint8_t in[RECEIVE_BYTES];
	size_t in_len, in_read;
	struct buf out;
};

/* Forward secret, authenticated, and in hardware where the processor can. */
static const int ciphersuites[] = {
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	0,
};

static int random_bytes(void *userdata, unsigned char *data, size_t len)
{
	randombytes_buf(data, len);
	return 0;
}

static int config_new(struct tls_config **ret_config, int endpoint)
{
	struct tls_config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	config->references = 1;
	mbedtls_ssl_config_init(&config->ssl);
	mbedtls_x509_crt_init(&config->certificates);
	mbedtls_pk_init(&config->key);
	*ret_config = config;
	if (mbedtls_ssl_config_defaults(&config->ssl, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT))
		return -ENOMEM;
	mbedtls_ssl_conf_min_version(&config->ssl, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
	mbedtls_ssl_conf_max_version(&config->ssl, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
	mbedtls_ssl_conf_ciphersuites(&config->ssl, ciphersuites);
	mbedtls_ssl_conf_renegotiation(&config->ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
	mbedtls_ssl_conf_rng(&config->ssl, random_bytes, NULL);
	return 0;
}

struct tls_config *tls_config_ref(struct tls_config *config)
{
	if (config)
		config->references++;
	return config;
}

void tls_config_unref(struct tls_config *config)
{
	if (!config || --config->references)
		return;
	mbedtls_pk_free(&config->key);
	mbedtls_x509_crt_free(&config->certificates);
	mbedtls_ssl_config_free(&config->ssl);
	free(config);
}
DEFINE_CLEANUP(struct tls_config *, tls_config_unref)

static int parse(mbedtls_x509_crt *certificates, const char *pem, const char *what, struct error *error)
{
	int rv = mbedtls_x509_crt_parse(certificates, (const unsigned char *)pem, strlen(pem) + 1);

	return rv ? error_set(error, -EINVAL, "%s cannot be used for TLS (mbedTLS -0x%04x)", what, (unsigned int)-rv) : 0;
}

int tls_server(struct tls_config **ret_config, const char *certificate_pem, const char *private_key_pem,
	struct error *error)
{
	_cleanup_(tls_config_unref_p) struct tls_config *config = NULL;
	int r, rv;

	r = config_new(&config, MBEDTLS_SSL_IS_SERVER);
	if (!r)
		r = parse(&config->certificates, certificate_pem, "the server certificate", error);
	if (r)
		return r;
	rv = mbedtls_pk_parse_key(&config->key, (const unsigned char *)private_key_pem, strlen(private_key_pem) + 1, NULL, 0);
	if (!rv)
		rv = mbedtls_pk_check_pair(&config->certificates.pk, &config->key);
	if (!rv)
		rv = mbedtls_ssl_conf_own_cert(&config->ssl, &config->certificates, &config->key);
	if (rv)
		return error_set(error, -EINVAL, "the server's private key cannot be used for TLS (mbedTLS -0x%04x)",
			(unsigned int)-rv);
	*ret_config = take(config);
	return 0;
}

int tls_client(struct tls_config **ret_config, const char *ca_pem, struct error *error)
{
	_cleanup_(tls_config_unref_p) struct tls_config *config = NULL;
	int r;

	r = config_new(&config, MBEDTLS_SSL_IS_CLIENT);
	if (!r && ca_pem)
		r = parse(&config->certificates, ca_pem, "the CA certificate", error);
	if (r)
		return r;
	mbedtls_ssl_conf_authmode(&config->ssl, ca_pem ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
	if (ca_pem)
		mbedtls_ssl_conf_ca_chain(&config->ssl, &config->certificates, NULL);
	*ret_config = take(config);
	return 0;
}

/* --- a session ----------------------------------------------------------------------------------------------- */

static int take_input(void *userdata, unsigned char *data, size_t size)
{
	struct tls_session *session = userdata;
	size_t len = session->in_len - session->in_read;

	if (!len)
		return MBEDTLS_ERR_SSL_WANT_READ;
	if (len > size)
		len = size;
	memcpy(data, session->in + session->in_read, len);
	session->in_read += len;
	return (int)len;
}

static int put_output(void *userdata, const unsigned char *data, size_t len)
{
	struct tls_session *session = userdata;

	return buf_append(&session->out, data, len) ? MBEDTLS_ERR_SSL_ALLOC_FAILED : (int)len;
}

int tls_session_new(struct tls_session **ret_session, struct tls_config *config)
{
	struct tls_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->config = tls_config_ref(config);
	mbedtls_ssl_init(&session->ssl);
	/* Without the name a client would take any certificate of the CA. */
	if (mbedtls_ssl_setup(&session->ssl, &config->ssl) || mbedtls_ssl_set_hostname(&session->ssl, TLS_SERVER_NAME)) {
		tls_session_free(session);
		return -ENOMEM;
	}
	mbedtls_ssl_set_bio(&session->ssl, session, put_output, take_input, NULL);
	*ret_session = session;
	return 0;
}

void tls_session_free(struct tls_session *session)
{
	if (!session)
		return;
	mbedtls_ssl_free(&session->ssl);
	tls_config_unref(session->config);
	buf_deinit(&session->out);
	free(session);
}

uint8_t *tls_session_space(struct tls_session *session, size_t *ret_size)
{
	*ret_size = sizeof(session->in);
	return session->in;
}

void tls_session_received(struct tls_session *session, size_t len)
{
	session->in_read = 0;
	session->in_len = len;
}

static const char *why(const struct tls_session *session, int rv)
{
	switch (rv) {
	case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
		return "the certificate is not signed by the pinned CA for this coordinator";
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
		return "the other side closed the connection";
	case MBEDTLS_ERR_SSL_ALLOC_FAILED:
		return "out of memory";
	default:
		return tls_session_ready(session) ?
			"what came is not from the other side: the TLS connection is broken" :
			"the TLS handshake failed: what answers there has no certificate of the pinned CA";
	}
}

ssize_t tls_session_read(struct tls_session *session, void *data, size_t size, const char **ret_why)
{
	int rv = mbedtls_ssl_read(&session->ssl, data, size);

	if (rv > 0)
		return rv;
	if (rv == MBEDTLS_ERR_SSL_WANT_READ)
		return 0;
	*ret_why = why(session, rv ? rv : MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
	return -EPROTO;
}

bool tls_session_ready(const struct tls_session *session)
{
	return session->ssl.state == MBEDTLS_SSL_HANDSHAKE_OVER;
}

int tls_session_write(struct tls_session *session, const void *data, size_t len)
{
	size_t done = 0;
	int rv;

	/* A record at a time. put_output takes all, so it never has to be asked again. */
	while (done < len) {
		rv = mbedtls_ssl_write(&session->ssl, (const unsigned char *)data + done, len - done);
		if (rv <= 0)
			return rv == MBEDTLS_ERR_SSL_ALLOC_FAILED ? -ENOMEM : -EPROTO;
		done += (size_t)rv;
	}
	return 0;
}

struct buf *tls_session_output(struct tls_session *session)
{
	return &session->out;
}
