#include "worker/git/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/git/library.h"

#define OUTPUT_BYTES_MAX (16u * 1024 * 1024)
#define ARGS_MAX 24u

extern char **environ;

/* What a child may know of our environment. Everything else, all of GIT_* above all, stays here. */
static const char *const kept[] = { "PATH", "LANG", "LC_ALL", "TMPDIR", "http_proxy", "https_proxy", "HTTPS_PROXY",
	"no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR" };

static const char *const fixed[] = { "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=/bin/false", "GIT_PAGER=cat", "GIT_ALLOW_PROTOCOL=http:https:git", "GIT_PROTOCOL_FROM_USER=0",
	"HOME=/nonexistent" };

static const char *const options[] = { "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
	"-c", "http.lowSpeedLimit=1" };

struct program {
	struct job *job;
	char *control;         /* GIT_DIR, or NULL */
	char *object_dir;      /* GIT_OBJECT_DIRECTORY, or NULL */
	char *low_speed;       /* "http.lowSpeedTime=60" */
	struct buf out;        /* standard output and, after it, the words of a failure */
};

static void program_deinit(struct program *program)
{
	if (program->control)
		io_remove_tree(program->control);
	free(program->control);
	free(program->object_dir);
	free(program->low_speed);
	buf_deinit(&program->out);
}

static char *variable(const char *name, const char *value)
{
	char *text = NULL;

	return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

static char **make_environment(struct program *program)
{
	char **list = calloc(ARRAY_SIZE(kept) + ARRAY_SIZE(fixed) + 3, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; list && i < ARRAY_SIZE(kept); i++)
		if (getenv(kept[i]))
			list[count++] = variable(kept[i], getenv(kept[i]));
	for (size_t i = 0; list && i < ARRAY_SIZE(fixed); i++)
		list[count++] = strdup(fixed[i]);
	if (list && program->control)
		list[count++] = variable("GIT_DIR", program->control);
	if (list && program->object_dir)
		list[count++] = variable("GIT_OBJECT_DIRECTORY", program->object_dir);
	return list;
}

static void free_list(char ***list)
{
	for (char **p = *list; p && *p; p++)
		free(*p);
	free(*list);
}

/* Only what may be called between fork and exec. */
static _Noreturn void run_child(const char *const *argv, char **environment, int out_fd, pid_t parent)
{
	int null_fd = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(null_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(out_fd, 2) < 0)
		_exit(127);
	execvpe(argv[0], (char *const *)(uintptr_t)argv, environment);
	_exit(127);
}

static int collect(struct program *program, int fd)
{
	char piece[16384];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && buf_append(&program->out, piece, (size_t)n))
			return -EMSGSIZE;
		job_tell(program->job, "git", 0, 0);
	}
	return 0;
}

static int spawn(struct program *program, const char *const *argv, int *ret_status)
{
	_cleanup_(free_list) char **environment = make_environment(program);
	pid_t pid, self = getpid();
	int fds[2], r;

	if (!environment)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (!pid)
		run_child(argv, environment, fds[1], self);
	close(fds[1]);
	r = pid < 0 ? -errno : collect(program, fds[0]);
	close(fds[0]);
	if (pid < 0)
		return r;
	if (r)
		kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	return r;
}

static const struct {
	const char *said;
	int code;
	const char *hint;
} failures[] = {
	{ "No space left", JOB_E_NO_SPACE, "free some space on the worker's disk and try again" },
	{ "stale info", JOB_E_CONFLICT, "the branch moved on the remote in the meantime; try again" },
	{ "[remote rejected]", JOB_E_REFUSED, "a hook or a rule of the remote decides this: follow its words" },
	{ "could not read Username", JOB_E_AUTH, "no credentials are used for https; take an ssh:// URL with an ed25519 key" },
	{ "Authentication failed", JOB_E_AUTH, "no credentials are used for https; take an ssh:// URL with an ed25519 key" },
	{ "repository not exported", JOB_E_NOT_FOUND, "check the URL" },
	{ "not found", JOB_E_NOT_FOUND, "check the URL" },
	{ "Could not resolve", JOB_E_UNREACHABLE, "check the host in the URL" },
	{ "unable to access", JOB_E_UNREACHABLE, "check the URL, and the network of the worker" },
};

static int program_failed(struct program *program, int status)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	struct error *error = &program->job->error;
	const char *said = buf_text(&program->out), *tail = said;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		error_set(error, JOB_E_FAILED, "there is no git program on this worker, which this URL needs");
		error_hint(error, "install git on the worker");
		return JOB_E_FAILED;
	}
	if (program->out.len > 600)
		tail = said + program->out.len - 600;
	str_clean(&clean, tail, strlen(tail));
	error_set(error, JOB_E_FAILED, "git says: %s", buf_text(&clean));
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (strstr(said, failures[i].said)) {
			error_hint(error, "%s", failures[i].hint);
			return failures[i].code;
		}
	return JOB_E_FAILED;
}

/* git, our options, then `arguments` (NULL-terminated). */
static int program_run(struct program *program, const char *const *arguments)
{
	const char *argv[ARGS_MAX + 1] = { "git" };
	size_t count = 1;
	int status = 0, r;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		argv[count++] = options[i];
	argv[count++] = "-c";
	argv[count++] = program->low_speed;
	for (; *arguments; arguments++) {
		require(count < ARGS_MAX);
		argv[count++] = *arguments;
	}
	buf_clear(&program->out);
	r = spawn(program, argv, &status);
	if (r)
		return r;
	return status ? program_failed(program, status) : 0;
}

