#include "console/tui/task.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

const char *task_bytes(const ProtobufCBinaryData *data, char text[TASK_TEXT_MAX])
{
	size_t len = data->len < TASK_TEXT_MAX - 1 ? data->len : TASK_TEXT_MAX - 1;

	if (len)
		memcpy(text, data->data, len);
	text[len] = 0;
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	return text;
}

const char *task_title(const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	const char *dash = task->branch ? strchr(task->branch, '-') : NULL;

	if (task->has_title && task->title.len)
		return task_bytes(&task->title, text);
	if (task->has_prompt && task->prompt.len)
		return task_bytes(&task->prompt, text);
	snprintf(text, TASK_TEXT_MAX, "%s", dash ? dash + 1 : "(no title)");
	return text;
}

bool task_waits(const Maestro__Task *task)
{
	/* What was said last stays with a task; a session that is over waits for nobody. */
	return task_has_screen(task) && !task_state_over(task_state(task)) && task->status &&
	       task->status->state == MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT;
}

bool task_session_live(const Maestro__Task *task)
{
	return task->has_session && task->session == MAESTRO__SESSION_STATE__SESSION_LIVE;
}

bool task_has_screen(const Maestro__Task *task)
{
	switch (task_state(task)) {
	case MAESTRO__TASK_STATE__TASK_STARTING:
	case MAESTRO__TASK_STATE__TASK_RUNNING:
		return true;
	default:
		return task_session_live(task);
	}
}

bool task_closed_too_early(const struct ui *ui, const Maestro__Task *task, int64_t closed_ms)
{
	return task_session_live(task) && ui->config.clock->wall_ms() - closed_ms >= 1000;
}

const char *task_age(const struct ui *ui, const Maestro__Task *task, char age[16])
{
	int64_t from = task->has_created_ms ? task->created_ms : 0, to = ui->config.clock->wall_ms();

	if (task->has_ended_ms && task->ended_ms)
		from = task->ended_ms;
	age[0] = 0;
	if (from > 0)
		clock_format_age(to > from ? (uint64_t)(to - from) : 0, age);
	return age;
}

bool task_matches(const struct filter *filter, const Maestro__Task *task)
{
	char title[TASK_TEXT_MAX], text[TASK_TEXT_MAX * 2];

	if (!filter_on(filter))
		return true;
	snprintf(text, sizeof(text), "%" PRIu64 " %s %s %s %s %s %s %s", task->id, task_title(task, title),
		str_or(task->project, ""), str_or(task->agent, ""), str_or(task->worker, ""), str_or(task->branch, ""),
		name_task_state(task_state(task)), task->status ? name_agent_state(task->status->state) : "");
	return filter_match(filter, text);
}

struct theme_state task_shown_state(const struct theme *theme, const Maestro__Task *task)
{
	Maestro__TaskState state = task_state(task);

	if (task->status && (state == MAESTRO__TASK_STATE__TASK_RUNNING || task_waits(task)))
		return theme_agent_state(theme, task->status->state);
	return theme_task_state(theme, state);
}

struct task_counts task_count(const struct model *model)
{
	struct task_counts counts = { 0 };

	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *task = model_task_at(model, i);
		Maestro__TaskState state = task_state(task);

		counts.queued += state == MAESTRO__TASK_STATE__TASK_QUEUED;
		counts.running += state == MAESTRO__TASK_STATE__TASK_RUNNING || state == MAESTRO__TASK_STATE__TASK_STARTING;
		counts.review += state == MAESTRO__TASK_STATE__TASK_REVIEW;
		counts.failed += state == MAESTRO__TASK_STATE__TASK_FAILED || state == MAESTRO__TASK_STATE__TASK_LOST;
		counts.waiting += task_waits(task);
	}
	return counts;
}
