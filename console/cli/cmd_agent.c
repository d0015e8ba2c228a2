#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"

#include <stdio.h>

struct values {
	struct cli_common common;
};

static const struct option_spec specs[] = { CLI_COMMON_OPTIONS };

static const char *login(const Maestro__AgentProgram *agent)
{
	if (!agent->has_logged_in)
		return NULL;
	return agent->logged_in ? "yes" : "no";
}

static json_t *json_of_agent(const Maestro__AgentProgram *agent, const char *worker)
{
	char time[CLOCK_RFC3339_MAX];

	return json_pack("{ss so so so ss}", "name", agent->name,
		"version", agent->has_version ? json_of_bytes(agent->version.data, agent->version.len) : json_null(),
		"logged_in", agent->has_logged_in ? json_boolean(agent->logged_in) : json_null(),
		"limited_until", agent->has_limited_until_ms ?
			json_string(clock_format_rfc3339(agent->limited_until_ms, time)) : json_null(),
		"worker", worker);
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	static const struct table_column columns[] = {
		{ .title = "NAME" }, { .title = "WORKER" }, { .title = "LOGGED IN" }, { .title = "LIMITED UNTIL" }, { .title = "VERSION", .flexible = true },
	};
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ListWorkers list = MAESTRO__LIST_WORKERS__INIT;
	const Maestro__WorkerList *workers;
	char time[CLOCK_RFC3339_MAX];
	json_t *array;
	int r;

	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_WORKERS, &list, MAESTRO__ENVELOPE__BODY_WORKER_LIST,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	workers = client_reply_of(&reply)->worker_list;
	array = json_array();
	for (size_t i = 0; i < workers->n_workers; i++) {
		for (size_t k = 0; k < workers->workers[i]->n_agents; k++) {
			const Maestro__AgentProgram *agent = workers->workers[i]->agents[k];

			json_array_append_new(array, json_of_agent(agent, workers->workers[i]->name));
			table_add(&table, COLOUR_NONE, agent->name);
			table_add(&table, COLOUR_NONE, workers->workers[i]->name);
			table_add(&table, COLOUR_NONE, login(agent));
			table_add(&table, COLOUR_YELLOW,
				agent->has_limited_until_ms ? clock_format_rfc3339(agent->limited_until_ms, time) : NULL);
			table_add_bytes(&table, COLOUR_NONE, agent->has_version, &agent->version);
		}
	}
	if (cli->json)
		return cli_print_json(array);
	json_decref(array);
	return table_print(&table, cli, stdout);
}

const struct command command_agent_ls = {
	.name = "agent ls", .group = GROUP_FLEET, .brief = "list the agents that the workers have",
	.table = { "maestro agent ls", "", "Lists the agents that each worker has found.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run,
};
