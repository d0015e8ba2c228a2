/* TLS 1.2 by mbedTLS, fed with the bytes of a plain nng stream and never waiting: what came in is given to a session,
 * and what it wants to send is taken from it. nng has a TLS of its own, but hands every record through three of its
 * threads, which is most of what a key press costs on its way (tests/bench/attach.sh). Private to proto/link.
 *
 * A configuration is made once, never changed, and shared by its sessions; a session is one connection. */
#pragma once

#include <stdbool.h>
#include "proto/base/buf.h"

struct tls_config;
struct tls_session;

/* The certificate with what is between it and the CA. */
int tls_server(struct tls_config **ret_config, const char *certificate_pem, const char *private_key_pem,
	struct error *error);
/* ca_pem NULL: trusts nobody and checks nothing; only to take a CA whose digest is compared then. */
int tls_client(struct tls_config **ret_config, const char *ca_pem, struct error *error);
/* Both take NULL for none. */
struct tls_config *tls_config_ref(struct tls_config *config);
void tls_config_unref(struct tls_config *config);

/* Holds the configuration as long as it lives. */
int tls_session_new(struct tls_session **ret_session, struct tls_config *config);
void tls_session_free(struct tls_session *session);

/* Where the next bytes from the network go. None may be given before all that came was read. Borrowed. */
uint8_t *tls_session_space(struct tls_session *session, size_t *ret_size);
/* So many were put there. */
void tls_session_received(struct tls_session *session, size_t len);
/* Reads what was sent to us, and shakes hands until that is done. Returns the bytes put at `data`, 0 if more has to
 * come from the network first, or negative: it is over, and *ret_why is a sentence (constant). */
ssize_t tls_session_read(struct tls_session *session, void *data, size_t size, const char **ret_why);
/* The hands are shaken: tls_session_write may be called. */
bool tls_session_ready(const struct tls_session *session);
/* Seals all of it. -ENOMEM, -EPROTO: the session is of no use any more. */
int tls_session_write(struct tls_session *session, const void *data, size_t len);
/* What is to be sent; the caller takes it away. */
struct buf *tls_session_output(struct tls_session *session);
