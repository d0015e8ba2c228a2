/* The coordinator's outside, with real connections over its local socket: who may what, a console that does not read,
 * a key that is revoked. Everything runs on one loop in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "coordinator/service/internal.h"
#include "proto/base/io.h"
#include "proto/link/keys.h"
#include "proto/wire/message.h"

struct world {
	char dir[32];
	sd_event *event;
	struct log log;
	struct service *service;
	struct link *link;
};

struct client {
	struct world *world;
	struct link_dialer *dialer;
	struct link_peer *peer;
	bool closed;
	char why[512];
	uint64_t request, refused; /* refused: the last request that was NOT_ALLOWED */
	uint64_t unsupported;
	Maestro__Envelope *reply;  /* to `request` */
	unsigned int snapshots;
	char seen[256];            /* titles of the last snapshot's last page */
};

static void world_init(struct world *world)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct service_config config = { 0 };

	*world = (struct world){ .dir = "/tmp/mt-service-XXXXXX" };
	assert_non_null(mkdtemp(world->dir));
	log_init(&world->log, "test", STDERR_FILENO, LOG_LEVEL_ERROR);
	assert_true(sd_event_new(&world->event) >= 0);
	assert_int_equal(service_init(world->dir, NULL, &error), 0);
	config.state = config.run = world->dir;
	assert_int_equal(service_new(&world->service, world->event, &world->log, &config, &error), 0);
	assert_int_equal(link_new(&world->link, world->event, &world->log), 0);
}

static void world_deinit(struct world *world)
{
	link_free(world->link);
	service_free(world->service);
	sd_event_unref(world->event);
	io_remove_tree(world->dir);
}

/* --- a client ------------------------------------------------------------------------------------------------ */

static void take_snapshot(struct client *client, const Maestro__Snapshot *snapshot)
{
	client->seen[0] = 0;
	for (size_t i = 0; i < snapshot->n_projects; i++)
		snprintf(client->seen, sizeof(client->seen), "%s", snapshot->projects[i]->name);
	client->snapshots += snapshot->last;
}

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct client *client = userdata;

	if (envelope->body_case == BODY(SNAPSHOT))
		take_snapshot(client, envelope->snapshot);
	if (envelope->body_case == BODY(FAILURE) && envelope->failure->code == FAIL(NOT_ALLOWED))
		client->refused = envelope->reply_to;
	if (envelope->body_case == BODY(FAILURE) && envelope->failure->code == FAIL(UNSUPPORTED))
		client->unsupported = envelope->reply_to;
	if (!envelope->has_reply_to || envelope->reply_to != client->request)
		return;
	if (client->reply)
		maestro__envelope__free_unpacked(client->reply, NULL);
	client->reply = message_copy(envelope);
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct client *client = userdata;

	client->peer = NULL;
	client->closed = true;
	snprintf(client->why, sizeof(client->why), "%s", why);
}

static const struct link_peer_ops peer_ops = { on_message, NULL, on_closed };

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct client *client = userdata;

	client->peer = peer;
	link_peer_set_ops(peer, &peer_ops, client);
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct client *client = userdata;

	client->closed = true;
	snprintf(client->why, sizeof(client->why), "%s", why);
}

static const struct link_dialer_ops dialer_ops = { on_connected, on_failed };

/* Runs the loop until it is so; the deadline is only for failures. */
#define RUN_UNTIL(world, condition)                                                                          \
	do {                                                                                                 \
		for (unsigned int turns_ = 0; !(condition); turns_++) {                                      \
			assert_true(turns_ < 200000);                                                        \
			assert_true(sd_event_run((world)->event, 20000000) > 0);                             \
		}                                                                                            \
	} while (0)

static void client_dial(struct client *client, struct world *world, Maestro__Role role, const struct key *key,
	const struct link_token *token)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_dialer_config config = { .address = service_address(world->service, 0), .role = role, .name = "t@h",
		.once = true, .ops = &dialer_ops, .userdata = client };

	*client = (struct client){ .world = world };
	config.secret_key = key ? key->secret_key : NULL;
	config.join_secret = token ? token->secret : NULL;
	config.join_secret_len = token ? token->secret_len : 0;
	assert_int_equal(link_dialer_new(&client->dialer, world->link, &config, &error), 0);
	RUN_UNTIL(world, client->peer || client->closed);
	if (client->closed)
		print_error("not connected: %s\n", client->why);
	assert_non_null(client->peer);
}

