/* Frames, checked messages, names, paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "proto/schema/envelope.pb-c.h"
#include "proto/schema/git.pb-c.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"
#include "proto/wire/paths.h"

#include <stdio.h>
#include <string.h>

static void test_frame(void **state)
{
	uint8_t header[FRAME_HEADER_BYTES];
	enum channel channel = CHANNEL_COUNT;
	uint32_t len = 77;

	frame_put_header(header, CHANNEL_BULK, 0x01020304);
	assert_memory_equal(header, "\1\2\3\4\2", 5);
	assert_int_equal(frame_get_header(header, 4, UINT32_MAX, &channel, &len), FRAME_E_INCOMPLETE);
	assert_int_equal(frame_get_header(header, 5, LIMIT_FRAME_BYTES, &channel, &len), FRAME_E_TOO_LONG);
	assert_int_equal(len, 77);
	assert_int_equal(frame_get_header(header, 5, 0x01020304, &channel, &len), 0);
	assert_int_equal(channel, CHANNEL_BULK);
	assert_int_equal(len, 0x01020304);
	header[4] = CHANNEL_COUNT;
	assert_int_equal(frame_get_header(header, 5, UINT32_MAX, &channel, &len), FRAME_E_CHANNEL);
}

static void test_message_round(void **state)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL, small = BUF_LIMIT(3);
	Maestro__Project project = MAESTRO__PROJECT__INIT;
	Maestro__Project *got, *copy;
	char *url;

	project.name = (char *)"demo";
	project.has_url = true;
	project.url = bytes_of("ssh://host/x");
	assert_int_equal(message_pack(&project, &packed), 0);
	assert_int_equal(message_pack(&project, &small), -EMSGSIZE);
	assert_int_equal(message_unpack(&maestro__project__descriptor, packed.data, packed.len, &message, NULL), 0);
	got = (Maestro__Project *)message.base;
	assert_string_equal(got->name, "demo");
	url = bytes_dup(&got->url);
	assert_string_equal(url, "ssh://host/x");
	free(url);
	copy = message_copy(got);
	assert_string_equal(copy->name, "demo");
	protobuf_c_message_free_unpacked(&copy->base, NULL);
}

static void refuse(const void *data, size_t len, const ProtobufCMessageDescriptor *descriptor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct message message = MESSAGE_NULL;

	assert_int_equal(message_unpack(descriptor, data, len, &message, &error), MESSAGE_E_BROKEN);
	assert_null(message.base);
	assert_non_null(error.why);
}

/* What protobuf-c lets through, and what it would take gigabytes for. */
static void test_message_hostile(void **state)
{
	_cleanup_free_ uint8_t *many = malloc(1024 * 1024);
	struct message message = MESSAGE_NULL;

	refuse("\x0a\x03" "a\x1b" "b", 5, &maestro__project__descriptor); /* a control character in a name */
	refuse("\x0a\x02\xc3\x28", 4, &maestro__project__descriptor);     /* broken UTF-8 */
	refuse("", 0, &maestro__project__descriptor);                     /* without its name */
	refuse("\x0a\x7f" "a", 3, &maestro__project__descriptor);         /* longer than it is */
	refuse("\x08\x63", 2, &maestro__git_result__descriptor);          /* no such code */
	for (size_t i = 0; i < 1024 * 1024; i += 2) {
		many[i] = 0x0a; /* an empty task */
		many[i + 1] = 0;
	}
	refuse(many, 1024 * 1024, &maestro__snapshot__descriptor);
	/* An unknown body is no broken message: it has case 0 and is the receiver's to answer. */
	assert_int_equal(message_unpack(&maestro__envelope__descriptor, "\x08\x05\xfa\x7f\x00", 5, &message, NULL), 0);
	assert_int_equal(((Maestro__Envelope *)message.base)->body_case, MAESTRO__ENVELOPE__BODY__NOT_SET);
	assert_int_equal(((Maestro__Envelope *)message.base)->request, 5);
	message_deinit(&message);
	message_deinit(&message);
}

