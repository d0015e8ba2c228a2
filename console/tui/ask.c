/* What views ask the whole for: overlays, other tabs, and acts that the person has to confirm. */
#include "console/tui/actions.h"
#include "console/tui/task.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

void ui_open_screen(struct ui *ui, uint64_t task, bool typing)
{
	struct view *view;

	if (typing && !ui_may_act(ui))
		return;
	if (view_screen_new(&view, ui, task, typing) == 0)
		ui_push(ui, view);
}

void ui_open_review(struct ui *ui, uint64_t task)
{
	ui_show_tab(ui, UI_REVIEW);
	view_review_select(ui->tabs[UI_REVIEW], task);
}

void ui_open_task(struct ui *ui, uint64_t task)
{
	if (!model_task(ui->model, task)) {
		ui_message(ui, THEME_BAD, "task %" PRIu64 " is not there any more", task);
		return;
	}
	ui_show_tab(ui, UI_TASKS);
	view_tasks_select(ui->tabs[UI_TASKS], task);
}

void ui_new_task(struct ui *ui)
{
	struct view *view;

	if (ui_may_act(ui) && view_form_new(&view, ui) == 0)
		ui_push(ui, view);
}

void ui_filter(struct ui *ui, struct filter *filter)
{
	struct view *view;

	if (view_filter_new(&view, ui, filter) == 0)
		ui_push(ui, view);
}

static void confirm(struct ui *ui, const char *question, confirm_yes yes, uint64_t task, const char *commit)
{
	struct view *view;

	if (view_confirm_new(&view, ui, question, yes, task, commit) == 0)
		ui_push(ui, view);
}

static void stop_now(struct ui *ui, uint64_t task, const char *commit)
{
	char done[64];

	snprintf(done, sizeof(done), "task %" PRIu64 " is being stopped", task);
	action_on_task(ui, task, MAESTRO__TASK_ACTION__ACT_STOP, done);
}

static void retry_now(struct ui *ui, uint64_t task, const char *commit)
{
	char done[64];

	snprintf(done, sizeof(done), "task %" PRIu64 " is queued again", task);
	action_on_task(ui, task, MAESTRO__TASK_ACTION__ACT_RETRY, done);
}

static void reject_now(struct ui *ui, uint64_t task, const char *commit)
{
	char done[64];

	snprintf(done, sizeof(done), "task %" PRIu64 " is rejected; its branch stays", task);
	action_on_task(ui, task, MAESTRO__TASK_ACTION__ACT_REJECT, done);
}

static const char *title_of(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	size_t len;

	task_title(task, text);
	len = strlen(text);
	if (len > 60) {
		for (len = 60; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
		text[len] = 0;
	}
	return text;
}

void ui_ask_stop(struct ui *ui, uint64_t id)
{
	const Maestro__Task *task = model_task(ui->model, id);
	char question[TASK_TEXT_MAX * 2], title[TASK_TEXT_MAX];

	if (!task || !ui_may_act(ui))
		return;
	if (task_state_over(task_state(task))) {
		ui_message(ui, THEME_BAD, "task %" PRIu64 " is %s already", id, name_task_state(task_state(task)));
		return;
	}
	snprintf(question, sizeof(question), task_state(task) == MAESTRO__TASK_STATE__TASK_REVIEW ?
		"End the session of task %" PRIu64 " (%s)?\nIt stays in review." :
		"Stop task %" PRIu64 " (%s)?\nIts work is kept as a checkpoint.", id, title_of(ui, task, title));
	confirm(ui, question, stop_now, id, NULL);
}

void ui_ask_retry(struct ui *ui, uint64_t id)
{
	const Maestro__Task *task = model_task(ui->model, id);
	Maestro__TaskState state = task ? task_state(task) : MAESTRO__TASK_STATE__TASK_DONE;
	char question[TASK_TEXT_MAX * 2], title[TASK_TEXT_MAX];

	if (!task || !ui_may_act(ui))
		return;
	if (state != MAESTRO__TASK_STATE__TASK_FAILED && state != MAESTRO__TASK_STATE__TASK_LOST &&
		state != MAESTRO__TASK_STATE__TASK_CANCELLED && state != MAESTRO__TASK_STATE__TASK_REJECTED) {
		ui_message(ui, THEME_BAD, "task %" PRIu64 " is %s: only what failed, was lost, cancelled or rejected can be tried again",
			id, name_task_state(state));
		return;
	}
	snprintf(question, sizeof(question), "Try task %" PRIu64 " (%s) again?\nThe new attempt goes on from the last one's commits.",
		id, title_of(ui, task, title));
	confirm(ui, question, retry_now, id, NULL);
}

static bool in_review(struct ui *ui, uint64_t id, const Maestro__Task *task, const char *what)
{
	if (!task || !ui_may_act(ui))
		return false;
	if (task_state(task) == MAESTRO__TASK_STATE__TASK_REVIEW)
		return true;
	ui_message(ui, THEME_BAD, "task %" PRIu64 " is %s: only a task in review can be %s", id,
		name_task_state(task_state(task)), what);
	return false;
}

void ui_ask_reject(struct ui *ui, uint64_t id)
{
	const Maestro__Task *task = model_task(ui->model, id);
	char question[TASK_TEXT_MAX * 2], title[TASK_TEXT_MAX];

	if (!in_review(ui, id, task, "rejected"))
		return;
	snprintf(question, sizeof(question), "Reject task %" PRIu64 " (%s)?\nNothing is merged; its branch stays.", id,
		title_of(ui, task, title));
	confirm(ui, question, reject_now, id, NULL);
}

void ui_ask_merge(struct ui *ui, uint64_t id, const char *commit)
{
	const Maestro__Task *task = model_task(ui->model, id);
	char question[TASK_TEXT_MAX];

	if (!in_review(ui, id, task, "merged"))
		return;
	snprintf(question, sizeof(question), "Merge %.80s into %.80s (fast-forward only)?\nCommit %.12s.",
		task->branch ? task->branch : "its branch", task->base_branch ? task->base_branch : "its base",
		commit ? commit : task->commit ? task->commit : "?");
	confirm(ui, question, action_merge, id, commit ? commit : task->commit);
}
