#include "console/client/client.h"
#include "proto/base/clock.h"

#include <signal.h>
#include <string.h>

struct client {
	sd_event *event;               /* borrowed */
	struct log *log;               /* borrowed */
	const struct profile *profile; /* borrowed */
	struct link *link;
	struct link_dialer *dialer;
	struct link_peer *peer; /* NULL while not connected; the link's */
	Maestro__Role role;
	char *failure;      /* why there is no connection */
	int refused;        /* Maestro__RefusedCode of the last try, 0: network */
	bool tried;         /* a try has ended since the last connection */
	uint64_t last_number;
	struct list pending;   /* struct pending */
	struct list listeners; /* struct client_listener */
	struct list *next;     /* whom to tell next, while telling; kept right by client_unlisten */
};

struct pending {
	struct list link;
	struct client *client;
	uint64_t number;
	uint32_t deadline_ms;
	sd_event_source *timer;
	client_reply reply;
	void *userdata;
};

static void pending_free(struct pending *pending)
{
	list_remove(&pending->link);
	sd_event_source_disable_unref(pending->timer);
	free(pending);
}

DEFINE_CLEANUP(struct pending *, pending_free)

static struct pending *find_pending(struct client *client, uint64_t number)
{
	struct pending *pending;

	list_for_each(pending, &client->pending, link)
		if (pending->number == number)
			return pending;
	return NULL;
}

/* Frees it, then tells: the callback may ask anew. */
static void finish_pending(struct pending *pending, int r, const Maestro__Envelope *reply, const struct error *error)
{
	struct pending done = *pending;

	pending_free(pending);
	done.reply(done.client, r, reply, error, done.userdata);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pending *pending = userdata;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	error_set(&error, CLIENT_E_UNREACHABLE, "the coordinator did not answer within %u s", pending->deadline_ms / 1000);
	finish_pending(pending, CLIENT_E_UNREACHABLE, NULL, &error);
	return 0;
}

static void fail_all(struct client *client, const char *why)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct list old;

	if (list_empty(&client->pending))
		return;
	error_set(&error, CLIENT_E_UNREACHABLE, "the connection to the coordinator was lost: %s", why);
	old = client->pending;
	old.next->prev = old.prev->next = &old;
	list_init(&client->pending);
	while (!list_empty(&old))
		finish_pending(list_first(&old, struct pending, link), CLIENT_E_UNREACHABLE, NULL, &error);
}

static void note_failure(struct client *client, const char *why, int refused)
{
	free(client->failure);
	client->failure = strdup(why);
	client->refused = refused;
	client->tried = true;
}

/* Any listener may go while one is called, so the next one is not remembered in a local variable. */
static struct client_listener *next_listener(struct client *client)
{
	struct list *at = client->next;

	if (at == &client->listeners)
		return NULL;
	client->next = at->next;
	return list_entry(at, struct client_listener, link);
}

#define for_each_listener(client, it)                                                                        \
	for ((client)->next = (client)->listeners.next; ((it) = next_listener(client));)

static void tell_disconnected(struct client *client, const char *why, uint32_t retry_ms)
{
	struct client_listener *listener;

	for_each_listener(client, listener)
		if (listener->ops->disconnected)
			listener->ops->disconnected(listener, why, retry_ms);
}

