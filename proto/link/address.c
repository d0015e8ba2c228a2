/* What people write for a coordinator's place. */
#include "proto/link/link.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/paths.h"

#include <stdio.h>
#include <string.h>

static int no_address(const char *text, struct error *error)
{
	error_set(error, LINK_E_ADDRESS, "'%s' is no address", text);
	error_hint(error, "write HOST, HOST:PORT, [IPV6]:PORT or ipc:///PATH; the default port is %d", DEFAULT_PORT);
	return LINK_E_ADDRESS;
}

static bool host_valid(const char *host, size_t len, bool bracketed)
{
	const char *allowed = bracketed ?
		"0123456789abcdefABCDEF:." :
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";

	if (!len || len > 253)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr(allowed, host[i]) || !host[i])
			return false;
	return bracketed || host[0] != '-';
}

/* Splits into a host (without brackets) and what follows it: "" or ":PORT". */
static bool split(const char *text, const char **ret_host, size_t *ret_len, const char **ret_rest, bool *ret_bracketed)
{
	const char *end;

	*ret_bracketed = text[0] == '[';
	*ret_host = text + *ret_bracketed;
	end = *ret_bracketed ? strchr(text, ']') : strchrnul(text, ':');
	if (!end)
		return false;
	*ret_len = (size_t)(end - *ret_host);
	*ret_rest = end + *ret_bracketed;
	return host_valid(*ret_host, *ret_len, *ret_bracketed);
}

static int parse_tls(const char *text, const char *whole, char **ret_url, struct error *error)
{
	const char *host, *rest;
	bool bracketed;
	uint64_t port = DEFAULT_PORT;
	size_t len;

	if (!split(text, &host, &len, &rest, &bracketed) || (*rest && *rest != ':') ||
		(*rest && str_parse_u64(rest + 1, 0, 65535, &port)))
		return no_address(whole, error);
	if (asprintf(ret_url, "tls+tcp://%s%.*s%s:%u", bracketed ? "[" : "", (int)len, host, bracketed ? "]" : "",
		    (unsigned int)port) < 0)
		return -ENOMEM;
	return 0;
}

int link_address_parse(const char *text, char **ret_url, struct error *error)
{
	char *url = NULL;
	int r;

	if (str_starts(text, "ipc://")) {
		if (text[strlen("ipc://")] != '/')
			return no_address(text, error);
		r = paths_check_socket(text + strlen("ipc://"), error);
		if (r)
			return r;
		url = strdup(text);
		if (!url)
			return -ENOMEM;
	} else {
		r = parse_tls(str_starts(text, "tls+tcp://") ? text + strlen("tls+tcp://") : text, text, &url, error);
		if (r)
			return r;
	}
	*ret_url = url;
	return 0;
}
