/* What is searched for. The expression is POSIX's extended one of the C library, on UTF-8; one that is bad for it (deep
 * repetitions, back-references) may take any time and memory, so this is used in a process that has little of both. */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include "proto/base/error.h"

enum { PATTERN_E_INVALID = 1 };

struct pattern {
	bool compiled;
	regex_t expression;
	const char *literal; /* instead: plain text, borrowed */
	size_t literal_len;
};

#define PATTERN_NULL { .compiled = false }

/* PATTERN_E_INVALID with a sentence. `text` has no NUL and outlives the pattern. */
int pattern_init(struct pattern *pattern, const char *text, bool fixed, bool ignore_case, struct error *error);
void pattern_deinit(struct pattern *pattern);
/* `line` is followed by a NUL that is not counted. */
bool pattern_matches(const struct pattern *pattern, const char *line, size_t len);