/* `objects` NULL: no repository is needed. */
static int program_init(struct program *program, struct job *job, const char *objects)
{
	*program = (struct program){ .job = job, .out = BUF_LIMIT(OUTPUT_BYTES_MAX) };
	if (asprintf(&program->low_speed, "http.lowSpeedTime=%u", job->timeout_ms / 1000 + 1) < 0)
		return -ENOMEM;
	if (!objects)
		return 0;
	program->object_dir = io_join(objects, "objects");
	return program->object_dir && asprintf(&program->control, "%s.control", job->mirror) >= 0 ? 0 : -ENOMEM;
}

/* Made anew for every job, so that nothing from before has a say. */
static int make_control(struct program *program)
{
	_cleanup_(git_repository_free_p) git_repository *repo = NULL;
	int r = io_remove_tree(program->control);

	if (r < 0)
		return r;
	r = git_repository_init(&repo, program->control, true);
	return r < 0 ? library_error(&program->job->error, r, "git's own directory cannot be made") : 0;
}

static int parse_line(char *line, struct head_list *list, char **symref)
{
	char *tab = strchr(line, '\t');
	git_oid id;

	if (!tab)
		return 0;
	*tab++ = 0;
	if (str_starts(line, "ref: ")) {
		free(*symref);
		*symref = !strcmp(tab, "HEAD") ? strdup(line + 5) : NULL;
		return 0;
	}
	if (strlen(line) != GIT_OID_HEXSZ || git_oid_fromstr(&id, line) < 0)
		return 0;
	return head_list_add(list, tab, !strcmp(tab, "HEAD") ? *symref : NULL, &id);
}

static int parse_list(const char *text, struct head_list *ret_list)
{
	_cleanup_(head_list_deinit) struct head_list list = HEAD_LIST_NULL;
	_cleanup_free_ char *copy = strdup(text), *symref = NULL;
	char *save = NULL;
	int r = copy ? 0 : -ENOMEM;

	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; !r && line; line = strtok_r(NULL, "\n", &save))
		r = parse_line(line, &list, &symref);
	if (r)
		return r;
	*ret_list = list;
	list = HEAD_LIST_NULL;
	return 0;
}

int program_list(struct job *job, struct head_list *ret_list)
{
	const char *arguments[] = { "ls-remote", "--symref", "--", job->url.text, NULL };
	_cleanup_(program_deinit) struct program program = { 0 };
	int r = program_init(&program, job, NULL);

	if (!r)
		r = program_run(&program, arguments);
	return r ? r : parse_list(buf_text(&program.out), ret_list);
}

/* The branches in the mirror become those of the list, which git has just fetched. */
static int copy_heads(struct job *job, git_repository *repo, const struct head_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		_cleanup_(git_reference_free_p) git_reference *ref = NULL;
		_cleanup_free_ char *name = NULL;
		int r;

		if (!str_starts(list->items[i].name, "refs/heads/"))
			continue;
		if (asprintf(&name, "refs/remotes/origin/%s", list->items[i].name + strlen("refs/heads/")) < 0)
			return -ENOMEM;
		r = git_reference_create(&ref, repo, name, &list->items[i].id, true, "fetch");
		if (r < 0)
			return library_error(&job->error, r, "the branch %s cannot be kept", name);
	}
	return 0;
}

static int drop_gone(git_repository *repo, const struct head_list *list)
{
	git_strarray names = { NULL, 0 };

	if (git_reference_list(&names, repo) < 0)
		return 0;
	for (size_t i = 0; i < names.count; i++)
		if (str_starts(names.strings[i], "refs/remotes/origin/") &&
			!head_list_branch(list, names.strings[i] + strlen("refs/remotes/origin/")))
			git_reference_remove(repo, names.strings[i]);
	git_strarray_dispose(&names);
	return 0;
}

int program_fetch(struct job *job, git_repository *repo)
{
	const char *arguments[] = { "fetch", "--no-tags", "--no-write-fetch-head", "--force", "--", job->url.text,
		"refs/heads/*:refs/heads/*", NULL };
	const char *list_heads[] = { "show-ref", "--heads", NULL };
	_cleanup_(head_list_deinit) struct head_list list = HEAD_LIST_NULL;
	_cleanup_(program_deinit) struct program program = { 0 };
	int r = program_init(&program, job, git_repository_path(repo));

	if (!r)
		r = make_control(&program);
	if (!r)
		r = program_run(&program, arguments);
	if (!r)
		r = program_run(&program, list_heads);
	if (r)
		return r;
	for (char *p = (char *)program.out.data; p && *p; p++)
		if (*p == ' ')
			*p = '\t';
	r = parse_list(buf_text(&program.out), &list);
	if (!r)
		r = copy_heads(job, repo, &list);
	return r ? r : drop_gone(repo, &list);
}

int program_push(struct job *job, const git_oid *commit, const char *target, const git_oid *expected)
{
	_cleanup_(program_deinit) struct program program = { 0 };
	_cleanup_free_ char *lease = NULL, *spec = NULL;
	char hex[GIT_OID_HEXSZ + 1], old[GIT_OID_HEXSZ + 1] = "";
	int r = program_init(&program, job, git_repository_path(job->repo));

	if (r)
		return r;
	if (expected)
		library_hex(expected, old);
	if (asprintf(&lease, "--force-with-lease=%s:%s", target, old) < 0 ||
		asprintf(&spec, "%s:%s", library_hex(commit, hex), target) < 0)
		return -ENOMEM;
	r = make_control(&program);
	if (!r) {
		const char *arguments[] = { "push", "--porcelain", lease, "--", job->url.text, spec, NULL };

		r = program_run(&program, arguments);
	}
	return r;
}
