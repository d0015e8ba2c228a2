/* maestro-worker, whole, against a coordinator that this test plays: join, a session from START to a pushed branch,
 * keys and screens, a kill -9 of the worker with its session going on. Arguments: worker, agent, session and git
 * programs, and the directory of share/maestro. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/link/link.h"
#include "proto/wire/message.h"
#include "proto/wire/screen.h"

#define DEADLINE_S 60u
#define SECRET "open sesame, said the old man ..."

static char **programs;
static char *absolute[7];

struct stage {
	char dir[64], url[96], repo[96];
	sd_event *event;
	struct log log;
	struct link *link;
	struct link_listener *listener;
	struct link_peer *peer;
	pid_t worker;
	unsigned int ready, enrolled, grants;
	bool refuse_push, pushed, done[16], timed_out;
	Maestro__AttemptPhase phase[16]; /* newest of each task */
	char commit[16][64], reason[16][256];
	char message[128];               /* of the newest status */
	struct buf bytes;                /* of the newest SessionBytes */
	unsigned int answers, failures;
	struct screen screen;
	unsigned int frames, closes;
	struct message diff;
};

/* --- the coordinator's part --- */

static int authenticate(const struct link_identity *claim, struct link_grant *grant, struct error *error, void *userdata)
{
	*grant = (struct link_grant){ .role = MAESTRO__ROLE__ROLE_WORKER, .epoch = 3, .heartbeat_ms = 5000 };
	assert_string_equal(claim->name, "w1");
	assert_true(claim->has_key);
	return 0;
}

static int enroll(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *grant,
	struct error *error, void *userdata)
{
	struct stage *stage = userdata;

	if (len != 32 || memcmp(secret, SECRET, 32))
		return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_TOKEN, "no such token");
	stage->enrolled++;
	return authenticate(claim, grant, error, userdata);
}

#define ENVELOPE(kind, message)                                                                                    \
	(Maestro__Envelope)                                                                                        \
	{                                                                                                          \
		PROTOBUF_C_MESSAGE_INIT(&maestro__envelope__descriptor), .body_case = MAESTRO__ENVELOPE__BODY_##kind, \
			.message                                                                                   \
	}

static void send_envelope(struct stage *stage, Maestro__Envelope envelope)
{
	assert_int_equal(link_peer_send(stage->peer, CHANNEL_CONTROL, &envelope), 0);
}

static void ask(struct stage *stage, Maestro__Envelope envelope)
{
	static uint64_t request = 1000;

	envelope.has_request = true;
	envelope.request = ++request;
	send_envelope(stage, envelope);
}

static void on_inventory(struct stage *stage, const Maestro__Envelope *envelope)
{
	Maestro__Verdicts verdicts = MAESTRO__VERDICTS__INIT;
	Maestro__VerdictEntry entries[16], *pointers[16];

	for (size_t i = 0; i < envelope->inventory->n_entries; i++) {
		maestro__verdict_entry__init(&entries[i]);
		entries[i].task = envelope->inventory->entries[i]->task;
		entries[i].attempt = envelope->inventory->entries[i]->attempt;
		entries[i].run_id = envelope->inventory->entries[i]->run_id;
		entries[i].verdict = MAESTRO__VERDICT__VERDICT_ADOPT;
		pointers[verdicts.n_entries++] = &entries[i];
	}
	verdicts.entries = pointers;
	verdicts.last = envelope->inventory->last;
	send_envelope(stage, ENVELOPE(VERDICTS, verdicts = &verdicts));
}

static void on_report(struct stage *stage, const Maestro__AttemptReport *report)
{
	Maestro__ReportAck ack = MAESTRO__REPORT_ACK__INIT;

	assert_true(report->task < 16);
	stage->phase[report->task] = report->phase;
	stage->pushed = stage->pushed || report->phase == MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED;
	if (report->commit)
		snprintf(stage->commit[report->task], 64, "%s", report->commit);
	snprintf(stage->reason[report->task], 256, "%.*s", (int)report->reason.len,
		report->reason.data ? (const char *)report->reason.data : "");
	ack.number = report->number;
	send_envelope(stage, ENVELOPE(REPORT_ACK, report_ack = &ack));
}

