/* A remote that is a path on this machine, often a person's own repository with a worktree: objects are fetched into it
 * and the reference is set by compare and swap. Nothing that is checked out there changes, unless a merge asks for it. */
#pragma once

#include <git2.h>
#include "worker/git/job.h"

/* JOB_E_NOT_FOUND, JOB_E_REFUSED (it belongs to somebody else). */
int local_open(struct job *job, git_repository **ret_repo);
/* `source` of the mirror, which is `commit`, to `target` of `repo`, which must still be `expected` (NULL: not there).
 * ret_note as in destination_put. JOB_E_CONFLICT, JOB_E_REFUSED, JOB_E_DIRTY. */
int local_put(struct job *job, git_repository *repo, const char *source, const git_oid *commit, const char *target,
	const git_oid *expected, char **ret_note);