/* Messages with many fields, for which the decoder takes memory that it gives back, do not use up the list's. Seen to
 * fail: `maestro ls` with eleven merged tasks. */
static void test_message_many_fields(void **state)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	Maestro__Snapshot list = MAESTRO__SNAPSHOT__INIT;
	Maestro__Task task = MAESTRO__TASK__INIT, *tasks[1000];
	struct message message = MESSAGE_NULL;
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	char text[] = "word", commit[] = "f3193e3c7f1f2175395e87c208d86c75d9800a4d";

	task.id = 1;
	task.project = task.agent = task.worker = task.branch = task.base_branch = text;
	task.commit = commit;
	task.has_group = task.has_state = task.has_attempt = task.has_priority = task.has_session = task.has_exit_code = true;
	task.has_created_ms = task.has_started_ms = task.has_ended_ms = task.has_cols = task.has_rows = true;
	task.state = MAESTRO__TASK_STATE__TASK_MERGED;
	task.session = MAESTRO__SESSION_STATE__SESSION_ENDED;
	task.created_ms = task.started_ms = task.ended_ms = INT64_C(1795345844421);
	task.has_title = task.has_reason = task.has_waiting_for = true;
	task.title = task.reason = task.waiting_for = bytes_of("w");
	task.status = &status;
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = &task;
	list.n_tasks = ARRAY_SIZE(tasks);
	list.tasks = tasks;
	assert_int_equal(message_pack(&list, &packed), 0);
	assert_int_equal(message_unpack(&maestro__snapshot__descriptor, packed.data, packed.len, &message, NULL), 0);
	assert_int_equal(((Maestro__Snapshot *)message.base)->n_tasks, ARRAY_SIZE(tasks));
	message_deinit(&message);
}

/* The least bytes that a message needs: its required fields, each with a short number and no content. */
static size_t least_bytes(const ProtobufCMessageDescriptor *descriptor)
{
	size_t len = 0;

	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (field->label == PROTOBUF_C_LABEL_REQUIRED)
			len += 2 + (field->type == PROTOBUF_C_TYPE_MESSAGE ? least_bytes(field->descriptor) : 0);
	}
	return len;
}

#define ENTRY_BYTES 112u /* a pointer to it, rounding, and what the decoder notes of its field while it reads the list */

/* What one more of a message may take for each of its bytes, and of all that can be within it. */
static void check_factor(const ProtobufCMessageDescriptor *descriptor, unsigned int depth)
{
	size_t memory = descriptor->sizeof_message + ENTRY_BYTES, bytes = 2 + least_bytes(descriptor);

	if (memory > bytes * LIMIT_UNPACK_FACTOR)
		fail_msg("%s: %zu bytes of memory for %zu: raise LIMIT_UNPACK_FACTOR, or make a field required", descriptor->name,
			memory, bytes);
	if (memory * LIMIT_PAGE * 16 > LIMIT_UNPACK_BYTES)
		fail_msg("%s: a page of them is large", descriptor->name);
	for (unsigned int i = 0; i < descriptor->n_fields && depth < 8; i++)
		if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			check_factor(descriptor->fields[i].descriptor, depth + 1);
}

/* No list of our own messages is refused for what it takes, whatever they say and leave out. Seen to fail: 1,000 tasks
 * with short texts, and then with none. */
static void test_message_factor(void **state)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	Maestro__Task task = MAESTRO__TASK__INIT, *tasks[LIMIT_PAGE];
	Maestro__TaskList list = MAESTRO__TASK_LIST__INIT;
	struct message message = MESSAGE_NULL;

	check_factor(&maestro__envelope__descriptor, 0);
	check_factor(&maestro__git_message__descriptor, 0);
	task.id = 1;
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = &task;
	list.n_tasks = ARRAY_SIZE(tasks);
	list.tasks = tasks;
	assert_int_equal(message_pack(&list, &packed), 0);
	assert_int_equal(message_unpack(&maestro__task_list__descriptor, packed.data, packed.len, &message, NULL), 0);
	message_deinit(&message);
}

