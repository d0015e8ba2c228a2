/* Jobs of maestro-git for attempts. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/io.h"
#include "proto/wire/message.h"

#define MINUTE_MS (60u * 1000)
#define NETWORK_TIMEOUT_MS MINUTE_MS
#define SUBJECT_CHARS 72

static const uint64_t limits_ms[WORK_COUNT] = {
	[WORK_PREPARE] = 60 * MINUTE_MS, /* a first clone may be long; without progress it ends after a minute */
	[WORK_COMMIT] = 10 * MINUTE_MS,
	[WORK_PUSH] = 30 * MINUTE_MS,
	[WORK_CHECKPOINT] = 5 * MINUTE_MS,
	[WORK_REMOVE] = 10 * MINUTE_MS,
};

void git_place_deinit(struct git_place *place)
{
	free(place->mirror);
}

int gitwork_project(const struct service *service, const Maestro__ProjectSpec *spec, bool merging,
	Maestro__GitProject *ret_project, struct git_place *ret_place)
{
	const struct config *config = service->config;
	const char *key = merging && config->merge_key ? config->merge_key : config->ssh_key;

	maestro__git_project__init(ret_project);
	ret_place->mirror = service_path(service, "mirrors/%s.git", spec->name);
	if (!ret_place->mirror)
		return -ENOMEM;
	ret_project->name = spec->name;
	ret_project->url = spec->url;
	ret_project->mirror = bytes_of(ret_place->mirror);
	ret_project->has_ssh_key = key != NULL;
	ret_project->ssh_key = bytes_of(key);
	ret_project->has_known_hosts = config->known_hosts != NULL;
	ret_project->known_hosts = bytes_of(config->known_hosts);
	ret_project->has_timeout_ms = true;
	ret_project->timeout_ms = NETWORK_TIMEOUT_MS;
	return 0;
}

char *gitwork_worktree(const struct service *service, const struct attempt *attempt)
{
	return service_path(service, "worktrees/%" PRIu64 ".%u/%s", attempt->task, attempt_worktree(attempt),
		attempt->start->project->name);
}

/* What a job needs beside the attempt, for as long as it is packed. */
struct draft {
	const struct attempt *attempt;
	char *worktree;
	char **excludes;
	ProtobufCBinaryData *exclude_bytes;
	size_t exclude_count;
	char subject[SUBJECT_CHARS + 1];
	bool force;
	struct git_place place;
	Maestro__GitProject project;
	Maestro__GitPrepare prepare;
	Maestro__GitCommit commit;
	Maestro__GitCheckpoint checkpoint;
	Maestro__GitPush push;
	Maestro__GitRemove remove;
};

static void draft_deinit(struct draft *draft)
{
	for (size_t i = 0; i < draft->exclude_count; i++)
		free(draft->excludes[i]);
	free(draft->excludes);
	free(draft->exclude_bytes);
	free(draft->worktree);
	git_place_deinit(&draft->place);
}

static int draft_excludes(struct service *service, struct draft *draft)
{
	int r = launch_excludes(service, draft->attempt, &draft->excludes, &draft->exclude_count);

	if (r || !draft->exclude_count)
		return r;
	draft->exclude_bytes = calloc(draft->exclude_count, sizeof(*draft->exclude_bytes));
	if (!draft->exclude_bytes)
		return -ENOMEM;
	for (size_t i = 0; i < draft->exclude_count; i++)
		draft->exclude_bytes[i] = bytes_of(draft->excludes[i]);
	return 0;
}

static int draft_prepare(struct service *service, struct draft *draft, Maestro__GitJob *job)
{
	Maestro__GitPrepare *prepare = &draft->prepare;
	int r = draft_excludes(service, draft);

	maestro__git_prepare__init(prepare);
	prepare->base_branch = draft->attempt->start->base_branch;
	prepare->from_commit = draft->attempt->start->from_commit;
	prepare->branch = draft->attempt->start->branch;
	prepare->worktree = bytes_of(draft->worktree);
	prepare->exclude = draft->exclude_bytes;
	prepare->n_exclude = draft->exclude_count;
	job->op_case = MAESTRO__GIT_JOB__OP_PREPARE;
	job->prepare = prepare;
	return r;
}

/* The title, else the prompt's first line, without cutting a character in two. */
static void fill_subject(const Maestro__Start *start, char *subject)
{
	const ProtobufCBinaryData *text = start->has_title && start->title.len ? &start->title : &start->prompt;
	size_t len = 0, begin = 0;

	while (begin < text->len && strchr(" \t\r\n", text->data[begin]))
		begin++;
	while (begin + len < text->len && len < SUBJECT_CHARS && text->data[begin + len] >= ' ')
		len++;
	while (len && begin + len < text->len && (text->data[begin + len] & 0xc0) == 0x80)
		len--;
	memcpy(subject, text->data + begin, len);
	subject[len] = 0;
	if (!len)
		strcpy(subject, "Work of a session");
}

