/* See tls.h. */
#include "proto/link/tls.h"
#include "proto/link/bridge.h"
#include "proto/wire/limit.h"

static int finish(nng_tls_config **ret_config, nng_tls_config *config, int rv, const char *what, struct error *error)
{
	if (!rv) {
		*ret_config = config;
		return 0;
	}
	nng_tls_config_free(config);
	return error_set(error, link_nng_errno(rv), "%s cannot be used for TLS: %s", what, nng_strerror(rv));
}

int tls_server(nng_tls_config **ret_config, const char *certificate_pem, const char *private_key_pem, struct error *error)
{
	nng_tls_config *config;
	int rv;

	rv = nng_tls_config_alloc(&config, NNG_TLS_MODE_SERVER);
	if (rv)
		return error_set(error, link_nng_errno(rv), "TLS: %s", nng_strerror(rv));
	rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_2);
	if (!rv)
		rv = nng_tls_config_own_cert(config, certificate_pem, private_key_pem, NULL);
	return finish(ret_config, config, rv, "the server certificate", error);
}

int tls_client(nng_tls_config **ret_config, const char *ca_pem, struct error *error)
{
	nng_tls_config *config;
	int rv;

	rv = nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT);
	if (rv)
		return error_set(error, link_nng_errno(rv), "TLS: %s", nng_strerror(rv));
	rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_2);
	/* Without this call a client would take any name. */
	if (!rv)
		rv = nng_tls_config_server_name(config, TLS_SERVER_NAME);
	if (!rv)
		rv = nng_tls_config_auth_mode(config, ca_pem ? NNG_TLS_AUTH_MODE_REQUIRED : NNG_TLS_AUTH_MODE_NONE);
	if (!rv && ca_pem)
		rv = nng_tls_config_ca_chain(config, ca_pem, NULL);
	return finish(ret_config, config, rv, "the CA certificate", error);
}