static void test_message_framed(void **state)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL, in = BUF_NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__Part part = MAESTRO__PART__INIT;
	unsigned int got = 0;
	struct message message;

	part.data = bytes_of("some bytes");
	for (part.index = 0; part.index < 3; part.index++)
		assert_int_equal(message_pack_framed(&part, &all), 0);
	for (size_t i = 0; i < all.len; i++) { /* a byte at a time */
		buf_append_byte(&in, all.data[i]);
		assert_int_equal(message_take_framed(&in, &maestro__part__descriptor, 100, &message, &error), 0);
		if (message.base)
			assert_int_equal(((Maestro__Part *)message.base)->index, got++);
		message_deinit(&message);
	}
	assert_int_equal(got, 3);
	assert_int_equal(in.len, 0);
	buf_append(&in, "\0\0\0\x65", 4);
	assert_int_equal(message_take_framed(&in, &maestro__part__descriptor, 100, &message, &error), MESSAGE_E_BROKEN);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "build-1", "0x", "a.b_c", NULL };
	static const char *const bad[] = { "", "A", ".a", "-a", "a..b", "a.lock", "a/b", "a b", "a.", "\xc3\xa4", NULL };
	static const char *const good_branches[] = { "main", "release/1.2", "feature/x-y", "\xc3\xa4", NULL };
	static const char *const bad_branches[] = { "", "-x", "/x", "x/", "a..b", "a b", "a~1", "x.lock", "a//b", "@", "a@{1", "x\x7f",
		"a/.b", "a.lock/b", "a\\b", NULL };
	char longest[66];

	for (size_t i = 0; good[i]; i++)
		assert_true(name_valid(good[i]));
	for (size_t i = 0; bad[i]; i++)
		assert_false(name_valid(bad[i]));
	memset(longest, 'a', 65);
	longest[65] = 0;
	assert_false(name_valid(longest));
	longest[64] = 0;
	assert_true(name_valid(longest));
	assert_false(name_valid(NULL));
	for (size_t i = 0; good_branches[i]; i++)
		assert_true(name_branch_valid(good_branches[i]));
	for (size_t i = 0; bad_branches[i]; i++)
		assert_false(name_branch_valid(bad_branches[i]));
	assert_true(name_commit_valid("0123456789abcdef0123456789abcdef01234567"));
	assert_false(name_commit_valid("0123456789ABCDEF0123456789abcdef01234567"));
	assert_false(name_commit_valid("0123"));
	assert_true(name_label_value_valid("x86-64+avx"));
	assert_false(name_label_value_valid("a b"));
	assert_false(name_label_value_valid(""));
}

static void test_labels(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *key = NULL, *value = NULL;

	assert_int_equal(name_parse_label("gpu=none", &key, &value, &error), 0);
	assert_string_equal(key, "gpu");
	assert_string_equal(value, "none");
	assert_int_equal(name_parse_label("gpu", &key, &value, &error), -EINVAL);
	assert_int_equal(name_parse_label("=x", &key, &value, &error), -EINVAL);
	assert_int_equal(name_parse_label("gpu=a=b", &key, &value, &error), -EINVAL);
}

