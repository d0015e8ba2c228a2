/* The workers: slots, load, memory, disk, agents, labels. */
#include "console/tui/task.h"
#include "console/tui/ui.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <string.h>

struct fleet {
	struct view view;
	struct filter filter;
	struct scroll scroll;
	struct area rows;
	const char **names; /* of the picture, good for one turn */
	size_t count;
	char selected[72];
};

static struct fleet *fleet_of(struct view *view)
{
	return container_of(view, struct fleet, view);
}

static void fleet_free(struct view *view)
{
	struct fleet *fleet = fleet_of(view);

	edit_deinit(&fleet->filter.edit);
	free(fleet->names);
	free(fleet);
}

/* --- words --------------------------------------------------------------------------------------------------- */

static const char *bytes_text(uint64_t bytes, char text[24])
{
	if (bytes >= (uint64_t)10 << 30)
		snprintf(text, 24, "%" PRIu64 "G", bytes >> 30);
	else if (bytes >= (uint64_t)1 << 30)
		snprintf(text, 24, "%.1fG", (double)bytes / (double)(1 << 30));
	else
		snprintf(text, 24, "%" PRIu64 "M", bytes >> 20);
	return text;
}

static void agents_text(struct buf *out, const Maestro__Worker *worker)
{
	for (size_t i = 0; i < worker->n_agents; i++)
		buf_printf(out, "%s%s", i ? " " : "", worker->agents[i]->name);
}

static void labels_text(struct buf *out, const Maestro__Worker *worker)
{
	for (size_t i = 0; i < worker->n_labels; i++)
		buf_printf(out, "%s%s=%s", i ? " " : "", worker->labels[i]->key, worker->labels[i]->value);
}

static bool matches(struct fleet *fleet, const Maestro__Worker *worker)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	if (!filter_on(&fleet->filter))
		return true;
	buf_printf(&text, "%s %s ", worker->name, worker->has_state ? name_worker_state(worker->state) : "");
	agents_text(&text, worker);
	buf_append_byte(&text, ' ');
	labels_text(&text, worker);
	return filter_match(&fleet->filter, buf_text(&text));
}

static void gather(struct fleet *fleet)
{
	struct model *model = fleet->view.ui->model;
	const char **names = reallocarray(fleet->names, model_worker_count(model) + 1, sizeof(*names));
	size_t at = fleet->scroll.selected;

	if (!names)
		return;
	fleet->names = names;
	fleet->count = 0;
	for (size_t i = 0; i < model_worker_count(model); i++) {
		const Maestro__Worker *worker = model_worker_at(model, i);

		if (!matches(fleet, worker))
			continue;
		if (strcmp(worker->name, fleet->selected) == 0)
			at = fleet->count;
		names[fleet->count++] = worker->name;
	}
	fleet->scroll.selected = at;
	scroll_fit(&fleet->scroll, fleet->count, fleet->scroll.page);
	snprintf(fleet->selected, sizeof(fleet->selected), "%s", fleet->count ? names[fleet->scroll.selected] : "");
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

/* Columns: name 18, state 12, slots (bar and numbers) 22, load 7, memory 8, disk 8, agents: what is left. */
static const struct {
	const char *name;
	int width;
} columns[] = { { "WORKER", 18 }, { "STATE", 12 }, { "SLOTS", 20 }, { "LOAD", 7 }, { "MEM", 7 }, { "DISK", 7 }, { "AGENTS", 0 } };

static void draw_head(struct ui *ui, struct area area)
{
	int x = area.x + 1;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		draw_text(&ui->theme, area.y, x, area.x + area.w - x, draw_look(&ui->theme, THEME_DIM, 0), columns[i].name);
		x += columns[i].width;
	}
}

static void state_text(struct ui *ui, const Maestro__Worker *worker, char *text, size_t size, enum theme_role *ret_role)
{
	struct theme_state state = theme_worker_state(&ui->theme, worker->state);

	*ret_role = worker->cordoned || worker->draining ? THEME_WAITING : state.role;
	snprintf(text, size, "%s %s", state.sign, worker->draining ? "draining" : worker->cordoned ? "cordoned" : state.word);
}

static void draw_slots(struct ui *ui, int y, int x, const Maestro__Worker *worker, bool selected)
{
	unsigned int percent = worker->slots ? worker->used * 100 / worker->slots : 0;
	char text[40];

	snprintf(text, sizeof(text), "%u/%u", worker->used, worker->slots);
	draw_meter(&ui->theme, y, x, 10, draw_look(&ui->theme, percent >= 100 ? THEME_WAITING : THEME_GOOD, 0), percent);
	draw_text(&ui->theme, y, x + 11, 8, draw_look(&ui->theme, selected ? THEME_SELECTED : THEME_TEXT, 0), text);
}

