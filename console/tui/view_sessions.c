/* What runs, live: a grid of tiles. Streams are held only for the tiles that are seen. */
#include "console/tui/task.h"
#include "console/tui/tile.h"
#include "console/tui/ui.h"
#include "proto/wire/limit.h"

#include <string.h>

#define TILES_MAX 48

struct sessions {
	struct view view;
	struct filter filter;
	struct scroll scroll;
	uint64_t selected; /* task */
	uint64_t *tasks;   /* those with a screen, by id */
	size_t count;
	struct tile *tiles[TILES_MAX];
	size_t tile_count;
	size_t columns;
};

static struct sessions *sessions_of(struct view *view)
{
	return container_of(view, struct sessions, view);
}

static void free_tiles(struct sessions *sessions)
{
	for (size_t i = 0; i < sessions->tile_count; i++)
		tile_free(sessions->tiles[i]);
	sessions->tile_count = 0;
}

static void sessions_free(struct view *view)
{
	struct sessions *sessions = sessions_of(view);

	free_tiles(sessions);
	edit_deinit(&sessions->filter.edit);
	free(sessions->tasks);
	free(sessions);
}

/* --- which ones ---------------------------------------------------------------------------------------------- */

static void gather(struct sessions *sessions)
{
	struct model *model = sessions->view.ui->model;
	uint64_t *tasks = reallocarray(sessions->tasks, model_task_count(model) + 1, sizeof(*tasks));
	size_t at = sessions->scroll.selected;

	if (!tasks)
		return;
	sessions->tasks = tasks;
	sessions->count = 0;
	for (size_t i = 0; i < model_task_count(model); i++) {
		const Maestro__Task *task = model_task_at(model, i);

		if (!task_has_screen(task) || !task_matches(&sessions->filter, task))
			continue;
		if (task->id == sessions->selected)
			at = sessions->count;
		tasks[sessions->count++] = task->id;
	}
	sessions->scroll.selected = at < sessions->count ? at : sessions->count ? sessions->count - 1 : 0;
	sessions->selected = sessions->count ? tasks[sessions->scroll.selected] : 0;
}

/* The grid whose tiles come nearest to a terminal's shape (three times as wide as high) and that fits. */
static void choose_grid(struct area area, size_t count, size_t *ret_columns, size_t *ret_rows)
{
	size_t columns_max = (size_t)area.w / TILE_COLS_MIN, rows_max = (size_t)area.h / TILE_ROWS_MIN;
	double best = 1e9;

	columns_max = columns_max ? columns_max : 1;
	rows_max = rows_max ? rows_max : 1;
	if (columns_max * rows_max > TILES_MAX)
		rows_max = TILES_MAX / columns_max;
	*ret_columns = columns_max;
	*ret_rows = rows_max;
	for (size_t columns = 1; columns <= columns_max; columns++) {
		size_t rows = (count + columns - 1) / columns;
		double shape, off;

		if (rows > rows_max)
			continue;
		shape = ((double)area.w / (double)columns) / ((double)area.h / (double)rows);
		off = (shape > 3.2 ? shape / 3.2 : 3.2 / shape) + 0.4 * (double)(columns * rows - count);
		if (off < best) {
			best = off;
			*ret_columns = columns;
			*ret_rows = rows;
		}
	}
}

