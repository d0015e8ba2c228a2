#include "worker/session/client.h"
#include "worker/session/socket.h"
#include "proto/base/list.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/screen.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define QUEUE_BYTES_MAX (8u * 1024 * 1024)
#define PACKET_BYTES_MAX (64u * 1024)
#define PIECE_BYTES (48u * 1024)
#define SCREENSHOT_BYTES_MAX (16u * 1024 * 1024)

struct packet {
	struct list link;
	size_t len;
	uint8_t data[];
};

struct holder {
	const struct holder_ops *ops;
	void *userdata;
	int fd;
	sd_event_source *source;
	struct list queue;
	size_t queued_bytes;
	struct buf screens[2]; /* pieces so far, by series */
	struct buf screenshot;
	bool said_hello, closed;
	bool *freed; /* set while a callback runs: where to note that it freed us */
};

static void drop_packet(struct holder *holder, struct packet *packet)
{
	list_remove(&packet->link);
	holder->queued_bytes -= packet->len;
	free(packet);
}

void holder_free(struct holder *holder)
{
	struct packet *packet, *next;

	if (!holder)
		return;
	if (holder->freed)
		*holder->freed = true;
	list_for_each_safe(packet, next, &holder->queue, link)
		drop_packet(holder, packet);
	sd_event_source_disable_unref(holder->source);
	if (holder->fd >= 0)
		close(holder->fd);
	buf_deinit(&holder->screens[0]);
	buf_deinit(&holder->screens[1]);
	buf_deinit(&holder->screenshot);
	free(holder);
}

