#include "proto/base/child.h"
#include "proto/base/error.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int give(posix_spawn_file_actions_t *actions, int fd, int as)
{
	if (fd == CHILD_SHARED)
		return 0;
	if (fd == CHILD_NULL)
		return posix_spawn_file_actions_addopen(actions, as, "/dev/null", as == STDIN_FILENO ? O_RDONLY : O_WRONLY, 0);
	return posix_spawn_file_actions_adddup2(actions, fd, as);
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (!r)
		r = posix_spawnattr_setpgroup(attributes, 0);
	if (!r)
		r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	return r;
}

int child_spawn(const struct child *child, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	r = give(&actions, child->in, STDIN_FILENO);
	if (!r)
		r = give(&actions, child->out, STDOUT_FILENO);
	if (!r)
		r = give(&actions, child->err, STDERR_FILENO);
	if (!r)
		r = set_attributes(&attributes);
	if (!r)
		r = posix_spawn(&pid, child->program, &actions, &attributes, (char *const *)(uintptr_t)child->argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (!r)
		*ret_pid = pid;
	return -r;
}

void child_kill(pid_t pid)
{
	if (pid > 0)
		kill(-pid, SIGKILL);
}

void child_end(pid_t pid)
{
	child_kill(pid);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

int child_input(const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_all(fd, data, len);
	if (r)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : take_fd(&fd);
}