static void on_push_request(struct stage *stage, const Maestro__Envelope *request)
{
	Maestro__PushGrant grant = MAESTRO__PUSH_GRANT__INIT;
	Maestro__Envelope envelope = ENVELOPE(PUSH_GRANT, push_grant = &grant);

	stage->grants++;
	grant.lease_ms = 60000;
	envelope.has_reply_to = true;
	envelope.reply_to = request->request;
	send_envelope(stage, envelope);
}

static void on_frame(struct stage *stage, const Maestro__StreamFrame *frame)
{
	Maestro__StreamAck ack = MAESTRO__STREAM_ACK__INIT;

	assert_int_equal(screen_apply(&stage->screen, frame->update.data, frame->update.len), 0);
	stage->frames++;
	ack.stream = frame->stream;
	ack.frame = frame->frame;
	send_envelope(stage, ENVELOPE(STREAM_ACK, stream_ack = &ack));
}

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct stage *stage = userdata;

	switch (envelope->body_case) {
	case MAESTRO__ENVELOPE__BODY_INVENTORY:
		on_inventory(stage, envelope);
		return;
	case MAESTRO__ENVELOPE__BODY_WORKER_READY:
		stage->ready++;
		return;
	case MAESTRO__ENVELOPE__BODY_ATTEMPT_REPORT:
		on_report(stage, envelope->attempt_report);
		return;
	case MAESTRO__ENVELOPE__BODY_PUSH_REQUEST:
		on_push_request(stage, envelope);
		return;
	case MAESTRO__ENVELOPE__BODY_STATUS_REPORT:
		if (envelope->status_report->status->has_message)
			snprintf(stage->message, sizeof(stage->message), "%.*s",
				(int)envelope->status_report->status->message.len,
				(const char *)envelope->status_report->status->message.data);
		return;
	case MAESTRO__ENVELOPE__BODY_SESSION_BYTES:
		buf_clear(&stage->bytes);
		buf_append(&stage->bytes, envelope->session_bytes->data.data, envelope->session_bytes->data.len);
		stage->answers++;
		return;
	case MAESTRO__ENVELOPE__BODY_STREAM_FRAME:
		on_frame(stage, envelope->stream_frame);
		return;
	case MAESTRO__ENVELOPE__BODY_STREAM_CLOSE:
		stage->closes++;
		return;
	case MAESTRO__ENVELOPE__BODY_GIT_ANSWER:
		stage->answers++;
		assert_int_equal(envelope->git_answer->result->code, MAESTRO__GIT_CODE__GIT_OK);
		return;
	case MAESTRO__ENVELOPE__BODY_DONE:
		stage->answers++;
		return;
	case MAESTRO__ENVELOPE__BODY_FAILURE:
		stage->failures++;
		return;
	default:
		return;
	}
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct stage *stage = userdata;

	if (peer == stage->peer)
		stage->peer = NULL;
}

static const struct link_peer_ops peer_ops = { on_message, NULL, on_closed };

static void accepted(struct link_peer *peer, void *userdata)
{
	struct stage *stage = userdata;

	link_peer_set_ops(peer, &peer_ops, stage);
	stage->peer = peer;
}

static const struct link_listener_ops listener_ops = { authenticate, enroll, accepted };

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	*(bool *)userdata = true;
	return 0;
}

/* Runs the loop until a fact holds. */
#define until(stage, fact)                                                                                         \
	do {                                                                                                       \
		sd_event_source *deadline_ = NULL;                                                                 \
                                                                                                                   \
		(stage)->timed_out = false;                                                                        \
		sd_event_add_time_relative((stage)->event, &deadline_, CLOCK_BOOTTIME, DEADLINE_S * 1000000ull, 1000, \
			on_deadline, &(stage)->timed_out);                                                         \
		while (!(fact) && !(stage)->timed_out)                                                             \
			assert_true(sd_event_run((stage)->event, UINT64_MAX) >= 0);                                \
		sd_event_source_disable_unref(deadline_);                                                          \
		if ((stage)->timed_out)                                                                            \
			print_error("waited for: %s; reasons: %s | %s | %s\n", #fact, (stage)->reason[1],             \
				(stage)->reason[2], (stage)->reason[3]);                                           \
		assert_true(fact);                                                                                 \
	} while (0)

/* --- programs --- */