static void send_queue(struct holder *holder)
{
	struct packet *packet, *next;

	list_for_each_safe(packet, next, &holder->queue, link) {
		ssize_t n = send(holder->fd, packet->data, packet->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			break; /* full: later; broken: reading will show it */
		drop_packet(holder, packet);
	}
	(void)sd_event_source_set_io_events(holder->source, list_empty(&holder->queue) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static int queue(struct holder *holder, const Maestro__HolderMessage *message)
{
	size_t len = maestro__holder_message__get_packed_size(message);
	struct packet *packet;

	if (holder->closed)
		return -EPIPE;
	if (len > PACKET_BYTES_MAX)
		return -EMSGSIZE;
	if (holder->queued_bytes + len > QUEUE_BYTES_MAX)
		return -ENOBUFS;
	packet = malloc(sizeof(*packet) + len);
	if (!packet)
		return -ENOMEM;
	packet->len = maestro__holder_message__pack(message, packet->data);
	list_append(&holder->queue, &packet->link);
	holder->queued_bytes += packet->len;
	send_queue(holder);
	return 0;
}

/* --- what comes: each returns -EPROTO for what a holder never says ---------------------------------------------- */

static int take_hello(struct holder *holder, const Maestro__HolderMessage *message)
{
	const Maestro__HolderHello *from = message->hello;
	struct holder_hello hello = { .id = { .task = from->task, .attempt = from->attempt, .pid = from->pid,
		.start_time = from->start_time }, .program_pid = from->program_pid, .cols = from->cols, .rows = from->rows,
		.exited = from->exited, .output_bytes = from->output_bytes,
		.counts = from->version_max >= HOLDER_VERSION_COUNTS };

	if (holder->said_hello || from->run_id.len != sizeof(hello.id.run_id) ||
		from->boot_id.len != sizeof(hello.id.boot_id) - 1)
		return -EPROTO;
	memcpy(hello.id.run_id, from->run_id.data, sizeof(hello.id.run_id));
	memcpy(hello.id.boot_id, from->boot_id.data, from->boot_id.len);
	if (from->version_min > HOLDER_VERSION_MAX || from->version_max < HOLDER_VERSION_MIN)
		return -EPROTONOSUPPORT;
	holder->said_hello = true;
	if (holder->ops->hello)
		holder->ops->hello(holder->userdata, &hello);
	return 0;
}

static int take_screen(struct holder *holder, const Maestro__HolderMessage *message)
{
	const Maestro__HolderScreen *screen = message->screen;
	struct buf *pieces = &holder->screens[screen->series - 1];
	struct buf whole;
	int r;

	r = buf_append(pieces, screen->data.data, screen->data.len);
	if (r)
		return r;
	if (!screen->last)
		return 0;
	whole = *pieces; /* ours, for the callback may free the holder */
	*pieces = BUF_LIMIT(SCREEN_UPDATE_BYTES_MAX);
	if (holder->ops->screen)
		holder->ops->screen(holder->userdata, screen->series, screen->frame, whole.data, whole.len);
	buf_deinit(&whole);
	return 0;
}

static int take_exit(struct holder *holder, const Maestro__HolderMessage *message)
{
	struct holder_exit exit;
	int r;

	r = holder_exit_take(message->exit, &exit);
	if (r)
		return r;
	if (holder->ops->exit)
		holder->ops->exit(holder->userdata, &exit);
	holder_exit_deinit(&exit);
	return 0;
}

static int take_activity(struct holder *holder, const Maestro__HolderMessage *message)
{
	const Maestro__HolderActivity *activity = message->activity;
	const char *title = activity->has_title ? (const char *)activity->title.data : NULL;

	if (activity->has_title && !title)
		title = "";
	if (holder->ops->activity)
		holder->ops->activity(holder->userdata, activity->output_bytes, title, activity->title.len, activity->bell);
	return 0;
}

static int take_screenshot(struct holder *holder, const Maestro__HolderMessage *message)
{
	const Maestro__HolderScreenshotData *data = message->screenshot_data;
	struct buf whole;
	int r;

	r = buf_append(&holder->screenshot, data->data.data, data->data.len);
	if (r)
		return r;
	if (!data->last)
		return 0;
	whole = holder->screenshot;
	holder->screenshot = BUF_LIMIT(SCREENSHOT_BYTES_MAX);
	if (holder->ops->screenshot)
		holder->ops->screenshot(holder->userdata, whole.data, whole.len);
	buf_deinit(&whole);
	return 0;
}

static int take_taken(struct holder *holder, const Maestro__HolderMessage *message)
{
	const Maestro__HolderTaken *from = message->taken;
	struct holder_taken taken = { from->source, from->taken, from->has_dropped ? from->dropped : 0, from->has_gap && from->gap };

	if (holder->ops->taken)
		holder->ops->taken(holder->userdata, &taken);
	return 0;
}

static int take_clipboard(struct holder *holder, const Maestro__HolderMessage *message)
{
	if (holder->ops->clipboard)
		holder->ops->clipboard(holder->userdata, message->clipboard->data.data, message->clipboard->data.len);
	return 0;
}

static int take_unsupported(struct holder *holder, const Maestro__HolderMessage *message)
{
	if (holder->ops->unsupported)
		holder->ops->unsupported(holder->userdata, message->unsupported->body);
	return 0;
}

static int (*const handlers[])(struct holder *holder, const Maestro__HolderMessage *message) = {
	[MAESTRO__HOLDER_MESSAGE__BODY_HELLO] = take_hello,
	[MAESTRO__HOLDER_MESSAGE__BODY_SCREEN] = take_screen,
	[MAESTRO__HOLDER_MESSAGE__BODY_EXIT] = take_exit,
	[MAESTRO__HOLDER_MESSAGE__BODY_ACTIVITY] = take_activity,
	[MAESTRO__HOLDER_MESSAGE__BODY_SCREENSHOT_DATA] = take_screenshot,
	[MAESTRO__HOLDER_MESSAGE__BODY_TAKEN] = take_taken,
	[MAESTRO__HOLDER_MESSAGE__BODY_UNSUPPORTED] = take_unsupported,
	[MAESTRO__HOLDER_MESSAGE__BODY_CLIPBOARD] = take_clipboard,
};

/* A newer holder may say more than we know: that is passed over. */
static int take_packet(struct holder *holder, const void *data, size_t len)
{
	_cleanup_(message_deinit) struct message unpacked = MESSAGE_NULL;
	const Maestro__HolderMessage *message;
	int r;

	r = message_unpack(&maestro__holder_message__descriptor, data, len, &unpacked, NULL);
	if (r)
		return r < 0 ? r : -EPROTO;
	message = (const Maestro__HolderMessage *)unpacked.base;
	if ((size_t)message->body_case >= ARRAY_SIZE(handlers) || !handlers[message->body_case])
		return 0;
	return handlers[message->body_case](holder, message);
}

static void close_holder(struct holder *holder, int r)
{
	holder->closed = true;
	holder->source = sd_event_source_disable_unref(holder->source);
	if (holder->ops->closed)
		holder->ops->closed(holder->userdata, r == -ENODATA || r == -ECONNRESET ? 0 : r);
}

static int receive(struct holder *holder)
{
	static uint8_t data[PACKET_BYTES_MAX];
	ssize_t n = recv(holder->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	if ((size_t)n > sizeof(data))
		return -EPROTO;
	return take_packet(holder, data, (size_t)n);
}

static int connection_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct holder *holder = userdata;
	bool freed = false;
	int r = 0;

	if (events & EPOLLOUT)
		send_queue(holder);
	holder->freed = &freed;
	for (int i = 0; i < 32 && !r && !freed; i++)
		r = receive(holder);
	if (!freed && r && r != -EAGAIN)
		close_holder(holder, r);
	if (!freed)
		holder->freed = NULL;
	return 0;
}

int holder_connect(sd_event *event, const char *session_dir, const struct holder_ops *ops, void *userdata,
	struct holder **ret_holder)
{
	_cleanup_(holder_free_p) struct holder *holder = NULL;
	int r;

	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	holder->ops = ops;
	holder->userdata = userdata;
	holder->fd = -1;
	holder->screens[0] = holder->screens[1] = BUF_LIMIT(SCREEN_UPDATE_BYTES_MAX);
	holder->screenshot = BUF_LIMIT(SCREENSHOT_BYTES_MAX);
	list_init(&holder->queue);
	r = socket_connect(session_dir, &holder->fd);
	if (r)
		return r;
	r = sd_event_add_io(event, &holder->source, holder->fd, EPOLLIN, connection_is_ready, holder);
	if (r < 0)
		return r;
	*ret_holder = take(holder);
	return 0;
}

/* --- what is asked -------------------------------------------------------------------------------------------- */

int holder_send_watch(struct holder *holder, Maestro__HolderSeries series, bool on, unsigned int rate_hz, bool keyframe)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderWatch watch = MAESTRO__HOLDER_WATCH__INIT;

	watch.series = series;
	watch.on = on;
	watch.has_rate_hz = watch.has_keyframe = true;
	watch.rate_hz = rate_hz;
	watch.keyframe = keyframe;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_WATCH;
	message.watch = &watch;
	return queue(holder, &message);
}

int holder_send_ack(struct holder *holder, Maestro__HolderSeries series, uint64_t frame)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderAck ack = MAESTRO__HOLDER_ACK__INIT;

	ack.series = series;
	ack.frame = frame;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_ACK;
	message.ack = &ack;
	return queue(holder, &message);
}

static int send_input(struct holder *holder, Maestro__HolderInput *input, const uint8_t *data, size_t len)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	size_t at = 0;
	int r;

	if (holder->queued_bytes + len > QUEUE_BYTES_MAX)
		return -ENOBUFS; /* all of it or nothing */
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_INPUT;
	message.input = input;
	do {
		input->data.data = (uint8_t *)(uintptr_t)data + at;
		input->data.len = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;
		r = queue(holder, &message);
		at += input->data.len;
		input->offset += input->data.len;
	} while (!r && at < len);
	return r;
}

