/* From an attempt to a running session: its directory, token, ports, environment, files, and the holder. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "worker/service/ports.h"

/* --- environment --- */

struct env {
	char **items; /* NULL-terminated */
	size_t count;
	bool failed;
};

static void env_deinit(struct env *env)
{
	for (size_t i = 0; i < env->count; i++)
		free(env->items[i]);
	free(env->items);
}

static void env_take(struct env *env, char *item)
{
	char **items = item ? realloc(env->items, (env->count + 2) * sizeof(*items)) : NULL;

	if (!items) {
		free(item);
		env->failed = true;
		return;
	}
	env->items = items;
	items[env->count++] = item;
	items[env->count] = NULL;
}

static void env_add(struct env *env, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void env_add(struct env *env, const char *format, ...)
{
	char *item = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&item, format, args) < 0)
		item = NULL;
	va_end(args);
	env_take(env, item);
}

/* A session commits by itself too; git refuses without an author. Who asked is the author, where nobody else is set up;
 * without a name for them it is whom maestro-git names then. */
static void env_add_author(const struct service *service, struct env *env, const Maestro__GitAuthor *author)
{
	_cleanup_free_ char *name = author && author->has_name && author->name.len ? bytes_dup(&author->name) : NULL;
	_cleanup_free_ char *email = author && author->has_email && author->email.len ? bytes_dup(&author->email) : NULL;

	if (service->has_git_author)
		return;
	for (int i = 0; i < 2; i++) {
		const char *role = i ? "COMMITTER" : "AUTHOR";

		env_add(env, "GIT_%s_NAME=%s", role, str_or(name, "Maestro"));
		env_add(env, "GIT_%s_EMAIL=%s", role, str_or(email, "maestro@localhost"));
	}
}

static void env_add_all(const struct service *service, const struct session *session, const struct attempt *attempt,
	const char *worktree, const char *token, struct env *env)
{
	const Maestro__Start *start = attempt->start;

	env_add(env, "MAESTRO_TASK=%" PRIu64, attempt->task);
	env_add(env, "MAESTRO_ATTEMPT=%u", attempt->attempt);
	env_add(env, "MAESTRO_SESSION_ID=%" PRIu64 ".%u", attempt->task, attempt->attempt);
	env_add(env, "MAESTRO_PROJECT=%s", start->project->name);
	env_add(env, "MAESTRO_BRANCH=%s", start->branch);
	env_add(env, "MAESTRO_BASE=%s", start->base_branch);
	env_add(env, "MAESTRO_WORKTREE=%s", worktree);
	env_add(env, "MAESTRO_SOCKET=%s", service->endpoint_path);
	env_add(env, "MAESTRO_TOKEN=%s", token);
	if (session->port) {
		env_add(env, "MAESTRO_PORT=%u", session->port);
		env_add(env, "MAESTRO_PORT_COUNT=%u", PORTS_PER_RANGE);
	}
	env_add(env, "PATH=%s:%s", service->programs[1], str_or(getenv("PATH"), "/usr/local/bin:/usr/bin:/bin"));
	env_add_author(service, env, start->author);
}

/* --- what the adapter makes of it --- */

struct draft {
	char *prompt, *model, *permission, *worktree, *mirror;
	struct adapter_params params;
	struct launch launch;
};

static void draft_deinit(struct draft *draft)
{
	free(draft->prompt);
	free(draft->model);
	free(draft->permission);
	free(draft->worktree);
	free(draft->mirror);
	launch_deinit(&draft->launch);
}

static int draft_strings(const struct service *service, const struct attempt *attempt, struct draft *draft)
{
	const Maestro__Start *start = attempt->start;

	draft->prompt = bytes_dup(&start->prompt);
	draft->model = start->has_model && start->model.len ? bytes_dup(&start->model) : NULL;
	draft->permission = start->has_permission && start->permission.len ? bytes_dup(&start->permission) : NULL;
	draft->worktree = gitwork_worktree(service, attempt);
	draft->mirror = service_path(service, "mirrors/%s.git", start->project->name);
	return draft->prompt && draft->worktree && draft->mirror ? 0 : -ENOMEM;
}

