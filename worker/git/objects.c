#include "worker/git/objects.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/error.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int copy_file(int from_fd, int to_fd, const char *name)
{
	_cleanup_close_ int in = openat(from_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int out = in < 0 ? -1 : openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	ssize_t n;

	if (out < 0)
		return -errno;
	do
		n = copy_file_range(in, NULL, out, NULL, 1u << 30, 0);
	while (n > 0);
	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
		char piece[65536];
		int r = 0;

		while (!r && (n = read(in, piece, sizeof(piece))) > 0)
			r = io_write_all(out, piece, (size_t)n);
		if (r)
			return r;
	}
	return n < 0 ? -errno : 0;
}

static int link_file(int from_fd, int to_fd, const char *name)
{
	if (!linkat(from_fd, name, to_fd, name, 0) || errno == EEXIST)
		return 0;
	return errno == EXDEV || errno == EPERM || errno == EMLINK ? copy_file(from_fd, to_fd, name) : -errno;
}

/* Indices last: a pack that has one is complete. */
static int link_files(const char *from, const char *to, bool indices)
{
	_cleanup_(close_dir) DIR *dir = opendir(from);
	_cleanup_close_ int to_fd = open(to, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int r = 0;

	if (!dir || to_fd < 0)
		return -errno;
	while (!r && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !str_starts(entry->d_name, "tmp_") && str_ends(entry->d_name, ".idx") == indices &&
			entry->d_type != DT_DIR)
			r = link_file(dirfd(dir), to_fd, entry->d_name);
	return r;
}

static int link_dir(const char *from, const char *to, const char *name)
{
	_cleanup_free_ char *from_dir = io_join(from, name), *to_dir = io_join(to, name);
	int r;

	if (!from_dir || !to_dir)
		return -ENOMEM;
	r = io_make_dirs(to_dir, 0777);
	if (r >= 0)
		r = link_files(from_dir, to_dir, false);
	return r < 0 ? r : link_files(from_dir, to_dir, true);
}

static bool is_object_dir(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

/* Packs last: what is packed while this goes on is then seen in one place at least. */
static int link_all(const char *from, const char *to)
{
	_cleanup_(close_dir) DIR *dir = opendir(from);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir)))
		if (is_object_dir(entry->d_name))
			r = link_dir(from, to, entry->d_name);
	return r ? r : link_dir(from, to, "pack");
}

int objects_link(git_repository *from, git_repository *to)
{
	_cleanup_free_ char *source = io_join(git_repository_commondir(from), "objects");
	_cleanup_free_ char *target = io_join(git_repository_commondir(to), "objects");
	_cleanup_free_ char *alternates = source ? io_join(source, "info/alternates") : NULL;

	if (!alternates || !target)
		return -ENOMEM;
	if (!access(alternates, F_OK) || git_repository_is_shallow(from) == 1)
		return 0;
	return link_all(source, target);
}
