/* Proving who we are to an SSH server: a key file, the agent, the usual files. Part of the SSH connection.
 *
 * Condition: JOB_E_AUTH, JOB_E_UNREACHABLE. */
#pragma once

#include "proto/base/error.h"
#include "worker/git/ssh.h"

int auth_run(struct ssh *ssh, const struct ssh_target *target, struct error *error);
