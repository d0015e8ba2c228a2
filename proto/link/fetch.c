/* Taking the coordinator's CA before anything is trusted: what counts is that its digest is the token's. */
#include "proto/link/dial.h"
#include "proto/link/keys.h"
#include "proto/base/id.h"
#include "proto/base/str.h"

#include <string.h>

struct fetch {
	uint8_t digest[LINK_DIGEST_BYTES];
	link_fetch_ca_done done;
	void *userdata;
};

static int check(const struct fetch *fetch, const ProtobufCBinaryData *ca, char **ret_pem, struct error *error)
{
	uint8_t digest[LINK_DIGEST_BYTES];

	id_sha256(ca->data, ca->len, digest);
	if (!id_equal(digest, fetch->digest, sizeof(digest)))
		return error_set(error, -EPERM,
			"the coordinator there is not the one that made this token: its CA certificate has another digest");
	return certificate_to_pem(ca->data, ca->len, ret_pem, error);
}

static void fetch_done(const struct link_dial_result *result, void *userdata)
{
	struct fetch *fetch = userdata;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *pem = NULL;
	int r;

	r = result->ok ? check(fetch, result->ca, &pem, &error) :
			 error_set(&error, result->code ? -EPROTO : -ECONNREFUSED, "%s", result->why);
	fetch->done(r, pem, r ? error_text(&error, r) : NULL, fetch->userdata);
}

int link_fetch_ca(struct link *link, const char *address, const uint8_t digest[LINK_DIGEST_BYTES],
	link_fetch_ca_done done, void *userdata, struct error *error)
{
	_cleanup_free_ struct fetch *fetch = calloc(1, sizeof(*fetch));
	struct tls_config *tls;
	int r;

	if (!fetch)
		return -ENOMEM;
	if (!str_starts(address, "tls+tcp://"))
		return error_set(error, LINK_E_ADDRESS, "%s: there is no CA to be taken from there", address);
	*fetch = (struct fetch){ .done = done, .userdata = userdata };
	memcpy(fetch->digest, digest, sizeof(fetch->digest));
	r = tls_client(&tls, NULL, error);
	if (r)
		return r;
	r = link_dial_new(NULL, link, &link->fetches, address, tls, NULL, fetch_done, fetch, error);
	tls_config_unref(tls); /* the dial holds it as long as needed */
	if (!r)
		take(fetch);
	return r;
}