static void test_slugs(void **state)
{
	static const struct {
		const char *text, *slug;
	} cases[] = {
		{ "Fix the Parser!", "fix-the-parser" },
		{ "  --  ", "task" },
		{ "", "task" },
		{ "first line\nsecond", "first-line" },
		{ "\n\nafter", "after" },
		{ "\xc3\x9c" "ber \xc3\x9f", "uber-ss" },
		{ "\xff\xfe" "x", "x" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
	};
	char slug[NAME_SLUG_MAX], branch[NAME_BRANCH_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		name_slug(cases[i].text, strlen(cases[i].text), slug);
		assert_string_equal(slug, cases[i].slug);
	}
	name_branch(12, "fix", 1, branch);
	assert_string_equal(branch, "maestro/12-fix");
	name_branch(12, "fix", 2, branch);
	assert_string_equal(branch, "maestro/12-fix.2");
}

static void test_words(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	Maestro__TaskState task;
	Maestro__AgentState agent;
	Maestro__Role role;

	for (int i = 1; i <= 10; i++) {
		assert_int_equal(name_parse_task_state(name_task_state((Maestro__TaskState)i), &task, &error), 0);
		assert_int_equal(task, i);
	}
	for (int i = 1; i <= 6; i++) {
		assert_int_equal(name_parse_agent_state(name_agent_state((Maestro__AgentState)i), &agent, &error), 0);
		assert_int_equal(agent, i);
	}
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(name_parse_role(name_role((Maestro__Role)i), &role, &error), 0);
		assert_int_equal(role, i);
	}
	assert_string_equal(name_task_state((Maestro__TaskState)99), "unknown");
	assert_string_equal(name_source(MAESTRO__STATUS_SOURCE__SOURCE_MCP), "mcp");
	assert_string_equal(name_session(MAESTRO__SESSION_STATE__SESSION_LIVE), "live");
	assert_string_equal(name_worker_state(MAESTRO__WORKER_STATE__WORKER_LOST), "lost");
	assert_int_equal(name_parse_task_state("runing", &task, &error), -EINVAL);
	assert_non_null(strstr(error.hint, "running"));
	assert_true(task_state_settled(MAESTRO__TASK_STATE__TASK_REVIEW));
	assert_false(task_state_over(MAESTRO__TASK_STATE__TASK_REVIEW));
	assert_true(task_state_over(MAESTRO__TASK_STATE__TASK_LOST));
	assert_false(task_state_settled(MAESTRO__TASK_STATE__TASK_RUNNING));
}

static void test_paths(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct paths paths;
	char *text, longest[200];

	assert_int_equal(setenv("MAESTRO_HOME", "/m", 1), 0);
	assert_int_equal(paths_init(&paths, false, &error), 0);
	assert_string_equal(paths.config, "/m/config");
	text = paths_coordinator_url(&paths);
	assert_string_equal(text, "ipc:///m/run/coordinator.sock");
	free(text);
	text = paths_worker_state(&paths, "w1");
	assert_string_equal(text, "/m/state/workers/w1");
	free(text);
	text = paths_coordinator_state(&paths);
	assert_string_equal(text, "/m/state/coordinator");
	free(text);
	paths_deinit(&paths);
	unsetenv("MAESTRO_HOME");
	assert_int_equal(paths_init(&paths, true, &error), 0);
	assert_string_equal(paths.state, "/var/lib/maestro");
	paths_deinit(&paths);
	setenv("HOME", "/h", 1);
	setenv("XDG_CONFIG_HOME", "relative", 1);
	setenv("XDG_STATE_HOME", "/s", 1);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(paths_init(&paths, false, &error), 0);
	assert_string_equal(paths.config, "/h/.config/maestro");
	assert_string_equal(paths.state, "/s/maestro");
	assert_string_equal(paths.run, "/s/maestro/run");
	paths_deinit(&paths);
	unsetenv("HOME");
	assert_int_equal(paths_init(&paths, false, &error), -ENOENT);
	memset(longest, 'a', 108);
	longest[108] = 0;
	assert_int_equal(paths_check_socket(longest, &error), -ENAMETOOLONG);
	longest[107] = 0;
	assert_int_equal(paths_check_socket(longest, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_message_round),
		cmocka_unit_test(test_message_hostile),
		cmocka_unit_test(test_message_many_fields),
		cmocka_unit_test(test_message_factor),
		cmocka_unit_test(test_message_framed),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_slugs),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
