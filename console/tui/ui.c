/* The stack of views, and where keys go. */
#include "console/tui/ui.h"
#include "console/tui/actions.h"
#include "console/tui/frame.h"
#include "console/tui/task.h"
#include "console/tui/term.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static int (*const tab_makers[UI_TABS])(struct view **, struct ui *) = {
	[UI_SESSIONS] = view_sessions_new,
	[UI_TASKS] = view_tasks_new,
	[UI_REVIEW] = view_review_new,
	[UI_FLEET] = view_fleet_new,
	[UI_LOG] = view_log_new,
};

struct view *ui_top(struct ui *ui)
{
	return ui->overlay_count ? ui->overlays[ui->overlay_count - 1] : ui->tabs[ui->tab];
}

/* The view that fills the screen: the last overlay that covers, else the tab. What is above it are boxes. */
static size_t covering(const struct ui *ui)
{
	for (size_t i = ui->overlay_count; i > 0; i--)
		if (ui->overlays[i - 1]->ops->covers)
			return i;
	return 0;
}

/* Streams are held by the covering view alone: a tile that nobody sees costs nothing. */
static void update_exposure(struct ui *ui)
{
	size_t at = covering(ui);
	struct view *view = at ? ui->overlays[at - 1] : ui->tabs[ui->tab];

	if (ui->live == view)
		return;
	if (ui->live && ui->live->ops->expose)
		ui->live->ops->expose(ui->live, false);
	ui->live = view;
	if (view->ops->expose)
		view->ops->expose(view, true);
}

void ui_redraw(struct ui *ui)
{
	ui->config.redraw(true, ui->config.userdata);
}

void ui_redraw_live(struct ui *ui)
{
	ui->config.redraw(false, ui->config.userdata);
}

void ui_push(struct ui *ui, struct view *view)
{
	if (ui->overlay_count == UI_OVERLAYS_MAX) {
		view->ops->free(view);
		return;
	}
	ui->overlays[ui->overlay_count++] = view;
	update_exposure(ui);
	ui_redraw(ui);
}

void ui_pop(struct ui *ui)
{
	struct view *view;

	if (!ui->overlay_count)
		return;
	view = ui->overlays[--ui->overlay_count];
	if (ui->live == view) {
		if (view->ops->expose)
			view->ops->expose(view, false);
		ui->live = NULL;
	}
	view->ops->free(view);
	update_exposure(ui);
	ui_redraw(ui);
}

void ui_show_tab(struct ui *ui, enum ui_tab tab)
{
	while (ui->overlay_count)
		ui_pop(ui);
	ui->tab = tab;
	update_exposure(ui);
	ui_redraw(ui);
}

int ui_init(struct ui *ui, const struct ui_config *config)
{
	int r;

	*ui = (struct ui){ .config = *config, .client = config->client, .model = config->model, .cursor_y = -1 };
	list_init(&ui->actions);
	edit_init(&ui->form_fields[0], false, LIMIT_TITLE_BYTES);
	edit_init(&ui->form_fields[1], true, LIMIT_PROMPT_BYTES);
	ui->paste = BUF_LIMIT(LIMIT_PROMPT_BYTES);
	r = theme_init(&ui->theme, config->colour);
	for (size_t i = 0; i < UI_TABS && !r; i++)
		r = tab_makers[i](&ui->tabs[i], ui);
	if (r)
		return r;
	update_exposure(ui);
	return 0;
}

