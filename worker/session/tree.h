/* Everything that a session started: the descendants of this process, which is their subreaper.
 *
 * A process is signalled through a descriptor of its own (pidfd) after it was seen again below the parent that it was
 * found under, so that a number that was given to somebody else meanwhile is never hit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "proto/base/error.h"

/* Orphans of our descendants become our children from now on. */
int tree_adopt_orphans(void);
/* Sends the signal to every descendant, parents first. *ret_count (may be NULL): how many there were. */
int tree_signal(int signal, size_t *ret_count);
