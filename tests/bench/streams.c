#include "tests/bench/streams.h"

#include <stdint.h>
#include <stdlib.h>
#include "proto/base/buf.h"

static void make_plain(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog, and counts the lines as it goes along.\r\n";

	while (out->len < bytes)
		buf_append(out, text, sizeof(text) - 1);
}

static void make_yes(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	while (out->len < bytes)
		buf_append(out, "y\r\n", 3);
}

static void make_seq(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	for (unsigned int i = 0; out->len < bytes; i++)
		buf_printf(out, "%u\r\n", i);
}

/* A program that paints the whole screen again, in runs of colour. */
static void make_repaint(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	for (unsigned int frame = 0; out->len < bytes; frame++) {
		for (unsigned int row = 1; row <= rows; row++) {
			buf_printf(out, "\033[%u;1H", row);
			for (unsigned int part = 0; part < cols / 10; part++)
				buf_printf(out, "\033[38;2;%u;%u;%umcolour %02u", part * 30 & 255, row * 10 & 255, 128U,
					(frame + part) % 100);
		}
	}
}

/* One colour a cell, another one each frame. */
static void make_noise(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	uint32_t seed = 1;

	while (out->len < bytes) {
		buf_append_str(out, "\033[H");
		for (unsigned int i = 0; i < cols * rows; i++) {
			seed = seed * 1664525U + 1013904223U;
			buf_printf(out, "\033[48;2;%u;%u;%um ", seed >> 24, seed >> 16 & 255, seed >> 8 & 255);
		}
	}
}

static void make_unicode(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	while (out->len < bytes)
		buf_append_str(out, "Grüße, 世界! こんにちは ❤\xef\xb8\x8f 👍🏽 naïve e\xcc\x81\r\n");
}

static void make_random(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes)
{
	uint32_t seed = 1;

	while (out->len < bytes) {
		seed = seed * 1664525U + 1013904223U;
		buf_append_byte(out, (uint8_t)(seed >> 24));
	}
}

const struct stream streams[STREAM_COUNT] = {
	{ "plain", make_plain },
	{ "yes", make_yes },
	{ "seq", make_seq },
	{ "repaint", make_repaint },
	{ "noise", make_noise },
	{ "unicode", make_unicode },
	{ "random", make_random },
};
