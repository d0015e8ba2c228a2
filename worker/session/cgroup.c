#include "worker/session/cgroup.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define PROC_BYTES_MAX (1024u * 1024)

/* The word that begins at *text, ended and passed over. */
static char *next_word(char **text)
{
	return strsep(text, " ");
}

/* In a copy of `mounts`: where the second hierarchy is mounted. Names with blanks are written as \040 there; ours never
 * have any, and such a one is passed over. */
static char *find_mount(char *mounts)
{
	for (char *line; (line = strsep(&mounts, "\n")) && *line;) {
		char *place, *type;

		(void)next_word(&line);
		place = next_word(&line);
		type = next_word(&line);
		if (place && type && !strcmp(type, "cgroup2") && !strchr(place, '\\'))
			return place;
	}
	return NULL;
}

/* The line "0::/path". */
static char *find_path(char *self)
{
	for (char *line; (line = strsep(&self, "\n"));)
		if (!strncmp(line, "0::/", 4))
			return line + 3;
	return NULL;
}

static bool is_delegated(const char *dir)
{
	static const char *const marks[] = { "user.delegate", "trusted.delegate" };
	struct stat st;
	char value;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (getxattr(dir, marks[i], &value, 1) == 1 && value == '1')
			return true;
	return geteuid() && stat(dir, &st) == 0 && st.st_uid == geteuid();
}

int cgroup_find(const char *mounts, const char *self, char **ret_dir)
{
	_cleanup_free_ char *mounts_copy = strdup(mounts), *self_copy = strdup(self), *dir = NULL;
	const char *place, *path;

	if (!mounts_copy || !self_copy)
		return -ENOMEM;
	place = find_mount(mounts_copy);
	path = find_path(self_copy);
	if (!place || !path || strstr(path, "/../"))
		return CGROUP_E_NONE;
	if (asprintf(&dir, "%s%s", place, strcmp(path, "/") ? path : "") < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	if (!is_delegated(dir))
		return CGROUP_E_NONE;
	*ret_dir = take(dir);
	return 0;
}

int cgroup_find_own(char **ret_dir)
{
	_cleanup_free_ char *mounts = NULL, *self = NULL;

	if (io_read_file("/proc/self/mounts", PROC_BYTES_MAX, &mounts, NULL) ||
		io_read_file("/proc/self/cgroup", PROC_BYTES_MAX, &self, NULL))
		return CGROUP_E_NONE;
	return cgroup_find(mounts, self, ret_dir);
}

static int write_value(const char *dir, const char *name, const char *value)
{
	_cleanup_free_ char *path = io_join(dir, name);
	_cleanup_close_ int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC); /* never made: they are the kernel's */
	if (fd < 0)
		return -errno;
	return io_write_all(fd, value, strlen(value));
}

static unsigned char set_limit(const char *dir, const char *name, uint64_t limit)
{
	char value[24];

	if (!limit)
		return false;
	snprintf(value, sizeof(value), "%" PRIu64, limit);
	return write_value(dir, name, value) == 0;
}

int cgroup_make(struct cgroup *ret_cgroup, const char *parent, const char *name, uint64_t limit_memory_bytes,
	uint64_t limit_processes)
{
	_cleanup_free_ char *dir = io_join(parent, name);

	if (!dir)
		return -ENOMEM;
	/* Refused (EBUSY) while processes are in the parent itself: then there are no limits, but the group is. */
	if (limit_memory_bytes)
		(void)write_value(parent, "cgroup.subtree_control", "+memory");
	if (limit_processes)
		(void)write_value(parent, "cgroup.subtree_control", "+pids");
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return CGROUP_E_NONE;
	*ret_cgroup = (struct cgroup){ .limits_memory = set_limit(dir, "memory.max", limit_memory_bytes),
		.limits_processes = set_limit(dir, "pids.max", limit_processes) };
	ret_cgroup->dir = take(dir);
	return 0;
}

int cgroup_add(const struct cgroup *cgroup, pid_t pid)
{
	char value[24];

	snprintf(value, sizeof(value), "%ld", (long)pid);
	return write_value(cgroup->dir, "cgroup.procs", value);
}

int cgroup_kill(const struct cgroup *cgroup)
{
	return write_value(cgroup->dir, "cgroup.kill", "1");
}

/* What was killed is dead a moment later. The kernel tells when the last one is. */
static void wait_until_empty(const char *dir)
{
	_cleanup_free_ char *path = io_join(dir, "cgroup.events");
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct pollfd changed = { .fd = fd, .events = POLLPRI };
	char text[256];
	ssize_t n;

	while (fd >= 0 && (n = pread(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = 0;
		if (!strstr(text, "populated 1") || poll(&changed, 1, CGROUP_EMPTY_MS) <= 0)
			return;
	}
}

void cgroup_end(const char *parent, const char *name)
{
	struct cgroup cgroup = { .dir = io_join(parent, name) };

	if (cgroup.dir && !access(cgroup.dir, F_OK)) {
		(void)cgroup_kill(&cgroup);
		wait_until_empty(cgroup.dir);
	}
	cgroup_deinit(&cgroup);
}

void cgroup_deinit(struct cgroup *cgroup)
{
	if (cgroup->dir)
		(void)rmdir(cgroup->dir); /* busy: somebody moved there who is none of ours */
	free(cgroup->dir);
	*cgroup = CGROUP_NULL;
}
