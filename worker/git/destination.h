/* The remote, to put commits on its branches. What was listed when it was opened is what a branch must still be when it
 * is changed, so that nobody's push in between is lost. */
#pragma once

#include <git2.h>
#include <stdbool.h>
#include "worker/git/job.h"
#include "worker/git/remote.h"

struct destination {
	struct job *job;
	struct head_list heads;
	struct remote remote;  /* ssh */
	bool has_remote;
	git_repository *local; /* a path */
};

/* Opens the mirror too. The destination must not move in memory. */
int destination_open(struct destination *destination, struct job *job);
void destination_deinit(struct destination *destination);
/* `commit` of the mirror becomes the tip of `branch`; `force` allows what is no fast-forward. Once a destination.
 * JOB_E_CONFLICT if the branch is not what was listed. On a path whose repository has the branch checked out:
 * JOB_E_REFUSED without ret_note; with it, a clean worktree there is brought along (a sentence about that in *ret_note,
 * caller frees), and a dirty one is JOB_E_DIRTY. */
int destination_put(struct destination *destination, const git_oid *commit, const char *branch, bool force,
	char **ret_note);
