/* Text and named keys as the bytes that a terminal sends for them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "proto/base/buf.h"

/* "C-c", "M-x", "Up", "Escape", "Enter", "Tab", "F5", "PageUp", "a". Appends its bytes. `app_cursor`: DECCKM is on.
 * -EINVAL: there is no such key. */
int keys_named(struct buf *out, const char *name, size_t len, bool app_cursor);
/* Text as a paste. Bracketed: between the two marks, and no mark in it; otherwise newlines become Enter. Control
 * bytes besides tab and newline are left out. */
int keys_paste(struct buf *out, const char *text, size_t len, bool bracketed);
/* All names, for an error's hint: "Enter, Tab, …". */
extern const char keys_names[];
