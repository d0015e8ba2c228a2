/* A first mirror of a repository on this machine: its objects by hard link, as `git clone --local` does it. Objects are
 * never changed in place, so the two repositories do not feel each other; the fetch that follows checks and completes. */
#pragma once

#include <git2.h>

/* Links (or copies, across file systems) every object of `from` into `to`, which is new. Nothing happens if `from` keeps
 * objects elsewhere or is shallow. -ENOENT: `from` was packed anew meanwhile, so that some may be missing: begin again
 * with an empty `to`. Otherwise -errno. */
int objects_link(git_repository *from, git_repository *to);
