#include "tests/golden/console/fake.h"
#include "console/client/model.h"
#include "console/client/stream.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"
#include "worker/screen/emulator.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

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

static uint64_t fake_now;

static uint64_t fake_now_ms(void)
{
	return 1000000 + fake_now;
}

static int64_t fake_wall_ms(void)
{
	return NOW_MS + (int64_t)fake_now;
}

const struct ui_clock fake_clock = { fake_now_ms, fake_wall_ms };

static void changed(struct client *client, unsigned int parts, uint64_t task)
{
	if (client->model)
		client->model->ops->changed(client->model, parts, task, client->model->userdata);
}

/* --- the scene ----------------------------------------------------------------------------------------------- */

static size_t index_of(struct client *client, uint64_t id)
{
	for (size_t i = 0; i < client->task_count; i++)
		if (client->tasks[i]->id == id)
			return i;
	return SIZE_MAX;
}

static void set_bytes(ProtobufCBinaryData *data, protobuf_c_boolean *has, const char *text)
{
	free(data->data);
	data->data = (uint8_t *)strdup(text);
	data->len = strlen(text);
	*has = true;
}

static void set_string(char **string, const char *text)
{
	if (*string && *string != (char *)protobuf_c_empty_string)
		free(*string);
	*string = strdup(text);
}

static Maestro__Task *add_task(struct client *client, uint64_t id, const char *title, Maestro__TaskState state,
	const char *worker, const char *agent)
{
	Maestro__Task *task = calloc(1, sizeof(*task));
	char slug[NAME_SLUG_MAX], branch[NAME_BRANCH_MAX];

	maestro__task__init(task);
	task->id = id;
	set_bytes(&task->title, &task->has_title, title);
	set_string(&task->project, "parser");
	set_string(&task->agent, agent);
	set_string(&task->base_branch, "main");
	name_slug(title, strlen(title), slug);
	name_branch(id, slug, 1, branch);
	set_string(&task->branch, branch);
	if (*worker)
		set_string(&task->worker, worker);
	task->has_state = task->has_attempt = task->has_session = task->has_created_ms = true;
	task->state = state;
	task->attempt = 1;
	task->session = state == MAESTRO__TASK_STATE__TASK_RUNNING;
	task->created_ms = NOW_MS - HOUR_MS * (int64_t)(30 - id) / 10;
	if (state == MAESTRO__TASK_STATE__TASK_REVIEW)
		set_string(&task->commit, "0123456789abcdef0123456789abcdef01234567");
	client->tasks[client->task_count++] = task;
	return task;
}

static void set_status(Maestro__Task *task, Maestro__AgentState state, const char *message, int progress)
{
	if (!task->status) {
		task->status = calloc(1, sizeof(*task->status));
		maestro__agent_status__init(task->status);
	}
	task->status->state = state;
	task->status->has_source = true;
	task->status->source = MAESTRO__STATUS_SOURCE__SOURCE_MCP;
	set_bytes(&task->status->message, &task->status->has_message, message);
	task->status->has_progress = progress >= 0;
	task->status->progress = progress >= 0 ? (uint32_t)progress : 0;
}

