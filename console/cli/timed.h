/* Reads a session's transcript with its times, piece by piece, from whichever worker has it. */
#pragma once

#include "console/cli/cli.h"
#include "proto/wire/timeline.h"

/* Non-zero ends the reading and is passed on. */
typedef int (*timed_each)(void *userdata, const struct timeline_item *item);

struct timed {
	uint64_t task;
	uint32_t attempt;   /* 0: the newest */
	uint64_t position;  /* where the next piece begins */
	bool seek;          /* the first piece: a keyframe of that time or before it, and what follows it */
	int64_t since_ms;   /* INT64_MAX: of the end */
	bool ended;         /* the session is over: no more will come */
};

/* One piece. *ret_more: something was read, so there may be more. */
int timed_read_piece(struct cli *cli, struct timed *timed, timed_each each, void *userdata, bool *ret_more,
	struct error *error);
/* All that there is now. */
int timed_read(struct cli *cli, struct timed *timed, timed_each each, void *userdata, struct error *error);
