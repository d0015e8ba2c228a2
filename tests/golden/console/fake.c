#include "tests/golden/console/fake_parts.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

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

void fake_changed(struct client *client, unsigned int parts, uint64_t task)
{
	if (client->model)
		client->model->ops->changed(client->model, parts, task, client->model->userdata);
}

int fake_new(struct client **ret_client, sd_event *event, const char *scene, int command_fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	client->event = event;
	client->role = MAESTRO__ROLE__ROLE_OPERATOR;
	list_init(&client->replies);
	list_init(&client->streams);
	r = fake_build(client, scene);
	if (r < 0) {
		client_free(client);
		return r;
	}
	if (command_fd >= 0)
		sd_event_add_io(event, &client->command_source, command_fd, EPOLLIN, fake_on_command, client);
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
	size_t at = fake_index(client, id);

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
	fake_add_task(client, id, title, MAESTRO__TASK_STATE__TASK_QUEUED, "", submit->n_agents ? submit->agents[0] : "claude");
	fake_set_string(&client->tasks[client->task_count - 1]->project, submit->project);
	client->tasks[client->task_count - 1]->created_ms = NOW_MS - 1000;
	submitted.n_tasks = 1;
	submitted.tasks = &id;
	reply->body_case = MAESTRO__ENVELOPE__BODY_SUBMITTED;
	reply->submitted = &submitted;
	fake_changed(client, MODEL_TASKS, id);
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
		client->tasks[fake_index(client, request->act_on_task->task)]->state = after_action[request->act_on_task->action];
		fake_changed(client, MODEL_TASKS, request->act_on_task->task);
		return 0;
	case MAESTRO__ENVELOPE__BODY_MERGE_TASK:
		if (request->merge_task->method != MAESTRO__MERGE_METHOD__MERGE_FF_ONLY || !request->merge_task->commit)
			abort();
		client->tasks[fake_index(client, request->merge_task->task)]->state = MAESTRO__TASK_STATE__TASK_MERGED;
		merged.commit = request->merge_task->commit;
		reply->body_case = MAESTRO__ENVELOPE__BODY_MERGED;
		reply->merged = &merged;
		fake_changed(client, MODEL_TASKS, request->merge_task->task);
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
