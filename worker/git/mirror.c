#include "worker/git/mirror.h"

#include <stdio.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "worker/git/library.h"
#include "worker/git/objects.h"
#include "worker/git/program.h"
#include "worker/git/remote.h"

#define ORIGIN "refs/remotes/origin/"
#define EXCLUDE_BYTES_MAX (1024u * 1024)

static int mirror_errno(struct job *job, int r, const char *what)
{
	error_set(&job->error, JOB_E_FAILED, "%s %s: %s", what, job->mirror, strerror(-r));
	if (r != -ENOSPC && r != -EDQUOT)
		return JOB_E_FAILED;
	error_hint(&job->error, "free some space on the worker's disk and try again");
	return JOB_E_NO_SPACE;
}

static int make_parent(struct job *job)
{
	_cleanup_free_ char *parent = strdup(job->mirror);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	int r;

	if (!parent)
		return -ENOMEM;
	if (!slash || slash == parent)
		return 0;
	*slash = 0;
	r = io_make_dirs(parent, 0700);
	return r < 0 ? mirror_errno(job, r, "cannot make the directory of") : 0;
}

int mirror_lock(struct job *job)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (job->lock_fd >= 0)
		return 0;
	r = make_parent(job);
	if (r)
		return r;
	if (asprintf(&path, "%s.lock", job->mirror) < 0)
		return -ENOMEM;
	r = io_lock(path, true, &job->lock_fd);
	return r < 0 ? mirror_errno(job, r, "cannot lock") : 0;
}

int mirror_open(struct job *job)
{
	int r;

	if (job->repo)
		return 0;
	if (access(job->mirror, F_OK) < 0 && errno == ENOENT)
		return error_set(&job->error, JOB_E_NOT_FOUND, "this worker has no mirror of the project yet");
	r = git_repository_open_bare(&job->repo, job->mirror);
	if (r >= 0)
		return 0;
	r = library_error(&job->error, r, "the mirror cannot be opened");
	if (!job->error.hint)
		error_hint(&job->error, "if %s is damaged, move it away: it is made again", job->mirror);
	return r;
}

static int count_branch(const char *name, void *payload)
{
	unsigned int *count = payload;

	*count += str_starts(name, ORIGIN);
	return 0;
}

static int check_empty(struct job *job, git_repository *repo)
{
	unsigned int count = 0;
	int r = git_reference_foreach_name(repo, count_branch, &count);

	if (r < 0)
		return library_error(&job->error, r, "the mirror's branches cannot be read");
	if (count)
		return 0;
	error_set(&job->error, JOB_E_EMPTY, "the repository %s has no commit yet", job->url.text);
	error_hint(&job->error, "make a first commit there and try again");
	return JOB_E_EMPTY;
}

static int fetch_into(struct job *job, git_repository *repo)
{
	_cleanup_(remote_deinit) struct remote remote = { 0 };
	int r;

	if (job->url.kind == URL_PROGRAM)
		return program_fetch(job, repo);
	r = remote_init(&remote, job, repo);
	if (!r)
		r = remote_connect(&remote, GIT_DIRECTION_FETCH);
	return r ? r : remote_fetch(&remote);
}

/* For the agent's own git: where `origin` is. Our own jobs never read it. */
static int describe_origin(struct job *job, git_repository *repo)
{
	_cleanup_(git_config_free_p) git_config *config = NULL;
	int r = git_repository_config(&config, repo);

	if (r >= 0)
		r = git_config_set_string(config, "remote.origin.url", job->url.text);
	if (r >= 0)
		r = git_config_set_string(config, "remote.origin.fetch", "+refs/heads/*:" ORIGIN "*");
	return r < 0 ? library_error(&job->error, r, "the mirror cannot be set up") : 0;
}

/* Much faster than fetching it all. -ENOENT as objects_link. */
static int link_local(struct job *job, git_repository *repo)
{
	_cleanup_(git_repository_free_p) git_repository *from = NULL;
	int r;

	if (job->url.kind != URL_LOCAL || git_repository_open(&from, job->url.path) < 0)
		return 0;
	job_tell(job, "linking", 0, 0);
	r = objects_link(from, repo);
	return r < 0 && r != -ENOENT ? mirror_errno(job, r, "cannot fill") : r;
}

static int fill_new(struct job *job, const char *path, bool link)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	int r = git_repository_init(&repo, path, true);

	if (r < 0)
		return library_error(&job->error, r, "the mirror cannot be made");
	r = describe_origin(job, repo);
	if (!r && link)
		r = link_local(job, repo);
	if (!r)
		r = fetch_into(job, repo);
	return r ? r : check_empty(job, repo);
}

static int fill_cleared(struct job *job, const char *path, bool link)
{
	int r = io_remove_tree(path);

	return r < 0 ? mirror_errno(job, r, "cannot clear the place for") : fill_new(job, path, link);
}

