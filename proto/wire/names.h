/* Names: what may reach a path, a ref or a command line, and the words for states.
 *
 * Every checked name is [a-z0-9][a-z0-9._-]{0,63} without ".." and without ".lock" at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/schema/types.pb-c.h"

/* Project, worker, agent, label key. */
bool name_valid(const char *name);
/* A label's value: printable ASCII without space, '=' or ',', 1 to 64. */
bool name_label_value_valid(const char *value);
/* A branch that a person names (base): git's rules for a ref, at most 200 bytes, no leading '-'. */
bool name_branch_valid(const char *branch);
/* 40 hex digits, lower case. */
bool name_commit_valid(const char *commit);
/* "KEY=VALUE". -EINVAL with a sentence. Strings are the caller's to free. */
int name_parse_label(const char *text, char **ret_key, char **ret_value, struct error *error);

#define NAME_SLUG_MAX 41
/* From the title, else the prompt's first line: folded to ASCII, lower case, other runs to '-', at most 40
 * characters; "task" if nothing is left. `slug` holds NAME_SLUG_MAX bytes. */
void name_slug(const char *text, size_t len, char *slug);

#define NAME_BRANCH_MAX 128
/* "maestro/12-fix-parser", attempt 2 and up "maestro/12-fix-parser.2". */
void name_branch(uint64_t task, const char *slug, uint32_t attempt, char *branch);

/* The words of the contract; "unknown" for a value that is none. */
const char *name_task_state(Maestro__TaskState state);
const char *name_agent_state(Maestro__AgentState state);
const char *name_source(Maestro__StatusSource source);
const char *name_session(Maestro__SessionState state);
const char *name_worker_state(Maestro__WorkerState state);
const char *name_role(Maestro__Role role);
/* -EINVAL with the list of words, and the nearest as a hint. */
int name_parse_task_state(const char *text, Maestro__TaskState *ret_state, struct error *error);
int name_parse_agent_state(const char *text, Maestro__AgentState *ret_state, struct error *error);
int name_parse_role(const char *text, Maestro__Role *ret_role, struct error *error);

/* Over for good or waiting for a person: nothing runs towards a result any more (`maestro wait` ends here). */
bool task_state_settled(Maestro__TaskState state);
/* done, failed, cancelled, lost, merged, rejected. */
bool task_state_over(Maestro__TaskState state);
