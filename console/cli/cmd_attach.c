#include "console/cli/command.h"
#include "console/cli/copy.h"
#include "console/cli/paint.h"
#include "console/cli/prefix.h"
#include "console/cli/print.h"
#include "console/cli/terminal.h"
#include "console/client/stream.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define NOTICE_MS 3000u
#define OFFER_MS 20000u      /* how long the question is shown; it can be answered until the next one */
#define AGE_MS 1000u         /* how often the age of the picture is told while there is no connection */
#define SCROLLBACK_BYTES (512u * 1024)
#define CLIPBOARD_BYTES_MAX (64u * 1024)

struct values {
	struct cli_common common;
	bool read_only, take_over;
	char *detach_key, *clipboard;
};

static const struct option_spec specs[] = {
	{ .name = "read-only", .short_name = 'r', .type = OPTION_FLAG, .offset = offsetof(struct values, read_only),
		.help = "only watch: no keys, and the session keeps its size" },
	{ .name = "take-over", .short_name = 't', .type = OPTION_FLAG, .offset = offsetof(struct values, take_over),
		.help = "type even if somebody else does; they can only watch then" },
	{ .name = "detach-key", .type = OPTION_STRING, .offset = offsetof(struct values, detach_key), .arg = "KEY",
		.initial = "C-\\", .help = "the key before d, [ and t; C-a for Ctrl-a" },
	{ .name = "clipboard", .type = OPTION_STRING, .offset = offsetof(struct values, clipboard), .arg = "ask|always|never",
		.help = "what a program in the session wants in your clipboard is put there; without: as client.conf says, else ask" },
	CLI_COMMON_OPTIONS,
};

struct attach {
	struct cli *cli;
	uint64_t task;
	struct stream *stream;
	struct paint paint;
	struct client_listener listener;
	sd_event_source *timer;  /* of the notice, or of the picture's age */
	unsigned int cols, rows; /* of the terminal */
	struct prefix prefix;
	bool read_only, take_over, told, driving, driven; /* told: the worker says who drives */
	bool lost;               /* no connection, or the session's worker has none */
	bool reopen;             /* the stream was closed, though the session lives */
	uint64_t updated_ms;     /* when the picture last came */
	size_t unsent_bytes;     /* typed while there was no connection, and dropped */
	char notice[160];        /* on the last row, which it borrows; "": none */
	struct copy copy;
	enum profile_clipboard clipboard;
	struct buf offered;      /* for the clipboard: the person is asked */
	bool copying, asked;     /* for the scrollback */
	bool asked_live;         /* whether the session lives */
	uint64_t request, live_request;
	bool done;
	char *ended;             /* why the session closed, NULL: we left */
};

/* --- drawing -------------------------------------------------------------------------------------------------- */

static void put_notice(const struct attach *attach, struct buf *out)
{
	char line[sizeof(attach->notice)];

	if (attach->copying)
		copy_status(&attach->copy, line, sizeof(line));
	else
		snprintf(line, sizeof(line), "%s", attach->notice);
	if (!*line)
		return;
	line[strnlen(line, attach->cols)] = '\0'; /* ASCII only */
	buf_printf(out, "\0337\033[%u;1H\033[0;7m%s%s\033[m\0338", attach->rows, line, attach->copying ? "\033[K" : "");
}

static void draw(struct attach *attach)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	const struct screen *screen = attach->copying ? copy_screen(&attach->copy) : stream_screen(attach->stream);

	if (!screen || paint_update(&attach->paint, screen, &out)) {
		attach->done = true;
		return;
	}
	if (paint_coloured_cursor(&attach->paint))
		terminal_note_coloured_cursor();
	put_notice(attach, &out);
	if (out.len && io_write_all(STDOUT_FILENO, out.data, out.len))
		attach->done = true;
}

/* Something else was on the screen: draws all of it. */
static void redraw(struct attach *attach)
{
	paint_invalidate(&attach->paint, attach->cols, attach->copying && attach->rows > 1 ? attach->rows - 1 : attach->rows);
	draw(attach);
}

