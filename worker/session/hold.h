/* How long a picture in the making (synchronized output, mode 2026) is believed to become whole. Knows no clock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HOLD_MS 150u

struct hold {
	bool on;
	uint64_t since_ms;
};

/* Whether the picture is held back now; then *ret_wait_ms is when to ask again. False although it is not finished: it
 * took too long, show it as it is and end the mode. */
bool hold_check(struct hold *hold, bool synchronized, uint64_t now_ms, uint64_t *ret_wait_ms);
