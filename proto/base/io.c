#include "proto/base/io.h"
#include "proto/base/id.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_read_file(const char *path, size_t limit_bytes, char **ret_data, size_t *ret_len)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = 0, size = 4096;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT ? IO_E_NOT_FOUND : -errno;
	for (;;) {
		char *bigger;
		ssize_t n;

		if (!data || len + 1 >= size) {
			if (data)
				size *= 2;
			bigger = realloc(data, size);
			if (!bigger)
				return -ENOMEM;
			data = bigger;
		}
		n = read(fd, data + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > limit_bytes)
			return -EFBIG;
	}
	data[len] = 0;
	*ret_data = take(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int io_fsync_dir(const char *path)
{
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int fsync_parent(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	return copy ? io_fsync_dir(dirname(copy)) : -ENOMEM;
}

static int write_temporary(const char *path, const void *data, size_t len, mode_t mode, char **ret_temporary)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, data, len);
	if (!r && fchmod(fd, mode) < 0)
		r = -errno;
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (r) {
		unlink(temporary);
		return r;
	}
	*ret_temporary = take(temporary);
	return 0;
}

int io_replace_file(const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_free_ char *temporary = NULL;
	int r;

	r = write_temporary(path, data, len, mode, &temporary);
	if (r)
		return r;
	if (rename(temporary, path) < 0) {
		r = -errno;
		unlink(temporary);
		return r;
	}
	return fsync_parent(path);
}

int io_create_file(const char *path, const void *data, size_t len, mode_t mode)
{
	_cleanup_free_ char *temporary = NULL;
	int r;

	r = write_temporary(path, data, len, mode, &temporary);
	if (r)
		return r;
	r = link(temporary, path) < 0 ? -errno : 0;
	unlink(temporary);
	return r ? r : fsync_parent(path);
}

int io_make_dirs(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = c;
		if (!c)
			break;
	}
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int remove_at(int dir_fd, const char *name, dev_t device, int depth)
{
	_cleanup_close_ int fd = -1;
	struct dirent *entry;
	struct stat st;
	DIR *dir;
	int r = 0;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (device && st.st_dev != device)
		return -EXDEV;
	if (depth > 512)
		return -ELOOP;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)fchmod(fd, 0700); /* an agent may leave directories read-only (Go's module cache does) */
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	take_fd(&fd);
	while (!r && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_at(dirfd(dir), entry->d_name, st.st_dev, depth + 1);
	closedir(dir);
	if (r)
		return r;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int io_remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path, 0, 0);
}

int io_lock(const char *path, bool wait, int *ret_fd)
{
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
		if (errno != EINTR)
			return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int io_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

char *io_join(const char *dir, const char *name)
{
	char *path = NULL;
	size_t n = strlen(dir);

	if (asprintf(&path, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name) < 0)
		return NULL;
	return path;
}

int io_absolute(const char *path, char **ret_path)
{
	char cwd[PATH_MAX];
	char *joined;

	if (path[0] == '/')
		joined = strdup(path);
	else if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	else
		joined = io_join(cwd, path);
	if (!joined)
		return -ENOMEM;
	*ret_path = joined;
	return 0;
}
