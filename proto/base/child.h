/* Starting programs: signals as a program expects them (none blocked, none ignored), descriptors 0 to 2 and no other of
 * ours (they are all close-on-exec), and a process group of its own, so that what it started can be ended with it. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum {
	CHILD_NULL = -1,   /* /dev/null */
	CHILD_SHARED = -2, /* what we have there ourselves */
};

struct child {
	const char *program; /* a path */
	const char *const *argv;
	int in, out, err;    /* a descriptor, which stays the caller's, or one of the above */
};

/* 0, or an errno: nothing runs. */
int child_spawn(const struct child *child, pid_t *ret_pid);
/* Ends everything in its group; the child is still to be waited for. pid 0: nothing. */
void child_kill(pid_t pid);
/* child_kill, and waits for it. */
void child_end(pid_t pid);
/* A descriptor from which a child reads these bytes: memory rather than a pipe, so that writing never waits for the
 * reader. The caller closes it. Or an errno. `name` is for /proc. */
int child_input(const char *name, const void *data, size_t len);
