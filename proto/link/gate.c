/* See gate.h. */
#include "proto/link/gate.h"

#include <stdlib.h>
#include <string.h>

static struct gate_host *find(const struct gate *gate, const uint8_t host[GATE_HOST_BYTES])
{
	struct gate_host *found;

	HASH_FIND(hh, gate->hosts, host, GATE_HOST_BYTES, found);
	return found;
}

enum gate_answer gate_ask(const struct gate *gate, const uint8_t host[GATE_HOST_BYTES], uint64_t now_ms)
{
	const struct gate_host *of = find(gate, host);

	if (gate->inside >= gate->max)
		return GATE_SHUT;
	if (!of || of->inside < gate->max_per_host)
		return GATE_OPEN;
	return of->passed_ms && now_ms < of->passed_ms + GATE_LULL_MS ? GATE_WAIT : GATE_SHUT;
}

bool gate_enter(struct gate *gate, const uint8_t host[GATE_HOST_BYTES])
{
	struct gate_host *of = find(gate, host);

	if (!of) {
		of = calloc(1, sizeof(*of));
		if (!of)
			return false;
		memcpy(of->host, host, GATE_HOST_BYTES);
		HASH_ADD(hh, gate->hosts, host, GATE_HOST_BYTES, of);
	}
	of->inside++;
	gate->inside++;
	return true;
}

void gate_leave(struct gate *gate, const uint8_t host[GATE_HOST_BYTES], bool passed, uint64_t now_ms)
{
	struct gate_host *of = find(gate, host);

	gate->inside--;
	if (passed)
		of->passed_ms = now_ms;
	if (--of->inside)
		return;
	HASH_DEL(gate->hosts, of);
	free(of);
}
