/* MB/s of the emulator in memory, and bytes of the differences it makes at 30 frames a second of simulated output. Run
 * by hand; best of three. Then the same streams through a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "proto/base/buf.h"
#include "tests/bench/streams.h"
#include "tests/bench/terminal.h"
#include "worker/screen/emulator.h"

#define STREAM_BYTES (8U << 20)
#define CHUNK_BYTES 4096U /* what a PTY returns */
#define ROUNDS 3U

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_all(struct emulator *emulator, const struct buf *stream)
{
	for (size_t i = 0; i < stream->len; i += CHUNK_BYTES)
		emulator_write(emulator, stream->data + i, stream->len - i < CHUNK_BYTES ? stream->len - i : CHUNK_BYTES);
}

static double measure_write(const struct buf *stream, unsigned int cols, unsigned int rows)
{
	double best = 0, began, rate;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct emulator *emulator;

		if (emulator_new(&emulator, cols, rows, 4U << 20) < 0)
			exit(1);
		began = now_s();
		write_all(emulator, stream);
		rate = (double)stream->len / 1e6 / (now_s() - began);
		if (rate > best)
			best = rate;
		emulator_free(emulator);
	}
	return best;
}

/* Output of 600 kB/s seen at 30 frames a second: bytes a second on the wire, and microseconds for each frame. */
static void measure_frames(const struct buf *stream, double *ret_bytes, double *ret_frame_us)
{
	struct screen sent = SCREEN_NULL, next = SCREEN_NULL;
	struct buf update = BUF_NULL;
	struct emulator *emulator;
	size_t step = 20000, total = 0, frames = 0;
	double spent = 0, began;

	if (emulator_new(&emulator, 80, 24, 1U << 20) < 0)
		exit(1);
	for (size_t i = 0; i + step < stream->len && frames < 300; i += step, frames++) {
		bool changed;

		emulator_write(emulator, stream->data + i, step);
		began = now_s();
		buf_clear(&update);
		if (screen_copy(&next, emulator_screen(emulator)) < 0)
			exit(1);
		next.frame = frames + 1;
		if (screen_encode(&sent, &next, &update, &changed) < 0 || screen_copy(&sent, &next) < 0)
			exit(1);
		spent += now_s() - began;
		total += changed ? update.len : 0;
	}
	*ret_bytes = (double)total / (double)frames * 30;
	*ret_frame_us = spent / (double)frames * 1e6;
	emulator_free(emulator);
	screen_deinit(&sent);
	screen_deinit(&next);
	buf_deinit(&update);
}

static void measure_memory(void)
{
	printf("%-8s %12s %12s %14s %10s\n", "stream", "80x24 MB/s", "200x50 MB/s", "wire kB/s", "us/frame");
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		_cleanup_(buf_deinit) struct buf small = BUF_NULL, large = BUF_NULL;
		double bytes, frame_us;

		streams[i].make(&small, 80, 24, STREAM_BYTES);
		streams[i].make(&large, 200, 50, STREAM_BYTES);
		measure_frames(&small, &bytes, &frame_us);
		printf("%-8s %12.1f %12.1f %14.2f %10.1f\n", streams[i].name, measure_write(&small, 80, 24),
			measure_write(&large, 200, 50), bytes / 1e3, frame_us);
	}
}

/* bench-screen [STREAM]: only the terminals, only this stream. */
int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--feed") == 0)
		return terminal_feed(argv[2], argv[3]);
	if (argc == 1)
		measure_memory();
	return terminal_measure(argc == 2 ? argv[1] : NULL);
}
