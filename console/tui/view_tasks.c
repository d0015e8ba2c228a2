/* Everything that was asked for: a table, and below or beside it the task at hand. */
#include "console/tui/task.h"
#include "console/tui/ui.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

struct tasks {
	struct view view;
	struct filter filter;
	struct scroll scroll;
	struct area rows;      /* where the table's lines are */
	uint64_t selected;
	uint64_t *ids;         /* what the filter lets through, newest first */
	size_t count;
	Maestro__Task *detail; /* in full, as it was asked for */
	uint64_t asked;        /* the task that was asked for last, 0: none */
	uint64_t request;      /* under way, 0: none */
};

static struct tasks *tasks_of(struct view *view)
{
	return container_of(view, struct tasks, view);
}

static void free_detail(struct tasks *tasks)
{
	if (tasks->detail)
		protobuf_c_message_free_unpacked(&tasks->detail->base, NULL);
	tasks->detail = NULL;
}

static void tasks_free(struct view *view)
{
	struct tasks *tasks = tasks_of(view);

	if (tasks->request)
		client_cancel(view->ui->client, tasks->request);
	free_detail(tasks);
	edit_deinit(&tasks->filter.edit);
	free(tasks->ids);
	free(tasks);
}

/* --- which ones ---------------------------------------------------------------------------------------------- */

static void gather(struct tasks *tasks)
{
	struct model *model = tasks->view.ui->model;
	uint64_t *ids = reallocarray(tasks->ids, model_task_count(model) + 1, sizeof(*ids));
	size_t at = tasks->scroll.selected;

	if (!ids)
		return;
	tasks->ids = ids;
	tasks->count = 0;
	for (size_t i = model_task_count(model); i > 0; i--) {
		const Maestro__Task *task = model_task_at(model, i - 1);

		if (!task_matches(&tasks->filter, task))
			continue;
		if (task->id == tasks->selected)
			at = tasks->count;
		ids[tasks->count++] = task->id;
	}
	tasks->scroll.selected = at;
	scroll_fit(&tasks->scroll, tasks->count, tasks->scroll.page);
	tasks->selected = tasks->count ? ids[tasks->scroll.selected] : 0;
}

void view_tasks_select(struct view *view, uint64_t task)
{
	struct tasks *tasks = tasks_of(view);

	edit_set(&tasks->filter.edit, "");
	tasks->selected = task;
	gather(tasks);
}

/* --- the task at hand, in full ------------------------------------------------------------------------------- */

static void on_detail(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct tasks *tasks = userdata;

	tasks->request = 0;
	if (r || reply->body_case != MAESTRO__ENVELOPE__BODY_TASK_LIST || !reply->task_list->n_tasks)
		return;
	free_detail(tasks);
	tasks->detail = message_copy(reply->task_list->tasks[0]);
	ui_redraw(tasks->view.ui);
}

/* The picture of all tasks has no prompts: those are asked for one at a time, when somebody looks. */
static void ask_detail(struct tasks *tasks)
{
	Maestro__ListTasks list = MAESTRO__LIST_TASKS__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;

	if (!tasks->selected || tasks->asked == tasks->selected || tasks->request || !client_connected(tasks->view.ui->client))
		return;
	list.n_tasks = 1;
	list.tasks = &tasks->selected;
	request.body_case = MAESTRO__ENVELOPE__BODY_LIST_TASKS;
	request.list_tasks = &list;
	if (client_request(tasks->view.ui->client, &request, CLIENT_DEADLINE_MS, on_detail, tasks, &tasks->request, NULL) == 0)
		tasks->asked = tasks->selected;
	else
		tasks->request = 0;
}

static void tasks_changed(struct view *view, unsigned int parts, uint64_t task)
{
	struct tasks *tasks = tasks_of(view);

	/* Attempts and waiting_for may be different now. */
	if ((parts & (MODEL_TASKS | MODEL_CONNECTION)) && (!task || task == tasks->asked))
		tasks->asked = 0;
}

/* --- table --------------------------------------------------------------------------------------------------- */

struct column {
	const char *name;
	int width;     /* 0: what is left */
	int from_cols; /* shown in windows at least this wide */
	const char *(*text)(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX]);
};

static const char *text_id(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	snprintf(text, TASK_TEXT_MAX, "%" PRIu64, task->id);
	return text;
}

static const char *text_state(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	struct theme_state state = theme_task_state(&ui->theme, task_state(task));

	snprintf(text, TASK_TEXT_MAX, "%s %s", state.sign, state.word);
	return text;
}

