/* Text: UTF-8 checks, escaping of foreign bytes, small helpers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

bool str_utf8_valid(const void *text, size_t len);
/* Decodes one code point; returns its length in bytes, 0 at the end, or -1 (one byte to skip) if it is broken. */
int str_utf8_next(const char *text, size_t len, uint32_t *ret_code);
/* Encodes; returns 1 to 4. `out` holds 4 bytes. Surrogates and beyond become U+FFFD. */
int str_utf8_put(uint32_t code, char *out);

/* Appends text with everything that could act on a terminal made visible: C0, DEL and C1 controls and broken UTF-8
 * as \xNN, bidirectional overrides and other format controls as \u{NNNN}. For logs and plain listings. */
int str_escape(struct buf *out, const char *text, size_t len);
/* The same but controls become one space each and format controls vanish: for titles and messages on a screen. */
int str_clean(struct buf *out, const char *text, size_t len);

/* The nearest of `count` words within edit distance 3, or NULL. For "did you mean". */
const char *str_nearest(const char *word, const char *const *words, size_t count);

/* Strict decimal of the whole text. -EINVAL, -ERANGE. */
int str_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
/* "" for NULL. */
static inline const char *str_or(const char *text, const char *otherwise)
{
	return text ? text : otherwise;
}
