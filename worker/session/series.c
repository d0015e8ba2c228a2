#include "worker/session/series.h"

void series_deinit(struct series *series)
{
	screen_deinit(&series->shown);
}

void series_watch(struct series *series, bool on, unsigned int rate_hz, bool keyframe)
{
	if (!on || keyframe || !series->on) {
		series->waiting = false;
		series->keyframe = true;
	}
	if (!on)
		screen_deinit(&series->shown);
	series->on = on;
	series->interval_ms = rate_hz ? 1000 / (rate_hz < 1000 ? rate_hz : 1000) : 0;
}

void series_ack(struct series *series, uint64_t frame)
{
	if (series->waiting && frame == series->frame)
		series->waiting = false;
}

void series_input(struct series *series)
{
	series->credit = SERIES_BURST;
}

static uint64_t interval_ms(const struct series *series)
{
	if (series->interval_ms || series->credit)
		return series->interval_ms;
	return series->printed_bytes - series->sent_bytes > SERIES_FLOOD_BYTES ? SERIES_FLOOD_PACE_MS : SERIES_PACE_MS;
}

static void spend_credit(struct series *series, uint64_t now_ms)
{
	if (now_ms - series->sent_ms >= SERIES_QUIET_MS)
		series->credit = SERIES_BURST;
	if (series->credit)
		series->credit--;
}

uint64_t series_due_ms(const struct series *series, uint64_t generation, uint64_t now_ms)
{
	if (!series->on || series->waiting)
		return SERIES_NEVER;
	if (series->keyframe)
		return now_ms;
	if (series->generation == generation)
		return SERIES_NEVER;
	return series->sent_ms + interval_ms(series);
}

int series_encode(struct series *series, const struct screen *screen, uint64_t generation, uint64_t now_ms,
	struct screen *scratch, struct buf *out, bool *ret_changed)
{
	struct screen shown;
	bool changed;
	size_t len = out->len;
	int r;

	r = screen_copy(scratch, screen);
	if (r)
		return r;
	scratch->frame = series->frame + 1;
	r = screen_encode(series->keyframe ? NULL : &series->shown, scratch, out, &changed);
	if (r)
		return r;
	series->generation = generation;
	if (!changed && !series->keyframe) {
		out->len = len;
		*ret_changed = false;
		return 0;
	}
	shown = series->shown;
	series->shown = *scratch;
	*scratch = shown;
	series->frame++;
	spend_credit(series, now_ms);
	series->sent_ms = now_ms;
	series->sent_bytes = series->printed_bytes;
	series->waiting = true;
	series->keyframe = false;
	*ret_changed = true;
	return 0;
}
