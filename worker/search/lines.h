/* A session's output as lines of plain text, and which of them are told: those that match, and as many beside them as
 * are wanted. Can be stopped after any record of a transcript, packed, and taken up again by another process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/schema/search.pb-c.h"
#include "proto/wire/plain.h"
#include "worker/search/pattern.h"

#define LINES_BYTES_MAX 4096u  /* a longer line is cut there and goes on as the next */
#define LINES_CONTEXT_MAX 20u

enum { LINES_E_INVALID = 1 };

struct lines_before {
	uint64_t number;
	int64_t time_ms;
	char *text;
	size_t len;
};

struct lines {
	const struct pattern *pattern;
	uint32_t context;
	/* Tells a line; non-zero stops and is passed on. */
	int (*tell)(void *userdata, uint64_t number, int64_t time_ms, const char *text, size_t len, bool context);
	void *userdata;
	struct plain plain;
	struct buf text;    /* of the line that has no end yet */
	int64_t time_ms;    /* of its beginning */
	uint64_t number;    /* lines that are over */
	uint64_t told;      /* lines up to this number are not told again */
	uint32_t after;
	struct lines_before before[LINES_CONTEXT_MAX];
	uint32_t before_count;
};

void lines_deinit(struct lines *lines);
/* At the beginning of another transcript. */
void lines_reset(struct lines *lines);
int lines_feed(struct lines *lines, const void *data, size_t len, int64_t wall_ms);
/* No more follows here: what has no end yet is a line. */
int lines_end(struct lines *lines);

/* The state as the fields of a cursor. Free what was saved with maestro__search_cursor__free_unpacked. */
int lines_save(const struct lines *lines, Maestro__SearchCursor **ret_cursor);
/* LINES_E_INVALID: no such state. */
int lines_load(struct lines *lines, const Maestro__SearchCursor *cursor);
