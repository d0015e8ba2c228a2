#include "worker/session/peer.h"
#include "proto/wire/limit.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct packet {
	struct list link;
	size_t len;
	uint8_t data[];
};

/* The peer may be in use by whoever called: it goes when its connection is looked at next. */
static void doom(struct peer *peer)
{
	if (peer->doomed)
		return;
	peer->doomed = true;
	(void)shutdown(peer->fd, SHUT_RDWR); /* wakes the loop: it reads an end of file */
}

static void drop_packet(struct peer *peer, struct packet *packet)
{
	list_remove(&packet->link);
	peer->queued_bytes -= packet->len;
	free(packet);
}

static void send_queue(struct peer *peer)
{
	struct packet *packet, *next;

	list_for_each_safe(packet, next, &peer->queue, link) {
		ssize_t n = send(peer->fd, packet->data, packet->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
			break;
		if (n < 0) {
			doom(peer);
			break;
		}
		drop_packet(peer, packet);
	}
	if (peer->source)
		(void)sd_event_source_set_io_events(peer->source, list_empty(&peer->queue) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static int queue_message(struct peer *peer, const Maestro__HolderMessage *message)
{
	size_t len = maestro__holder_message__get_packed_size(message);
	struct packet *packet;

	if (len > PEER_PACKET_BYTES_MAX || peer->queued_bytes + len > PEER_QUEUE_BYTES_MAX)
		return -EMSGSIZE;
	packet = malloc(sizeof(*packet) + len);
	if (!packet)
		return -ENOMEM;
	packet->len = maestro__holder_message__pack(message, packet->data);
	list_append(&peer->queue, &packet->link);
	peer->queued_bytes += packet->len;
	return 0;
}

void peer_send(struct peer *peer, Maestro__HolderMessage *message)
{
	if (peer->doomed)
		return;
	if (queue_message(peer, message)) {
		log_warning(&peer->session->log, "a worker does not read: its connection is closed");
		doom(peer);
	} else {
		send_queue(peer);
	}
}

static void send_hello(struct peer *peer)
{
	struct session *session = peer->session;
	const struct screen *screen = emulator_screen(session->emulator);
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderHello hello = MAESTRO__HOLDER_HELLO__INIT;

	hello.version_min = HOLDER_VERSION_MIN;
	hello.version_max = HOLDER_VERSION_MAX;
	hello.task = session->id.task;
	hello.attempt = session->id.attempt;
	hello.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, session->id.run_id };
	hello.has_pid = hello.has_start_time = hello.has_boot_id = hello.has_program_pid = true;
	hello.pid = session->id.pid;
	hello.start_time = session->id.start_time;
	hello.boot_id = bytes_of(session->id.boot_id);
	hello.program_pid = session->phase == SESSION_RUNS ? (uint32_t)session->pty.pid : 0;
	hello.has_cols = hello.has_rows = hello.has_exited = hello.has_output_bytes = true;
	hello.cols = screen->cols;
	hello.rows = screen->rows;
	hello.exited = session->phase == SESSION_OVER;
	hello.output_bytes = session->output_bytes;
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	peer_send(peer, &message);
}

void peer_tell_exit(struct peer *peer)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderExit exit = MAESTRO__HOLDER_EXIT__INIT;

	holder_exit_fill(&peer->session->exit, &exit);
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_EXIT;
	message.exit = &exit;
	peer_send(peer, &message);
}

void peer_tell_activity(struct peer *peer, const Maestro__HolderActivity *activity)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;

	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_ACTIVITY;
	message.activity = (Maestro__HolderActivity *)(uintptr_t)activity;
	peer_send(peer, &message);
}

void peer_tell_clipboard(struct peer *peer, const struct buf *data)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderClipboard clipboard = MAESTRO__HOLDER_CLIPBOARD__INIT;

	clipboard.data = (ProtobufCBinaryData){ data->len, data->data };
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_CLIPBOARD;
	message.clipboard = &clipboard;
	if (data->len)
		peer_send(peer, &message);
}

/* --- screens -------------------------------------------------------------------------------------------------- */