static void add_screen(struct client *client, uint64_t id, const char *text)
{
	size_t at = index_of(client, id);

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
	set_status(add_task(client, 12, "Fix the parser", MAESTRO__TASK_STATE__TASK_RUNNING, "alder", "claude"),
		MAESTRO__AGENT_STATE__AGENT_WORKING, "Reading src/lexer.c", 40);
	set_status(add_task(client, 13, "Add a list of tests", MAESTRO__TASK_STATE__TASK_RUNNING, "birch", "command"),
		MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, "May I delete old.c?", -1);
	add_task(client, 14, "Count lines by language", MAESTRO__TASK_STATE__TASK_STARTING, "alder", "command");
	add_task(client, 15, "Format the README", MAESTRO__TASK_STATE__TASK_REVIEW, "alder", "claude");
	add_task(client, 16, "Wider \xe7\x95\x8c titles \x1b[31mand colours", MAESTRO__TASK_STATE__TASK_QUEUED, "", "claude");
	set_bytes(&client->tasks[4]->waiting_for, &client->tasks[4]->has_waiting_for, "a free slot on a worker with claude");
	add_task(client, 17, "Break the build", MAESTRO__TASK_STATE__TASK_FAILED, "birch", "command");
	set_bytes(&client->tasks[5]->reason, &client->tasks[5]->has_reason, "exit status 2: make: *** No rule to make target 'all'");
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
		set_status(add_task(client, id, title, MAESTRO__TASK_STATE__TASK_RUNNING, "alder", "claude"),
			MAESTRO__AGENT_STATE__AGENT_WORKING, "at work", (int)id * 2);
		add_screen(client, id, screen);
	}
}

static int build(struct client *client, const char *scene)
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

/* --- commands ------------------------------------------------------------------------------------------------ */

static void show_stream(struct stream *stream)
{
	size_t at = index_of(stream->client, stream->config.task);

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
			show_stream(stream);
}

static void write_screen(struct client *client, uint64_t task, const char *data, size_t len)
{
	size_t at = index_of(client, task);

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
	set_status(client->tasks[index_of(client, task)], state, rest + used, -1);
	changed(client, MODEL_TASKS, task);
}

static void command_state(struct client *client, uint64_t task, const char *rest)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__TaskState state;

	if (name_parse_task_state(rest, &state, &error) < 0)
		abort();
	client->tasks[index_of(client, task)]->state = state;
	changed(client, MODEL_TASKS, task);
}

static void command_write(struct client *client, uint64_t task, const char *rest)
{
	write_screen(client, task, rest, strlen(rest));
	write_screen(client, task, "\r\n", 2);
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
	changed(client, MODEL_CONNECTION, 0);
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
	changed(client, MODEL_WORKERS, 0);
}

