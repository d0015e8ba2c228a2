#include "worker/agents/command.h"
#include "worker/agents/call.h"
#include "worker/agents/mcp.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/option.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <stdio.h>
#include <string.h>

#define HOOK_BYTES_MAX (48u * 1024) /* of a message of 64 KiB */

int command_fail(const char *what, const struct error *error, int code)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	const char *why = error_text(error, code);

	(void)str_escape(&text, why, strlen(why));
	fprintf(stderr, "maestro-agent: %s%s%s\n", what, *what ? ": " : "", buf_text(&text));
	if (error && error->hint)
		fprintf(stderr, "  %s\n", error->hint);
	return 1;
}

/* Shared by `status` and the tool of `mcp`. */
static int report(void *userdata, const struct mcp_report *said, struct error *error)
{
	Maestro__AgentCall call = MAESTRO__AGENT_CALL__INIT;
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;

	status.state = said->state;
	status.has_message = said->message != NULL;
	status.message = bytes_of(said->message);
	status.has_file = said->file != NULL;
	status.file = bytes_of(said->file);
	status.has_progress = said->has_progress;
	status.progress = said->progress;
	status.has_limited_ms = said->limited_ms != 0;
	status.limited_ms = said->limited_ms;
	call.call_case = MAESTRO__AGENT_CALL__CALL_STATUS;
	call.status = &status;
	return call_worker(&call, error);
}

/* --- status --------------------------------------------------------------------------------------------------- */

struct status_values {
	char *message, *file;
	char *progress, *until;
};

static const struct option_spec status_specs[] = {
	{ .name = "message", .short_name = 'm', .type = OPTION_STRING, .offset = offsetof(struct status_values, message),
		.arg = "TEXT", .help = "one sentence: what is done, or what is asked" },
	{ .name = "file", .short_name = 'f', .type = OPTION_STRING, .offset = offsetof(struct status_values, file),
		.arg = "FILE", .help = "the file at hand" },
	{ .name = "progress", .short_name = 'p', .type = OPTION_STRING, .offset = offsetof(struct status_values, progress),
		.arg = "PERCENT", .help = "0 to 100" },
	{ .name = "until", .short_name = 'u', .type = OPTION_STRING, .offset = offsetof(struct status_values, until),
		.arg = "TIME", .help = "with limited: when the limit ends (2026-11-22T15:00:00Z, 15:00, 3pm, '2h 30m')" },
};

static const struct option_table status_table = {
	.program = "maestro-agent status",
	.usage = "STATE [OPTION]...",
	.summary = "Tells the person who watches this session what it does. STATE is one of idle, working, needs_input, "
		   "complete, error, limited.",
	.specs = status_specs,
	.count = ARRAY_SIZE(status_specs),
};

static int fill_report(const struct status_values *values, const char *state, struct mcp_report *ret_report,
	struct error *error)
{
	struct mcp_report said = { .message = values->message, .file = values->file };
	uint64_t progress;
	int r;

	r = name_parse_agent_state(state, &said.state, error);
	if (r)
		return r;
	if (values->progress) {
		if (str_parse_u64(values->progress, 0, 100, &progress))
			return error_set(error, -EINVAL, "--progress %s: it is a percentage, 0 to 100", values->progress);
		said.has_progress = true;
		said.progress = (uint32_t)progress;
	}
	r = values->until ? mcp_take_until(values->until, &said, error) : 0;
	if (r)
		return r;
	*ret_report = said;
	return 0;
}

static int send_status(const struct status_values *values, int count, char **operands)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct mcp_report said;
	int r;

	if (count != 1) {
		fprintf(stderr, "maestro-agent: status: %s\n  maestro-agent status --help\n",
			count ? "one STATE at a time" : "STATE is missing");
		return 2;
	}
	r = fill_report(values, operands[0], &said, &error);
	if (r) {
		(void)command_fail("status", &error, r);
		return 2;
	}
	r = report(NULL, &said, &error);
	return r ? command_fail("status", &error, r) : 0;
}

