/* One SSH connection that runs one command, by libssh2, with its own deadlines.
 *
 * The host's key must stand in known_hosts; unknown, changed and revoked are told apart. Nothing waits longer than
 * timeout_ms without a byte from the other side. Conditions: JOB_E_UNREACHABLE, JOB_E_AUTH. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"

struct ssh;

struct ssh_target {
	const char *host;
	uint16_t port;
	const char *user;        /* NULL: this process's user */
	const char *key;         /* path of a private key; NULL: the agent, then the usual files in ~/.ssh */
	const char *known_hosts; /* path; NULL: ~/.ssh/known_hosts and the system's */
	uint32_t timeout_ms;
};

/* Connects, checks the host's key, authenticates. */
int ssh_open(struct ssh **ret_ssh, const struct ssh_target *target, struct error *error);
void ssh_free(struct ssh *ssh);
DEFINE_CLEANUP(struct ssh *, ssh_free)

/* Starts the command; once a connection. */
int ssh_exec(struct ssh *ssh, const char *command, struct error *error);
/* At least one byte of its output; *ret_len 0 at the end of it. What it
 * writes to its standard error is read along, and kept for ssh_said. */
int ssh_read(struct ssh *ssh, void *buffer, size_t size, size_t *ret_len, struct error *error);
int ssh_write(struct ssh *ssh, const void *data, size_t len, struct error *error);
/* The end of the command's standard error so far. Borrowed. */
const char *ssh_said(struct ssh *ssh);

/* Appends text as one word of a POSIX shell. */
int ssh_quote(struct buf *out, const char *text);
