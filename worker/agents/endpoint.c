#include "worker/agents/endpoint.h"
#include "worker/agents/hook.h"
#include "worker/agents/until.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"
#include "proto/wire/paths.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CALLERS_MAX 64u
#define DEADLINE_US (10ull * 1000 * 1000)
#define BURST 50.0
#define CALLS_PER_MS 0.02

/* Whose token is admitted. */
struct admitted {
	struct list link;
	uint64_t task;
	uint32_t attempt;
	uint8_t digest[ID_DIGEST_BYTES];
	double credit; /* calls that may come now */
	uint64_t credit_ms;
};

struct endpoint {
	sd_event *event;
	struct log *log;
	struct log_limit refused_limit;
	char *path;
	const struct endpoint_ops *ops;
	void *userdata;
	int fd;
	sd_event_source *source;
	struct list admitted, callers;
	unsigned int caller_count;
};

/* One connection: calls, each answered before the next is looked at. */
struct caller {
	struct endpoint *endpoint;
	struct list link;
	int fd;
	struct buf in, out;
	sd_event_source *source, *deadline;
	bool hang_up; /* when `out` is sent */
};

static void caller_free(struct caller *caller)
{
	sd_event_source_disable_unref(caller->source);
	sd_event_source_disable_unref(caller->deadline);
	close(caller->fd);
	buf_deinit(&caller->in);
	buf_deinit(&caller->out);
	list_remove(&caller->link);
	caller->endpoint->caller_count--;
	free(caller);
}

/* --- whose call it is ----------------------------------------------------------------------------------------- */

/* Every digest is compared, each in constant time: how long it takes says nothing about a token. */
static struct admitted *find_token(struct endpoint *endpoint, const ProtobufCBinaryData *token)
{
	uint8_t digest[ID_DIGEST_BYTES];
	struct admitted *admitted, *found = NULL;

	if (token->len != ENDPOINT_TOKEN_BYTES)
		return NULL;
	id_sha256(token->data, token->len, digest);
	list_for_each(admitted, &endpoint->admitted, link)
		if (id_equal(admitted->digest, digest, sizeof(digest)))
			found = admitted;
	return found;
}

static struct admitted *find_attempt(struct endpoint *endpoint, uint64_t task, uint32_t attempt)
{
	struct admitted *admitted;

	list_for_each(admitted, &endpoint->admitted, link)
		if (admitted->task == task && admitted->attempt == attempt)
			return admitted;
	return NULL;
}

static bool take_credit(struct admitted *admitted, uint64_t now_ms)
{
	admitted->credit += (double)(now_ms - admitted->credit_ms) * CALLS_PER_MS;
	admitted->credit_ms = now_ms;
	if (admitted->credit > BURST)
		admitted->credit = BURST;
	if (admitted->credit < 1)
		return false;
	admitted->credit -= 1;
	return true;
}

int endpoint_admit(struct endpoint *endpoint, uint64_t task, uint32_t attempt, const uint8_t digest[ID_DIGEST_BYTES])
{
	struct admitted *admitted = find_attempt(endpoint, task, attempt);

	if (!admitted) {
		admitted = calloc(1, sizeof(*admitted));
		if (!admitted)
			return -ENOMEM;
		admitted->task = task;
		admitted->attempt = attempt;
		admitted->credit = BURST;
		admitted->credit_ms = clock_boottime_ms();
		list_append(&endpoint->admitted, &admitted->link);
	}
	memcpy(admitted->digest, digest, ID_DIGEST_BYTES);
	return 0;
}

void endpoint_revoke(struct endpoint *endpoint, uint64_t task, uint32_t attempt)
{
	struct admitted *admitted = find_attempt(endpoint, task, attempt);

	if (!admitted)
		return;
	list_remove(&admitted->link);
	id_wipe(admitted, sizeof(*admitted));
	free(admitted);
}

/* --- what it says --------------------------------------------------------------------------------------------- */

static int check_text(const char *name, bool has, const ProtobufCBinaryData *text, struct error *error)
{
	if (!has)
		return 0;
	if (text->len > LIMIT_STATUS_BYTES)
		return error_set(error, -EINVAL, "the %s has %zu bytes, %u are allowed", name, text->len, LIMIT_STATUS_BYTES);
	if (text->len && !str_utf8_valid((const char *)text->data, text->len))
		return error_set(error, -EINVAL, "the %s is no UTF-8 text", name);
	if (text->len && memchr(text->data, 0, text->len))
		return error_set(error, -EINVAL, "the %s holds a NUL", name);
	return 0;
}

static int take_status(struct endpoint *endpoint, uint64_t task, uint32_t attempt, const Maestro__AgentStatus *said,
	struct error *error)
{
	Maestro__AgentStatus status = *said;
	int r;

