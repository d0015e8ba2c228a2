/* The socket in a session's directory: SEQPACKET, whatever the length of the path, same user only. */
#pragma once

#include <stdbool.h>
#include "proto/base/error.h"

/* Replaces a socket that is there. Non-blocking, listening. */
int socket_listen(const char *session_dir, int *ret_fd);
/* Non-blocking. -ENOENT, -ECONNREFUSED: nobody is there; -EPERM: another user's. */
int socket_connect(const char *session_dir, int *ret_fd);
/* Whether the other end is this user or root. */
bool socket_peer_allowed(int fd);
