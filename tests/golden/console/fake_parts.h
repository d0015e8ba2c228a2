/* What the parts of the made-up coordinator share: its whole state, and who changes it. */
#pragma once

#include "tests/golden/console/fake.h"
#include "console/client/model.h"
#include "console/client/stream.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"
#include "worker/screen/emulator.h"

#define TASKS_MAX 64
#define NOW_MS INT64_C(1790000000000)
#define HOUR_MS INT64_C(3600000)

struct reply {
	struct list link;
	struct client *client;
	uint64_t number;
	client_reply done;
	void *userdata;
	struct message request; /* a copy */
	sd_event_source *source;
};

struct client {
	sd_event *event;
	struct buf commands;
	int command_fd;
	sd_event_source *command_source;
	bool connected, ready, paused;
	uint64_t age_ms, number;
	Maestro__Role role;
	Maestro__Task *tasks[TASKS_MAX];
	struct emulator *screens[TASKS_MAX]; /* of the task with the same index */
	size_t task_count;
	Maestro__Worker *workers[4];
	size_t worker_count;
	Maestro__Project *projects[4];
	size_t project_count;
	Maestro__Question *questions[4];
	size_t question_count;
	Maestro__Event *events[64];
	size_t event_count;
	struct list replies, streams;
	struct model *model;
};

struct model {
	struct client *client;
	const struct model_ops *ops;
	void *userdata;
};

struct stream {
	struct list link;
	struct client *client;
	struct stream_config config;
	struct screen screen;
	sd_event_source *source;
	bool closed, unacknowledged;
};

/* --- fake.c: starts, and answers requests --- */

void fake_changed(struct client *client, unsigned int parts, uint64_t task);

/* --- fake_scene.c: what there is --- */

size_t fake_index(struct client *client, uint64_t id);
void fake_set_bytes(ProtobufCBinaryData *data, protobuf_c_boolean *has, const char *text);
void fake_set_string(char **string, const char *text);
Maestro__Task *fake_add_task(struct client *client, uint64_t id, const char *title, Maestro__TaskState state,
	const char *worker, const char *agent);
void fake_set_status(Maestro__Task *task, Maestro__AgentState state, const char *message, int progress);
int fake_build(struct client *client, const char *scene);

/* --- fake_command.c: what changes it --- */

void fake_show_stream(struct stream *stream);
void fake_write_screen(struct client *client, uint64_t task, const char *data, size_t len);
int fake_on_command(sd_event_source *source, int fd, uint32_t events, void *userdata);