static void client_deinit(struct client *client)
{
	link_dialer_free(client->dialer);
	RUN_UNTIL(client->world, client->closed);
	if (client->reply)
		maestro__envelope__free_unpacked(client->reply, NULL);
}

static uint64_t client_send(struct client *client, Maestro__Envelope *envelope)
{
	envelope->has_request = true;
	envelope->request = ++client->request;
	assert_int_equal(link_peer_send(client->peer, CHANNEL_CONTROL, envelope), 0);
	return envelope->request;
}

static const Maestro__Envelope *client_ask(struct client *client, Maestro__Envelope *envelope)
{
	if (client->reply)
		maestro__envelope__free_unpacked(client->reply, NULL);
	client->reply = NULL;
	client_send(client, envelope);
	RUN_UNTIL(client->world, client->reply);
	return client->reply;
}

/* Everything that was asked before has been answered when this returns. */
static void client_sync(struct client *client)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__AskStatus status = MAESTRO__ASK_STATUS__INIT;

	envelope.body_case = BODY(ASK_STATUS);
	envelope.ask_status = &status;
	assert_int_equal(client_ask(client, &envelope)->body_case, BODY(SERVER_STATUS));
}

static void admin_key(const struct world *world, struct key *key)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/admin.key", world->dir);
	assert_int_equal(key_read(path, key, NULL), 0);
}

/* --- roles --------------------------------------------------------------------------------------------------- */

#define VIEWER MAESTRO__ROLE__ROLE_VIEWER
#define OPERATOR MAESTRO__ROLE__ROLE_OPERATOR
#define ADMIN MAESTRO__ROLE__ROLE_ADMIN

/* What the design says, written down a second time. */
static const struct {
	const char *body;
	Maestro__Role role;
} needed[] = {
	{ "list_tasks", VIEWER }, { "read_task", VIEWER }, { "diff_task", VIEWER }, { "watch", VIEWER },
	{ "list_projects", VIEWER }, { "list_workers", VIEWER }, { "ask_status", VIEWER },
	{ "submit", OPERATOR }, { "act_on_task", OPERATOR }, { "send_to_task", OPERATOR }, { "merge_task", OPERATOR },
	{ "project_add", OPERATOR }, { "project_remove", OPERATOR }, { "queue_control", OPERATOR },
	{ "read_audit", OPERATOR }, { "list_questions", VIEWER }, { "answer_question", ADMIN },
	{ "act_on_worker", ADMIN }, { "token_create", ADMIN }, { "list_keys", ADMIN }, { "revoke_key", ADMIN },
};

/* Every required field gets something of its type. */
static void fill_required(ProtobufCMessage *message)
{
	for (unsigned int i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		void *at = (char *)message + field->offset;

		if (field->label != PROTOBUF_C_LABEL_REQUIRED)
			continue;
		if (field->type == PROTOBUF_C_TYPE_STRING)
			*(const char **)at = "x";
		else if (field->type == PROTOBUF_C_TYPE_ENUM)
			*(int *)at = ((const ProtobufCEnumDescriptor *)field->descriptor)->values[0].value;
	}
}

static void ask_field(struct client *client, const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *body = field->descriptor;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	ProtobufCMessage *message = calloc(1, body->sizeof_message);

	assert_non_null(message);
	protobuf_c_message_init(body, message);
	fill_required(message);
	envelope.body_case = (Maestro__Envelope__BodyCase)field->id;
	*(ProtobufCMessage **)((char *)&envelope + field->offset) = message;
	client_send(client, &envelope);
	free(message);
	client_sync(client);
}

static void check_roles(struct client *client, Maestro__Role role)
{
	const ProtobufCMessageDescriptor *envelope = &maestro__envelope__descriptor;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field_by_name(envelope, needed[i].body);

		assert_non_null(field);
		ask_field(client, field);
		if ((client->refused == client->request - 1) != (role < needed[i].role))
			fail_msg("%s as role %d", needed[i].body, (int)role);
		assert_int_not_equal(client->unsupported, client->request - 1);
	}
}