static int draft_make(const struct service *service, const struct attempt *attempt, const char *dir,
	struct draft *draft, struct error *error)
{
	const struct adapter *adapter = adapter_find(service->adapters, attempt->start->agent);
	int r = draft_strings(service, attempt, draft);

	if (r)
		return r;
	if (!adapter)
		return error_set(error, -ENOENT, "there is no agent '%s' on this worker", attempt->start->agent);
	draft->params = (struct adapter_params){
		.prompt = draft->prompt,
		.prompt_len = attempt->start->prompt.len,
		.model = draft->model,
		.permission = draft->permission,
		.session_dir = dir,
		.worktree = draft->worktree,
		.project_dir = draft->mirror,
		.branch = attempt->start->branch,
		.agent_program = service->programs[0],
		.socket = service->endpoint_path,
		.task = attempt->task,
		.attempt = attempt->attempt,
	};
	return adapter_prepare(adapter, &draft->params, &draft->launch, error);
}

/* "/dir/of/worktree/.mcp.json" -> "/.mcp.json", as a pattern that is anchored. */
static int exclude_of(const struct draft *draft, const struct launch_file *file, char **ret_pattern)
{
	size_t len = strlen(draft->worktree);
	char *pattern;

	if (!file->in_worktree || strncmp(file->path, draft->worktree, len) || file->path[len] != '/')
		return 0;
	pattern = strdup(file->path + len);
	if (!pattern)
		return -ENOMEM;
	*ret_pattern = pattern;
	return 1;
}

int launch_excludes(struct service *service, const struct attempt *attempt, char ***ret_patterns, size_t *ret_count)
{
	_cleanup_(draft_deinit) struct draft draft = { .launch = LAUNCH_NULL };
	_cleanup_free_ char *dir = session_dir(service, attempt->task, attempt->attempt);
	char **patterns;
	size_t count = 0;
	int r = 0;

	if (!dir)
		return -ENOMEM;
	/* What is wrong with the launch is said when it happens. */
	if (draft_make(service, attempt, dir, &draft, NULL) || !draft.launch.file_count)
		return 0;
	patterns = calloc(draft.launch.file_count, sizeof(*patterns));
	if (!patterns)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < draft.launch.file_count; i++) {
		r = exclude_of(&draft, &draft.launch.files[i], &patterns[count]);
		count += r == 1;
	}
	*ret_patterns = patterns;
	*ret_count = count;
	return r < 0 ? r : 0;
}

/* --- the holder --- */

static void refuse(struct service *service, uint64_t task, uint32_t attempt, const char *why, bool retryable)
{
	struct event event = { .kind = EVENT_HOLDER_REFUSED, .task = task, .attempt = attempt };

	event.refused.why = why;
	event.refused.retryable = retryable;
	service_event(service, &event);
}

static void started(struct session *session)
{
	struct service *service = session->service;
	struct event event = { .kind = EVENT_HOLDER_STARTED, .task = session->task, .attempt = session->attempt };
	struct event ended = { .kind = EVENT_HOLDER_ENDED, .task = session->task, .attempt = session->attempt };
	struct holder_exit exit = { .code = -1 };
	const struct attempt *attempt;
	int r;

	service_event(service, &event);
	r = session_connect(session);
	if (!r)
		return;
	/* It came and went in between. */
	attempt = attempts_find(service->core, session->task, session->attempt);
	if (attempt)
		orphans_end(service, attempt);
	if (holder_exit_read(session->dir, &exit) == 0) {
		ended.ended.has_code = !exit.signal && exit.code >= 0;
		ended.ended.code = exit.code;
		ended.ended.signal = exit.signal;
		ended.ended.reason = exit.reason;
	} else {
		ended.ended.reason = "the session's holder process died";
	}
	session->exited = true;
	service_event(service, &ended);
	holder_exit_deinit(&exit);
}

/* Before a session is called failed it must be certain that it never starts: a holder that is only late finds our
 * tombstone. If there is a holder already, of this life of the worker or an earlier one, it is as good as a new one. One
 * that is dead by now may have run the program, so it began too; unless it said itself that it could not (`refused`). */
