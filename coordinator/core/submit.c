/* A person's task: everything is checked before anything is changed, then all tasks of the group are made at once. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What was found while checking. */
struct submission {
	const Maestro__Submit *submit;
	const struct core_client *client;
	struct core_effects *fx;
	const struct project *project;
	const char *default_agent; /* where none was named */
	const char *base_branch;
	uint32_t count;            /* of tasks */
	uint8_t digest[ID_DIGEST_BYTES];
};

#define REFUSE(submission, code, hint, ...)                                                                  \
	(reply_failure((submission)->fx, (submission)->client, MAESTRO__FAILURE_CODE__FAILURE_##code, "run", \
		 hint, __VA_ARGS__),                                                                         \
		false)

static bool check_restored(struct core *core, struct submission *s)
{
	char hint[160];

	if (!core->question)
		return true;
	snprintf(hint, sizeof(hint), "put the newest database back, or answer it with: maestro question answer %" PRIu64 " accept",
		question_find_open(core, QUESTION_RESTORED)->row.id);
	return REFUSE(s, UNAVAILABLE, hint,
		"a worker holds what the coordinator's database does not know: it seems to be an old backup");
}

static void list_projects(const struct core *core, struct buf *out)
{
	for (const struct project *p = core->projects; p; p = p->hh.next)
		buf_printf(out, "%s%s", out->len ? ", " : "", p->row.name);
}

static bool check_project(struct core *core, struct submission *s)
{
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;
	const char *name = s->submit->project;

	if (!core->projects)
		return REFUSE(s, NOT_FOUND, "`maestro project add NAME URL`, or `maestro up` in a git repository",
			"there is no project yet");
	if (name && *name)
		s->project = find_project(core, name);
	else if (HASH_COUNT(core->projects) == 1)
		s->project = core->projects;
	if (!s->project)
		list_projects(core, &names);
	if (!s->project && (!name || !*name))
		return REFUSE(s, USAGE, "name one with -p", "there are several projects: %s", buf_text(&names));
	if (!s->project)
		return REFUSE(s, NOT_FOUND, "`maestro project ls` lists them", "no project '%s' (there is: %s)", name,
			buf_text(&names));
	s->base_branch = s->submit->base_branch && *s->submit->base_branch ? s->submit->base_branch : NULL;
	if (s->base_branch && !name_branch_valid(s->base_branch))
		return REFUSE(s, USAGE, NULL, "'%s' is no name of a branch", s->base_branch);
	return true;
}

/* The AI CLIs that some worker has; *ret_only is set if there is exactly one. */
static void list_agents(const struct core *core, struct buf *out, const char **ret_only)
{
	const char *seen[64];
	size_t n = 0;

	for (const struct worker *w = core->workers; w; w = w->hh.next) {
		for (size_t i = 0; w->info && i < w->info->n_agents && n < ARRAY_SIZE(seen); i++) {
			const char *name = w->info->agents[i]->name;
			size_t k = 0;

			while (k < n && strcmp(seen[k], name) != 0)
				k++;
			if (k == n && !agent_is_builtin(name)) {
				seen[n++] = name;
				buf_printf(out, "%s, ", name);
			}
		}
	}
	buf_append_str(out, "command, shell");
	*ret_only = n == 1 ? seen[0] : NULL;
}

/* What there is goes through all workers, so it is looked at only to refuse, or where nothing was said. */
static bool refuse_agent(const struct core *core, struct submission *s, const char *why, const char *agent, const char *hint)
{
	_cleanup_(buf_deinit) struct buf known = BUF_NULL;
	const char *only;

	list_agents(core, &known, &only);
	return REFUSE(s, NOT_FOUND, hint, "%s '%s' (there is: %s)", why, agent, buf_text(&known));
}

static bool choose_agent(const struct core *core, struct submission *s)
{
	_cleanup_(buf_deinit) struct buf known = BUF_NULL;

	list_agents(core, &known, &s->default_agent);
	if (s->default_agent)
		return true;
	if (strcmp(buf_text(&known), "command, shell") == 0)
		return REFUSE(s, NOT_FOUND, "`-a command` runs the prompt as a shell command",
			"no worker has an AI agent, and none was named with -a (there is: command, shell)");
	return REFUSE(s, USAGE, "name one with -a; `-a command` runs the prompt as a shell command",
		"which agent? (there is: %s)", buf_text(&known));
}

