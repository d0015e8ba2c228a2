#include "worker/git/stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "worker/git/library.h"

struct stage {
	int dir_fd;
	uint64_t limit_bytes;
	struct skipped *skipped;
};

#define MIB(bytes) ((unsigned long long)(bytes) >> 20)

static const char *too_big(const struct stage *stage, uint64_t size_bytes, char *text, size_t size)
{
	snprintf(text, size, "%llu MiB, above %llu MiB", MIB(size_bytes), MIB(stage->limit_bytes));
	return text;
}

/* NULL: it can be taken. */
static const char *reason_to_skip(const struct stage *stage, const char *path, char *text, size_t size)
{
	size_t len = strlen(path);
	struct stat st;

	if (len && path[len - 1] == '/')
		return "a repository of its own";
	if (fstatat(stage->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL; /* deleted: that is taken too */
	if (S_ISLNK(st.st_mode))
		return NULL;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return "not a file";
	if ((uint64_t)st.st_size > stage->limit_bytes && S_ISREG(st.st_mode))
		return too_big(stage, (uint64_t)st.st_size, text, size);
	if (faccessat(stage->dir_fd, path, R_OK, AT_EACCESS) < 0)
		return "cannot be read";
	return NULL;
}

static int on_path(const char *path, const char *matched, void *payload)
{
	struct stage *stage = payload;
	char text[64];
	const char *why = reason_to_skip(stage, path, text, sizeof(text));

	if (!why)
		return 0;
	return skipped_add(stage->skipped, path, why) ? GIT_EUSER : 1;
}

int stage_all(struct job *job, git_repository *repo, git_index *index, uint64_t limit_bytes, struct skipped *skipped)
{
	_cleanup_close_ int dir_fd = open(git_repository_workdir(repo), O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stage stage = { .dir_fd = dir_fd, .limit_bytes = limit_bytes, .skipped = skipped };
	int r;

	if (dir_fd < 0)
		return -errno;
	for (unsigned int tries = 0; tries < 3; tries++) {
		skipped_deinit(skipped);
		r = git_index_add_all(index, NULL, GIT_INDEX_ADD_DEFAULT, on_path, &stage);
		/* A file that vanished between being seen and being read: look again. */
		if (r != GIT_ENOTFOUND)
			break;
	}
	return r < 0 ? library_error(&job->error, r, "the worktree's changes cannot be taken") : 0;
}
