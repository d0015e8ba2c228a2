#include "worker/git/stale.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#define DEPTH_MAX 16u
#define POLL_MS 50u

/* A lock file as it was seen. */
struct seen {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

struct sweep {
	struct buf seen; /* of struct seen */
	bool remove;     /* second pass: what was seen and is the same is removed */
	unsigned int found;
};

static void sweep_deinit(struct sweep *sweep)
{
	buf_deinit(&sweep->seen);
}

static bool ends_in_lock(const char *name)
{
	return strlen(name) > 5 && str_ends(name, ".lock");
}

static const struct seen *find_seen(const struct sweep *sweep, const struct stat *st)
{
	const struct seen *seen = (const struct seen *)(const void *)sweep->seen.data;

	for (size_t i = 0; i < sweep->seen.len / sizeof(*seen); i++)
		if (seen[i].dev == st->st_dev && seen[i].ino == st->st_ino && !memcmp(&seen[i].changed, &st->st_ctim, sizeof(st->st_ctim)))
			return &seen[i];
	return NULL;
}

/* --- who has it open ----------------------------------------------------------------------------------------- */

static bool process_has_open(const char *pid, const struct stat *file)
{
	_cleanup_free_ char *path = NULL;
	DIR *dir = asprintf(&path, "/proc/%s/fd", pid) < 0 ? NULL : opendir(path);
	struct dirent *entry;
	struct stat st;
	bool has = false;

	while (dir && !has && (entry = readdir(dir)))
		has = !fstatat(dirfd(dir), entry->d_name, &st, 0) && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	if (dir)
		closedir(dir);
	return has;
}

static bool is_open(const struct stat *file)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool open = !dir; /* not known: it may be */

