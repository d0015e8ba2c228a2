/* What was pushed and waits for the person: tasks, files, the diff; merge or reject. */
#include "console/tui/diff.h"
#include "console/tui/task.h"
#include "console/tui/ui.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>

enum pane {
	PANE_TASKS,
	PANE_FILES,
	PANE_DIFF,
	PANE_COUNT,
};

struct review {
	struct view view;
	struct filter filter;
	enum pane focus;
	struct scroll scroll[PANE_COUNT]; /* of the diff: `selected` is its first line */
	struct area areas[PANE_COUNT];
	unsigned int left;   /* columns that the diff is moved */
	uint64_t *ids;
	size_t count;
	uint64_t selected;
	struct diff diff;
	uint64_t diff_task;  /* of `diff` or `why`, 0: none */
	char diff_commit[64];
	uint64_t request, request_task;
	char *why;           /* why there is no diff; foreign text */
};

static struct review *review_of(struct view *view)
{
	return container_of(view, struct review, view);
}

static void drop_diff(struct review *review)
{
	diff_deinit(&review->diff);
	free(review->why);
	review->why = NULL;
	review->diff_task = 0;
	review->left = 0;
	review->scroll[PANE_FILES] = review->scroll[PANE_DIFF] = (struct scroll){ 0 };
}

static void review_free(struct view *view)
{
	struct review *review = review_of(view);

	if (review->request)
		client_cancel(view->ui->client, review->request);
	drop_diff(review);
	edit_deinit(&review->filter.edit);
	free(review->ids);
	free(review);
}

/* --- which ones ---------------------------------------------------------------------------------------------- */

static void gather(struct review *review)
{
	struct model *model = review->view.ui->model;
	struct scroll *scroll = &review->scroll[PANE_TASKS];
	uint64_t *ids = reallocarray(review->ids, model_task_count(model) + 1, sizeof(*ids));
	size_t at = scroll->selected;

	if (!ids)
		return;
	review->ids = ids;
	review->count = 0;
	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *task = model_task_at(model, i);

		if (task_state(task) != MAESTRO__TASK_STATE__TASK_REVIEW || !task_matches(&review->filter, task))
			continue;
		if (task->id == review->selected)
			at = review->count;
		ids[review->count++] = task->id;
	}
	scroll->selected = at;
	scroll_fit(scroll, review->count, scroll->page);
	review->selected = review->count ? ids[scroll->selected] : 0;
	if (!review->count)
		review->focus = PANE_TASKS;
}

void view_review_select(struct view *view, uint64_t task)
{
	struct review *review = review_of(view);

	edit_set(&review->filter.edit, "");
	review->selected = task;
	gather(review);
	review->focus = review->selected == task ? PANE_FILES : PANE_TASKS;
	if (review->selected != task)
		ui_message(view->ui, THEME_TEXT, "task %" PRIu64 " is not in review", task);
}

/* --- the diff ------------------------------------------------------------------------------------------------ */

static void on_diff(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct review *review = userdata;

	review->request = 0;
	drop_diff(review);
	review->diff_task = review->request_task;
	if (!r && reply->body_case == MAESTRO__ENVELOPE__BODY_DIFF)
		r = diff_init(&review->diff, reply->diff);
	else if (!r)
		r = -EPROTO;
	if (r && asprintf(&review->why, "%s%s%s", error_text(error, r), error && error->hint ? "\n" : "",
			error && error->hint ? error->hint : "") < 0)
		review->why = NULL;
	ui_redraw(review->view.ui);
}

static void ask_diff(struct review *review)
{
	struct ui *ui = review->view.ui;
	const Maestro__Task *task = model_task(ui->model, review->selected);
	Maestro__DiffTask ask = MAESTRO__DIFF_TASK__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;

	if (!task || review->request || !client_connected(ui->client))
		return;
	/* New commits may have been pushed while somebody looked. */
	if (review->diff_task == task->id && strcmp(review->diff_commit, str_or(task->commit, "")) == 0)
		return;
	ask.task = review->request_task = task->id;
	request.body_case = MAESTRO__ENVELOPE__BODY_DIFF_TASK;
	request.diff_task = &ask;
	drop_diff(review);
	snprintf(review->diff_commit, sizeof(review->diff_commit), "%s", str_or(task->commit, ""));
	if (client_request(ui->client, &request, CLIENT_DEADLINE_GIT_MS, on_diff, review, &review->request, NULL) != 0)
		review->request = 0;
}