/* The worker with this index is suspect. */
static void command_suspect(struct client *client, uint64_t index, const char *rest)
{
	client->workers[index]->state = MAESTRO__WORKER_STATE__WORKER_SUSPECT;
	set_bytes(&client->workers[index]->reason, &client->workers[index]->has_reason, rest);
	changed(client, MODEL_WORKERS, 0);
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

static int on_command(sd_event_source *source, int fd, uint32_t events, void *userdata)
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

int fake_new(struct client **ret_client, sd_event *event, const char *scene, int command_fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	client->event = event;
	client->role = MAESTRO__ROLE__ROLE_OPERATOR;
	list_init(&client->replies);
	list_init(&client->streams);
	r = build(client, scene);
	if (r < 0) {
		client_free(client);
		return r;
	}
	if (command_fd >= 0)
		sd_event_add_io(event, &client->command_source, command_fd, EPOLLIN, on_command, client);
	*ret_client = client;
	return 0;
}

/* --- client.h ------------------------------------------------------------------------------------------------ */

static void reply_free(struct reply *reply)
{
	list_remove(&reply->link);
	sd_event_source_unref(reply->source);
	protobuf_c_message_free_unpacked(reply->request.base, NULL);
	free(reply);
}

void client_free(struct client *client)
{
	struct reply *reply, *tmp;

	list_for_each_safe(reply, tmp, &client->replies, link)
		reply_free(reply);
	for (size_t i = 0; i < client->task_count; i++) {
		maestro__task__free_unpacked(client->tasks[i], NULL);
		if (client->screens[i])
			emulator_free(client->screens[i]);
	}
	for (size_t i = 0; i < client->worker_count; i++)
		maestro__worker__free_unpacked(client->workers[i], NULL);
	for (size_t i = 0; i < client->question_count; i++)
		maestro__question__free_unpacked(client->questions[i], NULL);
	for (size_t i = 0; i < client->project_count; i++)
		maestro__project__free_unpacked(client->projects[i], NULL);
	for (size_t i = 0; i < client->event_count; i++)
		maestro__event__free_unpacked(client->events[i], NULL);
	sd_event_source_unref(client->command_source);
	buf_deinit(&client->commands);
	free(client);
}

bool client_connected(const struct client *client)
{
	return client->connected;
}

Maestro__Role client_role(const struct client *client)
{
	return client->role;
}

static void answer_diff(Maestro__Envelope *reply)
{
	static char patch[] = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,4 @@\n # Parser\n"
			      "-It parse.\n+It parses, and says what it could not.\n+\tindented by a tab\n A line that stays.\n";
	static char added[] = "@@ -0,0 +1,2 @@\n+first \x1b[2Jline\n+second line\n";
	static Maestro__GitDiffFile one, two;
	static Maestro__GitDiffFile *files[] = { &one, &two };
	static Maestro__GitDiffed diff;

	maestro__git_diff_file__init(&one);
	maestro__git_diff_file__init(&two);
	maestro__git_diffed__init(&diff);
	one.path = bytes_of("README.md");
	one.status = MAESTRO__GIT_FILE_STATUS__FILE_MODIFIED;
	one.added = 2;
	one.removed = 1;
	one.has_patch = two.has_patch = diff.has_added = diff.has_removed = true;
	one.patch = bytes_of(patch);
	two.path = bytes_of("docs/a/very/deep/place/for/a/file/of/notes.txt");
	two.status = MAESTRO__GIT_FILE_STATUS__FILE_ADDED;
	two.added = 2;
	two.patch = bytes_of(added);
	diff.files = files;
	diff.n_files = 2;
	diff.added = 4;
	diff.removed = 1;
	diff.commit = (char *)"0123456789abcdef0123456789abcdef01234567";
	reply->body_case = MAESTRO__ENVELOPE__BODY_DIFF;
	reply->diff = &diff;
}

static void answer_list(struct client *client, uint64_t id, Maestro__Envelope *reply)
{
	static Maestro__TaskList list;
	static Maestro__Task *tasks[1];
	static Maestro__Task full;
	size_t at = index_of(client, id);

	maestro__task_list__init(&list);
	if (at != SIZE_MAX) {
		full = *client->tasks[at];
		full.has_prompt = true;
		full.prompt = bytes_of("Do what the title says.\nThen say that you are done.");
		tasks[0] = &full;
		list.n_tasks = 1;
		list.tasks = tasks;
	}
	reply->body_case = MAESTRO__ENVELOPE__BODY_TASK_LIST;
	reply->task_list = &list;
}

static void answer_submit(struct client *client, const Maestro__Submit *submit, Maestro__Envelope *reply)
{
	static Maestro__Submitted submitted;
	static uint64_t id;
	_cleanup_free_ char *title = bytes_dup(submit->title.len ? &submit->title : &submit->prompt);

	maestro__submitted__init(&submitted);
	id = 50 + client->task_count;
	add_task(client, id, title, MAESTRO__TASK_STATE__TASK_QUEUED, "", submit->n_agents ? submit->agents[0] : "claude");
	set_string(&client->tasks[client->task_count - 1]->project, submit->project);
	client->tasks[client->task_count - 1]->created_ms = NOW_MS - 1000;
	submitted.n_tasks = 1;
	submitted.tasks = &id;
	reply->body_case = MAESTRO__ENVELOPE__BODY_SUBMITTED;
	reply->submitted = &submitted;
	changed(client, MODEL_TASKS, id);
}

static const Maestro__TaskState after_action[] = {
	[MAESTRO__TASK_ACTION__ACT_STOP] = MAESTRO__TASK_STATE__TASK_CANCELLED,
	[MAESTRO__TASK_ACTION__ACT_RETRY] = MAESTRO__TASK_STATE__TASK_QUEUED,
	[MAESTRO__TASK_ACTION__ACT_REJECT] = MAESTRO__TASK_STATE__TASK_REJECTED,
};

static int answer(struct client *client, const Maestro__Envelope *request, Maestro__Envelope *reply, struct error *error)
{
	static Maestro__Done done = MAESTRO__DONE__INIT;
	static Maestro__GitMerged merged = MAESTRO__GIT_MERGED__INIT;

	reply->body_case = MAESTRO__ENVELOPE__BODY_DONE;
	reply->done = &done;
	switch (request->body_case) {
	case MAESTRO__ENVELOPE__BODY_LIST_TASKS:
		answer_list(client, request->list_tasks->tasks[0], reply);
		return 0;
	case MAESTRO__ENVELOPE__BODY_DIFF_TASK:
		answer_diff(reply);
		return 0;
	case MAESTRO__ENVELOPE__BODY_SUBMIT:
		answer_submit(client, request->submit, reply);
		return 0;
	case MAESTRO__ENVELOPE__BODY_ACT_ON_TASK:
		client->tasks[index_of(client, request->act_on_task->task)]->state = after_action[request->act_on_task->action];
		changed(client, MODEL_TASKS, request->act_on_task->task);
		return 0;
	case MAESTRO__ENVELOPE__BODY_MERGE_TASK:
		if (request->merge_task->method != MAESTRO__MERGE_METHOD__MERGE_FF_ONLY || !request->merge_task->commit)
			abort();
		client->tasks[index_of(client, request->merge_task->task)]->state = MAESTRO__TASK_STATE__TASK_MERGED;
		merged.commit = request->merge_task->commit;
		reply->body_case = MAESTRO__ENVELOPE__BODY_MERGED;
		reply->merged = &merged;
		changed(client, MODEL_TASKS, request->merge_task->task);
		return 0;
	default:
		return error_set(error, CLIENT_E_FAILED, "the scene does not know this request");
	}
}

static int on_reply(sd_event_source *source, void *userdata)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct reply *reply = userdata;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	int r = answer(reply->client, (const Maestro__Envelope *)reply->request.base, &envelope, &error);

	reply->done(reply->client, r, r ? NULL : &envelope, &error, reply->userdata);
	reply_free(reply);
	return 0;
}

