/* The scenes: tasks, workers, projects and events, and screens that the emulator draws. */
#include "tests/golden/console/fake_parts.h"

#include <inttypes.h>
#include <string.h>

size_t fake_index(struct client *client, uint64_t id)
{
	for (size_t i = 0; i < client->task_count; i++)
		if (client->tasks[i]->id == id)
			return i;
	return SIZE_MAX;
}

void fake_set_bytes(ProtobufCBinaryData *data, protobuf_c_boolean *has, const char *text)
{
	free(data->data);
	data->data = (uint8_t *)strdup(text);
	data->len = strlen(text);
	*has = true;
}

void fake_set_string(char **string, const char *text)
{
	if (*string && *string != (char *)protobuf_c_empty_string)
		free(*string);
	*string = strdup(text);
}

Maestro__Task *fake_add_task(struct client *client, uint64_t id, const char *title, Maestro__TaskState state,
	const char *worker, const char *agent)
{
	Maestro__Task *task = calloc(1, sizeof(*task));
	char slug[NAME_SLUG_MAX], branch[NAME_BRANCH_MAX];

	maestro__task__init(task);
	task->id = id;
	fake_set_bytes(&task->title, &task->has_title, title);
	fake_set_string(&task->project, "parser");
	fake_set_string(&task->agent, agent);
	fake_set_string(&task->base_branch, "main");
	name_slug(title, strlen(title), slug);
	name_branch(id, slug, 1, branch);
	fake_set_string(&task->branch, branch);
	if (*worker)
		fake_set_string(&task->worker, worker);
	task->has_state = task->has_attempt = task->has_session = task->has_created_ms = true;
	task->state = state;
	task->attempt = 1;
	task->session = state == MAESTRO__TASK_STATE__TASK_RUNNING;
	task->created_ms = NOW_MS - HOUR_MS * (int64_t)(30 - id) / 10;
	if (state == MAESTRO__TASK_STATE__TASK_REVIEW)
		fake_set_string(&task->commit, "0123456789abcdef0123456789abcdef01234567");
	client->tasks[client->task_count++] = task;
	return task;
}

void fake_set_status(Maestro__Task *task, Maestro__AgentState state, const char *message, int progress)
{
	if (!task->status) {
		task->status = calloc(1, sizeof(*task->status));
		maestro__agent_status__init(task->status);
	}
	task->status->state = state;
	task->status->has_source = true;
	task->status->source = MAESTRO__STATUS_SOURCE__SOURCE_MCP;
	fake_set_bytes(&task->status->message, &task->status->has_message, message);
	task->status->has_progress = progress >= 0;
	task->status->progress = progress >= 0 ? (uint32_t)progress : 0;
}

static void add_screen(struct client *client, uint64_t id, const char *text)
{
	size_t at = fake_index(client, id);

	if (emulator_new(&client->screens[at], 80, 24, 0) < 0)
		abort();
	emulator_write(client->screens[at], text, strlen(text));
}

static Maestro__Worker *add_worker(struct client *client, const char *name, uint32_t slots, uint32_t used)
{
	static Maestro__AgentProgram claude = MAESTRO__AGENT_PROGRAM__INIT, shell = MAESTRO__AGENT_PROGRAM__INIT;
	static Maestro__AgentProgram *agents[] = { &claude, &shell };
	static Maestro__Label label = MAESTRO__LABEL__INIT;
	static Maestro__Label *labels[] = { &label };
	Maestro__Worker worker = MAESTRO__WORKER__INIT;

	claude.name = (char *)"claude";
	claude.has_version = true;
	claude.version = bytes_of("2.1.0");
	shell.name = (char *)"command";
	label.key = (char *)"arch";
	label.value = (char *)"amd64";
	worker.name = (char *)name;
	worker.has_state = worker.has_slots = worker.has_used = worker.has_load_percent = worker.has_memory_free_bytes =
		worker.has_disk_free_bytes = true;
	worker.state = MAESTRO__WORKER_STATE__WORKER_READY;
	worker.slots = slots;
	worker.used = used;
	worker.load_percent = 142;
	worker.memory_free_bytes = UINT64_C(6) << 30;
	worker.disk_free_bytes = UINT64_C(120) << 30;
	worker.n_agents = worker.n_labels = 0;
	worker.agents = agents;
	worker.n_agents = 2;
	worker.labels = labels;
	worker.n_labels = 1;
	return client->workers[client->worker_count++] = message_copy(&worker);
}