int holder_send_input(struct holder *holder, const void *data, size_t len)
{
	Maestro__HolderInput input = MAESTRO__HOLDER_INPUT__INIT;

	return len ? send_input(holder, &input, data, len) : 0;
}

int holder_send_typed(struct holder *holder, uint64_t source, uint64_t offset, const void *data, size_t len, bool tell)
{
	Maestro__HolderInput input = MAESTRO__HOLDER_INPUT__INIT;

	input.has_source = input.has_offset = true;
	input.source = source;
	input.offset = offset;
	input.has_tell = input.tell = tell;
	return send_input(holder, &input, data, len);
}

int holder_send_resize(struct holder *holder, unsigned int cols, unsigned int rows)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderResize resize = MAESTRO__HOLDER_RESIZE__INIT;

	resize.cols = cols;
	resize.rows = rows;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_RESIZE;
	message.resize = &resize;
	return queue(holder, &message);
}

int holder_send_kill(struct holder *holder, uint64_t grace_ms)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderKill kill = MAESTRO__HOLDER_KILL__INIT;

	kill.has_grace_ms = grace_ms != UINT64_MAX;
	kill.grace_ms = grace_ms;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_KILL;
	message.kill = &kill;
	return queue(holder, &message);
}

int holder_send_forget(struct holder *holder)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderForget forget = MAESTRO__HOLDER_FORGET__INIT;

	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_FORGET;
	message.forget = &forget;
	return queue(holder, &message);
}

int holder_ask_screenshot(struct holder *holder, bool ansi, uint32_t scrollback_bytes)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderScreenshot screenshot = MAESTRO__HOLDER_SCREENSHOT__INIT;

	screenshot.ansi = ansi;
	screenshot.has_scrollback_bytes = scrollback_bytes != 0;
	screenshot.scrollback_bytes = scrollback_bytes;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_SCREENSHOT;
	message.screenshot = &screenshot;
	return queue(holder, &message);
}

int holder_send_mark(struct holder *holder, const void *text, size_t len)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderMark mark = MAESTRO__HOLDER_MARK__INIT;

	mark.text = (ProtobufCBinaryData){ len < PIECE_BYTES ? len : PIECE_BYTES, (uint8_t *)(uintptr_t)text };
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_MARK;
	message.mark = &mark;
	return queue(holder, &message);
}
