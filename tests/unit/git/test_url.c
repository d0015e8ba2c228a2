#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "proto/base/buf.h"
#include "worker/git/ssh.h"
#include "worker/git/url.h"

static const struct {
	const char *text;
	enum url_kind kind;
	const char *user, *host, *path;
	unsigned int port;
} good[] = {
	{ "ssh://git@example.org:2222/srv/a.git", URL_SSH, "git", "example.org", "/srv/a.git", 2222 },
	{ "ssh://example.org/a%20b", URL_SSH, NULL, "example.org", "/a b", 22 },
	{ "ssh://example.org/~joe/a", URL_SSH, NULL, "example.org", "~joe/a", 22 },
	{ "ssh://git@[::1]:22/a", URL_SSH, "git", "::1", "/a", 22 },
	{ "git@example.org:team/a.git", URL_SSH, "git", "example.org", "team/a.git", 22 },
	{ "host:/srv/a", URL_SSH, NULL, "host", "/srv/a", 22 },
	{ "git@[::1]:a", URL_SSH, "git", "::1", "a", 22 },
	{ "/srv/a:b", URL_LOCAL, NULL, NULL, "/srv/a:b", 0 },
	{ "file:///srv/a", URL_LOCAL, NULL, NULL, "/srv/a", 0 },
	{ "file://localhost/srv/a", URL_LOCAL, NULL, NULL, "/srv/a", 0 },
	{ "https://example.org/a.git", URL_PROGRAM, NULL, NULL, NULL, 0 },
};

static void test_good(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct url url = URL_NULL;

		assert_int_equal(url_parse(good[i].text, strlen(good[i].text), &url, NULL), 0);
		assert_int_equal(url.kind, good[i].kind);
		assert_int_equal(url.port, good[i].port);
		assert_true(!good[i].user == !url.user && (!url.user || !strcmp(good[i].user, url.user)));
		assert_true(!good[i].host == !url.host && (!url.host || !strcmp(good[i].host, url.host)));
		assert_true(!good[i].path == !url.path && (!url.path || !strcmp(good[i].path, url.path)));
		url_deinit(&url);
	}
}

static const char *const bad[] = {
	"", "-oProxyCommand=x", "relative/path", "./x", "ftp://example.org/a", "ssh://example.org", "ssh:///a",
	"ssh://-oProxyCommand=x/a", "ssh://host:0/a", "ssh://host:99999/a", "ssh://u:secret@host/a", "host:", "host:-x",
	"-u@host:a", "ext::sh -c x", "https://user:token@example.org/a", "https://", "file://host/a", "ssh://h/a%0ab",
	"/a\nb", "ssh://[::1/a",
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error error = ERROR_NULL;
		struct url url = URL_NULL;

		assert_int_equal(url_parse(bad[i], strlen(bad[i]), &url, &error), URL_E_BAD);
		assert_non_null(error.why);
		assert_non_null(error.hint);
		assert_null(strstr(error.why, "secret"));
		error_deinit(&error);
	}
	assert_int_equal(url_parse("/a\0b", 4, &(struct url){ 0 }, NULL), URL_E_BAD);
}

static void test_quote(void **state)
{
	struct buf out = BUF_NULL;

	assert_int_equal(ssh_quote(&out, "/a'; rm -rf $HOME!\\"), 0);
	assert_string_equal(buf_text(&out), "'/a'\\''; rm -rf $HOME'\\!'\\'");
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
