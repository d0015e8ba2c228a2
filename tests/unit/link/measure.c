/* Not a test: the round trip of 64 bytes between two peers of one process, and what an idle pair costs.
 * measure-link ipc|tls [IDLE_SECONDS] */
#include "tests/unit/link/harness.h"
#include "proto/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define ROUNDS 5000u

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void rounds(struct harness *h)
{
	static uint64_t took_us[ROUNDS];

	h->server.echo = true;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t began_us = clock_boottime_us();

		harness_send(h->client.peer, CHANNEL_INTERACTIVE, i + 1, 56);
		harness_wait(h, &h->client.messages, i + 1);
		took_us[i] = clock_boottime_us() - began_us;
	}
	qsort(took_us, ROUNDS, sizeof(took_us[0]), compare);
	printf("round trip: p50 %lu us, p99 %lu us\n", took_us[ROUNDS / 2], took_us[ROUNDS * 99 / 100]);
}

static void idle(struct harness *h, unsigned int seconds)
{
	uint64_t end_us = clock_boottime_us() + seconds * 1000000ull;
	struct rusage before, after;
	unsigned int turns = 0;

	getrusage(RUSAGE_SELF, &before);
	while (clock_boottime_us() < end_us)
		turns += sd_event_run(h->event, end_us - clock_boottime_us()) > 0;
	getrusage(RUSAGE_SELF, &after);
	printf("idle %u s: %u turns of the loop, %ld context switches of all threads\n", seconds, turns,
		after.ru_nvcsw - before.ru_nvcsw);
}

int main(int argc, char **argv)
{
	struct harness *h;
	void *state;

	harness_setup(&state);
	h = state;
	harness_connect(h, argc > 1 && strcmp(argv[1], "tls") == 0 ? OVER_TLS : OVER_IPC, true);
	harness_until(h, link_peer_queued_bytes(h->client.peer, CHANNEL_BULK) == 0);
	rounds(h);
	if (argc > 2)
		idle(h, (unsigned int)atoi(argv[2]));
	return harness_teardown(&state);
}
