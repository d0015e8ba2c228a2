/* maestro-git: one job in on standard input, progress and one result out on standard output, then it ends. It may be
 * killed at any moment: what it makes is made beside its place and moved, or under a lock that dies with it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "worker/git/job.h"
#include "worker/git/library.h"

static int read_job(struct message *ret_message, struct error *error)
{
	_cleanup_(buf_deinit) struct buf in = BUF_LIMIT(LIMIT_MESSAGE_BYTES + 4);
	uint8_t header[4];
	int r = io_read_all(STDIN_FILENO, header, sizeof(header));

	if (!r)
		r = buf_append(&in, header, sizeof(header));
	if (!r && get_u32(header) > LIMIT_MESSAGE_BYTES)
		return error_set(error, MESSAGE_E_BROKEN, "a job of %u bytes", get_u32(header));
	if (!r)
		r = buf_reserve(&in, get_u32(header));
	if (!r)
		r = io_read_all(STDIN_FILENO, in.data + in.len, get_u32(header));
	if (r)
		return r;
	in.len += get_u32(header);
	return message_take_framed(&in, &maestro__git_message__descriptor, LIMIT_MESSAGE_BYTES, ret_message, error);
}

static int write_message(int fd, const Maestro__GitMessage *message)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r = message_pack_framed(message, &out);

	return r ? r : io_write_all(fd, out.data, out.len);
}

static void write_progress(const char *text, uint64_t done, uint64_t total, void *userdata)
{
	Maestro__GitProgress progress = MAESTRO__GIT_PROGRESS__INIT;
	Maestro__GitMessage message = MAESTRO__GIT_MESSAGE__INIT;

	progress.has_text = true;
	progress.text = bytes_of(text);
	progress.has_done = progress.has_total = total > 0;
	progress.done = done;
	progress.total = total;
	message.body_case = MAESTRO__GIT_MESSAGE__BODY_PROGRESS;
	message.progress = &progress;
	/* A reader that is gone shows when the result is written. */
	write_message(*(int *)userdata, &message);
}

static int run(int out_fd, const Maestro__GitJob *job)
{
	Maestro__GitMessage message = MAESTRO__GIT_MESSAGE__INIT;
	Maestro__GitResult *result = NULL;
	int r = job_run(job, write_progress, &out_fd, &result);

	if (r)
		return r;
	message.body_case = MAESTRO__GIT_MESSAGE__BODY_RESULT;
	message.result = result;
	r = write_message(out_fd, &message);
	maestro__git_result__free_unpacked(result, NULL);
	return r;
}

static int serve(int out_fd, struct error *error)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	const Maestro__GitMessage *body;
	int r = read_job(&message, error);

	if (r)
		return r;
	body = (const Maestro__GitMessage *)message.base;
	if (body->body_case != MAESTRO__GIT_MESSAGE__BODY_JOB)
		return error_set(error, MESSAGE_E_BROKEN, "the message on standard input is no job");
	r = library_init(error);
	if (!r)
		r = run(out_fd, body->job);
	library_deinit();
	return r;
}

/* Standard output carries messages only: what a child or a library prints goes to standard error. */
static int take_output(void)
{
	int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	return fd;
}

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int out_fd, r;

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("maestro-git " MAESTRO_VERSION);
		return 0;
	}
	if (argc > 1 || isatty(STDIN_FILENO)) {
		fputs("maestro-git is started by maestro-worker: it reads one job on standard input\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	out_fd = take_output();
	r = out_fd < 0 ? out_fd : id_init();
	if (!r)
		r = serve(out_fd, &error);
	if (r)
		fprintf(stderr, "maestro-git: %s\n", error_text(&error, r));
	return r ? 1 : 0;
}
