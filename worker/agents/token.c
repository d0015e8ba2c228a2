#include "worker/agents/endpoint.h"
#include "proto/base/io.h"

#include <string.h>

int endpoint_token_new(const char *session_dir, char text[ENDPOINT_TOKEN_MAX], uint8_t ret_digest[ID_DIGEST_BYTES])
{
	_cleanup_free_ char *path = io_join(session_dir, "token");
	uint8_t token[ENDPOINT_TOKEN_BYTES], digest[ID_DIGEST_BYTES];
	char hex[ID_HEX_MAX(ID_DIGEST_BYTES)];
	int r;

	if (!path)
		return -ENOMEM;
	r = id_init();
	if (r)
		return r;
	id_random(token, sizeof(token));
	id_sha256(token, sizeof(token), digest);
	id_hex(digest, sizeof(digest), hex);
	r = io_replace_file(path, hex, strlen(hex), 0600);
	if (!r) {
		id_base64url(token, sizeof(token), text);
		memcpy(ret_digest, digest, sizeof(digest));
	}
	id_wipe(token, sizeof(token));
	return r;
}

int endpoint_token_load(const char *session_dir, uint8_t ret_digest[ID_DIGEST_BYTES])
{
	_cleanup_free_ char *path = io_join(session_dir, "token"), *hex = NULL;
	int r;

	if (!path)
		return -ENOMEM;
	r = io_read_file(path, 256, &hex, NULL);
	if (r)
		return r == IO_E_NOT_FOUND ? ENDPOINT_E_NOT_FOUND : r;
	return id_unhex(hex, ret_digest, ID_DIGEST_BYTES);
}
