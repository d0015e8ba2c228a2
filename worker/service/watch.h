/* Who watches a screen, and what each is sent next. Pure: updates of a holder in, updates for watchers out.
 *
 * A series holds the newest picture, and for each watcher a copy of what that one was sent last. One frame is under
 * way to a watcher at a time; when it is acknowledged the next one is the difference to the newest picture, so who is
 * slow skips frames and never holds up anybody else. The holder gets its acknowledgement as soon as one watcher has
 * taken the newest picture in: the fastest sets the pace.
 *
 * A small update after a pause, as a typed key makes it, is given without waiting for an acknowledgement, which would
 * cost every program on the way as much as the update. A few of them, then one is waited for.
 *
 * Conditions: WATCH_E_NOTHING, WATCH_E_KEYFRAME. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/base/list.h"
#include "proto/wire/screen.h"

enum {
	WATCH_E_NOTHING = 1, /* nothing is to be sent now */
	WATCH_E_KEYFRAME,    /* the update does not fit: ask the holder for a keyframe */
};

struct series {
	struct screen screen; /* newest; frame 0: none yet */
	struct list watchers; /* struct watcher */
	uint64_t unacked;     /* the holder's frame that waits for our acknowledgement, 0: none */
};

struct watcher {
	struct list link;     /* in its series */
	struct series *series;
	struct screen sent;   /* what it shows once it has taken in what is under way */
	uint64_t in_flight;   /* frame under way, 0: none */
	bool need_keyframe;
	uint32_t interval_ms; /* 0: at once */
	uint64_t due_ms;      /* not before */
	uint64_t sent_ms;     /* when the last one was given */
	unsigned int unasked; /* given since the last one that is acknowledged */
};

void series_init(struct series *series);
/* No watcher may be left. */
void series_deinit(struct series *series);
/* Takes an update of the holder. WATCH_E_KEYFRAME: it was not used. */
int series_take(struct series *series, const void *update, size_t len, uint64_t frame);
/* The frame that the holder is to be told as taken, 0: none (yet). With nobody waiting for it there is no hurry. */
uint64_t series_acknowledge(struct series *series);
/* The holder begins again from nothing. */
void series_reset(struct series *series);

void watcher_init(struct watcher *watcher, struct series *series, uint32_t interval_ms);
void watcher_deinit(struct watcher *watcher);
/* Appends the update that this watcher gets now; if it is not in flight then, no acknowledgement is to be asked.
 * WATCH_E_NOTHING; look again at watcher_due_ms. `last`: send it even though another is under way, for there will be no
 * later one. */
int watcher_next(struct watcher *watcher, uint64_t now_ms, bool last, struct buf *out, uint64_t *ret_frame);
/* It was not sent after all: the next one will be a keyframe. */
void watcher_failed(struct watcher *watcher);
void watcher_ack(struct watcher *watcher, uint64_t frame, bool need_keyframe);
/* When watcher_next may have something only because time passed, UINT64_MAX: never. */
uint64_t watcher_due_ms(const struct watcher *watcher);
