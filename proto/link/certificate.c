/* The coordinator's own CA and server certificate, made with mbedTLS because that is what tls.c reads them with. P-256:
 * Ed25519 certificates do not load there. The name stands in the common name, which is checked when there is no
 * subject alternative name; mbedTLS 2.28 cannot write those. */
#include "proto/link/keys.h"
#include "proto/base/id.h"
#include "proto/wire/limit.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PEM_BYTES 4096u
#define YEARS 20
#define CA_SUBJECT "CN=Maestro CA"
#define SERVER_SUBJECT "CN=" TLS_SERVER_NAME

struct maker {
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	mbedtls_pk_context ca_key, server_key;
};

static void maker_init(struct maker *maker)
{
	mbedtls_entropy_init(&maker->entropy);
	mbedtls_ctr_drbg_init(&maker->random);
	mbedtls_pk_init(&maker->ca_key);
	mbedtls_pk_init(&maker->server_key);
}

static void maker_deinit(struct maker *maker)
{
	mbedtls_pk_free(&maker->server_key);
	mbedtls_pk_free(&maker->ca_key);
	mbedtls_ctr_drbg_free(&maker->random);
	mbedtls_entropy_free(&maker->entropy);
}

static int make_key(struct maker *maker, mbedtls_pk_context *key)
{
	int rv;

	rv = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (rv)
		return rv;
	return mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random,
		&maker->random);
}

/* A day back, so that clocks that differ a little do not matter. */
static void validity(char from[16], char to[16])
{
	time_t now = time(NULL) - 86400;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(from, 16, "%Y%m%d%H%M%S", &tm);
	tm.tm_year += YEARS;
	if (tm.tm_mon == 1 && tm.tm_mday == 29)
		tm.tm_mday = 28;
	strftime(to, 16, "%Y%m%d%H%M%S", &tm);
}

