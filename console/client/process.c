#include "console/client/process.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* After fork, before exec: only what a signal handler may do. Descriptors are -1 for /dev/null. */
struct child {
	int in, out, err;
	int ready; /* -1: none; else becomes descriptor 3 */
	bool detach;
};

static void become(int fd, int as, int null_flags)
{
	if (fd < 0)
		fd = open("/dev/null", null_flags);
	if (fd == as)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, as);
}

_Noreturn static void exec_child(const struct child *child, const char *const *argv)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* out of the way of 0 to 3 first, so that no dup2 hits what the next one needs */
	int in = child->in < 0 ? -1 : fcntl(child->in, F_DUPFD_CLOEXEC, 10);
	int out = child->out < 0 ? -1 : fcntl(child->out, F_DUPFD_CLOEXEC, 10);
	int err = child->err < 0 ? -1 : fcntl(child->err, F_DUPFD_CLOEXEC, 10);
	int ready = child->ready < 0 ? -1 : fcntl(child->ready, F_DUPFD_CLOEXEC, 10);

	become(in, STDIN_FILENO, O_RDONLY);
	become(out, STDOUT_FILENO, O_WRONLY);
	become(err, STDERR_FILENO, O_WRONLY);
	if (ready >= 0)
		dup2(ready, 3);
	close_range(ready >= 0 ? 4 : 3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (child->detach && (setsid() < 0 || chdir("/") < 0))
		_exit(126);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int spawn(const struct child *child, const char *const *argv, pid_t *ret_pid)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_child(child, argv);
	*ret_pid = pid;
	return 0;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void read_to_end(int fd, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (out->len + (size_t)n <= PROCESS_OUTPUT_MAX)
			buf_append(out, chunk, (size_t)n);
	}
}

int process_capture(const char *const *argv, char **ret_output, int *ret_status)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL, err = BUF_NULL;
	int outs[2] = { -1, -1 }, errs[2] = { -1, -1 }, r;
	pid_t pid = -1;

	if (pipe2(outs, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(errs, O_CLOEXEC) < 0) {
		r = -errno;
		close(outs[0]);
		close(outs[1]);
		return r;
	}
	r = spawn(&(struct child){ -1, outs[1], errs[1], -1, false }, argv, &pid);
	close(outs[1]);
	close(errs[1]);
	if (!r) {
		read_to_end(outs[0], &out);
		read_to_end(errs[0], &err); /* at most a pipe's worth of complaint: nothing we run writes more */
		*ret_status = wait_for(pid);
		if (*ret_status && err.len)
			buf_append(&out, err.data, err.len);
	}
	close(outs[0]);
	close(errs[0]);
	if (r)
		return r;
	while (out.len && out.data[out.len - 1] == '\n')
		out.data[--out.len] = 0;
	*ret_output = buf_take(&out);
	return *ret_output ? 0 : -ENOMEM;
}

int process_git(const char *directory, char **ret_output, ...)
{
	const char *argv[16] = { "git", "-C", directory };
	size_t n = 3;
	va_list args;
	int status, r;

	va_start(args, ret_output);
	while (n + 1 < ARRAY_SIZE(argv) && (argv[n] = va_arg(args, const char *)))
		n++;
	va_end(args);
	argv[n] = NULL;
	r = process_capture(argv, ret_output, &status);
	if (r)
		return r;
	if (status == 127 && !**ret_output) {
		free(*ret_output);
		*ret_output = strdup("the program git is not installed");
	}
	return status ? 1 : 0;
}

char *process_log_tail(const char *path, unsigned int lines)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	size_t len = 0, from;

	if (io_read_file(path, 64u << 20, &text, &len))
		return strdup("");
	while (len && text[len - 1] == '\n')
		len--;
	for (from = len; from && lines; from--)
		if (text[from - 1] == '\n' && --lines == 0)
			break;
	while (from < len) {
		size_t n = strcspn(text + from, "\n");

		if (n > len - from)
			n = len - from;
		buf_append_str(&out, "\n    ");
		str_escape(&out, text + from, n);
		from += n + 1;
	}
	return buf_take(&out);
}

/* Until the empty line, the end (-EPIPE) or the deadline (-ETIMEDOUT). */
static int read_ready(int fd, uint32_t deadline_ms, struct buf *text)
{
	uint64_t until_ms = clock_boottime_ms() + deadline_ms;
	char chunk[512];

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint64_t now_ms = clock_boottime_ms();
		ssize_t n;

		if (text->len && (strcmp(buf_text(text), "\n") == 0 || str_ends(buf_text(text), "\n\n")))
			return 0;
		if (now_ms >= until_ms)
			return -ETIMEDOUT;
		if (poll(&poll_fd, 1, (int)(until_ms - now_ms)) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			/* a program whose last line has no empty one after it was ready too */
			return text->len ? 0 : -EPIPE;
		if (n > 0 && (text->len > 65536 || buf_append(text, chunk, (size_t)n)))
			return -ENOMEM;
	}
}

static int open_log(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int process_start(const struct process_start *start, pid_t *ret_pid, char **ret_ready, struct error *error)
{
	_cleanup_(buf_deinit) struct buf ready = BUF_NULL;
	_cleanup_close_ int log_fd = open_log(start->log_path);
	_cleanup_free_ char *tail = NULL;
	int pipe_fd[2], r;
	pid_t pid = -1;

	if (log_fd < 0)
		return error_set(error, -errno, "%s: %m", start->log_path);
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	r = spawn(&(struct child){ -1, log_fd, log_fd, pipe_fd[1], true }, start->argv, &pid);
	close(pipe_fd[1]);
	if (!r) {
		r = read_ready(pipe_fd[0], start->deadline_ms, &ready);
		if (r) {
			kill(pid, SIGTERM);
			wait_for(pid);
		}
	}
	close(pipe_fd[0]);
	if (!r) {
		*ret_pid = pid;
		*ret_ready = buf_take(&ready);
		return 0;
	}
	tail = process_log_tail(start->log_path, 5);
	return error_set(error, r, "%s %s; its log (%s) ends:%s", start->argv[0],
		r == -ETIMEDOUT ? "did not get ready in time" : "did not start", start->log_path, str_or(tail, ""));
}

int process_feed(const char *const *argv, const void *input, size_t len, const char *log_path, int *ret_status)
{
	_cleanup_close_ int log_fd = open_log(log_path);
	int pipe_fd[2], r;
	pid_t pid = -1;

	if (log_fd < 0 || pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	r = spawn(&(struct child){ pipe_fd[0], log_fd, log_fd, -1, false }, argv, &pid);
	close(pipe_fd[0]);
	if (!r) {
		signal(SIGPIPE, SIG_IGN); /* it may end without reading; its status tells */
		io_write_all(pipe_fd[1], input, len);
		signal(SIGPIPE, SIG_DFL);
	}
	close(pipe_fd[1]);
	if (!r)
		*ret_status = wait_for(pid);
	return r;
}
