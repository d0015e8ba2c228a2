/* Commands, one a line, that change the scene while the console shows it. */
#include "tests/golden/console/fake_parts.h"

#include <inttypes.h>
#include <string.h>

void fake_show_stream(struct stream *stream)
{
	size_t at = fake_index(stream->client, stream->config.task);

	if (stream->closed || stream->unacknowledged || at == SIZE_MAX || !stream->client->screens[at])
		return;
	if (screen_copy(&stream->screen, emulator_screen(stream->client->screens[at])) < 0)
		abort();
	stream->screen.frame++;
	stream->unacknowledged = true;
	stream->config.ops->updated(stream, stream->config.userdata);
}

static void show_screens(struct client *client, uint64_t task)
{
	struct stream *stream, *tmp;

	list_for_each_safe(stream, tmp, &client->streams, link)
		if (stream->config.task == task)
			fake_show_stream(stream);
}

void fake_write_screen(struct client *client, uint64_t task, const char *data, size_t len)
{
	size_t at = fake_index(client, task);

	if (at == SIZE_MAX || !client->screens[at])
		return;
	emulator_write(client->screens[at], data, len);
	show_screens(client, task);
}

static void command_status(struct client *client, uint64_t task, const char *rest)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__AgentState state;
	char word[32];
	int used = 0;

	if (sscanf(rest, "%31s %n", word, &used) < 1 || name_parse_agent_state(word, &state, &error) < 0)
		abort();
	fake_set_status(client->tasks[fake_index(client, task)], state, rest + used, -1);
	fake_changed(client, MODEL_TASKS, task);
}

static void command_state(struct client *client, uint64_t task, const char *rest)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__TaskState state;

	if (name_parse_task_state(rest, &state, &error) < 0)
		abort();
	client->tasks[fake_index(client, task)]->state = state;
	fake_changed(client, MODEL_TASKS, task);
}

static void command_write(struct client *client, uint64_t task, const char *rest)
{
	fake_write_screen(client, task, rest, strlen(rest));
	fake_write_screen(client, task, "\r\n", 2);
}

static void command_end(struct client *client, uint64_t task, const char *rest)
{
	struct stream *stream, *tmp;

	list_for_each_safe(stream, tmp, &client->streams, link) {
		if (stream->config.task != task)
			continue;
		stream->closed = true;
		stream->config.ops->closed(stream, rest, stream->config.userdata);
	}
}

static void command_connection(struct client *client, uint64_t age_s, const char *rest)
{
	client->connected = age_s == 0;
	client->age_ms = age_s * 1000;
	fake_changed(client, MODEL_CONNECTION, 0);
}

static void command_role(struct client *client, uint64_t role, const char *rest)
{
	client->role = (Maestro__Role)role;
}

/* Something is asked about the first worker. */
static void command_ask(struct client *client, uint64_t number, const char *rest)
{
	Maestro__Question question = MAESTRO__QUESTION__INIT;

	question.id = number;
	question.kind = (char *)"unknown-session";
	question.worker = client->workers[0]->name;
	question.has_text = true;
	question.text = bytes_of(rest);
	client->questions[client->question_count++] = message_copy(&question);
	fake_changed(client, MODEL_WORKERS, 0);
}

/* The worker with this index is suspect. */
static void command_suspect(struct client *client, uint64_t index, const char *rest)
{
	client->workers[index]->state = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	fake_set_bytes(&client->workers[index]->reason, &client->workers[index]->has_reason, rest);
	fake_changed(client, MODEL_WORKERS, 0);
}

static const struct {
	const char *name;
	void (*run)(struct client *client, uint64_t number, const char *rest);
} commands[] = {
	{ "status", command_status }, { "state", command_state }, { "write", command_write }, { "end", command_end },
	{ "lost", command_connection }, { "role", command_role }, { "ask", command_ask },
	{ "suspect", command_suspect },
};

static void run_command(struct client *client, const char *line)
{
	char name[32];
	uint64_t number;
	int used = 0;

	if (sscanf(line, "%31s %" SCNu64 " %n", name, &number, &used) < 2)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			commands[i].run(client, number, line + used);
}

int fake_on_command(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct client *client = userdata;
	char data[512], *newline;
	ssize_t n = read(fd, data, sizeof(data));

	if (n <= 0)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	buf_append(&client->commands, data, (size_t)n);
	while (client->commands.len && (newline = memchr(client->commands.data, '\n', client->commands.len))) {
		*newline = 0;
		run_command(client, (char *)client->commands.data);
		buf_consume(&client->commands, (size_t)(newline - (char *)client->commands.data) + 1);
	}
	return 0;
}
