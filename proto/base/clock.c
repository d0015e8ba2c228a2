#include "proto/base/clock.h"
#include "proto/base/error.h"
#include "proto/base/io.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_boottime_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_boottime_ms(void)
{
	return clock_boottime_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *clock_format_rfc3339(int64_t wall_ms, char *buffer)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	n = strftime(buffer, CLOCK_RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buffer + n, CLOCK_RFC3339_MAX - n, ".%03dZ", (int)(wall_ms % 1000 < 0 ? 0 : wall_ms % 1000));
	return buffer;
}

const char *clock_format_age(uint64_t age_ms, char *buffer)
{
	uint64_t s = age_ms / 1000;

	if (s < 60)
		snprintf(buffer, CLOCK_AGE_MAX, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buffer, CLOCK_AGE_MAX, "%" PRIu64 "m", s / 60);
	else if (s < 86400)
		snprintf(buffer, CLOCK_AGE_MAX, "%" PRIu64 "h%02" PRIu64, s / 3600, s / 60 % 60);
	else
		snprintf(buffer, CLOCK_AGE_MAX, "%" PRIu64 "d", s / 86400);
	return buffer;
}

int clock_parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	uint64_t value = 0;
	const char *p = text;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT64_C(315360000000))
			return -ERANGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(p, units[i].unit) != 0)
			continue;
		if (value > UINT64_C(315360000000) / units[i].ms)
			return -ERANGE;
		*ret_ms = value * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

int clock_boot_id(char ret_id[33])
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	r = io_read_file("/proc/sys/kernel/random/boot_id", 64, &text, NULL);
	if (r)
		return error_fold(r);
	for (const char *p = text; *p && n < 32; p++)
		if (isxdigit((unsigned char)*p))
			ret_id[n++] = *p;
	ret_id[n] = 0;
	return n == 32 ? 0 : -EIO;
}
