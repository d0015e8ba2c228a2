/* The endpoint, called by the real maestro-agent and by callers that mean harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/wire/frame.h"
#include "proto/wire/message.h"
#include "worker/agents/endpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

struct fixture {
	char *dir, *path;
	sd_event *event;
	struct log log;
	struct endpoint *endpoint;
	char token[ENDPOINT_TOKEN_MAX];
	uint8_t digest[ID_DIGEST_BYTES];
	unsigned int statuses, hooks;
	uint64_t task;
	uint32_t attempt;
	Maestro__AgentState state;
	Maestro__StatusSource source;
	char message[256];
};

static int on_status(void *userdata, uint64_t task, uint32_t attempt, const Maestro__AgentStatus *status, struct error *error)
{
	struct fixture *fixture = userdata;

	fixture->statuses++;
	fixture->task = task;
	fixture->attempt = attempt;
	fixture->state = status->state;
	fixture->source = status->source;
	snprintf(fixture->message, sizeof(fixture->message), "%.*s", (int)status->message.len,
		status->message.len ? (const char *)status->message.data : "");
	if (strcmp(fixture->message, "refuse") == 0)
		return error_set(error, -EIO, "not now");
	return 0;
}

static void on_hook(void *userdata, uint64_t task, uint32_t attempt, const char *event, const char *json, size_t len)
{
	((struct fixture *)userdata)->hooks++;
}

static const struct endpoint_ops ops = { on_status, on_hook };

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *tmp = getenv("TMPDIR");
	sigset_t mask;

	assert_true(asprintf(&fixture->dir, "%s/maestro-endpoint-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(fixture->dir));
	fixture->path = io_join(fixture->dir, "agent.sock");
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	assert_true(sd_event_new(&fixture->event) >= 0);
	log_init(&fixture->log, "test", open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_ERROR);
	assert_int_equal(endpoint_new(&fixture->endpoint, fixture->event, &fixture->log, fixture->path, &ops, fixture, NULL), 0);
	assert_int_equal(endpoint_token_new(fixture->dir, fixture->token, fixture->digest), 0);
	assert_int_equal(endpoint_admit(fixture->endpoint, 7, 2, fixture->digest), 0);
	assert_int_equal(setenv("MAESTRO_SOCKET", fixture->path, 1), 0);
	assert_int_equal(setenv("MAESTRO_TOKEN", fixture->token, 1), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	endpoint_free(fixture->endpoint);
	sd_event_unref(fixture->event);
	close(fixture->log.fd);
	assert_int_equal(access(fixture->path, F_OK), -1);
	assert_int_equal(io_remove_tree(fixture->dir), 0);
	free(fixture->path);
	free(fixture->dir);
	free(fixture);
	return 0;
}

/* --- the real program --------------------------------------------------------------------------------------------- */

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	*(int *)userdata = info->si_code == CLD_EXITED ? info->si_status : 1000;
	return 0;
}

/* Runs a shell line that may use $MAESTRO_BIN/maestro-agent; its output goes to a file. Returns its exit status. */
static int run(struct fixture *fixture, const char *line, char **ret_output)
{
	_cleanup_free_ char *path = io_join(fixture->dir, "output");
	sd_event_source *source = NULL;
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		sigset_t none;

		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(99);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(98);
	}
	assert_true(sd_event_add_child(fixture->event, &source, pid, WEXITED, on_child, &status) >= 0);
	while (status < 0)
		assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
	sd_event_source_unref(source);
	assert_int_equal(io_read_file(path, 1 << 20, ret_output, NULL), 0);
	return status;
}

#define AGENT "\"$MAESTRO_BIN/maestro-agent\" "

static void test_agent_status(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *a = NULL, *b = NULL;

	assert_int_equal(run(fixture, AGENT "status needs_input --message 'which one?' --progress 40", &a), 0);
	assert_string_equal(a, "");
	assert_int_equal(fixture->statuses, 1);
	assert_int_equal(fixture->task, 7);
	assert_int_equal(fixture->attempt, 2);
	assert_int_equal(fixture->state, MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT);
	assert_int_equal(fixture->source, MAESTRO__STATUS_SOURCE__SOURCE_MCP);
	assert_string_equal(fixture->message, "which one?");
	assert_int_equal(run(fixture, AGENT "status working -m refuse", &b), 1);
	assert_string_equal(b, "maestro-agent: status: not now\n");
}

static void test_agent_errors(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *says;
	} cases[] = {
		{ AGENT "status", 2, "STATE is missing" },
		{ AGENT "status working idle", 2, "one STATE at a time" },
		{ AGENT "status wrking", 2, "did you mean" },
		{ AGENT "status working --progress 101", 2, "a percentage, 0 to 100" },
		{ AGENT "statsu", 2, "did you mean status?" },
		{ "unset MAESTRO_SOCKET; " AGENT "status working", 1,
			"MAESTRO_SOCKET is not set: maestro-agent works inside a Maestro session" },
		{ "MAESTRO_TOKEN=abc " AGENT "status working", 1, "no token of a Maestro session" },
		{ "MAESTRO_TOKEN=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA " AGENT "status working", 1, "of no session that runs here" },
		{ "MAESTRO_SOCKET=/no/such/socket " AGENT "status working", 1, "cannot be reached" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *output = NULL;

		if (run(fixture, cases[i].line, &output) != cases[i].status || !strstr(output, cases[i].says))
			fail_msg("%s: %s", cases[i].line, output);
	}
	assert_int_equal(fixture->statuses, 0);
}

