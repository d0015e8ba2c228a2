/* One live screen: opened on a task, kept as a struct screen, closed.
 *
 * The picture stays when the connection is lost, and the stream opens itself again on the next one. A frame that
 * does not fit asks for a keyframe by itself. Keys that were under way when something on the way died are sent again,
 * once (console/client/typed.h), where the far side can count them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "console/client/client.h"
#include "proto/wire/screen.h"

struct stream;

struct stream_ops {
	/* The screen is different. Unless `ack_by_hand` the frame is acknowledged when this returns. */
	void (*updated)(struct stream *stream, void *userdata);
	/* The far side closed it (session over, no such task): nothing more will come, the last picture stays. `why` is
	 * foreign text. stream_free may be called from here. */
	void (*closed)(struct stream *stream, const char *why, void *userdata);
	/* Only with `asks`: whether our keys are taken now, and if not, whether somebody else's are. May be NULL. */
	void (*driver)(struct stream *stream, bool driving, bool driven, void *userdata);
	/* Only to who drives: the program wants this in the person's clipboard. Untrusted bytes; ask. May be NULL. */
	void (*clipboard)(struct stream *stream, const void *data, size_t len, void *userdata);
	/* Keys that stream_send had taken will not be typed. `unread`: the program does not read them. May be NULL. */
	void (*keys_lost)(struct stream *stream, size_t bytes, bool unread, void *userdata);
};

struct stream_config {
	uint64_t task;
	uint32_t attempt;  /* 0: the newest */
	Maestro__StreamKind kind;
	uint32_t rate_hz;  /* tiles: frames a second at most, 0: the worker's default */
	bool drive;        /* our keys and our size */
	bool asks;         /* with drive: only if nobody else does; ops->driver is told */
	bool take_over;    /* with asks: even so, the first time */
	uint32_t cols, rows; /* with drive; 0: leave the session's size alone */
	bool ack_by_hand;  /* call stream_ack when the picture was shown */
	const struct stream_ops *ops;
	void *userdata;
};

/* Opens at once, or as soon as there is a connection. `client` outlives it. */
int stream_open(struct stream **ret_stream, struct client *client, const struct stream_config *config);
/* Tells the far side, if it is still open. */
void stream_free(struct stream *stream);
DEFINE_CLEANUP(struct stream *, stream_free)

uint64_t stream_task(const struct stream *stream);
/* SCREEN_NULL (0 x 0) until the first frame. */
const struct screen *stream_screen(const struct stream *stream);
bool stream_closed(const struct stream *stream);
/* The newest frame was shown: the next may come. Harmless when there is none to acknowledge. */
void stream_ack(struct stream *stream);
/* Opens one that the far side closed again, with the keys that wait. Harmless if it is open. */
void stream_reopen(struct stream *stream);
/* Keys, as a terminal sends them. While nobody can take them they wait for a while; dropped with CLIENT_E_UNREACHABLE or
 * LINK_E_CLOSED when that is over, or was never possible. -ENOBUFS: 1 MiB waits. */
int stream_send(struct stream *stream, const void *data, size_t len);
/* Bytes of keys that were typed since the connection was lost, and wait. */
size_t stream_waiting_bytes(const struct stream *stream);
/* With `asks`: takes the keys from whoever has them. */
int stream_take_over(struct stream *stream);
/* A new size of the watching terminal; only with drive. */
int stream_resize(struct stream *stream, uint32_t cols, uint32_t rows);
