/* Join tokens: "mst1.<role>.<SHA-256 of the CA, base64url>.<secret, base64url>". */
#include "proto/link/link.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SECRET_BYTES_MIN 16u

static int malformed(struct error *error)
{
	error_set(error, -EINVAL, "this is no join token");
	error_hint(error, "one looks like mst1.worker.… and is made by 'maestro token create --role worker'");
	return -EINVAL;
}

int link_token_parse(const char *text, struct link_token *ret_token, struct error *error)
{
	struct link_token token = { 0 };
	char copy[256], *role, *digest, *secret;
	size_t digest_len, len = strlen(text);
	int r;

	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (len >= sizeof(copy) || !str_starts(text, "mst1."))
		return malformed(error);
	memcpy(copy, text, len);
	copy[len] = 0;
	role = copy + strlen("mst1.");
	digest = strchr(role, '.');
	secret = digest ? strchr(digest + 1, '.') : NULL;
	if (!secret)
		return malformed(error);
	*digest++ = 0;
	*secret++ = 0;
	r = name_parse_role(role, &token.role, NULL);
	if (!r)
		r = id_unbase64url(digest, token.ca_digest, sizeof(token.ca_digest), &digest_len);
	if (!r)
		r = id_unbase64url(secret, token.secret, sizeof(token.secret), &token.secret_len);
	id_wipe(copy, sizeof(copy));
	if (!r && digest_len == LINK_DIGEST_BYTES && token.secret_len >= SECRET_BYTES_MIN)
		*ret_token = token;
	else
		r = malformed(error);
	id_wipe(&token, sizeof(token));
	return r;
}

char *link_token_format(const struct link_token *token)
{
	char digest[ID_BASE64_MAX(LINK_DIGEST_BYTES)], secret[ID_BASE64_MAX(sizeof(token->secret))];
	char *text = NULL;

	id_base64url(token->ca_digest, sizeof(token->ca_digest), digest);
	id_base64url(token->secret, token->secret_len, secret);
	if (asprintf(&text, "mst1.%s.%s.%s", name_role(token->role), digest, secret) < 0)
		text = NULL;
	id_wipe(secret, sizeof(secret));
	return text;
}
