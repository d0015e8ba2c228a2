/* TLS configurations for nng. Each is made once, never changed after, and freed by its maker. Private to proto/link. */
#pragma once

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include "proto/base/error.h"

int tls_server(nng_tls_config **ret_config, const char *certificate_pem, const char *private_key_pem, struct error *error);
/* ca_pem NULL: trusts nobody and checks nothing; only to take a CA whose digest is compared then. */
int tls_client(nng_tls_config **ret_config, const char *ca_pem, struct error *error);
