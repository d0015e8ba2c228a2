/* libssh2 is kept in non-blocking mode, and every wait is a poll of ours: its blocking mode has calls that never end on
 * a dead peer. For the same reason a dead session's descriptor is closed before libssh2 may say goodbye on it. */
#include "worker/git/ssh.h"
#include "worker/git/ssh_private.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "worker/git/auth.h"
#include "worker/git/job.h"

#define CONNECT_MS_MAX 15000u
#define SAID_BYTES_MAX 4096u

bool ssh_wait(struct ssh *ssh)
{
	int directions = libssh2_session_block_directions(ssh->session), r;
	struct pollfd socket = { .fd = ssh->fd };

	if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
		socket.events |= POLLOUT;
	if (!directions || directions & LIBSSH2_SESSION_BLOCK_INBOUND)
		socket.events |= POLLIN;
	do
		r = poll(&socket, 1, (int)ssh->timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		ssh->dead = true;
	return r > 0;
}

int ssh_error(struct ssh *ssh, struct error *error, const char *what)
{
	char *text = NULL;
	int code = libssh2_session_last_error(ssh->session, &text, NULL, 0);

	if (ssh->dead)
		error_set(error, JOB_E_UNREACHABLE, "%s: %s did not answer for %u s", what, ssh->hosts.name, ssh->timeout_ms / 1000);
	else
		error_set(error, JOB_E_UNREACHABLE, "%s: %s (%d)", what, text && text[0] ? text : "the connection was closed", code);
	ssh->dead = true;
	return JOB_E_UNREACHABLE;
}

/* 0 or an errno. The deadline is for this one address. */
static int connect_address(const struct addrinfo *address, uint32_t timeout_ms, int *ret_fd)
{
	_cleanup_close_ int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd socket_ready = { .fd = fd, .events = POLLOUT };
	int r, failure = 0, on = 1;
	socklen_t len = sizeof(failure);

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
		return -errno;
	do
		r = poll(&socket_ready, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
		return -errno;
	if (failure)
		return -failure;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	*ret_fd = take_fd(&fd);
	return 0;
}

static int connect_host(const struct ssh_target *target, int *ret_fd, struct error *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	uint32_t timeout_ms = target->timeout_ms < CONNECT_MS_MAX ? target->timeout_ms : CONNECT_MS_MAX;
	struct addrinfo *addresses = NULL;
	char port[8];
	int r;

	snprintf(port, sizeof(port), "%u", target->port);
	r = getaddrinfo(target->host, port, &hints, &addresses);
	if (r) {
		error_set(error, JOB_E_UNREACHABLE, "the host %s is not known: %s", target->host, gai_strerror(r));
		error_hint(error, "check the URL; names from ~/.ssh/config are not read");
		return JOB_E_UNREACHABLE;
	}
	r = -EHOSTUNREACH;
	for (struct addrinfo *a = addresses; a && r; a = a->ai_next)
		r = connect_address(a, timeout_ms, ret_fd);
	freeaddrinfo(addresses);
	if (r) {
		error_set(error, JOB_E_UNREACHABLE, "%s port %u cannot be reached: %s", target->host, target->port, strerror(-r));
		error_hint(error, "check the URL, and that an SSH server listens there");
		return JOB_E_UNREACHABLE;
	}
	return 0;
}

static int handshake(struct ssh *ssh, const struct ssh_target *target, struct error *error)
{
	int r;

	ssh->session = libssh2_session_init();
	if (!ssh->session)
		return -ENOMEM;
	libssh2_session_set_blocking(ssh->session, 0);
	r = hosts_init(&ssh->hosts, ssh->session, target->host, target->port, target->known_hosts, error);
	if (r)
		return r;
	hosts_prefer(&ssh->hosts, ssh->session);
	r = ssh_repeat(ssh, libssh2_session_handshake(ssh->session, ssh->fd));
	if (r == LIBSSH2_ERROR_KEX_FAILURE && !ssh->dead) {
		error_set(error, JOB_E_UNREACHABLE, "no common way to talk SSH with %s", ssh->hosts.name);
		error_hint(error, "the server needs an ed25519 or ecdsa host key; one with only an RSA key cannot be used here");
		return JOB_E_UNREACHABLE;
	}
	if (r)
		return ssh_error(ssh, error, "the SSH handshake failed");
	return hosts_check(&ssh->hosts, ssh->session, target->host, target->port, error);
}

int ssh_open(struct ssh **ret_ssh, const struct ssh_target *target, struct error *error)
{
	_cleanup_(ssh_free_p) struct ssh *ssh = calloc(1, sizeof(*ssh));
	int r;

	if (!ssh || libssh2_init(0))
		return -ENOMEM;
	ssh->fd = -1;
	ssh->timeout_ms = target->timeout_ms;
	r = connect_host(target, &ssh->fd, error);
	if (!r)
		r = handshake(ssh, target, error);
	if (!r)
		r = auth_run(ssh, target, error);
	if (r)
		return r;
	*ret_ssh = take(ssh);
	return 0;
}

/* A goodbye to a live peer, one try each: nobody waits for it. */
static void say_goodbye(struct ssh *ssh)
{
	if (ssh->channel) {
		libssh2_channel_send_eof(ssh->channel);
		libssh2_channel_close(ssh->channel);
	}
	libssh2_session_disconnect(ssh->session, "done");
}

void ssh_free(struct ssh *ssh)
{
	if (ssh->session && !ssh->dead)
		say_goodbye(ssh);
	if (ssh->fd >= 0)
		close(ssh->fd);
	/* The socket is gone, so that these return at once. */
	hosts_deinit(&ssh->hosts);
	if (ssh->session) {
		if (ssh->channel)
			libssh2_channel_free(ssh->channel);
		libssh2_session_free(ssh->session);
	}
	buf_deinit(&ssh->said);
	free(ssh);
}

int ssh_exec(struct ssh *ssh, const char *command, struct error *error)
{
	int r;

	while (!(ssh->channel = libssh2_channel_open_session(ssh->session)))
		if (libssh2_session_last_errno(ssh->session) != LIBSSH2_ERROR_EAGAIN || !ssh_wait(ssh))
			return ssh_error(ssh, error, "the server opens no session");
	r = ssh_repeat(ssh, libssh2_channel_exec(ssh->channel, command));
	if (r == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) {
		error_set(error, JOB_E_AUTH, "%s does not allow this key to run git", ssh->hosts.name);
		error_hint(error, "check the forced command or the shell of that account on the server");
		return JOB_E_AUTH;
	}
	return r ? ssh_error(ssh, error, "git cannot be started on the server") : 0;
}

/* Always read along: a remote that fills its window with diagnostics would wait for us for ever. */
static void drain_said(struct ssh *ssh)
{
	char piece[4096];
	ssize_t n;

	while ((n = libssh2_channel_read_stderr(ssh->channel, piece, sizeof(piece))) > 0) {
		buf_append(&ssh->said, piece, (size_t)n);
		if (ssh->said.len > 2 * SAID_BYTES_MAX)
			buf_consume(&ssh->said, ssh->said.len - SAID_BYTES_MAX);
	}
}

/* Reading the diagnostics takes off the connection whatever has come, also what was just asked for in vain: then nothing
 * more may come that would end a wait. */
static bool came_meanwhile(struct ssh *ssh)
{
	return libssh2_channel_eof(ssh->channel) || libssh2_poll_channel_read(ssh->channel, 0);
}

static bool may_write(struct ssh *ssh)
{
	return !(libssh2_session_block_directions(ssh->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) &&
		libssh2_channel_window_write(ssh->channel) > 0;
}

int ssh_read(struct ssh *ssh, void *buffer, size_t size, size_t *ret_len, struct error *error)
{
	for (;;) {
		ssize_t n = libssh2_channel_read(ssh->channel, buffer, size);

		drain_said(ssh);
		if (n > 0 || (!n && libssh2_channel_eof(ssh->channel))) {
			*ret_len = (size_t)n;
			return 0;
		}
		if (n == LIBSSH2_ERROR_EAGAIN && came_meanwhile(ssh))
			continue;
		if ((n && n != LIBSSH2_ERROR_EAGAIN) || !ssh_wait(ssh))
			return ssh_error(ssh, error, "the connection broke while reading");
	}
}

int ssh_write(struct ssh *ssh, const void *data, size_t len, struct error *error)
{
	for (const char *p = data; len;) {
		ssize_t n = libssh2_channel_write(ssh->channel, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		drain_said(ssh);
		if (n == LIBSSH2_ERROR_EAGAIN && may_write(ssh))
			continue;
		if ((n && n != LIBSSH2_ERROR_EAGAIN) || !ssh_wait(ssh))
			return ssh_error(ssh, error, "the connection broke while writing");
	}
	return 0;
}

const char *ssh_said(struct ssh *ssh)
{
	if (ssh->channel && !ssh->dead)
		drain_said(ssh);
	return buf_text(&ssh->said);
}

int ssh_quote(struct buf *out, const char *text)
{
	int r = buf_append_byte(out, '\'');

	/* git on the other side of some servers expands '!' even inside quotes, so it stands outside too. */
	for (; !r && *text; text++) {
		if (*text == '\'' || *text == '!')
			r = buf_printf(out, "'\\%c'", *text);
		else
			r = buf_append_byte(out, (uint8_t)*text);
	}
	return r ? r : buf_append_byte(out, '\'');
}
