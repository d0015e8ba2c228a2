/* `maestro-worker run`: in the foreground, until it is told to end. */
#include "worker/service/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/service/service.h"

int program_fail(int status, const struct error *error, int code)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	const char *why = error_text(error, code);

	str_escape(&text, why, strlen(why));
	fprintf(stderr, "maestro-worker: %s\n", buf_text(&text));
	if (error->hint)
		fprintf(stderr, "  %s\n", error->hint);
	return status;
}

/* One process a worker; the file names it for people. */
static int take_lock(const struct config *config, int *ret_fd, struct error *error)
{
	_cleanup_free_ char *path = io_join(config->state, "lock");
	_cleanup_free_ char *pid = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return -ENOMEM;
	if (access(config->state, F_OK) < 0) {
		error_set(error, -ENOENT, "this worker (%s) has not joined a coordinator yet", config->name);
		error_hint(error, "run: maestro-worker join ADDRESS --name %s", config->name);
		return -ENOENT;
	}
	r = io_lock(path, false, &fd);
	if (r == -EWOULDBLOCK) {
		if (io_read_file(path, 64, &pid, NULL) || !pid)
			pid = strdup("?");
		return error_set(error, r, "worker %s runs already (process %.*s)", config->name,
			pid ? (int)strcspn(pid, "\n") : 1, str_or(pid, "?"));
	}
	if (r)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", getpid());
	*ret_fd = take_fd(&fd);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* Before nng starts its threads, for a signal that one of those takes is lost to the loop. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int make_loop(sd_event **ret_event)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	sd_event *event = NULL;
	int r = sd_event_new(&event);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(ends); i++)
		r = sd_event_add_signal(event, NULL, ends[i], on_signal, NULL);
	if (r >= 0)
		r = sd_event_set_watchdog(event, true);
	if (r < 0) {
		sd_event_unref(event);
		return r;
	}
	*ret_event = event;
	return 0;
}

static int run(struct config *config, struct error *error)
{
	_cleanup_(service_free_p) struct service *service = NULL;
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_close_ int lock = -1;
	enum log_level level;
	struct log log;
	int r;

	r = log_parse_level(config->log_level, &level);
	if (r)
		return error_set(error, r, "'%s' is none of: error, warning, info, debug", config->log_level);
	log_init(&log, "maestro-worker", STDERR_FILENO, level);
	r = take_lock(config, &lock, error);
	if (!r)
		r = make_loop(&event);
	if (r)
		return r;
	if (config->ready_fd)
		fcntl((int)config->ready_fd, F_SETFD, FD_CLOEXEC);
	r = service_new(&service, config, event, &log, error);
	if (r)
		return r;
	log_info(&log, "worker %s runs", config->name);
	r = sd_event_loop(event);
	log_info(&log, "worker %s ends; its sessions live on", config->name);
	return r;
}

int program_run(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct config config;
	int r;

	block_signals();
	umask(077);
	r = id_init();
	if (!r)
		r = config_load(&config, argc, argv, &error);
	else
		config = (struct config){ .name = NULL };
	if (!r)
		r = run(&config, &error);
	config_deinit(&config);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		return 0;
	if (r)
		return program_fail(r == OPTION_E_USAGE ? 2 : 1, &error, r);
	return 0;
}