	while (dir && !open && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			open = process_has_open(entry->d_name, file);
	if (dir)
		closedir(dir);
	return open;
}

/* --- one look at the lock files ------------------------------------------------------------------------------ */

static void look_at(struct sweep *sweep, int dir_fd, const char *name, const struct stat *st)
{
	struct seen seen = { .dev = st->st_dev, .ino = st->st_ino, .changed = st->st_ctim };

	if (!sweep->remove) {
		sweep->found += !buf_append(&sweep->seen, &seen, sizeof(seen));
		return;
	}
	if (find_seen(sweep, st) && !is_open(st) && !unlinkat(dir_fd, name, 0))
		sweep->found++;
}

static void look_at_name(struct sweep *sweep, int dir_fd, const char *name)
{
	struct stat st;

	if (!fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
		look_at(sweep, dir_fd, name, &st);
}

static int open_dir(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void look_below(struct sweep *sweep, int parent_fd, const char *name, unsigned int depth)
{
	int fd = depth < DEPTH_MAX ? open_dir(parent_fd, name) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			look_below(sweep, fd, entry->d_name, depth + 1);
		else if (S_ISREG(st.st_mode) && ends_in_lock(entry->d_name))
			look_at(sweep, fd, entry->d_name, &st);
	}
	if (dir)
		closedir(dir);
}

static void look_at_worktrees(struct sweep *sweep, int mirror_fd, const struct buf *worktrees)
{
	for (size_t at = 0; at < worktrees->len; at += strlen((char *)worktrees->data + at) + 1) {
		_cleanup_free_ char *path = io_join("worktrees", (char *)worktrees->data + at);
		_cleanup_close_ int fd = path ? open_dir(mirror_fd, path) : -1;

		if (fd < 0)
			continue;
		look_at_name(sweep, fd, "index.lock");
		look_at_name(sweep, fd, "HEAD.lock");
	}
}

/* `worktrees`: names of their records, each with its NUL. In a remote that is a person's own repository only what is
 * below our own branches is looked at. */
static void look(struct sweep *sweep, const struct job *job, const struct buf *worktrees)
{
	static const char *const files[] = { "packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock" };
	static const char *const own[] = { "refs/heads/maestro", ".git/refs/heads/maestro" };
	_cleanup_close_ int mirror_fd = open_dir(AT_FDCWD, job->mirror), remote_fd = -1;

	for (size_t i = 0; mirror_fd >= 0 && i < ARRAY_SIZE(files); i++)
		look_at_name(sweep, mirror_fd, files[i]);
	if (mirror_fd >= 0) {
		look_below(sweep, mirror_fd, "refs", 0);
		look_at_worktrees(sweep, mirror_fd, worktrees);
	}
	if (job->url.kind == URL_LOCAL)
		remote_fd = open_dir(AT_FDCWD, job->url.path);
	for (size_t i = 0; remote_fd >= 0 && i < ARRAY_SIZE(own); i++)
		look_below(sweep, remote_fd, own[i], 0);
}

static void clear_up(const struct job *job, const struct buf *worktrees)
{
	_cleanup_(sweep_deinit) struct sweep sweep = { .seen = BUF_NULL };
	uint64_t until_ms = clock_boottime_ms() + STALE_WATCH_MS;

	look(&sweep, job, worktrees);
	if (!sweep.found)
		return;
	while (clock_boottime_ms() < until_ms)
		poll(NULL, 0, POLL_MS);
	sweep.remove = true;
	sweep.found = 0;
	look(&sweep, job, worktrees);
	if (sweep.found)
		fprintf(stderr, "%s: removed %u lock files of a killed job\n", job->mirror, sweep.found);
}

/* --- marks --------------------------------------------------------------------------------------------------- */

/* True: its job is dead; what it said is in `worktrees`. */
static bool take_dead(int dir_fd, const char *name, struct buf *worktrees)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	char text[256];
	ssize_t n;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	if (n > 0 && !strchr(text, '/') && strcmp(text, "..") != 0 && buf_append(worktrees, text, (size_t)n + 1))
		return false;
	return true;
}

static void clear_up_behind_dead(const struct job *job, int dir_fd)
{
	_cleanup_(buf_deinit) struct buf worktrees = BUF_NULL, dead = BUF_NULL;
	int fd = dup(dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (str_starts(entry->d_name, "job.") && take_dead(dir_fd, entry->d_name, &worktrees) &&
			buf_append(&dead, entry->d_name, strlen(entry->d_name) + 1))
			break;
	if (dir)
		closedir(dir);
	if (!dead.len)
		return;
	clear_up(job, &worktrees);
	for (size_t at = 0; at < dead.len; at += strlen((char *)dead.data + at) + 1)
		unlinkat(dir_fd, (char *)dead.data + at, 0);
}

static int make_mark(const char *dir, const char *worktree, struct stale_mark *ret_mark)
{
	struct stale_mark mark = STALE_MARK_NULL;
	uint64_t number;
	int r = 0;

	id_random(&number, sizeof(number));
	if (asprintf(&mark.path, "%s/job.%016llx", dir, (unsigned long long)number) < 0)
		return -ENOMEM;
	mark.fd = open(mark.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mark.fd < 0 || flock(mark.fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (!r && worktree)
		r = io_write_all(mark.fd, worktree, strlen(worktree));
	*ret_mark = mark;
	return r;
}

void stale_begin(struct job *job, const char *worktree, struct stale_mark *ret_mark)
{
	_cleanup_free_ char *dir = NULL, *lock = NULL;
	_cleanup_close_ int lock_fd = -1, dir_fd = -1;

	*ret_mark = STALE_MARK_NULL;
	if (asprintf(&dir, "%s.jobs", job->mirror) < 0 || !(lock = io_join(dir, "lock")) || io_make_dirs(dir, 0700) < 0 ||
		io_lock(lock, true, &lock_fd) < 0)
		return;
	dir_fd = open_dir(AT_FDCWD, dir);
	if (dir_fd < 0)
		return;
	clear_up_behind_dead(job, dir_fd);
	if (make_mark(dir, worktree, ret_mark) < 0)
		stale_end(ret_mark);
}

void stale_end(struct stale_mark *mark)
{
	if (mark->fd >= 0) {
		unlink(mark->path);
		close(mark->fd);
	}
	free(mark->path);
	*mark = STALE_MARK_NULL;
}
