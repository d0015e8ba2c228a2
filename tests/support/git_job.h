/* Git jobs in tests, in this process or (MAESTRO_GIT names the program) in one of their own. */
#pragma once

#include "proto/schema/git.pb-c.h"

struct git_place {
	char *dir;         /* everything of the test */
	char *url;
	char *mirror, *worktree;
	const char *ssh_key, *known_hosts; /* NULL: none */
	unsigned int timeout_ms;           /* 0: the default */
};

/* Paths under a new directory; url is the caller's to set. */
void git_place_init(struct git_place *place);
void git_place_deinit(struct git_place *place);

/* Each runs one job and never returns NULL. Free with git_result_free. */
typedef Maestro__GitResult git_result;
git_result *git_probe(struct git_place *place, const char *base);
git_result *git_fetch(struct git_place *place, const char *base);
git_result *git_prepare(struct git_place *place, const char *base, const char *from, const char *branch);
git_result *git_commit_work(struct git_place *place, const char *branch, const char *base_commit, const char *message);
git_result *git_checkpoint(struct git_place *place);
git_result *git_push_work(struct git_place *place, const char *branch, const char *commit, const char *last,
	const char *suffix);
git_result *git_diff_work(struct git_place *place, const char *base, const char *commit, unsigned long long max_bytes);
git_result *git_merge_work(struct git_place *place, const char *base, const char *branch, const char *commit,
	Maestro__MergeMethod method);
git_result *git_remove_work(struct git_place *place, const char *branch, const char *base_commit, const char *pushed,
	int force);
void git_result_free(git_result *result);

/* The error's words, "" if there are none. Caller frees. */
char *git_result_why(const git_result *result);
char *git_result_hint(const git_result *result);
