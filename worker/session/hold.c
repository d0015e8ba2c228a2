#include "worker/session/hold.h"

bool hold_check(struct hold *hold, bool synchronized, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	if (!synchronized) {
		hold->on = false;
		return false;
	}
	if (!hold->on) {
		hold->on = true;
		hold->since_ms = now_ms;
	}
	if (now_ms - hold->since_ms >= HOLD_MS) {
		hold->on = false; /* the next one has its own time */
		return false;
	}
	*ret_wait_ms = HOLD_MS - (now_ms - hold->since_ms);
	return true;
}
