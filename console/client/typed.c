#include "console/client/typed.h"

#include <errno.h>
#include <sodium.h>

void typed_init(struct typed *typed)
{
	*typed = (struct typed){ .bytes = BUF_LIMIT(TYPED_BYTES_MAX) };
	randombytes_buf(&typed->source, sizeof(typed->source));
}

void typed_deinit(struct typed *typed)
{
	buf_deinit(&typed->bytes);
}

uint64_t typed_end(const struct typed *typed)
{
	return typed->taken + typed->bytes.len;
}

int typed_add(struct typed *typed, const void *data, size_t len)
{
	if (typed->bytes.len + len > TYPED_BYTES_MAX)
		return -ENOBUFS;
	return buf_append(&typed->bytes, data, len);
}

void typed_take_back(struct typed *typed, size_t len)
{
	typed->bytes.len -= len < typed->bytes.len ? len : typed->bytes.len;
}

bool typed_asks(struct typed *typed)
{
	if (typed_end(typed) - typed->asked < TYPED_ASK_BYTES)
		return false;
	typed->asked = typed_end(typed);
	return true;
}

void typed_lost(struct typed *typed, uint64_t now_ms)
{
	if (typed->lost_ms)
		return;
	typed->lost_ms = now_ms;
	typed->lost_end = typed_end(typed);
}

size_t typed_waiting(const struct typed *typed)
{
	uint64_t from = typed->lost_end > typed->taken ? typed->lost_end : typed->taken;

	return typed->lost_ms ? (size_t)(typed_end(typed) - from) : 0;
}

bool typed_keeps(const struct typed *typed, uint64_t now_ms)
{
	return typed->counted && typed->lost_ms && now_ms - typed->lost_ms < TYPED_WAIT_MS;
}

void typed_opened(struct typed *typed)
{
	typed->counts = TYPED_UNKNOWN;
	typed->waits = typed->bytes.len > 0;
	typed->asked = typed->taken;
}

size_t typed_restart(struct typed *typed)
{
	size_t waiting = typed_waiting(typed);

	buf_deinit(&typed->bytes);
	typed->bytes = BUF_LIMIT(TYPED_BYTES_MAX);
	randombytes_buf(&typed->source, sizeof(typed->source));
	typed->taken = typed->asked = typed->lost_end = 0;
	typed->waits = false;
	return waiting;
}

size_t typed_told_counts(struct typed *typed, bool counts)
{
	size_t waiting = 0;

	if (typed->counts != TYPED_UNKNOWN)
		return 0;
	typed->counts = counts ? TYPED_COUNTED : TYPED_UNCOUNTED;
	typed->counted = counts;
	if (!counts)
		waiting = typed_restart(typed);
	if (!typed->waits)
		typed->lost_ms = 0;
	return waiting;
}

size_t typed_told_taken(struct typed *typed, uint64_t taken, bool gap, uint64_t now_ms, bool *ret_send)
{
	bool late = typed->lost_ms && now_ms - typed->lost_ms >= TYPED_WAIT_MS;
	size_t left;

	*ret_send = false;
	if (taken < typed->taken || taken > typed_end(typed))
		return 0; /* of another time */
	buf_consume(&typed->bytes, (size_t)(taken - typed->taken));
	typed->taken = taken;
	typed->lost_ms = 0;
	left = typed->bytes.len;
	if (typed->waits && late) {
		typed_restart(typed);
		return left;
	}
	*ret_send = left && (typed->waits || gap);
	typed->waits = false;
	return 0;
}
