/* The files of a session's directory that outlive processes: who holds it (`holder`), how it ended (`exit`).
 *
 * A holder is its process id, that process's start time and the boot of the kernel; all three must match before
 * anything is adopted or signalled. The state file is made by link(), so it has one author: a holder that will run
 * the program, or a worker that recovers and plants a tombstone ("this never started"). Whoever is second gives way.
 *
 * Conditions: STATE_E_NOT_FOUND, STATE_E_TOMBSTONE, STATE_E_BROKEN, STATE_E_EXISTS, STATE_E_GONE, STATE_E_REBOOTED. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/schema/holder.pb-c.h"

enum {
	STATE_E_NOT_FOUND = 1, /* no such file */
	STATE_E_TOMBSTONE,     /* a tombstone: it never started and never will */
	STATE_E_BROKEN,        /* not what we wrote */
	STATE_E_EXISTS,        /* somebody was first */
	STATE_E_GONE,          /* that process does not run any more */
	STATE_E_REBOOTED,      /* it ran before this boot */
};

#define STATE_RUN_ID_BYTES 16

struct holder_id {
	uint64_t task;
	uint32_t attempt;
	uint8_t run_id[STATE_RUN_ID_BYTES];
	uint32_t pid;
	uint64_t start_time; /* field 22 of /proc/PID/stat */
	char boot_id[33];
};

struct holder_exit {
	int code;        /* exit status, -1 if it did not exit by itself */
	int signal;      /* 0: none */
	char *reason;    /* why it could not start, or NULL */
	int64_t time_ms; /* since 1970 */
};

void holder_exit_deinit(struct holder_exit *exit);
/* "exit 3", "killed by SIGTERM", or the reason. Caller frees; NULL when out of memory. */
char *holder_exit_text(const struct holder_exit *exit);

/* Fills pid, start time and boot id with this process's. */
int holder_id_self(struct holder_id *id);
/* STATE_E_EXISTS: there is a state file or a tombstone already. Durable when it returns. */
int holder_state_create(const char *session_dir, const struct holder_id *id);
/* A worker that recovers: STATE_E_EXISTS means a holder was first, read its state and adopt it. */
int holder_state_plant_tombstone(const char *session_dir, uint64_t task, uint32_t attempt, const uint8_t *run_id);
/* STATE_E_NOT_FOUND, STATE_E_TOMBSTONE (ret_id is filled), STATE_E_BROKEN. */
int holder_state_read(const char *session_dir, struct holder_id *ret_id);
/* 0: that very process runs. STATE_E_GONE, STATE_E_REBOOTED. */
int holder_verify(const struct holder_id *id);

/* Durable when it returns. */
int holder_exit_write(const char *session_dir, const struct holder_exit *exit);
/* STATE_E_NOT_FOUND (it runs still, or its holder was killed), STATE_E_BROKEN. */
int holder_exit_read(const char *session_dir, struct holder_exit *ret_exit);

/* To the wire (reason borrowed) and back (reason copied). */
void holder_exit_fill(const struct holder_exit *exit, Maestro__HolderExit *message);
int holder_exit_take(const Maestro__HolderExit *message, struct holder_exit *ret_exit);
