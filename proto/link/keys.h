/* Keys and certificates: an Ed25519 key for each peer, and the coordinator's own CA and server certificate.
 *
 * Condition: IO_E_NOT_FOUND where a file is read. */
#pragma once

#include <stdint.h>
#include "proto/base/error.h"
#include "proto/link/link.h"

struct key {
	uint8_t public_key[LINK_KEY_BYTES];
	uint8_t secret_key[LINK_SECRET_KEY_BYTES];
};

void key_generate(struct key *ret_key);
/* The seed, hexadecimal, in a file of mode 0600. Refuses a file that others can read. */
int key_read(const char *path, struct key *ret_key, struct error *error);
/* Never replaces one: -EEXIST. */
int key_write(const char *path, const struct key *key, struct error *error);
void key_wipe(struct key *key);
#define KEY_ID_MAX 17
/* First 16 hex digits of the public key: how people name a key. */
char *key_id(const uint8_t public_key[LINK_KEY_BYTES], char id[KEY_ID_MAX]);

/* An ECDSA P-256 CA (20 years) and a server certificate by it for the name TLS_SERVER_NAME. PEM; caller frees. */
int certificate_make(char **ret_ca_pem, char **ret_ca_key_pem, char **ret_server_pem, char **ret_server_key_pem,
	struct error *error);
/* The first certificate of a PEM text as DER. Caller frees. */
int certificate_to_der(const char *pem, void **ret_der, size_t *ret_len, struct error *error);
/* The other way round. -EINVAL if it is no certificate. Caller frees. */
int certificate_to_pem(const void *der, size_t len, char **ret_pem, struct error *error);