static void draw_worker(struct ui *ui, struct area area, const Maestro__Worker *worker, bool selected)
{
	_cleanup_(buf_deinit) struct buf agents = BUF_NULL;
	struct theme_look look = draw_look(&ui->theme, selected ? THEME_SELECTED : THEME_TEXT, 0);
	enum theme_role role;
	char text[64], number[24];
	int x = area.x + 1, y = area.y;

	if (selected) {
		draw_fill(area, look);
		draw_text(&ui->theme, y, area.x, 1, look, theme_sign(&ui->theme, SIGN_POINTER));
	}
	draw_text(&ui->theme, y, x, columns[0].width - 1, look, worker->name);
	x += columns[0].width;
	state_text(ui, worker, text, sizeof(text), &role);
	draw_text(&ui->theme, y, x, columns[1].width - 1, selected ? look : draw_look(&ui->theme, role, 0), text);
	x += columns[1].width;
	draw_slots(ui, y, x, worker, selected);
	x += columns[2].width;
	snprintf(text, sizeof(text), "%.2f", worker->load_percent / 100.0);
	draw_text(&ui->theme, y, x, columns[3].width - 1, look, worker->has_load_percent ? text : "-");
	x += columns[3].width;
	draw_text(&ui->theme, y, x, columns[4].width - 1, look,
		worker->has_memory_free_bytes ? bytes_text(worker->memory_free_bytes, number) : "-");
	x += columns[4].width;
	draw_text(&ui->theme, y, x, columns[5].width - 1, look,
		worker->has_disk_free_bytes ? bytes_text(worker->disk_free_bytes, number) : "-");
	x += columns[5].width;
	agents_text(&agents, worker);
	draw_text(&ui->theme, y, x, area.x + area.w - x, look, buf_text(&agents));
}

static int draw_fact(struct ui *ui, struct area area, int y, const char *name, const char *text)
{
	struct area rest = { area.y + y, area.x + 10, area.h - y, area.w - 10 };

	if (y >= area.h || !*text)
		return 0;
	draw_text(&ui->theme, area.y + y, area.x, 9, draw_look(&ui->theme, THEME_DIM, 0), name);
	return draw_wrapped(&ui->theme, rest, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}

static void agents_in_full(struct buf *out, const Maestro__Worker *worker)
{
	char time[CLOCK_RFC3339_MAX];

	for (size_t i = 0; i < worker->n_agents; i++) {
		const Maestro__AgentProgram *agent = worker->agents[i];

		buf_printf(out, "%s%s %.*s%s", i ? ", " : "", agent->name, (int)(agent->version.len > 60 ? 60 : agent->version.len),
			agent->version.len ? (const char *)agent->version.data : "",
			agent->has_logged_in && !agent->logged_in ? " (not logged in)" : "");
		if (agent->has_limited_until_ms)
			buf_printf(out, " (limited until %s)", clock_format_rfc3339(agent->limited_until_ms, time));
	}
}

static void tasks_of_worker(struct buf *out, const struct model *model, const char *worker)
{
	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *task = model_task_at(model, i);
		char title[TASK_TEXT_MAX];

		if (task_has_screen(task) && strcmp(str_or(task->worker, ""), worker) == 0)
			buf_printf(out, "%s%" PRIu64 " %s", out->len ? ", " : "", task->id, task_title(task, title));
	}
}

static void questions_of_worker(struct buf *out, const struct model *model, const char *worker)
{
	for (size_t i = 0; i < model_question_count(model); i++) {
		const Maestro__Question *question = model_question_at(model, i);

		if (strcmp(str_or(question->worker, ""), worker) == 0)
			buf_printf(out, "%s%" PRIu64 ": %.*s (maestro question show %" PRIu64 ")", out->len ? "; " : "", question->id,
				(int)question->text.len, question->has_text ? (const char *)question->text.data : "", question->id);
	}
}

