#include "worker/search/pattern.h"

#include <string.h>
#include "proto/base/buf.h"

static int quote(const char *text, struct buf *out)
{
	int r = 0;

	for (; !r && *text; text++) {
		if (strchr("\\^$.[]|()*+?{}", *text))
			r = buf_append_byte(out, '\\');
		if (!r)
			r = buf_append_byte(out, (uint8_t)*text);
	}
	return r;
}

int pattern_init(struct pattern *pattern, const char *text, bool fixed, bool ignore_case, struct error *error)
{
	_cleanup_(buf_deinit) struct buf quoted = BUF_NULL;
	char why[128];
	int r;

	if (!*text)
		return error_set(error, PATTERN_E_INVALID, "the pattern is empty");
	if (fixed && !ignore_case) {
		*pattern = (struct pattern){ .literal = text, .literal_len = strlen(text) };
		return 0;
	}
	r = fixed ? quote(text, &quoted) : 0;
	if (r)
		return r;
	r = regcomp(&pattern->expression, fixed ? buf_text(&quoted) : text, REG_EXTENDED | REG_NOSUB | (ignore_case ? REG_ICASE : 0));
	pattern->literal = NULL;
	pattern->compiled = !r;
	if (!r)
		return 0;
	regerror(r, &pattern->expression, why, sizeof(why));
	return error_set(error, PATTERN_E_INVALID, "the pattern is no regular expression: %s", why);
}

void pattern_deinit(struct pattern *pattern)
{
	if (pattern->compiled)
		regfree(&pattern->expression);
	pattern->compiled = false;
}

bool pattern_matches(const struct pattern *pattern, const char *line, size_t len)
{
	if (pattern->literal)
		return memmem(line, len, pattern->literal, pattern->literal_len) != NULL;
	return regexec(&pattern->expression, line, 0, NULL, 0) == 0;
}
