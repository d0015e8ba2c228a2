#include "console/cli/command.h"
#include "console/cli/paint.h"
#include "console/cli/player.h"
#include "console/cli/terminal.h"
#include "console/cli/timed.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define FRAME_MS 16u
#define SEEK_MS 5000u
#define SPEED_MIN 0.125
#define SPEED_MAX 64.0
#define SEARCH_BYTES_MAX 63u

struct values {
	struct cli_common common;
	char *speed, *seek;
	uint64_t idle_limit_ms, attempt;
};

static const struct option_spec specs[] = {
	{ .name = "speed", .short_name = 's', .type = OPTION_STRING, .offset = offsetof(struct values, speed), .arg = "N",
		.help = "so many times as fast, 0.125 to 64" },
	{ .name = "idle-limit", .short_name = 'i', .type = OPTION_DURATION, .offset = offsetof(struct values, idle_limit_ms),
		.arg = "TIME", .max = UINT32_MAX, .help = "never wait longer than this for output" },
	{ .name = "seek", .type = OPTION_STRING, .offset = offsetof(struct values, seek), .arg = "[-]TIME",
		.help = "begin so long after the beginning, or with - so long before the end" },
	{ .name = "attempt", .type = OPTION_NUMBER, .offset = offsetof(struct values, attempt), .arg = "N", .max = UINT32_MAX,
		.help = "of this attempt; else of the newest" },
	CLI_COMMON_OPTIONS,
};

struct replay {
	struct cli *cli;
	struct player player;
	struct paint paint;
	struct screen view;      /* the player's screen without what would change the terminal's modes */
	sd_event_source *timer;
	unsigned int cols, rows; /* of the terminal; the last row is ours */
	double speed;
	bool paused, full, done, typing;
	bool loading;            /* there may be more than the player has */
	struct timed timed;
	uint64_t at_ms;          /* the moment that is shown */
	uint64_t clock_ms;       /* when that was */
	char search[SEARCH_BYTES_MAX + 1];
	char notice[48];
	uint8_t escape;          /* 1: after ESC, 2: after ESC [ */
};

/* --- drawing -------------------------------------------------------------------------------------------------- */

static void put_time(uint64_t ms, char *out, size_t size)
{
	snprintf(out, size, "%02" PRIu64 ":%02" PRIu64, ms / 60000, ms / 1000 % 60);
}

static int put_line(const struct replay *replay, struct buf *out)
{
	char at[32], end[32], line[256];

	put_time(replay->at_ms, at, sizeof(at));
	put_time(replay->player.end_ms, end, sizeof(end));
	if (replay->typing)
		snprintf(line, sizeof(line), " search: %s", replay->search);
	else
		snprintf(line, sizeof(line), " %s %s / %s  %gx  %s  space pause  arrows seek and speed  [ ] marks  / search  q quit",
			replay->paused ? "||" : "> ", at, end, replay->speed, replay->notice);
	line[strnlen(line, replay->cols)] = '\0'; /* ASCII only, so a column is a byte */
	return buf_printf(out, "\033[%u;1H\033[0;7m%s\033[K\033[m", replay->rows, line);
}

static void draw(struct replay *replay)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	int r = screen_copy(&replay->view, emulator_screen(replay->player.emulator));

	/* what the program asked of its terminal then is not to be done to this one */
	replay->view.modes &= SCREEN_MODE_REVERSE_VIDEO;
	replay->view.mouse_mode = SCREEN_MOUSE_NONE;
	replay->view.kitty_flags = replay->view.modify_other_keys = 0;
	replay->view.cursor_visible = replay->view.cursor_visible && !replay->typing;
	if (!r)
		r = paint_update(&replay->paint, &replay->view, &out);
	if (paint_coloured_cursor(&replay->paint))
		terminal_note_coloured_cursor();
	if (!r)
		r = buf_append_str(&out, "\0337");
	if (!r)
		r = put_line(replay, &out);
	if (!r)
		r = buf_append_str(&out, "\0338");
	if (r || io_write_all(STDOUT_FILENO, out.data, out.len))
		replay->done = true;
}

/* --- time ----------------------------------------------------------------------------------------------------- */

