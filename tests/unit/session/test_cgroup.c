/* Control groups on a directory that stands for the kernel's, and on a real one where this machine lets us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "proto/base/io.h"
#include "worker/session/cgroup.h"

static int make_dir(void **state)
{
	char template[] = "/tmp/maestro-cgroup-XXXXXX";

	*state = strdup(mkdtemp(template));
	return 0;
}

static int remove_dir(void **state)
{
	assert_int_equal(io_remove_tree(*state), 0);
	free(*state);
	return 0;
}

static void touch(const char *dir, const char *name)
{
	_cleanup_free_ char *path = io_join(dir, name);

	assert_int_equal(io_replace_file(path, "", 0, 0600), 0);
}

static void check_file(const char *dir, const char *name, const char *expected)
{
	_cleanup_free_ char *path = io_join(dir, name), *text = NULL;

	assert_int_equal(io_read_file(path, 1000, &text, NULL), 0);
	assert_string_equal(text, expected);
}

static void test_find(void **state)
{
	_cleanup_free_ char *mounts = NULL, *group = NULL, *found = NULL;

	assert_true(asprintf(&mounts, "proc /proc proc rw 0 0\ncgroup /x/memory cgroup rw,memory 0 0\n"
				      "none /with\\040blank cgroup2 rw 0 0\ncgroup2 %s cgroup2 rw 0 0\n", (char *)*state) > 0);
	assert_true(asprintf(&group, "%s/user.slice", (char *)*state) > 0);
	assert_int_equal(mkdir(group, 0755), 0);
	assert_int_equal(cgroup_find("", "0::/user.slice\n", &found), CGROUP_E_NONE);
	assert_int_equal(cgroup_find("proc /proc\n\n", "0::/\n", &found), CGROUP_E_NONE);
	assert_int_equal(cgroup_find(mounts, "1:cpu:/\n", &found), CGROUP_E_NONE);
	assert_int_equal(cgroup_find(mounts, "0::/no/such\n", &found), CGROUP_E_NONE);
	assert_int_equal(cgroup_find(mounts, "0::/../user.slice\n", &found), CGROUP_E_NONE);
	if (!geteuid()) /* root may write everywhere: that alone is no leave */
		assert_int_equal(cgroup_find(mounts, "0::/user.slice\n", &found), CGROUP_E_NONE);
	if (setxattr(group, "user.delegate", "1", 1, 0) < 0 && setxattr(group, "trusted.delegate", "1", 1, 0) < 0)
		return; /* a file system without attributes */
	assert_int_equal(cgroup_find(mounts, "4:pids:/\n0::/user.slice\n", &found), 0);
	assert_string_equal(found, group);
}

static void test_without_controllers(void **state)
{
	struct cgroup cgroup;
	struct stat st;
	_cleanup_free_ char *dir = io_join(*state, "one");

	assert_int_equal(cgroup_make(&cgroup, *state, "one", 1000, 10), 0);
	assert_string_equal(cgroup.dir, dir);
	assert_false(cgroup.limits_memory || cgroup.limits_processes);
	assert_int_equal(cgroup_add(&cgroup, 1), -ENOENT);
	assert_int_equal(cgroup_kill(&cgroup), -ENOENT); /* an old kernel */
	cgroup_deinit(&cgroup);
	assert_null(cgroup.dir);
	assert_int_equal(stat(dir, &st), -1);
	assert_int_equal(cgroup_make(&cgroup, "/proc/no/such", "one", 0, 0), CGROUP_E_NONE);
}

static void test_limits(void **state)
{
	struct cgroup cgroup;
	_cleanup_free_ char *dir = io_join(*state, "one");

	assert_int_equal(mkdir(dir, 0755), 0);
	touch(*state, "cgroup.subtree_control");
	touch(dir, "memory.max");
	touch(dir, "cgroup.procs");
	touch(dir, "cgroup.kill");
	assert_int_equal(cgroup_make(&cgroup, *state, "one", 123456, 50), 0);
	check_file(*state, "cgroup.subtree_control", "+pidsry"); /* an ordinary file keeps what was longer */
	check_file(dir, "memory.max", "123456");
	assert_true(cgroup.limits_memory);
	assert_false(cgroup.limits_processes); /* no pids.max there */
	assert_int_equal(cgroup_add(&cgroup, 4711), 0);
	check_file(dir, "cgroup.procs", "4711");
	assert_int_equal(cgroup_kill(&cgroup), 0);
	check_file(dir, "cgroup.kill", "1");
	cgroup_deinit(&cgroup);
}

/* The kernel's own, when it lets us: a process and its orphaned child die together. */
static void test_real(void **state)
{
	_cleanup_free_ char *mounts = NULL;
	char *place, *end, root[300];
	struct cgroup cgroup;
	int status, fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(io_read_file("/proc/self/mounts", 1 << 20, &mounts, NULL), 0);
	place = strstr(mounts, "\ncgroup2 ");
	if (!place || !(end = strchr(place + 9, ' ')))
		skip();
	snprintf(root, sizeof(root), "%.*s", (int)(end - place - 9), place + 9);
	snprintf(mounts, 40, "maestro-test-%ld", (long)getpid());
	if (access(root, W_OK) < 0 || cgroup_make(&cgroup, root, mounts, 0, 0))
		skip();
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		if (cgroup_add(&cgroup, getpid()))
			_exit(1);
		if (fork() || fork()) /* the last one has lost its parent when that is waited for */
			pause();
		if (write(fds[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) == 1)
		assert_int_equal(cgroup_kill(&cgroup), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(fds[0], &byte, 1), 0); /* all that had the other end are gone */
	close(fds[0]);
	cgroup_deinit(&cgroup);
	if (WIFEXITED(status))
		skip(); /* not let in */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		DIR_TEST(test_find),
		DIR_TEST(test_without_controllers),
		DIR_TEST(test_limits),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
