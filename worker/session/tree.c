#include "worker/session/tree.h"
#include "proto/base/io.h"
#include "proto/base/buf.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>

#define TREE_PROCESSES_MAX 65536u
#define TREE_FILE_BYTES_MAX (1024u * 1024)

struct tree {
	struct buf found; /* struct tree_entry, parents before children */
};

struct tree_entry {
	int pid, parent;
};

int tree_adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

static int add_list(struct tree *tree, int parent, char *pids)
{
	char *state = NULL;
	int r = 0;

	for (char *word = strtok_r(pids, " \n", &state); word && !r; word = strtok_r(NULL, " \n", &state)) {
		struct tree_entry entry = { atoi(word), parent };

		if (entry.pid > 1 && tree->found.len < TREE_PROCESSES_MAX * sizeof(entry))
			r = buf_append(&tree->found, &entry, sizeof(entry));
	}
	return r;
}

/* The children of every thread of a process. One that is gone has none. */
static int add_children(struct tree *tree, int pid)
{
	_cleanup_free_ char *tasks_path = NULL;
	struct dirent *thread;
	DIR *tasks;
	int r = 0;

	if (asprintf(&tasks_path, "/proc/%d/task", pid) < 0) {
		tasks_path = NULL;
		return -ENOMEM;
	}
	tasks = opendir(tasks_path);
	if (!tasks)
		return errno == ENOENT || errno == ESRCH || errno == EACCES ? 0 : -errno;
	while (!r && (thread = readdir(tasks))) {
		_cleanup_free_ char *pids = NULL;
		char path[80];

		if (thread->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, thread->d_name);
		r = io_read_file(path, TREE_FILE_BYTES_MAX, &pids, NULL);
		if (r == IO_E_NOT_FOUND || r == -ESRCH)
			r = 0;
		else if (!r)
			r = add_list(tree, pid, pids);
	}
	closedir(tasks);
	return r;
}

static int parent_of(int pid)
{
	_cleanup_free_ char *stat = NULL;
	char path[64], *p;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (io_read_file(path, 8192, &stat, NULL))
		return -1;
	p = strrchr(stat, ')');
	return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

/* Whose parent died meanwhile has become our child. */
static void signal_entry(const struct tree_entry *entry, int signal)
{
	_cleanup_close_ int fd = pidfd_open(entry->pid, 0);
	int parent;

	if (fd < 0)
		return;
	parent = parent_of(entry->pid);
	if (parent == entry->parent || parent == getpid())
		(void)pidfd_send_signal(fd, signal, NULL, 0);
}

int tree_signal(int signal, size_t *ret_count)
{
	struct tree tree = { BUF_NULL };
	size_t count = 0;
	int r;

	r = add_children(&tree, getpid());
	for (; !r && count < tree.found.len / sizeof(struct tree_entry); count++)
		r = add_children(&tree, ((struct tree_entry *)(void *)tree.found.data)[count].pid);
	for (size_t i = 0; i < count; i++)
		signal_entry(&((struct tree_entry *)(void *)tree.found.data)[i], signal);
	buf_deinit(&tree.found);
	if (r)
		return r;
	if (ret_count)
		*ret_count = count;
	return 0;
}
