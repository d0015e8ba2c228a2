/* Linked worktrees of the mirror, one a session. */
#pragma once

#include <git2.h>
#include "worker/git/job.h"

/* Opens the worktree at `path` and makes sure that it still belongs to our mirror (an agent can write its .git file).
 * Opens the mirror too. JOB_E_NOT_FOUND, JOB_E_BAD_REQUEST. */
int worktree_open(struct job *job, const char *path, git_repository **ret_repo);
/* What git calls the worktree of a branch: its administrative directory's name. Caller frees. */
char *worktree_name(const char *branch);
/* Takes the administrative part away; the directory itself is the caller's. Nothing there is well. Under the lock. */
int worktree_forget(struct job *job, const char *name);
