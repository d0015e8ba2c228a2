/* A session as an asciicast file, which asciinema and its web player show: version 2
 * (docs.asciinema.org/manual/asciicast/v2: times since the beginning) or 3 (…/v3: times since the event before).
 *
 * The first line is an object, every line after it an array [time, code, data]: "o" output, "r" resize ("80x24"),
 * "m" marker, and in version 3 "x" exit status. Output is cut so that no event ends within a character; what is no
 * UTF-8 becomes U+FFFD. Strings are escaped to ASCII, so a file that is printed on a terminal does nothing to it.
 * What is missing of the output is told by a marker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/wire/timeline.h"

struct cast {
	unsigned int version;    /* 2 or 3 */
	const char *title;       /* NULL: none; borrowed until the header is written */
	int64_t first_ms, last_ms;
	unsigned int cols, rows;
	bool begun;              /* the header is written */
	uint8_t tail[4];         /* of a character that is not complete */
	size_t tail_len;
};

#define CAST(asciicast_version, its_title) ((struct cast){ .version = (asciicast_version), .title = (its_title) })

/* Appends what this item makes, the header before the first. */
int cast_put(struct cast *cast, const struct timeline_item *item, struct buf *out);
/* Appends what is left; exit_code -1: not known, or still running. */
int cast_end(struct cast *cast, int exit_code, struct buf *out);