static void test_agent_hook_and_mcp(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *a = NULL, *b = NULL;

	assert_int_equal(run(fixture, "echo '{\"tool_name\":\"Bash\"}' | " AGENT "hook PermissionRequest", &a), 0);
	assert_int_equal(fixture->hooks, 1);
	assert_int_equal(fixture->source, MAESTRO__STATUS_SOURCE__SOURCE_HOOK);
	assert_string_equal(fixture->message, "asks to use Bash");
	assert_int_equal(run(fixture, "printf '%s\\n%s' '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}' "
		"'{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"report_status\","
		"\"arguments\":{\"state\":\"complete\",\"message\":\"done\"}}}' | " AGENT "mcp", &b), 0);
	assert_int_equal(fixture->state, MAESTRO__AGENT_STATE__AGENT_COMPLETE);
	assert_non_null(strstr(b, "\"isError\":false"));
}

static void test_revoked_and_replaced(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;
	uint8_t digest[ID_DIGEST_BYTES];

	/* A restarted worker knows the token by its file. */
	assert_int_equal(endpoint_token_load(fixture->dir, digest), 0);
	assert_memory_equal(digest, fixture->digest, sizeof(digest));
	endpoint_revoke(fixture->endpoint, 7, 2);
	endpoint_revoke(fixture->endpoint, 7, 2);
	assert_int_equal(run(fixture, AGENT "status working", &a), 1);
	assert_int_equal(endpoint_admit(fixture->endpoint, 7, 3, digest), 0);
	assert_int_equal(run(fixture, AGENT "status working", &b), 0);
	assert_int_equal(fixture->attempt, 3);
	digest[0] ^= 1;
	assert_int_equal(endpoint_admit(fixture->endpoint, 7, 3, digest), 0);
	assert_int_equal(run(fixture, AGENT "status working", &c), 1);
	assert_int_equal(endpoint_token_load("/no/such/dir", digest), ENDPOINT_E_NOT_FOUND);
}

/* --- callers that mean harm ---------------------------------------------------------------------------------------- */

static int dial(struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, fixture->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct buf *in = userdata;
	char data[4096];
	ssize_t n = read(fd, data, sizeof(data));

	if (n > 0)
		return buf_append(in, data, (size_t)n);
	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Sends bytes and runs the loop until the endpoint hangs up. */
static void hang_up_expected(struct fixture *fixture, const void *data, size_t len, const char *says)
{
	_cleanup_(buf_deinit) struct buf in = BUF_NULL;
	_cleanup_close_ int fd = dial(fixture);
	sd_event_source *source;
	int on = 1;

	assert_true(write(fd, data, len) == (ssize_t)len);
	assert_true(sd_event_add_io(fixture->event, &source, fd, EPOLLIN, on_readable, &in) >= 0);
	while (sd_event_source_get_enabled(source, &on) > 0)
		assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
	sd_event_source_unref(source);
	assert_non_null(memmem(in.data, in.len, says, strlen(says)));
	assert_int_equal(fixture->statuses, 0);
}

static void test_hostile_frames(void **state)
{
	struct fixture *fixture = *state;

	hang_up_expected(fixture, "\xff\xff\xff\xffxxxx", 8, "allowed");
	hang_up_expected(fixture, "\0\0\0\4\xde\xad\xbe\xef", 8, "not a AgentMessage");
	hang_up_expected(fixture, "\0\0\0\0", 4, "no call");
}

static void test_hostile_token_length(void **state)
{
	struct fixture *fixture = *state;
	Maestro__AgentMessage message = MAESTRO__AGENT_MESSAGE__INIT;
	Maestro__AgentCall call = MAESTRO__AGENT_CALL__INIT;
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	const size_t lengths[] = { 0, 1, 31, 33, 4096 };
	uint8_t zeros[4096] = { 0 };

	message.body_case = MAESTRO__AGENT_MESSAGE__BODY_CALL;
	message.call = &call;
	call.call_case = MAESTRO__AGENT_CALL__CALL_STATUS;
	call.status = &status;
	status.state = MAESTRO__AGENT_STATE__AGENT_COMPLETE;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;

		call.token = (ProtobufCBinaryData){ lengths[i], zeros };
		assert_int_equal(message_pack_framed(&message, &out), 0);
		hang_up_expected(fixture, out.data, out.len, "of no session");
	}
}

/* Silent connections do not keep others out: the oldest gives way. */
static void test_many_silent_callers(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_free_ char *output = NULL;
	int fds[100];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(fixture);
		assert_true(sd_event_run(fixture->event, 0) >= 0);
	}
	assert_int_equal(run(fixture, AGENT "status working", &output), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_second_endpoint(void **state)
{
	struct fixture *fixture = *state;
	struct endpoint *second;
	struct stat st;

	assert_int_equal(endpoint_new(&second, fixture->event, &fixture->log, fixture->path, &ops, fixture, NULL), -EADDRINUSE);
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
#define ENDPOINT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		ENDPOINT_TEST(test_agent_status),
		ENDPOINT_TEST(test_agent_errors),
		ENDPOINT_TEST(test_agent_hook_and_mcp),
		ENDPOINT_TEST(test_revoked_and_replaced),
		ENDPOINT_TEST(test_hostile_frames),
		ENDPOINT_TEST(test_hostile_token_length),
		ENDPOINT_TEST(test_many_silent_callers),
		ENDPOINT_TEST(test_second_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