static int draft_commit(struct service *service, struct draft *draft, Maestro__GitJob *job)
{
	Maestro__GitCommit *commit = &draft->commit;

	maestro__git_commit__init(commit);
	fill_subject(draft->attempt->start, draft->subject);
	commit->worktree = bytes_of(draft->worktree);
	commit->branch = draft->attempt->start->branch;
	commit->base_commit = draft->attempt->base_commit;
	commit->message = bytes_of(draft->subject);
	commit->task = draft->attempt->task;
	commit->attempt = draft->attempt->attempt;
	commit->author = draft->attempt->start->author;
	job->op_case = MAESTRO__GIT_JOB__OP_COMMIT;
	job->commit = commit;
	return 0;
}

static int draft_checkpoint(struct service *service, struct draft *draft, Maestro__GitJob *job)
{
	Maestro__GitCheckpoint *checkpoint = &draft->checkpoint;

	maestro__git_checkpoint__init(checkpoint);
	checkpoint->worktree = bytes_of(draft->worktree);
	checkpoint->task = draft->attempt->task;
	checkpoint->attempt = draft->attempt->attempt;
	checkpoint->author = draft->attempt->start->author;
	job->op_case = MAESTRO__GIT_JOB__OP_CHECKPOINT;
	job->checkpoint = checkpoint;
	return 0;
}

static int draft_push(struct service *service, struct draft *draft, Maestro__GitJob *job)
{
	const struct attempt *attempt = draft->attempt;
	Maestro__GitPush *push = &draft->push;

	maestro__git_push__init(push);
	push->branch = attempt->pushed_branch ? attempt->pushed_branch : attempt->start->branch;
	push->commit = attempt->tip;
	push->last_pushed = attempt->pushed_commit ? attempt->pushed_commit : attempt->last_pushed;
	push->taken_suffix = attempt->pushed_branch ? NULL : attempt->suffix;
	job->op_case = MAESTRO__GIT_JOB__OP_PUSH;
	job->push = push;
	return 0;
}

static int draft_remove(struct service *service, struct draft *draft, Maestro__GitJob *job)
{
	const struct attempt *attempt = draft->attempt;
	Maestro__GitRemove *remove_job = &draft->remove;

	maestro__git_remove__init(remove_job);
	remove_job->worktree = bytes_of(draft->worktree);
	remove_job->branch = attempt->start->branch;
	remove_job->has_force = true;
	/* Before it was known to be prepared nothing ran in it: what lies there is a half checkout, nobody's work. */
	remove_job->force = attempt->release.force || !attempt->base_commit;
	remove_job->pushed_commit = attempt->pushed_commit;
	remove_job->has_delete_branch = remove_job->delete_branch = true;
	remove_job->base_commit = attempt->base_commit;
	job->op_case = MAESTRO__GIT_JOB__OP_REMOVE;
	job->remove = remove_job;
	return 0;
}

static int (*const drafts[WORK_COUNT])(struct service *service, struct draft *draft, Maestro__GitJob *job) = {
	[WORK_PREPARE] = draft_prepare,
	[WORK_COMMIT] = draft_commit,
	[WORK_PUSH] = draft_push,
	[WORK_CHECKPOINT] = draft_checkpoint,
	[WORK_REMOVE] = draft_remove,
};

static void on_done(void *userdata, const Maestro__GitResult *result)
{
	struct session *session = userdata;
	struct service *service = session->service;
	struct event event = { .kind = EVENT_GIT_DONE, .task = session->task, .attempt = session->attempt };

	event.git.work = session->job_work;
	event.git.result = result;
	event.git.expired = job_expired(session->job);
	session->job = NULL;
	if (result->code != MAESTRO__GIT_CODE__GIT_OK)
		log_warning(service->log, "task=%" PRIu64 " attempt=%u: git: %.*s", session->task, session->attempt,
			(int)result->why.len, (const char *)result->why.data);
	service_event(service, &event);
}

static int start_job(struct service *service, struct session *session, const struct attempt *attempt, enum work work,
	uint64_t not_after_ms)
{
	_cleanup_(draft_deinit) struct draft draft = { .attempt = attempt };
	Maestro__GitJob job = MAESTRO__GIT_JOB__INIT;
	int r;

	draft.worktree = gitwork_worktree(service, attempt);
	if (!draft.worktree)
		return -ENOMEM;
	r = gitwork_project(service, attempt->start->project, false, &draft.project, &draft.place);
	if (!r)
		r = drafts[work](service, &draft, &job);
	if (r)
		return r;
	job.project = &draft.project;
	session->job_work = work;
	return job_start(service->jobs, &job, limits_ms[work], not_after_ms, on_done, session, &session->job);
}

void gitwork_start(struct service *service, const struct attempt *attempt, enum work work, uint64_t not_after_ms)
{
	struct session *session = session_get(service, attempt->task, attempt->attempt);
	int r = session ? start_job(service, session, attempt, work, not_after_ms) : -ENOMEM;
	struct event event = { .kind = EVENT_GIT_DONE, .task = attempt->task, .attempt = attempt->attempt };
	Maestro__GitResult result = MAESTRO__GIT_RESULT__INIT;

	if (!r)
		return;
	result.code = MAESTRO__GIT_CODE__GIT_FAILED;
	result.has_why = true;
	result.why = bytes_of(strerror(-r));
	event.git.work = work;
	event.git.result = &result;
	service_event(service, &event);
}

void gitwork_cancel(struct service *service, uint64_t task, uint32_t attempt)
{
	struct session *session = session_find(service, task, attempt);

	if (session && session->job)
		job_cancel(session->job);
}
