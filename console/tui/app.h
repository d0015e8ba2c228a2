/* The console's loop: keyboard, window size, signals, the model and the streams on one sd-event, and when to draw.
 *
 * Nothing is polled: without a key, a change or a clock that is seen, it sleeps. What comes from the network is drawn
 * at most about 30 times a second; what a key did is drawn at once. */
#pragma once

#include "console/tui/ui.h"

struct app;

struct app_config {
	sd_event *event;
	struct client *client; /* outlives the app */
	int in_fd;             /* the terminal, opened with term_open */
	const char *where;     /* the coordinator in a few words */
	const Maestro__GitAuthor *author; /* of commits; NULL: not known; borrowed */
	const struct ui_clock *clock;
	bool colour;
	/* After everything that was to be drawn was drawn. NULL: nobody wants to know. */
	void (*quiet)(void *userdata);
	void *userdata;
};

#define APP_FRAME_MS 33u
#define APP_ECHO_MS 150u /* after a key into a session its screen is drawn as it comes */

/* Signals SIGWINCH, SIGTERM, SIGINT and SIGHUP must be blocked. */
int app_new(struct app **ret_app, const struct app_config *config);
void app_free(struct app *app);
DEFINE_CLEANUP(struct app *, app_free)
/* Ends the loop (sd_event_exit) when the person quits, the terminal hangs up, or a signal says so. */
struct ui *app_ui(struct app *app);
