#include "worker/agents/status.h"
#include "proto/wire/message.h"

#include <string.h>

void status_init(struct status *status)
{
	*status = (struct status){ .current = { .progress = STATUS_NO_PROGRESS } };
}

static void report_deinit(struct status_report *report)
{
	free(take(report->message));
	free(take(report->file));
}

void status_deinit(struct status *status)
{
	report_deinit(&status->current);
	status_init(status);
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

#define LIMIT_SAME_MS 60000u /* the same end, read twice: its minute is all that a screen tells */

static bool limits_equal(const struct status_report *a, const struct status_report *b)
{
	uint64_t x = a->time_ms + a->limited_ms, y = b->time_ms + b->limited_ms;

	return a->limited_ms && b->limited_ms ? (x > y ? x - y : y - x) < LIMIT_SAME_MS : a->limited_ms == b->limited_ms;
}

static bool reports_equal(const struct status_report *a, const struct status_report *b)
{
	return a->state == b->state && a->source == b->source && a->progress == b->progress &&
		limits_equal(a, b) && texts_equal(a->message, b->message) && texts_equal(a->file, b->file);
}

/* What waits for a person or is over: not for a process to take back by printing a line. */
static bool is_word(const struct status_report *report)
{
	switch (report->state) {
	case MAESTRO__AGENT_STATE__AGENT_COMPLETE:
	case MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT:
	case MAESTRO__AGENT_STATE__AGENT_ERROR:
	case MAESTRO__AGENT_STATE__AGENT_LIMITED:
		return report->source >= MAESTRO__STATUS_SOURCE__SOURCE_HOOK;
	default:
		return false;
	}
}

/* The sources' numbers are their strength: process 1, screen 2, hook 3, mcp 4. */
static bool may_replace(const struct status_report *current, const struct status_report *report)
{
	if (report->time_ms < current->time_ms)
		return false;
	if (report->source >= current->source)
		return true;
	if (report->source == MAESTRO__STATUS_SOURCE__SOURCE_PROCESS && is_word(current))
		return false;
	return report->time_ms - current->time_ms > STATUS_HOLD_MS;
}

static int copy_report(const struct status_report *from, struct status_report *ret_to)
{
	struct status_report to = *from;

	to.message = from->message ? strdup(from->message) : NULL;
	to.file = from->file ? strdup(from->file) : NULL;
	if ((from->message && !to.message) || (from->file && !to.file)) {
		report_deinit(&to);
		return -ENOMEM;
	}
	*ret_to = to;
	return 0;
}

int status_take(struct status *status, const struct status_report *report, bool *ret_changed)
{
	struct status_report copy;
	bool changed;
	int r;

	if (status->known && !may_replace(&status->current, report)) {
		if (ret_changed)
			*ret_changed = false;
		return 0;
	}
	r = copy_report(report, &copy);
	if (r)
		return r;
	changed = !status->known || !reports_equal(&status->current, report);
	report_deinit(&status->current);
	status->current = copy;
	status->known = true;
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}

int status_take_message(struct status *status, const Maestro__AgentStatus *message, uint64_t now_ms, bool *ret_changed)
{
	_cleanup_free_ char *text = message->has_message ? bytes_dup(&message->message) : NULL;
	_cleanup_free_ char *file = message->has_file ? bytes_dup(&message->file) : NULL;
	struct status_report report = {
		.state = message->state,
		.source = message->has_source ? message->source : MAESTRO__STATUS_SOURCE__SOURCE_PROCESS,
		.message = text,
		.file = file,
		.progress = message->has_progress ? message->progress : STATUS_NO_PROGRESS,
		.limited_ms = message->has_limited_ms ? message->limited_ms : 0,
		.time_ms = message->age_ms < now_ms ? now_ms - message->age_ms : 0,
	};

	if ((message->has_message && !text) || (message->has_file && !file))
		return -ENOMEM;
	return status_take(status, &report, ret_changed);
}

bool status_message(const struct status *status, uint64_t now_ms, Maestro__AgentStatus *ret_message)
{
	const struct status_report *report = &status->current;
	Maestro__AgentStatus message = MAESTRO__AGENT_STATUS__INIT;

	if (!status->known)
		return false;
	message.state = report->state;
	message.has_message = report->message != NULL;
	message.message = bytes_of(report->message);
	message.has_file = report->file != NULL;
	message.file = bytes_of(report->file);
	message.has_progress = report->progress != STATUS_NO_PROGRESS;
	message.progress = message.has_progress ? report->progress : 0;
	message.has_limited_ms = report->limited_ms != 0;
	message.limited_ms = report->limited_ms;
	message.has_source = message.has_age_ms = true;
	message.source = report->source;
	message.age_ms = now_ms > report->time_ms ? now_ms - report->time_ms : 0;
	*ret_message = message;
	return true;
}
