#include "console/cli/command.h"
#include "proto/wire/limit.h"

#include <stdio.h>

struct values {
	struct cli_common common;
	char *key;
	bool when_idle, no_enter;
};

static const struct option_spec specs[] = {
	{ .name = "key", .type = OPTION_STRING, .offset = offsetof(struct values, key), .arg = "KEY",
		.help = "a key instead of text: Enter, Escape, Tab, Up, C-c, …" },
	{ .name = "when-idle", .type = OPTION_FLAG, .offset = offsetof(struct values, when_idle),
		.help = "not before the agent is idle" },
	{ .name = "no-enter", .type = OPTION_FLAG, .offset = offsetof(struct values, no_enter),
		.help = "only the text, without Enter after it" },
	CLI_COMMON_OPTIONS,
};

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	Maestro__SendToTask send = MAESTRO__SEND_TO_TASK__INIT;
	int r;

	if ((count == 2) == (values->key != NULL))
		return error_set(error, CLIENT_E_USAGE, "send: needs either TEXT (or '-') or --key KEY");
	r = cli_parse_task(operands[0], &send.task, error);
	if (!r && count == 2)
		r = cli_read_text(operands[1], "the text", LIMIT_PROMPT_BYTES, &text, error);
	if (r)
		return r;
	while (count == 2 && operands[1][0] == '-' && text.len && text.data[text.len - 1] == '\n')
		text.len--; /* Enter comes after it anyway */
	send.has_text = count == 2;
	send.text = (ProtobufCBinaryData){ .len = text.len, .data = text.data };
	send.has_key = values->key != NULL;
	send.key = bytes_of(values->key);
	send.has_when_idle = send.when_idle = values->when_idle;
	send.has_no_enter = send.no_enter = values->no_enter;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_SEND_TO_TASK, &send, MAESTRO__ENVELOPE__BODY_DONE, CLIENT_DEADLINE_MS,
		&reply, error);
	if (!r && cli->json)
		return cli_print_json(json_pack("{sI sb}", "task", (json_int_t)send.task, "sent", 1));
	return r;
}

const struct command command_send = {
	.name = "send",
	.group = GROUP_SESSIONS,
	.brief = "type into a session",
	.table = { "maestro send", "TASK TEXT|- | TASK --key KEY",
		"Pastes the text into the session, then Enter; or presses one key.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 2,
	.run = run,
};