static void arm(struct attach *attach, uint64_t after_ms)
{
	sd_event_source_set_time_relative(attach->timer, after_ms * 1000);
	sd_event_source_set_enabled(attach->timer, after_ms ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void show_notice(struct attach *attach, const char *text)
{
	bool longer = strlen(attach->notice) > strlen(text);

	snprintf(attach->notice, sizeof(attach->notice), "%s", text);
	if (longer)
		redraw(attach);
	else
		draw(attach);
}

static void say(struct attach *attach, uint64_t for_ms, const char *text)
{
	arm(attach, for_ms);
	show_notice(attach, text);
}

static void say_age(struct attach *attach)
{
	char text[sizeof(attach->notice)], age[48] = "", waiting[48] = "", unsent[48] = "";
	size_t waiting_bytes = stream_waiting_bytes(attach->stream);

	if (attach->updated_ms)
		snprintf(age, sizeof(age), "picture %" PRIu64 " s old: ", (clock_boottime_ms() - attach->updated_ms) / 1000);
	if (waiting_bytes)
		snprintf(waiting, sizeof(waiting), "; %zu bytes of keys wait", waiting_bytes);
	if (attach->unsent_bytes)
		snprintf(unsent, sizeof(unsent), "; %zu bytes of keys not sent", attach->unsent_bytes);
	snprintf(text, sizeof(text), " %sconnection lost, trying again%s%s ", age, waiting, unsent);
	if (sd_event_source_get_enabled(attach->timer, NULL) <= 0)
		arm(attach, AGE_MS); /* and no later for every key: it opens the stream again too */
	show_notice(attach, text);
}

/* It is back. What was typed long ago is not sent later: by then it might mean something else. */
static void say_back(struct attach *attach)
{
	char text[sizeof(attach->notice)] = "";

	if (attach->unsent_bytes)
		snprintf(text, sizeof(text), " connected again; %zu bytes of keys typed meanwhile were not sent ", attach->unsent_bytes);
	attach->unsent_bytes = 0;
	say(attach, *text ? NOTICE_MS : 0, text);
}

/* --- copy mode ------------------------------------------------------------------------------------------------ */

static void leave_copy(struct attach *attach)
{
	copy_deinit(&attach->copy);
	attach->copying = false;
	redraw(attach);
}

static void on_scrollback(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct attach *attach = userdata;
	const Maestro__SessionBytes *bytes = !r && reply->body_case == MAESTRO__ENVELOPE__BODY_SESSION_BYTES ? reply->session_bytes : NULL;

	attach->asked = false;
	if (!bytes || copy_init(&attach->copy, bytes->data.data, bytes->data.len, attach->cols, attach->rows > 1 ? attach->rows - 1 : 1)) {
		say(attach, NOTICE_MS, " the lines above the screen cannot be had now ");
		return;
	}
	attach->copying = true;
	redraw(attach);
}

static void ask_scrollback(struct attach *attach)
{
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	if (attach->asked)
		return;
	read.task = attach->task;
	read.kind = MAESTRO__READ_KIND__READ_SCROLLBACK;
	read.has_max_bytes = true;
	read.max_bytes = SCROLLBACK_BYTES;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_READ_TASK;
	envelope.read_task = &read;
	if (client_request(attach->cli->client, &envelope, CLIENT_DEADLINE_MS, on_scrollback, attach, &attach->request, &error))
		say(attach, NOTICE_MS, " the lines above the screen cannot be had now ");
	else
		attach->asked = true;
}

/* To the clipboard of the person's own terminal (OSC 52), whatever the bytes are: base64 holds no control characters. */
static void give_clipboard(struct attach *attach, const uint8_t *data, size_t len)
{
	_cleanup_free_ char *encoded = NULL;
	char notice[80];
	size_t size;

	len = len < CLIPBOARD_BYTES_MAX ? len : CLIPBOARD_BYTES_MAX;
	size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	encoded = malloc(size);
	if (!encoded)
		return;
	sodium_bin2base64(encoded, size, data, len, sodium_base64_VARIANT_ORIGINAL);
	io_write_all(STDOUT_FILENO, "\033]52;c;", 7);
	io_write_all(STDOUT_FILENO, encoded, strlen(encoded));
	io_write_all(STDOUT_FILENO, "\007", 1);
	snprintf(notice, sizeof(notice), " %zu bytes given to the terminal's clipboard ", len);
	say(attach, NOTICE_MS, notice);
}

/* --- what the session wants in the clipboard --- */

static void say_offered(struct attach *attach)
{
	char key[8], text[sizeof(attach->notice)];

	snprintf(text, sizeof(text), " copy %zu bytes of the session's to your clipboard? %s then y, n or a (always) ",
		attach->offered.len, prefix_name(attach->prefix.key, key));
	say(attach, OFFER_MS, text);
}

/* The newest counts: it is what the person would be given by the terminal itself. */
static void on_clipboard(struct stream *stream, const void *data, size_t len, void *userdata)
{
	struct attach *attach = userdata;

	if (attach->clipboard == PROFILE_CLIPBOARD_NEVER || !len || len > CLIPBOARD_BYTES_MAX)
		return;
	if (attach->clipboard == PROFILE_CLIPBOARD_ALWAYS) {
		give_clipboard(attach, data, len);
		return;
	}
	buf_clear(&attach->offered);
	if (buf_append(&attach->offered, data, len))
		return;
	attach->prefix.asks = true;
	say_offered(attach);
}

static void answer_offer(struct attach *attach, enum prefix_action action)
{
	struct buf offered = attach->offered;

	attach->offered = BUF_NULL;
	attach->prefix.asks = false;
	if (action == PREFIX_ALWAYS)
		attach->clipboard = PROFILE_CLIPBOARD_ALWAYS;
	if (action != PREFIX_NO)
		give_clipboard(attach, offered.data, offered.len);
	buf_deinit(&offered);
}

/* Plain text that the person selected. */
static void take_selection(struct attach *attach)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	if (copy_text(&attach->copy, &text))
		return;
	leave_copy(attach);
	give_clipboard(attach, text.data, text.len);
}

static void copy_keys(struct attach *attach, const uint8_t *keys, size_t len)
{
	enum copy_result result = COPY_STAYS;

	for (size_t i = 0; i < len && result == COPY_STAYS; i++)
		result = copy_key(&attach->copy, keys[i]);
	if (result == COPY_STAYS)
		result = copy_keys_end(&attach->copy);
	if (result == COPY_TAKES)
		take_selection(attach);
	else if (result == COPY_LEAVES)
		leave_copy(attach);
	else
		draw(attach);
}

/* --- the stream ----------------------------------------------------------------------------------------------- */

static void on_updated(struct stream *stream, void *userdata)
{
	struct attach *attach = userdata;

	attach->updated_ms = clock_boottime_ms();
	if (attach->lost) {
		attach->lost = false;
		free(attach->ended);
		attach->ended = NULL;
		say_back(attach);
	} else if (!attach->copying) {
		draw(attach);
	}
}

/* A stream is closed when the session ends, and when its worker is away: only the task tells which. */
static void on_live(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct attach *attach = userdata;
	const Maestro__TaskList *list = !r && reply->body_case == MAESTRO__ENVELOPE__BODY_TASK_LIST ? reply->task_list : NULL;

	attach->asked_live = false;
	if (r == CLIENT_E_UNREACHABLE)
		return; /* asked again on the next connection */
	attach->reopen = list && list->n_tasks && list->tasks[0]->session == MAESTRO__SESSION_STATE__SESSION_LIVE;
	attach->done = !attach->reopen;
	if (!attach->reopen)
		return;
	attach->lost = true;
	say_age(attach);
}

static void ask_live(struct attach *attach)
{
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	if (attach->asked_live)
		return;
	list.n_tasks = 1;
	list.tasks = &attach->task;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_LIST_TASKS;
	envelope.list_tasks = &list;
	attach->asked_live = client_request(attach->cli->client, &envelope, CLIENT_DEADLINE_MS, on_live, attach,
		&attach->live_request, &error) == 0;
}

static void on_stream_closed(struct stream *stream, const char *why, void *userdata)
{
	struct attach *attach = userdata;

	free(attach->ended);
	attach->ended = strdup(why);
	ask_live(attach);
}

static void say_driver(struct attach *attach)
{
	char key[8], text[sizeof(attach->notice)];

	snprintf(text, sizeof(text), " %s; %s then t takes over ",
		attach->driven ? "somebody else types here, you watch" : "nobody types here, you watch",
		prefix_name(attach->prefix.key, key));
	say(attach, NOTICE_MS, text);
}

static void on_driver(struct stream *stream, bool driving, bool driven, void *userdata)
{
	struct attach *attach = userdata;
	bool regained = driving && attach->driven;

	attach->told = true;
	attach->driving = driving;
	attach->driven = driven;
	if (!driving)
		say_driver(attach);
	else if (regained)
		say(attach, NOTICE_MS, " your keys go to the session now ");
}

static void on_keys_lost(struct stream *stream, size_t bytes, bool unread, void *userdata)
{
	struct attach *attach = userdata;
	char text[sizeof(attach->notice)];

	if (unread) {
		snprintf(text, sizeof(text), " the program does not read its keys: %zu bytes of them were dropped ", bytes);
		say(attach, NOTICE_MS, text);
		return;
	}
	attach->unsent_bytes += bytes;
	if (!attach->lost)
		say_back(attach);
}

static const struct stream_ops stream_ops = { .updated = on_updated, .closed = on_stream_closed, .driver = on_driver,
	.clipboard = on_clipboard, .keys_lost = on_keys_lost };

static int open_stream(struct attach *attach)
{
	struct stream_config config = { .task = attach->task, .kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED,
		.drive = !attach->read_only, .asks = !attach->read_only, .take_over = attach->take_over, .cols = attach->cols,
		.rows = attach->rows, .ops = &stream_ops, .userdata = attach };

	attach->take_over = false;
	return stream_open(&attach->stream, attach->cli->client, &config);
}

static void reopen_stream(struct attach *attach)
{
	attach->reopen = attach->told = attach->driving = attach->driven = false;
	stream_reopen(attach->stream);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct attach *attach = userdata;

	if (attach->reopen)
		reopen_stream(attach);
	if (attach->lost)
		say_age(attach);
	else
		say(attach, 0, "");
	return 0;
}

/* --- keys ----------------------------------------------------------------------------------------------------- */

static void say_keys(struct attach *attach)
{
	char key[8], text[sizeof(attach->notice)];

	prefix_name(attach->prefix.key, key);
	snprintf(text, sizeof(text), " d leave  [ look back, search, copy  t take over  %s send it ", key);
	say(attach, NOTICE_MS, text);
}

static void act(struct attach *attach, enum prefix_action action)
{
	if (action == PREFIX_PRESSED && attach->prefix.asks)
		say_offered(attach);
	else if (action == PREFIX_PRESSED)
		say_keys(attach);
	else if (*attach->notice && !attach->lost)
		say(attach, 0, "");
	if (action == PREFIX_YES || action == PREFIX_NO || action == PREFIX_ALWAYS)
		answer_offer(attach, action);
	if (action == PREFIX_DETACH)
		attach->done = true;
	else if (action == PREFIX_SCROLL)
		ask_scrollback(attach);
	else if (action == PREFIX_TAKE_OVER && attach->read_only)
		say(attach, NOTICE_MS, " --read-only: this one only watches ");
	else if (action == PREFIX_TAKE_OVER)
		stream_take_over(attach->stream);
}

static void send_keys(struct attach *attach, const struct buf *keys)
{
	if (!keys->len || attach->read_only)
		return;
	if (attach->told && !attach->driving && !attach->driven)
		stream_take_over(attach->stream); /* from nobody */
	if (attach->told && attach->driven)
		say_driver(attach);
	else if (stream_send(attach->stream, keys->data, keys->len))
		attach->unsent_bytes += keys->len;
	if (attach->lost)
		say_age(attach);
}

static void take_keys(struct attach *attach, const uint8_t *keys, size_t len)
{
	for (size_t at = 0; at < len && !attach->done;) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;
		bool pressed = attach->prefix.pressed;
		enum prefix_action action;
		size_t used;

		action = prefix_take(&attach->prefix, keys + at, len - at, &used, &out);
		send_keys(attach, &out);
		if (action != PREFIX_NONE || pressed)
			act(attach, action);
		at += used;
	}
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct attach *attach = userdata;
	uint8_t keys[4096];
	ssize_t n = read(fd, keys, sizeof(keys));

	if (n > 0 && attach->copying)
		copy_keys(attach, keys, (size_t)n);
	else if (n > 0)
		take_keys(attach, keys, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		attach->done = true;
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct attach *attach = userdata;

	if (info->ssi_signo != SIGWINCH) {
		attach->done = true;
		return 0;
	}
	terminal_size(&attach->cols, &attach->rows);
	stream_resize(attach->stream, attach->cols, attach->rows);
	if (attach->copying && copy_resize(&attach->copy, attach->cols, attach->rows > 1 ? attach->rows - 1 : 1))
		leave_copy(attach);
	redraw(attach);
	return 0;
}

static void on_disconnected(struct client_listener *listener, const char *why, uint32_t retry_ms)
{
	struct attach *attach = container_of(listener, struct attach, listener);

	attach->lost = true;
	say_age(attach);
}

static void on_connected(struct client_listener *listener)
{
	struct attach *attach = container_of(listener, struct attach, listener);

	if (stream_closed(attach->stream))
		ask_live(attach);
}

static const struct client_listener_ops listener_ops = { .connected = on_connected, .disconnected = on_disconnected };

static int watch_signals(struct attach *attach)
{
	int r = terminal_watch(attach->cli->event, on_signal, on_input, attach);

	if (r >= 0)
		r = sd_event_add_time_relative(attach->cli->event, &attach->timer, CLOCK_BOOTTIME, UINT32_MAX, 10000, on_timer, attach);
	return r < 0 ? r : sd_event_source_set_enabled(attach->timer, SD_EVENT_OFF) < 0 ? -EIO : 0;
}

static void end_attached(struct attach *attach)
{
	client_unlisten(&attach->listener);
	if (attach->asked)
		client_cancel(attach->cli->client, attach->request);
	if (attach->asked_live)
		client_cancel(attach->cli->client, attach->live_request);
	terminal_give_back();
	sd_event_source_disable_unref(attach->timer);
	if (attach->copying)
		copy_deinit(&attach->copy);
	stream_free(attach->stream);
	paint_deinit(&attach->paint);
	buf_deinit(&attach->offered);
}

static int run_attached(struct attach *attach, struct error *error)
{
	int r;

	terminal_size(&attach->cols, &attach->rows);
	paint_init(&attach->paint, attach->cols, attach->rows);
	attach->paint.terminal = paint_terminal_named(getenv("TERM"));
	r = watch_signals(attach);
	if (!r)
		r = open_stream(attach);
	if (!r)
		r = terminal_take(error);
	if (!r)
		client_listen(attach->cli->client, &attach->listener, &listener_ops);
	while (r >= 0 && !attach->done)
		r = sd_event_run(attach->cli->event, UINT64_MAX);
	end_attached(attach);
	return r < 0 ? r : 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct attach attach = { .cli = cli, .read_only = values->read_only, .take_over = values->take_over };
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *why = NULL;
	const Maestro__Task *task;
	uint64_t id;
	int r;

	r = cli_parse_task(operands[0], &id, error);
	if (r)
		return r;
	if (prefix_parse(values->detach_key, &attach.prefix.key))
		return error_set(error, CLIENT_E_USAGE, "attach: '%s' is no key to detach with: one like C-a or C-\\ is", values->detach_key);
	if (values->clipboard && profile_parse_clipboard(values->clipboard, &attach.clipboard))
		return error_set(error, CLIENT_E_USAGE, "attach: --clipboard is ask, always or never, not '%s'", values->clipboard);
	attach.task = id;
	if (!isatty(STDIN_FILENO) || !cli->terminal) {
		error_set(error, CLIENT_E_USAGE, "attach: needs a terminal");
		error_hint(error, "'maestro screen %" PRIu64 "' and 'maestro send %" PRIu64 " TEXT' work without one", id, id);
		return CLIENT_E_USAGE;
	}
	r = cli_get_task(cli, id, &reply, &task, error);
	if (!values->clipboard)
		attach.clipboard = cli->profile.clipboard;
	if (!r && task->session != MAESTRO__SESSION_STATE__SESSION_LIVE) {
		error_set(error, CLIENT_E_FAILED, "task %" PRIu64 " has no live session", id);
		error_hint(error, "'maestro logs %" PRIu64 "' prints what it printed", id);
		return CLIENT_E_FAILED;
	}
	if (!r)
		r = run_attached(&attach, error);
	if (r)
		return r;
	if (attach.reopen || attach.lost) { /* left while we waited for it to come back */
		free(attach.ended);
		attach.ended = NULL;
	}
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
	.table = { "maestro attach", "TASK [--read-only] [--take-over] [--detach-key KEY]",
		"Shows the session on the whole terminal and sends it your keys. Ctrl-\\ then d leaves it running; then [ looks\n"
		"through the lines above, searches, copies, and goes with [ and ] from prompt to prompt of a shell that marks them\n"
		"(OSC 133); then t takes the keys over from somebody else who types. The terminal is given back on every way out but\n"
		"SIGKILL, which nobody hears: after that type 'reset'.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