void ui_deinit(struct ui *ui)
{
	while (ui->overlay_count)
		ui_pop(ui);
	action_forget_all(ui);
	for (size_t i = 0; i < UI_TABS; i++)
		if (ui->tabs[i])
			ui->tabs[i]->ops->free(ui->tabs[i]);
	edit_deinit(&ui->form_fields[0]);
	edit_deinit(&ui->form_fields[1]);
	buf_deinit(&ui->paste);
	theme_deinit(&ui->theme);
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

static void put_on_terminal(struct ui *ui)
{
	curs_set(ui->cursor_y >= 0 ? 1 : 0);
	if (ui->cursor_y >= 0)
		move(ui->cursor_y, ui->cursor_x);
	refresh();
	if (ui->live->ops->shown)
		ui->live->ops->shown(ui->live);
}

static void draw_all(struct ui *ui)
{
	size_t at = covering(ui);

	erase();
	ui->cursor_y = -1;
	if (LINES < UI_ROWS_MIN || COLS < UI_COLS_MIN) {
		frame_draw_too_small(ui);
		return;
	}
	if (at) {
		ui->overlays[at - 1]->ops->draw(ui->overlays[at - 1], frame_draw_plain(ui));
	} else {
		ui->tabs[ui->tab]->ops->draw(ui->tabs[ui->tab], frame_draw(ui));
	}
	for (; at < ui->overlay_count; at++)
		ui->overlays[at]->ops->draw(ui->overlays[at], (struct area){ 0, 0, LINES - 1, COLS });
	frame_draw_footer(ui);
}

void ui_draw(struct ui *ui, bool all)
{
	struct view *live = ui->live;

	if (ui->message_until_ms && ui_now_ms(ui) >= ui->message_until_ms)
		ui->message[0] = 0;
	if (theme_begin_frame(&ui->theme))
		all = true;
	/* A box above live tiles would be drawn over. */
	if (all || ui_top(ui) != live || !live->ops->draw_live || LINES < UI_ROWS_MIN || COLS < UI_COLS_MIN)
		draw_all(ui);
	else
		live->ops->draw_live(live);
	put_on_terminal(ui);
}

void ui_set_cursor(struct ui *ui, int y, int x)
{
	ui->cursor_y = y < LINES ? y : -1;
	ui->cursor_x = x < COLS ? x : COLS - 1;
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static void request_tab(struct ui *ui, enum request request)
{
	ui_show_tab(ui, (enum ui_tab)(request - REQUEST_VIEW_SESSIONS));
}

static void request_step(struct ui *ui, enum request request)
{
	ui_show_tab(ui, (enum ui_tab)((ui->tab + (request == REQUEST_VIEW_NEXT ? 1 : UI_TABS - 1)) % UI_TABS));
}

static void request_help(struct ui *ui, enum request request)
{
	struct view *view;

	if (view_help_new(&view, ui) == 0)
		ui_push(ui, view);
}

static void request_back(struct ui *ui, enum request request)
{
	ui_pop(ui);
}

static void request_quit(struct ui *ui, enum request request)
{
	ui->quit = true;
}

static void request_suspend(struct ui *ui, enum request request)
{
	ui->suspend = true;
}

static void request_redraw(struct ui *ui, enum request request)
{
	clearok(curscr, TRUE);
}

static const struct {
	enum request request;
	void (*run)(struct ui *ui, enum request request);
} requests[] = {
	{ REQUEST_VIEW_SESSIONS, request_tab },
	{ REQUEST_VIEW_TASKS, request_tab },
	{ REQUEST_VIEW_REVIEW, request_tab },
	{ REQUEST_VIEW_FLEET, request_tab },
	{ REQUEST_VIEW_LOG, request_tab },
	{ REQUEST_VIEW_NEXT, request_step },
	{ REQUEST_VIEW_PREVIOUS, request_step },
	{ REQUEST_HELP, request_help },
	{ REQUEST_BACK, request_back },
	{ REQUEST_QUIT, request_quit },
	{ REQUEST_SUSPEND, request_suspend },
	{ REQUEST_REDRAW, request_redraw },
};

static void run_request(struct ui *ui, enum request request)
{
	struct view *view = ui_top(ui);

	if (request == REQUEST_NONE || (view->ops->request && view->ops->request(view, request)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].request == request)
			requests[i].run(ui, request);
}

static void collect_paste(struct ui *ui, int key)
{
	char out[4];

	if (key == KEY_CURSES(KEY_PASTE_END)) {
		struct view *view = ui_top(ui);

		ui->pasting = false;
		if (view->ops->paste)
			view->ops->paste(view, buf_text(&ui->paste), ui->paste.len);
		buf_clear(&ui->paste);
		return;
	}
	if (key >= 0 && key < KEY_FUNCTION_BIT)
		buf_append(&ui->paste, out, (size_t)str_utf8_put((uint32_t)key, out));
}

void ui_key(struct ui *ui, int key)
{
	struct view *view = ui_top(ui);

	ui_redraw(ui);
	if (ui->pasting) {
		collect_paste(ui, key);
		return;
	}
	if (!ui->message_until_ms)
		ui->message[0] = 0;
	if (key == KEY_CURSES(KEY_PASTE_BEGIN)) {
		ui->pasting = true;
		return;
	}
	if (view->ops->key && view->ops->key(view, key))
		return;
	run_request(ui, key_find(view->ops->contexts, view->ops->context_count, key));
}

void ui_mouse(struct ui *ui, int y, int x, bool twice)
{
	struct view *view = ui_top(ui);
	int tab = ui->overlay_count ? -1 : frame_tab_at(ui, y, x);

	ui_redraw(ui);
	if (tab >= 0)
		ui_show_tab(ui, (enum ui_tab)tab);
	else if (view->ops->click)
		view->ops->click(view, y, x, twice);
}

bool ui_wants_raw(struct ui *ui)
{
	struct view *view = ui_top(ui);

	return view->ops->wants_raw && view->ops->wants_raw(view);
}

size_t ui_raw(struct ui *ui, const char *data, size_t len)
{
	struct view *view = ui_top(ui);

	return view->ops->raw(view, data, len);
}

void ui_changed(struct ui *ui, unsigned int parts, uint64_t task)
{
	for (size_t i = 0; i < UI_TABS; i++)
		if (ui->tabs[i]->ops->changed)
			ui->tabs[i]->ops->changed(ui->tabs[i], parts, task);
	for (size_t i = ui->overlay_count; i > 0; i--)
		if (i <= ui->overlay_count && ui->overlays[i - 1]->ops->changed)
			ui->overlays[i - 1]->ops->changed(ui->overlays[i - 1], parts, task);
	ui_redraw(ui);
}

/* --- for views ----------------------------------------------------------------------------------------------- */

uint64_t ui_now_ms(const struct ui *ui)
{
	return ui->config.clock->now_ms();
}

/* A failure stays until the next key, good news goes by itself. */
void ui_message(struct ui *ui, enum theme_role role, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ui->message, sizeof(ui->message), format, args);
	va_end(args);
	ui->message_role = role;
	ui->message_until_ms = role == THEME_BAD ? 0 : ui_now_ms(ui) + 5000;
	ui_redraw(ui);
}

/* Ages count in seconds for two minutes, then in minutes. */
static uint64_t age_tick(struct ui *ui)
{
	int64_t now = ui->config.clock->wall_ms();
	bool any = false;

	if (model_age_ms(ui->model))
		return 1000;
	for (size_t i = 0; i < model_task_count(ui->model); i++) {
		const Maestro__Task *task = model_task_at(ui->model, i);
		int64_t from = task->has_ended_ms && task->ended_ms ? task->ended_ms : task->created_ms;

		if (now - from < 120000)
			return 1000;
		any = true;
	}
	return any ? 60000 : 0;
}

uint64_t ui_next_tick_ms(struct ui *ui)
{
	uint64_t tick = age_tick(ui), now = ui_now_ms(ui);

	if (ui->message[0] && ui->message_until_ms > now && (!tick || ui->message_until_ms - now < tick))
		tick = ui->message_until_ms - now + 1;
	return tick;
}

bool ui_may_act(struct ui *ui)
{
	Maestro__Role role = client_role(ui->client);

	if (!client_connected(ui->client))
		ui_message(ui, THEME_BAD, "there is no connection to the coordinator: try again when it is back");
	else if (role != MAESTRO__ROLE__ROLE_OPERATOR && role != MAESTRO__ROLE__ROLE_ADMIN)
		ui_message(ui, THEME_BAD, "your key is a %s's: it may only watch", name_role(role));
	else
		return true;
	return false;
}
