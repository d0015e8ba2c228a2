/* The program against an OpenSSH server: the whole way of a session, and every way in which a server says no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <cmocka.h>
#include "proto/base/clock.h"
#include "proto/base/error.h"
#include "tests/support/fixture.h"
#include "tests/support/git_job.h"
#include "tests/support/sshd.h"

#define BRANCH "maestro/7-work"
#define assert_ok(result) assert_int_equal((result)->code, MAESTRO__GIT_CODE__GIT_OK)
#define assert_code(result, name) assert_int_equal((result)->code, MAESTRO__GIT_CODE__GIT_##name)

struct scene {
	struct git_place place;
	struct sshd sshd;
};

static int setup(void **state)
{
	static struct scene scene;
	_cleanup_free_ char *dir = NULL;

	git_place_init(&scene.place);
	/* A quote and a blank in the path: it has to be quoted on the way. */
	assert_int_equal(fixture_shell(scene.place.dir, "git init -q user && cd user && echo one > a.txt && git add -A && "
		"git commit -qm first && cd .. && git clone -q --bare user \"remote's one.git\""), 0);
	assert_true(asprintf(&dir, "%s/sshd", scene.place.dir) > 0);
	assert_true(sshd_start(&scene.sshd, dir));
	assert_true(asprintf(&scene.place.url, "ssh://%s@127.0.0.1:%u%s/remote's%%20one.git", scene.sshd.user, scene.sshd.port,
		scene.place.dir) > 0);
	scene.place.ssh_key = scene.sshd.key;
	scene.place.known_hosts = scene.sshd.known_hosts;
	unsetenv("SSH_AUTH_SOCK");
	*state = &scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	sshd_stop(&scene->sshd);
	git_place_deinit(&scene->place);
	return 0;
}

static void expect_words(git_result *result, Maestro__GitCode code, const char *in_why, const char *in_hint)
{
	_cleanup_free_ char *why = git_result_why(result), *hint = git_result_hint(result);

	if (result->code != code || !strstr(why, in_why) || !strstr(hint, in_hint))
		fail_msg("code %d (wanted %d)\nwhy: %s\nhint: %s", (int)result->code, (int)code, why, hint);
	git_result_free(result);
}

#define expect(name, call, why, hint) expect_words(call, MAESTRO__GIT_CODE__GIT_##name, why, hint)

static void prepare_timed(struct git_place *place, char **ret_base)
{
	uint64_t began_ms = clock_boottime_ms(), then_ms;
	git_result *result = git_fetch(place, "main");

	assert_ok(result);
	git_result_free(result);
	then_ms = clock_boottime_ms();
	result = git_prepare(place, "main", NULL, BRANCH);
	if (result->code)
		print_message("%s\n", git_result_why(result));
	assert_ok(result);
	print_message("clone %llu ms, prepare %llu ms\n", (unsigned long long)(then_ms - began_ms),
		(unsigned long long)(clock_boottime_ms() - then_ms));
	*ret_base = strdup(result->prepared->base_commit);
	git_result_free(result);
}

/* Prepares and commits a change. The commit; caller frees. */
static char *make_work(struct git_place *place, char **ret_base)
{
	git_result *result;
	char *head;

	prepare_timed(place, ret_base);
	assert_int_equal(fixture_shell(place->worktree, "echo two >> a.txt"), 0);
	result = git_commit_work(place, BRANCH, *ret_base, "Work");
	assert_ok(result);
	head = strdup(result->committed->head);
	git_result_free(result);
	return head;
}

static void test_whole_way(void **state)
{
	struct git_place *place = &((struct scene *)*state)->place;
	_cleanup_free_ char *base = NULL, *head = NULL, *next = NULL;
	git_result *result = git_probe(place, NULL);

	assert_ok(result);
	assert_string_equal(result->probed->base_branch, "main");
	git_result_free(result);
	head = make_work(place, &base);
	expect(OK, git_push_work(place, BRANCH, head, NULL, NULL), "", "");
	expect(OK, git_push_work(place, BRANCH, head, NULL, NULL), "", "");
	next = fixture_output(place->worktree, "git commit -q --amend -m rewritten && git rev-parse HEAD");
	expect(CONFLICT, git_push_work(place, BRANCH, next, base, NULL), "moved", "");
	expect(OK, git_push_work(place, BRANCH, next, head, NULL), "", "");
	assert_int_equal(fixture_shell(place->dir, "test $(git --git-dir=\"remote's one.git\" rev-parse " BRANCH ") = %s", next), 0);
	result = git_diff_work(place, "main", next, 0);
	assert_ok(result);
	assert_int_equal(result->diffed->n_files, 1);
	git_result_free(result);
	expect(CONFLICT, git_merge_work(place, "main", BRANCH, head, MAESTRO__MERGE_METHOD__MERGE_FF_ONLY), "moved since", "");
	expect(OK, git_merge_work(place, "main", BRANCH, next, MAESTRO__MERGE_METHOD__MERGE_FF_ONLY), "", "");
	assert_int_equal(fixture_shell(place->dir, "test $(git --git-dir=\"remote's one.git\" rev-parse main) = %s", next), 0);
	expect(OK, git_remove_work(place, BRANCH, base, next, 0), "", "");
	assert_int_equal(access(place->worktree, F_OK), -1);
}

