/* Random identities, digests, and their text forms. Uses libsodium; id_init before anything else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_DIGEST_BYTES 32     /* SHA-256 */
#define ID_RANDOM_BYTES 16     /* run ids, cluster ids */
#define ID_HEX_MAX(bytes) ((bytes) * 2 + 1)
#define ID_BASE64_MAX(bytes) (((bytes) * 4 + 2) / 3 + 1)

/* -EIO if the library has no randomness. Safe to call again. */
int id_init(void);
void id_random(void *buffer, size_t len);
/* `text` holds ID_HEX_MAX(len). Lower case. Returns text. */
char *id_hex(const void *data, size_t len, char *text);
/* Exactly len bytes from 2*len hex digits, else -EINVAL. */
int id_unhex(const char *text, void *ret_data, size_t len);
/* URL-safe, without padding. `text` holds ID_BASE64_MAX(len). Returns text. */
char *id_base64url(const void *data, size_t len, char *text);
/* -EINVAL on foreign characters, -EMSGSIZE if it is more than `size` bytes. */
int id_unbase64url(const char *text, void *ret_data, size_t size, size_t *ret_len);
void id_sha256(const void *data, size_t len, uint8_t ret_digest[ID_DIGEST_BYTES]);
/* Constant time. */
bool id_equal(const void *a, const void *b, size_t len);
/* For secrets: overwrites, and is not optimised away. */
void id_wipe(void *data, size_t len);
