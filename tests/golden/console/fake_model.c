/* The functions of model.h and stream.h, on the scene. */
#include "tests/golden/console/fake_parts.h"

#include <string.h>

int model_new(struct model **ret_model, struct client *client, const struct model_ops *ops, void *userdata)
{
	struct model *model = calloc(1, sizeof(*model));

	*model = (struct model){ client, ops, userdata };
	*ret_model = client->model = model;
	return 0;
}

void model_free(struct model *model)
{
	model->client->model = NULL;
	free(model);
}

bool model_ready(const struct model *model)
{
	return model->client->ready;
}

uint64_t model_age_ms(const struct model *model)
{
	return model->client->age_ms;
}

const char *model_trouble(const struct model *model)
{
	return model->client->connected ? "" : "connection refused";
}

uint64_t model_retry_ms(const struct model *model)
{
	return model->client->connected ? 0 : 4000;
}

bool model_queue_paused(const struct model *model)
{
	return model->client->paused;
}

size_t model_task_count(const struct model *model)
{
	return model->client->task_count;
}

const Maestro__Task *model_task_at(const struct model *model, size_t index)
{
	return model->client->tasks[index];
}

const Maestro__Task *model_task(const struct model *model, uint64_t id)
{
	size_t at = fake_index(model->client, id);

	return at == SIZE_MAX ? NULL : model->client->tasks[at];
}

uint64_t model_status_age_ms(const struct model *model, uint64_t id)
{
	return 7000;
}

size_t model_worker_count(const struct model *model)
{
	return model->client->worker_count;
}

const Maestro__Worker *model_worker_at(const struct model *model, size_t index)
{
	return model->client->workers[index];
}

const Maestro__Worker *model_worker(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->client->worker_count; i++)
		if (strcmp(model->client->workers[i]->name, name) == 0)
			return model->client->workers[i];
	return NULL;
}

size_t model_project_count(const struct model *model)
{
	return model->client->project_count;
}

const Maestro__Project *model_project_at(const struct model *model, size_t index)
{
	return model->client->projects[index];
}

size_t model_question_count(const struct model *model)
{
	return model->client->question_count;
}

const Maestro__Question *model_question_at(const struct model *model, size_t index)
{
	return model->client->questions[index];
}

size_t model_event_count(const struct model *model)
{
	return model->client->event_count;
}

const Maestro__Event *model_event_at(const struct model *model, size_t index)
{
	return model->client->events[index];
}

/* --- stream.h ------------------------------------------------------------------------------------------------ */

static int on_stream(sd_event_source *source, void *userdata)
{
	fake_show_stream(userdata);
	return 0;
}

int stream_open(struct stream **ret_stream, struct client *client, const struct stream_config *config)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	size_t at = fake_index(client, config->task);

	*stream = (struct stream){ .client = client, .config = *config, .screen = SCREEN_NULL };
	list_append(&client->streams, &stream->link);
	if (config->drive && config->cols && at != SIZE_MAX && client->screens[at])
		emulator_resize(client->screens[at], config->cols, config->rows);
	sd_event_add_defer(client->event, &stream->source, on_stream, stream);
	*ret_stream = stream;
	return 0;
}

void stream_free(struct stream *stream)
{
	list_remove(&stream->link);
	sd_event_source_unref(stream->source);
	screen_deinit(&stream->screen);
	free(stream);
}

const struct screen *stream_screen(const struct stream *stream)
{
	return &stream->screen;
}

bool stream_closed(const struct stream *stream)
{
	return false;
}

void stream_reopen(struct stream *stream)
{
}

void stream_ack(struct stream *stream)
{
	stream->unacknowledged = false;
}

/* The session's program repeats what it is told, controls as ^X. */
int stream_send(struct stream *stream, const void *data, size_t len)
{
	_cleanup_(buf_deinit) struct buf echo = BUF_NULL;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = ((const uint8_t *)data)[i];

		if (byte < 32)
			buf_printf(&echo, "^%c", byte + 64);
		else
			buf_append_byte(&echo, byte);
	}
	stream->unacknowledged = false;
	fake_write_screen(stream->client, stream->config.task, echo.data, echo.len);
	return 0;
}

int stream_resize(struct stream *stream, uint32_t cols, uint32_t rows)
{
	size_t at = fake_index(stream->client, stream->config.task);

	if (at == SIZE_MAX || !stream->client->screens[at])
		return 0;
	emulator_resize(stream->client->screens[at], cols, rows);
	sd_event_source_set_enabled(stream->source, SD_EVENT_ONESHOT);
	return 0;
}
