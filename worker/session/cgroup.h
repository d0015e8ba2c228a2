/* A control group of a session's own, where the kernel's second hierarchy is delegated to us: what is in it dies at
 * once and together, and limits hold for all of it. Where it is not, the session does without (worker/session/tree.h,
 * rlimits). Only files are touched, so a directory of ordinary ones can stand for a kernel's.
 *
 * Delegated: the group that we run in carries the mark that systemd's Delegate= leaves (extended attribute
 * user.delegate or trusted.delegate), or belongs to us and we are not root.
 *
 * Conditions: CGROUP_E_NONE. */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/error.h"

enum {
	CGROUP_E_NONE = 1, /* nothing is delegated: do without */
};

#define CGROUP_EMPTY_MS 1000
/* The name of a session's group: its holder's, which no other has. Task, attempt, the holder's pid. */
#define CGROUP_NAME "maestro-%" PRIu64 ".%" PRIu32 "-%ld"

struct cgroup {
	char *dir; /* NULL: none */
	/* which limits hold in it */
	unsigned char limits_memory, limits_processes;
};

#define CGROUP_NULL ((struct cgroup){ 0 })

/* The directory of the group that we are in, if it is delegated. mounts and self: what /proc/self/mounts and
 * /proc/self/cgroup say. CGROUP_E_NONE. */
int cgroup_find(const char *mounts, const char *self, char **ret_dir);
/* The same, of this process. */
int cgroup_find_own(char **ret_dir);
/* Makes a group below `parent`. A limit of 0, or one whose controller is not handed down, is not set. CGROUP_E_NONE:
 * it may not be made there. */
int cgroup_make(struct cgroup *ret_cgroup, const char *parent, const char *name, uint64_t limit_memory_bytes,
	uint64_t limit_processes);
/* Moves a process into it; what it starts from then on is in it too. */
int cgroup_add(const struct cgroup *cgroup, pid_t pid);
/* SIGKILL to all in it. -ENOENT: the kernel is too old (before 5.14). */
int cgroup_kill(const struct cgroup *cgroup);
/* Ends what a holder that died left: kills all in the group `name` below `parent`, waits a moment until it is empty, and
 * removes it. None there: nothing. Blocks for CGROUP_EMPTY_MS at most. */
void cgroup_end(const char *parent, const char *name);
/* Removes the group, which must be empty; forgets it in any case. */
void cgroup_deinit(struct cgroup *cgroup);
