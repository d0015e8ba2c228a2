#include "console/cli/command.h"
#include "proto/wire/plain.h"
#include "console/cli/player.h"
#include "console/cli/timed.h"

#include <inttypes.h>
#include <stdio.h>

struct values {
	struct cli_common common;
	bool ansi;
	uint64_t attempt;
};

static const struct option_spec specs[] = {
	{ .name = "ansi", .type = OPTION_FLAG, .offset = offsetof(struct values, ansi), .help = "with colours" },
	{ .name = "attempt", .type = OPTION_NUMBER, .offset = offsetof(struct values, attempt), .arg = "N", .max = UINT32_MAX,
		.help = "the last screen of this attempt, from its recording" },
	CLI_COMMON_OPTIONS,
};

static int on_item(void *userdata, const struct timeline_item *item)
{
	return player_add(userdata, item);
}

/* The last picture of a recording: its last keyframe, and the little that follows. */
static int last_screen(struct cli *cli, const struct values *values, uint64_t task, struct buf *out, struct error *error)
{
	struct timed timed = { .task = task, .attempt = (uint32_t)values->attempt, .seek = true, .since_ms = INT64_MAX };
	struct player player;
	int r;

	if (values->ansi)
		return error_set(error, CLIENT_E_USAGE, "screen: --ansi is for the live session; 'maestro replay %" PRIu64
			" --seek=-0s' shows the last screen with its colours", task);
	r = player_init(&player, 0);
	if (!r)
		r = timed_read(cli, &timed, on_item, &player, error);
	player_seek(&player, UINT64_MAX);
	if (!r)
		r = emulator_text(player.emulator, out);
	player_deinit(&player);
	return r;
}

static int live_screen(struct cli *cli, const struct values *values, uint64_t task, struct buf *out, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	struct plain plain = { .keep_colours = values->ansi };
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	const Maestro__SessionBytes *bytes;
	int r;

	read.task = task;
	read.kind = values->ansi ? MAESTRO__READ_KIND__READ_SCREEN_ANSI : MAESTRO__READ_KIND__READ_SCREEN_TEXT;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_READ_TASK, &read, MAESTRO__ENVELOPE__BODY_SESSION_BYTES,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	bytes = client_reply_of(&reply)->session_bytes;
	return plain_feed(&plain, bytes->data.data, bytes->data.len, out);
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	uint64_t task;
	int r;

	r = cli_parse_task(operands[0], &task, error);
	if (!r)
		r = values->attempt ? last_screen(cli, values, task, &text, error) : live_screen(cli, values, task, &text, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_pack("{sI so}", "task", (json_int_t)task, "screen",
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
	.table = { "maestro screen", "TASK [--ansi] [--attempt N]",
		"Prints what is on the session's screen now; with --attempt what was on it last, also when it has ended.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
