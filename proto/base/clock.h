/* Time: CLOCK_BOOTTIME counts, the wall clock is for display only. */
#pragma once

#include <stdint.h>
#include <stddef.h>

uint64_t clock_boottime_ms(void);
uint64_t clock_boottime_us(void);
/* Milliseconds since 1970, UTC. */
int64_t clock_wall_ms(void);

#define CLOCK_RFC3339_MAX 32
/* "2026-11-22T07:32:00.123Z". `buffer` holds CLOCK_RFC3339_MAX bytes. Returns buffer. */
const char *clock_format_rfc3339(int64_t wall_ms, char *buffer);

#define CLOCK_AGE_MAX 16
/* "3s", "12m", "2h05", "4d": for people. `buffer` holds CLOCK_AGE_MAX bytes. Returns buffer. */
const char *clock_format_age(uint64_t age_ms, char *buffer);

/* Parses "90", "90s", "15m", "2h", "1d", "250ms" (no unit: seconds). -EINVAL if it is none, -ERANGE above 10 years. */
int clock_parse_duration(const char *text, uint64_t *ret_ms);

/* This boot of the kernel, 32 hex digits and a NUL. -errno if /proc is not there. */
int clock_boot_id(char ret_id[33]);
