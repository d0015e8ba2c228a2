/* What known_hosts says about a host. Part of the SSH connection.
 *
 * Conditions: JOB_E_UNREACHABLE (unknown, changed or revoked; the sentence and the hint tell them apart). */
#pragma once

#include <libssh2.h>
#include <stdint.h>
#include "proto/base/error.h"

struct hosts {
	LIBSSH2_KNOWNHOSTS *known;
	char *name;    /* "host" or "[host]:port", as known_hosts has it */
	char *path;    /* where a missing key belongs */
	char *revoked; /* the lines with @revoked */
};

/* Reads `path`, or (NULL) ~/.ssh/known_hosts and the system's. A file that is not there is an empty one. */
int hosts_init(struct hosts *hosts, LIBSSH2_SESSION *session, const char *host, uint16_t port, const char *path,
	struct error *error);
void hosts_deinit(struct hosts *hosts);
/* Before the handshake: asks for the kinds of key that are known, so that a host with several is recognised. */
void hosts_prefer(struct hosts *hosts, LIBSSH2_SESSION *session);
/* After the handshake: is the key the known one? */
int hosts_check(struct hosts *hosts, LIBSSH2_SESSION *session, const char *host, uint16_t port, struct error *error);
