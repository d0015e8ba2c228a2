/* The holder of one session: its program on a terminal, its screen, its transcript, and the workers that look.
 * Private to maestro-session.
 *
 * One root object owns everything. The program's output is drained whatever the workers do: what is meant for them
 * waits in bounded queues, and screens are made only when the last one was acknowledged. After the program and all
 * that it started are gone the exit goes to disk, then to every worker that is or comes connected, and the holder
 * stays until one of them says forget. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "proto/base/buf.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/schema/holder.pb-c.h"
#include "proto/wire/message.h"
#include "worker/screen/emulator.h"
#include "worker/session/cgroup.h"
#include "worker/session/hold.h"
#include "worker/session/pty.h"
#include "worker/session/sources.h"
#include "worker/session/state.h"
#include "worker/session/transcript.h"

#define SESSION_SPEC_BYTES_MAX (2u * 1024 * 1024)
#define SESSION_INPUT_BYTES_MAX (1024u * 1024) /* waiting for the program to read */
#define SESSION_SCROLLBACK_BYTES (2u << 20) /* 20,000 full lines of 80 letters; taken as they come, 64 KiB at a time */
#define SESSION_ACTIVITY_MS 250u
#define SESSION_CLIPBOARD_MS 1000u
#define SESSION_GRACE_MS 10000u
#define SESSION_LEFTOVER_GRACE_MS 2000u /* for what a program leaves behind when it ends by itself */

enum session_phase {
	SESSION_RUNS,
	SESSION_ENDS, /* the program is gone, what it left behind is being ended */
	SESSION_OVER, /* the exit is known, and written if the disk takes it */
};

enum session_kill {
	KILL_NONE,
	KILL_TERM,
	KILL_HANGUP,
	KILL_KILL,
};

struct session {
	struct log log;
	sd_event *event;
	struct message spec_message; /* owns what `spec` points to */
	const Maestro__HolderSpec *spec;
	char *dir;
	char **argv, **env;
	char *cwd;
	struct pty_spec pty_spec;
	uint64_t grace_ms;
	uint64_t transcript_limit_bytes;
	struct holder_id id;

	struct cgroup cgroup;
	struct pty pty;
	sd_event_source *pty_source;
	struct buf input;
	struct sources sources; /* of input that is counted */
	struct buf behind; /* read and written down, but not shown yet */
	bool wants_output; /* EPOLLOUT is asked for */
	struct emulator *emulator;
	struct screen scratch; /* see series_encode */
	struct hold hold;
	struct transcript *transcript;
	uint64_t output_bytes;

	int listen_fd;
	sd_event_source *listen_source;
	struct list peers;
	unsigned int peer_count;

	sd_event_source *flush_timer, *hold_timer, *show_timer, *turn_timer, *activity_timer, *clipboard_timer, *kill_timer, *exit_timer;
	sd_event_source *signal_sources[3];

	uint64_t clipboard_ms; /* when the last one was told */
	uint64_t activity_ms; /* when the last one was told */
	uint64_t told_output_bytes, told_bells, told_title_changes;

	enum session_phase phase;
	enum session_kill kill;
	uint64_t kill_grace_ms;
	bool leave_when_over; /* asked to by a signal: nobody will say forget */
	struct holder_exit exit;
	uint64_t exit_wait_ms; /* it could not be written: until the next try */
};

/* Takes the spec's memory. */
int session_new(struct session **ret_session, struct message *spec, struct error *error);
void session_free(struct session *session);
DEFINE_CLEANUP(struct session *, session_free)
/* Opens everything, takes the session's state file, executes the program. STATE_E_EXISTS: gave way. When it returns
 * 0 the session is there, though the program may have failed to start (an exit follows). */
int session_start(struct session *session, struct error *error);

/* After something may have changed the picture: sends what is due, arms the timer for the rest. */
void session_show(struct session *session);
/* Queues bytes for the program. -ENOBUFS. */
int session_input(struct session *session, const void *data, size_t len);
/* Writes down what is on the screen now, so that the recording can be played from here. */
void session_keyframe(struct session *session);
void session_resize(struct session *session, unsigned int cols, unsigned int rows);
/* Reads what the program printed, until there is no more for now or `limit` bytes. *ret_closed: nothing more comes. */
void session_drain(struct session *session, size_t limit_bytes, bool *ret_closed);
/* Calls `fire` once after that time; a timer that runs already is set anew. -errno is logged: it can only be ENOMEM. */
void session_arm(struct session *session, sd_event_source **source, uint64_t after_ms, sd_event_time_handler_t fire);
bool session_armed(sd_event_source *source);

/* ending.c */
int ending_init(struct session *session);
void ending_kill(struct session *session, uint64_t grace_ms);

/* server.c */
int server_init(struct session *session);
