#include "worker/service/helper.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "proto/base/child.h"
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#define ANSWER_MAX_BYTES (LIMIT_MESSAGE_BYTES + 1024u * 1024)

struct helper {
	sd_event *event;
	char *program;
	const ProtobufCMessageDescriptor *descriptor;
	uint64_t limit_ms;
	helper_done_fn done;
	void *userdata;
	pid_t pid;
	int out;
	struct buf in;
	sd_event_source *io, *child, *timer;
	struct message answer; /* the newest */
	const char *why;       /* it was ended by us */
};

void helper_kill(struct helper *helper, const char *why)
{
	helper->why = why;
	child_kill(helper->pid);
}

void helper_free(struct helper *helper)
{
	if (!helper)
		return;
	child_end(helper->pid);
	sd_event_source_disable_unref(helper->io);
	sd_event_source_disable_unref(helper->child);
	sd_event_source_disable_unref(helper->timer);
	if (helper->out >= 0)
		close(helper->out);
	buf_deinit(&helper->in);
	message_deinit(&helper->answer);
	free(helper->program);
	free(helper);
}

static int take_messages(struct helper *helper)
{
	for (;;) {
		struct message next = MESSAGE_NULL;
		int r = message_take_framed(&helper->in, helper->descriptor, ANSWER_MAX_BYTES, &next, NULL);

		if (r || !next.base)
			return r;
		message_deinit(&helper->answer);
		helper->answer = next;
	}
}

/* Reads what is there. 0 at the end of it or when nothing is there for now. */
static int read_out(struct helper *helper)
{
	for (;;) {
		ssize_t n;
		int r = buf_reserve(&helper->in, 65536);

		if (r)
			return r;
		n = read(helper->out, helper->in.data + helper->in.len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0) {
			sd_event_source_set_enabled(helper->io, SD_EVENT_OFF);
			return 0;
		}
		helper->in.len += (size_t)n;
		r = take_messages(helper);
		if (r)
			return r;
	}
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct helper *helper = userdata;

	if (read_out(helper)) {
		sd_event_source_set_enabled(helper->io, SD_EVENT_OFF);
		helper_kill(helper, "it gave an answer that makes no sense");
	}
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct helper *helper = userdata;

	helper_kill(helper, "it took too long and was ended");
	return 0;
}

static int on_exit_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct helper *helper = userdata;
	char why[96];

	if (info->si_code == CLD_EXITED)
		snprintf(why, sizeof(why), "%s ended with status %d and no answer", basename(helper->program), info->si_status);
	else
		snprintf(why, sizeof(why), "%s was killed by signal %d", basename(helper->program), info->si_status);
	read_out(helper);
	child_kill(helper->pid); /* nothing of it outlives it */
	helper->pid = 0;
	helper->done(helper->userdata, helper->why ? NULL : helper->answer.base, helper->why ? helper->why : why);
	helper_free(helper);
	return 0;
}

static int watch(struct helper *helper)
{
	sd_event *event = helper->event;
	int r = sd_event_add_child(event, &helper->child, helper->pid, WEXITED, on_exit_child, helper);

	if (r >= 0)
		r = sd_event_add_io(event, &helper->io, helper->out, EPOLLIN, on_output, helper);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &helper->timer, CLOCK_BOOTTIME, helper->limit_ms * 1000, 100000, on_timeout, helper);
	return r < 0 ? r : 0;
}

static int begin(struct helper *helper, const struct buf *message)
{
	const char *argv[] = { helper->program, NULL };
	struct child child = { .program = argv[0], .argv = argv, .err = CHILD_SHARED };
	_cleanup_close_ int in = -1, out = -1;
	int pair[2], r;

	in = child_input("maestro-job", message->data, message->len);
	if (in < 0)
		return in;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	helper->out = pair[0];
	out = pair[1];
	child.in = in;
	child.out = out;
	r = io_set_nonblock(helper->out, true);
	if (!r)
		r = child_spawn(&child, &helper->pid);
	if (!r)
		r = watch(helper);
	return r;
}

int helper_start(struct helper **ret_helper, sd_event *event, const char *program, const struct buf *message,
	const ProtobufCMessageDescriptor *answer, uint64_t limit_ms, helper_done_fn done, void *userdata)
{
	struct helper *helper = calloc(1, sizeof(*helper));
	int r;

	if (!helper)
		return -ENOMEM;
	*helper = (struct helper){ .event = event, .program = strdup(program), .descriptor = answer, .limit_ms = limit_ms, .done = done,
		.userdata = userdata, .out = -1, .in = BUF_LIMIT(ANSWER_MAX_BYTES + 65536), .answer = MESSAGE_NULL };
	r = helper->program ? begin(helper, message) : -ENOMEM;
	if (r)
		helper_free(helper);
	else
		*ret_helper = helper;
	return r;
}
