/* What programs print, in kinds that cost a terminal different work. */
#pragma once

#include <stddef.h>

struct buf;

struct stream {
	const char *name;
	void (*make)(struct buf *out, unsigned int cols, unsigned int rows, size_t bytes); /* at least so many */
};

#define STREAM_COUNT 7
extern const struct stream streams[STREAM_COUNT];