static void review_changed(struct view *view, unsigned int parts, uint64_t task)
{
	struct review *review = review_of(view);

	/* What failed for want of a connection may go now. */
	if ((parts & MODEL_CONNECTION) && review->why && !review->request)
		drop_diff(review);
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

static void draw_tasks(struct review *review, struct area area)
{
	struct ui *ui = review->view.ui;
	struct scroll *scroll = &review->scroll[PANE_TASKS];
	struct area in = draw_pane(&ui->theme, area, review->focus == PANE_TASKS, "In review");

	review->areas[PANE_TASKS] = in;
	scroll_fit(scroll, review->count, (size_t)in.h);
	for (int i = 0; i < in.h && scroll->top + (size_t)i < review->count; i++) {
		size_t at = scroll->top + (size_t)i;
		const Maestro__Task *task = model_task(ui->model, review->ids[at]);
		bool selected = at == scroll->selected;
		char text[TASK_TEXT_MAX + 32], title[TASK_TEXT_MAX];

		snprintf(text, sizeof(text), "%s%" PRIu64 " %s", selected ? theme_sign(&ui->theme, SIGN_POINTER) : " ", task->id,
			task_title(task, title));
		draw_field(&ui->theme, in.y + i, in.x, in.w, draw_look(&ui->theme, selected ? THEME_SELECTED : THEME_TEXT,
			selected && review->focus != PANE_TASKS ? A_DIM : 0), text);
	}
	draw_scrollbar(&ui->theme, in.y, area.x + area.w - 1, in.h, scroll->top, scroll->page, scroll->count);
}

static void draw_file(struct review *review, struct area area, const Maestro__GitDiffFile *file, bool selected)
{
	const struct theme *theme = &review->view.ui->theme;
	bool focus = selected && review->focus == PANE_FILES;
	struct theme_look look = draw_look(theme, focus ? THEME_SELECTED : THEME_TEXT, selected && !focus ? A_BOLD : 0);
	char numbers[32], letter[4] = { diff_letter(file->status), ' ', 0 };
	size_t skip = 0;
	int room;

	snprintf(numbers, sizeof(numbers), " +%u -%u", file->added, file->removed);
	room = area.w - 2 - (int)strlen(numbers);
	draw_fill(area, look);
	draw_text(theme, area.y, area.x, 2, focus ? look : draw_look(theme, *letter == 'A' ? THEME_ADDED :
		*letter == 'D' ? THEME_REMOVED : THEME_HUNK, 0), letter);
	/* The end of a path says more than its beginning. */
	if ((int)file->path.len > room && room > 1) {
		skip = file->path.len - (size_t)room + 1;
		draw_text(theme, area.y, area.x + 2, 1, look, theme_sign(theme, SIGN_MORE));
	}
	draw_bytes(theme, area.y, area.x + 2 + (skip ? 1 : 0), room, look, file->path.data + skip, file->path.len - skip);
	draw_text(theme, area.y, area.x + 2 + room, area.w, focus ? look : draw_look(theme, THEME_DIM, 0), numbers);
}

static void draw_files(struct review *review, struct area area)
{
	struct ui *ui = review->view.ui;
	struct scroll *scroll = &review->scroll[PANE_FILES];
	const Maestro__GitDiffed *message = review->diff.message;
	char title[64] = "Files";
	struct area in;

	if (message)
		snprintf(title, sizeof(title), "%zu %s +%u -%u", message->n_files, message->n_files == 1 ? "file" : "files",
			message->added, message->removed);
	in = draw_pane(&ui->theme, area, review->focus == PANE_FILES, title);
	review->areas[PANE_FILES] = in;
	scroll_fit(scroll, message ? message->n_files : 0, (size_t)in.h);
	for (int i = 0; i < in.h && scroll->top + (size_t)i < scroll->count; i++)
		draw_file(review, (struct area){ in.y + i, in.x, 1, in.w }, message->files[scroll->top + (size_t)i],
			scroll->top + (size_t)i == scroll->selected);
	draw_scrollbar(&ui->theme, in.y, area.x + area.w - 1, in.h, scroll->top, scroll->page, scroll->count);
}

/* Tabs to the next multiple of eight columns after the sign in front. */
static void draw_diff_line(struct review *review, struct area area, const struct diff_line *line)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	size_t columns = 0, at = 0;

	for (size_t i = 0; i < line->len && columns < review->left + (size_t)area.w + 8; i++) {
		bool tab = line->text[i] == '\t';
		size_t n = tab ? 8 - (columns + 7) % 8 : 1;

		for (size_t k = 0; k < n; k++)
			buf_append_byte(&text, tab ? ' ' : (uint8_t)line->text[i]);
		if (((uint8_t)line->text[i] & 0xc0) != 0x80)
			columns += n;
	}
	for (unsigned int skip = review->left; skip && at < text.len; skip--)
		do
			at++;
		while (at < text.len && (text.data[at] & 0xc0) == 0x80);
	draw_bytes(&review->view.ui->theme, area.y, area.x, area.w, draw_look(&review->view.ui->theme, line->role, 0),
		buf_text(&text) + at, text.len - at);
}