/* Beside its place, then renamed: a clone that was killed or ran out of disk leaves nothing that looks like a mirror. */
static int clone_mirror(struct job *job)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s.new", job->mirror) < 0)
		return -ENOMEM;
	r = fill_cleared(job, path, true);
	if (r == -ENOENT)
		r = fill_cleared(job, path, false);
	if (!r && rename(path, job->mirror) < 0)
		r = mirror_errno(job, -errno, "cannot move into place");
	if (r) {
		io_remove_tree(path);
		return r;
	}
	return mirror_open(job);
}

int mirror_fetch(struct job *job)
{
	int r = mirror_lock(job);

	if (!r)
		r = remote_check_shallow(job);
	if (r)
		return r;
	r = mirror_open(job);
	if (r == JOB_E_NOT_FOUND && access(job->mirror, F_OK) < 0) {
		error_deinit(&job->error);
		return clone_mirror(job);
	}
	if (!r)
		r = fetch_into(job, job->repo);
	return r ? r : check_empty(job, job->repo);
}

static int branch_missing(struct job *job, const char *branch)
{
	_cleanup_(head_list_deinit) struct head_list list = HEAD_LIST_NULL;
	_cleanup_(git_reference_iterator_free_p) git_reference_iterator *iterator = NULL;
	_cleanup_free_ char *names = NULL;
	const git_oid none = { { 0 } };
	const char *name;

	if (git_reference_iterator_glob_new(&iterator, job->repo, ORIGIN "*") < 0)
		return -ENOMEM;
	while (!git_reference_next_name(&name, iterator)) {
		_cleanup_free_ char *head = NULL;

		if (asprintf(&head, "refs/heads/%s", name + strlen(ORIGIN)) < 0 || head_list_add(&list, head, NULL, &none))
			return -ENOMEM;
	}
	names = head_list_names(&list);
	error_set(&job->error, JOB_E_NOT_FOUND, "the repository has no branch %s", branch);
	error_hint(&job->error, "its branches: %s", str_or(names, ""));
	return JOB_E_NOT_FOUND;
}

int mirror_branch(struct job *job, const char *branch, git_oid *ret_id)
{
	_cleanup_free_ char *name = NULL;
	int r;

	if (asprintf(&name, ORIGIN "%s", branch) < 0)
		return -ENOMEM;
	r = git_reference_name_to_id(ret_id, job->repo, name);
	if (r == GIT_ENOTFOUND || r == GIT_EINVALIDSPEC)
		return branch_missing(job, branch);
	return r < 0 ? library_error(&job->error, r, "the branch %s cannot be read", branch) : 0;
}

bool mirror_has(struct job *job, const git_oid *commit)
{
	git_commit *found = NULL;
	bool has = git_commit_lookup(&found, job->repo, commit) >= 0;

	git_commit_free(found);
	return has;
}

int mirror_need(struct job *job, const git_oid *commit)
{
	char hex[GIT_OID_HEXSZ + 1];
	int r = mirror_open(job);

	if (r && r != JOB_E_NOT_FOUND)
		return r;
	if (!r && mirror_has(job, commit))
		return 0;
	error_deinit(&job->error);
	r = mirror_fetch(job);
	if (r || mirror_has(job, commit))
		return r;
	error_set(&job->error, JOB_E_NOT_FOUND, "the commit %s is neither here nor on a branch of the remote",
		library_hex(commit, hex));
	error_hint(&job->error, "its branch may have been deleted, or its worker has not pushed it");
	return JOB_E_NOT_FOUND;
}

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && (p[len] == '\n' || !p[len]))
			return true;
	return false;
}

int mirror_exclude(struct job *job, const Maestro__GitPrepare *prepare)
{
	_cleanup_free_ char *info = io_join(job->mirror, "info"), *path = io_join(job->mirror, "info/exclude");
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	_cleanup_free_ char *old = NULL;
	size_t before;
	int r = info && path ? io_read_file(path, EXCLUDE_BYTES_MAX, &old, NULL) : -ENOMEM;

	if (r < 0 || (old && buf_append_str(&text, old)))
		return r < 0 ? r : -ENOMEM;
	if (text.len && text.data[text.len - 1] != '\n' && buf_append_byte(&text, '\n'))
		return -ENOMEM;
	before = text.len;
	for (size_t i = 0; i < prepare->n_exclude; i++) {
		_cleanup_free_ char *line = bytes_dup(&prepare->exclude[i]);

		if (!line || (line[0] && !strchr(line, '\n') && !has_line(buf_text(&text), line) &&
			buf_printf(&text, "%s\n", line)))
			return -ENOMEM;
	}
	if (text.len == before)
		return 0;
	r = io_make_dirs(info, 0700);
	return r < 0 ? r : io_replace_file(path, text.data, text.len, 0600);
}
