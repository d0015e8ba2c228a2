#include "proto/base/id.h"
#include "proto/base/error.h"

#include <sodium.h>
#include <string.h>

int id_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void id_random(void *buffer, size_t len)
{
	randombytes_buf(buffer, len);
}

char *id_hex(const void *data, size_t len, char *text)
{
	return sodium_bin2hex(text, ID_HEX_MAX(len), data, len);
}

int id_unhex(const char *text, void *ret_data, size_t len)
{
	uint8_t data[128];
	size_t n = 0;

	require(len <= sizeof(data));
	if (strlen(text) != len * 2 || sodium_hex2bin(data, len, text, len * 2, NULL, &n, NULL) < 0 || n != len)
		return -EINVAL;
	memcpy(ret_data, data, len);
	return 0;
}

char *id_base64url(const void *data, size_t len, char *text)
{
	return sodium_bin2base64(text, ID_BASE64_MAX(len), data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int id_unbase64url(const char *text, void *ret_data, size_t size, size_t *ret_len)
{
	size_t len = strlen(text);

	if (len / 4 * 3 + len % 4 * 3 / 4 > size)
		return -EMSGSIZE;
	if (sodium_base642bin(ret_data, size, text, len, NULL, ret_len, NULL,
		    sodium_base64_VARIANT_URLSAFE_NO_PADDING) < 0)
		return -EINVAL;
	return 0;
}

void id_sha256(const void *data, size_t len, uint8_t ret_digest[ID_DIGEST_BYTES])
{
	crypto_hash_sha256(ret_digest, data, len);
}

bool id_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void id_wipe(void *data, size_t len)
{
	sodium_memzero(data, len);
}
