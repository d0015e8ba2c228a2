/* Times as people and AI CLIs write them: until when an account is limited. Pure but for the local time zone. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNTIL_MAX_MS (8 * 24 * 3600 * UINT64_C(1000)) /* what is further away is not believed */

/* The time at the beginning of the text, as milliseconds from `now_wall_ms`: "2026-11-22T14:05:00Z" (without a zone:
 * local), "14:05", "3pm", "3:30 pm" (the next one, local), "2h 30m", "3 days 4 hours". What follows it is not looked
 * at. -EINVAL: there is none, -ERANGE: it is past or too far away. */
int until_parse(const char *text, size_t len, int64_t now_wall_ms, uint64_t *ret_ms);
/* The time behind the last of the words in `marks` (NULL-terminated) that has one in the text. -ENODATA: none. */
int until_find(const char *text, size_t len, const char *const *marks, int64_t now_wall_ms, uint64_t *ret_ms);
