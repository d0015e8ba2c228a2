#include "console/tui/tile.h"
#include "console/tui/task.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>

static void on_updated(struct stream *stream, void *userdata)
{
	struct tile *tile = userdata;

	tile->dirty = true;
	ui_redraw_live(tile->ui);
}

static void on_closed(struct stream *stream, const char *why, void *userdata)
{
	struct tile *tile = userdata;

	tile->ended_ms = tile->ui->config.clock->wall_ms();
	ui_redraw(tile->ui);
}

static const struct stream_ops tile_stream_ops = { .updated = on_updated, .closed = on_closed };

int tile_new(struct tile **ret_tile, struct ui *ui, const Maestro__Task *task)
{
	_cleanup_(tile_free_p) struct tile *tile = calloc(1, sizeof(*tile));
	struct stream_config config = { .task = task->id, .kind = MAESTRO__STREAM_KIND__STREAM_TILE,
		.rate_hz = TILE_RATE_HZ, .ack_by_hand = true, .ops = &tile_stream_ops };
	int r;

	if (!tile)
		return -ENOMEM;
	tile->ui = ui;
	tile->task = task->id;
	tile->attempt = task->attempt;
	config.userdata = tile;
	r = stream_open(&tile->stream, ui->client, &config);
	if (r)
		return error_fold(r);
	*ret_tile = take(tile);
	return 0;
}

bool tile_is_stale(const struct tile *tile, const Maestro__Task *task)
{
	return tile->ended_ms && task_closed_too_early(tile->ui, task, tile->ended_ms);
}

void tile_free(struct tile *tile)
{
	if (tile->stream)
		stream_free(tile->stream);
	free(tile->seen);
	free(tile);
}

unsigned int tile_window(const struct screen *screen, int height)
{
	unsigned int last = 0, top, room = height > 0 ? (unsigned int)height : 0;

	if (screen->rows <= room)
		return 0;
	for (unsigned int row = 0; row < screen->rows; row++)
		if (screen->row[row].used)
			last = row;
	if (screen->cursor_visible && screen->cursor_row > last)
		last = screen->cursor_row;
	top = last + 1 > room ? last + 1 - room : 0;
	if (screen->cursor_visible && screen->cursor_row < top)
		top = screen->cursor_row;
	return top;
}

/* --- frame --------------------------------------------------------------------------------------------------- */

static enum theme_role border_role(const Maestro__Task *task, bool focus)
{
	if (task_waits(task))
		return THEME_WAITING;
	return focus ? THEME_FOCUS : THEME_BORDER;
}

/* At the right of the upper line: how it stands. Returns the columns it took. */
static int draw_state(struct tile *tile, const Maestro__Task *task)
{
	const struct theme *theme = &tile->ui->theme;
	struct theme_state state = task_shown_state(theme, task);
	bool waits = task_waits(task);
	char text[48];
	int width;

	snprintf(text, sizeof(text), " %s %s ", state.sign, waits ? "NEEDS INPUT" : state.word);
	width = draw_width(text);
	draw_text(theme, tile->area.y, tile->area.x + tile->area.w - 1 - width, width,
		draw_look(theme, waits ? THEME_ALERT : state.role, 0), text);
	return width;
}

static void draw_name(struct tile *tile, const Maestro__Task *task, int room, bool focus)
{
	const struct theme *theme = &tile->ui->theme;
	int y = tile->area.y, x = tile->area.x + 1, who_width, used;
	char title[TASK_TEXT_MAX], text[TASK_TEXT_MAX + 2], id[32], who[160];

	snprintf(id, sizeof(id), "%s%" PRIu64 " ", focus ? theme_sign(theme, SIGN_POINTER) : " ", task->id);
	used = draw_text(theme, y, x, room, draw_look(theme, focus ? THEME_FOCUS : THEME_STRONG, A_BOLD), id);
	snprintf(who, sizeof(who), "%s %s %s %s ", theme_sign(theme, SIGN_DOT), str_or(task->worker, "-"),
		theme_sign(theme, SIGN_DOT), str_or(task->agent, "-"));
	who_width = draw_width(who);
	snprintf(text, sizeof(text), "%s ", task_title(task, title));
	if (room - used < who_width + 12)
		who_width = 0;
	room -= used + who_width;
	used += draw_text(theme, y, x + used, room, draw_look(theme, focus ? THEME_STRONG : THEME_TEXT, 0), text);
	if (who_width)
		draw_text(theme, y, x + used, who_width, draw_look(theme, THEME_DIM, 0), who);
}

