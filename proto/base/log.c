#include "proto/base/log.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const int level_syslog[] = { 3, 4, 6, 7 };

void log_init(struct log *log, const char *program, int fd, enum log_level level)
{
	*log = (struct log){
		.program = program, .fd = fd, .level = level, .journal = getenv("JOURNAL_STREAM") != NULL
	};
}

int log_parse_level(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_(buf_deinit) struct buf line = BUF_LIMIT(16384);
	char when[CLOCK_RFC3339_MAX];
	va_list args;
	int n, saved = errno;

	if (!log || level > log->level)
		return;
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return;
	}
	if (log->journal)
		buf_printf(&line, "<%d>%s ", level_syslog[level], level_names[level]);
	else
		buf_printf(&line, "%s %s %s ", clock_format_rfc3339(clock_wall_ms(), when), log->program,
			level_names[level]);
	str_escape(&line, text, (size_t)(n > 4096 ? 4096 : n));
	buf_append_byte(&line, '\n');
	(void)!write(log->fd, line.data, line.len);
	errno = saved;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, unsigned int *ret_dropped)
{
	if (!limit->began_ms || now_ms - limit->began_ms >= limit->interval_ms) {
		limit->began_ms = now_ms;
		limit->used = 0;
	}
	if (limit->used >= limit->burst) {
		limit->dropped++;
		return false;
	}
	limit->used++;
	*ret_dropped = limit->dropped;
	limit->dropped = 0;
	return true;
}
