/* What a repository uses that libgit2 does not do. */
#pragma once

#include <git2.h>

/* A sentence for people in *ret_reason (caller frees), NULL if there is nothing. -ENOMEM. */
int needs_find(git_repository *repo, const git_oid *commit, char **ret_reason);
