/* Our SSH transport for libgit2's smart protocol. */
#pragma once

#include <git2.h>

/* For git_remote_callbacks.transport; `param` is a struct remote, which gets the condition and the words of a failure. */
int transport_ssh_new(git_transport **out, git_remote *owner, void *param);
