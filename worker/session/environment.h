/* What a program of a session finds in its environment: a few variables of the worker's, ours, and the spec's.
 *
 * A scrubbed list rather than a filter: the worker's environment may hold what an agent must not see (keys, agents'
 * sockets, the state of whoever started it). */
#pragma once

#include <stddef.h>
#include "proto/base/error.h"

/* `from`: the environment to pick from. `additions`: "KEY=VALUE", `count` of them; a later one wins, over ours too.
 * Entries without a name are left out. Caller frees with environment_free. -ENOMEM. */
int environment_make(const char *const *from, const char *const *additions, size_t count, char ***ret_environment);
void environment_free(char **environment);
