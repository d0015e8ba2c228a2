/* One git job from its message to its result.
 *
 * Conditions of every function in this folder that takes a struct error: the codes of git.proto, as JOB_E_… below.
 * A condition always comes with a sentence in the error, and with a hint where a person can do something. Negative
 * results are errnos; job_run turns those into results too, so its callers see only messages. */
#pragma once

#include <git2.h>
#include <stdbool.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/schema/git.pb-c.h"
#include "worker/git/url.h"

enum {
	JOB_E_FAILED = MAESTRO__GIT_CODE__GIT_FAILED,
	JOB_E_NOT_FOUND = MAESTRO__GIT_CODE__GIT_NOT_FOUND,
	JOB_E_UNREACHABLE = MAESTRO__GIT_CODE__GIT_UNREACHABLE,
	JOB_E_AUTH = MAESTRO__GIT_CODE__GIT_AUTH,
	JOB_E_REFUSED = MAESTRO__GIT_CODE__GIT_REFUSED,
	JOB_E_CONFLICT = MAESTRO__GIT_CODE__GIT_CONFLICT,
	JOB_E_NO_SPACE = MAESTRO__GIT_CODE__GIT_NO_SPACE,
	JOB_E_DIRTY = MAESTRO__GIT_CODE__GIT_DIRTY,
	JOB_E_BAD_REQUEST = MAESTRO__GIT_CODE__GIT_BAD_REQUEST,
	JOB_E_EMPTY = MAESTRO__GIT_CODE__GIT_EMPTY,
};

/* What a person can do once the cause is gone: the worktree stays, whether its session lives or not. */
#define JOB_HINT_COMMIT "`maestro publish` if its session lives, else commit and push there by hand"

#define JOB_TIMEOUT_MS 60000u /* network without a byte, unless the job says otherwise */

/* `total` 0: not known. `text` is foreign: escape it before it is shown. */
typedef void (*job_progress_fn)(const char *text, uint64_t done, uint64_t total, void *userdata);

/* What the operations share: the project's places, and the mirror once it is open. */
struct job {
	struct url url;
	char *mirror;      /* directory */
	char *ssh_key;     /* path, or NULL */
	char *known_hosts; /* path, or NULL */
	uint32_t timeout_ms;
	git_repository *repo; /* the mirror, when mirror_open was called */
	int lock_fd;          /* -1, or the mirror's lock */
	job_progress_fn progress;
	void *progress_userdata;
	uint64_t progress_at_ms;
	struct error error;
};

/* library_init first. Always makes a result (free it with maestro__git_result__free_unpacked(…, NULL)); -ENOMEM if even
 * that was not possible. Blocks for as long as the job takes. `progress` may be NULL. */
int job_run(const Maestro__GitJob *message, job_progress_fn progress, void *userdata, Maestro__GitResult **ret_result);

/* --- for the operations -------------------------------------------------------------------------------------- */

/* Tells the progress, at most ten times a second unless it is the last of it. */
void job_tell(struct job *job, const char *text, uint64_t done, uint64_t total);

/* One operation: fills its part of the result (allocated with malloc, freed with the result). */
typedef int (*job_operation_fn)(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);

int probe_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int fetch_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int prepare_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int commit_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int checkpoint_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int push_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int remove_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int diff_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
int merge_run(struct job *job, const Maestro__GitJob *message, Maestro__GitResult *result);
