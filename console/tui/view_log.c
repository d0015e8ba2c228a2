/* What happened, newest at the bottom, followed until somebody scrolls up. */
#include "console/tui/task.h"
#include "console/tui/ui.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

struct event_log {
	struct view view;
	struct filter filter;
	struct scroll scroll;
	struct area rows;
	size_t *at;     /* indices into the model's events that the filter lets through */
	size_t count;
	uint64_t selected; /* seq; 0: the newest, whatever comes */
};

static struct event_log *log_of(struct view *view)
{
	return container_of(view, struct event_log, view);
}

static void log_free(struct view *view)
{
	struct event_log *log = log_of(view);

	edit_deinit(&log->filter.edit);
	free(log->at);
	free(log);
}

static bool matches(struct event_log *log, const Maestro__Event *event)
{
	char text[TASK_TEXT_MAX * 2], said[TASK_TEXT_MAX], actor[TASK_TEXT_MAX];

	if (!filter_on(&log->filter))
		return true;
	snprintf(text, sizeof(text), "%s %" PRIu64 " %s %s %s", str_or(event->kind, ""), event->task, str_or(event->worker, ""),
		task_bytes(&event->actor, actor), task_bytes(&event->text, said));
	return filter_match(&log->filter, text);
}

static void gather(struct event_log *log)
{
	struct model *model = log->view.ui->model;
	size_t *at = reallocarray(log->at, model_event_count(model) + 1, sizeof(*at)), selected = SIZE_MAX;

	if (!at)
		return;
	log->at = at;
	log->count = 0;
	for (size_t i = 0; i < model_event_count(model); i++) {
		const Maestro__Event *event = model_event_at(model, i);

		if (!matches(log, event))
			continue;
		if (log->selected && event->seq <= log->selected)
			selected = log->count;
		at[log->count++] = i;
	}
	log->scroll.selected = selected != SIZE_MAX ? selected : log->count ? log->count - 1 : 0;
	scroll_fit(&log->scroll, log->count, log->scroll.page);
}

static enum theme_role role_of(const Maestro__Event *event)
{
	const char *kind = str_or(event->kind, "");

	if (strstr(kind, "question"))
		return THEME_WAITING;
	if (strstr(kind, "fail") || strstr(kind, "lost"))
		return THEME_BAD;
	return str_starts(kind, "worker") ? THEME_HUNK : str_starts(kind, "task") ? THEME_GOOD : THEME_TEXT;
}

static void draw_event(struct ui *ui, struct area area, const Maestro__Event *event, bool selected)
{
	struct theme_look look = draw_look(&ui->theme, selected ? THEME_SELECTED : THEME_TEXT, 0);
	char text[TASK_TEXT_MAX + 128], said[TASK_TEXT_MAX], actor[TASK_TEXT_MAX], when[32] = "";
	time_t seconds = (time_t)(event->time_ms / 1000);
	struct tm local;
	int x = area.x + 1;

	if (event->time_ms && localtime_r(&seconds, &local))
		strftime(when, sizeof(when), "%H:%M:%S", &local);
	if (selected)
		draw_fill(area, look);
	draw_text(&ui->theme, area.y, x, 9, selected ? look : draw_look(&ui->theme, THEME_DIM, 0), when);
	draw_text(&ui->theme, area.y, x + 10, 17, selected ? look : draw_look(&ui->theme, role_of(event), 0), str_or(event->kind, ""));
	if (event->task) {
		snprintf(text, sizeof(text), "%" PRIu64, event->task);
		draw_text(&ui->theme, area.y, x + 28, 6, selected ? look : draw_look(&ui->theme, THEME_STRONG, 0), text);
	}
	task_bytes(&event->actor, actor);
	snprintf(text, sizeof(text), "%s%s%s%s%s%.60s%s", task_bytes(&event->text, said), event->worker && *event->worker ? " on " : "",
		str_or(event->worker, ""), *actor ? " (" : "", "", actor, *actor ? ")" : "");
	draw_text(&ui->theme, area.y, x + 34, area.w - 35, look, text);
}

static void draw_nothing(struct event_log *log, struct area area)
{
	struct ui *ui = log->view.ui;
	const char *text = filter_on(&log->filter) ? "Nothing matches the filter. Esc shows all." : model_ready(ui->model) ?
		"Nothing happened yet since this console was opened." : "Waiting for the coordinator ...";

	draw_text(&ui->theme, area.y + area.h / 3, area.x + 4, area.w - 8, draw_look(&ui->theme, THEME_TEXT, 0), text);
}

static void log_draw(struct view *view, struct area area)
{
	struct event_log *log = log_of(view);

	log->rows = area;
	log->scroll.page = (size_t)area.h;
	gather(log);
	if (!log->count) {
		draw_nothing(log, area);
		return;
	}
	for (int i = 0; i < area.h && log->scroll.top + (size_t)i < log->count; i++) {
		size_t at = log->scroll.top + (size_t)i;

		draw_event(view->ui, (struct area){ area.y + i, area.x, 1, area.w - 1 }, model_event_at(view->ui->model, log->at[at]),
			at == log->scroll.selected);
	}
	draw_scrollbar(&view->ui->theme, area.y, area.w - 1, area.h, log->scroll.top, log->scroll.page, log->count);
}

static void pick(struct event_log *log)
{
	bool newest = log->scroll.selected + 1 >= log->count;

	log->selected = newest ? 0 : model_event_at(log->view.ui->model, log->at[log->scroll.selected])->seq;
}

static bool log_request(struct view *view, enum request request)
{
	struct event_log *log = log_of(view);

	gather(log);
	if (scroll_request(&log->scroll, request)) {
		if (log->count)
			pick(log);
		return true;
	}
	if (request == REQUEST_OPEN && log->count) {
		const Maestro__Event *event = model_event_at(view->ui->model, log->at[log->scroll.selected]);

		if (event->task)
			ui_open_task(view->ui, event->task);
		else
			ui_message(view->ui, THEME_TEXT, "this line is about no task");
	} else if (request == REQUEST_FILTER) {
		ui_filter(view->ui, &log->filter);
	} else if (request == REQUEST_BACK) {
		edit_set(&log->filter.edit, "");
	} else {
		return false;
	}
	return true;
}

static void log_click(struct view *view, int y, int x, bool twice)
{
	struct event_log *log = log_of(view);
	size_t at = log->scroll.top + (size_t)(y - log->rows.y);

	gather(log);
	if (y < log->rows.y || y >= log->rows.y + log->rows.h || at >= log->count)
		return;
	log->scroll.selected = at;
	pick(log);
	if (twice)
		log_request(view, REQUEST_OPEN);
}

static const struct view_ops log_ops = {
	.name = "Log",
	.contexts = { CONTEXT_LOG, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
	.free = log_free,
	.draw = log_draw,
	.request = log_request,
	.click = log_click,
};

int view_log_new(struct view **ret_view, struct ui *ui)
{
	struct event_log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->view = (struct view){ &log_ops, ui };
	edit_init(&log->filter.edit, false, 100);
	*ret_view = &log->view;
	return 0;
}
