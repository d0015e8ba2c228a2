#include "console/cli/command.h"
#include "proto/wire/plain.h"
#include "proto/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define PIECE_BYTES (256u * 1024)
/* Between two looks at a session that printed nothing new: short at first, longer while it stays quiet. */
#define PATIENCE_MS 60000u /* for a coordinator or a worker that is being restarted */
#define LOOK_MIN_MS 100u
#define LOOK_MAX_MS 1000u

struct values {
	struct cli_common common;
	bool follow, raw;
	uint64_t attempt, since_ms;
};

static const struct option_spec specs[] = {
	{ .name = "follow", .short_name = 'f', .type = OPTION_FLAG, .offset = offsetof(struct values, follow),
		.help = "go on until the session ends" },
	{ .name = "since", .type = OPTION_DURATION, .offset = offsetof(struct values, since_ms), .arg = "TIME",
		.max = 1000ull * 365 * 24 * 3600 * 1000, .help = "only what was printed in the last TIME" },
	{ .name = "attempt", .type = OPTION_NUMBER, .offset = offsetof(struct values, attempt), .arg = "N", .max = UINT32_MAX,
		.help = "of this attempt; else of the newest" },
	{ .name = "raw", .type = OPTION_FLAG, .offset = offsetof(struct values, raw),
		.help = "the true bytes, escape sequences too; not to a terminal" },
	CLI_COMMON_OPTIONS,
};

struct logs {
	struct cli *cli;
	const struct values *values;
	uint64_t task, offset;
	int64_t since_ms; /* for the first question; 0: from the beginning */
	struct plain plain;
};

static int say_cut_off(const struct logs *logs)
{
	if (logs->cli->json)
		return cli_print_line(json_pack("{sI sb}", "offset", (json_int_t)logs->offset, "cut_off", 1));
	fflush(stdout);
	fprintf(stderr, "maestro: logs: the end of the recording is missing\n");
	return 0;
}

static int print_piece(struct logs *logs, const Maestro__SessionBytes *bytes)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	int r;

	if (!bytes->data.len)
		return 0;
	if (logs->values->raw)
		r = buf_append(&text, bytes->data.data, bytes->data.len);
	else
		r = plain_feed(&logs->plain, bytes->data.data, bytes->data.len, &text);
	if (r)
		return r;
	if (logs->cli->json)
		return cli_print_line(json_pack("{sI so}", "offset", (json_int_t)bytes->offset, "text",
			json_of_bytes(text.data, text.len)));
	return text.len && fwrite(text.data, 1, text.len, stdout) != text.len ? -EIO : fflush(stdout) ? -EIO : 0;
}

/* On stderr, for what is on stdout is the session's own. A sequence that the gap cut off does not go on behind it. */
static int print_gap(struct logs *logs, uint64_t bytes)
{
	logs->plain = (struct plain){ .keep_colours = logs->plain.keep_colours };
	if (logs->cli->json)
		return cli_print_line(json_pack("{sI sI}", "offset", (json_int_t)logs->offset, "missing", (json_int_t)bytes));
	fprintf(stderr, "maestro: %" PRIu64 " bytes of output are missing here: the disk or the transcript was full, or it was "
		"damaged\n", bytes);
	return 0;
}

/* One piece. *ret_more: there is more now; *ret_ended: and there will be none. */
static int read_piece(struct logs *logs, bool *ret_more, bool *ret_ended, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	const Maestro__SessionBytes *bytes;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	int r;

	read.task = logs->task;
	read.kind = MAESTRO__READ_KIND__READ_OUTPUT;
	read.has_offset = true;
	read.offset = logs->offset;
	read.has_max_bytes = true;
	read.max_bytes = PIECE_BYTES;
	read.has_attempt = logs->values->attempt != 0;
	read.attempt = (uint32_t)logs->values->attempt;
	read.has_since_ms = logs->since_ms != 0;
	read.since_ms = logs->since_ms;
	request.body_case = MAESTRO__ENVELOPE__BODY_READ_TASK;
	request.read_task = &read;
	r = client_call_repeatable(logs->cli->client, &request, MAESTRO__ENVELOPE__BODY_SESSION_BYTES,
		logs->values->follow ? PATIENCE_MS : CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	bytes = client_reply_of(&reply)->session_bytes;
	if (!logs->since_ms && bytes->has_offset && bytes->offset > logs->offset)
		r = print_gap(logs, bytes->offset - logs->offset); /* declared: what is told begins later than what was asked for */
	logs->since_ms = 0;
	if (!r)
		r = print_piece(logs, bytes);
	logs->offset = (bytes->has_offset ? bytes->offset : logs->offset) + bytes->data.len;
	*ret_more = bytes->data.len && bytes->has_end && logs->offset < bytes->end;
	*ret_ended = bytes->ended && !*ret_more;
	return r || !*ret_ended || !bytes->cut_off ? r : say_cut_off(logs);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	*(bool *)userdata = true;
	return 0;
}

/* The protocol has no "tell me when there is more": looks again after a while. */
static int pause_ms(struct cli *cli, uint32_t ms)
{
	sd_event_source *timer = NULL;
	bool due = false;
	int r;

	r = sd_event_add_time_relative(cli->event, &timer, CLOCK_BOOTTIME, (uint64_t)ms * 1000, 1000, on_look, &due);
	while (r >= 0 && !due)
		r = sd_event_run(cli->event, UINT64_MAX);
	sd_event_source_disable_unref(timer);
	return r < 0 ? r : 0;
}

/* While one follows, a coordinator or a worker that is away for a moment is waited for. */
static int read_patiently(struct logs *logs, bool *ret_more, bool *ret_ended, struct error *error)
{
	uint64_t began_ms = clock_boottime_ms();
	int r;

	for (;;) {
		r = read_piece(logs, ret_more, ret_ended, error);
		if (r != CLIENT_E_FAILED || !logs->values->follow || !logs->offset ||
			clock_boottime_ms() - began_ms > PATIENCE_MS)
			return r;
		error_deinit(error);
		r = pause_ms(logs->cli, LOOK_MAX_MS);
		if (r)
			return r;
	}
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct logs logs = { .cli = cli, .values = values, .plain = PLAIN_NULL };
	uint32_t wait_ms = LOOK_MIN_MS;
	int r;

	if (values->since_ms)
		logs.since_ms = clock_wall_ms() - (int64_t)values->since_ms;
	if (values->raw && cli->terminal)
		return error_set(error, CLIENT_E_USAGE, "logs: --raw would let the session act on your terminal; "
			"write it to a file, or use 'maestro attach'");
	r = cli_parse_task(operands[0], &logs.task, error);
	if (!r)
		r = cli_connect(cli, error);
	while (!r) {
		uint64_t before = logs.offset;
		bool more = false, ended = false;

		r = read_patiently(&logs, &more, &ended, error);
		if (r || ended || (!more && !values->follow))
			break;
		wait_ms = logs.offset != before ? LOOK_MIN_MS : wait_ms * 2 < LOOK_MAX_MS ? wait_ms * 2 : LOOK_MAX_MS;
		if (!more)
			r = pause_ms(cli, wait_ms);
	}
	return r;
}

const struct command command_logs = {
	.name = "logs",
	.group = GROUP_SESSIONS,
	.brief = "print what a session printed",
	.table = { "maestro logs", "TASK [-f] [--since TIME] [--attempt N]",
		"Prints all that the session has printed, as plain text. With --json: a line for each piece. Output\n"
		"that was not recorded is told on stderr (--json: missing), and so is an end that was lost (--json: cut_off).",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