/* Several sessions begin at once, and there is no mirror yet. */
static void test_together(void **state)
{
	struct git_place *place = &((struct scene *)*state)->place;
	pid_t children[4];
	int status;

	for (unsigned int i = 0; i < 4; i++) {
		children[i] = fork();
		if (!children[i]) {
			char branch[32], *worktree = NULL;
			git_result *result;

			snprintf(branch, sizeof(branch), "maestro/%u-work", i);
			if (asprintf(&worktree, "%s/state/worktrees/%u.1/project", place->dir, i) < 0)
				_exit(2);
			place->worktree = worktree;
			result = git_prepare(place, "main", NULL, branch);
			_exit(result->code != MAESTRO__GIT_CODE__GIT_OK);
		}
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
		assert_int_equal(fixture_shell(place->dir, "cd state/worktrees/%u.1/project && "
			"test $(git branch --show-current) = maestro/%u-work && test -z \"$(git status --porcelain)\"", i, i), 0);
	}
}

static void test_taken_and_moved(void **state)
{
	struct git_place *place = &((struct scene *)*state)->place;
	_cleanup_free_ char *base = NULL, *head = make_work(place, &base);
	git_result *result;

	assert_int_equal(fixture_shell(place->dir, "git --git-dir=\"remote's one.git\" branch " BRANCH " main"), 0);
	expect(CONFLICT, git_push_work(place, BRANCH, head, NULL, NULL), "taken", "");
	result = git_push_work(place, BRANCH, head, NULL, "-1a2b");
	assert_ok(result);
	assert_string_equal(result->pushed->branch, BRANCH "-1a2b");
	git_result_free(result);
	/* The base went on without us. */
	assert_int_equal(fixture_shell(place->dir, "cd user && git commit -q --allow-empty -m more && git push -q \"../remote's one.git\" main"), 0);
	expect(CONFLICT, git_merge_work(place, "main", BRANCH "-1a2b", head, MAESTRO__MERGE_METHOD__MERGE_FF_ONLY),
		"cannot be fast-forwarded", "");
	expect(OK, git_merge_work(place, "main", BRANCH "-1a2b", head, MAESTRO__MERGE_METHOD__MERGE_COMMIT), "", "");
}

static void test_hook_refuses(void **state)
{
	struct git_place *place = &((struct scene *)*state)->place;
	_cleanup_free_ char *base = NULL, *head = make_work(place, &base);

	assert_int_equal(fixture_shell(place->dir, "cd \"remote's one.git\"/hooks && "
		"printf '#!/bin/sh\\necho the sign-off is missing >&2\\nexit 1\\n' > pre-receive && chmod +x pre-receive"), 0);
	expect(REFUSED, git_push_work(place, BRANCH, head, NULL, NULL), "sign-off is missing", "hook");
	/* Three megabytes of chatter do not stop a push. */
	assert_int_equal(fixture_shell(place->dir, "cd \"remote's one.git\"/hooks && "
		"printf '#!/bin/sh\\nhead -c 3000000 /dev/zero | tr \"\\\\0\" x >&2\\n' > pre-receive"), 0);
	expect(OK, git_push_work(place, BRANCH, head, NULL, NULL), "", "");
}

static void test_host_keys(void **state)
{
	struct scene *scene = *state;
	struct git_place *place = &scene->place;

	/* Nothing known. */
	assert_int_equal(fixture_shell(scene->sshd.dir, "cp known_hosts saved && : > known_hosts"), 0);
	expect(UNREACHABLE, git_probe(place, NULL), "is not known: it is ED25519 SHA256:", "ssh-keyscan");
	/* Another key known. */
	assert_int_equal(fixture_shell(scene->sshd.dir, "{ printf '[127.0.0.1]:%u '; cut -d' ' -f1,2 other.pub; } > known_hosts",
		scene->sshd.port), 0);
	expect(UNREACHABLE, git_probe(place, NULL), "CHANGED", "ssh-keygen -R");
	/* Hashed, with a line that nobody understands before it. */
	assert_int_equal(fixture_shell(scene->sshd.dir, "{ echo what is this; cat saved; } > known_hosts && "
		"ssh-keygen -q -H -f known_hosts >/dev/null 2>&1; cp saved hashed && ssh-keygen -q -H -f hashed >/dev/null 2>&1 && "
		"{ echo garbage; cat hashed; } > known_hosts"), 0);
	expect(OK, git_probe(place, NULL), "", "");
	/* Only the second kind of key known: it is asked for. */
	assert_int_equal(fixture_shell(scene->sshd.dir, "{ printf '[127.0.0.1]:%u '; cut -d' ' -f1,2 host_ecdsa.pub; } > known_hosts",
		scene->sshd.port), 0);
	expect(OK, git_probe(place, NULL), "", "");
	/* Known and revoked. */
	assert_int_equal(fixture_shell(scene->sshd.dir, "{ cat saved; printf '@revoked * '; cut -d' ' -f1,2 host.pub; } > known_hosts"), 0);
	expect(UNREACHABLE, git_probe(place, NULL), "revoked", "");
}

