#include "console/cli/command.h"
#include "console/cli/plain.h"

#include <stdio.h>

struct values {
	struct cli_common common;
	bool ansi;
};

static const struct option_spec specs[] = {
	{ .name = "ansi", .type = OPTION_FLAG, .offset = offsetof(struct values, ansi), .help = "with colours" },
	CLI_COMMON_OPTIONS,
};

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	struct plain plain = { .keep_colours = values->ansi };
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	const Maestro__SessionBytes *bytes;
	int r;

	r = cli_parse_task(operands[0], &read.task, error);
	if (r)
		return r;
	read.kind = values->ansi ? MAESTRO__READ_KIND__READ_SCREEN_ANSI : MAESTRO__READ_KIND__READ_SCREEN_TEXT;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_READ_TASK, &read, MAESTRO__ENVELOPE__BODY_SESSION_BYTES,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	bytes = client_reply_of(&reply)->session_bytes;
	r = plain_feed(&plain, bytes->data.data, bytes->data.len, &text);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{sI so}", "task", (json_int_t)read.task, "screen",
			json_of_bytes(text.data, text.len)));
	fputs(buf_text(&text), stdout);
	if (values->ansi)
		fputs("\033[m", stdout);
	if (text.len && text.data[text.len - 1] != '\n')
		putchar('\n');
	return 0;
}

const struct command command_screen = {
	.name = "screen",
	.group = GROUP_SESSIONS,
	.brief = "print a session's screen once",
	.table = { "maestro screen", "TASK [--ansi]", "Prints what is on the session's screen now.", specs,
		ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