static int fill(mbedtls_x509write_cert *certificate, struct maker *maker, bool ca)
{
	char from[16], to[16];
	uint8_t random[16];
	mbedtls_mpi serial;
	int rv;

	validity(from, to);
	id_random(random, sizeof(random));
	random[0] &= 0x7f;
	mbedtls_mpi_init(&serial);
	rv = mbedtls_mpi_read_binary(&serial, random, sizeof(random));
	rv = rv ? rv : mbedtls_x509write_crt_set_serial(certificate, &serial);
	mbedtls_mpi_free(&serial);
	mbedtls_x509write_crt_set_version(certificate, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(certificate, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(certificate, ca ? &maker->ca_key : &maker->server_key);
	mbedtls_x509write_crt_set_issuer_key(certificate, &maker->ca_key);
	rv = rv ? rv : mbedtls_x509write_crt_set_subject_name(certificate, ca ? CA_SUBJECT : SERVER_SUBJECT);
	rv = rv ? rv : mbedtls_x509write_crt_set_issuer_name(certificate, CA_SUBJECT);
	rv = rv ? rv : mbedtls_x509write_crt_set_validity(certificate, from, to);
	rv = rv ? rv : mbedtls_x509write_crt_set_basic_constraints(certificate, ca, ca ? 0 : -1);
	rv = rv ? rv : mbedtls_x509write_crt_set_key_usage(certificate,
		ca ? MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN : MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
	rv = rv ? rv : mbedtls_x509write_crt_set_subject_key_identifier(certificate);
	return rv ? rv : mbedtls_x509write_crt_set_authority_key_identifier(certificate);
}

static int write_certificate(struct maker *maker, bool ca, char **ret_pem)
{
	_cleanup_free_ char *pem = calloc(1, PEM_BYTES);
	mbedtls_x509write_cert certificate;
	int rv;

	if (!pem)
		return MBEDTLS_ERR_X509_ALLOC_FAILED;
	mbedtls_x509write_crt_init(&certificate);
	rv = fill(&certificate, maker, ca);
	rv = rv ? rv : mbedtls_x509write_crt_pem(&certificate, (unsigned char *)pem, PEM_BYTES, mbedtls_ctr_drbg_random,
		&maker->random);
	mbedtls_x509write_crt_free(&certificate);
	if (!rv)
		*ret_pem = take(pem);
	return rv;
}

static int write_key(mbedtls_pk_context *key, char **ret_pem)
{
	_cleanup_free_ char *pem = calloc(1, PEM_BYTES);
	int rv;

	if (!pem)
		return MBEDTLS_ERR_PK_ALLOC_FAILED;
	rv = mbedtls_pk_write_key_pem(key, (unsigned char *)pem, PEM_BYTES);
	if (!rv)
		*ret_pem = take(pem);
	return rv;
}

int certificate_make(char **ret_ca_pem, char **ret_ca_key_pem, char **ret_server_pem, char **ret_server_key_pem,
	struct error *error)
{
	_cleanup_free_ char *ca = NULL, *ca_key = NULL, *server = NULL, *server_key = NULL;
	_cleanup_(maker_deinit) struct maker maker;
	int rv;

	maker_init(&maker);
	if (id_init())
		return error_set(error, -EIO, "there is no randomness");
	rv = mbedtls_ctr_drbg_seed(&maker.random, mbedtls_entropy_func, &maker.entropy, NULL, 0);
	rv = rv ? rv : make_key(&maker, &maker.ca_key);
	rv = rv ? rv : make_key(&maker, &maker.server_key);
	rv = rv ? rv : write_certificate(&maker, true, &ca);
	rv = rv ? rv : write_certificate(&maker, false, &server);
	rv = rv ? rv : write_key(&maker.ca_key, &ca_key);
	rv = rv ? rv : write_key(&maker.server_key, &server_key);
	if (rv)
		return error_set(error, -EIO, "the certificate cannot be made (mbedTLS -0x%04x)", (unsigned int)-rv);
	*ret_ca_pem = take(ca);
	*ret_ca_key_pem = take(ca_key);
	*ret_server_pem = take(server);
	*ret_server_key_pem = take(server_key);
	return 0;
}

int certificate_to_der(const char *pem, void **ret_der, size_t *ret_len, struct error *error)
{
	mbedtls_x509_crt certificate;
	void *der;
	int rv;

	mbedtls_x509_crt_init(&certificate);
	rv = mbedtls_x509_crt_parse(&certificate, (const unsigned char *)pem, strlen(pem) + 1);
	if (rv) {
		mbedtls_x509_crt_free(&certificate);
		return error_set(error, -EINVAL, "this is no certificate in PEM form (mbedTLS -0x%04x)", (unsigned int)-rv);
	}
	der = malloc(certificate.raw.len);
	if (der) {
		memcpy(der, certificate.raw.p, certificate.raw.len);
		*ret_der = der;
		*ret_len = certificate.raw.len;
	}
	mbedtls_x509_crt_free(&certificate);
	return der ? 0 : -ENOMEM;
}

int certificate_to_pem(const void *der, size_t len, char **ret_pem, struct error *error)
{
	_cleanup_free_ char *pem = NULL;
	mbedtls_x509_crt certificate;
	size_t size = len * 2 + 256;
	int rv;

	mbedtls_x509_crt_init(&certificate);
	rv = mbedtls_x509_crt_parse_der(&certificate, der, len);
	mbedtls_x509_crt_free(&certificate);
	if (rv)
		return error_set(error, -EINVAL, "this is no certificate (mbedTLS -0x%04x)", (unsigned int)-rv);
	pem = calloc(1, size);
	if (!pem)
		return -ENOMEM;
	rv = mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", der, len,
		(unsigned char *)pem, size, &len);
	if (rv)
		return error_set(error, -EIO, "the certificate cannot be written (mbedTLS -0x%04x)", (unsigned int)-rv);
	*ret_pem = take(pem);
	return 0;
}
