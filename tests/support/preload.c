/* Loaded before a program's own libraries (LD_PRELOAD): lets a call of its fail or be its last, moves its
 * clocks, or takes writing away.
 *
 *   FAULT_PROGRAM   the program that it is for, by its file's name; its children run without this library
 *   FAULT_CALL      fdatasync, fsync, link, rename, open, fork (and posix_spawn) or malloc (and its like)
 *   FAULT_AT        at which call of these, counted from 1 in this process (and what it was forked from)
 *   FAULT_ACTION    before: SIGKILL instead of the call; after: SIGKILL behind it; else an errno's number, once
 *   FAULT_PLAN      a file that says all four, in one line in this order; a process reads it when it starts
 *   FAULT_DID       a file that is made when the fault happens; while it is there, no other does
 *   FAULT_CLOCK     a file whose text is milliseconds that CLOCK_BOOTTIME is ahead; read again at each use
 *   FAULT_WALL      the same for CLOCK_REALTIME; may be negative
 *   FAULT_READONLY  while this file is there, what is written at a place of a file (a database) fails with EROFS, as on a
 *                   file system that its kernel made read-only under the program
 */
#undef _FILE_OFFSET_BITS /* so that open() and open64() have their own names here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 1024

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool enabled;
static long at, action; /* -1: before, -2: after, else an errno */
static const char *call, *clock_path, *wall_path, *did_path, *readonly_path;
static atomic_long calls;
static atomic_bool is_boottime[DESCRIPTORS_MAX];

static void read_text(const char *path, char *text, size_t size)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : syscall(SYS_read, fd, text, size - 1);

	if (fd >= 0)
		syscall(SYS_close, fd);
	text[n > 0 ? n : 0] = 0;
}

static bool is_program(const char *program)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *name;

	if (n < 0)
		return false;
	exe[n] = 0;
	name = strrchr(exe, '/');
	return name && !strcmp(name + 1, program);
}

static void set_up(void)
{
	static char plan[256];
	char *words = plan, *program = getenv("FAULT_PROGRAM"), *nth = getenv("FAULT_AT"), *text = getenv("FAULT_ACTION");

	call = getenv("FAULT_CALL");
	if (getenv("FAULT_PLAN")) {
		read_text(getenv("FAULT_PLAN"), plan, sizeof(plan));
		program = strsep(&words, " ");
		call = strsep(&words, " ");
		nth = strsep(&words, " ");
		text = strsep(&words, " \n");
	}
	if (!program || !is_program(program))
		return;
	enabled = true;
	at = nth ? atol(nth) : 0;
	action = !text ? 0 : !strcmp(text, "before") ? -1 : !strcmp(text, "after") ? -2 : atol(text);
	clock_path = getenv("FAULT_CLOCK");
	readonly_path = getenv("FAULT_READONLY");
	wall_path = getenv("FAULT_WALL");
	did_path = getenv("FAULT_DID");
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
	if (!enabled || !at || !call || strcmp(call, name) || atomic_fetch_add(&calls, 1) + 1 != at)
		return false;
	return !did_path || syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, did_path, O_CREAT | O_EXCL | O_WRONLY, 0600)) == 0;
}

/* Before the real call. True: it shall fail, errno tells how. */
static bool fails_now(const char *name, bool *ret_now)
{
	*ret_now = is_now(name);
	if (*ret_now && action == -1)
		kill(getpid(), SIGKILL);
	if (*ret_now && action > 0)
		errno = (int)action;
	return *ret_now && action > 0;
}

/* Around the real call. */
static int with_fault(const char *name, long number, long a, long b, long c, long d, long e)
{
	bool now;
	int r;

	if (fails_now(name, &now))
		return -1;
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

int rename(const char *from, const char *to)
{
	return with_fault("rename", SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
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

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return refuses_writing() ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset) __attribute__((alias("pwrite")));

int ftruncate(int fd, off_t len)
{
	return refuses_writing() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off64_t len) __attribute__((alias("ftruncate")));

static mode_t mode_of(int flags, va_list args)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	int r;

	va_start(args, flags);
	r = with_fault("open", SYS_openat, AT_FDCWD, (long)path, flags, mode_of(flags, args), 0);
	va_end(args);
	return r;
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	int r;

	va_start(args, flags);
	r = with_fault("open", SYS_openat, dir, (long)path, flags, mode_of(flags, args), 0);
	va_end(args);
	return r;
}

/* Named so by what was built for large files. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

pid_t fork(void)
{
	pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	bool now;

	return fails_now("fork", &now) ? -1 : real();
}

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
	char *const[], char *const[]);

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const env[])
{
	spawn_fn *real = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawn");
	bool now;

	return fails_now("fork", &now) ? errno : real(pid, path, actions, attributes, argv, env);
}

/* Memory comes from whoever gave it without us: the sanitizer, or libc. What is asked for before the program's own
 * start is left alone, for it may come from within the search for that giver. */
static bool started;

__attribute__((constructor)) static void note_start(void)
{
	started = true;
}

static bool memory_fails(void)
{
	bool now;

	return started && fails_now("malloc", &now);
}

#define GIVER(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

void *malloc(size_t size)
{
	GIVER(malloc);
	return memory_fails() ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
	GIVER(calloc);
	return memory_fails() ? NULL : real(count, size);
}

void *realloc(void *old, size_t size)
{
	GIVER(realloc);
	return memory_fails() ? NULL : real(old, size);
}

/* --- the clocks --- */

static int64_t ahead_ms(const char *path)
{
	char text[32];

	pthread_once(&once, set_up);
	if (!enabled || !path)
		return 0;
	read_text(path, text, sizeof(text));
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
		shift(now, ahead_ms(clock_path));
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		shift(now, ahead_ms(wall_path));
	return r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	*now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *ret_now)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret_now)
		*ret_now = now.tv_sec;
	return now.tv_sec;
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
		shift(&moved.it_value, -ahead_ms(clock_path));
	return (int)syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}
