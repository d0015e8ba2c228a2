/* Other programs: asked for their output, or started to go on after us. */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include "proto/base/error.h"

#define PROCESS_OUTPUT_MAX (256u * 1024)

/* Runs argv (searched in PATH) to its end with nothing on standard input. *ret_output is what it wrote to standard
 * output, and to standard error too if it failed; without newlines at its end. Caller frees. *ret_status: its exit
 * status, 127 if it is not there, 128 + signal. */
int process_capture(const char *const *argv, char **ret_output, int *ret_status);
/* `git ARG...` in a directory; NULL-terminated. 0 and its output, or 1 and what it complained of. */
int process_git(const char *directory, char **ret_output, ...) __attribute__((sentinel));

struct process_start {
	const char *const *argv; /* argv[0] is a path; it is to write to descriptor 3 when it is ready */
	const char *log_path;    /* standard output and error are appended */
	uint32_t deadline_ms;    /* for becoming ready */
};

/* Starts a program in a session of its own, away from our terminal and directory, and waits until it has written an
 * empty line to its ready descriptor. *ret_ready: what it wrote before (caller frees). On failure the error ends with
 * the last lines of its log, and nothing of it runs on. */
int process_start(const struct process_start *start, pid_t *ret_pid, char **ret_ready, struct error *error);
/* Runs a program to its end with this text on its standard input; what it prints goes to the log. Its exit status. */
int process_feed(const char *const *argv, const void *input, size_t len, const char *log_path, int *ret_status);
/* The end of a log file, escaped: for an error message. Caller frees; "" if there is none. */
char *process_log_tail(const char *path, unsigned int lines);
