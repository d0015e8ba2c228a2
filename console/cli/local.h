/* The coordinator and the workers of this user's own state directories: which of them run, starting, stopping.
 *
 * A program holds an flock on its lock file and has written its pid into it. A pid is believed only while that lock
 * is held, and it is used through a pidfd, so no other process can be hit. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include "console/cli/cli.h"

struct local_program {
	char *name;     /* of the worker; NULL: the coordinator */
	char *state;    /* its directory */
	bool enrolled;  /* workers: has a key for our coordinator */
	pid_t pid;      /* 0: does not run */
};

struct local {
	struct local_program coordinator;
	struct local_program *workers; /* by name */
	size_t workers_count;
	char *url; /* of the coordinator's socket */
};

/* What is there now. */
int local_look(const struct paths *paths, struct local *ret_local, struct error *error);
void local_deinit(struct local *local);
struct local_program *local_worker(struct local *local, const char *name);
/* "coordinator", "worker NAME". Borrowed from a static buffer until the next call. */
const char *local_title(const struct local_program *program);
char *local_log_path(const struct local_program *program);

/* SIGTERM (or SIGKILL), and waits until it is gone. -ETIMEDOUT. */
int local_stop(const struct local_program *program, int signal, uint32_t deadline_ms, struct error *error);
/* Names of the sessions ("12.1") whose holders answer on their sockets. Caller frees the text; "" if there are none. */
char *local_live_sessions(const struct local *local);

/* The host's name or a directory's, folded to a valid name; `otherwise` if nothing is left. Caller frees. */
char *local_fold_name(const char *text, const char *otherwise);