int client_request(struct client *client, Maestro__Envelope *request, uint32_t deadline_ms, client_reply done,
	void *userdata, uint64_t *ret_number, struct error *error)
{
	struct reply *reply;

	if (!client->connected)
		return error_set(error, CLIENT_E_UNREACHABLE, "there is no connection");
	reply = calloc(1, sizeof(*reply));
	*reply = (struct reply){ .client = client, .number = ++client->number, .done = done, .userdata = userdata };
	reply->request.base = message_copy(request);
	list_append(&client->replies, &reply->link);
	sd_event_add_defer(client->event, &reply->source, on_reply, reply);
	if (ret_number)
		*ret_number = reply->number;
	return 0;
}

void client_cancel(struct client *client, uint64_t number)
{
	struct reply *reply, *tmp;

	list_for_each_safe(reply, tmp, &client->replies, link)
		if (reply->number == number)
			reply_free(reply);
}

/* --- model.h ------------------------------------------------------------------------------------------------- */

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
	size_t at = index_of(model->client, id);

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
	show_stream(userdata);
	return 0;
}

int stream_open(struct stream **ret_stream, struct client *client, const struct stream_config *config)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	size_t at = index_of(client, config->task);

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
	write_screen(stream->client, stream->config.task, echo.data, echo.len);
	return 0;
}

int stream_resize(struct stream *stream, uint32_t cols, uint32_t rows)
{
	size_t at = index_of(stream->client, stream->config.task);

	if (at == SIZE_MAX || !stream->client->screens[at])
		return 0;
	emulator_resize(stream->client->screens[at], cols, rows);
	sd_event_source_set_enabled(stream->source, SD_EVENT_ONESHOT);
	return 0;
}
