/* The coordinator's outside, with real connections over its local socket: who may what, a console that does not read,
 * a key that is revoked. Everything runs on one loop in this process. */
#include "tests/unit/coordinator/served.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/service/internal.h"
#include "proto/wire/message.h"

#define VIEWER MAESTRO__ROLE__ROLE_VIEWER
#define OPERATOR MAESTRO__ROLE__ROLE_OPERATOR
#define ADMIN MAESTRO__ROLE__ROLE_ADMIN

/* --- roles --------------------------------------------------------------------------------------------------- */

/* What the design says, written down a second time. */
static const struct {
	const char *body;
	Maestro__Role role;
} needed[] = {
	{ "list_tasks", VIEWER }, { "read_task", VIEWER }, { "search_worker", VIEWER }, { "diff_task", VIEWER }, { "watch", VIEWER },
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
	struct served world;
	struct client client;
	struct key key;

	served_init(&world);
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
	served_deinit(&world);
}

/* Every question there is has its role above: what is not there must be unknown to the coordinator. */
static void test_no_request_without_role(void **state)
{
	const ProtobufCMessageDescriptor *envelope = &maestro__envelope__descriptor;
	struct served world;
	struct client client;

	served_init(&world);
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
	served_deinit(&world);
}

/* --- a slow console ------------------------------------------------------------------------------------------ */

static void ask_to_watch(struct client *client)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Watch watch = MAESTRO__WATCH__INIT;

	watch.has_model = watch.model = true;
	envelope.body_case = BODY(WATCH);
	envelope.watch = &watch;
	client_send(client, &envelope);
}

static struct conn *watcher(const struct served *world)
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
	struct served world;
	struct client slow, busy;
	unsigned int before;
	char name[64];

	served_init(&world);
	client_dial(&busy, &world, OPERATOR, NULL, NULL);
	client_dial(&slow, &world, VIEWER, NULL, NULL);
	ask_to_watch(&slow);
	RUN_UNTIL(&world, slow.snapshots == 1);
	for (unsigned int i = 0; i < 60; i++) { /* a picture of some size */
		snprintf(name, sizeof(name), "p%056u", i);
		client_add_project(&busy, name);
	}
	link_peer_set_reading(slow.peer, false);
	while (!watcher(&world)->watch.stale) {
		for (unsigned int i = 0; i < 100; i++)
			ask_to_watch(&slow);
		client_sync(&busy);
	}
	before = slow.snapshots;
	client_add_project(&busy, "zlast");
	assert_true(watcher(&world)->watch.stale);
	link_peer_set_reading(slow.peer, true);
	RUN_UNTIL(&world, strcmp(slow.seen, "zlast") == 0);
	assert_true(slow.snapshots > before);
	RUN_UNTIL(&world, !watcher(&world)->watch.stale);
	assert_false(slow.closed);
	client_deinit(&slow);
	client_deinit(&busy);
	served_deinit(&world);
}

/* --- revocation ---------------------------------------------------------------------------------------------- */

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
	struct served world;
	struct client admin, viewer, again;
	struct link_token token;
	struct link_dialer_config config;
	struct key key, root;

	served_init(&world);
	admin_key(&world, &root);
	key_generate(&key);
	client_dial(&admin, &world, ADMIN, &root, NULL);
	client_create_token(&admin, VIEWER, &token);
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
	served_deinit(&world);
}

/* --- two workers that are one -------------------------------------------------------------------------------- */

/* A copied state directory does not push the worker out that it was copied from; a worker that was killed behind a dead
 * link is replaced by its next process. Seen to fail: the second one was let in, and what the first one ran was lost. */
static void test_one_of_two_workers(void **state)
{
	struct served world;
	struct client admin, first, second;
	struct link_token token;
	struct key key, root;

	served_init(&world);
	admin_key(&world, &root);
	key_generate(&key);
	client_dial(&admin, &world, ADMIN, &root, NULL);
	client_create_token(&admin, MAESTRO__ROLE__ROLE_WORKER, &token);
	worker_dial(&first, &world, "w1", &key, &token);
	assert_non_null(first.peer);
	worker_dial(&second, &world, "w1", &key, NULL);
	assert_null(second.peer);
	assert_non_null(strstr(second.why, "is connected already"));
	assert_non_null(strstr(second.why, "--name OTHER"));
	link_dialer_free(second.dialer);
	client_sync(&admin);
	assert_non_null(first.peer);

	link_peer_set_reading(first.peer, false); /* it answers nothing any more */
	worker_dial(&second, &world, "w1", &key, NULL);
	assert_null(second.peer);
	link_dialer_free(second.dialer);
	RUN_UNTIL(&world, first.closed);
	worker_dial(&second, &world, "w1", &key, NULL);
	assert_non_null(second.peer);
	link_dialer_free(first.dialer);
	client_deinit(&second);
	client_deinit(&admin);
	served_deinit(&world);
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
