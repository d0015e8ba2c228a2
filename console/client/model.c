#include "console/client/model.h"
#include "console/client/rows.h"
#include "proto/base/clock.h"

#include <string.h>

struct task_row {
	Maestro__Task *task;
	uint64_t status_at_ms; /* CLOCK_BOOTTIME when its status came, less the age it came with */
};

struct picture {
	struct rows tasks;    /* struct task_row, by id */
	struct rows workers;  /* Maestro__Worker, by name */
	struct rows projects; /* Maestro__Project, by name */
	struct rows questions; /* Maestro__Question, open ones, by id */
	bool queue_paused;
};

struct model {
	struct client *client;
	struct client_listener listener;
	const struct model_ops *ops;
	void *userdata;
	struct picture now;   /* what is shown */
	struct picture next;  /* pages of a snapshot that is not whole yet */
	Maestro__Event *events[MODEL_EVENTS_MAX];
	size_t event_first, event_count;
	uint64_t last_seq;
	uint64_t watch;       /* number of the WATCH that is not answered, 0: none */
	bool ready, fresh;
	uint64_t stale_since_ms, retry_at_ms;
	char *trouble;
};

static int compare_task(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct task_row *)item)->task->id;

	return a < b ? -1 : a > b;
}

static int compare_worker(const void *key, const void *item)
{
	return strcmp(key, ((const Maestro__Worker *)item)->name);
}

static int compare_project(const void *key, const void *item)
{
	return strcmp(key, ((const Maestro__Project *)item)->name);
}

static int compare_question(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key, b = ((const Maestro__Question *)item)->id;

	return a < b ? -1 : a > b;
}

static void free_message(void *item)
{
	protobuf_c_message_free_unpacked(item, NULL);
}

static void free_task(void *item)
{
	struct task_row *row = item;

	maestro__task__free_unpacked(row->task, NULL);
	free(row);
}

static void picture_deinit(struct picture *picture)
{
	rows_deinit(&picture->tasks, free_task);
	rows_deinit(&picture->workers, free_message);
	rows_deinit(&picture->projects, free_message);
	rows_deinit(&picture->questions, free_message);
	*picture = (struct picture){ .queue_paused = false };
}

/* --- taking in ----------------------------------------------------------------------------------------------- */

static uint64_t said_at_ms(const Maestro__AgentStatus *status)
{
	uint64_t now_ms = clock_boottime_ms(), age_ms = status && status->has_age_ms ? status->age_ms : 0;

	return age_ms < now_ms ? now_ms - age_ms : 0;
}

static int put_task(struct picture *picture, const Maestro__Task *task)
{
	struct task_row *row = calloc(1, sizeof(*row));

	if (!row)
		return -ENOMEM;
	row->task = message_copy(task);
	row->status_at_ms = said_at_ms(task->status);
	if (!row->task) {
		free(row);
		return -ENOMEM;
	}
	return rows_put(&picture->tasks, &row->task->id, row, compare_task, free_task);
}

static int put_worker(struct picture *picture, const Maestro__Worker *worker)
{
	Maestro__Worker *copy = message_copy(worker);

	return copy ? rows_put(&picture->workers, copy->name, copy, compare_worker, free_message) : -ENOMEM;
}

static int put_project(struct picture *picture, const Maestro__Project *project)
{
	Maestro__Project *copy = message_copy(project);

	return copy ? rows_put(&picture->projects, copy->name, copy, compare_project, free_message) : -ENOMEM;
}

/* One that was answered is asked no more. */
static int put_question(struct picture *picture, const Maestro__Question *question)
{
	Maestro__Question *copy;

	if (question->answer) {
		rows_remove(&picture->questions, &question->id, compare_question, free_message);
		return 0;
	}
	copy = message_copy(question);
	return copy ? rows_put(&picture->questions, &copy->id, copy, compare_question, free_message) : -ENOMEM;
}

static void tell(struct model *model, unsigned int parts, uint64_t task)
{
	if (parts && model->ops)
		model->ops->changed(model, parts, task, model->userdata);
}

static void take_snapshot(struct model *model, const Maestro__Snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		put_task(&model->next, snapshot->tasks[i]);
	for (size_t i = 0; i < snapshot->n_workers; i++)
		put_worker(&model->next, snapshot->workers[i]);
	for (size_t i = 0; i < snapshot->n_projects; i++)
		put_project(&model->next, snapshot->projects[i]);
	for (size_t i = 0; i < snapshot->n_questions; i++)
		put_question(&model->next, snapshot->questions[i]);
	if (snapshot->has_queue_paused)
		model->next.queue_paused = snapshot->queue_paused;
	if (!snapshot->last)
		return;
	picture_deinit(&model->now);
	model->now = model->next;
	model->next = (struct picture){ .queue_paused = false };
	model->ready = model->fresh = true;
	tell(model, MODEL_ALL & ~(unsigned int)MODEL_EVENTS, 0);
}

