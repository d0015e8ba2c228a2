#include "worker/session/sources.h"

struct source *sources_get(struct sources *sources, uint64_t id, uint64_t offset)
{
	struct source *oldest = &sources->of[0];

	sources->turn++;
	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct source *source = &sources->of[i];

		if (source->turn && source->id == id) {
			source->turn = sources->turn;
			return source;
		}
		if (source->turn < oldest->turn)
			oldest = source;
	}
	*oldest = (struct source){ .id = id, .taken = offset, .turn = sources->turn };
	return oldest;
}

size_t source_take(struct source *source, uint64_t offset, size_t len)
{
	uint64_t known;

	if (offset > source->taken)
		return SIZE_MAX;
	known = source->taken - offset;
	if (known >= len)
		return len;
	source->taken += len - known;
	return (size_t)known;
}
