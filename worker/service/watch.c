#include "worker/service/watch.h"

#define UNASKED_BYTES 256u
#define UNASKED_PAUSE_MS 4u /* what a program draws by itself without pause is paced by acknowledgements */
#define UNASKED_COUNT 8u

void series_init(struct series *series)
{
	*series = (struct series){ .screen = SCREEN_NULL };
	list_init(&series->watchers);
}

void series_deinit(struct series *series)
{
	require(list_empty(&series->watchers));
	screen_deinit(&series->screen);
}

int series_take(struct series *series, const void *update, size_t len, uint64_t frame)
{
	int r = screen_apply(&series->screen, update, len);

	series->unacked = frame;
	return r > 0 ? WATCH_E_KEYFRAME : r;
}

static bool wants_more(const struct watcher *watcher)
{
	return !watcher->in_flight && !watcher->need_keyframe && watcher->sent.frame == watcher->series->screen.frame;
}

uint64_t series_acknowledge(struct series *series)
{
	const struct watcher *watcher;
	uint64_t frame = series->unacked;

	if (!frame)
		return 0;
	list_for_each (watcher, &series->watchers, link) {
		if (!wants_more(watcher))
			continue;
		series->unacked = 0;
		return frame;
	}
	return 0;
}

void series_reset(struct series *series)
{
	struct watcher *watcher;

	screen_deinit(&series->screen);
	series->unacked = 0;
	list_for_each (watcher, &series->watchers, link)
		watcher->need_keyframe = true;
}

void watcher_init(struct watcher *watcher, struct series *series, uint32_t interval_ms)
{
	*watcher = (struct watcher){ .series = series, .sent = SCREEN_NULL, .interval_ms = interval_ms, .need_keyframe = true };
	list_append(&series->watchers, &watcher->link);
}

void watcher_deinit(struct watcher *watcher)
{
	list_remove(&watcher->link);
	screen_deinit(&watcher->sent);
}

static bool asks_ack(struct watcher *watcher, uint64_t now_ms, size_t len)
{
	bool paused = now_ms - watcher->sent_ms >= UNASKED_PAUSE_MS;

	if (watcher->need_keyframe || watcher->interval_ms || !paused || len > UNASKED_BYTES ||
		watcher->unasked >= UNASKED_COUNT)
		watcher->unasked = 0;
	else
		watcher->unasked++;
	watcher->sent_ms = now_ms;
	return !watcher->unasked;
}

int watcher_next(struct watcher *watcher, uint64_t now_ms, bool last, struct buf *out, uint64_t *ret_frame)
{
	const struct screen *newest = &watcher->series->screen;
	size_t len = out->len;
	bool changed = true;
	int r;

	if (!newest->frame || (!watcher->need_keyframe && watcher->sent.frame == newest->frame))
		return WATCH_E_NOTHING;
	if (!last && (watcher->in_flight || now_ms < watcher->due_ms))
		return WATCH_E_NOTHING;
	r = screen_encode(watcher->need_keyframe ? NULL : &watcher->sent, newest, out, &changed);
	if (r)
		return r;
	r = screen_copy(&watcher->sent, newest);
	if (r)
		return r;
	watcher->sent.frame = newest->frame;
	watcher->in_flight = asks_ack(watcher, now_ms, out->len - len) ? newest->frame : 0;
	watcher->need_keyframe = false;
	watcher->due_ms = now_ms + watcher->interval_ms;
	*ret_frame = newest->frame;
	return 0;
}

void watcher_failed(struct watcher *watcher)
{
	watcher->in_flight = 0;
	watcher->need_keyframe = true;
}

void watcher_ack(struct watcher *watcher, uint64_t frame, bool need_keyframe)
{
	if (frame == watcher->in_flight || need_keyframe)
		watcher->in_flight = 0;
	watcher->need_keyframe = watcher->need_keyframe || need_keyframe;
}

uint64_t watcher_due_ms(const struct watcher *watcher)
{
	bool behind = watcher->need_keyframe || watcher->sent.frame != watcher->series->screen.frame;

	return behind && watcher->series->screen.frame && !watcher->in_flight ? watcher->due_ms : UINT64_MAX;
}
