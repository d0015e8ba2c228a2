#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
	struct cli_common common;
};

static const struct option_spec specs[] = { CLI_COMMON_OPTIONS };

static void field_bytes(const struct cli *cli, const char *label, protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
	_cleanup_free_ char *text = has ? bytes_dup(data) : NULL;

	if (text)
		print_field(cli, label, text);
}

static void field_time(const struct cli *cli, const char *label, protobuf_c_boolean has, int64_t wall_ms)
{
	char time[CLOCK_RFC3339_MAX], age[CLOCK_AGE_MAX], text[CLOCK_RFC3339_MAX + CLOCK_AGE_MAX + 16];

	if (!has || wall_ms <= 0)
		return;
	snprintf(text, sizeof(text), "%s (%s ago)", clock_format_rfc3339(wall_ms, time), print_age(has, wall_ms, age));
	print_field(cli, label, text);
}

static void field_format(const struct cli *cli, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void field_format(const struct cli *cli, const char *label, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	print_field(cli, label, text);
}

static void print_status(const struct cli *cli, const Maestro__AgentStatus *status)
{
	char age[CLOCK_AGE_MAX], time[CLOCK_RFC3339_MAX];

	if (!status)
		return;
	field_format(cli, "agent says", "%s%s%s, %s ago", name_agent_state(status->state),
		status->has_source ? ", by " : "", status->has_source ? name_source(status->source) : "",
		clock_format_age(status->has_age_ms ? status->age_ms : 0, age));
	field_bytes(cli, "", status->has_message, &status->message);
	field_bytes(cli, "file", status->has_file, &status->file);
	if (status->has_limited_ms)
		field_format(cli, "limited", "until %s", clock_format_rfc3339(json_limited_until(status, 0), time));
	if (status->has_progress)
		field_format(cli, "progress", "%u%%", status->progress);
}

static void print_labels(const struct cli *cli, Maestro__Label *const *labels, size_t count)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s%s=%s", i ? " " : "", labels[i]->key, labels[i]->value);
	print_field(cli, "labels", buf_text(&text));
}

static void print_after(const struct cli *cli, const Maestro__Task *task)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < task->n_after; i++)
		buf_printf(&text, "%s%" PRIu64, i ? " " : "", task->after[i]);
	print_field(cli, "after", buf_text(&text));
}

static void print_attempts(const struct cli *cli, const Maestro__Task *task)
{
	static const struct table_column columns[] = {
		{ .title = "ATTEMPT", .right = true }, { .title = "STATE" }, { .title = "WORKER" },
		{ .title = "EXIT", .right = true }, { .title = "STARTED" }, { .title = "REASON", .flexible = true },
	};
	_cleanup_(table_deinit) struct table table = TABLE_NULL(columns);
	char age[CLOCK_AGE_MAX];

	for (size_t i = 0; i < task->n_attempts; i++) {
		const Maestro__Attempt *attempt = task->attempts[i];

		table_add_number(&table, COLOUR_NONE, true, attempt->attempt);
		table_add(&table, colour_of_task(attempt->state), attempt->has_state ? name_task_state(attempt->state) : NULL);
		table_add(&table, COLOUR_NONE, attempt->worker);
		table_add_number(&table, COLOUR_NONE, attempt->has_exit_code, (uint64_t)(uint32_t)attempt->exit_code);
		table_add(&table, COLOUR_NONE, print_age(attempt->has_started_ms, attempt->started_ms, age));
		table_add_bytes(&table, COLOUR_NONE, attempt->has_reason, &attempt->reason);
	}
	if (task->n_attempts > 1) {
		putchar('\n');
		table_print(&table, cli, stdout);
	}
}

/* What the person may want to do now. */
static void print_next(const Maestro__Task *task)
{
	switch (task->state) {
	case MAESTRO__TASK_STATE__TASK_REVIEW:
		printf("\nLook at it: maestro diff %" PRIu64 "   Take it: maestro merge %" PRIu64
		       "   Leave it: maestro reject %" PRIu64 "\n", task->id, task->id, task->id);
		break;
	case MAESTRO__TASK_STATE__TASK_FAILED:
		if (task->has_reason && task->reason.len > 5 && memcmp(task->reason.data, "push:", 5) == 0)
			printf("\nOnly the push again: maestro retry --push %" PRIu64, task->id);
		/* fall through */
	case MAESTRO__TASK_STATE__TASK_LOST:
	case MAESTRO__TASK_STATE__TASK_CANCELLED:
		printf("\nWhat it printed: maestro logs %" PRIu64 "   Once more: maestro retry %" PRIu64 "\n", task->id,
			task->id);
		break;
	default:
		break;
	}
}

static void print_prompt(const struct cli *cli, const Maestro__Task *task)
{
	_cleanup_(buf_deinit) struct buf first = BUF_NULL;
	const char *text = (const char *)task->prompt.data;
	size_t len = task->has_prompt ? task->prompt.len : 0;

	buf_append(&first, text, len < 400 ? len : 400);
	if (len > 400)
		buf_printf(&first, "… (%zu bytes)", len);
	print_field(cli, "prompt", buf_text(&first));
}

static void print_task(const struct cli *cli, const Maestro__Task *task)
{
	_cleanup_free_ char *title = print_clean_bytes(task->has_title, &task->title);

	printf("%sTask %" PRIu64 "%s  %s\n", colour_begin(cli->colours, COLOUR_BOLD), task->id,
		colour_end(cli->colours, COLOUR_BOLD), title ? title : "");
	printf("%s%-12s%s %s%s%s\n", colour_begin(cli->colours, COLOUR_FAINT), "state",
		colour_end(cli->colours, COLOUR_FAINT), colour_begin(cli->colours, colour_of_task(task->state)),
		name_task_state(task->state), colour_end(cli->colours, colour_of_task(task->state)));
	field_bytes(cli, "reason", task->has_reason, &task->reason);
	field_bytes(cli, "waits for", task->has_waiting_for, &task->waiting_for);
	print_field(cli, "project", task->project);
	print_field(cli, "agent", task->agent);
	print_status(cli, task->status);
	print_field(cli, "worker", task->worker);
	field_format(cli, "attempt", "%u (session: %s)", task->attempt,
		name_session(task->has_session ? task->session : MAESTRO__SESSION_STATE__SESSION_NONE));
	if (task->has_exit_code)
		field_format(cli, "exit code", "%d", task->exit_code);
	print_field(cli, "branch", task->branch);
	print_field(cli, "base", task->base_branch);
	print_field(cli, "commit", task->commit);
	if (task->has_priority && task->priority)
		field_format(cli, "priority", "%d", task->priority);
	print_labels(cli, task->labels, task->n_labels);
	print_after(cli, task);
	field_time(cli, "created", task->has_created_ms, task->created_ms);
	field_time(cli, "started", task->has_started_ms, task->started_ms);
	field_time(cli, "ended", task->has_ended_ms, task->ended_ms);
	print_prompt(cli, task);
	print_attempts(cli, task);
	if (cli->terminal)
		print_next(task);
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	const Maestro__Task *task;
	uint64_t id;
	int r;

	r = cli_parse_task(operands[0], &id, error);
	if (!r)
		r = cli_get_task(cli, id, &reply, &task, error);
	if (r)
		return r;
	if (cli->json)
		return cli_print_json(json_of_task(task, 0));
	print_task(cli, task);
	return 0;
}

const struct command command_show = {
	.name = "show",
	.group = GROUP_TASKS,
	.brief = "show one task with all its attempts",
	.table = { "maestro show", "TASK", "Shows one task with all its attempts.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
