/* The repository that `up` was called in: what it would be as a project. */
#pragma once

#include <stdbool.h>
#include "proto/base/error.h"

struct place {
	bool found;    /* a repository at all; else `complaint` may say why git would not look at it */
	char *path;    /* absolute: of the main worktree, or of a bare repository */
	char *branch;  /* to begin from; NULL: see below */
	char *name;    /* folded from the directory's */
	bool empty;    /* no commit yet */
	bool detached; /* no branch is checked out; `branch` is a likely one, or NULL */
	bool shallow;  /* its history is cut off */
	bool dirty;    /* has changes that are not committed */
	char *complaint;
};

int place_look(const char *directory, struct place *ret_place);
void place_deinit(struct place *place);
/* What is in the way of making it a project, with what to do. 0: nothing is. */
int place_check(const struct place *place, struct error *error);