/* The lower line: what the agent said last, and how far it is. */
static void draw_status(struct tile *tile, const Maestro__Task *task)
{
	const struct theme *theme = &tile->ui->theme;
	const Maestro__AgentStatus *status = task->status;
	int y = tile->area.y + tile->area.h - 1, x = tile->area.x + 2, room = tile->area.w - 4, meter = 0;
	char text[TASK_TEXT_MAX + 8], message[TASK_TEXT_MAX];

	if (!status)
		return;
	if (status->has_progress && room > 24) {
		int bar = room > 60 ? 20 : 10;

		meter = bar + 7;
		snprintf(text, sizeof(text), " %3u%% ", status->progress);
		draw_text(theme, y, x + room - 6, 6, draw_look(theme, THEME_TEXT, 0), text);
		draw_text(theme, y, x + room - meter, 1, draw_look(theme, THEME_TEXT, 0), " ");
		draw_meter(theme, y, x + room - meter + 1, bar, draw_look(theme, THEME_GOOD, 0), status->progress);
	}
	if (!status->has_message || !status->message.len)
		return;
	snprintf(text, sizeof(text), " %s ", task_bytes(&status->message, message));
	draw_text(theme, y, x, room - meter, draw_look(theme, task_waits(task) ? THEME_WAITING : THEME_TEXT, 0), text);
}

/* --- inside -------------------------------------------------------------------------------------------------- */

static void draw_empty(struct tile *tile, const Maestro__Task *task)
{
	const char *text = tile->ended_ms ? "the session is over" :
		task_state(task) == MAESTRO__TASK_STATE__TASK_STARTING ? "preparing the worktree ..." : "waiting for the screen ...";

	draw_text(&tile->ui->theme, tile->inside.y, tile->inside.x + 1, tile->inside.w - 1,
		draw_look(&tile->ui->theme, THEME_DIM, 0), text);
}

static void draw_inside(struct tile *tile, bool all)
{
	const struct screen *screen = stream_screen(tile->stream);
	unsigned int top;

	if (screen->rows == 0)
		return;
	top = tile_window(screen, tile->inside.h);
	if (all || top != tile->top || screen->cols != tile->cols || screen->rows != tile->rows)
		memset(tile->seen, 0, sizeof(*tile->seen) * (size_t)tile->inside.h);
	tile->top = top;
	tile->cols = screen->cols;
	tile->rows = screen->rows;
	draw_cells(&tile->ui->theme, tile->inside, screen, top, 0, tile->seen);
}

int tile_draw(struct tile *tile, const Maestro__Task *task, struct area area, bool focus)
{
	uint64_t *seen = reallocarray(tile->seen, (size_t)area.h, sizeof(*seen));
	int state_width;

	if (!seen)
		return -ENOMEM;
	tile->seen = seen;
	tile->area = area;
	tile->inside = (struct area){ area.y + 1, area.x + 1, area.h - 2, area.w - 2 };
	draw_box(&tile->ui->theme, area, draw_look(&tile->ui->theme, border_role(task, focus), 0));
	state_width = draw_state(tile, task);
	draw_name(tile, task, area.w - 3 - state_width, focus);
	draw_status(tile, task);
	if (stream_screen(tile->stream)->rows == 0)
		draw_empty(tile, task);
	draw_inside(tile, true);
	return 0;
}

void tile_draw_live(struct tile *tile)
{
	if (tile->dirty && tile->seen)
		draw_inside(tile, false);
}

void tile_shown(struct tile *tile)
{
	if (!tile->dirty)
		return;
	tile->dirty = false;
	stream_ack(tile->stream);
}
