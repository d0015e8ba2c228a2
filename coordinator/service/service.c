#include "coordinator/service/internal.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/link/keys.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- connections --------------------------------------------------------------------------------------------- */

struct conn *conn_find(const struct service *service, uint64_t id)
{
	struct conn *conn;

	HASH_FIND(hh, service->conns, &id, sizeof(id), conn);
	return conn;
}

struct conn *conn_find_worker(const struct service *service, const char *name)
{
	struct conn *conn;

	HASH_FIND(hh_name, service->workers, name, strlen(name), conn);
	return conn && !conn->replaced ? conn : NULL;
}

bool conn_worker_reachable(const struct service *service, const char *name)
{
	const struct conn *conn = conn_find_worker(service, name);

	return core_worker_ready(service_core(service), name) || (conn && conn->suspended);
}

int conn_send(struct conn *conn, enum channel channel, Maestro__Envelope *envelope)
{
	return link_peer_send(conn->peer, channel, envelope);
}

static void conn_free(struct conn *conn)
{
	struct conn *named = NULL;

	HASH_DEL(conn->service->conns, conn);
	if (conn->name)
		HASH_FIND(hh_name, conn->service->workers, conn->name, strlen(conn->name), named);
	if (named == conn)
		HASH_DELETE(hh_name, conn->service->workers, conn);
	list_remove(&conn->watch.entry);
	free(conn->name);
	free(conn->actor);
	free(conn);
}

static void worker_left(struct conn *conn, const char *why)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = conn->name, .text = why };

	if (conn->replaced)
		return;
	conn->replaced = true; /* said once */
	ask_worker_gone(conn->service, conn);
	executor_handle(conn->service->executor, &event);
}

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct conn *conn = userdata;

	if (conn->name)
		worker_message(conn, channel, envelope);
	else
		client_message(conn, channel, envelope);
}

static void on_writable(struct link_peer *peer, enum channel channel, void *userdata)
{
	struct conn *conn = userdata;

	if (conn->name)
		return;
	executor_flush(conn->service->executor); /* what is shown is committed */
	if (channel == CHANNEL_CONTROL)
		watch_writable(conn);
	else
		stream_writable(conn);
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct conn *conn = userdata;
	unsigned int dropped;

	if (log_limit_pass(&conn->service->limit, clock_boottime_ms(), &dropped))
		log_info(conn->service->log, "peer=%s left: %s", conn->actor, str_or(why, ""));
	stream_conn_gone(conn);
	if (conn->name)
		worker_left(conn, why);
	conn_free(conn);
}

static const struct link_peer_ops peer_ops = { on_message, on_writable, on_closed };

static char *actor_of(const struct link_identity *identity)
{
	_cleanup_(buf_deinit) struct buf name = BUF_NULL;
	char *actor = NULL, id[KEY_ID_MAX];
	int n;

	str_clean(&name, identity->name, strlen(identity->name) < 80 ? strlen(identity->name) : 80);
	if (!identity->has_key)
		n = asprintf(&actor, "uid %u %s", identity->peer_uid, buf_text(&name));
	else
		n = asprintf(&actor, "%s %s %s", name_role(identity->role), key_id(identity->key, id), buf_text(&name));
	return n < 0 ? NULL : actor;
}

static void welcome_worker(struct conn *conn, const struct link_identity *identity)
{
	struct conn *old = conn_find_worker(conn->service, identity->name);
	struct core_event event = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = identity->name,
		.text = identity->boot_id, .name = identity->software };

	if (old) {
		worker_left(old, "it came again");
		link_peer_close(old->peer, "this worker came again", 0);
	}
	executor_flush(conn->service->executor); /* words for the old connection must not reach the new one */
	conn->name = strdup(identity->name);
	if (!conn->name) {
		link_peer_close(conn->peer, "out of memory", 0);
		return;
	}
	HASH_FIND(hh_name, conn->service->workers, conn->name, strlen(conn->name), old);
	if (old) /* that one is on its way out */
		HASH_DELETE(hh_name, conn->service->workers, old);
	HASH_ADD_KEYPTR(hh_name, conn->service->workers, conn->name, strlen(conn->name), conn);
	executor_handle(conn->service->executor, &event);
}