static bool check_agents(struct core *core, struct submission *s)
{
	const char *fallback = s->project->row.agent;

	for (size_t i = 0; i < s->submit->n_agents; i++)
		if (!name_valid(s->submit->agents[i]) || !agent_known(core, s->submit->agents[i]))
			return refuse_agent(core, s, "no worker has the agent", s->submit->agents[i],
				"`maestro worker ls` shows what each worker has");
	if (s->submit->n_agents)
		return true;
	if (!fallback || !*fallback)
		return choose_agent(core, s);
	if (!agent_known(core, fallback))
		return refuse_agent(core, s, "no worker has the project's agent", fallback, "name another with -a");
	s->default_agent = fallback;
	return true;
}

static bool check_prompt(struct core *core, struct submission *s)
{
	const ProtobufCBinaryData *prompt = &s->submit->prompt;
	bool shell = s->submit->n_agents == 1 && strcmp(s->submit->agents[0], "shell") == 0;

	if (prompt->len > LIMIT_PROMPT_BYTES)
		return REFUSE(s, USAGE, "put long material into a file of the repository and name the file",
			"the prompt has %zu bytes, %u (256 KiB) are allowed", prompt->len, LIMIT_PROMPT_BYTES);
	if (!prompt->len && !shell)
		return REFUSE(s, USAGE, NULL, "the prompt is empty");
	if (prompt->len && memchr(prompt->data, 0, prompt->len))
		return REFUSE(s, USAGE, NULL, "the prompt holds a NUL byte");
	if (s->submit->title.len > LIMIT_TITLE_BYTES)
		return REFUSE(s, USAGE, NULL, "the title has %zu bytes, %u are allowed", s->submit->title.len,
			LIMIT_TITLE_BYTES);
	if (s->submit->title.len && (!str_utf8_valid((const char *)s->submit->title.data, s->submit->title.len) ||
					   memchr(s->submit->title.data, 0, s->submit->title.len)))
		return REFUSE(s, USAGE, NULL, "the title is not UTF-8 text");
	return true;
}

static bool check_rest(struct core *core, struct submission *s)
{
	const Maestro__Submit *submit = s->submit;

	if (submit->n_labels > LIMIT_LABELS)
		return REFUSE(s, USAGE, NULL, "%zu labels, %u are allowed", submit->n_labels, LIMIT_LABELS);
	for (size_t i = 0; i < submit->n_labels; i++)
		if (!name_valid(submit->labels[i]->key) || !name_label_value_valid(submit->labels[i]->value))
			return REFUSE(s, USAGE, "write KEY=VALUE", "'%s=%s' is no label", submit->labels[i]->key,
				submit->labels[i]->value);
	for (size_t i = 0; i < submit->n_after; i++)
		if (!find_task(core, submit->after[i]))
			return REFUSE(s, NOT_FOUND, "`maestro ls --all` lists them",
				"there is no task %" PRIu64 " that this could come after", submit->after[i]);
	s->count = (submit->has_copies && submit->copies ? submit->copies : 1) *
		(submit->n_agents ? (uint32_t)submit->n_agents : 1);
	if ((submit->has_copies && submit->copies > LIMIT_COPIES) || submit->n_agents > LIMIT_COPIES ||
		s->count > LIMIT_COPIES)
		return REFUSE(s, USAGE, NULL, "copies times agents may be %u at most", LIMIT_COPIES);
	if (submit->n_after > LIMIT_LABELS)
		return REFUSE(s, USAGE, NULL, "it may come after %u tasks at most", LIMIT_LABELS);
	if ((submit->has_cols && (submit->cols < 20 || submit->cols > 500)) ||
		(submit->has_rows && (submit->rows < 5 || submit->rows > 300)))
		return REFUSE(s, USAGE, NULL, "a size is 20x5 to 500x300");
	if (submit->has_request_id && submit->request_id.len > LIMIT_NAME_CHARS)
		return REFUSE(s, USAGE, NULL, "a request id has %u bytes at most", LIMIT_NAME_CHARS);
	return true;
}

