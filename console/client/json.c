#include "console/client/json.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <string.h>

#define BYTES(message, field) ((message)->has_##field ? bytes_or_null(&(message)->field) : json_null())
#define NUMBER(message, field) ((message)->has_##field ? json_integer((json_int_t)(message)->field) : json_null())
#define TIME(message, field) ((message)->has_##field ? time_or_null((message)->field) : json_null())
#define WORD(message, field, name) ((message)->has_##field ? json_string(name((message)->field)) : json_null())

json_t *json_of_bytes(const void *data, size_t len)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	const char *text = data;
	uint32_t code;

	if (len && str_utf8_valid(text, len))
		return json_stringn(text, len);
	for (size_t i = 0; i < len;) {
		int n = str_utf8_next(text + i, len - i, &code);
		int r = n > 0 ? buf_append(&clean, text + i, (size_t)n) : buf_append_str(&clean, "\xef\xbf\xbd");

		if (r)
			return NULL;
		i += n > 0 ? (size_t)n : 1;
	}
	return json_stringn(buf_text(&clean), clean.len);
}

static json_t *bytes_or_null(const ProtobufCBinaryData *bytes)
{
	return json_of_bytes(bytes->data, bytes->len);
}

static json_t *string_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t wall_ms)
{
	char text[CLOCK_RFC3339_MAX];

	return wall_ms > 0 ? json_string(clock_format_rfc3339(wall_ms, text)) : json_null();
}

static json_t *labels(Maestro__Label *const *items, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; object && i < count; i++)
		json_object_set_new(object, items[i]->key, json_string(items[i]->value));
	return object;
}

static json_t *ids(const uint64_t *items, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++)
		json_array_append_new(array, json_integer((json_int_t)items[i]));
	return array;
}

int64_t json_limited_until(const Maestro__AgentStatus *status, uint64_t now_age_ms)
{
	return clock_wall_ms() - (int64_t)((status->has_age_ms ? status->age_ms : 0) + now_age_ms) + (int64_t)status->limited_ms;
}

static json_t *status(const Maestro__AgentStatus *status, uint64_t now_age_ms)
{
	if (!status)
		return json_null();
	return json_pack("{so so so so so so so}",
		"state", json_string(name_agent_state(status->state)),
		"limited_until", status->has_limited_ms ? time_or_null(json_limited_until(status, now_age_ms)) : json_null(),
		"message", BYTES(status, message),
		"file", BYTES(status, file),
		"progress", NUMBER(status, progress),
		"source", WORD(status, source, name_source),
		"age_ms", status->has_age_ms ? json_integer((json_int_t)(status->age_ms + now_age_ms)) : json_null());
}

json_t *json_of_attempt(const Maestro__Attempt *attempt)
{
	return json_pack("{so so so so so so so so so}",
		"attempt", json_integer(attempt->attempt),
		"worker", string_or_null(attempt->worker),
		"state", WORD(attempt, state, name_task_state),
		"reason", BYTES(attempt, reason),
		"exit_code", NUMBER(attempt, exit_code),
		"branch", string_or_null(attempt->branch),
		"commit", string_or_null(attempt->commit),
		"started", TIME(attempt, started_ms),
		"ended", TIME(attempt, ended_ms));
}

static json_t *attempts(const Maestro__Task *task)
{
	json_t *array;

	if (!task->n_attempts && task->attempt)
		return json_null(); /* a list does not carry them; `show` does */
	array = json_array();
	for (size_t i = 0; array && i < task->n_attempts; i++)
		json_array_append_new(array, json_of_attempt(task->attempts[i]));
	return array;
}

json_t *json_of_task(const Maestro__Task *task, uint64_t now_age_ms)
{
	return json_pack("{so so so so so so so so so so so so so so so so so so so so so so so}",
		"id", json_integer((json_int_t)task->id),
		"title", BYTES(task, title),
		"project", string_or_null(task->project),
		"agent", string_or_null(task->agent),
		"group", NUMBER(task, group),
		"state", WORD(task, state, name_task_state),
		"reason", BYTES(task, reason),
		"attempt", NUMBER(task, attempt),
		"worker", string_or_null(task->worker),
		"branch", string_or_null(task->branch),
		"base", string_or_null(task->base_branch),
		"commit", string_or_null(task->commit),
		"labels", labels(task->labels, task->n_labels),
		"priority", json_integer(task->has_priority ? task->priority : 0),
		"after", ids(task->after, task->n_after),
		"waiting_for", BYTES(task, waiting_for),
		"status", status(task->status, now_age_ms),
		"session", json_string(name_session(task->has_session ? task->session : MAESTRO__SESSION_STATE__SESSION_NONE)),
		"exit_code", NUMBER(task, exit_code),
		"created", TIME(task, created_ms),
		"started", TIME(task, started_ms),
		"ended", TIME(task, ended_ms),
		"attempts", attempts(task));
}

