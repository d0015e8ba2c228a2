#include "worker/agents/call.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "worker/agents/endpoint.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define CALL_TIMEOUT_S 10

static int need(const char *variable, const char **ret_value, struct error *error)
{
	const char *value = getenv(variable);

	if (value && *value) {
		*ret_value = value;
		return 0;
	}
	error_set(error, CALL_E_NO_SESSION, "%s is not set: maestro-agent works inside a Maestro session", variable);
	error_hint(error, "start one with: maestro run");
	return CALL_E_NO_SESSION;
}

static int unreachable(const char *path, int code, struct error *error)
{
	return error_set(error, CALL_E_UNREACHABLE, "the worker cannot be reached at %s: %s", path,
		code == -EAGAIN ? "no answer in 10 s" : code == -ENODATA ? "it hung up" : strerror(-code));
}

static int dial(const char *path, int *ret_fd)
{
	struct timeval limit = { .tv_sec = CALL_TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int read_reply(int fd, struct message *ret_message)
{
	uint8_t header[4];
	_cleanup_free_ uint8_t *data = NULL;
	int r;

	r = io_read_all(fd, header, sizeof(header));
	if (r)
		return r;
	if (get_u32(header) > ENDPOINT_MESSAGE_BYTES)
		return -EPROTO;
	data = malloc(get_u32(header) + 1u);
	if (!data)
		return -ENOMEM;
	r = io_read_all(fd, data, get_u32(header));
	if (!r)
		r = message_unpack(&maestro__agent_message__descriptor, data, get_u32(header), ret_message, NULL);
	return r > 0 ? -EPROTO : r;
}

static int exchange(const char *path, const struct buf *out, struct message *ret_message)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = dial(path, &fd);
	if (r)
		return r;
	r = send(fd, out->data, out->len, MSG_NOSIGNAL) == (ssize_t)out->len ? 0 : -(errno ? errno : EAGAIN);
	/* A worker that hangs up early may have said why. */
	if (r && r != -EPIPE && r != -ECONNRESET)
		return r;
	return read_reply(fd, ret_message);
}

static int judge(const Maestro__AgentMessage *message, const char *path, struct error *error)
{
	_cleanup_free_ char *why = NULL;

	if (message->body_case != MAESTRO__AGENT_MESSAGE__BODY_REPLY)
		return unreachable(path, -EPROTO, error);
	if (message->reply->ok)
		return 0;
	why = bytes_dup(&message->reply->why);
	return error_set(error, CALL_E_REFUSED, "%s", why && *why ? why : "the worker refused");
}

int call_worker(Maestro__AgentCall *call, struct error *error)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__AgentMessage message = MAESTRO__AGENT_MESSAGE__INIT;
	const char *path, *text;
	uint8_t token[ENDPOINT_TOKEN_BYTES];
	size_t len;
	int r;

	r = need("MAESTRO_SOCKET", &path, error);
	if (!r)
		r = need("MAESTRO_TOKEN", &text, error);
	if (r)
		return r;
	if (id_unbase64url(text, token, sizeof(token), &len) || len != sizeof(token))
		return error_set(error, CALL_E_NO_SESSION, "MAESTRO_TOKEN is no token of a Maestro session");
	call->token = (ProtobufCBinaryData){ len, token };
	message.body_case = MAESTRO__AGENT_MESSAGE__BODY_CALL;
	message.call = call;
	r = message_pack_framed(&message, &out);
	if (r)
		return r;
	r = exchange(path, &out, &reply);
	return r ? unreachable(path, r, error) : judge((const Maestro__AgentMessage *)reply.base, path, error);
}
