/* One session, full size: watched, or typed into.
 *
 * While it is watched its size is left alone; typing takes over keys and size, since a program that is spoken to
 * should fit the window of whoever speaks. Keys go through as bytes; only what depends on modes is translated
 * (typing.h). */
#include "console/tui/task.h"
#include "console/tui/term.h"
#include "console/tui/tile.h"
#include "console/tui/typing.h"
#include "console/tui/ui.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>

static const struct view_ops watching_ops, typing_ops;

struct watch {
	struct view view;
	uint64_t task;
	struct stream *stream;  /* what is shown */
	struct stream *next;    /* opened to take its place, from its first frame on */
	struct area area;       /* of the cells */
	bool drives;            /* `next` or else `stream` was opened to drive */
	bool typing, dirty, visible;
	struct typing keys;
	char why[200];          /* why the stream was closed, "" while it is open */
	int64_t closed_ms;
	unsigned int top, left;
	unsigned int lift;      /* rows that the person scrolled up */
	uint64_t seen[SCREEN_ROWS_MAX];
	unsigned int cols, rows;
};

static struct watch *watch_of(struct view *view)
{
	return container_of(view, struct watch, view);
}

static void free_streams(struct watch *watch)
{
	if (watch->stream)
		stream_free(watch->stream);
	if (watch->next)
		stream_free(watch->next);
	watch->stream = watch->next = NULL;
}

static void watch_free(struct view *view)
{
	struct watch *watch = watch_of(view);

	if (watch->typing)
		term_set_mouse(true);
	free_streams(watch);
	free(watch);
}

/* --- the stream ---------------------------------------------------------------------------------------------- */

static void on_updated(struct stream *stream, void *userdata)
{
	struct watch *watch = userdata;

	watch->dirty = true;
	if (stream != watch->next) {
		ui_redraw_live(watch->view.ui);
		return;
	}
	if (watch->stream)
		stream_free(watch->stream);
	watch->stream = take(watch->next);
	ui_redraw(watch->view.ui);
}

static void leave_typing(struct watch *watch)
{
	if (!watch->typing)
		return;
	watch->typing = false;
	watch->view.ops = &watching_ops;
	if (!watch->stream)
		watch->drives = false;
	term_set_mouse(true);
}

static void on_closed(struct stream *stream, const char *why, void *userdata)
{
	struct watch *watch = userdata;

	if (stream == watch->next && watch->stream) {
		stream_free(take(watch->next));
		leave_typing(watch);
		ui_message(watch->view.ui, THEME_BAD, "it cannot be typed into: %s", why);
		return;
	}
	snprintf(watch->why, sizeof(watch->why), "%s", *why ? why : "the session is over");
	watch->closed_ms = watch->view.ui->config.clock->wall_ms();
	ui_redraw(watch->view.ui);
}

static const struct stream_ops watch_stream_ops = { .updated = on_updated, .closed = on_closed };

static void open_stream(struct watch *watch, bool drive)
{
	struct stream_config config = { .task = watch->task, .kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED, .drive = drive,
		.ack_by_hand = true, .ops = &watch_stream_ops, .userdata = watch };
	int r;

	if (drive) {
		config.cols = (uint32_t)COLS;
		config.rows = (uint32_t)(LINES > 3 ? LINES - 2 : 1);
	}
	if (watch->next)
		stream_free(take(watch->next));
	watch->why[0] = 0;
	r = stream_open(&watch->next, watch->view.ui->client, &config);
	if (r)
		snprintf(watch->why, sizeof(watch->why), "it cannot be opened: %s", strerror(r < 0 ? -r : EIO));
	watch->drives = drive;
}

/* It ended here and its session did not: its worker, or the connection to it, was lost for a while. Who was typing goes on,
 * and what was typed meanwhile is not lost, nor taken for the console's own keys. */
static void open_again(struct watch *watch)
{
	if (!watch->typing || !watch->stream || !stream_closed(watch->stream)) {
		open_stream(watch, watch->typing);
		return;
	}
	watch->why[0] = 0;
	stream_reopen(watch->stream);
}

/* What keys go to. */
static struct stream *driven(struct watch *watch)
{
	return watch->next ? watch->next : watch->stream;
}

