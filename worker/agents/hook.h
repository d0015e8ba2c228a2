/* What an AI CLI's hook events mean as a status. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "proto/base/error.h"
#include "proto/schema/types.pb-c.h"

struct hook_meaning {
	Maestro__AgentState state;
	char *message, *file; /* NULL: none; caller frees (hook_meaning_deinit) */
};

/* False: the event says nothing about the status (a Notification of some other kind, an unknown event). json may be
 * NULL or broken: then only the event's name counts. */
bool hook_understand(const char *event, const char *json, size_t json_len, struct hook_meaning *ret_meaning);
void hook_meaning_deinit(struct hook_meaning *meaning);