static pid_t begin(struct stage *stage, const char *const argv[], const char *input)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	if (input)
		assert_int_equal(write(pair[1], input, strlen(input)), (int)strlen(input));
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(pair[0], 0);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pair[0]);
	close(pair[1]);
	return pid;
}

static bool ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

/* The loop goes on meanwhile: the program talks with us. */
static int run(struct stage *stage, const char *const argv[], const char *input)
{
	pid_t pid = begin(stage, argv, input);
	int status = 0;

	while (!ended(pid, &status))
		sd_event_run(stage->event, 20000);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void shell(struct stage *stage, const char *script)
{
	const char *const argv[] = { "sh", "-ec", script, NULL };

	assert_int_equal(run(stage, argv, NULL), 0);
}

static void run_worker(struct stage *stage)
{
	const char *const argv[] = { programs[1], "run", "--name", "w1", NULL };
	unsigned int before = stage->ready;

	stage->worker = begin(stage, argv, NULL);
	until(stage, stage->ready > before);
}

static void link_program(const struct stage *stage, const char *path)
{
	_cleanup_free_ char *to = NULL;

	assert_true(asprintf(&to, "%s/bin/%s", stage->dir, strrchr(path, '/') + 1) > 0);
	assert_int_equal(symlink(path, to), 0);
}

static void set_environment(struct stage *stage)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/bin", stage->dir);
	assert_int_equal(io_make_dirs(path, 0700), 0);
	for (int i = 1; i <= 5; i++)
		link_program(stage, programs[i]);
	setenv("MAESTRO_BIN", path, 1);
	setenv("MAESTRO_LIBEXEC", path, 1);
	setenv("MAESTRO_DATA", programs[6], 1);
	snprintf(path, sizeof(path), "%s/home", stage->dir);
	setenv("MAESTRO_HOME", path, 1);
	setenv("HOME", stage->dir, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("ASAN_OPTIONS", "exitcode=99", 1); /* a crash is not a refusal */
	assert_int_equal(chdir(stage->dir), 0);
}

static void make_repository(struct stage *stage)
{
	shell(stage, "git init -q -b main repo && cd repo && echo one > one && git add . && "
		     "git -c user.name=T -c user.email=t@t commit -qm one");
	snprintf(stage->repo, sizeof(stage->repo), "%s/repo", stage->dir);
}

static int setup(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct link_listener_config config = { .ops = &listener_ops, .userdata = stage };

	stage->screen = SCREEN_NULL;
	stage->bytes = BUF_NULL;
	strcpy(stage->dir, "/tmp/maestro-run.XXXXXX");
	assert_non_null(mkdtemp(stage->dir));
	snprintf(stage->url, sizeof(stage->url), "ipc://%s/c.sock", stage->dir);
	set_environment(stage);
	log_init(&stage->log, "test", 2, LOG_LEVEL_ERROR);
	assert_int_equal(id_init(), 0);
	assert_true(sd_event_new(&stage->event) >= 0);
	assert_int_equal(link_new(&stage->link, stage->event, &stage->log), 0);
	config.address = stage->url;
	assert_int_equal(link_listener_new(&stage->listener, stage->link, &config, NULL), 0);
	make_repository(stage);
	*state = stage;
	return 0;
}

static void end_worker(struct stage *stage, int signal_number)
{
	int status;

	kill(stage->worker, signal_number);
	while (!ended(stage->worker, &status))
		sd_event_run(stage->event, 20000);
	stage->worker = 0;
}

static int teardown(void **state)
{
	struct stage *stage = *state;

	if (stage->worker)
		end_worker(stage, SIGKILL);
	link_listener_free(stage->listener);
	link_free(stage->link);
	sd_event_unref(stage->event);
	screen_deinit(&stage->screen);
	buf_deinit(&stage->bytes);
	assert_int_equal(chdir("/"), 0);
	io_remove_tree(stage->dir);
	free(stage);
	return 0;
}

static void join(struct stage *stage)
{
	struct link_token token = { .role = MAESTRO__ROLE__ROLE_WORKER, .secret_len = 32 };
	const char *const argv[] = { programs[1], "join", stage->url, "--name", "w1", "--token-file", "-", NULL };
	_cleanup_free_ char *text = NULL;

	memcpy(token.secret, SECRET, 32);
	text = link_token_format(&token);
	assert_int_equal(run(stage, argv, text), 0);
	assert_int_equal(stage->enrolled, 1);
	assert_int_equal(run(stage, argv, text), 1); /* it has joined already */
}

static void start(struct stage *stage, uint64_t task, const char *agent, const char *prompt)
{
	Maestro__ProjectSpec project = MAESTRO__PROJECT_SPEC__INIT;
	Maestro__Start message = MAESTRO__START__INIT;
	uint8_t run_id[16];
	char branch[64];

	id_random(run_id, sizeof(run_id));
	snprintf(branch, sizeof(branch), "maestro/%" PRIu64 "-x", task);
	project.name = (char *)(uintptr_t) "p";
	project.url = bytes_of(stage->repo);
	project.base_branch = (char *)(uintptr_t) "main";
	message.task = task;
	message.attempt = 1;
	message.run_id = (ProtobufCBinaryData){ 16, run_id };
	message.project = &project;
	message.agent = (char *)(uintptr_t)agent;
	message.prompt = bytes_of(prompt);
	message.branch = branch;
	message.base_branch = (char *)(uintptr_t) "main";
	send_envelope(stage, ENVELOPE(START, start = &message));
}

static void read_session(struct stage *stage, uint64_t task, Maestro__ReadKind kind)
{
	Maestro__ReadSession read_message = MAESTRO__READ_SESSION__INIT;
	unsigned int before = stage->answers;

	read_message.task = task;
	read_message.attempt = 1;
	read_message.kind = kind;
	ask(stage, ENVELOPE(READ_SESSION, read_session = &read_message));
	until(stage, stage->answers > before);
}

#define PHASE(name) MAESTRO__ATTEMPT_PHASE__PHASE_##name

/* --- what must work --- */

static void check_commit_is_pushed(struct stage *stage)
{
	start(stage, 1, "command", "echo two > two; maestro-agent status working --message hello-$MAESTRO_TASK; echo printed");
	until(stage, stage->phase[1] == PHASE(ENDED) || stage->phase[1] == PHASE(FAILED));
	assert_int_equal(stage->phase[1], PHASE(ENDED));
	assert_true(stage->pushed);
	assert_int_equal(stage->grants, 1);
	assert_string_equal(stage->message, "hello-1");
	shell(stage, "test $(git -C repo show maestro/1-x:two) = two");
	read_session(stage, 1, MAESTRO__READ_KIND__READ_OUTPUT);
	assert_non_null(strstr(buf_text(&stage->bytes), "printed"));
}

static void check_failures(struct stage *stage)
{
	start(stage, 2, "command", "exit 3");
	until(stage, stage->phase[2] == PHASE(FAILED));
	assert_string_equal(stage->reason[2], "exit 3");
	start(stage, 3, "nobody", "x");
	until(stage, stage->phase[3] == PHASE(FAILED));
	assert_non_null(strstr(stage->reason[3], "nobody"));
}

static bool shows(struct stage *stage, const char *text)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;

	assert_int_equal(screen_text(&stage->screen, &all), 0);
	return strstr(buf_text(&all), text) != NULL;
}