static const char *text_status(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	struct theme_state state;

	if (!task->status || !task_has_screen(task))
		return "";
	state = theme_agent_state(&ui->theme, task->status->state);
	if (task->status->has_progress)
		snprintf(text, TASK_TEXT_MAX, "%s %s %u%%", state.sign, state.word, task->status->progress);
	else
		snprintf(text, TASK_TEXT_MAX, "%s %s", state.sign, state.word);
	return text;
}

static const char *text_title(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return task_title(task, text);
}

static const char *text_project(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return str_or(task->project, "");
}

static const char *text_worker(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return str_or(task->worker, "");
}

static const char *text_agent(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return str_or(task->agent, "");
}

static const char *text_age(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return task_age(ui, task, text);
}

static const char *text_branch(struct ui *ui, const Maestro__Task *task, char text[TASK_TEXT_MAX])
{
	return str_or(task->branch, "");
}

static const struct column columns[] = {
	{ "ID", 6, 0, text_id },
	{ "STATE", 12, 0, text_state },
	{ "STATUS", 18, 0, text_status },
	{ "TITLE", 0, 0, text_title },
	{ "PROJECT", 16, 100, text_project },
	{ "WORKER", 14, 76, text_worker },
	{ "AGENT", 11, 110, text_agent },
	{ "BRANCH", 36, 160, text_branch },
	{ "AGE", 6, 0, text_age },
};

static int rest_width(int width)
{
	int rest = width - 2;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (columns[i].width && width >= columns[i].from_cols)
			rest -= columns[i].width;
	return rest > 8 ? rest : 8;
}

static void draw_head(struct ui *ui, struct area area)
{
	int x = area.x + 1;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		int width = columns[i].width ? columns[i].width : rest_width(area.w);

		if (area.w < columns[i].from_cols)
			continue;
		draw_text(&ui->theme, area.y, x, width - 1, draw_look(&ui->theme, THEME_DIM, 0), columns[i].name);
		x += width;
	}
}

static enum theme_role cell_role(const struct ui *ui, size_t column, const Maestro__Task *task)
{
	if (columns[column].text == text_state)
		return theme_task_state(&ui->theme, task_state(task)).role;
	if (columns[column].text == text_status && task->status)
		return task_waits(task) ? THEME_ALERT : theme_agent_state(&ui->theme, task->status->state).role;
	return task_state_over(task_state(task)) ? THEME_DIM : THEME_TEXT;
}

static void draw_row(struct ui *ui, struct area area, const Maestro__Task *task, bool selected)
{
	int x = area.x + 1;

	if (selected)
		draw_fill(area, draw_look(&ui->theme, THEME_SELECTED, 0));
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		int width = columns[i].width ? columns[i].width : rest_width(area.w);
		struct theme_look look = draw_look(&ui->theme, selected ? THEME_SELECTED : cell_role(ui, i, task), 0);
		char text[TASK_TEXT_MAX];

		if (area.w < columns[i].from_cols)
			continue;
		draw_text(&ui->theme, area.y, x, width - 1, look, columns[i].text(ui, task, text));
		x += width;
	}
	if (selected)
		draw_text(&ui->theme, area.y, area.x, 1, draw_look(&ui->theme, THEME_SELECTED, 0), theme_sign(&ui->theme, SIGN_POINTER));
}

static void draw_table(struct tasks *tasks, struct area area)
{
	struct ui *ui = tasks->view.ui;

	draw_head(ui, (struct area){ area.y, area.x, 1, area.w - 1 });
	tasks->rows = (struct area){ area.y + 1, area.x, area.h - 1, area.w };
	scroll_fit(&tasks->scroll, tasks->count, (size_t)tasks->rows.h);
	for (int i = 0; i < tasks->rows.h && tasks->scroll.top + (size_t)i < tasks->count; i++) {
		size_t at = tasks->scroll.top + (size_t)i;

		draw_row(ui, (struct area){ tasks->rows.y + i, area.x, 1, area.w - 1 }, model_task(ui->model, tasks->ids[at]),
			at == tasks->scroll.selected);
	}
	draw_scrollbar(&ui->theme, tasks->rows.y, area.x + area.w - 1, tasks->rows.h, tasks->scroll.top, tasks->scroll.page,
		tasks->count);
}

/* --- detail -------------------------------------------------------------------------------------------------- */