static void add_event(struct client *client, const char *kind, uint64_t task, const char *text)
{
	Maestro__Event event = MAESTRO__EVENT__INIT;

	event.seq = client->event_count + 1;
	event.has_time_ms = event.has_text = true;
	event.time_ms = NOW_MS - 60000 + (int64_t)event.seq * 1000;
	event.kind = (char *)kind;
	event.has_task = task != 0;
	event.task = task;
	event.text = bytes_of(text);
	client->events[client->event_count++] = message_copy(&event);
}

static void add_project(struct client *client, const char *name)
{
	Maestro__Project project = MAESTRO__PROJECT__INIT;

	project.name = (char *)name;
	project.base_branch = (char *)"main";
	client->projects[client->project_count++] = message_copy(&project);
}

static void scene_three(struct client *client)
{
	add_project(client, "parser");
	add_project(client, "site");
	add_worker(client, "alder", 4, 2);
	add_worker(client, "birch", 2, 1);
	fake_set_status(fake_add_task(client, 12, "Fix the parser", MAESTRO__TASK_STATE__TASK_RUNNING, "alder", "claude"),
		MAESTRO__AGENT_STATE__AGENT_WORKING, "Reading src/lexer.c", 40);
	fake_set_status(fake_add_task(client, 13, "Add a list of tests", MAESTRO__TASK_STATE__TASK_RUNNING, "birch", "command"),
		MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, "May I delete old.c?", -1);
	fake_add_task(client, 14, "Count lines by language", MAESTRO__TASK_STATE__TASK_STARTING, "alder", "command");
	fake_add_task(client, 15, "Format the README", MAESTRO__TASK_STATE__TASK_REVIEW, "alder", "claude");
	fake_add_task(client, 16, "Wider \xe7\x95\x8c titles \x1b[31mand colours", MAESTRO__TASK_STATE__TASK_QUEUED, "", "claude");
	fake_set_bytes(&client->tasks[4]->waiting_for, &client->tasks[4]->has_waiting_for, "a free slot on a worker with claude");
	fake_add_task(client, 17, "Break the build", MAESTRO__TASK_STATE__TASK_FAILED, "birch", "command");
	fake_set_bytes(&client->tasks[5]->reason, &client->tasks[5]->has_reason, "exit status 2: make: *** No rule to make target 'all'");
	add_screen(client, 12, "\033[1m$ make test\033[m\r\n\033[32mok\033[m 1 - lexer\r\n\033[31mnot ok\033[m 2 - parser\r\n"
			       "\033[48;5;24mblue ground\033[m \xe4\xb8\x96\xe7\x95\x8c \033[38;2;255;128;0morange\033[m\r\n> ");
	add_screen(client, 13, "\033[?1049h\033[20;1H\033[7m May I delete old.c? \033[m\r\n 1. Yes\r\n 2. No\r\n> ");
	add_event(client, "worker.state", 0, "alder is ready");
	add_event(client, "task.state", 12, "queued -> starting");
	add_event(client, "task.state", 12, "starting -> running");
	add_event(client, "task.question", 13, "May I delete old.c?");
	add_event(client, "task.failed", 17, "exit status 2");
}

static void scene_many(struct client *client)
{
	scene_three(client);
	for (uint64_t id = 18; id < 42; id++) {
		char title[64], screen[200];

		snprintf(title, sizeof(title), "Task number %" PRIu64 " of many", id);
		snprintf(screen, sizeof(screen), "line one of %" PRIu64 "\r\nline two\r\n", id);
		fake_set_status(fake_add_task(client, id, title, MAESTRO__TASK_STATE__TASK_RUNNING, "alder", "claude"),
			MAESTRO__AGENT_STATE__AGENT_WORKING, "at work", (int)id * 2);
		add_screen(client, id, screen);
	}
}

int fake_build(struct client *client, const char *scene)
{
	client->connected = client->ready = strcmp(scene, "none") != 0;
	client->age_ms = client->ready ? 0 : 3000;
	if (strcmp(scene, "three") == 0)
		scene_three(client);
	else if (strcmp(scene, "many") == 0)
		scene_many(client);
	else if (strcmp(scene, "none") != 0 && strcmp(scene, "empty") != 0)
		return -EINVAL;
	return 0;
}
