/* One line a message on a descriptor: "2026-11-22T07:32:00.123Z maestro-worker info task=12 attempt=1: text".
 *
 * A struct log is passed to whoever logs. Ids go first, as key=value. Every byte of the formatted text that is no
 * printable UTF-8 is escaped (\x1b), so a peer's words can be logged as they are. Never blocks the caller for
 * longer than a write; a failed write is dropped. Under systemd (JOURNAL_STREAM) the time is left out and the
 * level goes before the line as "<6>". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

struct log {
	const char *program; /* borrowed */
	int fd;
	enum log_level level;
	bool journal;
};

void log_init(struct log *log, const char *program, int fd, enum log_level level);
/* "error", "warning", "info", "debug". -EINVAL. */
int log_parse_level(const char *text, enum log_level *ret_level);
void log_write(struct log *log, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* For lines that a peer can provoke: at most `burst` per interval, then one line that counts what was left out. */
struct log_limit {
	uint64_t interval_ms;
	unsigned int burst;
	uint64_t began_ms;
	unsigned int used, dropped;
};
#define LOG_LIMIT(interval, count) ((struct log_limit){ .interval_ms = (interval), .burst = (count) })
/* Whether this line may be written. *ret_dropped is how many were left out before it (say so in the line). */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, unsigned int *ret_dropped);