static void test_roles(void **state)
{
	struct world world;
	struct client client;
	struct key key;

	world_init(&world);
	admin_key(&world, &key);
	client_dial(&client, &world, VIEWER, NULL, NULL);
	check_roles(&client, VIEWER);
	client_deinit(&client);
	client_dial(&client, &world, OPERATOR, NULL, NULL);
	check_roles(&client, OPERATOR);
	client_deinit(&client);
	client_dial(&client, &world, ADMIN, NULL, NULL); /* without the key it is an operator's connection */
	check_roles(&client, OPERATOR);
	client_deinit(&client);
	client_dial(&client, &world, ADMIN, &key, NULL);
	check_roles(&client, ADMIN);
	client_deinit(&client);
	world_deinit(&world);
}

/* Every question there is has its role above: what is not there must be unknown to the coordinator. */
static void test_no_request_without_role(void **state)
{
	const ProtobufCMessageDescriptor *envelope = &maestro__envelope__descriptor;
	struct world world;
	struct client client;

	world_init(&world);
	client_dial(&client, &world, OPERATOR, NULL, NULL);
	for (unsigned int i = 0; i < envelope->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &envelope->fields[i];
		size_t k = 0;

		while (k < ARRAY_SIZE(needed) && strcmp(needed[k].body, field->name) != 0)
			k++;
		if (field->id < 200 || field->id >= 300 || k < ARRAY_SIZE(needed))
			continue;
		ask_field(&client, field);
		if (client.unsupported != client.request - 1)
			fail_msg("%s is answered, but this test does not say who may ask it", field->name);
	}
	client_deinit(&client);
	world_deinit(&world);
}

/* --- a slow console ------------------------------------------------------------------------------------------ */

static void add_project(struct client *client, const char *name)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;

	add.name = (char *)(uintptr_t)name;
	add.url = bytes_of("host:p");
	envelope.body_case = BODY(PROJECT_ADD);
	envelope.project_add = &add;
	assert_int_equal(client_ask(client, &envelope)->body_case, BODY(DONE));
}

static void ask_to_watch(struct client *client)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Watch watch = MAESTRO__WATCH__INIT;

	watch.has_model = watch.model = true;
	envelope.body_case = BODY(WATCH);
	envelope.watch = &watch;
	client_send(client, &envelope);
}

static struct conn *watcher(const struct world *world)
{
	for (struct conn *conn = world->service->conns; conn; conn = conn->hh.next)
		if (conn->watch.model)
			return conn;
	return NULL;
}

/* One that does not read fills its queue, misses changes, and gets the whole picture when it reads again; the others
 * notice nothing. */
static void test_slow_console(void **state)
{
	struct world world;
	struct client slow, busy;
	unsigned int before;
	char name[64];

	world_init(&world);
	client_dial(&busy, &world, OPERATOR, NULL, NULL);
	client_dial(&slow, &world, VIEWER, NULL, NULL);
	ask_to_watch(&slow);
	RUN_UNTIL(&world, slow.snapshots == 1);
	for (unsigned int i = 0; i < 60; i++) { /* a picture of some size */
		snprintf(name, sizeof(name), "p%056u", i);
		add_project(&busy, name);
	}
	link_peer_set_reading(slow.peer, false);
	while (!watcher(&world)->watch.stale) {
		for (unsigned int i = 0; i < 100; i++)
			ask_to_watch(&slow);
		client_sync(&busy);
	}
	before = slow.snapshots;
	add_project(&busy, "zlast");
	assert_true(watcher(&world)->watch.stale);
	link_peer_set_reading(slow.peer, true);
	RUN_UNTIL(&world, strcmp(slow.seen, "zlast") == 0);
	assert_true(slow.snapshots > before);
	RUN_UNTIL(&world, !watcher(&world)->watch.stale);
	assert_false(slow.closed);
	client_deinit(&slow);
	client_deinit(&busy);
	world_deinit(&world);
}

/* --- revocation ---------------------------------------------------------------------------------------------- */

static void create_token(struct client *admin, Maestro__Role role, struct link_token *token)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__TokenCreate create = MAESTRO__TOKEN_CREATE__INIT;
	_cleanup_free_ char *text = NULL;
	const Maestro__Envelope *reply;

	create.role = role;
	envelope.body_case = BODY(TOKEN_CREATE);
	envelope.token_create = &create;
	reply = client_ask(admin, &envelope);
	assert_int_equal(reply->body_case, BODY(TOKEN));
	text = bytes_dup(&reply->token->token);
	assert_int_equal(link_token_parse(text, token, NULL), 0);
}

