#include "tests/unit/coordinator/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "coordinator/service/internal.h"
#include "proto/base/io.h"
#include "proto/wire/message.h"

void served_init(struct served *world)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct service_config config = { 0 };

	*world = (struct served){ .dir = "/tmp/mt-service-XXXXXX" };
	assert_non_null(mkdtemp(world->dir));
	log_init(&world->log, "test", STDERR_FILENO, LOG_LEVEL_ERROR);
	assert_true(sd_event_new(&world->event) >= 0);
	assert_int_equal(service_init(world->dir, NULL, &error), 0);
	config.state = config.run = world->dir;
	assert_int_equal(service_new(&world->service, world->event, &world->log, &config, &error), 0);
	assert_int_equal(link_new(&world->link, world->event, &world->log), 0);
}

void served_deinit(struct served *world)
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

	if (client->told)
		client->told(client, envelope);
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

const struct link_dialer_ops dialer_ops = { on_connected, on_failed };

void client_dial(struct client *client, struct served *world, Maestro__Role role, const struct key *key,
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

void client_deinit(struct client *client)
{
	link_dialer_free(client->dialer);
	RUN_UNTIL(client->world, client->closed);
	if (client->reply)
		maestro__envelope__free_unpacked(client->reply, NULL);
}

uint64_t client_send(struct client *client, Maestro__Envelope *envelope)
{
	envelope->has_request = true;
	envelope->request = ++client->request;
	assert_int_equal(link_peer_send(client->peer, CHANNEL_CONTROL, envelope), 0);
	return envelope->request;
}

const Maestro__Envelope *client_ask(struct client *client, Maestro__Envelope *envelope)
{
	if (client->reply)
		maestro__envelope__free_unpacked(client->reply, NULL);
	client->reply = NULL;
	client_send(client, envelope);
	RUN_UNTIL(client->world, client->reply);
	return client->reply;
}

void client_sync(struct client *client)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__AskStatus status = MAESTRO__ASK_STATUS__INIT;

	envelope.body_case = BODY(ASK_STATUS);
	envelope.ask_status = &status;
	assert_int_equal(client_ask(client, &envelope)->body_case, BODY(SERVER_STATUS));
}

void admin_key(const struct served *world, struct key *key)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/admin.key", world->dir);
	assert_int_equal(key_read(path, key, NULL), 0);
}

void client_create_token(struct client *admin, Maestro__Role role, struct link_token *token)
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

void client_add_project(struct client *client, const char *name)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__ProjectAdd add = MAESTRO__PROJECT_ADD__INIT;

	add.name = (char *)(uintptr_t)name;
	add.url = bytes_of("host:p");
	envelope.body_case = BODY(PROJECT_ADD);
	envelope.project_add = &add;
	assert_int_equal(client_ask(client, &envelope)->body_case, BODY(DONE));
}

void worker_dial(struct client *client, struct served *world, const char *name, const struct key *key,
	const struct link_token *token)
{
	struct link_dialer_config config = { .address = service_address(world->service, 0), .role = MAESTRO__ROLE__ROLE_WORKER,
		.name = name, .secret_key = key->secret_key, .once = true, .ops = &dialer_ops, .userdata = client };

	*client = (struct client){ .world = world };
	config.join_secret = token ? token->secret : NULL;
	config.join_secret_len = token ? token->secret_len : 0;
	assert_int_equal(link_dialer_new(&client->dialer, world->link, &config, NULL), 0);
	RUN_UNTIL(world, client->peer || client->closed);
}
