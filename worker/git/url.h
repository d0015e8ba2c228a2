/* Where a repository is: ssh://[user@]host[:port]/path, [user@]host:path, an absolute path, file://, https://.
 *
 * Condition: URL_E_BAD (the error says what is wrong and how one looks). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"

enum {
	URL_E_BAD = 9, /* the same as GIT_BAD_REQUEST of git.proto */
};

enum url_kind {
	URL_LOCAL,   /* a path on this machine */
	URL_SSH,     /* our own transport */
	URL_PROGRAM, /* http, https, git: by the git program */
};

struct url {
	enum url_kind kind;
	char *text; /* as it was given */
	char *user; /* ssh; NULL: this process's user */
	char *host; /* ssh; without brackets */
	char *path; /* ssh and local */
	uint16_t port;
};

#define URL_NULL ((struct url){ 0 })

int url_parse(const void *text, size_t len, struct url *ret_url, struct error *error);
void url_deinit(struct url *url);
