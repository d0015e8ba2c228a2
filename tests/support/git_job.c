#include "tests/support/git_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "tests/support/fixture.h"
#include "worker/git/job.h"

#define MUST(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

void git_place_init(struct git_place *place)
{
	*place = (struct git_place){ .dir = fixture_dir_make() };
	MUST(asprintf(&place->mirror, "%s/state/mirrors/project.git", place->dir) > 0);
	MUST(asprintf(&place->worktree, "%s/state/worktrees/7.1/project", place->dir) > 0);
}

void git_place_deinit(struct git_place *place)
{
	free(place->mirror);
	free(place->worktree);
	free(place->url);
	fixture_dir_remove(place->dir);
}

/* --- running ------------------------------------------------------------------------------------------------- */

static Maestro__GitResult *read_result(int fd)
{
	struct buf in = BUF_LIMIT(LIMIT_MESSAGE_BYTES + 4);
	Maestro__GitResult *result = NULL;
	char piece[65536];
	ssize_t n;

	while (!result && (n = read(fd, piece, sizeof(piece))) > 0) {
		struct message message = MESSAGE_NULL;

		MUST(!buf_append(&in, piece, (size_t)n));
		while (!result && !message_take_framed(&in, &maestro__git_message__descriptor, LIMIT_MESSAGE_BYTES, &message,
			NULL) && message.base) {
			Maestro__GitMessage *body = (Maestro__GitMessage *)message.base;

			if (body->body_case == MAESTRO__GIT_MESSAGE__BODY_RESULT)
				result = message_copy(body->result);
			message_deinit(&message);
		}
	}
	buf_deinit(&in);
	return result;
}

static Maestro__GitResult *run_program(const char *program, Maestro__GitJob *job)
{
	Maestro__GitMessage message = MAESTRO__GIT_MESSAGE__INIT;
	struct buf packed = BUF_NULL;
	Maestro__GitResult *result;
	int in[2], out[2], status;
	pid_t pid;

	message.body_case = MAESTRO__GIT_MESSAGE__BODY_JOB;
	message.job = job;
	MUST(!message_pack_framed(&message, &packed) && !pipe(in) && !pipe(out));
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	MUST(!io_write_all(in[1], packed.data, packed.len));
	close(in[1]);
	result = read_result(out[0]);
	close(out[0]);
	buf_deinit(&packed);
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status) && result);
	return result;
}

static Maestro__GitResult *run(struct git_place *place, Maestro__GitJob *job)
{
	Maestro__GitProject project = MAESTRO__GIT_PROJECT__INIT;
	const char *program = getenv("MAESTRO_GIT");
	Maestro__GitResult *result = NULL;

	project.name = (char *)(uintptr_t)"project";
	project.url = bytes_of(place->url);
	project.mirror = bytes_of(place->mirror);
	project.has_ssh_key = place->ssh_key != NULL;
	project.ssh_key = bytes_of(place->ssh_key);
	project.has_known_hosts = place->known_hosts != NULL;
	project.known_hosts = bytes_of(place->known_hosts);
	project.has_timeout_ms = place->timeout_ms > 0;
	project.timeout_ms = place->timeout_ms;
	job->project = &project;
	if (program)
		return run_program(program, job);
	MUST(!job_run(job, NULL, NULL, &result));
	return result;
}

void git_result_free(git_result *result)
{
	maestro__git_result__free_unpacked(result, NULL);
}

char *git_result_why(const git_result *result)
{
	return bytes_dup(&result->why);
}

char *git_result_hint(const git_result *result)
{
	return bytes_dup(&result->hint);
}

/* --- the jobs ------------------------------------------------------------------------------------------------ */

#define TEXT(value) ((char *)(uintptr_t)(value))

#define BEGIN(type, init, name, NAME)                                                                        \
	Maestro__GitJob job = MAESTRO__GIT_JOB__INIT;                                                        \
	type name = init;                                                                                    \
	job.op_case = MAESTRO__GIT_JOB__OP_##NAME;                                                           \
	job.name = &name