/* Each of these goes to the listeners even where it names a request: WATCH has many answers. */
static bool is_unasked(Maestro__Envelope__BodyCase body)
{
	switch (body) {
	case MAESTRO__ENVELOPE__BODY_SNAPSHOT:
	case MAESTRO__ENVELOPE__BODY_CHANGE:
	case MAESTRO__ENVELOPE__BODY_EVENT_BATCH:
	case MAESTRO__ENVELOPE__BODY_STREAM_FRAME:
	case MAESTRO__ENVELOPE__BODY_STREAM_CLOSE:
		return true;
	default:
		return false;
	}
}

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct client *client = userdata;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct client_listener *listener;
	struct pending *pending;
	int r = 0;

	if (is_unasked(envelope->body_case)) {
		for_each_listener(client, listener)
			if (listener->ops->message)
				listener->ops->message(listener, envelope);
		return;
	}
	pending = envelope->has_reply_to ? find_pending(client, envelope->reply_to) : NULL;
	if (!pending) {
		log_debug(client->log, "a reply to nothing: body=%d", (int)envelope->body_case);
		return;
	}
	if (envelope->body_case == MAESTRO__ENVELOPE__BODY_FAILURE)
		r = client_failure(envelope->failure, &error);
	finish_pending(pending, r, r ? NULL : envelope, &error);
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct client *client = userdata;

	client->peer = NULL;
	client->role = MAESTRO__ROLE__ROLE_NONE;
	note_failure(client, why, 0);
	client->tried = false;
	fail_all(client, why);
	tell_disconnected(client, why, 0);
}

static const struct link_peer_ops peer_ops = {
	.message = on_message,
	.closed = on_closed,
};

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct client *client = userdata;
	struct client_listener *listener;

	client->peer = peer;
	client->role = welcome->role;
	client->tried = false;
	client->refused = 0;
	free(take(client->failure));
	link_peer_set_ops(peer, &peer_ops, client);
	for_each_listener(client, listener)
		if (listener->ops->connected)
			listener->ops->connected(listener);
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct client *client = userdata;

	note_failure(client, why, code);
	tell_disconnected(client, why, retry_ms);
}

static const struct link_dialer_ops dialer_ops = {
	.connected = on_connected,
	.failed = on_failed,
};

/* nng's threads must never be the ones that a signal finds. */
static int open_link(struct client *client)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = link_new(&client->link, client->event, client->log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error_fold(r);
}

int client_new(struct client **ret_client, sd_event *event, struct log *log, const struct profile *profile, bool bulk,
	struct error *error)
{
	_cleanup_(client_free_p) struct client *client = calloc(1, sizeof(*client));
	struct link_dialer_config config = {
		.address = profile->address,
		.ca_pem = profile->ca_pem,
		.secret_key = profile->has_key ? profile->key.secret_key : NULL,
		.role = profile->role,
		.name = profile->user,
		.bulk = bulk,
		.ops = &dialer_ops,
		.userdata = client,
	};
	int r;

	if (!client)
		return -ENOMEM;
	client->event = event;
	client->log = log;
	client->profile = profile;
	list_init(&client->pending);
	list_init(&client->listeners);
	client->next = &client->listeners;
	r = open_link(client);
	if (!r)
		r = link_dialer_new(&client->dialer, client->link, &config, error);
	if (r)
		return r == LINK_E_ADDRESS ? CLIENT_E_USAGE : error_fold(r);
	*ret_client = take(client);
	return 0;
}

void client_free(struct client *client)
{
	struct client_listener *listener, *tmp;

	if (!client)
		return;
	list_for_each_safe(listener, tmp, &client->listeners, link)
		list_remove(&listener->link);
	while (!list_empty(&client->pending))
		pending_free(list_first(&client->pending, struct pending, link));
	/* link_free closes without callbacks; what is still queued is cut: who needs an answer waits for it */
	if (client->dialer)
		link_dialer_free(client->dialer);
	if (client->link)
		link_free(client->link);
	free(client->failure);
	free(client);
}

sd_event *client_event(const struct client *client)
{
	return client->event;
}

bool client_connected(const struct client *client)
{
	return client->peer;
}

Maestro__Role client_role(const struct client *client)
{
	return client->role;
}

const char *client_last_failure(const struct client *client)
{
	return client->failure ? client->failure : "";
}

bool client_tried(const struct client *client, int *ret_refused)
{
	*ret_refused = client->refused;
	return client->tried;
}

const struct profile *client_profile(const struct client *client)
{
	return client->profile;
}

void client_listen(struct client *client, struct client_listener *listener, const struct client_listener_ops *ops)
{
	listener->client = client;
	listener->ops = ops;
	list_append(&client->listeners, &listener->link);
}