static void draw_no_diff(struct review *review, struct area in)
{
	struct ui *ui = review->view.ui;
	const char *text = review->why ? review->why : review->request ? "asking a worker for the diff ..." :
		review->diff.message ? "no difference to the base" : "no connection";

	draw_wrapped(&ui->theme, in, draw_look(&ui->theme, review->why ? THEME_BAD : THEME_DIM, 0), text, strlen(text), 0);
}

/* What the worker said of the push, as what was left out of the commit: it belongs to what is judged here. */
static struct area draw_reason(struct review *review, struct area in, const Maestro__Task *task)
{
	struct area top = { in.y, in.x, in.h / 4, in.w };
	int lines;

	if (!task || !task->has_reason || !task->reason.len || !top.h)
		return in;
	lines = draw_wrapped(&review->view.ui->theme, top, draw_look(&review->view.ui->theme, THEME_BAD, 0), task->reason.data,
		task->reason.len, 0);
	lines = lines < top.h ? lines : top.h;
	return (struct area){ in.y + lines, in.x, in.h - lines, in.w };
}

static void draw_diff(struct review *review, struct area area)
{
	struct ui *ui = review->view.ui;
	struct scroll *scroll = &review->scroll[PANE_DIFF];
	const Maestro__Task *task = model_task(ui->model, review->selected);
	size_t last;
	char title[TASK_TEXT_MAX];
	struct area in;

	snprintf(title, sizeof(title), "%s -> %s%s", task ? str_or(task->branch, "?") : "", task ? str_or(task->base_branch, "?") : "",
		review->diff.message && review->diff.message->truncated ? " (cut: too long)" : "");
	in = draw_reason(review, draw_pane(&ui->theme, area, review->focus == PANE_DIFF, title), task);
	review->areas[PANE_DIFF] = in;
	if (!review->diff.line_count) {
		draw_no_diff(review, in);
		return;
	}
	scroll->count = review->diff.line_count;
	scroll->page = (size_t)in.h;
	last = scroll->count > scroll->page ? scroll->count - scroll->page : 0;
	scroll->top = scroll->selected = scroll->selected < last ? scroll->selected : last;
	for (int i = 0; i < in.h && scroll->top + (size_t)i < scroll->count; i++)
		draw_diff_line(review, (struct area){ in.y + i, in.x, 1, in.w }, &review->diff.lines[scroll->top + (size_t)i]);
	draw_scrollbar(&ui->theme, in.y, area.x + area.w - 1, in.h, scroll->top, scroll->page, scroll->count);
}

