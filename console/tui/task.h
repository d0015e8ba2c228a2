/* What a task is called and how it stands, as every view shows it. */
#pragma once

#include "console/tui/ui.h"

#define TASK_TEXT_MAX 320

/* Its title; else what is known instead. Foreign text. `text` holds TASK_TEXT_MAX. Returns text. */
const char *task_title(const Maestro__Task *task, char text[TASK_TEXT_MAX]);
/* A bytes field as a string, cut to TASK_TEXT_MAX. Returns text. */
const char *task_bytes(const ProtobufCBinaryData *data, char text[TASK_TEXT_MAX]);
static inline Maestro__TaskState task_state(const Maestro__Task *task)
{
	return task->has_state ? task->state : MAESTRO__TASK_STATE__TASK_QUEUED;
}
/* The agent of a task that runs or is in review waits for a person. */
bool task_waits(const Maestro__Task *task);
bool task_has_screen(const Maestro__Task *task);
bool task_session_live(const Maestro__Task *task);
/* A stream of it was closed at closed_ms, but its session lives: worth another try, once a second at most. */
bool task_closed_too_early(const struct ui *ui, const Maestro__Task *task, int64_t closed_ms);
/* Since it was made, or how long it took. "" if not known. */
const char *task_age(const struct ui *ui, const Maestro__Task *task, char age[16]);
bool task_matches(const struct filter *filter, const Maestro__Task *task);
/* The agent's state, or the task's where it says more: a sign, a word, a role. */
struct theme_state task_shown_state(const struct theme *theme, const Maestro__Task *task);

struct task_counts {
	unsigned int queued, running, waiting, review, failed;
};
struct task_counts task_count(const struct model *model);
