/* A diff as lines: what GitDiffed says, cut once, so that drawing a page costs a page. */
#pragma once

#include "console/tui/theme.h"
#include "proto/schema/git.pb-c.h"

struct diff_line {
	const char *text; /* into the message, or static */
	size_t len;
	enum theme_role role;
	size_t file;
};

struct diff {
	Maestro__GitDiffed *message;
	struct diff_line *lines;
	size_t line_count;
	size_t *file_line; /* where each file begins */
};

#define DIFF_NULL ((struct diff){ NULL, NULL, 0, NULL })

/* Copies the message. -ENOMEM: `diff` is empty. */
int diff_init(struct diff *diff, const Maestro__GitDiffed *message);
void diff_deinit(struct diff *diff);
char diff_letter(Maestro__GitFileStatus status);
