/* maestro-session: holds one session's program and terminal. Started by maestro-worker, with a HolderSpec on
 * descriptor 0; answers on descriptor 1 when it is there, and lives on by itself. */
#include "worker/session/session.h"
#include "proto/base/io.h"
#include "proto/wire/frame.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int read_spec(struct message *ret_spec, struct error *error)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t header[4];
	size_t len;
	int r;

	r = io_read_all(0, header, sizeof(header));
	if (r)
		return error_set(error, r, "no session is described on descriptor 0");
	len = get_u32(header);
	if (len > SESSION_SPEC_BYTES_MAX)
		return error_set(error, -EMSGSIZE, "the session's description has %zu bytes", len);
	data = malloc(len + 1);
	if (!data)
		return -ENOMEM;
	r = io_read_all(0, data, len);
	if (r)
		return error_set(error, r, "the session's description is cut off");
	r = message_unpack(&maestro__holder_spec__descriptor, data, len, ret_spec, error);
	return error_fold(r);
}

/* No child of the worker, no session leader, nothing of the worker's open but the channel to answer on. */
static int detach(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (pid > 0)
			_exit(0);
		if (i == 0 && setsid() < 0)
			return -errno;
	}
	if (close_range(3, ~0u, 0) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &action, NULL);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void answer(const struct session *session, int r, const struct error *error)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderHello hello = MAESTRO__HOLDER_HELLO__INIT;
	Maestro__HolderRefused refused = MAESTRO__HOLDER_REFUSED__INIT;

	if (r) {
		refused.reason = bytes_of(error_text(error, r));
		refused.has_exists = refused.exists = r == STATE_E_EXISTS;
		message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_REFUSED;
		message.refused = &refused;
	} else {
		hello.version_min = hello.version_max = 1;
		hello.task = session->id.task;
		hello.attempt = session->id.attempt;
		hello.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, (uint8_t *)(uintptr_t)session->id.run_id };
		hello.has_pid = hello.has_start_time = hello.has_boot_id = true;
		hello.pid = session->id.pid;
		hello.start_time = session->id.start_time;
		hello.boot_id = bytes_of(session->id.boot_id);
		message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_HELLO;
		message.hello = &hello;
	}
	if (message_pack_framed(&message, &out) == 0)
		(void)io_write_all(1, out.data, out.len); /* the worker may be gone: then the files tell */
}

/* Whatever is still said goes to the session's own log. */
static void move_standard_streams(const char *dir)
{
	_cleanup_free_ char *path = io_join(dir, "holder.log");
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int log_fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	(void)dup2(null_fd, 0);
	(void)dup2(log_fd >= 0 ? log_fd : null_fd, 2);
}

static int run(struct session **ret_session, struct error *error)
{
	_cleanup_(session_free_p) struct session *session = NULL;
	_cleanup_(message_deinit) struct message spec = MESSAGE_NULL;
	int r;

	r = read_spec(&spec, error);
	if (!r)
		r = session_new(&session, &spec, error);
	if (!r) {
		move_standard_streams(session->dir);
		r = session_start(session, error);
	}
	if (r)
		return r;
	*ret_session = take(session);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(session_free_p) struct session *session = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	if (argc > 1 || isatty(0)) {
		fprintf(stderr, "maestro-session: started by maestro-worker, not by people\n");
		return 2;
	}
	/* Few and large: what is given back shall leave the process, which may stay for weeks. */
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	(void)mallopt(M_ARENA_MAX, 1);
	umask(0077);
	reset_signals();
	r = detach();
	if (r)
		error_set(&error, r, "the holder cannot detach: %s", strerror(-r));
	else
		r = run(&session, &error);
	answer(session, r, &error);
	(void)dup2(0, 1); /* /dev/null: the worker sees the end of the answer */
	(void)malloc_trim(0);
	if (r)
		return 1;
	r = sd_event_loop(session->event);
	return r < 0 ? 1 : 0;
}
