/* Where nng's threads end and the loop's thread begins. Private to proto/link.
 *
 * A link_call is one nng_aio that is outstanding at most once. Its nng callback only puts the call into the link's
 * queue of finished ones and wakes the eventfd, so the queue needs no memory of its own and is as long as there are
 * calls at most. Everything else happens on the loop's thread. */
#pragma once

#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <systemd/sd-event.h>
#include "proto/base/buf.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/link/link.h"

/* A single-shot timer on CLOCK_BOOTTIME. */
struct link_timer {
	sd_event_source *source;
	void (*fire)(struct link_timer *timer);
	uint64_t due_ms; /* 0: not set */
};

struct link {
	sd_event *event;
	struct log *log;
	struct log_limit log_limit;
	sd_event_source *done_source, *post_source;
	int done_fd;
	pthread_mutex_t lock; /* of `done`, `woken` and the calls' `quiet_bytes` */
	struct list done;     /* calls that nng has finished with */
	bool woken;           /* the loop has been told of what is in `done` */
	size_t busy_calls;
	struct list posts;
	struct list streams;
	struct list peers;
	struct list fetches;
	size_t owners; /* listeners and dialers that were not freed yet */
	struct link_timer tick; /* keepalive of all peers */
	bool dispatching;
	bool turn_is_over;      /* what ran last was long: the rest of `done` comes in the next turn of the loop */
};

/* One nng_aio. `done` runs on the loop's thread, once for each link_call_begin. */
struct link_call {
	struct list entry;
	struct link *link;
	nng_aio *aio;
	void (*done)(struct link_call *call);
	size_t quiet_bytes; /* if it ends well with this many, nobody need be woken for that; 0: always */
	bool busy;
};

int link_call_init(struct link_call *call, struct link *link, void (*done)(struct link_call *call));
/* To be called right before the aio is given to nng. With quiet_bytes the end of a call that moved just as many stays
 * unheard until the loop wakes for something else, or link_call_settle asks: most sends are the last for a while, and
 * hearing of each would cost the loop a wake-up beside the one that matters. */
void link_call_begin(struct link_call *call, size_t quiet_bytes);
/* Of a busy call. True: it had ended quietly and is not busy any more; `done` does not run. Else its end is no longer
 * quiet. */
bool link_call_settle(struct link_call *call);
/* Not while it is busy. Harmless on one that was never initialised. */
void link_call_deinit(struct link_call *call);

/* Something to do soon, on the loop's thread, when nobody's call is on the stack. */
struct link_post {
	struct list entry;
	void (*run)(struct link_post *post);
};

static inline void link_post_init(struct link_post *post, void (*run)(struct link_post *post))
{
	list_init(&post->entry);
	post->run = run;
}

/* Scheduling twice is once. */
void link_post_schedule(struct link *link, struct link_post *post);
void link_post_cancel(struct link_post *post);

int link_timer_set(struct link *link, struct link_timer *timer, uint64_t after_ms, uint64_t slack_ms);
void link_timer_deinit(struct link_timer *timer);

/* Wakes the keepalive of all peers; called when there is a new one. */
void link_tick_arm(struct link *link);

/* nng's codes, translated: a negative errno, and a sentence for people. */
int link_nng_errno(int rv);
const char *link_nng_text(int rv);

/* Appends header and packed envelope. */
int link_frame_append(struct buf *out, enum channel channel, const Maestro__Envelope *envelope);

/* A line that a peer provoked. */
void link_log_limited(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