int command_status(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct status_values values = { 0 };
	char **operands;
	int r, count;

	r = option_set_defaults(&status_table, &values);
	if (!r)
		r = option_parse(&status_table, &values, argc, argv, false, &operands, &count, &error);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		r = 0;
	else if (r)
		r = command_fail("status", &error, r) && r == OPTION_E_USAGE ? 2 : 1;
	else
		r = send_status(&values, count, operands);
	option_values_deinit(&status_table, &values);
	return r;
}

/* --- mcp ------------------------------------------------------------------------------------------------------ */

static bool is_blank(const char *line, size_t len)
{
	return strspn(line, " \t\r\n") >= len;
}

/* One object a line, nothing else on standard output. */
static int answer_line(struct mcp *mcp, const char *line, size_t len)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r;

	if (is_blank(line, len))
		return 0;
	r = mcp_handle(mcp, line, len, &out);
	if (!r && out.len)
		r = buf_append_byte(&out, '\n');
	if (!r && out.len)
		r = io_write_all(1, out.data, out.len);
	return r;
}

/* Handles the whole lines that are in, keeps the rest. A line that is too long is answered once and skipped. */
static int take_lines(struct mcp *mcp, struct buf *in, bool *skipping)
{
	uint8_t *end;
	int r = 0;

	while (!r && in->len && (end = memchr(in->data, '\n', in->len))) {
		size_t len = (size_t)(end - in->data);

		if (!*skipping)
			r = answer_line(mcp, (const char *)in->data, len);
		*skipping = false;
		buf_consume(in, len + 1);
	}
	if (!r && in->len > MCP_LINE_BYTES_MAX) {
		if (!*skipping)
			r = answer_line(mcp, "too long", 8);
		*skipping = true;
		buf_clear(in);
	}
	return r;
}

int command_mcp(int argc, char **argv)
{
	struct mcp mcp = { .report = report };
	_cleanup_(buf_deinit) struct buf in = BUF_NULL;
	bool skipping = false;
	char data[65536];
	int r = 0;

	if (argc > 1) {
		fprintf(stderr, "maestro-agent: mcp: takes no arguments\n");
		return 2;
	}
	while (!r) {
		ssize_t n = read(0, data, sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		r = buf_append(&in, data, (size_t)n);
		if (!r)
			r = take_lines(&mcp, &in, &skipping);
	}
	if (!r && in.len && !skipping) /* a last line without its end */
		r = answer_line(&mcp, (const char *)in.data, in.len);
	return r && r != -EPIPE ? command_fail("mcp", NULL, r) : 0;
}

/* --- hook ----------------------------------------------------------------------------------------------------- */

/* A hook's input may quote whole files; what is above the limit is of no use here, so only the name is sent then. */
static int read_input(struct buf *json)
{
	char data[8192];

	for (;;) {
		ssize_t n = read(0, data, sizeof(data));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if (json->len > HOOK_BYTES_MAX)
			continue; /* to the end, so that whoever writes is not stopped */
		r = buf_append(json, data, (size_t)n);
		if (r)
			return r;
	}
}

int command_hook(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(buf_deinit) struct buf json = BUF_NULL;
	Maestro__AgentCall call = MAESTRO__AGENT_CALL__INIT;
	Maestro__AgentHook hook = MAESTRO__AGENT_HOOK__INIT;
	int r;

	if (argc != 2 || argv[1][0] == '-' || !argv[1][0]) {
		fprintf(stderr, "maestro-agent: hook: usage: maestro-agent hook EVENT, its JSON on standard input\n");
		return 2;
	}
	r = isatty(0) ? 0 : read_input(&json);
	if (r)
		return command_fail("hook", NULL, r);
	hook.event = bytes_of(argv[1]);
	hook.has_json = json.len && json.len <= HOOK_BYTES_MAX;
	if (hook.has_json)
		hook.json = (ProtobufCBinaryData){ json.len, json.data };
	call.call_case = MAESTRO__AGENT_CALL__CALL_HOOK;
	call.hook = &hook;
	r = call_worker(&call, &error);
	return r ? command_fail("hook", &error, r) : 0;
}
