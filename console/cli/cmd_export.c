#include "console/cli/cast.h"
#include "console/cli/command.h"
#include "proto/wire/plain.h"
#include "console/cli/print.h"
#include "console/cli/timed.h"

#include <stdio.h>

struct values {
	struct cli_common common;
	int format;
	uint64_t attempt;
};

static const char *const formats[] = { "asciicast-v2", "asciicast-v3", "text", NULL };
/* Of asciicast; 0: text. */
static const unsigned int versions[] = { 2, 3, 0 };

static const struct option_spec specs[] = {
	{ .name = "format", .short_name = 'f', .type = OPTION_CHOICE, .offset = offsetof(struct values, format), .arg = "FORMAT",
		.initial = "asciicast-v2", .choices = formats, .help = "asciicast-v2, asciicast-v3 or text" },
	{ .name = "attempt", .type = OPTION_NUMBER, .offset = offsetof(struct values, attempt), .arg = "N", .max = UINT32_MAX,
		.help = "of this attempt; else of the newest" },
	CLI_COMMON_OPTIONS,
};

struct export {
	struct cli *cli;
	unsigned int version; /* of asciicast, 0: text */
	struct cast cast;
	struct plain plain;
};

static int write_out(const struct buf *out)
{
	return out->len && fwrite(out->data, 1, out->len, stdout) != out->len ? -EIO : 0;
}

static int put_text(struct export *export, const struct timeline_item *item, struct buf *out)
{
	int r;

	if (item->kind == TIMELINE_GAP)
		return buf_append_str(out, "\n[output is missing here]\n");
	r = item->kind == TIMELINE_OUTPUT ? plain_feed(&export->plain, item->data, item->len, out) : 0;
	if (r || !export->cli->json || !out->len)
		return r;
	r = cli_print_line(json_pack("{sI so}", "time_ms", (json_int_t)item->wall_ms, "text", json_of_bytes(out->data, out->len)));
	buf_clear(out);
	return r;
}

static int on_item(void *userdata, const struct timeline_item *item)
{
	struct export *export = userdata;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r = export->version ? cast_put(&export->cast, item, &out) : put_text(export, item, &out);

	return r ? r : write_out(&out);
}

static int end_export(struct export *export, const Maestro__Task *task, const struct timed *timed)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r = 0;

	if (export->version)
		r = cast_end(&export->cast, timed->ended && task->has_exit_code ? task->exit_code : -1, &out);
	if (!r)
		r = write_out(&out);
	return r ? r : fflush(stdout) ? -EIO : 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct export export = { .cli = cli, .version = versions[values->format], .plain = PLAIN_NULL };
	struct timed timed = { .attempt = (uint32_t)values->attempt };
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	_cleanup_free_ char *title = NULL;
	const Maestro__Task *task;
	int r;

	r = cli_parse_task(operands[0], &timed.task, error);
	if (!r)
		r = cli_get_task(cli, timed.task, &reply, &task, error);
	if (r)
		return r;
	title = print_clean_bytes(task->has_title, &task->title);
	export.cast = CAST(export.version, title);
	r = timed_read(cli, &timed, on_item, &export, error);
	return r ? r : end_export(&export, task, &timed);
}

const struct command command_export = {
	.name = "export",
	.group = GROUP_SESSIONS,
	.brief = "write a session's recording to standard output",
	.table = { "maestro export", "TASK [--format FORMAT] [--attempt N]",
		"Writes what the session printed, with the times, as a file that asciinema plays:\n"
		"  maestro export 12 > 12.cast && asciinema play 12.cast\n"
		"Of a session that still runs: what there is until now.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
