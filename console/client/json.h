/* The JSON forms of the contract: keys are always there, null where nothing is known, times as RFC 3339.
 *
 * All functions return a new reference, or NULL when out of memory. Text that is no UTF-8 is shown with its broken
 * bytes as U+FFFD. */
#pragma once

#include <jansson.h>
#include "proto/schema/git.pb-c.h"
#include "proto/schema/types.pb-c.h"
#include "proto/schema/client.pb-c.h"

/* now_age_ms is added to the status' age (how long the message has been with us). */
json_t *json_of_task(const Maestro__Task *task, uint64_t now_age_ms);
/* The wall clock's time at which a status with limited_ms says that its limit ends. */
int64_t json_limited_until(const Maestro__AgentStatus *status, uint64_t now_age_ms);
json_t *json_of_question(const Maestro__Question *question);
json_t *json_of_attempt(const Maestro__Attempt *attempt);
json_t *json_of_worker(const Maestro__Worker *worker);
json_t *json_of_project(const Maestro__Project *project);
json_t *json_of_event(const Maestro__Event *event);
json_t *json_of_diff(const Maestro__GitDiffed *diff);
json_t *json_of_key(const Maestro__KeyInfo *key);
/* "added", "modified", "deleted", "renamed", "type_changed". */
const char *json_file_status(Maestro__GitFileStatus status);
/* Any bytes as a JSON string. */
json_t *json_of_bytes(const void *data, size_t len);