/* "name  text", wrapped; returns the lines it took. */
static int draw_fact(struct ui *ui, struct area area, int y, const char *name, enum theme_role role, const void *text, size_t len)
{
	struct area rest = { area.y + y, area.x + 10, area.h - y, area.w - 10 };

	if (y >= area.h || !len)
		return 0;
	draw_text(&ui->theme, area.y + y, area.x, 9, draw_look(&ui->theme, THEME_DIM, 0), name);
	return draw_wrapped(&ui->theme, rest, draw_look(&ui->theme, role, 0), text, len, 0);
}

static int draw_line(struct ui *ui, struct area area, int y, const char *name, enum theme_role role, const char *text)
{
	return draw_fact(ui, area, y, name, role, text, strlen(text));
}

static int draw_bytes_fact(struct ui *ui, struct area area, int y, const char *name, enum theme_role role, bool has,
	const ProtobufCBinaryData *data)
{
	return has ? draw_fact(ui, area, y, name, role, data->data, data->len) : 0;
}

static int draw_said(struct ui *ui, struct area area, int y, const Maestro__Task *task)
{
	char text[TASK_TEXT_MAX * 2], message[TASK_TEXT_MAX], file[TASK_TEXT_MAX], age[CLOCK_AGE_MAX];
	const Maestro__AgentStatus *status = task->status;

	if (!status)
		return 0;
	snprintf(text, sizeof(text), "%s%s%s%s%s (%s ago, by %s)", name_agent_state(status->state),
		status->has_message && status->message.len ? ": " : "", task_bytes(&status->message, message),
		status->has_file && status->file.len ? ", in " : "", task_bytes(&status->file, file),
		clock_format_age(model_status_age_ms(ui->model, task->id), age),
		status->has_source ? name_source(status->source) : "?");
	return draw_line(ui, area, y, "agent", theme_agent_state(&ui->theme, status->state).role, text);
}

static int draw_where(struct ui *ui, struct area area, int y, const Maestro__Task *task)
{
	char text[TASK_TEXT_MAX];

	snprintf(text, sizeof(text), "%s from %s%s%.12s", str_or(task->branch, "none yet"), str_or(task->base_branch, "?"),
		task->commit && *task->commit ? ", commit " : "", str_or(task->commit, ""));
	return draw_line(ui, area, y, "branch", THEME_TEXT, text);
}

static int draw_attempts(struct ui *ui, struct area area, int y, const Maestro__Task *task)
{
	int lines = 0;

	for (size_t i = 0; task->n_attempts > 1 && i < task->n_attempts; i++) {
		const Maestro__Attempt *attempt = task->attempts[i];
		char text[TASK_TEXT_MAX * 2], reason[TASK_TEXT_MAX];

		snprintf(text, sizeof(text), "%u on %s: %s%s%s", attempt->attempt, str_or(attempt->worker, "-"),
			attempt->has_state ? name_task_state(attempt->state) : "?", attempt->reason.len ? ": " : "",
			task_bytes(&attempt->reason, reason));
		lines += draw_line(ui, area, y + lines, i ? "" : "attempts", THEME_TEXT, text);
	}
	return lines;
}

static void draw_detail(struct tasks *tasks, struct area area)
{
	struct ui *ui = tasks->view.ui;
	const Maestro__Task *task = model_task(ui->model, tasks->selected);
	const Maestro__Task *full = tasks->detail && tasks->detail->id == tasks->selected ? tasks->detail : NULL;
	char title[TASK_TEXT_MAX], head[TASK_TEXT_MAX + 32];
	struct area in;
	int y = 0;

	if (!task)
		return;
	snprintf(head, sizeof(head), "%" PRIu64 " %s", task->id, task_title(task, title));
	in = draw_pane(&ui->theme, area, false, head);
	in.x++;
	in.w -= 2;
	y += draw_bytes_fact(ui, in, y, "reason", THEME_BAD, task->has_reason, &task->reason);
	y += draw_bytes_fact(ui, in, y, "waits for", THEME_WAITING, task->has_waiting_for, &task->waiting_for);
	y += draw_said(ui, in, y, task);
	y += draw_where(ui, in, y, task);
	if (full)
		y += draw_attempts(ui, in, y, full);
	if (full && full->has_prompt)
		draw_bytes_fact(ui, in, y, "prompt", THEME_TEXT, true, &full->prompt);
}

/* --- the whole ----------------------------------------------------------------------------------------------- */