static void answer(struct submission *s, uint64_t first, uint32_t count)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Submitted submitted = MAESTRO__SUBMITTED__INIT;
	uint64_t ids[LIMIT_COPIES];

	for (uint32_t i = 0; i < count && i < LIMIT_COPIES; i++)
		ids[i] = first + i;
	submitted.n_tasks = count;
	submitted.tasks = ids;
	envelope.body_case = BODY(SUBMITTED);
	envelope.submitted = &submitted;
	effect_reply(s->fx, s->client->id, s->client->request, &envelope);
}

/* The body's digest: the packed message without what only names it. */
static int digest_body(const Maestro__Submit *submit, uint8_t digest[ID_DIGEST_BYTES])
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	Maestro__Submit body = *submit;
	int r;

	body.has_request_id = body.has_submitter = false;
	r = message_pack(&body, &packed);
	if (!r)
		id_sha256(packed.data, packed.len, digest);
	return r;
}

/* True if this submit was seen before (and has been answered). */
static bool repeated(struct core *core, struct submission *s)
{
	const ProtobufCBinaryData *id = &s->submit->request_id;
	struct request *request = NULL;

	if (!s->submit->has_request_id || !id->len)
		return false;
	HASH_FIND(hh, core->requests, id->data, id->len, request);
	if (!request)
		return false;
	if (request->row.digest.len == ID_DIGEST_BYTES &&
		memcmp(request->row.digest.data, s->digest, ID_DIGEST_BYTES) == 0)
		answer(s, request->row.first_task, request->row.count);
	else
		(void)REFUSE(s, USAGE, "leave --request-id out, or take another",
			"this request id was used for task %" PRIu64 ", which asked for something else",
			request->row.first_task);
	return true;
}

#define REQUEST_KEPT_MS (7 * 24 * 3600 * 1000ll) /* nobody repeats a submit after so long */
#define REQUEST_LOOK_MS (3600 * 1000u)           /* and a clock that jumps forgets none that is younger than this */

static void forget_old_requests(struct core *core, struct core_effects *fx)
{
	struct request *request, *next;

	if (core->now_ms - core->requests_looked_ms < REQUEST_LOOK_MS)
		return;
	core->requests_looked_ms = core->now_ms;
	HASH_ITER (hh, core->requests, request, next) {
		struct request_row *row;

		if (core->wall_ms - request->row.created_ms < REQUEST_KEPT_MS ||
			core->now_ms - request->since_ms < REQUEST_LOOK_MS)
			continue;
		row = row_copy(ROW_REQUEST, &request->row);
		if (!row) {
			fx->error = -ENOMEM;
			return;
		}
		effect_drop_owned(fx, ROW_REQUEST, row);
		HASH_DEL(core->requests, request);
		row_deinit(ROW_REQUEST, &request->row);
		free(request);
	}
}

static void remember(struct core *core, struct submission *s, uint64_t first)
{
	const ProtobufCBinaryData *id = &s->submit->request_id;
	struct request *request;

	if (!s->submit->has_request_id || !id->len)
		return;
	request = calloc(1, sizeof(*request));
	if (!request || row_set_blob(&request->row.request_id, id->data, id->len) ||
		row_set_blob(&request->row.digest, s->digest, ID_DIGEST_BYTES)) {
		if (request)
			row_deinit(ROW_REQUEST, &request->row);
		free(request);
		s->fx->error = -ENOMEM;
		return;
	}
	request->row.first_task = first;
	request->row.count = s->count;
	request->row.created_ms = core->wall_ms;
	request->since_ms = core->now_ms;
	HASH_ADD_KEYPTR(hh, core->requests, request->row.request_id.data, request->row.request_id.len, request);
	effect_put(s->fx, ROW_REQUEST, &request->row);
}

