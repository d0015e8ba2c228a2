/* The console on a made-up scene, for the golden tests and for looking at it:
 * console-fake SCENE [COMMAND-FD] */
#include "console/tui/app.h"
#include "console/tui/term.h"
#include "proto/base/id.h"
#include "tests/golden/console/fake.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct term_config term = { .in = stdin, .out = stdout };
	struct app_config config = { .in_fd = STDIN_FILENO, .where = "this machine", .clock = &fake_clock };
	const char *no_colour = getenv("NO_COLOR");
	struct app *app;
	int r;

	setlocale(LC_ALL, "");
	block_signals();
	if (id_init() < 0 || sd_event_new(&config.event) < 0 || argc < 2 ||
		fake_new(&config.client, config.event, argv[1], argc > 2 ? atoi(argv[2]) : -1) < 0)
		return 2;
	config.colour = !no_colour || !*no_colour;
	r = term_open(&term, &error);
	if (!r)
		r = app_new(&app, &config);
	if (!r) {
		r = sd_event_loop(config.event);
		app_free(app);
	}
	term_close();
	client_free(config.client);
	sd_event_unref(config.event);
	if (r)
		fprintf(stderr, "console-fake: %s\n", error_text(&error, r));
	return r ? 1 : 0;
}