static void check_screens(struct stage *stage)
{
	Maestro__StreamOpen open_message = MAESTRO__STREAM_OPEN__INIT;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;

	open_message.stream = 1;
	open_message.task = 4;
	open_message.kind = MAESTRO__STREAM_KIND__STREAM_ATTACHED;
	open_message.has_drive = open_message.drive = true;
	open_message.has_cols = open_message.has_rows = true;
	open_message.cols = 100;
	open_message.rows = 30;
	send_envelope(stage, ENVELOPE(STREAM_OPEN, stream_open = &open_message));
	until(stage, stage->frames > 0);
	until(stage, stage->screen.cols == 100);
	until(stage, shows(stage, "ask"));
	read_session(stage, 4, MAESTRO__READ_KIND__READ_SCREEN_TEXT);
	assert_non_null(strstr(buf_text(&stage->bytes), "ask"));
}

static void send_text(struct stage *stage, const char *text)
{
	Maestro__SendInput input = MAESTRO__SEND_INPUT__INIT;
	unsigned int before = stage->answers;

	input.task = 4;
	input.attempt = 1;
	input.has_text = true;
	input.text = bytes_of(text);
	ask(stage, ENVELOPE(SEND_INPUT, send_input = &input));
	until(stage, stage->answers > before);
}