	r = check_text("message", said->has_message, &said->message, error);
	if (!r)
		r = check_text("file", said->has_file, &said->file, error);
	if (!r && said->has_progress && said->progress > 100)
		r = error_set(error, -EINVAL, "a progress of %u: it is a percentage, 0 to 100", said->progress);
	if (!r && said->has_limited_ms && (said->limited_ms > UNTIL_MAX_MS || said->state != MAESTRO__AGENT_STATE__AGENT_LIMITED))
		r = error_set(error, -EINVAL, "a limit of 8 days at most goes with limited, and with nothing else");
	if (r)
		return r;
	status.has_source = true;
	status.source = MAESTRO__STATUS_SOURCE__SOURCE_MCP; /* whatever it claims */
	status.has_age_ms = false;
	status.age_ms = 0;
	return endpoint->ops->status(endpoint->userdata, task, attempt, &status, error);
}

static int tell_meaning(struct endpoint *endpoint, uint64_t task, uint32_t attempt, const struct hook_meaning *meaning,
	struct error *error)
{
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;

	status.state = meaning->state;
	status.has_message = meaning->message != NULL;
	status.message = bytes_of(meaning->message);
	status.has_file = meaning->file != NULL;
	status.file = bytes_of(meaning->file);
	status.has_source = true;
	status.source = MAESTRO__STATUS_SOURCE__SOURCE_HOOK;
	if (check_text("message", status.has_message, &status.message, NULL))
		status.has_message = false;
	if (check_text("file", status.has_file, &status.file, NULL))
		status.has_file = false;
	return endpoint->ops->status(endpoint->userdata, task, attempt, &status, error);
}

static int take_hook(struct endpoint *endpoint, uint64_t task, uint32_t attempt, const Maestro__AgentHook *hook,
	struct error *error)
{
	_cleanup_free_ char *event = bytes_dup(&hook->event);
	const char *json = hook->has_json ? (const char *)hook->json.data : NULL;
	struct hook_meaning meaning;
	int r = 0;

	if (!event)
		return -ENOMEM;
	r = check_text("event", true, &hook->event, error);
	if (!r && (!hook->event.len || hook->event.len > LIMIT_NAME_CHARS))
		r = error_set(error, -EINVAL, "an event's name has 1 to %u characters", LIMIT_NAME_CHARS);
	if (r)
		return r;
	if (hook_understand(event, json, hook->json.len, &meaning)) {
		r = tell_meaning(endpoint, task, attempt, &meaning, error);
		hook_meaning_deinit(&meaning);
	}
	if (!r && endpoint->ops->hook)
		endpoint->ops->hook(endpoint->userdata, task, attempt, event, json, hook->json.len);
	return r;
}

static int take_call(struct endpoint *endpoint, const Maestro__AgentCall *call, struct error *error)
{
	struct admitted *admitted = find_token(endpoint, &call->token);
	unsigned int dropped;

	if (!admitted) {
		if (log_limit_pass(&endpoint->refused_limit, clock_boottime_ms(), &dropped))
			log_warning(endpoint->log, "a call with a token of no session was refused");
		return error_set(error, -EACCES, "the token is of no session that runs here (it may have ended)");
	}
	if (!take_credit(admitted, clock_boottime_ms()))
		return error_set(error, -EBUSY, "too many reports: at most 20 a second are taken");
	switch (call->call_case) {
	case MAESTRO__AGENT_CALL__CALL_STATUS:
		return take_status(endpoint, admitted->task, admitted->attempt, call->status, error);
	case MAESTRO__AGENT_CALL__CALL_HOOK:
		return take_hook(endpoint, admitted->task, admitted->attempt, call->hook, error);
	default:
		return error_set(error, -EOPNOTSUPP, "this worker does not know that call: it is older than maestro-agent");
	}
}

/* --- connections ---------------------------------------------------------------------------------------------- */

static int queue_reply(struct caller *caller, int result, const struct error *error)
{
	Maestro__AgentMessage message = MAESTRO__AGENT_MESSAGE__INIT;
	Maestro__AgentReply reply = MAESTRO__AGENT_REPLY__INIT;

	reply.ok = result == 0;
	reply.has_why = !reply.ok;
	reply.why = bytes_of(reply.ok ? NULL : error_text(error, result));
	message.body_case = MAESTRO__AGENT_MESSAGE__BODY_REPLY;
	message.reply = &reply;
	return message_pack_framed(&message, &caller->out);
}

/* One whole message of those that are in. *ret_done: there was none. */
static int take_message(struct caller *caller, bool *ret_done)
{
	_cleanup_(message_deinit) struct message unpacked = MESSAGE_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const Maestro__AgentMessage *message;
	int r;

	r = message_take_framed(&caller->in, &maestro__agent_message__descriptor, ENDPOINT_MESSAGE_BYTES, &unpacked, &error);
	message = (const Maestro__AgentMessage *)unpacked.base;
	*ret_done = !r && !message;
	if (*ret_done)
		return 0;
	if (!r && message->body_case != MAESTRO__AGENT_MESSAGE__BODY_CALL)
		r = error_set(&error, -EPROTO, "that is no call");
	if (r) {
		caller->hang_up = true;
		return queue_reply(caller, r, &error);
	}
	r = take_call(caller->endpoint, message->call, &error);
	if (r == -EACCES)
		caller->hang_up = true;
	return queue_reply(caller, r, &error);
}