static void on_accepted(struct link_peer *peer, void *userdata)
{
	struct service *service = userdata;
	const struct link_identity *identity = link_peer_identity(peer);
	struct conn *conn = calloc(1, sizeof(*conn));
	unsigned int dropped;

	if (!conn) {
		link_peer_close(peer, "out of memory", 0);
		return;
	}
	conn->service = service;
	conn->peer = peer;
	conn->id = ++service->next_conn;
	list_init(&conn->watch.entry);
	conn->role = identity->role;
	conn->actor = actor_of(identity);
	HASH_ADD(hh, service->conns, id, sizeof(conn->id), conn);
	link_peer_set_ops(peer, &peer_ops, conn);
	if (log_limit_pass(&service->limit, clock_boottime_ms(), &dropped))
		log_info(service->log, "peer=%s came from %s", conn->actor, identity->address);
	if (identity->role == MAESTRO__ROLE__ROLE_WORKER)
		welcome_worker(conn, identity);
}

static const struct link_listener_ops listener_ops = { identity_authenticate, identity_enroll, on_accepted };

/* --- answers ------------------------------------------------------------------------------------------------- */

#define LARGE_BYTES (32u * 1024)

void service_reply(struct service *service, uint64_t client, uint64_t request, Maestro__Envelope *envelope)
{
	struct conn *conn = conn_find(service, client);
	enum channel channel;
	int r;

	if (!conn)
		return;
	envelope->has_request = false;
	envelope->has_reply_to = true;
	envelope->reply_to = request;
	channel = maestro__envelope__get_packed_size(envelope) > LARGE_BYTES ? CHANNEL_BULK : CHANNEL_CONTROL;
	r = conn_send(conn, channel, envelope);
	if (r == LINK_E_FULL) /* it asks faster than it reads: an answer that never comes would be worse */
		link_peer_close(conn->peer, "too many answers are waiting to be read", 0);
	else if (r == -EMSGSIZE)
		service_fail(service, client, request, FAIL(FAILED), NULL, "the answer is too large", "ask for less of it");
}

void service_fail(struct service *service, uint64_t client, uint64_t request, Maestro__FailureCode code,
	const char *what, const char *why, const char *hint)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;

	failure.code = code;
	failure.has_what = what != NULL;
	failure.what = bytes_of(what);
	failure.has_why = why != NULL;
	failure.why = bytes_of(why);
	failure.has_hint = hint != NULL;
	failure.hint = bytes_of(hint);
	envelope.body_case = BODY(FAILURE);
	envelope.failure = &failure;
	service_reply(service, client, request, &envelope);
}

void service_done(struct service *service, uint64_t client, uint64_t request, const char *text)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;

	done.has_text = text != NULL;
	done.text = bytes_of(text);
	envelope.body_case = BODY(DONE);
	envelope.done = &done;
	service_reply(service, client, request, &envelope);
}

/* --- the executor's voice ------------------------------------------------------------------------------------ */

static void send_to_worker(struct service *service, const struct core_effect *effect)
{
	struct conn *conn = conn_find_worker(service, effect->worker);

	/* A worker that is gone, or goes now, is told by its verdicts when it is back. */
	if (conn && conn_send(conn, CHANNEL_CONTROL, effect->envelope))
		link_peer_close(conn->peer, "its connection is congested", 0);
}

static void disconnect(struct service *service, const struct core_effect *effect)
{
	struct conn *conn = conn_find_worker(service, effect->worker);

	if (!conn)
		return;
	worker_left(conn, effect->name);
	link_peer_close(conn->peer, effect->name, 1000);
}

static void on_deliver(const struct core_effect *effect, void *userdata)
{
	struct service *service = userdata;

	switch (effect->type) {
	case CORE_EFFECT_SEND:
		send_to_worker(service, effect);
		break;
	case CORE_EFFECT_ASK:
		ask_release(service, effect);
		break;
	case CORE_EFFECT_REPLY:
		service_reply(service, effect->client, effect->request, effect->envelope);
		break;
	case CORE_EFFECT_CHANGED_TASK:
		watch_mark_task(service, effect->task);
		break;
	case CORE_EFFECT_CHANGED_WORKER:
		watch_mark_name(service, 'w', effect->name);
		break;
	case CORE_EFFECT_LOAD:
		watch_mark_load(service, effect->name);
		break;
	case CORE_EFFECT_CHANGED_PROJECT:
		watch_mark_name(service, 'p', effect->name);
		break;
	case CORE_EFFECT_CHANGED_QUESTION:
		watch_mark_question(service, effect->task);
		break;
	case CORE_EFFECT_STATUS:
		watch_status(service, effect->task, effect->attempt);
		break;
	case CORE_EFFECT_DISCONNECT:
		disconnect(service, effect);
		break;
	case CORE_EFFECT_PUT:
	case CORE_EFFECT_DROP:
		break; /* rows were the executor's */
	}
}