static void draw_nothing(struct tasks *tasks, struct area area)
{
	struct ui *ui = tasks->view.ui;
	struct area box = { area.y + area.h / 3, area.x + 4, area.h, area.w - 8 };
	const char *text = "No tasks yet.\n\nPress n, or run in a repository:  maestro run 'what to do'";

	if (!model_ready(ui->model))
		text = "Waiting for the coordinator ...";
	else if (filter_on(&tasks->filter))
		text = "No task matches the filter. Esc shows all.";
	draw_wrapped(&ui->theme, box, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}

static void draw_filter(struct ui *ui, struct filter *filter, struct area *area)
{
	char text[160];

	if (!filter_on(filter))
		return;
	snprintf(text, sizeof(text), " filter: %s (Esc shows all)", buf_text(&filter->edit.text));
	draw_text(&ui->theme, area->y, area->x, area->w, draw_look(&ui->theme, THEME_WAITING, 0), text);
	area->y++;
	area->h--;
}

static void tasks_draw(struct view *view, struct area area)
{
	struct tasks *tasks = tasks_of(view);
	int detail = area.h / 3 > 8 ? area.h / 3 : 8;

	draw_filter(view->ui, &tasks->filter, &area);
	gather(tasks);
	ask_detail(tasks);
	if (!tasks->count) {
		draw_nothing(tasks, area);
		return;
	}
	draw_table(tasks, (struct area){ area.y, area.x, area.h - detail, area.w });
	draw_detail(tasks, (struct area){ area.y + area.h - detail, area.x, detail, area.w });
}

static void open_task(struct tasks *tasks)
{
	struct ui *ui = tasks->view.ui;
	const Maestro__Task *task = model_task(ui->model, tasks->selected);

	if (!task)
		return;
	if (task_state(task) == MAESTRO__TASK_STATE__TASK_REVIEW)
		ui_open_review(ui, task->id);
	else if (task_has_screen(task))
		ui_open_screen(ui, task->id, false);
	else
		ui_message(ui, THEME_TEXT, "task %" PRIu64 " is %s: there is no session to open", task->id,
			name_task_state(task_state(task)));
}

static void next_waiting(struct tasks *tasks)
{
	for (size_t i = 1; i <= tasks->count; i++) {
		size_t at = (tasks->scroll.selected + i) % tasks->count;

		if (task_waits(model_task(tasks->view.ui->model, tasks->ids[at]))) {
			tasks->selected = tasks->ids[at];
			return;
		}
	}
	ui_message(tasks->view.ui, THEME_TEXT, "no task waits for you");
}

static bool tasks_request(struct view *view, enum request request)
{
	struct tasks *tasks = tasks_of(view);
	struct ui *ui = view->ui;

	gather(tasks);
	if (scroll_request(&tasks->scroll, request)) {
		if (tasks->count)
			tasks->selected = tasks->ids[tasks->scroll.selected];
		return true;
	}
	switch (request) {
	case REQUEST_OPEN:
		open_task(tasks);
		return true;
	case REQUEST_NEW:
		ui_new_task(ui);
		return true;
	case REQUEST_STOP:
		ui_ask_stop(ui, tasks->selected);
		return true;
	case REQUEST_RETRY:
		ui_ask_retry(ui, tasks->selected);
		return true;
	case REQUEST_REVIEW_TASK:
		ui_open_review(ui, tasks->selected);
		return true;
	case REQUEST_WAITING:
		next_waiting(tasks);
		return true;
	case REQUEST_FILTER:
		ui_filter(ui, &tasks->filter);
		return true;
	case REQUEST_BACK:
		edit_set(&tasks->filter.edit, "");
		return true;
	default:
		return false;
	}
}

static void tasks_click(struct view *view, int y, int x, bool twice)
{
	struct tasks *tasks = tasks_of(view);
	size_t at = tasks->scroll.top + (size_t)(y - tasks->rows.y);

	if (y < tasks->rows.y || y >= tasks->rows.y + tasks->rows.h || at >= tasks->count)
		return;
	tasks->selected = tasks->ids[at];
	if (twice)
		open_task(tasks);
}

static const struct view_ops tasks_ops = {
	.name = "Tasks",
	.contexts = { CONTEXT_TASKS, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
	.free = tasks_free,
	.draw = tasks_draw,
	.request = tasks_request,
	.click = tasks_click,
	.changed = tasks_changed,
};

int view_tasks_new(struct view **ret_view, struct ui *ui)
{
	struct tasks *tasks = calloc(1, sizeof(*tasks));

	if (!tasks)
		return -ENOMEM;
	tasks->view = (struct view){ &tasks_ops, ui };
	edit_init(&tasks->filter.edit, false, 100);
	*ret_view = &tasks->view;
	return 0;
}
