/* One series of screens to one worker: what it was shown last, and when the next may go. Pure but for memory.
 *
 * One frame is under way at a time, so the last one sent is the last one acknowledged when the next is made, and a
 * worker that does not read costs one screen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/wire/screen.h"

#define SERIES_NEVER UINT64_MAX

struct series {
	bool on;
	bool waiting;         /* a frame is not acknowledged yet */
	bool keyframe;        /* the next starts from nothing */
	uint64_t interval_ms; /* between two frames; 0: at once */
	uint64_t generation;  /* of the emulator when `shown` was taken */
	uint64_t sent_ms;
	uint64_t frame;       /* the last number used */
	struct screen shown;
};

#define SERIES_NULL ((struct series){ .shown = SCREEN_NULL })

void series_deinit(struct series *series);
/* rate_hz 0: at once after each acknowledgement. Turned on: begins with a keyframe. */
void series_watch(struct series *series, bool on, unsigned int rate_hz, bool keyframe);
/* An acknowledgement of another frame than the one under way is ignored. */
void series_ack(struct series *series, uint64_t frame);
/* When a frame of this generation may be sent: now_ms or earlier: at once; SERIES_NEVER: nothing to send, or not
 * before something else happens. */
uint64_t series_due_ms(const struct series *series, uint64_t generation, uint64_t now_ms);
/* Appends the update. `scratch` is exchanged with the copy of the series (both keep their memory for the next time).
 * *ret_changed false: nothing was appended, there is nothing to send. -EMSGSIZE: not even a keyframe fits. */
int series_encode(struct series *series, const struct screen *screen, uint64_t generation, uint64_t now_ms,
	struct screen *scratch, struct buf *out, bool *ret_changed);
