/* The bare mirror of a project: branches of the remote under refs/remotes/origin/, sessions' branches under refs/heads/.
 *
 * One lock per mirror (MIRROR.lock beside it) around everything that adds or removes branches and worktrees; it is
 * released when the job ends, or its process. */
#pragma once

#include <git2.h>
#include "worker/git/job.h"

/* Waits for the lock; again is harmless. */
int mirror_lock(struct job *job);
/* Opens job->repo; again is harmless. JOB_E_NOT_FOUND without a mirror. */
int mirror_open(struct job *job);
/* Lock, then fetch into the mirror, or make it: whole or not at all. Opens it. JOB_E_EMPTY if the remote has no commit. */
int mirror_fetch(struct job *job);
/* The tip of a branch of the remote as of the last fetch. JOB_E_NOT_FOUND names those that are there. */
int mirror_branch(struct job *job, const char *branch, git_oid *ret_id);
/* Whether the commit and thereby all of its history is here. */
bool mirror_has(struct job *job, const git_oid *commit);
/* Opens the mirror, and fetches if there is none or the commit is not there. JOB_E_NOT_FOUND if it is nowhere. */
int mirror_need(struct job *job, const git_oid *commit);
/* Adds patterns to the mirror's info/exclude, which holds for all of its worktrees; those that are there stay once. */
int mirror_exclude(struct job *job, const Maestro__GitPrepare *prepare);