/* The title, else the prompt's first line that says something, at most 80 bytes of whole characters. */
static void set_title(struct core_effects *fx, struct task *task, const Maestro__Submit *submit)
{
	const char *text = (const char *)submit->prompt.data;
	size_t len = submit->prompt.len, n = 0;
	uint32_t code;
	int step;

	if (submit->title.len) {
		set_bytes(fx, &task->row.title, &submit->title);
		return;
	}
	while (len && (*text == '\n' || *text == ' ' || *text == '\t' || *text == '\r')) {
		text++;
		len--;
	}
	while (n < len && text[n] != '\n' && n < 77) {
		step = str_utf8_next(text + n, len - n, &code);
		n += step > 0 ? (size_t)step : 1;
	}
	if (row_set_textn(&task->row.title, n ? text : task->row.agent, n ? n : strlen(task->row.agent)))
		fx->error = -ENOMEM;
}

void task_set_slug(struct core_effects *fx, struct task *task, const Maestro__Submit *submit)
{
	const ProtobufCBinaryData *from = submit->title.len ? &submit->title : &submit->prompt;
	char slug[NAME_SLUG_MAX];

	name_slug(from->len ? (const char *)from->data : "", from->len, slug);
	set_text(fx, &task->row.slug, slug);
}

void task_put_spec(struct core_effects *fx, struct task *task)
{
	struct spec_row *row = calloc(1, sizeof(*row));
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;

	if (!row || !task->spec || message_pack(task->spec, &packed) ||
		row_set_blob(&row->submit, packed.data, packed.len)) {
		free(row);
		fx->error = -ENOMEM;
		return;
	}
	row->task = task->row.id;
	effect_put_owned(fx, ROW_SPEC, row);
}

/* What was asked, and who asked: whoever the work is done for, where the submit says so, else the peer. */
static Maestro__Submit *copy_spec(const struct submission *s)
{
	Maestro__Submit with = *s->submit;
	const Maestro__GitAuthor *author = s->submit->author;

	with.has_submitter = true;
	with.submitter = author && author->email.len ? author->email : bytes_of(str_or(s->client->actor, ""));
	return message_copy(&with);
}

static void make_task(struct core *core, struct submission *s, uint64_t group, uint32_t index)
{
	const Maestro__Submit *submit = s->submit;
	struct task *task = add_task(core, core->next_task);

	if (!task) {
		s->fx->error = -ENOMEM;
		return;
	}
	core->next_task++;
	task->row.group_id = group;
	task->row.state = QUEUED;
	task->row.priority = submit->has_priority ? submit->priority : 0;
	task->row.created_ms = core->wall_ms;
	task->spec = copy_spec(s);
	set_text(s->fx, &task->row.project, s->project->row.name);
	set_text(s->fx, &task->row.agent, submit->n_agents ? submit->agents[index % submit->n_agents] : s->default_agent);
	set_text(s->fx, &task->row.base_branch, s->base_branch);
	set_title(s->fx, task, submit);
	task_set_slug(s->fx, task, submit);
	effect_put(s->fx, ROW_TASK, &task->row);
	task_put_spec(s->fx, task);
	record_event(core, s->fx, "task.state", task, NULL, "queued");
	record_audit(core, s->fx, "submit", "task=%" PRIu64 " project=%s agent=%s", task->row.id, task->row.project,
		task->row.agent);
	effect_changed_task(s->fx, task->row.id);
	queue_follow(core, s->fx, task);
	queue_enter(core, s->fx, task);
}

void handle_submit(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct submission s = { .submit = event->submit, .client = &event->client, .fx = fx };
	uint64_t first = core->next_task;
	char next[24];

	if (digest_body(event->submit, s.digest)) {
		fx->error = -ENOMEM;
		return;
	}
	if (repeated(core, &s) || !check_restored(core, &s) || !check_project(core, &s) || !check_prompt(core, &s) || !check_agents(core, &s) ||
		!check_rest(core, &s))
		return;
	for (uint32_t i = 0; i < s.count; i++)
		make_task(core, &s, s.count > 1 ? first : 0, i);
	snprintf(next, sizeof(next), "%" PRIu64, core->next_task); /* ids are not used again, even of removed tasks */
	put_meta(fx, "next_task", next);
	forget_old_requests(core, fx);
	remember(core, &s, first);
	answer(&s, first, s.count);
	core->want_schedule = true;
}
