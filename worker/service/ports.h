/* Ranges of TCP ports, one a session, claimed per host by lock files that every worker on it sees. */
#pragma once

#include "proto/base/error.h"

#define PORTS_FIRST 20000u
#define PORTS_PER_RANGE 10u
#define PORTS_RANGES 1000u

/* Claims a free range. *ret_fd holds the claim: close it to give it back. `preferred` (0: none): tried first, so that
 * a session keeps its ports over a restart of the worker. -EBUSY: all are taken. */
int ports_claim(unsigned int preferred, unsigned int *ret_port, int *ret_fd);
