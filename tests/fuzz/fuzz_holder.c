/* Both ends of a holder's socket, each with a peer that is hostile or of another version. The input: a byte (1: the
 * holder is over, 2: it is the worker that reads), then packets: u16 length (little-endian; 0x8000: instead of a packet,
 * so many bytes that the program prints), and the bytes. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "proto/base/io.h"
#include "worker/session/client.h"
#include "worker/session/peer.h"
#include "worker/session/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAG_OVER 1u
#define FLAG_WORKER 2u
#define PRINTS 0x8000u
#define PACKETS_MAX 64u

static int null_fd = -1, listen_fd = -1;
static char dir[] = "/tmp/maestro-fuzz-holder-XXXXXX";

static void leave(void)
{
	io_remove_tree(dir);
}

static void enter(void)
{
	if (null_fd >= 0)
		return;
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	require(null_fd >= 0 && mkdtemp(dir));
	atexit(leave);
	require(socket_listen(dir, &listen_fd) == 0);
}

static struct session *make_session(unsigned int flags)
{
	struct session *session = calloc(1, sizeof(*session));

	require(session);
	session->spec_message = MESSAGE_NULL;
	session->pty = PTY_NULL;
	session->scratch = SCREEN_NULL;
	session->listen_fd = -1;
	session->exit.code = 3;
	session->grace_ms = 1000;
	session->phase = flags & FLAG_OVER ? SESSION_OVER : SESSION_RUNS;
	list_init(&session->peers);
	log_init(&session->log, "fuzz", null_fd, LOG_LEVEL_ERROR);
	require(sd_event_new(&session->event) >= 0);
	require(emulator_new(&session->emulator, 20, 5, 10000) == 0);
	require(transcript_new(&session->transcript, "", 0) == 0);
	return session;
}

static void drain(int fd)
{
	static uint8_t data[PEER_PACKET_BYTES_MAX];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		continue;
}

/* Takes the next packet off the input. */
static bool next_packet(const uint8_t **data, size_t *size, size_t *ret_len, bool *ret_prints)
{
	size_t len;

	if (*size < 2)
		return false;
	len = (size_t)((*data)[0] | (*data)[1] << 8);
	*ret_prints = len & PRINTS;
	len &= ~PRINTS;
	*data += 2;
	*size -= 2;
	*ret_len = len < *size ? len : *size;
	return true;
}

static void feed_holder(unsigned int flags, const uint8_t *data, size_t size)
{
	_cleanup_(session_free_p) struct session *session = make_session(flags);
	bool prints;
	int fds[2];
	size_t len;

	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	require(peer_new(session, fds[0]) == 0);
	for (unsigned int i = 0; i < PACKETS_MAX && next_packet(&data, &size, &len, &prints); i++, data += len, size -= len) {
		if (prints) {
			emulator_write(session->emulator, data, len);
			session_show(session);
		} else {
			(void)send(fds[1], data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		if (sd_event_run(session->event, 0) < 0)
			break; /* it was told to go */
		drain(fds[1]);
		require(session->peer_count <= 1 && session->input.len <= SESSION_INPUT_BYTES_MAX);
		require(list_empty(&session->peers) == !session->peer_count);
	}
	close(fds[1]);
}

static void on_screen(void *userdata, Maestro__HolderSeries series, uint64_t frame, const void *data, size_t len)
{
	require(len <= SCREEN_UPDATE_BYTES_MAX);
	(void)holder_send_ack(*(struct holder **)userdata, series, frame);
}

static void on_hello(void *userdata, const struct holder_hello *hello)
{
	require(memchr(hello->id.boot_id, 0, sizeof(hello->id.boot_id)));
}

static void on_activity(void *userdata, uint64_t output_bytes, const char *title, size_t title_len, bool bell)
{
	require(!title_len || title);
}

static void on_screenshot(void *userdata, const void *data, size_t len)
{
	require(!len || data);
}

static void on_over(void *userdata, const struct holder_exit *exit)
{
	free(holder_exit_text(exit));
}

static void on_closed(void *userdata, int r)
{
	holder_free(take(*(struct holder **)userdata));
}

static const struct holder_ops ops = { .hello = on_hello, .screen = on_screen, .activity = on_activity,
	.screenshot = on_screenshot, .exit = on_over, .closed = on_closed };

static void feed_worker(const uint8_t *data, size_t size)
{
	struct holder *holder = NULL;
	sd_event *event = NULL;
	bool prints;
	size_t len;
	int fd;

	require(sd_event_new(&event) >= 0);
	require(holder_connect(event, dir, &ops, &holder, &holder) == 0);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	require(fd >= 0);
	for (unsigned int i = 0; i < PACKETS_MAX && holder && next_packet(&data, &size, &len, &prints); i++, data += len, size -= len) {
		(void)send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		require(sd_event_run(event, 0) >= 0);
		drain(fd);
	}
	close(fd);
	if (holder)
		require(sd_event_run(event, 0) >= 0);
	holder_free(holder);
	sd_event_unref(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	enter();
	if (data[0] & FLAG_WORKER)
		feed_worker(data + 1, size - 1);
	else
		feed_holder(data[0], data + 1, size - 1);
	return 0;
}
