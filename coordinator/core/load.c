/* What is stored becomes state again: a row at a time, before the first event, table by table in the order of enum row_table. */
#include "coordinator/core/internal.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>

static int load_meta(struct core *core, void *row, struct error *error)
{
	struct meta_row *meta = row;

	if (strcmp(meta->name, "queue_paused") == 0)
		core->paused = strcmp(str_or(meta->value, ""), "1") == 0;
	if (strcmp(meta->name, "restored") == 0)
		restore_load(core, str_or(meta->value, ""));
	if (strcmp(meta->name, "gaps") == 0)
		restore_load_gaps(core, str_or(meta->value, ""));
	if (strcmp(meta->name, "epoch") == 0)
		core->epoch = strtoull(str_or(meta->value, "0"), NULL, 10);
	if (strcmp(meta->name, "next_task") == 0)
		core->next_task = strtoull(str_or(meta->value, "1"), NULL, 10);
	if (strcmp(meta->name, "next_seq") == 0)
		core->next_seq = strtoull(str_or(meta->value, "1"), NULL, 10);
	row_free(ROW_META, row);
	return 0;
}

static int load_task(struct core *core, void *row, struct error *error)
{
	struct task_row *given = row;
	struct task *task = find_task(core, given->id) ? NULL : add_task(core, given->id);

	if (!task) {
		row_free(ROW_TASK, row);
		return -ENOMEM;
	}
	task->row = *given;
	free(given);
	if (task->row.id >= core->next_task)
		core->next_task = task->row.id + 1;
	return 0;
}

static int load_spec(struct core *core, void *row, struct error *error)
{
	struct spec_row *spec = row;
	struct task *task = find_task(core, spec->task);
	uint64_t id = spec->task;

	if (task && !task->spec)
		task->spec = maestro__submit__unpack(NULL, spec->submit.len, spec->submit.data);
	row_free(ROW_SPEC, row);
	if (!task || !task->spec)
		return error_set(error, -EINVAL, "task %" PRIu64 ": what was asked cannot be read", id);
	return 0;
}

static int load_attempt(struct core *core, void *row, struct error *error)
{
	struct attempt_row *given = row;
	struct task *task = find_task(core, given->task);
	struct attempt *attempt;
	uint64_t id = given->task;

	if (!task || given->attempt != task->attempt_count + 1 || given->run_id.len != 16 || !given->worker) {
		row_free(ROW_ATTEMPT, row);
		return error_set(error, -EINVAL, "task %" PRIu64 ": its attempts do not fit together", id);
	}
	attempt = add_attempt(task);
	if (!attempt) {
		row_free(ROW_ATTEMPT, row);
		return -ENOMEM;
	}
	attempt->row = *given;
	free(given);
	return 0;
}

static int load_status(struct core *core, void *row, struct error *error)
{
	struct status_row *given = row;
	struct task *task = find_task(core, given->task);

	if (!task) {
		row_free(ROW_STATUS, row);
		return 0;
	}
	row_deinit(ROW_STATUS, &task->status);
	task->status = *given;
	task->has_status = true;
	free(given);
	return 0;
}

static int load_project(struct core *core, void *row, struct error *error)
{
	struct project_row *given = row;
	struct project *project = add_project(core, given->name);
	char *name;

	if (!project) {
		row_free(ROW_PROJECT, row);
		return -ENOMEM;
	}
	name = project->row.name; /* the table's key */
	free(given->name);
	project->row = *given;
	project->row.name = name;
	free(given);
	return 0;
}

static int load_worker(struct core *core, void *row, struct error *error)
{
	struct worker_row *given = row;
	struct worker *worker = add_worker(core, given->name);
	char *name;

	if (!worker) {
		row_free(ROW_WORKER, row);
		return -ENOMEM;
	}
	name = worker->row.name;
	free(given->name);
	worker->row = *given;
	worker->row.name = name;
	free(given);
	if (worker->row.info.len)
		worker->info = maestro__worker_info__unpack(NULL, worker->row.info.len, worker->row.info.data);
	worker_described(core, worker);
	if (worker->row.lost)
		worker->state = MAESTRO__WORKER_STATE__WORKER_LOST;
	return 0;
}

static int load_request(struct core *core, void *row, struct error *error)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request) {
		row_free(ROW_REQUEST, row);
		return -ENOMEM;
	}
	request->row = *(struct request_row *)row;
	free(row);
	HASH_ADD_KEYPTR(hh, core->requests, request->row.request_id.data, request->row.request_id.len, request);
	return 0;
}

static int load_debt(struct core *core, void *row, struct error *error)
{
	struct debt *debt = calloc(1, sizeof(*debt));

	if (!debt) {
		row_free(ROW_DEBT, row);
		return -ENOMEM;
	}
	debt->row = *(struct debt_row *)row;
	free(row);
	list_append(&core->debts, &debt->owed);
	return 0;
}

static int load_question(struct core *core, void *row, struct error *error)
{
	return question_load(core, row);
}

static int load_event(struct core *core, void *row, struct error *error)
{
	struct event_row *given = row;

	if (given->seq >= core->next_seq)
		core->next_seq = given->seq + 1;
	row_free(ROW_EVENT, row);
	return 0;
}

static int (*const loaders[ROW_TABLE_COUNT])(struct core *core, void *row, struct error *error) = {
	[ROW_META] = load_meta,
	[ROW_TASK] = load_task,
	[ROW_SPEC] = load_spec,
	[ROW_ATTEMPT] = load_attempt,
	[ROW_STATUS] = load_status,
	[ROW_PROJECT] = load_project,
	[ROW_WORKER] = load_worker,
	[ROW_REQUEST] = load_request,
	[ROW_DEBT] = load_debt,
	[ROW_QUESTION] = load_question,
	[ROW_EVENT] = load_event,
};

int core_load(struct core *core, enum row_table table, void *row, struct error *error)
{
	if (loaders[table])
		return loaders[table](core, row, error);
	row_free(table, row);
	return 0;
}
