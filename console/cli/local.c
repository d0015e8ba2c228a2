#include "console/cli/local.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static void program_deinit(struct local_program *program)
{
	free(program->name);
	free(program->state);
}

void local_deinit(struct local *local)
{
	program_deinit(&local->coordinator);
	for (size_t i = 0; i < local->workers_count; i++)
		program_deinit(&local->workers[i]);
	free(local->workers);
	free(local->url);
	*local = (struct local){ .url = NULL };
}

/* The pid in a lock file whose lock somebody holds; 0: nobody does. */
static pid_t lock_holder(const char *state)
{
	_cleanup_free_ char *path = io_join(state, "lock");
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char text[32] = "";
	uint64_t pid;

	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	text[strcspn(text, " \n")] = 0;
	return str_parse_u64(text, 1, INT32_MAX, &pid) ? 0 : (pid_t)pid;
}

static bool has_file(const char *state, const char *name)
{
	_cleanup_free_ char *path = io_join(state, name);

	return path && access(path, R_OK) == 0;
}

/* A worker that was enrolled with another coordinator is none of ours. */
static bool is_ours(const char *state, const char *url)
{
	_cleanup_free_ char *path = io_join(state, "coordinator"), *text = NULL;

	if (!path || io_read_file(path, 4096, &text, NULL))
		return false;
	text[strcspn(text, "\n")] = 0;
	return strcmp(text, url) == 0;
}

static int add_worker(struct local *local, const struct paths *paths, const char *name)
{
	struct local_program *workers, *worker;

	workers = realloc(local->workers, (local->workers_count + 1) * sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	local->workers = workers;
	worker = &workers[local->workers_count];
	*worker = (struct local_program){ .name = strdup(name), .state = paths_worker_state(paths, name) };
	if (!worker->name || !worker->state) {
		program_deinit(worker);
		return -ENOMEM;
	}
	local->workers_count++;
	worker->pid = lock_holder(worker->state);
	worker->enrolled = has_file(worker->state, "worker.key") && is_ours(worker->state, local->url);
	return 0;
}

static int look_workers(struct local *local, const struct paths *paths)
{
	_cleanup_free_ char *path = io_join(paths->state, "workers");
	struct dirent **entries;
	int n, r = 0;

	if (!path)
		return -ENOMEM;
	n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (!r && name_valid(entries[i]->d_name))
			r = add_worker(local, paths, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int local_look(const struct paths *paths, struct local *ret_local, struct error *error)
{
	struct local local = { .url = paths_coordinator_url(paths) };
	int r = -ENOMEM;

	local.coordinator.state = paths_coordinator_state(paths);
	if (local.url && local.coordinator.state) {
		local.coordinator.pid = lock_holder(local.coordinator.state);
		r = look_workers(&local, paths);
	}
	if (r) {
		local_deinit(&local);
		return error_set(error, r, "%s: %s", paths->state, strerror(-r));
	}
	*ret_local = local;
	return 0;
}

struct local_program *local_worker(struct local *local, const char *name)
{
	for (size_t i = 0; i < local->workers_count; i++)
		if (strcmp(local->workers[i].name, name) == 0)
			return &local->workers[i];
	return NULL;
}

const char *local_title(const struct local_program *program)
{
	static char title[LIMIT_NAME_CHARS + 16];

	snprintf(title, sizeof(title), "%s%s", program->name ? "worker " : "coordinator", str_or(program->name, ""));
	return title;
}

char *local_log_path(const struct local_program *program)
{
	return io_join(program->state, "log");
}

static int wait_gone(int pidfd, uint32_t deadline_ms)
{
	uint64_t until_ms = clock_boottime_ms() + deadline_ms;

	for (;;) {
		struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
		uint64_t now_ms = clock_boottime_ms();
		int n = poll(&poll_fd, 1, now_ms < until_ms ? (int)(until_ms - now_ms) : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int local_stop(const struct local_program *program, int signal, uint32_t deadline_ms, struct error *error)
{
	_cleanup_close_ int pidfd = pidfd_open(program->pid, 0);
	int r;

	if (pidfd < 0)
		return errno == ESRCH ? 0 : error_set(error, -errno, "%s: %m", local_title(program));
	/* the lock is still held by that pid: so the descriptor is of the right process */
	if (lock_holder(program->state) != program->pid)
		return 0;
	if (pidfd_send_signal(pidfd, signal, NULL, 0) < 0)
		return errno == ESRCH ? 0 : error_set(error, -errno, "%s: cannot be stopped: %m", local_title(program));
	r = wait_gone(pidfd, deadline_ms);
	return r ? error_set(error, r, "%s (pid %d) does not end", local_title(program), (int)program->pid) : 0;
}

/* Somebody answers on a session's socket; reached through its directory, for its path may be too long. */
static bool holder_answers(const char *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int dir = open(session, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (dir < 0 || fd < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket", dir);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
}

static void find_sessions(const struct local_program *worker, struct buf *out)
{
	_cleanup_free_ char *path = io_join(worker->state, "sessions");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *session = io_join(path, entry->d_name);

		if (entry->d_name[0] != '.' && session && holder_answers(session))
			buf_printf(out, "%s%s", out->len ? ", " : "", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

char *local_live_sessions(const struct local *local)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	for (size_t i = 0; i < local->workers_count; i++)
		find_sessions(&local->workers[i], &out);
	return out.len ? buf_take(&out) : strdup("");
}

char *local_fold_name(const char *text, const char *otherwise)
{
	char name[LIMIT_NAME_CHARS + 1];
	size_t n = 0;

	for (; *text && n < sizeof(name) - 1; text++) {
		unsigned char c = (unsigned char)tolower((unsigned char)*text);
		bool plain = isalnum(c) && c < 0x80;

		if (plain)
			name[n++] = (char)c;
		else if (n && isalnum((unsigned char)name[n - 1]))
			name[n++] = c == '.' || c == '_' ? (char)c : '-';
	}
	while (n && !isalnum((unsigned char)name[n - 1]))
		n--;
	name[n] = 0;
	if (str_ends(name, ".lock"))
		name[n - strlen(".lock")] = 0;
	while (name[0] && !isalnum((unsigned char)name[0]))
		memmove(name, name + 1, strlen(name));
	return strdup(name_valid(name) ? name : otherwise);
}
