#include "proto/base/str.h"
#include "proto/base/buf.h"

#include <ctype.h>
#include <string.h>

int str_utf8_next(const char *text, size_t len, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)text;
	uint32_t code;
	int n;

	if (!len)
		return 0;
	if (p[0] < 0x80) {
		*ret_code = p[0];
		return 1;
	}
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || (size_t)n > len)
		return -1;
	code = p[0] & (0x7f >> n);
	for (int i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return -1;
	*ret_code = code;
	return n;
}

int str_utf8_put(uint32_t code, char *out)
{
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		code = 0xfffd;
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

bool str_utf8_valid(const void *text, size_t len)
{
	const char *p = text;
	uint32_t code;

	while (len) {
		int n = str_utf8_next(p, len, &code);

		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Invisible characters that reorder, hide or join what a person reads (Unicode bidi controls, tags, separators). */
static bool is_format_control(uint32_t code)
{
	return code == 0x61c || code == 0x200b || (code >= 0x200e && code <= 0x200f) ||
		(code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
		(code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe007f);
}

static int filter(struct buf *out, const char *text, size_t len, bool escape)
{
	uint32_t code;
	int r = 0;

	while (len && r >= 0) {
		int n = str_utf8_next(text, len, &code);

		if (n < 0 || is_control(code)) {
			size_t bytes = n < 0 ? 1 : (size_t)n;

			if (!escape)
				r = buf_append_str(out, n < 0 ? "\xef\xbf\xbd" : " ");
			for (size_t i = 0; escape && i < bytes && r >= 0; i++)
				r = buf_printf(out, "\\x%02x", (uint8_t)text[i]);
			n = (int)bytes;
		} else if (is_format_control(code)) {
			r = escape ? buf_printf(out, "\\u{%x}", code) : 0;
		} else {
			r = buf_append(out, text, (size_t)n);
		}
		text += n;
		len -= (size_t)n;
	}
	return r;
}

int str_escape(struct buf *out, const char *text, size_t len)
{
	return filter(out, text, len, true);
}

int str_clean(struct buf *out, const char *text, size_t len)
{
	return filter(out, text, len, false);
}

static size_t edit_distance(const char *a, const char *b)
{
	size_t row[65], la = strlen(a), lb = strlen(b);

	if (la > 64 || lb > 64)
		return 64;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *str_nearest(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	size_t least = 4;

	if (strlen(word) < 4)
		least = 2;
	for (size_t i = 0; i < count; i++) {
		size_t distance = words[i] ? edit_distance(word, words[i]) : 64;

		if (distance < least) {
			least = distance;
			nearest = words[i];
		}
	}
	return nearest;
}

int str_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return -ERANGE;
	}
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t a = strlen(text), b = strlen(suffix);

	return a >= b && strcmp(text + a - b, suffix) == 0;
}
