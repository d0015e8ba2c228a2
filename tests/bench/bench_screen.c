/* MB/s of the emulator in memory, and bytes of the differences it makes at 30 frames a second of simulated output. Run
 * by hand; best of five. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

#define STREAM_BYTES (16U << 20)
#define CHUNK_BYTES 4096U /* what a PTY returns */
#define ROUNDS 5U

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_plain(struct buf *out)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog, and counts the lines as it goes along.\r\n";

	while (out->len < STREAM_BYTES)
		buf_append(out, text, sizeof(text) - 1);
}

static void make_yes(struct buf *out)
{
	while (out->len < STREAM_BYTES)
		buf_append(out, "y\r\n", 3);
}

static void make_seq(struct buf *out)
{
	for (unsigned int i = 0; out->len < STREAM_BYTES; i++)
		buf_printf(out, "%u\r\n", i);
}

/* A program that paints the whole screen again, in runs of colour. */
static void make_repaint(struct buf *out)
{
	for (unsigned int frame = 0; out->len < STREAM_BYTES; frame++) {
		for (unsigned int row = 1; row <= 24; row++) {
			buf_printf(out, "\033[%u;1H", row);
			for (unsigned int part = 0; part < 8; part++)
				buf_printf(out, "\033[38;2;%u;%u;%umcolour %02u", part * 30, row * 10, 128U,
					(frame + part) % 100);
		}
	}
}

/* One colour a cell, another one each frame. */
static void make_noise(struct buf *out)
{
	uint32_t seed = 1;

	while (out->len < STREAM_BYTES) {
		buf_append_str(out, "\033[H");
		for (unsigned int i = 0; i < 80 * 24; i++) {
			seed = seed * 1664525U + 1013904223U;
			buf_printf(out, "\033[48;2;%u;%u;%um ", seed >> 24, seed >> 16 & 255, seed >> 8 & 255);
		}
	}
}

static void make_unicode(struct buf *out)
{
	while (out->len < STREAM_BYTES)
		buf_append_str(out, "Grüße, 世界! こんにちは ❤\xef\xb8\x8f 👍🏽 naïve e\xcc\x81\r\n");
}

static void make_random(struct buf *out)
{
	uint32_t seed = 1;

	while (out->len < STREAM_BYTES) {
		seed = seed * 1664525U + 1013904223U;
		buf_append_byte(out, (uint8_t)(seed >> 24));
	}
}

static const struct {
	const char *name;
	void (*make)(struct buf *out);
} streams[] = {
	{ "plain", make_plain },
	{ "yes", make_yes },
	{ "seq", make_seq },
	{ "repaint", make_repaint },
	{ "noise", make_noise },
	{ "unicode", make_unicode },
	{ "random", make_random },
};

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

int main(void)
{
	printf("%-8s %12s %12s %14s %10s\n", "stream", "80x24 MB/s", "200x50 MB/s", "wire kB/s", "us/frame");
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		struct buf stream = BUF_NULL;
		double bytes, frame_us;

		streams[i].make(&stream);
		measure_frames(&stream, &bytes, &frame_us);
		printf("%-8s %12.1f %12.1f %14.2f %10.1f\n", streams[i].name, measure_write(&stream, 80, 24),
			measure_write(&stream, 200, 50), bytes / 1e3, frame_us);
		buf_deinit(&stream);
	}
	return 0;
}
