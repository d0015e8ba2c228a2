/* What ssh.c and auth.c share: a session in non-blocking mode, and waiting for it. */
#pragma once

#include <libssh2.h>
#include <stdbool.h>
#include "proto/base/buf.h"
#include "worker/git/hosts.h"
#include "worker/git/ssh.h"

struct ssh {
	int fd;
	LIBSSH2_SESSION *session;
	LIBSSH2_CHANNEL *channel;
	struct hosts hosts;
	uint32_t timeout_ms;
	bool dead;       /* nothing came for too long, or the connection broke */
	struct buf said; /* the end of the command's standard error */
};

/* Waits until the session's socket is ready for what libssh2 wants. False (and the session is dead) after timeout_ms. */
bool ssh_wait(struct ssh *ssh);

/* Repeats a call of libssh2 until it does not want to wait any more. */
#define ssh_repeat(ssh, call)                                                                                \
	({                                                                                                   \
		__typeof__(call) repeat_r_;                                                                  \
		while ((repeat_r_ = (call)) == LIBSSH2_ERROR_EAGAIN)                                         \
			if (!ssh_wait(ssh)) {                                                                \
				repeat_r_ = LIBSSH2_ERROR_TIMEOUT;                                           \
				break;                                                                       \
			}                                                                                    \
		repeat_r_;                                                                                   \
	})

/* The condition for a failed call, with libssh2's text: "what: …". */
int ssh_error(struct ssh *ssh, struct error *error, const char *what);