static void set_typing(struct watch *watch, bool on)
{
	struct ui *ui = watch->view.ui;

	if (on == watch->typing || (on && !ui_may_act(ui)))
		return;
	if (on && watch->why[0]) {
		ui_message(ui, THEME_BAD, "nothing to type into: %s", watch->why);
		return;
	}
	if (!on) {
		leave_typing(watch);
		ui_redraw(ui);
		return;
	}
	watch->typing = true;
	watch->view.ops = &typing_ops;
	watch->keys = (struct typing){ 0 };
	watch->lift = 0;
	if (!watch->drives && watch->visible)
		open_stream(watch, true);
	term_set_mouse(false);
	ui_redraw(ui);
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

static void draw_title(struct watch *watch, const Maestro__Task *task, int y)
{
	struct ui *ui = watch->view.ui;
	const struct theme *theme = &ui->theme;
	struct theme_look look = draw_look(theme, watch->typing ? THEME_ALERT : THEME_SELECTED, 0);
	const char *mode = watch->typing ? " TYPING " : watch->why[0] ? " ENDED " : " watching ";
	char text[TASK_TEXT_MAX * 3], title[TASK_TEXT_MAX], message[TASK_TEXT_MAX] = "";
	struct theme_state state = task_shown_state(theme, task);

	if (task->status && task->status->has_message)
		task_bytes(&task->status->message, message);
	snprintf(text, sizeof(text), " %" PRIu64 " %s  %s %s  %s on %s  %s", task->id, task_title(task, title), state.sign,
		state.word, str_or(task->agent, "-"), str_or(task->worker, "-"), message);
	draw_field(theme, y, 0, COLS - draw_width(mode), look, text);
	draw_text(theme, y, COLS - draw_width(mode), draw_width(mode), draw_look(theme, THEME_STRONG, A_REVERSE), mode);
}

static void place_cursor(struct watch *watch, const struct screen *screen)
{
	struct area area = watch->area;
	int y = (int)screen->cursor_row - (int)watch->top, x = (int)screen->cursor_col - (int)watch->left;

	watch->view.ui->cursor_y = -1;
	if (watch->typing && screen->cursor_visible && y >= 0 && y < area.h && x >= 0 && x < area.w)
		ui_set_cursor(watch->view.ui, area.y + y, area.x + x);
}

static void draw_screen(struct watch *watch, bool all)
{
	const struct screen *screen = watch->stream ? stream_screen(watch->stream) : NULL;
	unsigned int top, left, lift;

	if (!screen || !screen->rows)
		return;
	top = tile_window(screen, watch->area.h);
	lift = watch->lift < top ? watch->lift : top;
	watch->lift = lift;
	top -= lift;
	left = watch->left + (unsigned int)watch->area.w > screen->cols ?
		screen->cols > (unsigned int)watch->area.w ? screen->cols - (unsigned int)watch->area.w : 0 : watch->left;
	if (all || top != watch->top || left != watch->left || screen->cols != watch->cols || screen->rows != watch->rows)
		memset(watch->seen, 0, sizeof(watch->seen));
	watch->top = top;
	watch->left = left;
	watch->cols = screen->cols;
	watch->rows = screen->rows;
	draw_cells(&watch->view.ui->theme, watch->area, screen, top, left, watch->seen);
	place_cursor(watch, screen);
}

static void draw_gone(struct watch *watch)
{
	struct ui *ui = watch->view.ui;
	const char *text = watch->why[0] ? watch->why : "waiting for the screen ...";

	draw_text(&ui->theme, watch->area.y, 1, COLS - 2, draw_look(&ui->theme, THEME_DIM, 0), text);
}

static void watch_draw(struct view *view, struct area area)
{
	struct watch *watch = watch_of(view);
	const Maestro__Task *task = model_task(view->ui->model, watch->task);
	struct area cells = { area.y + 1, 0, area.h - 1 < (int)SCREEN_ROWS_MAX ? area.h - 1 : (int)SCREEN_ROWS_MAX, area.w };
	bool other = cells.h != watch->area.h || cells.w != watch->area.w;

	watch->area = cells;
	if (watch->why[0] && task && task_closed_too_early(view->ui, task, watch->closed_ms))
		open_again(watch);
	else if (watch->why[0] && (!task || !task_session_live(task)))
		leave_typing(watch);
	if (watch->drives && driven(watch) && other)
		stream_resize(driven(watch), (uint32_t)cells.w, (uint32_t)cells.h);
	if (task)
		draw_title(watch, task, area.y);
	else
		draw_field(&view->ui->theme, area.y, 0, COLS, draw_look(&view->ui->theme, THEME_SELECTED, 0), " this task is gone ");
	if (!watch->stream || !stream_screen(watch->stream)->rows)
		draw_gone(watch);
	draw_screen(watch, true);
}

static void watch_draw_live(struct view *view)
{
	if (watch_of(view)->dirty)
		draw_screen(watch_of(view), false);
}

static void watch_shown(struct view *view)
{
	struct watch *watch = watch_of(view);

	if (watch->dirty && watch->stream)
		stream_ack(watch->stream);
	watch->dirty = false;
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static bool watch_wants_raw(struct view *view)
{
	return watch_of(view)->typing;
}

static size_t watch_raw(struct view *view, const char *data, size_t len)
{
	struct watch *watch = watch_of(view);
	const struct screen *screen = watch->stream ? stream_screen(watch->stream) : NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	bool detach = false;
	size_t taken = typing_translate(&watch->keys, screen ? screen->modes : 0, data, len, &out, &detach);

	if (out.len && driven(watch) && stream_send(driven(watch), out.data, out.len) != 0)
		ui_message(view->ui, THEME_BAD, "this key went nowhere: %s", client_connected(view->ui->client) ?
			"the session does not take keys now" : "there is no connection");
	if (detach)
		set_typing(watch, false);
	return taken;
}

static bool watch_request(struct view *view, enum request request)
{
	struct watch *watch = watch_of(view);
	unsigned int page = watch->area.h > 2 ? (unsigned int)watch->area.h / 2 : 1;

	switch (request) {
	case REQUEST_TYPE:
		set_typing(watch, true);
		return true;
	case REQUEST_STOP:
		ui_ask_stop(view->ui, watch->task);
		return true;
	case REQUEST_UP:
	case REQUEST_PAGE_UP:
		watch->lift += request == REQUEST_UP ? 1 : page;
		return true;
	case REQUEST_DOWN:
	case REQUEST_PAGE_DOWN:
		page = request == REQUEST_DOWN ? 1 : page;
		watch->lift = watch->lift > page ? watch->lift - page : 0;
		return true;
	case REQUEST_RIGHT:
		watch->left += 8;
		return true;
	case REQUEST_LEFT:
		watch->left = watch->left > 8 ? watch->left - 8 : 0;
		return true;
	case REQUEST_FIRST:
	case REQUEST_LAST:
		watch->lift = request == REQUEST_FIRST ? SCREEN_ROWS_MAX : 0;
		return true;
	case REQUEST_QUIT:
		ui_pop(view->ui);
		return true;
	default:
		return false;
	}
}

static void watch_expose(struct view *view, bool visible)
{
	struct watch *watch = watch_of(view);

	watch->visible = visible;
	if (visible && !watch->stream && !watch->next)
		open_stream(watch, watch->typing);
	else if (!visible)
		free_streams(watch);
}

#define WATCH_OPS                                                                                            \
	.name = "Session", .covers = true, .free = watch_free, .draw = watch_draw, .draw_live = watch_draw_live, \
	.shown = watch_shown, .request = watch_request, .wants_raw = watch_wants_raw, .raw = watch_raw,        \
	.expose = watch_expose

/* Typing is the same view with other keys. */
static const struct view_ops watching_ops = {
	WATCH_OPS,
	.contexts = { CONTEXT_SCREEN, CONTEXT_LIST, CONTEXT_GLOBAL },
	.context_count = 3,
};
static const struct view_ops typing_ops = {
	WATCH_OPS,
	.contexts = { CONTEXT_TYPING },
	.context_count = 1,
};

int view_screen_new(struct view **ret_view, struct ui *ui, uint64_t task, bool typing)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->view = (struct view){ &watching_ops, ui };
	watch->task = task;
	if (typing)
		set_typing(watch, true);
	*ret_view = &watch->view;
	return 0;
}