void client_unlisten(struct client_listener *listener)
{
	if (listener->client && listener->client->next == &listener->link)
		listener->client->next = listener->link.next;
	list_remove(&listener->link);
}

static int not_connected(struct client *client, struct error *error)
{
	return error_set(error, CLIENT_E_UNREACHABLE, "there is no connection to the coordinator%s%s",
		client->failure ? ": " : "", client->failure ? client->failure : "");
}

int client_request(struct client *client, Maestro__Envelope *request, uint32_t deadline_ms, client_reply reply,
	void *userdata, uint64_t *ret_number, struct error *error)
{
	_cleanup_(pending_free_p) struct pending *pending = NULL;
	int r;

	if (!client->peer)
		return not_connected(client, error);
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){ .client = client, .number = ++client->last_number, .deadline_ms = deadline_ms,
		.reply = reply, .userdata = userdata };
	request->has_request = true;
	request->request = pending->number;
	if (deadline_ms) {
		r = sd_event_add_time_relative(client->event, &pending->timer, CLOCK_BOOTTIME,
			(uint64_t)deadline_ms * 1000, 1000, on_deadline, pending);
		if (r < 0)
			return r;
	}
	r = link_peer_send(client->peer, CHANNEL_CONTROL, request);
	if (r == LINK_E_FULL)
		return error_set(error, CLIENT_E_FAILED, "too much waits to be sent to the coordinator");
	if (r == LINK_E_CLOSED)
		return not_connected(client, error);
	if (r)
		return error_set(error, error_fold(r), "the request could not be sent: %s", strerror(-r));
	if (ret_number)
		*ret_number = pending->number;
	list_append(&client->pending, &take(pending)->link);
	return 0;
}

void client_cancel(struct client *client, uint64_t number)
{
	struct pending *pending = find_pending(client, number);

	if (pending)
		pending_free(pending);
}

int client_send(struct client *client, enum channel channel, const Maestro__Envelope *envelope)
{
	if (!client->peer)
		return CLIENT_E_UNREACHABLE;
	return link_peer_send(client->peer, channel, envelope);
}

void client_flush(struct client *client)
{
	if (client->peer)
		link_peer_flush(client->peer);
}

static char *bytes_or_null(protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
	return has && data->len ? bytes_dup(data) : NULL;
}

int client_failure(const Maestro__Failure *failure, struct error *error)
{
	_cleanup_free_ char *what = bytes_or_null(failure->has_what, &failure->what);
	_cleanup_free_ char *why = bytes_or_null(failure->has_why, &failure->why);
	_cleanup_free_ char *hint = bytes_or_null(failure->has_hint, &failure->hint);
	static const struct {
		Maestro__FailureCode code;
		int condition;
		const char *otherwise;
	} table[] = {
		{ MAESTRO__FAILURE_CODE__FAILURE_FAILED, CLIENT_E_FAILED, "it failed" },
		{ MAESTRO__FAILURE_CODE__FAILURE_USAGE, CLIENT_E_USAGE, "the request makes no sense" },
		{ MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, CLIENT_E_NOT_FOUND, "there is no such thing" },
		{ MAESTRO__FAILURE_CODE__FAILURE_NOT_ALLOWED, CLIENT_E_NOT_ALLOWED, "not allowed" },
		{ MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED, CLIENT_E_FAILED, "this coordinator does not know that request" },
		{ MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, CLIENT_E_FAILED, "not possible now" },
	};
	size_t i = 0;

	for (size_t k = 0; k < ARRAY_SIZE(table); k++)
		if (table[k].code == failure->code)
			i = k;
	error_set(error, table[i].condition, "%s%s%s", what ? what : "", what ? ": " : "",
		why ? why : table[i].otherwise);
	if (hint)
		error_hint(error, "%s", hint);
	return table[i].condition;
}

int client_exit_status(int r)
{
	return r < 0 ? 1 : r;
}