static void test_user_keys(void **state)
{
	struct scene *scene = *state;
	struct git_place *place = &scene->place;

	place->ssh_key = scene->sshd.other_key;
	expect(AUTH, git_probe(place, NULL), "refused the key", "ed25519");
	place->ssh_key = scene->sshd.rsa_key;
	expect(AUTH, git_probe(place, NULL), "RSA", "ssh-keygen -t ed25519");
	place->ssh_key = "/nonexistent/key";
	expect(AUTH, git_probe(place, NULL), "cannot be read", "");
	place->ssh_key = scene->sshd.key;
	assert_int_equal(fixture_shell(scene->sshd.dir, "chmod 644 user"), 0);
	expect(AUTH, git_probe(place, NULL), "read by others", "chmod 600");
	assert_int_equal(fixture_shell(scene->sshd.dir, "chmod 600 user && ssh-keygen -q -p -N secret -f user"), 0);
	expect(AUTH, git_probe(place, NULL), "passphrase", "ssh-agent");
}

static void test_agent(void **state)
{
	struct scene *scene = *state;
	_cleanup_free_ char *agent = fixture_output(scene->sshd.dir, "ssh-agent -a \"$PWD/agent\" | sed -n 's/.*Agent pid \\([0-9]*\\).*/\\1/p'");
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/agent", scene->sshd.dir) > 0);
	setenv("SSH_AUTH_SOCK", path, 1);
	setenv("HOME", scene->sshd.dir, 1);
	scene->place.ssh_key = NULL;
	expect(AUTH, git_probe(&scene->place, NULL), "no SSH key", "ssh-key");
	assert_int_equal(fixture_shell(scene->sshd.dir, "ssh-add -q rsa other"), 0);
	expect(AUTH, git_probe(&scene->place, NULL), "refused the agent's keys", "");
	assert_int_equal(fixture_shell(scene->sshd.dir, "ssh-add -q user"), 0);
	expect(OK, git_probe(&scene->place, NULL), "", "");
	assert_int_equal(fixture_shell(scene->sshd.dir, "kill %s", agent), 0);
	unsetenv("SSH_AUTH_SOCK");
}

static void test_unreachable(void **state)
{
	struct scene *scene = *state;
	struct git_place *place = &scene->place;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t began_ms;

	/* The repository is not there. */
	free(place->url);
	assert_true(asprintf(&place->url, "ssh://%s@127.0.0.1:%u/nonexistent.git", scene->sshd.user, scene->sshd.port) > 0);
	expect(NOT_FOUND, git_probe(place, NULL), "does not appear to be a git repository", "path");
	expect(NOT_FOUND, git_prepare(place, "main", NULL, BRANCH), "does not appear", "path");
	assert_int_equal(access(place->mirror, F_OK), -1);
	/* A server that takes the connection and never says a word. */
	assert_true(!bind(fd, (struct sockaddr *)&address, len) && !listen(fd, 1) && !getsockname(fd, (struct sockaddr *)&address, &len));
	free(place->url);
	assert_true(asprintf(&place->url, "ssh://127.0.0.1:%u/x", ntohs(address.sin_port)) > 0);
	place->timeout_ms = 1000;
	began_ms = clock_boottime_ms();
	expect(UNREACHABLE, git_probe(place, NULL), "did not answer", "");
	assert_true(clock_boottime_ms() - began_ms < 10000);
	close(fd);
	expect(UNREACHABLE, git_probe(place, NULL), "cannot be reached", "SSH server");
}

static void test_shallow(void **state)
{
	struct git_place *place = &((struct scene *)*state)->place;

	assert_int_equal(fixture_shell(place->dir, "cd user && echo two > a.txt && git commit -qam second && cd .. && "
		"rm -rf \"remote's one.git\" && git clone -q --bare --depth 1 file://$PWD/user \"remote's one.git\""), 0);
	expect(BAD_REQUEST, git_probe(place, NULL), "is shallow", "git fetch --unshallow");
	expect(BAD_REQUEST, git_fetch(place, "main"), "is shallow", "git fetch --unshallow");
}

#define scenario(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		scenario(test_whole_way),
		scenario(test_together),
		scenario(test_taken_and_moved),
		scenario(test_hook_refuses),
		scenario(test_host_keys),
		scenario(test_user_keys),
		scenario(test_agent),
		scenario(test_unreachable),
		scenario(test_shallow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
