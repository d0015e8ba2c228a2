/* What a session leaves behind whose holder died: a holder ends its processes, a dead one cannot. Most go with their
 * terminal; the others are found by the worktree that their environment names, which no other attempt has. */
#include "worker/service/service.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "proto/base/io.h"
#include "worker/session/cgroup.h"
#include "worker/session/socket.h"

#define ENVIRONMENT_BYTES_MAX (4u * 1024 * 1024)
#define DYING_MS 1000

/* Whether one of the strings of /proc/PID/environ is `entry`. Another user's cannot be read, and is none of ours. */
static bool has_entry(const char *pid, const char *entry)
{
	_cleanup_free_ char *path = NULL, *environment = NULL;
	size_t len, entry_len = strlen(entry);

	if (asprintf(&path, "/proc/%s/environ", pid) < 0) {
		path = NULL;
		return false;
	}
	if (io_read_file(path, ENVIRONMENT_BYTES_MAX, &environment, &len))
		return false;
	for (const char *p = environment; p < environment + len; p += strlen(p) + 1)
		if (!strncmp(p, entry, entry_len + 1))
			return true;
	return false;
}

/* By descriptor, looked at again behind its opening: a number may be somebody else's by now. */
static bool end_process(const char *pid, const char *entry)
{
	_cleanup_close_ int fd = pidfd_open(atoi(pid), 0);

	return fd >= 0 && has_entry(pid, entry) && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
}

static unsigned int end_processes(const char *entry)
{
	struct dirent *process;
	unsigned int count = 0;
	DIR *all = opendir("/proc");

	while (all && (process = readdir(all)))
		if (isdigit((unsigned char)process->d_name[0]) && has_entry(process->d_name, entry))
			count += end_process(process->d_name, entry);
	if (all)
		closedir(all);
	return count;
}

/* Its state file cannot be read, but somebody listens: it ends its session and leaves. */
static bool end_holder(const char *dir)
{
	_cleanup_close_ int fd = -1, process_fd = -1;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (socket_connect(dir, &fd) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	process_fd = pidfd_open(peer.pid, 0);
	return process_fd >= 0 && pidfd_send_signal(process_fd, SIGTERM, NULL, 0) == 0;
}

/* A process that is killed closes its sockets a moment before it is dead, and it is the closing that brought us here.
 * The wait ends with that moment; only a holder that lives and turned us away takes all of it. */
static bool holder_lives(const struct holder_id *id)
{
	_cleanup_close_ int fd = pidfd_open(id->pid, 0);
	struct pollfd dead = { .fd = fd, .events = POLLIN };

	if (holder_verify(id))
		return false;
	return fd < 0 || poll(&dead, 1, DYING_MS) <= 0;
}

/* A control group is the holder's to remove, and goes with all that is in it, whatever that made of its environment. */
static void end_group(const struct holder_id *id)
{
	_cleanup_free_ char *parent = NULL;
	char name[64];

	snprintf(name, sizeof(name), CGROUP_NAME, id->task, id->attempt, (long)id->pid);
	if (!cgroup_find_own(&parent))
		cgroup_end(parent, name);
}

void orphans_end(struct service *service, const struct attempt *attempt)
{
	_cleanup_free_ char *dir = session_dir(service, attempt->task, attempt->attempt);
	_cleanup_free_ char *worktree = gitwork_worktree(service, attempt), *entry = NULL;
	struct holder_id id;
	unsigned int count;
	int r = dir ? holder_state_read(dir, &id) : -ENOMEM;
	bool is_ours = r == 0 && !memcmp(id.run_id, attempt->run_id, ATTEMPT_RUN_ID_BYTES);

	if (r < 0 || (is_ours && holder_lives(&id)))
		return; /* it lives after all */
	/* One that ran under our run_id cannot have become another run's: the file is damaged. */
	if (r == 0 && !is_ours && attempt->state != ATTEMPT_RUNNING)
		return;
	if (!is_ours && end_holder(dir)) {
		log_warning(service->log, "task=%" PRIu64 " attempt=%u: %s/holder is damaged; its holder was told to end",
			attempt->task, attempt->attempt, dir);
		return;
	}
	if (is_ours)
		end_group(&id);
	if (!worktree || asprintf(&entry, "MAESTRO_WORKTREE=%s", worktree) < 0) {
		entry = NULL;
		return;
	}
	while ((count = end_processes(entry))) /* again, for what was forked meanwhile */
		log_warning(service->log, "task=%" PRIu64 " attempt=%u: %u of its processes had no holder any more and were killed",
			attempt->task, attempt->attempt, count);
}