static json_t *programs(const Maestro__Worker *worker)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < worker->n_agents; i++) {
		const Maestro__AgentProgram *agent = worker->agents[i];

		json_array_append_new(array, json_pack("{so so so so}",
			"name", json_string(agent->name),
			"version", BYTES(agent, version),
			"limited_until", TIME(agent, limited_until_ms),
			"logged_in", agent->has_logged_in ? json_boolean(agent->logged_in) : json_null()));
	}
	return array;
}

json_t *json_of_worker(const Maestro__Worker *worker)
{
	return json_pack("{so so so so so so so so so so so so so so}",
		"name", json_string(worker->name),
		"state", WORD(worker, state, name_worker_state),
		"reason", BYTES(worker, reason),
		"cordoned", json_boolean(worker->cordoned),
		"draining", json_boolean(worker->draining),
		"slots", NUMBER(worker, slots),
		"used", NUMBER(worker, used),
		"idle", NUMBER(worker, idle),
		"labels", labels(worker->labels, worker->n_labels),
		"agents", programs(worker),
		"load", worker->has_load_percent ? json_real(worker->load_percent / 100.0) : json_null(),
		"memory_free_bytes", NUMBER(worker, memory_free_bytes),
		"disk_free_bytes", NUMBER(worker, disk_free_bytes),
		"version", BYTES(worker, version));
}

json_t *json_of_project(const Maestro__Project *project)
{
	return json_pack("{so so so so so}",
		"name", json_string(project->name),
		"url", BYTES(project, url),
		"base", string_or_null(project->base_branch),
		"needs_git", json_boolean(project->needs_git),
		"reason", BYTES(project, reason));
}

/* What the event holds is JSON already, or (a broken one) text. */
static json_t *event_data(const Maestro__Event *event)
{
	json_t *data;

	if (!event->has_data || !event->data.len)
		return json_null();
	data = json_loadb((const char *)event->data.data, event->data.len, JSON_DECODE_ANY, NULL);
	return data ? data : bytes_or_null(&event->data);
}

json_t *json_of_event(const Maestro__Event *event)
{
	return json_pack("{so so so so so so so so so}",
		"seq", json_integer((json_int_t)event->seq),
		"time", TIME(event, time_ms),
		"kind", string_or_null(event->kind),
		"task", NUMBER(event, task),
		"attempt", NUMBER(event, attempt),
		"worker", string_or_null(event->worker),
		"actor", BYTES(event, actor),
		"text", BYTES(event, text),
		"data", event_data(event));
}

const char *json_file_status(Maestro__GitFileStatus status)
{
	static const struct {
		Maestro__GitFileStatus status;
		const char *word;
	} words[] = {
		{ MAESTRO__GIT_FILE_STATUS__FILE_ADDED, "added" },
		{ MAESTRO__GIT_FILE_STATUS__FILE_MODIFIED, "modified" },
		{ MAESTRO__GIT_FILE_STATUS__FILE_DELETED, "deleted" },
		{ MAESTRO__GIT_FILE_STATUS__FILE_RENAMED, "renamed" },
		{ MAESTRO__GIT_FILE_STATUS__FILE_TYPE_CHANGED, "type_changed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].status == status)
			return words[i].word;
	return "unknown";
}

json_t *json_of_diff(const Maestro__GitDiffed *diff)
{
	json_t *files = json_array();

	for (size_t i = 0; files && i < diff->n_files; i++) {
		const Maestro__GitDiffFile *file = diff->files[i];

		json_array_append_new(files, json_pack("{so so so so so so}",
			"path", bytes_or_null(&file->path),
			"old_path", BYTES(file, old_path),
			"status", json_string(json_file_status(file->status)),
			"added", json_integer(file->added),
			"removed", json_integer(file->removed),
			"binary", json_boolean(file->binary)));
	}
	return json_pack("{so so so so so so}",
		"files", files,
		"added", json_integer(diff->added),
		"removed", json_integer(diff->removed),
		"truncated", json_boolean(diff->truncated),
		"base_commit", string_or_null(diff->base_commit),
		"commit", string_or_null(diff->commit));
}

json_t *json_of_key(const Maestro__KeyInfo *key)
{
	return json_pack("{so so so so so}",
		"id", json_string(key->id),
		"role", json_string(name_role(key->role)),
		"name", BYTES(key, name),
		"created", TIME(key, created_ms),
		"revoked", json_boolean(key->revoked));
}

static json_t *choices(const Maestro__Question *question)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < question->n_choices; i++)
		json_array_append_new(array, json_pack("{so so}",
			"name", json_string(question->choices[i]->name),
			"text", BYTES(question->choices[i], text)));
	return array;
}

json_t *json_of_question(const Maestro__Question *question)
{
	return json_pack("{so so so so so so so so so so so}",
		"id", json_integer((json_int_t)question->id),
		"kind", string_or_null(question->kind),
		"worker", string_or_null(question->worker),
		"task", NUMBER(question, task),
		"attempt", NUMBER(question, attempt),
		"text", BYTES(question, text),
		"choices", choices(question),
		"asked", TIME(question, asked_ms),
		"answer", string_or_null(question->answer),
		"actor", BYTES(question, actor),
		"answered", TIME(question, answered_ms));
}
