#include "worker/git/remote.h"

#include <git2/sys/transport.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/git/library.h"
#include "worker/git/program.h"
#include "worker/git/transport.h"

#define SAID_BYTES_MAX 4096u
#define NAMES_MAX 10u

void head_list_deinit(struct head_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].symref);
	}
	free(list->items);
	*list = HEAD_LIST_NULL;
}

int head_list_add(struct head_list *list, const char *name, const char *symref, const git_oid *id)
{
	struct head *items = reallocarray(list->items, list->count + 1, sizeof(*items)), *head;

	if (!items)
		return -ENOMEM;
	list->items = items;
	head = &items[list->count];
	*head = (struct head){ .name = strdup(name), .symref = symref ? strdup(symref) : NULL, .id = *id };
	if (!head->name || (symref && !head->symref)) {
		free(head->name);
		free(head->symref);
		return -ENOMEM;
	}
	list->count++;
	return 0;
}

const struct head *head_list_find(const struct head_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i].name, name))
			return &list->items[i];
	return NULL;
}

const struct head *head_list_branch(const struct head_list *list, const char *branch)
{
	for (size_t i = 0; i < list->count; i++)
		if (str_starts(list->items[i].name, "refs/heads/") && !strcmp(list->items[i].name + 11, branch))
			return &list->items[i];
	return NULL;
}

char *head_list_names(const struct head_list *list)
{
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;
	unsigned int count = 0;

	for (size_t i = 0; i < list->count; i++) {
		const char *name = list->items[i].name;

		if (!str_starts(name, "refs/heads/") || count++ >= NAMES_MAX)
			continue;
		buf_append_str(&names, names.len ? ", " : "");
		str_clean(&names, name + 11, strlen(name + 11));
	}
	if (count > NAMES_MAX)
		buf_printf(&names, " and %u more", count - NAMES_MAX);
	return buf_take(&names);
}

/* --- callbacks ----------------------------------------------------------------------------------------------- */

static int on_said(const char *text, int len, void *payload)
{
	struct remote *remote = payload;

	buf_append(&remote->said, text, (size_t)len);
	if (remote->said.len > 2 * SAID_BYTES_MAX)
		buf_consume(&remote->said, remote->said.len - SAID_BYTES_MAX);
	return 0;
}

static int on_fetched(const git_indexer_progress *stats, void *payload)
{
	struct remote *remote = payload;

	job_tell(remote->job, "fetching", stats->received_objects, stats->total_objects);
	return 0;
}

static int on_pushed(unsigned int current, unsigned int total, size_t bytes, void *payload)
{
	struct remote *remote = payload;

	job_tell(remote->job, "pushing", current, total);
	return 0;
}

static int on_reference(const char *name, const char *status, void *payload)
{
	struct remote *remote = payload;

	remote->answered = true;
	if (status && !remote->refused)
		remote->refused = strdup(status);
	return 0;
}

static int on_local(git_transport **out, git_remote *owner, void *payload)
{
	return git_transport_local(out, owner, NULL);
}

/* --- the connection ------------------------------------------------------------------------------------------ */

static git_remote_callbacks remote_callbacks(struct remote *remote)
{
	git_remote_callbacks callbacks = GIT_REMOTE_CALLBACKS_INIT;

	callbacks.payload = remote;
	callbacks.sideband_progress = on_said;
	callbacks.transfer_progress = on_fetched;
	callbacks.push_transfer_progress = on_pushed;
	callbacks.push_update_reference = on_reference;
	callbacks.transport = remote->job->url.kind == URL_SSH ? transport_ssh_new : on_local;
	return callbacks;
}

int remote_init(struct remote *remote, struct job *job, git_repository *repo)
{
	git_remote_create_options options = GIT_REMOTE_CREATE_OPTIONS_INIT;
	int r;

	*remote = (struct remote){ .job = job, .error = ERROR_NULL, .said = BUF_NULL };
	remote->callbacks = remote_callbacks(remote);
	options.repository = repo;
	/* An agent can write the mirror's configuration: none of it decides where we connect. */
	options.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	r = git_remote_create_with_opts(&remote->handle, job->url.kind == URL_LOCAL ? job->url.path : job->url.text, &options);
	return r < 0 ? library_error(&job->error, r, "%s cannot be used", job->url.text) : 0;
}

void remote_deinit(struct remote *remote)
{
	if (remote->handle)
		git_remote_free(remote->handle);
	error_deinit(&remote->error);
	buf_deinit(&remote->said);
	free(remote->refused);
	remote->handle = NULL;
	remote->refused = NULL;
}

/* Our transport's own words say more than libgit2's about its failure. */
static int remote_failed(struct remote *remote, int r, const char *what)
{
	if (!remote->condition)
		return library_error(&remote->job->error, r, "%s", what);
	error_deinit(&remote->job->error);
	remote->job->error = remote->error;
	remote->error = ERROR_NULL;
	return remote->condition;
}

/* libgit2's local transport keeps the reason to itself, so the repository is opened once more for it. */
static int local_failed(struct remote *remote)
{
	const char *path = remote->job->url.path;
	git_repository *repo = NULL;
	int r = git_repository_open(&repo, path);

	git_repository_free(repo);
	if (r != GIT_ENOTFOUND)
		return library_error(&remote->job->error, r < 0 ? r : GIT_ERROR, "%s cannot be opened", path);
	if (access(path, F_OK))
		error_set(&remote->job->error, JOB_E_NOT_FOUND, "there is nothing at %s", path);
	else
		error_set(&remote->job->error, JOB_E_NOT_FOUND, "%s is no git repository", path);
	error_hint(&remote->job->error, "check the project's URL; `git init` makes a repository");
	return JOB_E_NOT_FOUND;
}

