/* Waiting until tasks are over: used by `wait` and by `run --wait`. */
#pragma once

#include "console/cli/cli.h"

/* until 0: in review, done or over. Returns 0 when all are in review, merged or done (or reached `until`), else
 * CLIENT_E_FAILED without a sentence; CLIENT_E_NOT_FOUND if one is not there. Prints each as it settles. */
int wait_for_tasks(struct cli *cli, const uint64_t *ids, size_t count, Maestro__TaskState until, struct error *error);