/* The newest status counts, and only that of the attempt that the task is at. */
static bool take_status(struct picture *picture, const Maestro__StatusReport *report)
{
	struct task_row *row = rows_get(&picture->tasks, &report->task, compare_task);
	Maestro__AgentStatus *copy;

	if (!row || (row->task->has_attempt && row->task->attempt != report->attempt))
		return false;
	copy = message_copy(report->status);
	if (!copy)
		return false;
	if (row->task->status)
		maestro__agent_status__free_unpacked(row->task->status, NULL);
	row->task->status = copy;
	row->status_at_ms = said_at_ms(copy);
	return true;
}

static void take_change(struct model *model, const Maestro__Change *change)
{
	/* before the snapshot is whole, changes belong to it */
	struct picture *picture = model->fresh ? &model->now : &model->next;
	unsigned int parts = 0;
	uint64_t task = 0;

	if (change->task && !put_task(picture, change->task)) {
		parts |= MODEL_TASKS;
		task = change->task->id;
	}
	if (change->status && take_status(picture, change->status)) {
		parts |= MODEL_TASKS;
		task = change->status->task;
	}
	if (change->has_removed_task) {
		rows_remove(&picture->tasks, &change->removed_task, compare_task, free_task);
		parts |= MODEL_TASKS;
		task = change->removed_task;
	}
	if (change->worker && !put_worker(picture, change->worker))
		parts |= MODEL_WORKERS;
	if (change->removed_worker) {
		rows_remove(&picture->workers, change->removed_worker, compare_worker, free_message);
		parts |= MODEL_WORKERS;
	}
	if (change->question && !put_question(picture, change->question))
		parts |= MODEL_WORKERS;
	if (change->project && !put_project(picture, change->project))
		parts |= MODEL_PROJECTS;
	if (change->removed_project) {
		rows_remove(&picture->projects, change->removed_project, compare_project, free_message);
		parts |= MODEL_PROJECTS;
	}
	if (model->fresh)
		tell(model, parts, task);
}

static void put_event(struct model *model, const Maestro__Event *event)
{
	Maestro__Event *copy;
	size_t at;

	if (event->seq <= model->last_seq)
		return;
	copy = message_copy(event);
	if (!copy)
		return;
	model->last_seq = event->seq;
	at = (model->event_first + model->event_count) % MODEL_EVENTS_MAX;
	if (model->event_count == MODEL_EVENTS_MAX) {
		maestro__event__free_unpacked(model->events[at], NULL);
		model->event_first = (model->event_first + 1) % MODEL_EVENTS_MAX;
	} else {
		model->event_count++;
	}
	model->events[at] = copy;
}

static void take_events(struct model *model, const Maestro__EventBatch *batch)
{
	/* Asked for from here when the connection comes again. A lower one than ours: a backup of the database was restored. */
	if (batch->has_next && batch->next && (!model->last_seq || batch->next <= model->last_seq))
		model->last_seq = batch->next - 1;
	for (size_t i = 0; i < batch->n_events; i++)
		put_event(model, batch->events[i]);
	if (batch->n_events)
		tell(model, MODEL_EVENTS, 0);
}

static void on_message(struct client_listener *listener, const Maestro__Envelope *envelope)
{
	struct model *model = container_of(listener, struct model, listener);

	switch (envelope->body_case) {
	case MAESTRO__ENVELOPE__BODY_SNAPSHOT:
		take_snapshot(model, envelope->snapshot);
		break;
	case MAESTRO__ENVELOPE__BODY_CHANGE:
		take_change(model, envelope->change);
		break;
	case MAESTRO__ENVELOPE__BODY_EVENT_BATCH:
		take_events(model, envelope->event_batch);
		break;
	default:
		break;
	}
}

/* --- the connection ------------------------------------------------------------------------------------------ */

static void set_trouble(struct model *model, const char *why)
{
	free(model->trouble);
	model->trouble = why ? strdup(why) : NULL;
}

static void on_watched(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error,
	void *userdata)
{
	struct model *model = userdata;

	model->watch = 0;
	if (r && r != CLIENT_E_UNREACHABLE) {
		set_trouble(model, error_text(error, r));
		tell(model, MODEL_CONNECTION, 0);
	}
}

