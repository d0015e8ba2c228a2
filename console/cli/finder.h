/* A search on all workers at once: each looks through its own transcripts, and what they find comes as one stream in the
 * order of the tasks. One page a worker is in memory. */
#pragma once

#include "console/cli/cli.h"

struct finder_worker;

struct finder {
	struct cli *cli;
	Maestro__SearchSessions ask; /* what is searched for; the rest is set here */
	/* One page's matches; may be lowered while it runs. */
	uint32_t page_matches;
	struct finder_worker *workers;
	size_t worker_count, waiting;
	/* Something that was not searched. `worker` is set where all the rest of a worker was not: `why` says it. */
	void (*note)(void *userdata, const Maestro__SearchNote *note, const char *worker, const char *why);
	void *userdata;
};

void finder_deinit(struct finder *finder);
/* To be called in any order, before the first finder_next. */
int finder_add(struct finder *finder, const char *worker, uint64_t task, uint32_t attempt);
/* The next line, borrowed until the next call; NULL: that was all. CLIENT_E_USAGE: the pattern cannot be used. */
int finder_next(struct finder *finder, const Maestro__SearchLine **ret_line, struct error *error);
