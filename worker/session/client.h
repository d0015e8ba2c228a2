/* The worker's side of session holders: start one, find one again, speak to it. All on one sd-event loop, nothing
 * blocks but a few system calls.
 *
 * A session: make its directory (0700), holder_spawn, and when that has called back with 0, holder_connect. After a
 * restart of the worker: holder_state_read and holder_verify (worker/session/state.h), then holder_connect; if no
 * process is there any more, holder_exit_read tells how it ended, if the holder lived to write that.
 *
 * Callbacks come from the loop, never from inside a function of this header. Any of them may free its object. Data
 * handed to a callback is borrowed until it returns.
 *
 * Conditions: HOLDER_E_EXISTS, HOLDER_E_REFUSED; those of worker/session/state.h where said. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/error.h"
#include "proto/schema/holder.pb-c.h"
#include "worker/session/state.h"

enum {
	HOLDER_E_EXISTS = 1, /* another holder or a tombstone has this session's state file: nothing was executed */
	HOLDER_E_REFUSED,    /* the holder could not begin (no PTY, disk full, …): the sentence says why */
};

struct holder_spec {
	uint64_t task;
	uint32_t attempt;
	const uint8_t *run_id;      /* STATE_RUN_ID_BYTES */
	const char *session_dir;    /* absolute */
	const char *const *argv;    /* NULL-terminated; argv[0] is looked up on PATH */
	const char *const *env;     /* "KEY=VALUE", NULL-terminated; NULL: none. Wins over what is always there */
	const char *cwd;            /* absolute */
	unsigned int cols, rows;    /* 0: 80 x 24 */
	uint64_t transcript_limit_bytes; /* of the file; UINT64_MAX: the default, 0: no transcript */
	uint64_t grace_ms;          /* between SIGTERM and SIGKILL; 0: 10 s */
	int nice;
	uint64_t limit_memory_bytes, limit_files, limit_processes; /* 0: as the worker's */
};

/* Once. r: 0 (the holder runs, id is set: connect to it), HOLDER_E_EXISTS, HOLDER_E_REFUSED, or an errno (-ETIMEDOUT
 * after 30 s). A program that cannot be executed is no failure of the spawn: the session ends with a reason. */
typedef void (*holder_spawned_fn)(void *userdata, int r, const struct holder_id *id, const char *why);
struct holder_spawn;

/* Starts maestro-session. The spec is copied. -E2BIG if it is above 2 MiB, IO_E_NOT_FOUND (1) if maestro-session is
 * not installed; both with a sentence. */
int holder_spawn(sd_event *event, const struct holder_spec *spec, holder_spawned_fn spawned, void *userdata,
	struct holder_spawn **ret_spawn, struct error *error);
/* Forgets the callback; the holder, if it comes up, stays. Also the way to free it after the callback. NULL is well. */
void holder_spawn_free(struct holder_spawn *spawn);
DEFINE_CLEANUP(struct holder_spawn *, holder_spawn_free)

struct holder;

struct holder_hello {
	struct holder_id id;
	uint32_t program_pid; /* 0: none */
	unsigned int cols, rows;
	bool exited;          /* an exit follows */
	uint64_t output_bytes; /* printed so far */
	bool counts;          /* input with a source, see holder_send_typed */
};

/* What a holder has taken of a source. */
struct holder_taken {
	uint64_t source, taken;
	uint64_t dropped; /* just now, for the program does not read */
	bool gap;         /* something before the last input is missing */
};

/* Any may be NULL. */
struct holder_ops {
	/* Once, first of all. */
	void (*hello)(void *userdata, const struct holder_hello *hello);
	/* A packed ScreenUpdate, put together. Acknowledge it (holder_send_ack) to get the next. */
	void (*screen)(void *userdata, Maestro__HolderSeries series, uint64_t frame, const void *data, size_t len);
	/* At most 4 a second. title NULL: as before (not NUL-terminated). */
	void (*activity)(void *userdata, uint64_t output_bytes, const char *title, size_t title_len, bool bell);
	/* The whole answer to one holder_ask_screenshot, in the order asked. */
	void (*screenshot)(void *userdata, const void *data, size_t len);
	/* Asked for with holder_send_typed, or because something is wrong. */
	void (*taken)(void *userdata, const struct holder_taken *taken);
	/* The program wants this in the person's clipboard. Untrusted bytes, once a second at most. */
	void (*clipboard)(void *userdata, const void *data, size_t len);
	/* A holder that is older than what it was sent: the message's number in HolderMessage. */
	void (*unsupported)(void *userdata, uint32_t body);
	/* All processes of the session are gone. The exit is on disk, or waits in the holder for room there; it is told once
	 * on each connection. */
	void (*exit)(void *userdata, const struct holder_exit *exit);
	/* Once, last: r 0 if the holder closed, else an errno; -EPROTONOSUPPORT: it speaks none of our versions. Only holder_free may follow. */
	void (*closed)(void *userdata, int r);
};

/* -ENOENT and -ECONNREFUSED: no holder is there. -EPERM: somebody else's. Does not wait for the hello. The path may
 * be longer than a socket's address. */
int holder_connect(sd_event *event, const char *session_dir, const struct holder_ops *ops, void *userdata,
	struct holder **ret_holder);
void holder_free(struct holder *holder);
DEFINE_CLEANUP(struct holder *, holder_free)

/* Queued at once, sent as the holder reads. -ENOBUFS: 8 MiB wait already (nothing was queued). -EPIPE: closed. */
int holder_send_watch(struct holder *holder, Maestro__HolderSeries series, bool on, unsigned int rate_hz, bool keyframe);
int holder_send_ack(struct holder *holder, Maestro__HolderSeries series, uint64_t frame);
int holder_send_input(struct holder *holder, const void *data, size_t len);
/* Bytes that the holder types once, however often they are sent: `offset` is where the first stands in all that this source
 * sends. `tell`: ops->taken answers. A holder that does not count types them as holder_send_input. */
int holder_send_typed(struct holder *holder, uint64_t source, uint64_t offset, const void *data, size_t len, bool tell);
int holder_send_resize(struct holder *holder, unsigned int cols, unsigned int rows);
/* grace_ms UINT64_MAX: the spec's; 0: SIGKILL at once. */
int holder_send_kill(struct holder *holder, uint64_t grace_ms);
/* Only after the exit was told and journalled: the holder goes, `closed` follows. */
int holder_send_forget(struct holder *holder);
/* scrollback_bytes: this much of the lines above the screen goes before it; a holder of an older version leaves it out. */
int holder_ask_screenshot(struct holder *holder, bool ansi, uint32_t scrollback_bytes);
int holder_send_mark(struct holder *holder, const void *text, size_t len);