static void on_settled(void *userdata)
{
	watch_settled(userdata);
	notify_settled(userdata);
}

static void show_anew(struct service *service)
{
	struct conn *conn, *next;

	list_for_each_safe(conn, next, &service->watchers, watch.entry) {
		if (!conn->watch.model)
			continue;
		conn->watch.stale = true;
		watch_writable(conn);
	}
}

/* The core is what is stored; watchers get the picture that is true. Workers stay connected for the sake of those who
 * look at their sessions, but what they report is not taken: they say it again when they have come anew. */
static void on_failed(const char *why, void *userdata)
{
	struct service *service = userdata;

	for (struct conn *conn = service->conns; conn; conn = conn->hh.next)
		if (conn->name && !conn->replaced)
			conn->suspended = true;
	show_anew(service);
}

static void on_recovered(void *userdata)
{
	struct service *service = userdata;
	struct conn *conn, *next;

	HASH_ITER (hh, service->conns, conn, next) {
		if (!conn->name || !conn->suspended)
			continue;
		conn->replaced = true;
		ask_worker_gone(service, conn);
		link_peer_close(conn->peer, "the database can be written again: come anew", 0);
	}
	show_anew(service);
}

static const struct executor_ops executor_ops = { on_deliver, on_settled, on_failed, on_recovered };

/* --- life ---------------------------------------------------------------------------------------------------- */

