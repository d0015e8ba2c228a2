/* What installed CLIs say of themselves: asked of small programs that stand in the place of the real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/support/fixture.h"
#include "worker/service/probe.h"

struct scene {
	char *dir;
	struct adapter_set *adapters;
	struct option_list trusted;
	sd_event *event;
	struct probe *probe;
	unsigned int told;
};

static void on_told(void *userdata)
{
	((struct scene *)userdata)->told++;
}

static void add(struct scene *scene, const char *name, const char *version, const char *login)
{
	assert_int_equal(fixture_shell(scene->dir, "mkdir -p agents && cat > agents/%s.conf << 'END'\n"
		"program = \"sh\"\nprompt = none\nversion = {\"sh\", \"-c\", '%s'}\nlogin = {\"sh\", \"-c\", '%s'}\n"
		"pass = {\"CLI_API_KEY\"}\narguments { words = {\"-i\"} }\nEND", name, version, login), 0);
}

/* A CLI `cli` whose version and login commands are these shell texts, and `last`, whose version is how often the first
 * one was asked: once it tells, the round is at its end. */
static void set_up(struct scene *scene, const char *version, const char *login)
{
	_cleanup_free_ char *agents = NULL;

	*scene = (struct scene){ .dir = fixture_dir_make() };
	unsetenv("CLI_API_KEY");
	assert_int_equal(chdir(scene->dir), 0);
	add(scene, "cli", version, login);
	add(scene, "last", "touch runs; echo $(wc -l < runs)", "exit 9");
	assert_true(asprintf(&agents, "%s/agents", scene->dir) > 0);
	assert_int_equal(adapter_load_dir(agents, &scene->adapters, NULL), 0);
	assert_return_code(sd_event_new(&scene->event), 0);
	assert_int_equal(probe_new(&scene->probe, scene->event, NULL, scene->adapters, &scene->trusted, on_told, scene), 0);
}

static void tear_down(struct scene *scene)
{
	assert_int_equal(chdir("/"), 0);
	probe_free(scene->probe);
	sd_event_unref(scene->event);
	adapter_set_free(scene->adapters);
	fixture_dir_remove(scene->dir);
}

/* Until it has been told this often. */
static void run(struct scene *scene, unsigned int told)
{
	while (scene->told < told)
		assert_return_code(sd_event_run(scene->event, 20000000), 0);
}

static void test_version_and_login(void **state)
{
	struct scene scene;

	set_up(&scene, "echo \"cli 1.2\e[31m\"; echo more", "exit 1");
	assert_null(probe_version(scene.probe, 0));
	probe_ask(scene.probe);
	run(&scene, 2);
	assert_string_equal(probe_version(scene.probe, 0), "cli 1.2 [31m");
	assert_int_equal(probe_login(scene.probe, 0), PROBE_LOGIN_NO);
	tear_down(&scene);
}

static void test_a_key_is_a_login(void **state)
{
	struct scene scene;

	set_up(&scene, "echo 1", "exit 1");
	setenv("CLI_API_KEY", "secret", 1);
	probe_ask(scene.probe);
	run(&scene, 2);
	assert_int_equal(probe_login(scene.probe, 0), PROBE_LOGIN_YES);
	unsetenv("CLI_API_KEY");
	tear_down(&scene);
}

/* A failure that is no answer, a version of nothing but noise, and an agent that is not asked. */
static void test_not_known(void **state)
{
	struct scene scene;
	char *trusted[] = { (char *)"cli" };

	set_up(&scene, "head -c 300 /dev/zero | tr \"\\000\" x", "exit 1");
	scene.trusted = (struct option_list){ .items = trusted, .count = 1 };
	probe_ask(scene.probe);
	run(&scene, 1);
	assert_string_equal(probe_version(scene.probe, 1), "0");
	assert_null(probe_version(scene.probe, 0));
	assert_int_equal(probe_login(scene.probe, 0), PROBE_LOGIN_UNKNOWN);
	tear_down(&scene);
}

/* Asked anew while a program is being asked: that one's answer is taken as its own, then the round begins again. */
static void test_asked_twice(void **state)
{
	struct scene scene;

	set_up(&scene, "echo run >> runs; echo 3", "exit 7");
	probe_ask(scene.probe);
	assert_return_code(sd_event_run(scene.event, 3000000), 0);
	probe_ask(scene.probe);
	run(&scene, 2);
	assert_string_equal(probe_version(scene.probe, 0), "3");
	assert_string_equal(probe_version(scene.probe, 1), "2");
	tear_down(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_and_login),
		cmocka_unit_test(test_a_key_is_a_login),
		cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_asked_twice),
	};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
