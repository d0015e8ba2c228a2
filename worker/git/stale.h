/* Lock files that a killed maestro-git left behind.
 *
 * libgit2 and git say "locked" by a file beside what they change, and a process that is killed leaves it: from then on
 * everything that touches that reference fails. Who made such a file cannot be seen in it, and an agent's own git makes
 * them in the same places. So each of our jobs keeps a mark beside the mirror, MIRROR.jobs/…, with a flock on it that dies
 * with its process. Whoever begins a job and finds the mark of a dead one looks for lock files, and removes those that
 * stay the same while it watches for STALE_WATCH_MS and that no process has open: git holds the lock of a reference for
 * milliseconds. An index is looked at only in a worktree whose commit died, for `git commit` keeps its lock while a person
 * writes the message. */
#pragma once

#include "worker/git/job.h"

#define STALE_WATCH_MS 2000u

struct stale_mark {
	int fd; /* -1: none */
	char *path;
};
#define STALE_MARK_NULL ((struct stale_mark){ .fd = -1 })

/* Clears up behind dead jobs and makes this one's mark. `worktree`: the record's name in the mirror, of a job that writes
 * its index; else NULL. On a full disk there is no mark, and that is all: the job may be one that makes room. */
void stale_begin(struct job *job, const char *worktree, struct stale_mark *ret_mark);
void stale_end(struct stale_mark *mark);
