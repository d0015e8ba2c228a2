/* Where things are: configuration, state and run directories of this user or system, and what is in them.
 *
 * MAESTRO_HOME=D puts them in D/config, D/state, D/run. Else root uses /etc/maestro, /var/lib/maestro, /run/maestro
 * when it was started as a service (`system`), and everybody the XDG base directories. */
#pragma once

#include <stdbool.h>
#include "proto/base/error.h"

struct paths {
	char *config; /* …/maestro */
	char *state;
	char *run;
};

/* Fills from the environment; makes nothing. -ENOENT with a sentence if HOME is not set either. */
int paths_init(struct paths *paths, bool system, struct error *error);
void paths_deinit(struct paths *paths);

/* The coordinator's local socket, RUN/coordinator.sock, as "ipc://…". Caller frees. */
char *paths_coordinator_url(const struct paths *paths);
/* DIR/NAME for: state "coordinator", state "workers/NAME", … Caller frees. */
char *paths_coordinator_state(const struct paths *paths);
char *paths_worker_state(const struct paths *paths, const char *worker);
/* A socket path too long for the kernel (108 bytes) is an error that says so. */
int paths_check_socket(const char *path, struct error *error);
