/* libgit2 for this process: its global options, its errors, and cleanup for its objects.
 *
 * Nothing of a user's or the system's configuration is read, so nothing there changes what a job does. */
#pragma once

#include <git2.h>
#include <stdbool.h>
#include "proto/base/error.h"
#include "worker/git/job.h"

/* Counts; every init needs its deinit. JOB_E_FAILED. */
int library_init(struct error *error);
void library_deinit(void);

/* Turns the failure of a libgit2 call (r < 0) into a condition and takes its text: "format: what libgit2 says". */
int library_error(struct error *error, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A commit's name as text. `hex` holds GIT_OID_HEXSZ + 1 bytes. Returns hex. */
const char *library_hex(const git_oid *id, char *hex);
/* 40 lower-case hex digits. JOB_E_BAD_REQUEST. */
int library_oid(const char *hex, git_oid *ret_id, struct error *error);
/* A signature for now: the job's author, else a fixed one, so that none has to be configured. */
int library_signature(const Maestro__GitAuthor *author, git_signature **ret_signature, struct error *error);

DEFINE_CLEANUP(git_repository *, git_repository_free)
DEFINE_CLEANUP(git_remote *, git_remote_free)
DEFINE_CLEANUP(git_reference *, git_reference_free)
DEFINE_CLEANUP(git_commit *, git_commit_free)
DEFINE_CLEANUP(git_tree *, git_tree_free)
DEFINE_CLEANUP(git_tree_entry *, git_tree_entry_free)
DEFINE_CLEANUP(git_blob *, git_blob_free)
DEFINE_CLEANUP(git_index *, git_index_free)
DEFINE_CLEANUP(git_worktree *, git_worktree_free)
DEFINE_CLEANUP(git_signature *, git_signature_free)
DEFINE_CLEANUP(git_diff *, git_diff_free)
DEFINE_CLEANUP(git_patch *, git_patch_free)
DEFINE_CLEANUP(git_status_list *, git_status_list_free)
DEFINE_CLEANUP(git_reference_iterator *, git_reference_iterator_free)
DEFINE_CLEANUP(git_config *, git_config_free)
DEFINE_CLEANUP(git_rebase *, git_rebase_free)
DEFINE_CLEANUP(git_annotated_commit *, git_annotated_commit_free)
DEFINE_CLEANUP(git_object *, git_object_free)
