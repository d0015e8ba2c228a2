#include "worker/service/host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

void host_load(const char *path, struct host_load *ret_load)
{
	struct statvfs disk;
	double load = 0;

	*ret_load = (struct host_load){ .memory_free_bytes = memory_available() };
	if (getloadavg(&load, 1) == 1)
		ret_load->load_percent = (uint32_t)(load * 100);
	if (statvfs(path, &disk) == 0)
		ret_load->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
}

bool host_has_git_author(void)
{
	char *argv[] = { (char *)"git", (char *)"config", (char *)"--get", (char *)"user.email", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int status = -1, r;
	sigset_t none;
	pid_t pid;

	if (getenv("GIT_AUTHOR_EMAIL") && getenv("GIT_COMMITTER_EMAIL"))
		return true;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addchdir_np(&actions, "/"); /* not some repository's own */
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawnp(&pid, "git", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return r == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

unsigned int host_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned int)CPU_COUNT(&set);
	return 1;
}
