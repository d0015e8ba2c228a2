#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "console/cli/local.h"
#include "console/cli/place.h"
#include "console/client/process.h"
#include "console/client/profile.h"
#include "proto/base/id.h"
#include "proto/base/io.h"

static char directory[64];
static struct paths paths;

static int setup(void **state)
{
	char home[80];

	strcpy(directory, "/tmp/maestro-local-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(home, sizeof(home), "%s/h", directory);
	setenv("MAESTRO_HOME", home, 1);
	unsetenv("MAESTRO_COORDINATOR");
	assert_int_equal(id_init(), 0);
	return paths_init(&paths, false, NULL);
}

static int teardown(void **state)
{
	paths_deinit(&paths);
	return io_remove_tree(directory);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];

	assert_int_equal(io_make_dirs(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(io_replace_file(path, text, strlen(text), 0600), 0);
}

static void test_fold_name(void **state)
{
	static const struct {
		const char *text, *name;
	} table[] = {
		{ "My Project", "my-project" }, { "..weird..", "weird" }, { "h\xc3\xa9llo", "h-llo" }, { "", "otherwise" },
		{ "---", "otherwise" }, { "a.lock", "a" }, { "UPPER_case.2", "upper_case.2" }, { "a..b", "a.b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *name = local_fold_name(table[i].text, "otherwise");

		assert_string_equal(name, table[i].name);
	}
}

/* A child that holds the lock until it is told to end. */
static pid_t hold_lock(const char *dir)
{
	char path[512], pid[16], byte;
	int ready[2];
	pid_t child;

	assert_int_equal(io_make_dirs(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/lock", dir);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int fd = open(path, O_RDWR | O_CREAT, 0600);

		flock(fd, LOCK_EX);
		snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (write(fd, pid, strlen(pid)) < 0 || write(ready[1], "x", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void test_running_is_who_holds_the_lock(void **state)
{
	_cleanup_free_ char *coordinator = paths_coordinator_state(&paths), *worker = paths_worker_state(&paths, "w1");
	_cleanup_free_ char *stale = paths_worker_state(&paths, "w2"), *url = paths_coordinator_url(&paths);
	struct local local;
	pid_t child;
	int status;

	write_file(stale, "lock", "1\n"); /* a pid that lives, but nobody holds the lock */
	write_file(worker, "worker.key", "x");
	write_file(worker, "coordinator", url);
	write_file(stale, "worker.key", "x");
	write_file(stale, "coordinator", "tls+tcp://elsewhere:7717");
	child = hold_lock(coordinator);
	assert_int_equal(local_look(&paths, &local, NULL), 0);
	assert_int_equal(local.coordinator.pid, child);
	assert_int_equal(local.workers_count, 2);
	assert_true(local_worker(&local, "w1")->enrolled);
	assert_int_equal(local_worker(&local, "w2")->pid, 0);
	assert_false(local_worker(&local, "w2")->enrolled);
	assert_int_equal(local_stop(&local.coordinator, SIGTERM, 10000, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	/* once more, when it is gone: nothing is hit */
	assert_int_equal(local_stop(&local.coordinator, SIGKILL, 10000, NULL), 0);
	local_deinit(&local);
}

static void test_stop_has_a_deadline(void **state)
{
	_cleanup_free_ char *coordinator = paths_coordinator_state(&paths);
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct local local;
	pid_t child = hold_lock(coordinator);

	assert_int_equal(local_look(&paths, &local, NULL), 0);
	assert_int_equal(local_stop(&local.coordinator, SIGCONT, 20, &error), -ETIMEDOUT);
	assert_non_null(strstr(error.why, "does not end"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	local_deinit(&local);
}

/* --- programs ------------------------------------------------------------------------------------------------ */

static void test_capture(void **state)
{
	static const char *const argv[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
	static const char *const missing[] = { "maestro-no-such-program", NULL };
	_cleanup_free_ char *output = NULL, *nothing = NULL;
	int status;

	assert_int_equal(process_capture(argv, &output, &status), 0);
	assert_int_equal(status, 3);
	assert_string_equal(output, "out\nerr");
	assert_int_equal(process_capture(missing, &nothing, &status), 0);
	assert_int_equal(status, 127);
}

static void test_start_waits_for_ready(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "printf 'ipc:///x\\n\\n' >&3; exec 3>&-; sleep 60", NULL };
	_cleanup_free_ char *ready = NULL;
	char log[96];
	pid_t pid;

	snprintf(log, sizeof(log), "%s/log", directory);
	assert_int_equal(process_start(&(struct process_start){ argv, log, 10000 }, &pid, &ready, NULL), 0);
	assert_string_equal(ready, "ipc:///x\n\n");
	assert_int_equal(getsid(pid), pid);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_start_that_fails_shows_its_log(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "echo one; echo 'no \033[31mport' >&2; exit 1", NULL };
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *ready = NULL;
	char log[96];
	pid_t pid;

	snprintf(log, sizeof(log), "%s/log", directory);
	assert_int_equal(process_start(&(struct process_start){ argv, log, 10000 }, &pid, &ready, &error), -EPIPE);
	assert_non_null(strstr(error.why, "no \\x1b[31mport"));
	assert_non_null(strstr(error.why, "one"));
}

static void test_feed(void **state)
{
	static const char *const argv[] = { "sh", "-c", "read line; test \"$line\" = secret", NULL };
	char log[96];
	int status;

	snprintf(log, sizeof(log), "%s/log", directory);
	assert_int_equal(process_feed(argv, "secret\n", 7, log, &status), 0);
	assert_int_equal(status, 0);
}

/* --- the repository that one stands in ----------------------------------------------------------------------- */

static void git(const char *dir, const char *script)
{
	const char *argv[] = { "sh", "-c", script, "sh", dir, NULL };
	_cleanup_free_ char *output = NULL;
	int status;

	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	assert_int_equal(process_capture(argv, &output, &status), 0);
	if (status)
		fail_msg("git: %s", output);
}

#define COMMIT "git -C \"$1\" -c user.name=T -c user.email=t@example.org commit -q --allow-empty -m x"

static void look(const char *dir, struct place *place)
{
	assert_int_equal(place_look(dir, place), 0);
}

static void test_place_plain(void **state)
{
	char dir[96], sub[128];
	struct place place;

	snprintf(dir, sizeof(dir), "%s/My Repo", directory);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	git(dir, "git init -q -b trunk \"$1\" && mkdir \"$1/sub\" && " COMMIT " && touch \"$1/new\"");
	look(sub, &place);
	assert_true(place.found);
	assert_string_equal(place.path, dir);
	assert_string_equal(place.name, "my-repo");
	assert_string_equal(place.branch, "trunk");
	assert_true(place.dirty);
	assert_int_equal(place_check(&place, NULL), 0);
	place_deinit(&place);
}

static void test_place_empty(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	char dir[96];
	struct place place;

	snprintf(dir, sizeof(dir), "%s/empty", directory);
	git(dir, "git init -q -b main \"$1\"");
	look(dir, &place);
	assert_true(place.empty);
	assert_int_not_equal(place_check(&place, &error), 0);
	assert_non_null(strstr(error.hint, "git commit"));
	place_deinit(&place);
}

static void test_place_detached(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	char dir[96];
	struct place place;

	snprintf(dir, sizeof(dir), "%s/detached", directory);
	git(dir, "git init -q -b main \"$1\" && " COMMIT " && git -C \"$1\" checkout -q --detach");
	look(dir, &place);
	assert_true(place.detached);
	assert_string_equal(place.branch, "main");
	place_deinit(&place);
	git(dir, "git -C \"$1\" branch -m main odd");
	look(dir, &place);
	assert_null(place.branch);
	assert_int_not_equal(place_check(&place, &error), 0);
	assert_non_null(strstr(error.hint, "--base"));
	place_deinit(&place);
}

static void test_place_bare_and_worktree(void **state)
{
	char dir[96], bare[96], tree[96];
	struct place place;

	snprintf(dir, sizeof(dir), "%s/r", directory);
	snprintf(bare, sizeof(bare), "%s/r.git", directory);
	snprintf(tree, sizeof(tree), "%s/r-tree", directory);
	git(dir, "git init -q -b main \"$1\" && " COMMIT " && git clone -q --bare \"$1\" \"$1.git\" &&"
		 " git -C \"$1\" worktree add -q -b side \"$1-tree\"");
	look(bare, &place);
	assert_string_equal(place.path, bare);
	assert_string_equal(place.name, "r");
	assert_int_equal(place_check(&place, NULL), 0);
	place_deinit(&place);
	look(tree, &place);
	assert_string_equal(place.path, dir);
	assert_string_equal(place.branch, "side");
	place_deinit(&place);
}

static void test_place_none(void **state)
{
	struct place place;

	setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
	look(directory, &place);
	assert_false(place.found);
	place_deinit(&place);
}

/* --- profiles ------------------------------------------------------------------------------------------------ */

static void test_profile_order(void **state)
{
	struct profile profile;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	assert_int_equal(profile_load(&paths, NULL, NULL, &profile, NULL), 0);
	assert_true(profile_is_local(&profile));
	assert_false(profile.has_key);
	assert_int_equal(profile.role, MAESTRO__ROLE__ROLE_OPERATOR);
	profile_deinit(&profile);
	assert_int_equal(profile_load(&paths, "example.org:7000", NULL, &profile, &error), PROFILE_E_NOT_FOUND);
	assert_non_null(strstr(error.hint, "maestro join example.org:7000"));
	assert_int_equal(profile_load(&paths, NULL, "nosuch", &profile, &error), PROFILE_E_NOT_FOUND);
	setenv("MAESTRO_COORDINATOR", "ipc:///run/elsewhere.sock", 1);
	assert_int_equal(profile_load(&paths, NULL, NULL, &profile, NULL), 0);
	assert_string_equal(profile.address, "ipc:///run/elsewhere.sock");
	profile_deinit(&profile);
}

static void test_profile_save_and_load(void **state)
{
	struct profile profile = { .address = strdup("tls+tcp://example.org:7717"), .name = strdup("office"),
		.user = strdup("me@here"), .has_key = true, .role = MAESTRO__ROLE__ROLE_VIEWER };
	_cleanup_free_ char *ca_key = NULL, *server = NULL, *server_key = NULL;
	struct profile loaded;

	assert_int_equal(certificate_make(&profile.ca_pem, &ca_key, &server, &server_key, NULL), 0);
	key_generate(&profile.key);
	write_file(paths.config, "client.conf", "# mine\n");
	assert_int_equal(profile_save(&paths, &profile, NULL), 0);
	assert_int_equal(profile_save(&paths, &profile, NULL), 0); /* again: a new token for the same profile */
	assert_int_equal(profile_load(&paths, NULL, NULL, &loaded, NULL), 0);
	assert_string_equal(loaded.address, profile.address);
	assert_string_equal(loaded.ca_pem, profile.ca_pem);
	assert_int_equal(loaded.role, MAESTRO__ROLE__ROLE_VIEWER);
	assert_memory_equal(loaded.key.secret_key, profile.key.secret_key, sizeof(profile.key.secret_key));
	profile_deinit(&loaded);
	assert_int_equal(profile_load(&paths, "office", NULL, &loaded, NULL), 0);
	profile_deinit(&loaded);
	assert_int_equal(profile_load(&paths, "example.org", NULL, &loaded, NULL), 0);
	profile_deinit(&loaded);
	profile_deinit(&profile);
}

static void test_profile_bad_conf(void **state)
{
	struct profile profile;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	write_file(paths.config, "client.conf", "profil = \"x\"\n");
	assert_int_equal(profile_load(&paths, NULL, NULL, &profile, &error), PROFILE_E_USAGE);
	assert_non_null(strstr(error.why, "client.conf:1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fold_name), TEST(test_running_is_who_holds_the_lock), TEST(test_stop_has_a_deadline), TEST(test_capture),
		TEST(test_start_waits_for_ready), TEST(test_start_that_fails_shows_its_log), TEST(test_feed),
		TEST(test_place_plain), TEST(test_place_empty), TEST(test_place_detached), TEST(test_place_bare_and_worktree),
		TEST(test_place_none), TEST(test_profile_order), TEST(test_profile_save_and_load), TEST(test_profile_bad_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