static void revoke_key(struct client *admin, const struct key *key)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__RevokeKey message = MAESTRO__REVOKE_KEY__INIT;
	char id[KEY_ID_MAX];

	message.id = key_id(key->public_key, id);
	envelope.body_case = BODY(REVOKE_KEY);
	envelope.revoke_key = &message;
	assert_int_equal(client_ask(admin, &envelope)->body_case, BODY(DONE));
}

static void test_revocation_closes(void **state)
{
	struct world world;
	struct client admin, viewer, again;
	struct link_token token;
	struct link_dialer_config config;
	struct key key, root;

	world_init(&world);
	admin_key(&world, &root);
	key_generate(&key);
	client_dial(&admin, &world, ADMIN, &root, NULL);
	create_token(&admin, VIEWER, &token);
	client_dial(&viewer, &world, VIEWER, &key, &token);
	client_sync(&viewer);
	revoke_key(&admin, &key);
	RUN_UNTIL(&world, viewer.closed);
	link_dialer_free(viewer.dialer);
	if (viewer.reply)
		maestro__envelope__free_unpacked(viewer.reply, NULL);

	again = (struct client){ .world = &world };
	config = (struct link_dialer_config){ .address = service_address(world.service, 0), .role = VIEWER, .name = "t@h",
		.secret_key = key.secret_key, .once = true, .ops = &dialer_ops, .userdata = &again };
	assert_int_equal(link_dialer_new(&again.dialer, world.link, &config, NULL), 0);
	RUN_UNTIL(&world, again.closed);
	assert_non_null(strstr(again.why, "revoked"));
	link_dialer_free(again.dialer);
	client_deinit(&admin);
	world_deinit(&world);
}

/* --- two workers that are one -------------------------------------------------------------------------------- */

static void worker_dial(struct client *client, struct world *world, const struct key *key, const struct link_token *token)
{
	struct link_dialer_config config = { .address = service_address(world->service, 0), .role = MAESTRO__ROLE__ROLE_WORKER,
		.name = "w1", .secret_key = key->secret_key, .once = true, .ops = &dialer_ops, .userdata = client };

	*client = (struct client){ .world = world };
	config.join_secret = token ? token->secret : NULL;
	config.join_secret_len = token ? token->secret_len : 0;
	assert_int_equal(link_dialer_new(&client->dialer, world->link, &config, NULL), 0);
	RUN_UNTIL(world, client->peer || client->closed);
}

/* A copied state directory does not push the worker out that it was copied from; a worker that was killed behind a dead
 * link is replaced by its next process. Seen to fail: the second one was let in, and what the first one ran was lost. */
static void test_one_of_two_workers(void **state)
{
	struct world world;
	struct client admin, first, second;
	struct link_token token;
	struct key key, root;

	world_init(&world);
	admin_key(&world, &root);
	key_generate(&key);
	client_dial(&admin, &world, ADMIN, &root, NULL);
	create_token(&admin, MAESTRO__ROLE__ROLE_WORKER, &token);
	worker_dial(&first, &world, &key, &token);
	assert_non_null(first.peer);
	worker_dial(&second, &world, &key, NULL);
	assert_null(second.peer);
	assert_non_null(strstr(second.why, "is connected already"));
	assert_non_null(strstr(second.why, "--name OTHER"));
	link_dialer_free(second.dialer);
	client_sync(&admin);
	assert_non_null(first.peer);

	link_peer_set_reading(first.peer, false); /* it answers nothing any more */
	worker_dial(&second, &world, &key, NULL);
	assert_null(second.peer);
	link_dialer_free(second.dialer);
	RUN_UNTIL(&world, first.closed);
	worker_dial(&second, &world, &key, NULL);
	assert_non_null(second.peer);
	link_dialer_free(first.dialer);
	client_deinit(&second);
	client_deinit(&admin);
	world_deinit(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_no_request_without_role),
		cmocka_unit_test(test_slow_console),
		cmocka_unit_test(test_revocation_closes),
		cmocka_unit_test(test_one_of_two_workers),
	};

	signal(SIGPIPE, SIG_IGN);
	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