static void draw_detail(struct fleet *fleet, struct area area)
{
	struct ui *ui = fleet->view.ui;
	const Maestro__Worker *worker = model_worker(ui->model, fleet->selected);
	_cleanup_(buf_deinit) struct buf agents = BUF_NULL, labels = BUF_NULL, tasks = BUF_NULL, questions = BUF_NULL;
	_cleanup_free_ char *version = NULL, *reason = NULL;
	struct area in;
	int y = 0;

	if (!worker)
		return;
	in = draw_pane(&ui->theme, area, false, worker->name);
	in.x++;
	in.w -= 2;
	agents_in_full(&agents, worker);
	labels_text(&labels, worker);
	tasks_of_worker(&tasks, ui->model, worker->name);
	if (worker->has_version)
		version = strndup((const char *)worker->version.data, worker->version.len);
	if (worker->has_reason)
		reason = strndup((const char *)worker->reason.data, worker->reason.len);
	questions_of_worker(&questions, ui->model, worker->name);
	y += draw_fact(ui, in, y, "state", str_or(reason, ""));
	y += draw_fact(ui, in, y, "asked", buf_text(&questions));
	y += draw_fact(ui, in, y, "sessions", tasks.len ? buf_text(&tasks) : "none");
	y += draw_fact(ui, in, y, "agents", agents.len ? buf_text(&agents) : "none");
	y += draw_fact(ui, in, y, "labels", labels.len ? buf_text(&labels) : "none");
	y += draw_fact(ui, in, y, "merges", worker->may_merge ? "yes" : "no");
	draw_fact(ui, in, y, "version", str_or(version, ""));
}

static void draw_nothing(struct fleet *fleet, struct area area)
{
	struct ui *ui = fleet->view.ui;
	struct area box = { area.y + area.h / 3, area.x + 4, area.h, area.w - 8 };
	const char *text = "No workers yet.\n\nOn this machine, in a repository:  maestro up\n"
			   "On a build server:  maestro-worker join ADDRESS,  then  maestro-worker run\n"
			   "(the token that it asks for:  maestro token create --role worker)";

	if (!model_ready(ui->model))
		text = "Waiting for the coordinator ...";
	else if (filter_on(&fleet->filter))
		text = "No worker matches the filter. Esc shows all.";
	draw_wrapped(&ui->theme, box, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}

static void fleet_draw(struct view *view, struct area area)
{
	struct fleet *fleet = fleet_of(view);
	struct ui *ui = view->ui;
	int detail = area.h / 3 > 8 ? area.h / 3 : 8;

	gather(fleet);
	if (!fleet->count) {
		draw_nothing(fleet, area);
		return;
	}
	draw_head(ui, area);
	fleet->rows = (struct area){ area.y + 1, area.x, area.h - detail - 1, area.w };
	scroll_fit(&fleet->scroll, fleet->count, (size_t)fleet->rows.h);
	for (int i = 0; i < fleet->rows.h && fleet->scroll.top + (size_t)i < fleet->count; i++) {
		size_t at = fleet->scroll.top + (size_t)i;

		draw_worker(ui, (struct area){ fleet->rows.y + i, area.x, 1, area.w - 1 }, model_worker(ui->model, fleet->names[at]),
			at == fleet->scroll.selected);
	}
	draw_scrollbar(&ui->theme, fleet->rows.y, area.w - 1, fleet->rows.h, fleet->scroll.top, fleet->scroll.page, fleet->count);
	draw_detail(fleet, (struct area){ area.y + area.h - detail, area.x, detail, area.w });
}

static bool fleet_request(struct view *view, enum request request)
{
	struct fleet *fleet = fleet_of(view);

	gather(fleet);
	if (scroll_request(&fleet->scroll, request)) {
		snprintf(fleet->selected, sizeof(fleet->selected), "%s", fleet->count ? fleet->names[fleet->scroll.selected] : "");
		return true;
	}
	if (request == REQUEST_NEW)
		ui_new_task(view->ui);
	else if (request == REQUEST_FILTER)
		ui_filter(view->ui, &fleet->filter);
	else if (request == REQUEST_BACK)
		edit_set(&fleet->filter.edit, "");
	else
		return false;
	return true;
}

static void fleet_click(struct view *view, int y, int x, bool twice)
{
	struct fleet *fleet = fleet_of(view);
	size_t at = fleet->scroll.top + (size_t)(y - fleet->rows.y);

	gather(fleet);
	if (y >= fleet->rows.y && y < fleet->rows.y + fleet->rows.h && at < fleet->count)
		snprintf(fleet->selected, sizeof(fleet->selected), "%s", fleet->names[at]);
}

static const struct view_ops fleet_ops = {
	.name = "Fleet",
	.contexts = { CONTEXT_FLEET, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
	.free = fleet_free,
	.draw = fleet_draw,
	.request = fleet_request,
	.click = fleet_click,
};

int view_fleet_new(struct view **ret_view, struct ui *ui)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet)
		return -ENOMEM;
	fleet->view = (struct view){ &fleet_ops, ui };
	edit_init(&fleet->filter.edit, false, 100);
	*ret_view = &fleet->view;
	return 0;
}
