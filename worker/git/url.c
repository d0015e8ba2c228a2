#include "worker/git/url.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"

void url_deinit(struct url *url)
{
	free(url->text);
	free(url->user);
	free(url->host);
	free(url->path);
	*url = URL_NULL;
}

static int bad(struct error *error, const char *why)
{
	int r = error_set(error, URL_E_BAD, "the repository's URL cannot be used: %s", why);

	error_hint(error, "use ssh://user@host:port/path, user@host:path, https://host/path or an absolute path");
	return r;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* As git does it for URLs with a scheme. A %00 stays as it is and is refused with the other odd bytes of a path. */
static char *decode(const char *text)
{
	char *out = malloc(strlen(text) + 1), *p = out;

	for (; out && *text; text++) {
		if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0 && strncmp(text, "%00", 3)) {
			*p++ = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
			text += 2;
		} else {
			*p++ = *text;
		}
	}
	if (out)
		*p = 0;
	return out;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* A leading '-' would be an option to some program on the way. */
static int check_parts(const struct url *url, struct error *error)
{
	if (url->host && (!url->host[0] || url->host[0] == '-' || strpbrk(url->host, " /@")))
		return bad(error, "there is no valid host in it");
	if (url->user && (!url->user[0] || url->user[0] == '-' || has_control(url->user)))
		return bad(error, "there is no valid user in it");
	if (url->kind != URL_PROGRAM && (!url->path || !url->path[0] || url->path[0] == '-' || has_control(url->path)))
		return bad(error, "there is no valid path in it");
	return 0;
}

/* "user@host", "host", "[v6]:port", with anything after the host in *ret_rest. */
static int split_host(struct url *url, char *authority, char **ret_rest, struct error *error)
{
	char *at = strrchr(authority, '@'), *host = authority, *end;

	if (at) {
		*at = 0;
		host = at + 1;
		if (strchr(authority, ':'))
			return bad(error, "a password in it is never used; take a key");
		url->user = strdup(authority);
	}
	if (host[0] == '[') {
		end = strchr(++host, ']');
		if (!end)
			return bad(error, "a bracket is not closed");
		*end++ = 0;
	} else {
		end = strchrnul(host, ':');
	}
	*ret_rest = end;
	url->host = *end == ':' ? strndup(host, (size_t)(end - host)) : strdup(host);
	return url->host && (!at || url->user) ? 0 : -ENOMEM;
}

static int parse_ssh(struct url *url, const char *rest, struct error *error)
{
	const char *slash = strchr(rest, '/');
	_cleanup_free_ char *authority = slash ? strndup(rest, (size_t)(slash - rest)) : NULL;
	uint64_t port = 22;
	char *tail;
	int r;

	if (!slash)
		return bad(error, "there is no path after the host");
	if (!authority)
		return -ENOMEM;
	r = split_host(url, authority, &tail, error);
	if (r)
		return r;
	if (tail[0] && (tail[0] != ':' || str_parse_u64(tail + 1, 1, UINT16_MAX, &port)))
		return bad(error, "the port is no number from 1 to 65535");
	url->port = (uint16_t)port;
	/* ssh://host/~user/x names a home directory, as in git. */
	url->path = decode(slash[1] == '~' ? slash + 1 : slash);
	return url->path ? 0 : -ENOMEM;
}

static int parse_scp(struct url *url, const char *text, struct error *error)
{
	_cleanup_free_ char *authority = strdup(text);
	char *tail;
	int r;

	if (!authority)
		return -ENOMEM;
	r = split_host(url, authority, &tail, error);
	if (r)
		return r;
	if (tail[0] != ':')
		return bad(error, "there is no path after the host");
	url->port = 22;
	url->path = strdup(tail + 1);
	return url->path ? 0 : -ENOMEM;
}

static int parse_file(struct url *url, const char *rest, struct error *error)
{
	if (str_starts(rest, "localhost/"))
		rest += strlen("localhost");
	if (rest[0] != '/')
		return bad(error, "file:// needs an absolute path");
	url->path = decode(rest);
	return url->path ? 0 : -ENOMEM;
}

static int parse_program(struct url *url, const char *rest, struct error *error)
{
	_cleanup_free_ char *authority = strndup(rest, strcspn(rest, "/"));

	if (!authority)
		return -ENOMEM;
	if (strchr(authority, '@'))
		return bad(error, "a name or a password in it would be seen by everyone on the machine");
	return authority[0] ? 0 : bad(error, "there is no host in it");
}

static int parse_path(struct url *url, const char *text, struct error *error)
{
	const char *colon = strchr(text, ':');

	if (text[0] == '/') {
		url->path = strdup(text);
		return url->path ? 0 : -ENOMEM;
	}
	/* git's "helper::address". */
	if (str_starts(text + strcspn(text, ":[@/"), "::"))
		return bad(error, "remote helpers are not run");
	if (colon && strcspn(text, "/") > (size_t)(colon - text)) {
		url->kind = URL_SSH;
		return parse_scp(url, text, error);
	}
	return bad(error, "a path must be absolute");
}

static const struct {
	const char *prefix;
	enum url_kind kind;
	int (*parse)(struct url *url, const char *rest, struct error *error);
} schemes[] = {
	{ "ssh://", URL_SSH, parse_ssh },
	{ "git+ssh://", URL_SSH, parse_ssh },
	{ "file://", URL_LOCAL, parse_file },
	{ "https://", URL_PROGRAM, parse_program },
	{ "http://", URL_PROGRAM, parse_program },
	{ "git://", URL_PROGRAM, parse_program },
};

static int parse(struct url *url, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (str_starts(url->text, schemes[i].prefix)) {
			url->kind = schemes[i].kind;
			return schemes[i].parse(url, url->text + strlen(schemes[i].prefix), error);
		}
	if (strstr(url->text, "://"))
		return bad(error, "its scheme is not known");
	url->kind = URL_LOCAL;
	return parse_path(url, url->text, error);
}

int url_parse(const void *text, size_t len, struct url *ret_url, struct error *error)
{
	_cleanup_(url_deinit) struct url url = URL_NULL;
	int r;

	if (!len)
		return bad(error, "it is empty");
	url.text = strndup(text, len);
	if (!url.text)
		return -ENOMEM;
	if (strlen(url.text) != len || has_control(url.text))
		return bad(error, "there is a control character in it");
	if (url.text[0] == '-')
		return bad(error, "it begins with '-'");
	r = parse(&url, error);
	if (!r)
		r = check_parts(&url, error);
	if (r)
		return r;
	*ret_url = url;
	url = URL_NULL;
	return 0;
}
