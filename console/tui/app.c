#include "console/tui/app.h"
#include "console/tui/term.h"
#include "proto/base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

struct app {
	struct app_config config;
	struct ui ui;
	struct model *model;
	sd_event_source *input, *frame, *tick;
	sd_event_source *signals[4];
	bool dirty, dirty_live;
	uint64_t drawn_ms; /* when the last frame went out */
	uint64_t typed_ms; /* when keys went to a session last */
	bool ready;
};

static const int watched_signals[] = { SIGWINCH, SIGTERM, SIGINT, SIGHUP };

struct ui *app_ui(struct app *app)
{
	return &app->ui;
}

/* --- when to draw -------------------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC: ages that are shown come from the model; this only says when to look again. */
static void arm(sd_event_source *source, uint64_t in_ms)
{
	if (!in_ms) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(source, in_ms * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void draw_now(struct app *app)
{
	bool all = app->dirty;

	app->dirty = app->dirty_live = false;
	sd_event_source_set_enabled(app->frame, SD_EVENT_OFF);
	ui_draw(&app->ui, all);
	app->drawn_ms = clock_boottime_ms();
	arm(app->tick, ui_next_tick_ms(&app->ui));
	/* Drawing may have made more to draw (a message, a request that failed at once). */
	if (!app->dirty && !app->dirty_live && app->config.quiet)
		app->config.quiet(app->config.userdata);
}

static int on_frame(sd_event_source *source, uint64_t usec, void *userdata)
{
	draw_now(userdata);
	return 0;
}

static void on_redraw(bool all, void *userdata)
{
	struct app *app = userdata;
	uint64_t since_ms = clock_boottime_ms() - app->drawn_ms;
	/* What a session answers to a key is waited for by somebody. */
	bool echo = clock_boottime_ms() - app->typed_ms < APP_ECHO_MS;
	int on = SD_EVENT_OFF;

	app->dirty |= all;
	app->dirty_live |= !all;
	if (!app->ready)
		return;
	sd_event_source_get_enabled(app->frame, &on);
	if (on == SD_EVENT_OFF)
		arm(app->frame, since_ms < APP_FRAME_MS && !echo ? APP_FRAME_MS - since_ms : 1);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct app *app = userdata;

	app->dirty = true;
	draw_now(app);
	return 0;
}

static void on_model(struct model *model, unsigned int parts, uint64_t task, void *userdata)
{
	struct app *app = userdata;

	if (app->ready)
		ui_changed(&app->ui, parts, task);
}

/* --- input --------------------------------------------------------------------------------------------------- */

static void read_mouse(struct app *app)
{
	static const int page = 3;
	MEVENT event;

	if (getmouse(&event) != OK)
		return;
	if (event.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
		for (int i = 0; i < page; i++)
			ui_key(&app->ui, KEY_CURSES(event.bstate & BUTTON4_PRESSED ? KEY_UP : KEY_DOWN));
		return;
	}
	ui_mouse(&app->ui, event.y, event.x, event.bstate & BUTTON1_DOUBLE_CLICKED);
}

static void read_keys(struct app *app)
{
	while (!app->ui.quit && !app->ui.suspend && !ui_wants_raw(&app->ui)) {
		wint_t code;
		int r = get_wch(&code);

		if (r == ERR)
			return;
		if (r == KEY_CODE_YES && code == KEY_MOUSE)
			read_mouse(app);
		else if (!(r == KEY_CODE_YES && code == KEY_RESIZE))
			ui_key(&app->ui, r == KEY_CODE_YES ? KEY_CURSES((int)code) : (int)code);
	}
}

/* What follows the key that ended the typing is for us again. */
static int read_raw(struct app *app)
{
	char data[4096];
	size_t len, taken;
	int r = term_read_raw(data, sizeof(data), &len);

	if (r < 0 || !len)
		return r;
	app->typed_ms = clock_boottime_ms();
	taken = ui_raw(&app->ui, data, len);
	for (; taken < len && !ui_wants_raw(&app->ui); taken++)
		ui_key(&app->ui, (unsigned char)data[taken]);
	return 0;
}

static void suspend(struct app *app)
{
	app->ui.suspend = false;
	term_suspend();
	app->dirty = true;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct app *app = userdata;
	int r = 0;

	if (ui_wants_raw(&app->ui))
		r = read_raw(app);
	else
		read_keys(app);
	if (ui_wants_raw(&app->ui) && !r)
		r = read_raw(app); /* curses may hold nothing back, the kernel may */
	if (app->ui.suspend)
		suspend(app);
	if (app->ui.quit || r < 0 || (events & (EPOLLHUP | EPOLLERR)))
		return sd_event_exit(app->config.event, 0);
	if (app->dirty || app->dirty_live)
		draw_now(app);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct app *app = userdata;

	if (info->ssi_signo != SIGWINCH)
		return sd_event_exit(app->config.event, 0);
	term_resize();
	app->dirty = true;
	draw_now(app);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static int add_sources(struct app *app)
{
	sd_event *event = app->config.event;
	int r;

	r = sd_event_add_io(event, &app->input, app->config.in_fd, EPOLLIN, on_input, app);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &app->frame, CLOCK_MONOTONIC, 0, 1000, on_frame, app);
	if (r >= 0)
		r = sd_event_source_set_enabled(app->frame, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &app->tick, CLOCK_MONOTONIC, 0, 100000, on_tick, app);
	if (r >= 0)
		r = sd_event_source_set_enabled(app->tick, SD_EVENT_OFF);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(watched_signals); i++)
		r = sd_event_add_signal(event, &app->signals[i], watched_signals[i], on_signal, app);
	return r < 0 ? r : 0;
}

int app_new(struct app **ret_app, const struct app_config *config)
{
	static const struct model_ops model_ops = { .changed = on_model };
	_cleanup_(app_free_p) struct app *app = calloc(1, sizeof(*app));
	struct ui_config ui_config;
	int r;

	if (!app)
		return -ENOMEM;
	app->config = *config;
	r = add_sources(app);
	if (!r)
		r = model_new(&app->model, config->client, &model_ops, app);
	if (r)
		return error_fold(r);
	ui_config = (struct ui_config){ .client = config->client, .model = app->model, .where = config->where, .author = config->author,
		.clock = config->clock, .colour = config->colour, .redraw = on_redraw, .userdata = app };
	r = ui_init(&app->ui, &ui_config);
	if (r)
		return r;
	app->ready = true;
	ui_redraw(&app->ui);
	*ret_app = take(app);
	return 0;
}

void app_free(struct app *app)
{
	app->ready = false;
	if (app->ui.config.clock)
		ui_deinit(&app->ui);
	if (app->model)
		model_free(app->model);
	sd_event_source_unref(app->input);
	sd_event_source_unref(app->frame);
	sd_event_source_unref(app->tick);
	for (size_t i = 0; i < ARRAY_SIZE(watched_signals); i++)
		sd_event_source_unref(app->signals[i]);
	free(app);
}
