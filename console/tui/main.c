#include "console/client/author.h"
#include "console/client/client.h"
#include "console/client/profile.h"
#include "console/tui/app.h"
#include "console/tui/term.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/option.h"
#include "proto/base/str.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

struct options {
	char *coordinator, *profile, *log;
};

static const struct option_spec option_specs[] = {
	{ .name = "coordinator", .type = OPTION_STRING, .offset = offsetof(struct options, coordinator), .arg = "ADDRESS",
		.help = "host:port or ipc:///path of the coordinator" },
	{ .name = "profile", .type = OPTION_STRING, .offset = offsetof(struct options, profile), .arg = "NAME",
		.help = "profile of client.conf to use" },
	{ .name = "log", .type = OPTION_STRING, .offset = offsetof(struct options, log), .arg = "FILE",
		.help = "write what happens to the connection to FILE" },
};

static const struct option_table options_table = {
	.program = "maestro-console",
	.usage = "[OPTION]...",
	.summary = "Watches all sessions of a Maestro coordinator, answers them, and reviews what they pushed.\n"
		   "Press ? in it for its keys.",
	.specs = option_specs,
	.count = ARRAY_SIZE(option_specs),
};

static int fail(int status, const struct error *error, int r)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	const char *why = error_text(error, r);

	str_clean(&text, why, strlen(why));
	fprintf(stderr, "maestro-console: %s\n", buf_text(&text));
	if (error->hint) {
		buf_clear(&text);
		str_clean(&text, error->hint, strlen(error->hint));
		fprintf(stderr, "%s\n", buf_text(&text));
	}
	return status;
}

static int parse(int argc, char **argv, struct options *options, struct error *error)
{
	char **operands;
	int count, r;

	r = option_set_defaults(&options_table, options);
	if (!r)
		r = option_parse(&options_table, options, argc, argv, false, &operands, &count, error);
	if (!r && count) {
		error_set(error, OPTION_E_USAGE, "'%s' is not expected", operands[0]);
		error_hint(error, "maestro-console --help lists the options");
		r = OPTION_E_USAGE;
	}
	return r;
}

/* The terminal is the console's: a line of a log on it would spoil the picture. */
static int open_log(struct log *log, const char *path, struct error *error)
{
	int fd = open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(error, -errno, "%s: %m", path ? path : "/dev/null");
	log_init(log, "maestro-console", fd, path ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	return 0;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static const char *place(const struct profile *profile)
{
	const char *slashes = strstr(profile->address, "://");

	return profile_is_local(profile) ? "this machine" : profile->name ? profile->name : slashes ? slashes + 3 : profile->address;
}

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return !no || !*no;
}

static int run(const struct profile *profile, struct log *log, struct error *error)
{
	static const struct ui_clock clock = { clock_boottime_ms, clock_wall_ms };
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_(client_free_p) struct client *client = NULL;
	_cleanup_(app_free_p) struct app *app = NULL;
	struct term_config term = { .in = stdin, .out = stdout };
	struct app_config config = { .in_fd = STDIN_FILENO, .where = place(profile), .clock = &clock, .colour = wants_colour() };
	_cleanup_(author_deinit) struct author author = { .name = NULL };
	int r;

	author_read(&author, "."); /* before nng has threads, and before curses */
	config.author = author_message(&author);
	r = sd_event_new(&event);
	if (r < 0)
		return r;
	r = client_new(&client, event, log, profile, true, error);
	if (r)
		return r;
	r = term_open(&term, error);
	if (r)
		return r;
	config.event = event;
	config.client = client;
	r = app_new(&app, &config);
	if (!r)
		r = sd_event_loop(event);
	if (app)
		app_free(take(app));
	term_close();
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(profile_deinit) struct profile profile = PROFILE_NULL;
	_cleanup_(paths_deinit) struct paths paths = { NULL, NULL, NULL };
	struct options options = { NULL, NULL, NULL };
	struct log log;
	int r;

	setlocale(LC_ALL, "");
	block_signals();
	r = parse(argc, argv, &options, &error);
	if (r == OPTION_E_HELP || r == OPTION_E_VERSION)
		return 0;
	if (r)
		return fail(2, &error, r);
	r = id_init();
	if (!r)
		r = paths_init(&paths, false, &error);
	if (!r)
		r = profile_load(&paths, options.coordinator, options.profile, &profile, &error);
	if (r)
		return fail(r == PROFILE_E_USAGE ? 2 : r == PROFILE_E_NOT_FOUND ? 4 : 1, &error, r);
	r = open_log(&log, options.log, &error);
	if (!r)
		r = run(&profile, &log, &error);
	option_values_deinit(&options_table, &options);
	return r ? fail(r == TERM_E_UNKNOWN ? 2 : 1, &error, r) : 0;
}