/* Keeps the tiles that stay, frees the others, opens the new ones: streams live as long as their tiles are seen. */
static void match_tiles(struct sessions *sessions, size_t first, size_t count)
{
	struct tile *old[TILES_MAX];
	size_t old_count = sessions->tile_count;

	memcpy(old, sessions->tiles, sizeof(old));
	sessions->tile_count = 0;
	for (size_t i = 0; i < count; i++) {
		const Maestro__Task *task = model_task(sessions->view.ui->model, sessions->tasks[first + i]);
		struct tile *tile = NULL;

		for (size_t k = 0; k < old_count && !tile; k++)
			if (old[k] && old[k]->task == task->id && old[k]->attempt == task->attempt &&
				!tile_is_stale(old[k], task))
				tile = take(old[k]);
		if (!tile && tile_new(&tile, sessions->view.ui, task) < 0)
			break;
		sessions->tiles[sessions->tile_count++] = tile;
	}
	for (size_t k = 0; k < old_count; k++)
		if (old[k])
			tile_free(old[k]);
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

static void draw_nothing(struct sessions *sessions, struct area area)
{
	struct ui *ui = sessions->view.ui;
	struct task_counts counts = task_count(ui->model);
	const char *text = "No session runs.\n\nPress n for a new task, or run in a repository:  maestro run 'what to do'";
	struct area box = { area.y + area.h / 3, area.x + 4, area.h, area.w - 8 };

	if (!model_ready(ui->model))
		text = "Waiting for the coordinator ...";
	else if (filter_on(&sessions->filter))
		text = "No session matches the filter. Esc shows all.";
	else if (!model_worker_count(ui->model))
		text = "No worker is there, so nothing can run.\n\nOn this machine, in a repository:  maestro up\n"
		       "On a build server:  maestro-worker join ADDRESS,  then  maestro-worker run";
	else if (counts.review)
		text = "No session runs.\n\nPress 3 for what waits for your review, or n for a new task.";
	draw_wrapped(&ui->theme, box, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}

/* The last line of tiles shares the whole width. */
static struct area tile_area(struct area area, size_t columns, size_t rows, size_t count, size_t index)
{
	size_t row = index / columns, column = index % columns;
	size_t in_row = row == (count - 1) / columns ? count - row * columns : columns;
	int y = (int)((size_t)area.h * row / rows), x = (int)((size_t)area.w * column / in_row);

	return (struct area){ area.y + y, area.x + x, (int)((size_t)area.h * (row + 1) / rows) - y,
		(int)((size_t)area.w * (column + 1) / in_row) - x };
}

static size_t draw_more(struct sessions *sessions, struct area area, size_t first, size_t count)
{
	struct ui *ui = sessions->view.ui;
	char text[160];

	snprintf(text, sizeof(text), " %zu to %zu of %zu sessions; PgDn shows more%s%s", first + 1, first + count, sessions->count,
		filter_on(&sessions->filter) ? "; filter: " : "", buf_text(&sessions->filter.edit.text));
	draw_text(&ui->theme, area.y + area.h - 1, area.x, area.w, draw_look(&ui->theme, THEME_DIM, 0), text);
	return 1;
}

static void sessions_draw(struct view *view, struct area area)
{
	struct sessions *sessions = sessions_of(view);
	size_t columns, rows, page, first, count;

	gather(sessions);
	if (!sessions->count) {
		free_tiles(sessions);
		draw_nothing(sessions, area);
		return;
	}
	choose_grid(area, sessions->count, &columns, &rows);
	if (columns * rows < sessions->count || filter_on(&sessions->filter))
		area.h--;
	page = columns * rows;
	first = sessions->scroll.selected / page * page;
	count = sessions->count - first < page ? sessions->count - first : page;
	sessions->columns = columns;
	sessions->scroll.count = sessions->count;
	sessions->scroll.page = page;
	match_tiles(sessions, first, count);
	for (size_t i = 0; i < sessions->tile_count; i++)
		tile_draw(sessions->tiles[i], model_task(view->ui->model, sessions->tiles[i]->task),
			tile_area(area, columns, page < sessions->count ? rows : (count + columns - 1) / columns, count, i),
			first + i == sessions->scroll.selected);
	if (page < sessions->count || filter_on(&sessions->filter)) {
		area.h++;
		draw_more(sessions, area, first, count);
	}
}

static void sessions_draw_live(struct view *view)
{
	struct sessions *sessions = sessions_of(view);

	for (size_t i = 0; i < sessions->tile_count; i++)
		tile_draw_live(sessions->tiles[i]);
}

static void sessions_shown(struct view *view)
{
	struct sessions *sessions = sessions_of(view);

	for (size_t i = 0; i < sessions->tile_count; i++)
		tile_shown(sessions->tiles[i]);
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static void pick(struct sessions *sessions, size_t index)
{
	sessions->scroll.selected = index;
	sessions->selected = sessions->tasks[index];
}

static void step(struct sessions *sessions, enum request request)
{
	size_t at = sessions->scroll.selected, columns = sessions->columns ? sessions->columns : 1;

	if (request == REQUEST_LEFT && at > 0)
		pick(sessions, at - 1);
	else if (request == REQUEST_RIGHT && at + 1 < sessions->count)
		pick(sessions, at + 1);
	else if (request == REQUEST_UP && at >= columns)
		pick(sessions, at - columns);
	else if (request == REQUEST_DOWN && at / columns < (sessions->count - 1) / columns)
		pick(sessions, at + columns < sessions->count ? at + columns : sessions->count - 1);
}

static void next_waiting(struct sessions *sessions)
{
	for (size_t i = 1; i <= sessions->count; i++) {
		size_t at = (sessions->scroll.selected + i) % sessions->count;
		const Maestro__Task *task = model_task(sessions->view.ui->model, sessions->tasks[at]);

		if (task && task_waits(task)) {
			pick(sessions, at);
			return;
		}
	}
	ui_message(sessions->view.ui, THEME_TEXT, "no session waits for you");
}

static bool sessions_back(struct sessions *sessions)
{
	if (!filter_on(&sessions->filter))
		return false;
	edit_set(&sessions->filter.edit, "");
	return true;
}

static bool sessions_request(struct view *view, enum request request)
{
	struct sessions *sessions = sessions_of(view);
	struct ui *ui = view->ui;

	gather(sessions);
	switch (request) {
	case REQUEST_NEW:
		ui_new_task(ui);
		return true;
	case REQUEST_FILTER:
		ui_filter(ui, &sessions->filter);
		return true;
	case REQUEST_BACK:
		return sessions_back(sessions);
	default:
		break;
	}
	if (!sessions->count)
		return request >= REQUEST_UP && request <= REQUEST_WAITING;
	switch (request) {
	case REQUEST_UP:
	case REQUEST_DOWN:
	case REQUEST_LEFT:
	case REQUEST_RIGHT:
		step(sessions, request);
		return true;
	case REQUEST_OPEN:
	case REQUEST_TYPE:
		ui_open_screen(ui, sessions->selected, request == REQUEST_TYPE);
		return true;
	case REQUEST_STOP:
		ui_ask_stop(ui, sessions->selected);
		return true;
	case REQUEST_WAITING:
		next_waiting(sessions);
		return true;
	default:
		if (!scroll_request(&sessions->scroll, request))
			return false;
		pick(sessions, sessions->scroll.selected);
		return true;
	}
}

static void sessions_click(struct view *view, int y, int x, bool twice)
{
	struct sessions *sessions = sessions_of(view);

	for (size_t i = 0; i < sessions->tile_count; i++) {
		const struct tile *tile = sessions->tiles[i];

		if (y < tile->area.y || y >= tile->area.y + tile->area.h || x < tile->area.x || x >= tile->area.x + tile->area.w)
			continue;
		if (twice || sessions->selected == tile->task)
			ui_open_screen(view->ui, tile->task, false);
		else
			sessions->selected = tile->task;
		return;
	}
}

static void sessions_expose(struct view *view, bool visible)
{
	if (!visible)
		free_tiles(sessions_of(view));
}

static const struct view_ops sessions_ops = {
	.name = "Sessions",
	.contexts = { CONTEXT_SESSIONS, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
	.free = sessions_free,
	.draw = sessions_draw,
	.draw_live = sessions_draw_live,
	.shown = sessions_shown,
	.request = sessions_request,
	.click = sessions_click,
	.expose = sessions_expose,
};

int view_sessions_new(struct view **ret_view, struct ui *ui)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));

	if (!sessions)
		return -ENOMEM;
	sessions->view = (struct view){ &sessions_ops, ui };
	edit_init(&sessions->filter.edit, false, 100);
	*ret_view = &sessions->view;
	return 0;
}
