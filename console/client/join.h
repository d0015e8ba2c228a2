/* Enrolling a person's machine with a coordinator. */
#pragma once

#include "console/client/profile.h"
#include "proto/base/log.h"

/* Fetches the CA, compares it with the token's digest, connects again pinned and hands the secret over with a fresh
 * key. Blocks until it is done (10 s at most for each of the two). *ret_profile has no name yet. Conditions are those
 * of client.h. `url` is an address of link_address_parse. */
int join_coordinator(const char *url, const char *token, struct log *log, struct profile *ret_profile, struct error *error);
