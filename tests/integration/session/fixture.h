/* A session of a real program in a private directory, and what its holder said. */
#pragma once

#include <systemd/sd-event.h>
#include "proto/base/buf.h"
#include "proto/wire/screen.h"
#include "worker/session/client.h"

#define FIXTURE_DEADLINE_MS 60000u

struct fixture {
	char *dir; /* the session's; `work` below it is where the program runs */
	char *work;
	sd_event *event;
	uint8_t run_id[STATE_RUN_ID_BYTES];
	struct holder_spawn *spawn;
	bool spawned;
	int spawn_result;
	char *spawn_why;
	struct holder_id id;

	struct holder *holder;
	bool acknowledge; /* screens, at once */
	bool said_hello, exited, closed, got_screenshot;
	struct holder_hello hello;
	struct holder_exit exit;
	struct screen screen;
	unsigned int frames;
	uint64_t output_bytes;
	struct buf screenshot;
	char title[256];
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Starts argv and waits for the holder's answer, which is returned. */
int fixture_spawn(struct fixture *fixture, const char *const *argv);
/* The same with more of a spec; what has to do with the fixture is filled in. */
int fixture_spawn_spec(struct fixture *fixture, struct holder_spec *spec);
/* Connects, watches the attached series, waits for the hello. */
void fixture_connect(struct fixture *fixture);
void fixture_disconnect(struct fixture *fixture);
/* Runs the loop until it is so. Fails the test when it never is. */
void fixture_wait(struct fixture *fixture, bool (*so)(struct fixture *fixture, const void *what), const void *what);
bool fixture_has_exited(struct fixture *fixture, const void *what);
bool fixture_has_closed(struct fixture *fixture, const void *what);
/* what: a string. */
bool fixture_shows(struct fixture *fixture, const void *what);
bool fixture_file_exists(struct fixture *fixture, const char *name);
void fixture_type(struct fixture *fixture, const char *text);
/* The whole transcript. */
void fixture_transcript(struct fixture *fixture, struct buf *out);
char *fixture_path(struct fixture *fixture, const char *name);
/* Waits for the exit, tells the holder to go, and waits until that process is gone. */
void fixture_end(struct fixture *fixture);
