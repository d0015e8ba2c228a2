#include "console/cli/command.h"
#include "console/cli/paint.h"
#include "console/cli/print.h"
#include "console/cli/terminal.h"
#include "console/client/stream.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define DETACH_KEY 0x1c /* Ctrl-\ */

struct values {
	struct cli_common common;
	bool read_only;
};

static const struct option_spec specs[] = {
	{ .name = "read-only", .short_name = 'r', .type = OPTION_FLAG, .offset = offsetof(struct values, read_only),
		.help = "only watch: no keys, and the session keeps its size" },
	CLI_COMMON_OPTIONS,
};

struct attach {
	struct cli *cli;
	struct stream *stream;
	struct paint paint;
	struct client_listener listener;
	bool read_only;
	bool prefix;      /* the detach key was the last one */
	bool done;
	char *ended;      /* why the session closed, NULL: we left */
};

static void draw(struct attach *attach)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	if (paint_update(&attach->paint, stream_screen(attach->stream), &out) ||
		(out.len && io_write_all(STDOUT_FILENO, out.data, out.len)))
		attach->done = true;
}

static void on_updated(struct stream *stream, void *userdata)
{
	draw(userdata);
}

static void on_stream_closed(struct stream *stream, const char *why, void *userdata)
{
	struct attach *attach = userdata;

	attach->ended = strdup(why);
	attach->done = true;
}

static const struct stream_ops stream_ops = { .updated = on_updated, .closed = on_stream_closed };

/* Ctrl-\ then d leaves; Ctrl-\ twice sends one; anything else after it is sent with it. */
static void take_keys(struct attach *attach, const uint8_t *keys, size_t len)
{
	uint8_t out[2 * 4096];
	size_t n = 0;

	for (size_t i = 0; i < len && !attach->done; i++) {
		if (attach->prefix) {
			attach->prefix = false;
			if (keys[i] == 'd') {
				attach->done = true;
				break;
			}
			out[n++] = DETACH_KEY;
			if (keys[i] != DETACH_KEY)
				out[n++] = keys[i];
		} else if (keys[i] == DETACH_KEY) {
			attach->prefix = true;
		} else {
			out[n++] = keys[i];
		}
	}
	if (n && !attach->read_only)
		stream_send(attach->stream, out, n); /* while there is no connection keys are dropped, as the line below says */
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct attach *attach = userdata;
	uint8_t keys[4096];
	ssize_t n = read(fd, keys, sizeof(keys));

	if (n > 0)
		take_keys(attach, keys, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		attach->done = true;
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct attach *attach = userdata;
	unsigned int cols, rows;

	if (info->ssi_signo != SIGWINCH) {
		attach->done = true;
		return 0;
	}
	terminal_size(&cols, &rows);
	paint_invalidate(&attach->paint, cols, rows);
	stream_resize(attach->stream, cols, rows);
	draw(attach);
	return 0;
}

static void on_disconnected(struct client_listener *listener, const char *why, uint32_t retry_ms)
{
	struct attach *attach = container_of(listener, struct attach, listener);
	char line[80];

	/* the bell line of the picture is not ours: the last row is borrowed until the next one comes */
	snprintf(line, sizeof(line), "\033[%u;1H\033[7m connection lost, trying again \033[m", attach->paint.rows);
	io_write_all(STDOUT_FILENO, line, strlen(line));
	attach->paint.valid = false;
}

static const struct client_listener_ops listener_ops = { .disconnected = on_disconnected };

static int watch_signals(struct attach *attach)
{
	static const int signals[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t mask;
	int r = 0;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(attach->cli->event, NULL, signals[i], on_signal, attach);
	if (r >= 0)
		r = sd_event_add_io(attach->cli->event, NULL, STDIN_FILENO, EPOLLIN, on_input, attach);
	return r < 0 ? r : 0;
}

static int run_attached(struct attach *attach, uint64_t task, struct error *error)
{
	struct stream_config config = { .task = task, .kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED,
		.drive = !attach->read_only, .ops = &stream_ops, .userdata = attach };
	int r;

	terminal_size(&config.cols, &config.rows);
	paint_init(&attach->paint, config.cols, config.rows);
	r = stream_open(&attach->stream, attach->cli->client, &config);
	if (!r)
		r = watch_signals(attach);
	if (!r)
		r = terminal_take(error);
	if (!r)
		client_listen(attach->cli->client, &attach->listener, &listener_ops);
	while (r >= 0 && !attach->done)
		r = sd_event_run(attach->cli->event, UINT64_MAX);
	client_unlisten(&attach->listener);
	terminal_give_back();
	return r < 0 ? r : 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct attach attach = { .cli = cli, .read_only = values->read_only };
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *why = NULL;
	const Maestro__Task *task;
	uint64_t id;
	int r;

	r = cli_parse_task(operands[0], &id, error);
	if (r)
		return r;
	if (!isatty(STDIN_FILENO) || !cli->terminal) {
		error_set(error, CLIENT_E_USAGE, "attach: needs a terminal");
		error_hint(error, "'maestro screen %" PRIu64 "' and 'maestro send %" PRIu64 " TEXT' work without one", id, id);
		return CLIENT_E_USAGE;
	}
	r = cli_get_task(cli, id, &reply, &task, error);
	if (!r && task->session != MAESTRO__SESSION_STATE__SESSION_LIVE) {
		error_set(error, CLIENT_E_FAILED, "task %" PRIu64 " has no live session", id);
		error_hint(error, "'maestro logs %" PRIu64 "' prints what it printed", id);
		return CLIENT_E_FAILED;
	}
	if (!r)
		r = run_attached(&attach, id, error);
	stream_free(attach.stream);
	paint_deinit(&attach.paint);
	if (r)
		return r;
	why = attach.ended ? print_clean(attach.ended, strlen(attach.ended)) : NULL;
	free(attach.ended);
	if (why)
		printf("Task %" PRIu64 ": the session ended%s%s\n", id, *why ? ": " : "", why);
	else
		printf("Detached from task %" PRIu64 "; it runs on.\n", id);
	return 0;
}

const struct command command_attach = {
	.name = "attach",
	.group = GROUP_SESSIONS,
	.brief = "work in a session, full screen",
	.table = { "maestro attach", "TASK [--read-only]",
		"Shows the session on the whole terminal and sends it your keys. Ctrl-\\ then d leaves it running.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