static int shallow(struct job *job, const char *where)
{
	error_deinit(&job->error);
	error_set(&job->error, JOB_E_BAD_REQUEST, "the repository %s is shallow: its older history is missing", where);
	error_hint(&job->error, "run `git fetch --unshallow` in %s, then try again", where);
	return JOB_E_BAD_REQUEST;
}

int remote_check_shallow(struct job *job)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (job->url.kind != URL_LOCAL || git_repository_open(&repo, job->url.path) < 0)
		return 0; /* connecting tells why */
	path = io_join(git_repository_commondir(repo), "shallow");
	if (!path)
		return -ENOMEM;
	return !lstat(path, &st) && st.st_size ? shallow(job, job->url.path) : 0;
}

/* A shallow repository says so among its references, and libgit2 takes that line for a broken one. */
static bool said_shallow(void)
{
	const git_error *last = git_error_last();

	return last && last->message && strstr(last->message, "REF pkt-line");
}

static int connect_failed(struct remote *remote, int r)
{
	if (remote->job->url.kind == URL_LOCAL)
		return local_failed(remote);
	if (!remote->condition && said_shallow())
		return shallow(remote->job, remote->job->url.text);
	return remote_failed(remote, r, "cannot connect");
}

int remote_connect(struct remote *remote, git_direction direction)
{
	git_remote_connect_options options = GIT_REMOTE_CONNECT_OPTIONS_INIT;
	int r;

	options.callbacks = remote->callbacks;
	job_tell(remote->job, "connecting", 0, 0);
	r = git_remote_connect_ext(remote->handle, direction, &options);
	return r < 0 ? connect_failed(remote, r) : 0;
}

int remote_list(struct remote *remote, struct head_list *ret_list)
{
	_cleanup_(head_list_deinit) struct head_list list = HEAD_LIST_NULL;
	const git_remote_head **heads = NULL;
	size_t count = 0;
	int r = git_remote_ls(&heads, &count, remote->handle);

	if (r < 0)
		return remote_failed(remote, r, "cannot list the branches");
	for (size_t i = 0; i < count; i++) {
		r = head_list_add(&list, heads[i]->name, heads[i]->symref_target, &heads[i]->oid);
		if (r)
			return r;
	}
	*ret_list = list;
	list = HEAD_LIST_NULL;
	return 0;
}

int remote_fetch(struct remote *remote)
{
	git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
	char *spec = (char *)(uintptr_t)"+refs/heads/*:refs/remotes/origin/*";
	const git_strarray specs = { &spec, 1 };
	int r;

	options.callbacks = remote->callbacks;
	r = git_remote_download(remote->handle, &specs, &options);
	git_remote_disconnect(remote->handle);
	/* What is gone goes first, unlike in git_remote_fetch: a branch `a` that became `a/b` would be in its way. */
	if (r >= 0)
		r = git_remote_prune(remote->handle, &remote->callbacks);
	if (r >= 0)
		r = git_remote_update_tips(remote->handle, &remote->callbacks, 0, GIT_REMOTE_DOWNLOAD_TAGS_AUTO, "fetch");
	return r < 0 ? remote_failed(remote, r, "cannot fetch") : 0;
}

static int push_refused(struct remote *remote, const char *target, const char *status)
{
	_cleanup_(buf_deinit) struct buf words = BUF_NULL;
	struct error *error = &remote->job->error;

	str_clean(&words, buf_text(&remote->said), remote->said.len);
	while (words.len && words.data[words.len - 1] == ' ')
		words.data[--words.len] = 0;
	error_set(error, JOB_E_REFUSED, "the remote refused %s: %s%s%s", target, status, words.len ? ": " : "", buf_text(&words));
	error_hint(error, "a hook or a rule of the remote decides this: follow its words");
	return JOB_E_REFUSED;
}

int remote_push(struct remote *remote, const char *source, const char *target, bool force)
{
	git_push_options options = GIT_PUSH_OPTIONS_INIT;
	_cleanup_free_ char *spec = NULL;
	git_strarray specs = { &spec, 1 };
	int r;

	if (asprintf(&spec, "%s%s:%s", force ? "+" : "", source, target) < 0)
		return -ENOMEM;
	options.callbacks = remote->callbacks;
	options.pb_parallelism = 0;
	r = git_remote_upload(remote->handle, &specs, &options);
	if (r < 0)
		return remote_failed(remote, r, "cannot push");
	if (remote->refused)
		return push_refused(remote, target, remote->refused);
	/* Success is an answer for the reference, not the absence of an error. */
	return remote->answered ? 0 : push_refused(remote, target, "no answer came for it");
}

int remote_list_once(struct job *job, struct head_list *ret_list)
{
	_cleanup_(remote_deinit) struct remote remote = { 0 };
	int r;

	if (job->url.kind == URL_PROGRAM)
		return program_list(job, ret_list);
	r = remote_init(&remote, job, NULL);
	if (!r)
		r = remote_connect(&remote, GIT_DIRECTION_FETCH);
	return r ? r : remote_list(&remote, ret_list);
}
