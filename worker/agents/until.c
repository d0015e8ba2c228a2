#include "worker/agents/until.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TEXT_MAX 64u
#define SECOND_MS UINT64_C(1000)
#define DAY_S (24 * 3600)

static int check(int64_t until_ms, int64_t now_ms, uint64_t *ret_ms)
{
	if (until_ms <= now_ms || (uint64_t)(until_ms - now_ms) > UNTIL_MAX_MS)
		return -ERANGE;
	*ret_ms = (uint64_t)(until_ms - now_ms);
	return 0;
}

/* "Z", "+02:00", or nothing: local. */
static int64_t to_unix(struct tm *tm, const char *zone)
{
	int hours, minutes;
	char sign;

	tm->tm_isdst = -1;
	if (*zone == 'Z' || *zone == 'z')
		return timegm(tm);
	if (sscanf(zone, "%c%2d:%2d", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-'))
		return timegm(tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return mktime(tm);
}

static int parse_date(const char *text, int64_t now_ms, uint64_t *ret_ms)
{
	struct tm tm = { 0 };
	int used = 0, more = 0;

	if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &used) != 5)
		return -EINVAL;
	text += used;
	if (sscanf(text, ":%2d%n", &tm.tm_sec, &more) == 1)
		text += more;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 24 || tm.tm_min > 59)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return check(to_unix(&tm, text) * (int64_t)SECOND_MS, now_ms, ret_ms);
}

/* Adds half a day where it says so. False: no such hour. */
static bool take_half(const char *text, int *hour, bool *ret_half)
{
	while (*text == ' ')
		text++;
	*ret_half = strncasecmp(text, "am", 2) == 0 || strncasecmp(text, "pm", 2) == 0;
	if (!*ret_half)
		return *hour < 24;
	if (*hour < 1 || *hour > 12)
		return false;
	*hour = *hour % 12 + (tolower((unsigned char)*text) == 'p' ? 12 : 0);
	return true;
}

/* The next time that the clock shows it. */
static int parse_clock(const char *text, int64_t now_ms, uint64_t *ret_ms)
{
	int hour, minute = 0, used = 0, more = 0;
	time_t now = (time_t)(now_ms / (int64_t)SECOND_MS), at;
	bool half, minutes;
	struct tm tm;

	if (!isdigit((unsigned char)*text) || sscanf(text, "%2d%n", &hour, &used) != 1)
		return -EINVAL;
	minutes = sscanf(text + used, ":%2d%n", &minute, &more) == 1;
	if (!take_half(text + used + more, &hour, &half) || minute > 59 || (!half && !minutes) || !localtime_r(&now, &tm))
		return -EINVAL;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	at = mktime(&tm);
	if (at <= now) {
		tm.tm_mday++;
		tm.tm_isdst = -1;
		at = mktime(&tm);
	}
	return check((int64_t)at * (int64_t)SECOND_MS, now_ms, ret_ms);
}

static const struct {
	const char *word; /* its beginning is enough, the longest first */
	uint64_t seconds;
} units[] = {
	{ "day", DAY_S }, { "hour", 3600 }, { "hr", 3600 }, { "min", 60 }, { "sec", 1 },
	{ "d", DAY_S }, { "h", 3600 }, { "m", 60 }, { "s", 1 },
};

static uint64_t take_unit(const char **text)
{
	const char *word = *text;
	size_t len = 0;

	while (isalpha((unsigned char)word[len]))
		len++;
	*text += len;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].word);

		if (n == 1 ? len == 1 && tolower((unsigned char)*word) == *units[i].word :
			     len >= n && strncasecmp(word, units[i].word, n) == 0)
			return units[i].seconds;
	}
	return 0;
}

static int parse_span(const char *text, int64_t now_ms, uint64_t *ret_ms)
{
	uint64_t total_s = 0;

	for (;;) {
		unsigned int count;
		uint64_t unit_s;
		int used;

		text += strspn(text, " ,");
		if (strncasecmp(text, "and ", 4) == 0)
			text += 4;
		if (!isdigit((unsigned char)*text) || sscanf(text, "%6u%n", &count, &used) != 1)
			break;
		text += used;
		text += strspn(text, " ");
		unit_s = take_unit(&text);
		if (!unit_s)
			break;
		total_s += count * unit_s;
	}
	return total_s ? check(now_ms + (int64_t)(total_s * SECOND_MS), now_ms, ret_ms) : -EINVAL;
}

int until_parse(const char *text, size_t len, int64_t now_wall_ms, uint64_t *ret_ms)
{
	static int (*const forms[])(const char *text, int64_t now_ms, uint64_t *ret_ms) = { parse_date, parse_clock, parse_span };
	char copy[TEXT_MAX + 1];
	int r = -EINVAL;

	while (len && *text == ' ') {
		text++;
		len--;
	}
	len = len < TEXT_MAX ? len : TEXT_MAX;
	memcpy(copy, text, len);
	copy[len] = 0;
	for (size_t i = 0; r == -EINVAL && i < sizeof(forms) / sizeof(forms[0]); i++)
		r = forms[i](copy, now_wall_ms, ret_ms);
	return r;
}

#define SCREEN_CLOCK_MAX_MS (12 * 3600 * SECOND_MS)

/* An hour that a screen shows may have passed while the line still stands: the same hour of tomorrow is not meant. */
static int parse_shown(const char *text, size_t len, int64_t now_ms, uint64_t *ret_ms)
{
	uint64_t as_clock_ms;
	char copy[TEXT_MAX + 1];
	int r = until_parse(text, len, now_ms, ret_ms);

	snprintf(copy, sizeof(copy), "%.*s", (int)(len < TEXT_MAX ? len : TEXT_MAX), text);
	if (r == 0 && *ret_ms > SCREEN_CLOCK_MAX_MS && parse_clock(copy + strspn(copy, " "), now_ms, &as_clock_ms) == 0)
		return -ERANGE;
	return r;
}

int until_find(const char *text, size_t len, const char *const *marks, int64_t now_wall_ms, uint64_t *ret_ms)
{
	uint64_t until_ms;
	int r = -ENODATA;

	for (; marks && *marks; marks++) {
		size_t n = strlen(*marks);
		const char *at = text, *end = text + len, *found;

		while (n && (found = memmem(at, (size_t)(end - at), *marks, n))) {
			at = found + n;
			if (parse_shown(at, (size_t)(end - at), now_wall_ms, &until_ms) == 0) {
				*ret_ms = until_ms; /* a later line is a newer one */
				r = 0;
			}
		}
	}
	return r;
}
