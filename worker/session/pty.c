#include "worker/session/pty.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

/* What a child reports when it could not become the program. */
enum pty_step { STEP_TERMINAL, STEP_DIRECTORY, STEP_LIMITS, STEP_EXEC };

struct pty_failure {
	enum pty_step step;
	int code; /* errno */
};

static int open_master(unsigned int cols, unsigned int rows, int *ret_master, int *ret_slave)
{
	_cleanup_close_ int master = -1, slave = -1;
	struct winsize size = { .ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows };
	struct termios modes;
	char name[64];

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0)
		return -errno;
	if (grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0)
		return -errno;
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	if (tcgetattr(slave, &modes) == 0) {
		modes.c_iflag |= IUTF8; /* so that erase takes whole characters away */
		(void)tcsetattr(slave, TCSANOW, &modes);
	}
	(void)ioctl(slave, TIOCSWINSZ, &size);
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}

static _Noreturn void child_fail(int report_fd, enum pty_step step)
{
	struct pty_failure failure = { step, errno };

	(void)io_write_all(report_fd, &failure, sizeof(failure));
	_exit(127);
}

static void child_reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &action, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool child_limit(int resource, uint64_t value)
{
	struct rlimit limit = { value, value };

	if (!value)
		return true;
	if (setrlimit((__rlimit_resource_t)resource, &limit) == 0)
		return true;
	/* Above the hard limit of whoever started us: as much as there is. */
	if (errno != EPERM || getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

static _Noreturn void child_run(const struct pty_spec *spec, int slave_fd, int gate_fd, int report_fd)
{
	ssize_t n;
	char go;

	child_reset_signals();
	if (setsid() < 0 || ioctl(slave_fd, TIOCSCTTY, 0) < 0)
		child_fail(report_fd, STEP_TERMINAL);
	do
		n = read(gate_fd, &go, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(0); /* somebody else has this session */
	if (dup2(slave_fd, 0) < 0 || dup2(slave_fd, 1) < 0 || dup2(slave_fd, 2) < 0)
		child_fail(report_fd, STEP_TERMINAL);
	if (chdir(spec->cwd) < 0)
		child_fail(report_fd, STEP_DIRECTORY);
	errno = 0;
	if (spec->nice && nice(spec->nice) == -1 && errno && spec->nice > 0)
		child_fail(report_fd, STEP_LIMITS);
	if (!child_limit(RLIMIT_AS, spec->limit_memory_bytes) || !child_limit(RLIMIT_NOFILE, spec->limit_files) ||
		!child_limit(RLIMIT_NPROC, spec->limit_processes))
		child_fail(report_fd, STEP_LIMITS);
	umask(022);
	environ = (char **)spec->env;
	execvp(spec->argv[0], spec->argv);
	child_fail(report_fd, STEP_EXEC);
}

static void child_start(const struct pty_spec *spec, int slave_fd, int gate_fd, int report_fd)
{
	/* Above 2, so that the terminal can be put there; everything is close-on-exec. */
	int slave = fcntl(slave_fd, F_DUPFD_CLOEXEC, 3), gate = fcntl(gate_fd, F_DUPFD_CLOEXEC, 3),
	    report = fcntl(report_fd, F_DUPFD_CLOEXEC, 3);

	if (slave < 0 || gate < 0 || report < 0)
		_exit(127);
	for (int fd = 3; fd < 1024; fd++) /* the holder opens few, all of them low */
		if (fd != slave && fd != gate && fd != report)
			close(fd);
	child_run(spec, slave, gate, report);
}

int pty_open(struct pty *ret_pty, const struct pty_spec *spec, struct error *error)
{
	_cleanup_close_ int master = -1, slave = -1, gate_read = -1, gate_write = -1, report_read = -1, report_write = -1;
	int fds[2], r;
	pid_t pid;

	r = open_master(spec->cols, spec->rows, &master, &slave);
	if (r)
		return error_set(error, r, "no terminal can be opened: %s", strerror(-r));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(error, -errno, "pipe: %s", strerror(errno));
	gate_read = fds[0];
	gate_write = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(error, -errno, "pipe: %s", strerror(errno));
	report_read = fds[0];
	report_write = fds[1];
	r = io_set_nonblock(master, true);
	if (r)
		return r;
	pid = fork();
	if (pid < 0)
		return error_set(error, -errno, "no process can be started: %s", strerror(errno));
	if (pid == 0)
		child_start(spec, slave, gate_read, report_write);
	*ret_pty = (struct pty){ take_fd(&master), take_fd(&slave), pid, take_fd(&gate_write), take_fd(&report_read) };
	return 0;
}

static int failure_text(const struct pty_failure *failure, const struct pty_spec *spec, struct error *error)
{
	const char *why = strerror(failure->code);

	switch (failure->step) {
	case STEP_DIRECTORY:
		return error_set(error, -failure->code, "cannot start in %s: %s", spec->cwd, why);
	case STEP_LIMITS:
		return error_set(error, -failure->code, "cannot set the session's limits: %s", why);
	case STEP_TERMINAL:
		return error_set(error, -failure->code, "cannot give %s a terminal: %s", spec->argv[0], why);
	case STEP_EXEC:
	default:
		return error_set(error, -failure->code, "cannot start %s: %s", spec->argv[0], why);
	}
}

int pty_release(struct pty *pty, const struct pty_spec *spec, struct error *error)
{
	_cleanup_close_ int gate_fd = take_fd(&pty->gate_fd), report_fd = take_fd(&pty->report_fd);
	struct pty_failure failure;
	int r;

	r = io_write_all(gate_fd, "", 1);
	if (r && r != -EPIPE) /* EPIPE: it failed before the gate and says why */
		return r;
	r = io_read_all(report_fd, &failure, sizeof(failure));
	if (r == -ENODATA)
		return 0;
	if (r)
		return r;
	return failure_text(&failure, spec, error);
}

void pty_close_slave(struct pty *pty)
{
	if (pty->slave_fd >= 0)
		close(take_fd(&pty->slave_fd));
}

void pty_deinit(struct pty *pty)
{
	pty_close_slave(pty);
	if (pty->gate_fd >= 0)
		close(take_fd(&pty->gate_fd));
	if (pty->report_fd >= 0)
		close(take_fd(&pty->report_fd));
	if (pty->master_fd >= 0)
		close(take_fd(&pty->master_fd));
}

void pty_abort(struct pty *pty)
{
	pty_deinit(pty);
	if (pty->pid > 0)
		(void)waitpid(pty->pid, NULL, 0);
	pty->pid = 0;
}

int pty_resize(struct pty *pty, unsigned int cols, unsigned int rows)
{
	struct winsize size = { .ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows };

	if (pty->master_fd < 0)
		return 0;
	return ioctl(pty->master_fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