static int read_text(const char *path, char **ret_text, struct error *error)
{
	int r;

	r = io_read_file(path, 64 * 1024, ret_text, NULL);
	if (r == IO_E_NOT_FOUND)
		return error_set(error, -ENOENT, "%s is not there: `maestro-coordinator init` makes what is missing", path);
	if (!r && !**ret_text) /* an empty certificate would be found by every peer, and by nobody here */
		return error_set(error, -EINVAL, "%s is empty; put back the file that belongs there", path);
	return r ? error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

static int read_cluster(struct service *service, const struct service_files *files, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = read_text(files->cluster, &text, error);
	if (r)
		return r;
	text[strcspn(text, "\n")] = 0;
	if (id_unhex(text, service->cluster_id, sizeof(service->cluster_id)))
		return error_set(error, -EINVAL, "%s: not 32 hex digits; put back the file that belongs there", files->cluster);
	return 0;
}

static int take_epoch(enum row_table table, void *row, void *userdata, struct error *error)
{
	struct meta_row *meta = row;

	if (strcmp(meta->name, "epoch") == 0)
		*(uint64_t *)userdata = strtoull(str_or(meta->value, "0"), NULL, 10);
	row_free(table, row);
	return 0;
}

/* Every start has a higher number than the one before, on disk before anybody hears it. */
static int raise_epoch(struct service *service, struct error *error)
{
	char value[24];
	struct meta_row row = { (char *)"epoch", value };
	uint64_t epoch = 0;
	int r;

	r = store_each(service->store, ROW_META, take_epoch, &epoch, error);
	if (r)
		return r;
	snprintf(value, sizeof(value), "%" PRIu64, ++epoch);
	r = store_begin(service->store, error);
	if (!r)
		r = store_put(service->store, ROW_META, &row, error);
	if (!r)
		r = store_commit(service->store, error);
	if (r)
		store_rollback(service->store);
	return r;
}

static int listen_on(struct service *service, const char *address, const char *chain, const char *key, const void *der,
	size_t der_len, struct error *error)
{
	struct link_listener_config config = { .address = address, .certificate_pem = chain, .private_key_pem = key,
		.ca_der = der, .ca_der_len = der_len, .ops = &listener_ops, .userdata = service };
	int r;

	if (service->listener_count == ARRAY_SIZE(service->listeners))
		return error_set(error, -E2BIG, "too many addresses to listen on");
	memcpy(config.cluster_id, service->cluster_id, sizeof(config.cluster_id));
	r = link_listener_new(&service->listeners[service->listener_count], service->link, &config, error);
	if (r)
		return error_fold(r);
	service->listener_count++;
	return 0;
}

static int listen_all(struct service *service, const struct service_files *files, const struct service_config *config,
	struct error *error)
{
	_cleanup_free_ char *ca = NULL, *server = NULL, *key = NULL, *chain = NULL, *local = NULL;
	_cleanup_free_ void *der = NULL;
	size_t der_len = 0;
	int r;

	r = read_text(files->ca, &ca, error);
	if (!r)
		r = read_text(files->server, &server, error);
	if (!r)
		r = read_text(files->server_key, &key, error);
	if (!r)
		r = certificate_to_der(ca, &der, &der_len, error);
	if (!r && (asprintf(&chain, "%s%s", server, ca) < 0 || asprintf(&local, "ipc://%s/coordinator.sock", config->run) < 0))
		r = -ENOMEM;
	if (r)
		return error_fold(r);
	id_sha256(der, der_len, service->ca_digest);
	r = listen_on(service, local, chain, key, der, der_len, error);
	for (size_t i = 0; i < config->listen_count && !r; i++)
		r = listen_on(service, config->listen[i], chain, key, der, der_len, error);
	id_wipe(key, strlen(key));
	return r;
}

static void accept_restore(struct service *service)
{
	struct core_event event = { .type = CORE_EVENT_RESTORED, .client = { .actor = "--accept-restore" } };

	executor_handle(service->executor, &event);
	executor_flush(service->executor);
}

static int start(struct service *service, const struct service_files *files, const struct service_config *config,
	struct error *error)
{
	struct core_config core_config = config->core ? *config->core : core_config_default;
	int r;

	r = read_cluster(service, files, error);
	if (!r)
		r = store_open(&service->store, files->database, error);
	if (!r)
		r = raise_epoch(service, error);
	if (!r)
		r = ask_init(service);
	if (r)
		return error_fold(r);
	if (config->heartbeat_ms)
		core_config.heartbeat_ms = config->heartbeat_ms;
	memcpy(core_config.cluster_id, service->cluster_id, sizeof(core_config.cluster_id));
	r = executor_new(&service->executor, service->event, service->log, service->store, &core_config, &executor_ops,
		service, error);
	if (!r && config->accept_restore)
		accept_restore(service);
	if (!r)
		r = identity_load(service, files->admin, error);
	if (!r)
		r = prune_init(service, config->keep_events);
	if (!r)
		r = notify_init(service, config, error);
	if (!r)
		r = link_new(&service->link, service->event, service->log);
	if (!r)
		r = listen_all(service, files, config, error);
	return error_fold(r);
}

int service_new(struct service **ret_service, sd_event *event, struct log *log, const struct service_config *config,
	struct error *error)
{
	_cleanup_(service_free_p) struct service *service = calloc(1, sizeof(*service));
	_cleanup_(service_files_deinit) struct service_files files = { 0 };
	int r;

	if (!service)
		return -ENOMEM;
	service->event = event;
	service->log = log;
	service->limit = LOG_LIMIT(1000, 20);
	list_init(&service->watchers);
	service->began_ms = clock_boottime_ms();
	r = service_files_init(&files, config->state);
	if (!r)
		r = start(service, &files, config, error);
	if (r)
		return r;
	*ret_service = take(service);
	return 0;
}

void service_free(struct service *service)
{
	struct conn *conn, *next;

	if (service->executor)
		executor_flush(service->executor);
	for (size_t i = 0; i < service->listener_count; i++)
		link_listener_free(service->listeners[i]);
	if (service->link)
		link_free(service->link); /* without callbacks: the connections are ours to free */
	HASH_ITER (hh, service->conns, conn, next) {
		struct route *route, *next_route;

		HASH_ITER (hh_console, service->by_console, route, next_route) {
			HASH_DELETE(hh_console, service->by_console, route);
			HASH_DELETE(hh_worker, service->by_worker, route);
			free(route);
		}
		conn_free(conn);
	}
	ask_deinit(service);
	watch_deinit(service);
	identity_deinit(service);
	prune_deinit(service);
	notify_deinit(service);
	if (service->executor)
		executor_free(service->executor);
	if (service->store)
		store_free(service->store);
	free(service);
}

size_t service_address_count(const struct service *service)
{
	return service->listener_count;
}

const char *service_address(const struct service *service, size_t index)
{
	return link_listener_address(service->listeners[index]);
}