static uint64_t moment(const struct replay *replay)
{
	uint64_t now_ms = replay->at_ms;

	if (!replay->paused)
		now_ms += (uint64_t)((double)(clock_boottime_ms() - replay->clock_ms) * replay->speed);
	return now_ms < replay->player.end_ms ? now_ms : replay->player.end_ms;
}

/* Shows that moment and waits for the next thing to happen: output, or the clock's next second. */
static void go_to(struct replay *replay, uint64_t at_ms)
{
	uint64_t next_ms, second_ms, wait_ms;

	replay->at_ms = at_ms < replay->player.end_ms ? at_ms : replay->player.end_ms;
	replay->clock_ms = clock_boottime_ms();
	player_seek(&replay->player, replay->at_ms);
	next_ms = player_next_ms(&replay->player);
	if (next_ms == UINT64_MAX && !replay->loading)
		replay->paused = true;
	draw(replay);
	second_ms = (replay->at_ms / 1000 + 1) * 1000;
	wait_ms = (uint64_t)((double)((next_ms < second_ms ? next_ms : second_ms) - replay->at_ms) / replay->speed);
	sd_event_source_set_time_relative(replay->timer, (wait_ms > FRAME_MS ? wait_ms : FRAME_MS) * 1000);
	sd_event_source_set_enabled(replay->timer, replay->paused ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct replay *replay = userdata;

	go_to(replay, moment(replay));
	return 0;
}

/* --- keys ----------------------------------------------------------------------------------------------------- */

static void seek_by(struct replay *replay, bool back)
{
	uint64_t now_ms = moment(replay);

	go_to(replay, !back ? now_ms + SEEK_MS : now_ms > SEEK_MS ? now_ms - SEEK_MS : 0);
}

static void change_speed(struct replay *replay, double factor)
{
	uint64_t now_ms = moment(replay);
	double speed = replay->speed * factor;

	if (speed >= SPEED_MIN && speed <= SPEED_MAX)
		replay->speed = speed;
	go_to(replay, now_ms);
}

static void toggle_pause(struct replay *replay)
{
	uint64_t now_ms = moment(replay);

	if (replay->paused && now_ms == replay->player.end_ms)
		now_ms = 0; /* once more */
	replay->paused = !replay->paused;
	go_to(replay, now_ms);
}

static void seek_mark(struct replay *replay, bool back)
{
	uint64_t now_ms = moment(replay), mark_ms;
	bool found = player_find_mark(&replay->player, now_ms, back, &mark_ms);

	snprintf(replay->notice, sizeof(replay->notice), "%s", found ? "" : "no mark there");
	go_to(replay, found ? mark_ms : now_ms);
}

static void search(struct replay *replay)
{
	uint64_t now_ms = moment(replay), found_ms;
	bool found = *replay->search && player_find_text(&replay->player, now_ms, replay->search, &found_ms);

	snprintf(replay->notice, sizeof(replay->notice), "%s", found ? "" : "not found after this");
	replay->paused |= found;
	go_to(replay, found ? found_ms : now_ms);
}

static void type_key(struct replay *replay, uint8_t key)
{
	size_t len = strlen(replay->search);

	if (key == '\r' || key == 0x1b || key == 0x03) {
		replay->typing = false;
		if (key == '\r')
			search(replay);
	} else if ((key == 0x7f || key == 0x08) && len) {
		replay->search[len - 1] = '\0';
	} else if (key >= 0x20 && key < 0x7f && len < SEARCH_BYTES_MAX) {
		replay->search[len] = (char)key;
		replay->search[len + 1] = '\0';
	}
	draw(replay);
}

static void take_arrow(struct replay *replay, uint8_t key)
{
	if (key == 'C' || key == 'D')
		seek_by(replay, key == 'D');
	else if (key == 'A' || key == 'B')
		change_speed(replay, key == 'A' ? 2 : 0.5);
}

static void take_command(struct replay *replay, uint8_t key)
{
	*replay->notice = '\0';
	if (key == 'q' || key == 0x03 || key == 0x04)
		replay->done = true;
	else if (key == ' ')
		toggle_pause(replay);
	else if (key == '+' || key == '-')
		change_speed(replay, key == '+' ? 2 : 0.5);
	else if (key >= '0' && key <= '9')
		go_to(replay, replay->player.end_ms * (uint64_t)(key - '0') / 10);
	else if (key == '[' || key == ']')
		seek_mark(replay, key == '[');
	else if (key == '.' && replay->paused && player_next_ms(&replay->player) != UINT64_MAX)
		go_to(replay, player_next_ms(&replay->player));
	else if (key == 'n')
		search(replay);
	if (key == '/') {
		replay->typing = true;
		*replay->search = '\0';
		draw(replay);
	}
}

static void take_key(struct replay *replay, uint8_t key)
{
	uint8_t escape = replay->escape;

	replay->escape = 0;
	if (replay->typing)
		type_key(replay, key);
	else if (key == 0x1b)
		replay->escape = 1;
	else if (escape == 1 && (key == '[' || key == 'O'))
		replay->escape = 2;
	else if (escape == 2)
		take_arrow(replay, key);
	else
		take_command(replay, key);
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct replay *replay = userdata;
	uint8_t keys[256];
	ssize_t n = read(fd, keys, sizeof(keys));

	for (ssize_t i = 0; i < n && !replay->done; i++)
		take_key(replay, keys[i]);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		replay->done = true;
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct replay *replay = userdata;

	if (info->ssi_signo != SIGWINCH) {
		replay->done = true;
		return 0;
	}
	terminal_size(&replay->cols, &replay->rows);
	paint_invalidate(&replay->paint, replay->cols, replay->rows > 1 ? replay->rows - 1 : 1);
	draw(replay);
	return 0;
}

/* --- the recording --------------------------------------------------------------------------------------------- */

static int on_item(void *userdata, const struct timeline_item *item)
{
	return player_add(&((struct replay *)userdata)->player, item);
}

static int load_piece(struct replay *replay, struct error *error)
{
	int r = timed_read_piece(replay->cli, &replay->timed, on_item, replay, &replay->loading, error);

	if (r == PLAYER_E_FULL && !error->why) {
		replay->full = true;
		replay->loading = false;
		r = 0;
	}
	return r;
}

/* Enough to show that moment; the rest is loaded while it plays. */
static int load(struct replay *replay, uint64_t at_ms, struct error *error)
{
	int r = 0;

	replay->loading = true;
	while (!r && replay->loading && (player_next_ms(&replay->player) == UINT64_MAX || replay->player.end_ms < at_ms))
		r = load_piece(replay, error);
	if (!r && player_next_ms(&replay->player) == UINT64_MAX)
		return error_set(error, CLIENT_E_FAILED, "task %" PRIu64 " has printed nothing yet", replay->timed.task);
	return r;
}

/* --- beginning in the middle ----------------------------------------------------------------------------------- */

struct span {
	bool begun;
	int64_t first_ms, last_ms, end_ms; /* of the wall clock; end: of the last piece that was read */
};

static int on_span(void *userdata, const struct timeline_item *item)
{
	struct span *span = userdata;

	if (!span->begun)
		span->first_ms = item->wall_ms;
	span->begun = true;
	span->last_ms = item->wall_ms;
	return 0;
}

/* Finds when the recording begins, and when it ends if that is asked; neither reads what lies between. */
static int find_span(struct replay *replay, bool end, struct span *span, struct error *error)
{
	struct timed timed = replay->timed;
	struct span last = { 0 };
	bool more;
	int r = timed_read_piece(replay->cli, &timed, on_span, span, &more, error);

	span->end_ms = span->last_ms;
	if (r || !end)
		return r;
	timed = replay->timed;
	timed.seek = true;
	timed.since_ms = INT64_MAX;
	r = timed_read(replay->cli, &timed, on_span, &last, error);
	if (!r && last.begun)
		span->end_ms = last.last_ms;
	return r;
}

/* From the last keyframe before the moment that is asked for. *ret_at_ms: that moment since the beginning. */
static int seek(struct replay *replay, uint64_t seek_ms, bool from_end, uint64_t *ret_at_ms, struct error *error)
{
	struct span span = { 0 };
	uint64_t length_ms;
	int r = find_span(replay, from_end, &span, error);

	if (r || !span.begun)
		return r;
	length_ms = span.end_ms > span.first_ms ? (uint64_t)(span.end_ms - span.first_ms) : 0;
	if (from_end)
		seek_ms = length_ms > seek_ms ? length_ms - seek_ms : 0;
	replay->timed.seek = true;
	replay->timed.since_ms = span.first_ms + (int64_t)seek_ms;
	replay->player.first_ms = span.first_ms;
	*ret_at_ms = seek_ms;
	return 0;
}

/* "-5m" is an option's name to most programs' parsers, so the sign may also stand before "=": --seek=-5m. */
static int parse_seek(const char *text, uint64_t *ret_ms, bool *ret_from_end, struct error *error)
{
	*ret_from_end = text && *text == '-';
	*ret_ms = 0;
	if (text && (clock_parse_duration(text + (*text == '-' || *text == '+'), ret_ms) || *ret_ms > UINT32_MAX))
		return error_set(error, CLIENT_E_USAGE, "replay: --seek takes a time as 90s, 5m or -30s, not '%s'", text);
	return 0;
}

/* --- the command ---------------------------------------------------------------------------------------------- */

static int watch(struct replay *replay)
{
	int r = terminal_watch(replay->cli->event, on_signal, on_input, replay);

	if (r >= 0)
		r = sd_event_add_time_relative(replay->cli->event, &replay->timer, CLOCK_BOOTTIME, 0, 1000, on_time, replay);
	return r < 0 ? r : 0;
}

static int play(struct replay *replay, uint64_t at_ms, struct error *error)
{
	int r;

	terminal_size(&replay->cols, &replay->rows);
	paint_init(&replay->paint, replay->cols, replay->rows > 1 ? replay->rows - 1 : 1);
	replay->paint.terminal = paint_terminal_named(getenv("TERM"));
	r = watch(replay);
	if (!r)
		r = terminal_take(error);
	if (!r)
		go_to(replay, at_ms);
	while (r >= 0 && !replay->done) {
		r = sd_event_run(replay->cli->event, replay->loading ? 0 : UINT64_MAX);
		if (r >= 0 && !replay->done && replay->loading)
			r = load_piece(replay, error);
	}
	terminal_give_back();
	sd_event_source_disable_unref(replay->timer);
	return r < 0 ? r : 0;
}

static int parse_speed(const char *text, double *ret_speed, struct error *error)
{
	char *end;
	double speed = text ? strtod(text, &end) : 1;

	if (text && (end == text || *end || !(speed >= SPEED_MIN && speed <= SPEED_MAX)))
		return error_set(error, CLIENT_E_USAGE, "replay: the speed is a number from 0.125 to 64, not '%s'", text);
	*ret_speed = speed;
	return 0;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct replay replay = { .cli = cli, .view = SCREEN_NULL };
	uint64_t at_ms;
	bool from_end;
	int r;

	replay.timed.attempt = (uint32_t)values->attempt;
	r = cli_parse_task(operands[0], &replay.timed.task, error);
	if (!r)
		r = parse_speed(values->speed, &replay.speed, error);
	if (!r)
		r = parse_seek(values->seek, &at_ms, &from_end, error);
	if (r)
		return r;
	if (!isatty(STDIN_FILENO) || !cli->terminal) {
		error_set(error, CLIENT_E_USAGE, "replay: needs a terminal");
		error_hint(error, "'maestro export %" PRIu64 "' writes the recording to a file", replay.timed.task);
		return CLIENT_E_USAGE;
	}
	r = player_init(&replay.player, values->idle_limit_ms);
	if (!r && values->seek)
		r = seek(&replay, at_ms, from_end, &at_ms, error);
	if (!r)
		r = load(&replay, at_ms, error);
	if (!r)
		r = play(&replay, at_ms, error);
	player_deinit(&replay.player);
	paint_deinit(&replay.paint);
	screen_deinit(&replay.view);
	if (!r && replay.full)
		printf("This was the first %u MiB of output; 'maestro export' writes all of it.\n", PLAYER_BYTES_MAX >> 20);
	return r;
}

const struct command command_replay = {
	.name = "replay",
	.group = GROUP_SESSIONS,
	.brief = "watch a session again, as it went",
	.table = { "maestro replay", "TASK [--seek TIME] [--speed N] [--idle-limit TIME] [--attempt N]",
		"Plays what the session printed on the whole terminal. Space pauses, Left and Right seek, Up and Down change\n"
		"the speed, 0 to 9 jump, [ and ] go to the last and next mark, / searches, n again, q quits.\n"
		"With --seek it begins there, without reading what comes before; --seek=-30s is half a minute before the end.",
		specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_min = 1, .operands_max = 1,
	.run = run,
};
