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

/* `At once` is for people: what they type, and the first pictures after a pause. A program that paints without end gets
 * this long between two pictures then, and one that floods (more than anybody reads) a little longer. */
#define SERIES_BURST 8u
#define SERIES_PACE_MS 33u
#define SERIES_FLOOD_PACE_MS 66u
#define SERIES_FLOOD_BYTES (64u * 1024) /* between two pictures */
#define SERIES_QUIET_MS 100u            /* a pause this long makes it `at once` again */

struct series {
	bool on;
	bool waiting;         /* a frame is not acknowledged yet */
	bool keyframe;        /* the next starts from nothing */
	uint64_t interval_ms; /* between two frames; 0: at once */
	uint64_t generation;  /* of the emulator when `shown` was taken */
	uint64_t sent_ms;
	unsigned int credit;  /* pictures that may still go at once */
	uint64_t printed_bytes, sent_bytes; /* of the session: so far (its owner keeps it true), and at the last picture */
	uint64_t frame;       /* the last number used */
	struct screen shown;
};

#define SERIES_NULL ((struct series){ .shown = SCREEN_NULL, .credit = SERIES_BURST })

void series_deinit(struct series *series);
/* rate_hz 0: at once after each acknowledgement, paced as above. Turned on: begins with a keyframe. */
void series_watch(struct series *series, bool on, unsigned int rate_hz, bool keyframe);
/* An acknowledgement of another frame than the one under way is ignored. */
void series_ack(struct series *series, uint64_t frame);
/* Somebody typed: the next pictures go at once. */
void series_input(struct series *series);
/* When a frame of this generation may be sent: now_ms or earlier: at once; SERIES_NEVER: nothing to send, or not
 * before something else happens. */
uint64_t series_due_ms(const struct series *series, uint64_t generation, uint64_t now_ms);
/* Appends the update. `scratch` is exchanged with the copy of the series (both keep their memory for the next time).
 * *ret_changed false: nothing was appended, there is nothing to send. -EMSGSIZE: not even a keyframe fits. */
int series_encode(struct series *series, const struct screen *screen, uint64_t generation, uint64_t now_ms,
	struct screen *scratch, struct buf *out, bool *ret_changed);
