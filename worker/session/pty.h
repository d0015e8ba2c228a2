/* A program on a pseudo terminal of its own: made in two steps, so that nothing is executed before it may be.
 *
 * pty_open forks a child that waits. pty_release lets it execute the program and tells whether that worked; pty_abort
 * lets it go away without. Signals are as by default in the program, nothing but 0, 1 and 2 is open. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/error.h"

struct pty_spec {
	char *const *argv;
	char *const *env; /* the whole of it; argv[0] is looked up on its PATH */
	const char *cwd;
	unsigned int cols, rows;
	int nice;
	uint64_t limit_memory_bytes, limit_files, limit_processes; /* 0: as they are */
};

struct pty {
	int master_fd; /* non-blocking; -1: closed */
	int slave_fd;  /* kept open, so that a program which lets go of its terminal can come back to it */
	pid_t pid;     /* the program, leader of its session */
	int gate_fd;   /* private: closed without a byte, the child goes away */
	int report_fd; /* private: closed by exec, else says what failed */
};

#define PTY_NULL ((struct pty){ -1, -1, 0, -1, -1 })

int pty_open(struct pty *ret_pty, const struct pty_spec *spec, struct error *error);
/* Blocks until exec has succeeded or failed (0, or the errno of what failed, with a sentence). */
int pty_release(struct pty *pty, const struct pty_spec *spec, struct error *error);
void pty_abort(struct pty *pty);
/* No more can be written to it: what was printed can be read up to EIO. */
void pty_close_slave(struct pty *pty);
void pty_deinit(struct pty *pty);
int pty_resize(struct pty *pty, unsigned int cols, unsigned int rows);