static bool holder_was_first(struct session *session, bool refused)
{
	const struct attempt *attempt = attempts_find(session->service->core, session->task, session->attempt);
	struct holder_id other;

	if (!attempt ||
		holder_state_plant_tombstone(session->dir, session->task, session->attempt, attempt->run_id) != STATE_E_EXISTS)
		return false;
	return holder_state_read(session->dir, &other) == 0 && (!refused || holder_verify(&other) == 0) &&
	       !memcmp(other.run_id, attempt->run_id, ATTEMPT_RUN_ID_BYTES);
}

static void on_spawned(void *userdata, int r, const struct holder_id *id, const char *why)
{
	struct session *session = userdata;
	struct service *service = session->service;

	holder_spawn_free(take(session->spawn));
	if (r == 0) {
		log_info(service->log, "task=%" PRIu64 " attempt=%u: session runs, holder pid %u", session->task,
			session->attempt, id->pid);
		started(session);
		return;
	}
	if (holder_was_first(session, r == HOLDER_E_REFUSED)) {
		started(session);
		return;
	}
	log_error(service->log, "task=%" PRIu64 " attempt=%u: session cannot start: %s", session->task, session->attempt,
		why ? why : strerror(r < 0 ? -r : 0));
	refuse(service, session->task, session->attempt, why ? why : "the session's holder could not be started",
		r == HOLDER_E_REFUSED || r < 0);
}

static int keep_port(struct session *session)
{
	_cleanup_free_ char *path = io_join(session->dir, "port");
	char text[16];

	if (!path)
		return -ENOMEM;
	snprintf(text, sizeof(text), "%u\n", session->port);
	return io_replace_file(path, text, strlen(text), 0600);
}

static int make_session_dir(struct service *service, struct session *session, char token[ENDPOINT_TOKEN_MAX],
	struct error *error)
{
	uint8_t digest[ID_DIGEST_BYTES];
	int r = io_make_dirs(session->dir, 0700);

	if (!r)
		r = endpoint_token_new(session->dir, token, digest);
	if (!r)
		r = endpoint_admit(service->endpoint, session->task, session->attempt, digest);
	if (!r && ports_claim(0, &session->port, &session->port_fd) == 0)
		r = keep_port(session); /* without ports a session can still do most things */
	if (r)
		return error_set(error, error_fold(r), "session directory %s: %s", session->dir, strerror(-error_fold(r)));
	return 0;
}

static int spawn(struct service *service, struct session *session, const struct attempt *attempt, struct error *error)
{
	_cleanup_(draft_deinit) struct draft draft = { .launch = LAUNCH_NULL };
	_cleanup_(env_deinit) struct env env = { NULL, 0, false };
	char token[ENDPOINT_TOKEN_MAX];
	struct holder_spec spec;
	int r;

	r = make_session_dir(service, session, token, error);
	if (!r)
		r = draft_make(service, attempt, session->dir, &draft, error);
	if (!r)
		r = launch_write_files(&draft.launch, error);
	if (r)
		return r;
	for (size_t i = 0; draft.launch.env && draft.launch.env[i]; i++)
		env_add(&env, "%s", draft.launch.env[i]);
	env_add_all(service, session, attempt, draft.worktree, token, &env);
	id_wipe(token, sizeof(token));
	if (env.failed)
		return -ENOMEM;
	session->paste = take(draft.launch.paste);
	session->paste_len = draft.launch.paste_len;
	session->interactive = adapter_is_interactive(adapter_find(service->adapters, attempt->start->agent));
	spec = (struct holder_spec){
		.task = attempt->task,
		.attempt = attempt->attempt,
		.run_id = attempt->run_id,
		.session_dir = session->dir,
		.argv = (const char *const *)draft.launch.argv,
		.env = (const char *const *)env.items,
		.cwd = draft.worktree,
		.cols = attempt->start->cols,
		.rows = attempt->start->rows,
		.transcript_limit_bytes = UINT64_MAX,
	};
	return holder_spawn(service->event, &spec, on_spawned, session, &session->spawn, error);
}

void launch_session(struct service *service, const struct attempt *attempt)
{
	struct session *session = session_get(service, attempt->task, attempt->attempt);
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r = session ? spawn(service, session, attempt, &error) : -ENOMEM;

	if (r)
		refuse(service, attempt->task, attempt->attempt, error_text(&error, r), false);
}
