/* Join tokens and the keys that were enrolled with them. */
#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
	char *role;
	uint64_t ttl_ms;
};

static const struct option_spec token_specs[] = {
	{ .name = "role", .type = OPTION_STRING, .offset = offsetof(struct values, role), .arg = "ROLE",
		.help = "worker, viewer, operator or admin" },
	{ .name = "ttl", .type = OPTION_DURATION, .offset = offsetof(struct values, ttl_ms), .arg = "T", .initial = "1h",
		.min = 1000, .max = 30ull * 86400 * 1000, .help = "how long it may be used" },
	CLI_COMMON_OPTIONS,
};
static const struct option_spec plain_specs[] = { CLI_COMMON_OPTIONS };

static int run_token(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *text = NULL;
	Maestro__TokenCreate create = MAESTRO__TOKEN_CREATE__INIT;
	const Maestro__Token *token;
	int r;

	if (!values->role)
		return error_set(error, CLIENT_E_USAGE, "token create: --role is missing (worker, viewer, operator, admin)");
	r = cli_usage(name_parse_role(values->role, &create.role, error));
	if (r)
		return r;
	create.has_ttl_ms = true;
	create.ttl_ms = values->ttl_ms;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_TOKEN_CREATE, &create, MAESTRO__ENVELOPE__BODY_TOKEN,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	token = client_reply_of(&reply)->token;
	text = print_clean(token->token.data, token->token.len);
	if (!text)
		return -ENOMEM;
	if (cli->json) {
		char time[CLOCK_RFC3339_MAX];

		return cli_print_json(json_pack("{ss ss so}", "token", text, "role", name_role(create.role), "expires",
			token->has_expires_ms ? json_string(clock_format_rfc3339(token->expires_ms, time)) : json_null()));
	}
	puts(text);
	id_wipe(text, strlen(text));
	return 0;
}

static int run_ls(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	static const struct table_column columns[] = {
		{ .title = "ID" }, { .title = "ROLE" }, { .title = "STATE" }, { .title = "AGE", .right = true },
		{ .title = "NAME", .flexible = true },
	};
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ListKeys list = MAESTRO__LIST_KEYS__INIT;
	const Maestro__KeyList *keys;
	char age[CLOCK_AGE_MAX];
	json_t *array;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_KEYS, &list, MAESTRO__ENVELOPE__BODY_KEY_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	keys = client_reply_of(&reply)->key_list;
	array = json_array();
	for (size_t i = 0; i < keys->n_keys; i++) {
		const Maestro__KeyInfo *key = keys->keys[i];

		json_array_append_new(array, json_of_key(key));
		table_add(&table, COLOUR_NONE, key->id);
		table_add(&table, COLOUR_NONE, name_role(key->role));
		table_add(&table, key->revoked ? COLOUR_RED : COLOUR_NONE, key->revoked ? "revoked" : "good");
		table_add(&table, COLOUR_NONE, print_age(key->has_created_ms, key->created_ms, age));
		table_add_bytes(&table, COLOUR_NONE, key->has_name, &key->name);
	}
	if (cli->json)
		return cli_print_json(array);
	json_decref(array);
	return table_print(&table, cli, stdout);
}

static int run_revoke(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__RevokeKey revoke = MAESTRO__REVOKE_KEY__INIT;
	int r;

	if (strlen(operands[0]) != 16 || strspn(operands[0], "0123456789abcdef") != 16) {
		error_set(error, CLIENT_E_USAGE, "'%s' is no key: its first 16 hex digits are wanted", operands[0]);
		error_hint(error, "'maestro key ls' lists them");
		return CLIENT_E_USAGE;
	}
	revoke.id = operands[0];
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_REVOKE_KEY, &revoke, MAESTRO__ENVELOPE__BODY_DONE,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{ss sb}", "id", operands[0], "revoked", 1));
	printf("Key %s is revoked.\n", operands[0]);
	return 0;
}

const struct command command_token_create = {
	.name = "token create", .group = GROUP_ADMIN, .brief = "make a token that enrols a worker or a person",
	.table = { "maestro token create", "--role ROLE [--ttl T]",
		"Prints a token that enrols one key, once: give it to 'maestro-worker join ADDRESS' on a server, or to\n"
		"'maestro join ADDRESS' on a person's machine.",
		token_specs, ARRAY_SIZE(token_specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run_token,
};
const struct command command_key_ls = {
	.name = "key ls", .group = GROUP_ADMIN, .brief = "list enrolled keys",
	.table = { "maestro key ls", "", "Lists the keys that may connect.", plain_specs, ARRAY_SIZE(plain_specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run_ls,
};
const struct command command_key_revoke = {
	.name = "key revoke", .group = GROUP_ADMIN, .brief = "shut a key out; closes its connection",
	.table = { "maestro key revoke", "ID", "Shuts a key out for good, and closes its connection.", plain_specs,
		ARRAY_SIZE(plain_specs) },
	.values_size = sizeof(struct values), .operands_min = 1, .operands_max = 1, .run = run_revoke,
};