static void send_frame(struct peer *peer, Maestro__HolderSeries name, uint64_t frame, const struct buf *update)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderScreen screen = MAESTRO__HOLDER_SCREEN__INIT;

	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_SCREEN;
	message.screen = &screen;
	screen.series = name;
	screen.frame = frame;
	for (size_t at = 0; at < update->len; at += screen.data.len) {
		screen.data.data = update->data + at;
		screen.data.len = update->len - at < PEER_PIECE_BYTES ? update->len - at : PEER_PIECE_BYTES;
		screen.last = at + screen.data.len == update->len;
		peer_send(peer, &message);
	}
}

static void show_series(struct peer *peer, size_t index, uint64_t generation, uint64_t now_ms)
{
	_cleanup_(buf_deinit) struct buf update = BUF_LIMIT(SCREEN_UPDATE_BYTES_MAX);
	struct session *session = peer->session;
	struct series *series = &peer->series[index];
	bool changed;
	int r;

	r = series_encode(series, emulator_screen(session->emulator), generation, now_ms, &session->scratch, &update, &changed);
	if (r)
		log_error(&session->log, "a screen cannot be sent: %s", strerror(-r));
	else if (changed)
		send_frame(peer, (Maestro__HolderSeries)(index + 1), series->frame, &update);
}

uint64_t peer_show(struct peer *peer, uint64_t generation, uint64_t now_ms)
{
	uint64_t next_ms = SERIES_NEVER;

	for (size_t i = 0; i < ARRAY_SIZE(peer->series) && !peer->doomed; i++) {
		uint64_t due_ms;

		peer->series[i].printed_bytes = peer->session->output_bytes;
		due_ms = series_due_ms(&peer->series[i], generation, now_ms);

		if (due_ms <= now_ms)
			show_series(peer, i, generation, now_ms);
		else if (due_ms < next_ms)
			next_ms = due_ms;
	}
	return next_ms;
}

/* --- the connection ------------------------------------------------------------------------------------------- */

/* One packet. -EAGAIN: none; -ENODATA: the connection is over. */
static int receive(struct peer *peer)
{
	static uint8_t data[PEER_PACKET_BYTES_MAX];
	ssize_t n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODATA; /* an empty packet cannot be told from it, and is none of ours */
	if ((size_t)n > sizeof(data))
		return -EMSGSIZE;
	return peer_take(peer, data, (size_t)n);
}

static int connection_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct peer *peer = userdata;
	struct session *session = peer->session;
	int r = 0;

	if (events & EPOLLOUT)
		send_queue(peer);
	for (int i = 0; i < 16 && !r && !peer->doomed && events & (EPOLLIN | EPOLLHUP | EPOLLERR); i++)
		r = receive(peer);
	if (peer->doomed || (r && r != -EAGAIN)) {
		if (r && r != -EAGAIN && r != -ENODATA && r != -ECONNRESET)
			log_warning(&session->log, "a worker's message cannot be understood: its connection is closed");
		peer_free(peer);
	}
	session_show(session);
	return 0;
}

int peer_new(struct session *session, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer) {
		close(fd);
		return -ENOMEM;
	}
	*peer = (struct peer){ .session = session, .fd = fd, .series = { SERIES_NULL, SERIES_NULL } };
	list_init(&peer->queue);
	list_append(&session->peers, &peer->link);
	session->peer_count++;
	r = sd_event_add_io(session->event, &peer->source, fd, EPOLLIN, connection_is_ready, peer);
	if (r < 0) {
		peer_free(peer);
		return r;
	}
	send_hello(peer);
	if (session->phase == SESSION_OVER)
		peer_tell_exit(peer);
	return 0;
}

void peer_free(struct peer *peer)
{
	struct packet *packet, *next;

	if (!peer)
		return;
	list_for_each_safe(packet, next, &peer->queue, link)
		drop_packet(peer, packet);
	for (size_t i = 0; i < ARRAY_SIZE(peer->series); i++)
		series_deinit(&peer->series[i]);
	sd_event_source_disable_unref(peer->source);
	close(peer->fd);
	list_remove(&peer->link);
	peer->session->peer_count--;
	free(peer);
}
