/* Loaded before a program's own libraries (LD_PRELOAD): lets a call of its fail or be its last, moves its clock,
 * or takes writing away.
 *
 *   FAULT_PROGRAM   the program that it is for, by its file's name; its children run without this library
 *   FAULT_CALL      fdatasync, fsync or link
 *   FAULT_AT        at which call of these, counted from 1 in this process
 *   FAULT_ACTION    before: SIGKILL instead of the call; after: SIGKILL behind it; else an errno's number
 *   FAULT_CLOCK     a file whose text is milliseconds that CLOCK_BOOTTIME is ahead; read again at each use
 *   FAULT_READONLY  while this file is there, what is written at a place of a file (a database) fails with EROFS, as on a
 *                   file system that its kernel made read-only under the program
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 1024

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool enabled;
static long at, action; /* -1: before, -2: after, else an errno */
static const char *call, *clock_path, *readonly_path;
static atomic_long calls;
static atomic_bool is_boottime[DESCRIPTORS_MAX];

static void set_up(void)
{
	const char *program = getenv("FAULT_PROGRAM"), *text = getenv("FAULT_ACTION"), *name;
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (!program || n < 0)
		return;
	exe[n] = 0;
	name = strrchr(exe, '/');
	enabled = name && !strcmp(name + 1, program);
	at = getenv("FAULT_AT") ? atol(getenv("FAULT_AT")) : 0;
	action = !text ? 0 : !strcmp(text, "before") ? -1 : !strcmp(text, "after") ? -2 : atol(text);
	call = getenv("FAULT_CALL");
	clock_path = getenv("FAULT_CLOCK");
	readonly_path = getenv("FAULT_READONLY");
}

__attribute__((constructor)) static void keep_from_children(void)
{
	pthread_once(&once, set_up);
	if (enabled)
		unsetenv("LD_PRELOAD");
}

static bool is_now(const char *name)
{
	pthread_once(&once, set_up);
	return enabled && at && call && !strcmp(call, name) && atomic_fetch_add(&calls, 1) + 1 == at;
}

/* Around the real call. */
static int with_fault(const char *name, long number, long a, long b, long c, long d, long e)
{
	bool now = is_now(name);
	int r;

	if (now && action == -1)
		kill(getpid(), SIGKILL);
	if (now && action > 0) {
		errno = (int)action;
		return -1;
	}
	r = (int)syscall(number, a, b, c, d, e);
	if (now && action == -2)
		kill(getpid(), SIGKILL);
	return r;
}

int fdatasync(int fd)
{
	return with_fault("fdatasync", SYS_fdatasync, fd, 0, 0, 0, 0);
}

int fsync(int fd)
{
	return with_fault("fsync", SYS_fsync, fd, 0, 0, 0, 0);
}

int link(const char *from, const char *to)
{
	return with_fault("link", SYS_linkat, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return with_fault("link", SYS_linkat, from_dir, (long)from, to_dir, (long)to, flags);
}

/* --- a read-only file system --- */

static bool refuses_writing(void)
{
	pthread_once(&once, set_up);
	if (!enabled || !readonly_path || syscall(SYS_faccessat, AT_FDCWD, readonly_path, F_OK) != 0)
		return false;
	errno = EROFS;
	return true;
}

/* With 64-bit offsets, as here, these are pwrite64 and ftruncate64, which SQLite calls. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return refuses_writing() ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

int ftruncate(int fd, off_t len)
{
	return refuses_writing() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

/* --- the clock --- */

static int64_t ahead_ms(void)
{
	char text[32];
	ssize_t n;
	int fd;

	pthread_once(&once, set_up);
	if (!enabled || !clock_path)
		return 0;
	fd = (int)syscall(SYS_openat, AT_FDCWD, clock_path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	n = syscall(SYS_read, fd, text, sizeof(text) - 1);
	syscall(SYS_close, fd);
	text[n > 0 ? n : 0] = 0;
	return strtoll(text, NULL, 10);
}

static void shift(struct timespec *time, int64_t by_ms)
{
	int64_t ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + by_ms * 1000000;

	if (ns < 1)
		ns = 1; /* 0 would disarm a timer */
	time->tv_sec = (time_t)(ns / 1000000000);
	time->tv_nsec = (long)(ns % 1000000000);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int r = (int)syscall(SYS_clock_gettime, id, now);

	if (r == 0 && id == CLOCK_BOOTTIME)
		shift(now, ahead_ms());
	return r;
}

int timerfd_create(clockid_t id, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, id, flags);

	if (fd >= 0 && fd < DESCRIPTORS_MAX)
		atomic_store(&is_boottime[fd], id == CLOCK_BOOTTIME);
	return fd;
}

/* The kernel's clock is not ahead: what is due by ours is due so much sooner. */
int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	struct itimerspec moved = *value;

	if (flags & TFD_TIMER_ABSTIME && fd >= 0 && fd < DESCRIPTORS_MAX && atomic_load(&is_boottime[fd]) &&
		(moved.it_value.tv_sec || moved.it_value.tv_nsec))
		shift(&moved.it_value, -ahead_ms());
	return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}
