/* All that changed in a worktree, into an index: what can be taken is, the rest is named. */
#pragma once

#include <git2.h>
#include "worker/git/job.h"
#include "worker/git/result.h"

#define STAGE_FILE_BYTES_MAX (100ull * 1024 * 1024)

/* Changes `index` in memory only. Left out, with a reason in `skipped`: repositories inside, what is neither file nor
 * link, what cannot be read, files above `limit_bytes`. */
int stage_all(struct job *job, git_repository *repo, git_index *index, uint64_t limit_bytes, struct skipped *skipped);
