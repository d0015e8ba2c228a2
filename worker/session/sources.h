/* How much has been typed of what each source sends, so that what comes twice is typed once. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCES_MAX 32u /* who was silent longest is forgotten */

struct source {
	uint64_t id;
	uint64_t taken;
	uint64_t turn; /* when it was used last; 0: free */
};

struct sources {
	struct source of[SOURCES_MAX];
	uint64_t turn;
};

/* The one of that name; a new one begins at `offset`. */
struct source *sources_get(struct sources *sources, uint64_t id, uint64_t offset);
/* How many of `len` bytes at `offset` have been taken already; those after it are taken now. SIZE_MAX: something before
 * them is missing, nothing is taken. */
size_t source_take(struct source *source, uint64_t offset, size_t len);
