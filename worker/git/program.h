/* The git program, for URLs that libgit2 is not used for (https://). It runs in a repository of our own beside the
 * mirror, whose configuration nobody else writes, with a clean environment; objects go into the mirror. */
#pragma once

#include "worker/git/job.h"
#include "worker/git/remote.h"

/* JOB_E_UNREACHABLE, JOB_E_AUTH, JOB_E_NOT_FOUND, JOB_E_FAILED (no git program). */
int program_list(struct job *job, struct head_list *ret_list);
/* As remote_fetch, into `repo` (the mirror, or one that becomes it). */
int program_fetch(struct job *job, git_repository *repo);
/* `commit` to `target`, which must still be `expected` (NULL: not there). JOB_E_CONFLICT, JOB_E_REFUSED. */
int program_push(struct job *job, const git_oid *commit, const char *target, const git_oid *expected);