static int send_out(struct caller *caller)
{
	while (caller->out.len) {
		ssize_t n = send(caller->fd, caller->out.data, caller->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		buf_consume(&caller->out, (size_t)n);
	}
	if (!caller->out.len && caller->hang_up)
		return -ENODATA;
	(void)sd_event_source_set_io_events(caller->source, caller->out.len ? EPOLLOUT : EPOLLIN);
	return 0;
}

static int receive(struct caller *caller)
{
	uint8_t data[8192];
	ssize_t n = recv(caller->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	return buf_append(&caller->in, data, (size_t)n);
}

static int caller_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct caller *caller = userdata;
	bool done = false;
	int r = 0;

	if (events & ~(uint32_t)EPOLLOUT)
		r = receive(caller);
	while (!r && !done && !caller->hang_up)
		r = take_message(caller, &done);
	if (!r)
		r = send_out(caller);
	if (r)
		caller_free(caller);
	return 0;
}

static int caller_is_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	caller_free(userdata);
	return 0;
}

static bool is_same_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static int add_caller(struct endpoint *endpoint, int fd)
{
	struct caller *caller = calloc(1, sizeof(*caller));
	int r;

	if (!caller) {
		close(fd);
		return -ENOMEM;
	}
	caller->endpoint = endpoint;
	caller->fd = fd;
	caller->in = BUF_LIMIT(ENDPOINT_MESSAGE_BYTES + 16384);
	list_append(&endpoint->callers, &caller->link);
	endpoint->caller_count++;
	r = sd_event_add_io(endpoint->event, &caller->source, fd, EPOLLIN, caller_is_ready, caller);
	if (r >= 0)
		r = sd_event_add_time_relative(endpoint->event, &caller->deadline, CLOCK_MONOTONIC, DEADLINE_US, 1000,
			caller_is_late, caller);
	if (r < 0)
		caller_free(caller);
	return r < 0 ? r : 0;
}

static int somebody_calls(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
	struct endpoint *endpoint = userdata;
	_cleanup_close_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *oldest;

	if (fd < 0 || !is_same_user(fd))
		return 0;
	if (endpoint->caller_count >= CALLERS_MAX) { /* whoever holds on longest without need gives way */
		oldest = list_first(&endpoint->callers, struct caller, link);
		caller_free(oldest);
	}
	(void)add_caller(endpoint, take_fd(&fd));
	return 0;
}

/* --- the socket ----------------------------------------------------------------------------------------------- */

static bool somebody_listens(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN);
}

static int bind_socket(struct endpoint *endpoint)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int r;

	strcpy(address.sun_path, endpoint->path); /* its length was checked */
	if (somebody_listens(&address))
		return -EADDRINUSE;
	if (unlink(endpoint->path) < 0 && errno != ENOENT)
		return -errno;
	endpoint->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (endpoint->fd < 0)
		return -errno;
	mask = umask(0177);
	r = bind(endpoint->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r)
		return r;
	if (listen(endpoint->fd, 64) < 0)
		return -errno;
	r = sd_event_add_io(endpoint->event, &endpoint->source, endpoint->fd, EPOLLIN, somebody_calls, endpoint);
	return r < 0 ? r : 0;
}

int endpoint_new(struct endpoint **ret_endpoint, sd_event *event, struct log *log, const char *path,
	const struct endpoint_ops *ops, void *userdata, struct error *error)
{
	_cleanup_(endpoint_free_p) struct endpoint *endpoint = NULL;
	int r;

	r = paths_check_socket(path, error);
	if (!r)
		r = id_init();
	if (r)
		return r;
	endpoint = calloc(1, sizeof(*endpoint));
	if (!endpoint)
		return -ENOMEM;
	endpoint->event = sd_event_ref(event);
	endpoint->log = log;
	endpoint->refused_limit = LOG_LIMIT(60000, 5);
	endpoint->ops = ops;
	endpoint->userdata = userdata;
	endpoint->fd = -1;
	list_init(&endpoint->admitted);
	list_init(&endpoint->callers);
	endpoint->path = strdup(path);
	r = endpoint->path ? bind_socket(endpoint) : -ENOMEM;
	if (r)
		return error_set(error, r, "agents cannot report at %s: %s", path, strerror(-r));
	*ret_endpoint = take(endpoint);
	return 0;
}

void endpoint_free(struct endpoint *endpoint)
{
	struct caller *caller, *next_caller;
	struct admitted *admitted, *next;

	if (!endpoint)
		return;
	list_for_each_safe(caller, next_caller, &endpoint->callers, link)
		caller_free(caller);
	list_for_each_safe(admitted, next, &endpoint->admitted, link)
		endpoint_revoke(endpoint, admitted->task, admitted->attempt);
	if (endpoint->source)
		(void)unlink(endpoint->path); /* only our own: it was bound */
	sd_event_source_disable_unref(endpoint->source);
	if (endpoint->fd >= 0)
		close(endpoint->fd);
	free(endpoint->path);
	sd_event_unref(endpoint->event);
	free(endpoint);
}