/* The newest events come too: the coordinator's numbers tell which are known already. */
static void watch(struct model *model)
{
	Maestro__Watch watch = MAESTRO__WATCH__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;

	watch.has_model = watch.model = true;
	watch.has_events = watch.events = true;
	watch.has_follow = watch.follow = true;
	if (model->last_seq) {
		watch.has_since = true;
		watch.since = model->last_seq + 1;
	}
	request.body_case = MAESTRO__ENVELOPE__BODY_WATCH;
	request.watch = &watch;
	picture_deinit(&model->next);
	model->fresh = false;
	set_trouble(model, NULL);
	client_request(model->client, &request, 0, on_watched, model, &model->watch, NULL);
}

static void on_connected(struct client_listener *listener)
{
	struct model *model = container_of(listener, struct model, listener);

	model->retry_at_ms = 0;
	if (!model->watch) /* it may have been made by somebody who was told before it */
		watch(model);
	tell(model, MODEL_CONNECTION, 0);
}

static void on_disconnected(struct client_listener *listener, const char *why, uint32_t retry_ms)
{
	struct model *model = container_of(listener, struct model, listener);

	if (model->fresh)
		model->stale_since_ms = clock_boottime_ms();
	model->fresh = false;
	model->retry_at_ms = retry_ms ? clock_boottime_ms() + retry_ms : 0;
	set_trouble(model, why);
	tell(model, MODEL_CONNECTION, 0);
}

static const struct client_listener_ops listener_ops = {
	.connected = on_connected,
	.disconnected = on_disconnected,
	.message = on_message,
};

int model_new(struct model **ret_model, struct client *client, const struct model_ops *ops, void *userdata)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	model->client = client;
	model->ops = ops;
	model->userdata = userdata;
	model->stale_since_ms = clock_boottime_ms();
	client_listen(client, &model->listener, &listener_ops);
	if (client_connected(client))
		watch(model);
	*ret_model = model;
	return 0;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	client_unlisten(&model->listener);
	if (model->watch)
		client_cancel(model->client, model->watch);
	picture_deinit(&model->now);
	picture_deinit(&model->next);
	for (size_t i = 0; i < model->event_count; i++)
		maestro__event__free_unpacked(model->events[(model->event_first + i) % MODEL_EVENTS_MAX], NULL);
	free(model->trouble);
	free(model);
}

/* --- looking ------------------------------------------------------------------------------------------------- */

bool model_ready(const struct model *model)
{
	return model->ready;
}

uint64_t model_age_ms(const struct model *model)
{
	return model->fresh ? 0 : clock_boottime_ms() - model->stale_since_ms;
}

const char *model_trouble(const struct model *model)
{
	return model->trouble ? model->trouble : "";
}

uint64_t model_retry_ms(const struct model *model)
{
	uint64_t now_ms = clock_boottime_ms();

	return model->retry_at_ms > now_ms ? model->retry_at_ms - now_ms : 0;
}

bool model_queue_paused(const struct model *model)
{
	return model->now.queue_paused;
}

size_t model_task_count(const struct model *model)
{
	return model->now.tasks.count;
}

const Maestro__Task *model_task_at(const struct model *model, size_t index)
{
	return ((const struct task_row *)model->now.tasks.items[index])->task;
}

const Maestro__Task *model_task(const struct model *model, uint64_t id)
{
	const struct task_row *row = rows_get(&model->now.tasks, &id, compare_task);

	return row ? row->task : NULL;
}

uint64_t model_status_age_ms(const struct model *model, uint64_t id)
{
	const struct task_row *row = rows_get(&model->now.tasks, &id, compare_task);

	return row && row->task->status ? clock_boottime_ms() - row->status_at_ms : 0;
}

size_t model_worker_count(const struct model *model)
{
	return model->now.workers.count;
}

const Maestro__Worker *model_worker_at(const struct model *model, size_t index)
{
	return model->now.workers.items[index];
}

const Maestro__Worker *model_worker(const struct model *model, const char *name)
{
	return rows_get(&model->now.workers, name, compare_worker);
}

size_t model_project_count(const struct model *model)
{
	return model->now.projects.count;
}

const Maestro__Project *model_project_at(const struct model *model, size_t index)
{
	return model->now.projects.items[index];
}

const Maestro__Project *model_project(const struct model *model, const char *name)
{
	return rows_get(&model->now.projects, name, compare_project);
}

size_t model_question_count(const struct model *model)
{
	return model->now.questions.count;
}

const Maestro__Question *model_question_at(const struct model *model, size_t index)
{
	return model->now.questions.items[index];
}

size_t model_event_count(const struct model *model)
{
	return model->event_count;
}

const Maestro__Event *model_event_at(const struct model *model, size_t index)
{
	return model->events[(model->event_first + index) % MODEL_EVENTS_MAX];
}