git_result *git_probe(struct git_place *place, const char *base)
{
	BEGIN(Maestro__GitProbe, MAESTRO__GIT_PROBE__INIT, probe, PROBE);
	probe.base_branch = TEXT(base);
	return run(place, &job);
}

git_result *git_fetch(struct git_place *place, const char *base)
{
	BEGIN(Maestro__GitFetch, MAESTRO__GIT_FETCH__INIT, fetch, FETCH);
	fetch.base_branch = TEXT(base);
	return run(place, &job);
}

git_result *git_prepare(struct git_place *place, const char *base, const char *from, const char *branch)
{
	ProtobufCBinaryData exclude[] = { bytes_of("/.maestro/"), bytes_of("*.scratch") };
	BEGIN(Maestro__GitPrepare, MAESTRO__GIT_PREPARE__INIT, prepare, PREPARE);

	prepare.base_branch = TEXT(base);
	prepare.from_commit = TEXT(from);
	prepare.branch = TEXT(branch);
	prepare.worktree = bytes_of(place->worktree);
	prepare.n_exclude = 2;
	prepare.exclude = exclude;
	return run(place, &job);
}

git_result *git_commit_work(struct git_place *place, const char *branch, const char *base_commit, const char *message)
{
	BEGIN(Maestro__GitCommit, MAESTRO__GIT_COMMIT__INIT, commit, COMMIT);
	commit.worktree = bytes_of(place->worktree);
	commit.branch = TEXT(branch);
	commit.base_commit = TEXT(base_commit);
	commit.message = bytes_of(message);
	commit.task = 7;
	commit.attempt = 1;
	return run(place, &job);
}

git_result *git_checkpoint(struct git_place *place)
{
	BEGIN(Maestro__GitCheckpoint, MAESTRO__GIT_CHECKPOINT__INIT, checkpoint, CHECKPOINT);
	checkpoint.worktree = bytes_of(place->worktree);
	checkpoint.task = 7;
	checkpoint.attempt = 1;
	return run(place, &job);
}

git_result *git_push_work(struct git_place *place, const char *branch, const char *commit, const char *last,
	const char *suffix)
{
	BEGIN(Maestro__GitPush, MAESTRO__GIT_PUSH__INIT, push, PUSH);
	push.branch = TEXT(branch);
	push.commit = TEXT(commit);
	push.last_pushed = TEXT(last);
	push.taken_suffix = TEXT(suffix);
	return run(place, &job);
}

git_result *git_diff_work(struct git_place *place, const char *base, const char *commit, unsigned long long max_bytes)
{
	BEGIN(Maestro__GitDiff, MAESTRO__GIT_DIFF__INIT, diff, DIFF);
	diff.base_branch = TEXT(base);
	diff.commit = TEXT(commit);
	diff.has_max_bytes = max_bytes > 0;
	diff.max_bytes = max_bytes;
	return run(place, &job);
}

git_result *git_merge_work(struct git_place *place, const char *base, const char *branch, const char *commit,
	Maestro__MergeMethod method)
{
	BEGIN(Maestro__GitMerge, MAESTRO__GIT_MERGE__INIT, merge, MERGE);
	merge.base_branch = TEXT(base);
	merge.branch = TEXT(branch);
	merge.commit = TEXT(commit);
	merge.method = method;
	return run(place, &job);
}

git_result *git_remove_work(struct git_place *place, const char *branch, const char *base_commit, const char *pushed,
	int force)
{
	BEGIN(Maestro__GitRemove, MAESTRO__GIT_REMOVE__INIT, remove, REMOVE);
	remove.worktree = bytes_of(place->worktree);
	remove.branch = TEXT(branch);
	remove.base_commit = TEXT(base_commit);
	remove.pushed_commit = TEXT(pushed);
	remove.has_force = true;
	remove.force = force;
	remove.has_delete_branch = true;
	remove.delete_branch = true;
	return run(place, &job);
}
