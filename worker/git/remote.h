/* The project's repository at its URL: what it has, fetching from it, pushing to it. One connection a struct remote.
 *
 * SSH goes over our own transport, a path over libgit2's local one. URL_PROGRAM is not for here: see program.h. */
#pragma once

#include <git2.h>
#include <stdbool.h>
#include "proto/base/buf.h"
#include "worker/git/job.h"

/* A branch (or HEAD) of the remote. */
struct head {
	char *name;    /* "HEAD", "refs/heads/main" */
	char *symref;  /* where HEAD points, or NULL */
	git_oid id;
};

struct head_list {
	struct head *items;
	size_t count;
};

#define HEAD_LIST_NULL ((struct head_list){ NULL, 0 })

void head_list_deinit(struct head_list *list);
/* Copies all. */
int head_list_add(struct head_list *list, const char *name, const char *symref, const git_oid *id);
/* NULL: it is not there. */
const struct head *head_list_find(const struct head_list *list, const char *name);
/* The same for "refs/heads/<branch>". */
const struct head *head_list_branch(const struct head_list *list, const char *branch);
/* "main, next, 1.x" of at most ten branches, for an error. Caller frees. */
char *head_list_names(const struct head_list *list);

struct remote {
	struct job *job;
	git_remote *handle;
	git_remote_callbacks callbacks;
	int condition;       /* of our transport, when it failed; 0 otherwise */
	struct error error;  /* its words */
	struct buf said;     /* what the other side's git and hooks said */
	char *refused;       /* why the pushed reference was not taken, or NULL */
	bool answered;       /* the other side told the pushed reference's fate */
};

/* `repo` may be NULL: only listing, then. The remote must not move in memory. */
int remote_init(struct remote *remote, struct job *job, git_repository *repo);
void remote_deinit(struct remote *remote);
int remote_connect(struct remote *remote, git_direction direction);
/* After remote_connect. */
int remote_list(struct remote *remote, struct head_list *ret_list);
/* All branches of the other side into refs/remotes/origin/ of `repo`; those that are gone there are taken away. */
int remote_fetch(struct remote *remote);
/* After remote_connect(GIT_DIRECTION_PUSH): `source` (a reference of `repo`) to `target` there. The other side takes it
 * only if `target` is still what it told when we connected. `force` allows what is no fast-forward.
 * JOB_E_REFUSED: a hook or a setting there; its words are in the error. */
int remote_push(struct remote *remote, const char *source, const char *target, bool force);

/* JOB_E_BAD_REQUEST, with what to do, if the URL is the path of a repository whose history is cut off: the objects behind
 * the cut are not there, so nothing can be fetched from it. Of one at an ssh URL, connecting tells it. */
int remote_check_shallow(struct job *job);

/* Connects, lists and disconnects; for every kind of URL. */
int remote_list_once(struct job *job, struct head_list *ret_list);