static void draw_nothing(struct review *review, struct area area)
{
	struct ui *ui = review->view.ui;
	struct area box = { area.y + area.h / 3, area.x + 4, area.h, area.w - 8 };
	const char *text = "Nothing waits for review.\n\nWhen an agent says that it is done, its branch is pushed and the task comes here.";

	if (!model_ready(ui->model))
		text = "Waiting for the coordinator ...";
	else if (filter_on(&review->filter))
		text = "No task in review matches the filter. Esc shows all.";
	draw_wrapped(&ui->theme, box, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}

static void review_draw(struct view *view, struct area area)
{
	struct review *review = review_of(view);
	int side = area.w / 3, tasks;

	gather(review);
	if (!review->count) {
		draw_nothing(review, area);
		return;
	}
	ask_diff(review);
	side = side < 26 ? 26 : side > 60 ? 60 : side;
	tasks = (int)review->count + 2 < area.h / 2 ? (int)review->count + 2 : area.h / 2;
	tasks = tasks < 4 ? 4 : tasks;
	draw_tasks(review, (struct area){ area.y, area.x, tasks, side });
	draw_files(review, (struct area){ area.y + tasks, area.x, area.h - tasks, side });
	draw_diff(review, (struct area){ area.y, area.x + side, area.h, area.w - side });
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static void show_file(struct review *review)
{
	size_t file = review->scroll[PANE_FILES].selected;

	if (review->diff.message && file < review->diff.message->n_files)
		review->scroll[PANE_DIFF].selected = review->diff.file_line[file];
}

/* The diff has no line under the cursor: its window moves. */
static void move_diff(struct review *review, enum request request)
{
	struct scroll *scroll = &review->scroll[PANE_DIFF];

	scroll_request(scroll, request);
	if (request == REQUEST_LEFT)
		review->left = review->left > 8 ? review->left - 8 : 0;
	else if (request == REQUEST_RIGHT)
		review->left += 8;
	if (scroll->selected < review->diff.line_count)
		review->scroll[PANE_FILES].selected = review->diff.lines[scroll->selected].file;
}

static bool move_in(struct review *review, enum request request)
{
	if (request < REQUEST_UP || request > REQUEST_LAST)
		return false;
	if (review->focus == PANE_DIFF) {
		move_diff(review, request);
		return true;
	}
	if (request == REQUEST_LEFT || request == REQUEST_RIGHT) {
		review->focus = request == REQUEST_RIGHT ? review->focus + 1 : PANE_TASKS;
		return true;
	}
	scroll_request(&review->scroll[review->focus], request);
	if (review->focus == PANE_TASKS && review->count)
		review->selected = review->ids[review->scroll[PANE_TASKS].selected];
	else
		show_file(review);
	return true;
}

static bool go_back(struct review *review)
{
	if (review->focus != PANE_TASKS)
		review->focus--;
	else
		edit_set(&review->filter.edit, "");
	return true;
}

static bool open_session(struct review *review)
{
	const Maestro__Task *task = model_task(review->view.ui->model, review->selected);

	if (task && task_has_screen(task))
		ui_open_screen(review->view.ui, task->id, false);
	else
		ui_message(review->view.ui, THEME_TEXT, "the session of this task is over");
	return true;
}

static bool review_request(struct view *view, enum request request)
{
	struct review *review = review_of(view);

	gather(review);
	if (request == REQUEST_FILTER) {
		ui_filter(view->ui, &review->filter);
		return true;
	}
	if (!review->count)
		return request == REQUEST_BACK ? go_back(review) : request == REQUEST_OPEN;
	if (move_in(review, request))
		return true;
	switch (request) {
	case REQUEST_OPEN:
		if (review->why && !review->request)
			drop_diff(review); /* asks again */
		review->focus = review->focus < PANE_DIFF ? review->focus + 1 : PANE_DIFF;
		return true;
	case REQUEST_BACK:
		return go_back(review);
	case REQUEST_PANE_NEXT:
	case REQUEST_PANE_PREVIOUS:
		review->focus = (review->focus + (request == REQUEST_PANE_NEXT ? 1 : PANE_COUNT - 1)) % PANE_COUNT;
		return true;
	case REQUEST_TYPE:
		return open_session(review);
	case REQUEST_MERGE:
		if (!review->diff.message || review->diff_task != review->selected)
			ui_message(view->ui, THEME_BAD, "look at the diff first: it is not here yet");
		else
			ui_ask_merge(view->ui, review->selected, review->diff.message->commit);
		return true;
	case REQUEST_REJECT:
		ui_ask_reject(view->ui, review->selected);
		return true;
	default:
		return false;
	}
}

static void review_click(struct view *view, int y, int x, bool twice)
{
	struct review *review = review_of(view);

	gather(review);
	for (int pane = 0; pane < PANE_COUNT; pane++) {
		struct area area = review->areas[pane];
		size_t at = review->scroll[pane].top + (size_t)(y - area.y);

		if (y < area.y || y >= area.y + area.h || x < area.x || x >= area.x + area.w)
			continue;
		review->focus = (enum pane)pane;
		if (pane == PANE_TASKS && at < review->count)
			review->selected = review->ids[at];
		if (pane == PANE_FILES && at < review->scroll[pane].count) {
			review->scroll[pane].selected = at;
			show_file(review);
		}
	}
}

static const struct view_ops review_ops = {
	.name = "Review",
	.contexts = { CONTEXT_REVIEW, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
	.free = review_free,
	.draw = review_draw,
	.request = review_request,
	.click = review_click,
	.changed = review_changed,
};

int view_review_new(struct view **ret_view, struct ui *ui)
{
	struct review *review = calloc(1, sizeof(*review));

	if (!review)
		return -ENOMEM;
	review->view = (struct view){ &review_ops, ui };
	edit_init(&review->filter.edit, false, 100);
	*ret_view = &review->view;
	return 0;
}
