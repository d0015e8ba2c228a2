/* What this machine has left, and what its user has set up. Blocks for a few system calls. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host_load {
	uint32_t load_percent; /* 1-minute load average times 100 */
	uint64_t memory_free_bytes, disk_free_bytes;
};

/* Disk: of the file system of `path`. What cannot be found out is 0. */
void host_load(const char *path, struct host_load *ret_load);
/* Whether git finds an author for this user by itself. */
bool host_has_git_author(void);
/* Cores that this process may use, at least 1. */
unsigned int host_cores(void);