/* kill -9 in the middle of a session; the next worker finds the same one. */
static void check_survives_the_worker(struct stage *stage)
{
	start(stage, 4, "command", "echo ask; read a; echo got-$a; read b; echo $a$b > answer; exit 0");
	until(stage, stage->phase[4] == PHASE(RUNNING));
	check_screens(stage);
	send_text(stage, "first");
	until(stage, shows(stage, "got-first"));
	end_worker(stage, SIGKILL);
	until(stage, !stage->peer);
	screen_deinit(&stage->screen);
	run_worker(stage);
	send_text(stage, "second"); /* with nobody watching */
	until(stage, stage->phase[4] == PHASE(ENDED) || stage->phase[4] == PHASE(FAILED));
	assert_int_equal(stage->phase[4], PHASE(ENDED));
	shell(stage, "test $(git -C repo show maestro/4-x:answer) = firstsecond");
}

static void check_stop_and_release(struct stage *stage)
{
	Maestro__Stop stop = MAESTRO__STOP__INIT;
	Maestro__Release release = MAESTRO__RELEASE__INIT;
	unsigned int before;

	start(stage, 5, "command", "echo work > work; sleep 600");
	until(stage, stage->phase[5] == PHASE(RUNNING));
	stop.task = 5;
	stop.attempt = 1;
	send_envelope(stage, ENVELOPE(STOP, stop = &stop));
	until(stage, stage->phase[5] == PHASE(STOPPED));
	release.task = 5;
	release.attempt = 1;
	release.has_remove_worktree = release.remove_worktree = true;
	before = stage->failures;
	ask(stage, ENVELOPE(RELEASE, release = &release));
	until(stage, stage->failures > before); /* there is work in it that nobody has */
	shell(stage, "test -d home/state/workers/w1/worktrees/5.1/p");
	release.has_force = release.force = true;
	before = stage->answers;
	ask(stage, ENVELOPE(RELEASE, release = &release));
	until(stage, stage->answers > before);
	shell(stage, "cd home/state/workers/w1; test ! -e worktrees/5.1; test ! -e sessions/5.1/token; "
		     "test -e sessions/5.1/transcript.zst"); /* the output is kept for a while */
}

static void check_questions(struct stage *stage)
{
	Maestro__ProjectSpec project = MAESTRO__PROJECT_SPEC__INIT;
	Maestro__GitAsk question = MAESTRO__GIT_ASK__INIT;
	Maestro__GitDiff diff = MAESTRO__GIT_DIFF__INIT;
	unsigned int before = stage->answers;

	project.name = (char *)(uintptr_t) "p";
	project.url = bytes_of(stage->repo);
	project.base_branch = diff.base_branch = (char *)(uintptr_t) "main";
	diff.commit = stage->commit[1];
	question.project = &project;
	question.op_case = MAESTRO__GIT_ASK__OP_DIFF;
	question.diff = &diff;
	ask(stage, ENVELOPE(GIT_ASK, git_ask = &question));
	until(stage, stage->answers > before);
}

static void test_the_whole_path(void **state)
{
	struct stage *stage = *state;

	join(stage);
	run_worker(stage);
	check_commit_is_pushed(stage);
	check_questions(stage);
	check_failures(stage);
	check_survives_the_worker(stage);
	check_stop_and_release(stage);
	end_worker(stage, SIGTERM);
}

static void test_bad_token(void **state)
{
	struct stage *stage = *state;
	const char *const argv[] = { programs[1], "join", stage->url, "--name", "w1", "--token-file", "-", NULL };
	struct link_token token = { .role = MAESTRO__ROLE__ROLE_WORKER, .secret_len = 32 };
	const char *const not_joined[] = { programs[1], "run", "--name", "w1", NULL };
	_cleanup_free_ char *text = NULL;

	memset(token.secret, 7, 32);
	text = link_token_format(&token);
	assert_int_equal(run(stage, not_joined, NULL), 1);
	assert_int_equal(run(stage, argv, text), 1);
	assert_int_equal(run(stage, argv, "no token at all\n"), 1);
	assert_int_equal(run(stage, not_joined, NULL), 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_whole_path, setup, teardown),
	};
	sigset_t set;

	if (argc != 7)
		return 2;
	for (int i = 1; i < argc; i++)
		if (io_absolute(argv[i], &absolute[i]))
			return 2;
	programs = absolute;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
