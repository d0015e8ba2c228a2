#include "console/cli/command.h"

#include <stdio.h>

struct values {
	struct cli_common common;
};

static const struct option_spec specs[] = { CLI_COMMON_OPTIONS };

static int set_paused(struct cli *cli, bool paused, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__QueueControl control = MAESTRO__QUEUE_CONTROL__INIT;
	int r;

	control.paused = paused;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_QUEUE_CONTROL, &control, MAESTRO__ENVELOPE__BODY_DONE,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{sb}", "paused", (int)paused));
	puts(paused ? "The queue is paused: nothing new is started." : "The queue goes on.");
	return 0;
}

static int run_pause(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	return set_paused(cli, true, error);
}

static int run_resume(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	return set_paused(cli, false, error);
}

const struct command command_queue_pause = {
	.name = "queue pause", .group = GROUP_FLEET, .brief = "start no more tasks",
	.table = { "maestro queue pause", "", "Starts no more tasks; what runs goes on.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run_pause,
};
const struct command command_queue_resume = {
	.name = "queue resume", .group = GROUP_FLEET, .brief = "start tasks again",
	.table = { "maestro queue resume", "", "Starts tasks again.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values), .operands_max = 0, .run = run_resume,
};
