/* Who may begin a handshake: of one address only so many at once. Pure; private to proto/link.
 *
 * Where one address has all that it may have, more of it are refused. But while peers of it come through, one after the other,
 * they are merely many (a coordinator was started again behind an address that a thousand workers share): then the next one
 * waits, and with it the accepting, and the rest stands in the kernel's backlog instead of backing off for half a minute.
 * Those who say nothing come through nowhere, so they make nobody wait for longer than GATE_LULL_MS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#define GATE_HOST_BYTES 16
#define GATE_LULL_MS 1000u /* nobody came through for so long: these are not merely many */

struct gate_host {
	uint8_t host[GATE_HOST_BYTES];
	uint32_t inside;
	uint64_t passed_ms; /* boot time: when the last one came through; 0: none since the address was empty */
	UT_hash_handle hh;
};

struct gate {
	struct gate_host *hosts; /* of which somebody is inside */
	uint32_t inside;
	uint32_t max, max_per_host;
};

enum gate_answer {
	GATE_OPEN,
	GATE_WAIT, /* ask again when somebody has left, and after GATE_LULL_MS at the latest */
	GATE_SHUT,
};

enum gate_answer gate_ask(const struct gate *gate, const uint8_t host[GATE_HOST_BYTES], uint64_t now_ms);
/* False: no memory. */
bool gate_enter(struct gate *gate, const uint8_t host[GATE_HOST_BYTES]);
/* passed: it has shown who it is. */
void gate_leave(struct gate *gate, const uint8_t host[GATE_HOST_BYTES], bool passed, uint64_t now_ms);
