/* The bridge between nng's threads and the loop, and the life of a link. See bridge.h. */
#include "proto/link/bridge.h"
#include "proto/link/dial.h"
#include "proto/link/peer.h"
#include "proto/link/stream.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* On one of nng's threads. Must not block, must not free. */
static void call_finished(void *userdata)
{
	struct link_call *call = userdata;
	struct link *link = call->link;
	uint64_t one = 1;
	bool wake, wanted;

	pthread_mutex_lock(&link->lock);
	wanted = !call->quiet_bytes || nng_aio_result(call->aio) || nng_aio_count(call->aio) < call->quiet_bytes;
	wake = wanted && !link->woken;
	link->woken = link->woken || wanted;
	list_append(&link->done, &call->entry);
	pthread_mutex_unlock(&link->lock);
	if (wake && write(link->done_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable anyway */
}

int link_call_init(struct link_call *call, struct link *link, void (*done)(struct link_call *call))
{
	*call = (struct link_call){ .link = link, .done = done };
	list_init(&call->entry);
	return link_nng_errno(nng_aio_alloc(&call->aio, call_finished, call));
}

void link_call_begin(struct link_call *call, size_t quiet_bytes)
{
	require(!call->busy);
	call->busy = true;
	call->quiet_bytes = quiet_bytes;
	call->link->busy_calls++;
}

bool link_call_settle(struct link_call *call)
{
	struct link *link = call->link;
	bool settled;

	pthread_mutex_lock(&link->lock);
	settled = list_linked(&call->entry) && call->quiet_bytes && !nng_aio_result(call->aio) &&
		nng_aio_count(call->aio) == call->quiet_bytes;
	if (settled)
		list_remove(&call->entry);
	call->quiet_bytes = 0;
	pthread_mutex_unlock(&link->lock);
	if (!settled)
		return false;
	call->busy = false;
	link->busy_calls--;
	return true;
}

void link_call_deinit(struct link_call *call)
{
	require(!call->busy);
	if (call->aio)
		nng_aio_free(call->aio); /* waits until call_finished has returned */
	call->aio = NULL;
}

static struct link_call *take_done(struct link *link)
{
	struct link_call *call;

	pthread_mutex_lock(&link->lock);
	call = list_first(&link->done, struct link_call, entry);
	if (call)
		list_remove(&call->entry);
	pthread_mutex_unlock(&link->lock);
	return call;
}

static void run_posts(struct link *link)
{
	struct list now;
	struct link_post *post;

	/* Those that are scheduled while these run come next time, so that nobody can keep the loop here. */
	list_init(&now);
	while ((post = list_first(&link->posts, struct link_post, entry))) {
		list_remove(&post->entry);
		list_append(&now, &post->entry);
	}
	while ((post = list_first(&now, struct link_post, entry))) {
		list_remove(&post->entry);
		post->run(post);
	}
}

static void dispatch(struct link *link)
{
	struct link_call *call;
	unsigned int budget = 256; /* then others of the loop have their turn */
	uint64_t count;

	if (read(link->done_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	pthread_mutex_lock(&link->lock);
	link->woken = false;
	pthread_mutex_unlock(&link->lock);
	link->dispatching = true;
	link->turn_is_over = false;
	while (budget-- && !link->turn_is_over && (call = take_done(link))) {
		call->busy = false;
		link->busy_calls--;
		call->done(call);
	}
	count = 1;
	pthread_mutex_lock(&link->lock);
	if (!list_empty(&link->done) && !link->woken) {
		link->woken = true;
		if (write(link->done_fd, &count, sizeof(count)) < 0)
			count = 0; /* cannot be: the counter was read above */
	}
	pthread_mutex_unlock(&link->lock);
	run_posts(link);
	link->dispatching = false;
	if (!list_empty(&link->posts))
		sd_event_source_set_enabled(link->post_source, SD_EVENT_ONESHOT);
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	dispatch(userdata);
	return 0;
}

static int on_post(sd_event_source *source, void *userdata)
{
	struct link *link = userdata;

	link->dispatching = true;
	run_posts(link);
	link->dispatching = false;
	if (!list_empty(&link->posts))
		sd_event_source_set_enabled(link->post_source, SD_EVENT_ONESHOT);
	return 0;
}

void link_post_schedule(struct link *link, struct link_post *post)
{
	if (list_linked(&post->entry))
		return;
	list_append(&link->posts, &post->entry);
	if (!link->dispatching)
		sd_event_source_set_enabled(link->post_source, SD_EVENT_ONESHOT);
}

void link_post_cancel(struct link_post *post)
{
	list_remove(&post->entry);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct link_timer *timer = userdata;

	timer->due_ms = 0;
	timer->fire(timer);
	return 0;
}

int link_timer_set(struct link *link, struct link_timer *timer, uint64_t after_ms, uint64_t slack_ms)
{
	uint64_t slack_us = slack_ms ? slack_ms * 1000 : 1; /* 0 would mean 250 ms */
	int r;

	timer->due_ms = clock_boottime_ms() + after_ms;
	if (!timer->source)
		return sd_event_add_time(link->event, &timer->source, CLOCK_BOOTTIME, timer->due_ms * 1000, slack_us,
			on_timer, timer);
	r = sd_event_source_set_time(timer->source, timer->due_ms * 1000);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT);
}

void link_timer_deinit(struct link_timer *timer)
{
	timer->source = sd_event_source_disable_unref(timer->source);
	timer->due_ms = 0;
}

/* One timer for the keepalive of all peers, with a second of slack: many idle peers cost one wake-up. */
static void on_tick(struct link_timer *timer)
{
	struct link *link = container_of(timer, struct link, tick);
	uint64_t now_ms = clock_boottime_ms(), next_ms = UINT64_MAX, due_ms;
	struct link_peer *peer, *tmp;

	list_for_each_safe(peer, tmp, &link->peers, link_entry) {
		due_ms = link_peer_tick(peer, now_ms);
		next_ms = due_ms < next_ms ? due_ms : next_ms;
	}
	if (next_ms != UINT64_MAX)
		link_timer_set(link, timer, next_ms > now_ms ? next_ms - now_ms : 1, 1000);
}

void link_tick_arm(struct link *link)
{
	if (!link->tick.due_ms)
		link_timer_set(link, &link->tick, LIMIT_PING_MS, 1000);
}

static int open_sources(struct link *link)
{
	int r;

	link->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->done_fd < 0)
		return -errno;
	r = sd_event_add_io(link->event, &link->done_source, link->done_fd, EPOLLIN, on_done, link);
	if (r < 0)
		return r;
	r = sd_event_add_defer(link->event, &link->post_source, on_post, link);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(link->post_source, SD_EVENT_OFF);
}

/* nng's threads inherit the mask of whoever starts them: with everything blocked no signal is ever theirs. */
static int start_nng(void)
{
	sigset_t all, old;
	nng_aio *aio;
	int rv;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rv = nng_aio_alloc(&aio, NULL, NULL);
	if (!rv)
		nng_aio_free(aio);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return link_nng_errno(rv);
}

int link_new(struct link **ret_link, sd_event *event, struct log *log)
{
	_cleanup_(link_free_p) struct link *link = NULL;
	int r;

	r = id_init();
	if (r)
		return r;
	r = start_nng();
	if (r)
		return r;
	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->done_fd = -1;
	link->log = log;
	link->log_limit = LOG_LIMIT(10000, 20);
	link->tick.fire = on_tick;
	pthread_mutex_init(&link->lock, NULL);
	list_init(&link->done);
	list_init(&link->posts);
	list_init(&link->streams);
	list_init(&link->peers);
	list_init(&link->fetches);
	link->event = sd_event_ref(event);
	r = open_sources(link);
	if (r < 0)
		return r;
	*ret_link = take(link);
	return 0;
}

/* Every call that nng still has comes back once its stream, dialer or listener is closed, which has been done. */
static void wait_for_calls(struct link *link)
{
	while (link->busy_calls || !list_empty(&link->posts)) {
		struct pollfd poll_fd = { .fd = link->done_fd, .events = POLLIN };

		if (link->busy_calls && list_empty(&link->posts))
			poll(&poll_fd, 1, -1);
		dispatch(link);
	}
}

void link_free(struct link *link)
{
	struct link_peer *peer;

	require(!link->owners && !link->dispatching);
	while ((peer = list_first(&link->peers, struct link_peer, link_entry)))
		link_peer_destroy(peer);
	link_dial_cancel_all(&link->fetches);
	wait_for_calls(link);
	require(list_empty(&link->streams));
	link_timer_deinit(&link->tick);
	sd_event_source_disable_unref(link->done_source);
	sd_event_source_disable_unref(link->post_source);
	if (link->done_fd >= 0)
		close(link->done_fd);
	sd_event_unref(link->event);
	pthread_mutex_destroy(&link->lock);
	free(link);
}

static const struct {
	int rv, error;
	const char *text;
} nng_codes[] = {
	{ NNG_EINTR, EINTR, "interrupted" },
	{ NNG_ENOMEM, ENOMEM, "out of memory" },
	{ NNG_EINVAL, EINVAL, "an invalid argument" },
	{ NNG_EBUSY, EBUSY, "busy" },
	{ NNG_ETIMEDOUT, ETIMEDOUT, "no answer in time" },
	{ NNG_ECONNREFUSED, ECONNREFUSED, "connection refused: nothing listens there" },
	{ NNG_ECLOSED, ECONNRESET, "the connection was closed" },
	{ NNG_ENOTSUP, EOPNOTSUPP, "not supported" },
	{ NNG_EADDRINUSE, EADDRINUSE, "the address is in use" },
	{ NNG_ENOENT, ENOENT, "no such socket: nothing listens there" },
	{ NNG_EPROTO, EPROTO, "a protocol error" },
	{ NNG_EUNREACHABLE, EHOSTUNREACH, "the host cannot be reached" },
	{ NNG_EADDRINVAL, EADDRNOTAVAIL, "no such host or address" },
	{ NNG_EPERM, EACCES, "permission denied" },
	{ NNG_ECONNABORTED, ECONNABORTED, "the connection was aborted" },
	{ NNG_ECONNRESET, ECONNRESET, "the other side reset the connection" },
	{ NNG_ECANCELED, ECANCELED, "cancelled" },
	{ NNG_ENOFILES, EMFILE, "too many open files" },
	{ NNG_ENOSPC, ENOSPC, "no space" },
	{ NNG_ECONNSHUT, ECONNRESET, "the other side closed the connection" },
};

int link_nng_errno(int rv)
{
	if (rv & NNG_ESYSERR)
		return -(rv & ~NNG_ESYSERR);
	for (size_t i = 0; i < ARRAY_SIZE(nng_codes); i++)
		if (nng_codes[i].rv == rv)
			return -nng_codes[i].error;
	return rv ? -EIO : 0;
}

const char *link_nng_text(int rv)
{
	for (size_t i = 0; i < ARRAY_SIZE(nng_codes); i++)
		if (nng_codes[i].rv == rv)
			return nng_codes[i].text;
	return nng_strerror(rv);
}

int link_frame_append(struct buf *out, enum channel channel, const Maestro__Envelope *envelope)
{
	uint8_t header[FRAME_HEADER_BYTES];
	size_t len = protobuf_c_message_get_packed_size(&envelope->base);
	int r;

	r = buf_reserve(out, sizeof(header) + len);
	if (r)
		return r;
	frame_put_header(header, channel, (uint32_t)len);
	buf_append(out, header, sizeof(header));
	return message_pack(envelope, out);
}

void link_log_limited(struct link *link, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	unsigned int dropped = 0;
	va_list args;

	if (!log_limit_pass(&link->log_limit, clock_boottime_ms(), &dropped))
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text && dropped)
		log_info(link->log, "%s (%u lines like this left out)", text, dropped);
	else if (text)
		log_info(link->log, "%s", text);
}
