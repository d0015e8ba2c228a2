#include "tests/support/sshd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/support/fixture.h"

static const char *const programs[] = { "/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd" };

static const char *find_program(void)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!access(programs[i], X_OK))
			return programs[i];
	return NULL;
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...)
{
	va_list args;
	char *out = NULL;

	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		abort();
	va_end(args);
	return out;
}

static bool write_config(struct sshd *sshd)
{
	char *path = text("%s/config", sshd->dir);
	FILE *file = fopen(path, "we");

	free(path);
	if (!file)
		return false;
	fprintf(file,
		"HostKey %s/host\n"
		"HostKey %s/host_ecdsa\n"
		"AuthorizedKeysFile %s/authorized\n"
		"PidFile none\n"
		"UsePAM no\n"
		"StrictModes no\n"
		"PermitRootLogin prohibit-password\n"
		"PasswordAuthentication no\n"
		"KbdInteractiveAuthentication no\n"
		"LogLevel VERBOSE\n",
		sshd->dir, sshd->dir, sshd->dir);
	return !fclose(file);
}

static bool make_keys(struct sshd *sshd)
{
	return !fixture_shell(sshd->dir,
		"ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ecdsa -N '' -f host_ecdsa && "
		"ssh-keygen -q -t ed25519 -N '' -f user && ssh-keygen -q -t ed25519 -N '' -f other && "
		"ssh-keygen -q -t rsa -b 2048 -N '' -f rsa && cat user.pub rsa.pub > authorized && "
		"{ printf '[127.0.0.1]:%u '; cut -d' ' -f1,2 host.pub; } > known_hosts", sshd->port);
}

static int listen_free(uint16_t *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) || listen(fd, 64) ||
		getsockname(fd, (struct sockaddr *)&address, &len))
		return -1;
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static _Noreturn void run_sshd(const char *program, const char *config, int fd)
{
	/* sshd must not be killed with us: it ends by itself when its connection does. */
	dup2(fd, 0);
	dup2(fd, 1);
	execl(program, program, "-i", "-e", "-f", config, (char *)NULL);
	_exit(127);
}

static _Noreturn void serve(const struct sshd *sshd, const char *program, int listen_fd, pid_t parent)
{
	char *config = text("%s/config", sshd->dir), *log = text("%s/log", sshd->dir);
	int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGCHLD, SIG_IGN);
	if (getppid() != parent)
		_exit(1);
	dup2(log_fd, 2);
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (!fork()) {
			signal(SIGCHLD, SIG_DFL);
			run_sshd(program, config, fd);
		}
		close(fd);
	}
}

bool sshd_start(struct sshd *sshd, const char *dir)
{
	const char *program = find_program();
	struct passwd *self = getpwuid(geteuid());
	pid_t parent = getpid();
	int fd;

	*sshd = (struct sshd){ .dir = text("%s", dir), .key = text("%s/user", dir), .other_key = text("%s/other", dir),
		.rsa_key = text("%s/rsa", dir), .known_hosts = text("%s/known_hosts", dir),
		.user = text("%s", self ? self->pw_name : "root") };
	if (!program) {
		fprintf(stderr, "there is no sshd on this machine\n");
		return false;
	}
	if (geteuid() == 0)
		mkdir("/run/sshd", 0755); /* where sshd's unprivileged half lives */
	fd = listen_free(&sshd->port);
	if (fd < 0 || mkdir(dir, 0700) || !make_keys(sshd) || !write_config(sshd))
		return false;
	sshd->pid = fork();
	if (!sshd->pid)
		serve(sshd, program, fd, parent);
	close(fd);
	return sshd->pid > 0;
}

void sshd_stop(struct sshd *sshd)
{
	if (sshd->pid > 0) {
		kill(sshd->pid, SIGTERM);
		waitpid(sshd->pid, NULL, 0);
	}
	free(sshd->dir);
	free(sshd->key);
	free(sshd->other_key);
	free(sshd->rsa_key);
	free(sshd->known_hosts);
	free(sshd->user);
	*sshd = (struct sshd){ .pid = -1 };
}
