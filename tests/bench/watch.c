/* A console without a screen: watches a session as attach does or as a tile, and tells what came over the network for it.
 * Usage: watch attached|tile COUNT SECONDS TASK; prints "BYTES FRAMES ENCODINGS", each a second: bytes of all its TCP
 * connections as the kernel counts them (TLS and acknowledgements' replies included), pictures of the first watcher, and
 * how many the holder has encoded for them all (its pictures are numbered). */
#include <dirent.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "console/client/client.h"
#include "console/client/stream.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"

#define WATCHERS_MAX 256u
#define SETTLE_MS 1500u
#define DEADLINE_MS 20000u
#define TILE_RATE_HZ 4u

struct watching {
	sd_event *event;
	struct stream *streams[WATCHERS_MAX];
	size_t count, begun;
	uint64_t frames;
	bool closed;
};

static void on_updated(struct stream *stream, void *userdata)
{
	struct watching *watching = userdata;

	watching->frames += stream == watching->streams[0];
	watching->begun = 0;
	for (size_t i = 0; i < watching->count; i++)
		watching->begun += stream_screen(watching->streams[i])->frame != 0;
}

static void on_closed(struct stream *stream, const char *why, void *userdata)
{
	((struct watching *)userdata)->closed = true;
}

static const struct stream_ops ops = { .updated = on_updated, .closed = on_closed };

static uint64_t bytes_of_descriptor(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_bytes_received;
}

static uint64_t bytes_received(void)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	uint64_t bytes = 0;

	while (fds && (entry = readdir(fds)))
		bytes += entry->d_name[0] == '.' ? 0 : bytes_of_descriptor(atoi(entry->d_name));
	if (fds)
		closedir(fds);
	return bytes;
}

static bool run_until(struct watching *watching, uint64_t end_ms, bool until_begun)
{
	while (!watching->closed && !(until_begun && watching->begun == watching->count)) {
		uint64_t now_ms = clock_boottime_ms();

		if (now_ms >= end_ms)
			return !until_begun;
		require(sd_event_run(watching->event, (end_ms - now_ms) * 1000) >= 0);
	}
	return !watching->closed;
}

static uint64_t newest(const struct watching *watching)
{
	uint64_t frame = 0;

	for (size_t i = 0; i < watching->count; i++)
		if (stream_screen(watching->streams[i])->frame > frame)
			frame = stream_screen(watching->streams[i])->frame;
	return frame;
}

static int measure(struct watching *watching, unsigned long seconds)
{
	uint64_t bytes, frames, encoded, began_ms;
	double took_s;

	if (!run_until(watching, clock_boottime_ms() + DEADLINE_MS, true) ||
		!run_until(watching, clock_boottime_ms() + SETTLE_MS, false))
		return 1;
	began_ms = clock_boottime_ms();
	bytes = bytes_received();
	frames = watching->frames;
	encoded = newest(watching);
	if (!run_until(watching, began_ms + seconds * 1000, false))
		return 1;
	took_s = (double)(clock_boottime_ms() - began_ms) / 1000;
	printf("%.0f %.1f %.1f\n", (double)(bytes_received() - bytes) / took_s, (double)(watching->frames - frames) / took_s,
		(double)(newest(watching) - encoded) / took_s);
	return 0;
}

static int connect_client(sd_event *event, struct log *log, bool tile, struct client **ret_client, struct error *error)
{
	static struct profile profile; /* lives as long as the client */
	struct paths paths;
	int r = id_init();

	if (!r)
		r = paths_init(&paths, false, error);
	if (!r)
		r = profile_load(&paths, NULL, NULL, &profile, error);
	if (!r)
		r = client_new(ret_client, event, log, &profile, tile, error);
	return r ? r : client_wait_connected(*ret_client, error);
}

int main(int argc, char **argv)
{
	bool tile = argc == 5 && !strcmp(argv[1], "tile");
	struct stream_config config = { .kind = tile ? MAESTRO__STREAM_KIND__STREAM_TILE : MAESTRO__STREAM_KIND__STREAM_ATTACHED,
		.rate_hz = tile ? TILE_RATE_HZ : 0, .ops = &ops };
	struct watching watching = { .count = argc == 5 ? strtoul(argv[2], NULL, 10) : 0 };
	struct error error = ERROR_NULL;
	struct client *client = NULL;
	struct log log;
	int r;

	if (!watching.count || watching.count > WATCHERS_MAX) {
		fprintf(stderr, "usage: watch attached|tile COUNT SECONDS TASK\n");
		return 2;
	}
	log_init(&log, "watch", STDERR_FILENO, LOG_LEVEL_ERROR);
	require(sd_event_new(&watching.event) >= 0);
	r = connect_client(watching.event, &log, tile, &client, &error);
	config.task = strtoull(argv[4], NULL, 10);
	config.userdata = &watching;
	for (size_t i = 0; !r && i < watching.count; i++)
		r = stream_open(&watching.streams[i], client, &config);
	if (!r)
		r = measure(&watching, strtoul(argv[3], NULL, 10));
	if (r)
		fprintf(stderr, "watch: %s\n", error.why ? error.why : "no pictures came");
	for (size_t i = 0; i < watching.count; i++)
		stream_free(watching.streams[i]);
	client_free(client);
	sd_event_unref(watching.event);
	return r != 0;
}
