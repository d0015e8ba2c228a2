#include "worker/session/client.h"
#include "proto/base/child.h"
#include "proto/base/io.h"
#include "proto/wire/frame.h"
#include "proto/wire/install.h"
#include "proto/wire/message.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define SPEC_BYTES_MAX (2u * 1024 * 1024)
#define ANSWER_BYTES_MAX 65536u
#define SPAWN_DEADLINE_US (30ull * 1000 * 1000)

struct holder_spawn {
	holder_spawned_fn spawned; /* NULL: it was called */
	void *userdata;
	pid_t pid; /* of the first process, which leaves at once; 0: waited for */
	int fd;
	struct buf answer;
	sd_event_source *source, *deadline;
};

static size_t count_of(const char *const *words)
{
	size_t count = 0;

	while (words && words[count])
		count++;
	return count;
}

static ProtobufCBinaryData *bytes_of_all(const char *const *words, size_t count)
{
	ProtobufCBinaryData *items = calloc(count + 1, sizeof(*items));

	for (size_t i = 0; items && i < count; i++)
		items[i] = bytes_of(words[i]);
	return items;
}

static int pack_spec(const struct holder_spec *spec, struct buf *out)
{
	Maestro__HolderSpec message = MAESTRO__HOLDER_SPEC__INIT;
	size_t argc = count_of(spec->argv), envc = count_of(spec->env);
	_cleanup_free_ ProtobufCBinaryData *argv = bytes_of_all(spec->argv, argc), *env = bytes_of_all(spec->env, envc);

	if (!argv || !env)
		return -ENOMEM;
	message.task = spec->task;
	message.attempt = spec->attempt;
	message.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, (uint8_t *)(uintptr_t)spec->run_id };
	message.session_dir = bytes_of(spec->session_dir);
	message.n_argv = argc;
	message.argv = argv;
	message.n_env = envc;
	message.env = env;
	message.cwd = bytes_of(spec->cwd);
	message.has_cols = message.has_rows = spec->cols && spec->rows;
	message.cols = spec->cols;
	message.rows = spec->rows;
	message.has_transcript_limit_bytes = spec->transcript_limit_bytes != UINT64_MAX;
	message.transcript_limit_bytes = spec->transcript_limit_bytes;
	message.has_grace_ms = spec->grace_ms != 0;
	message.grace_ms = spec->grace_ms;
	message.has_nice = true;
	message.nice = spec->nice;
	message.has_limit_memory_bytes = message.has_limit_files = message.has_limit_processes = true;
	message.limit_memory_bytes = spec->limit_memory_bytes;
	message.limit_files = spec->limit_files;
	message.limit_processes = spec->limit_processes;
	return message_pack_framed(&message, out);
}

/* Returns a descriptor to read the spec from. */
static int open_spec(const struct holder_spec *spec, struct error *error)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_LIMIT(SPEC_BYTES_MAX);
	int r;

	r = pack_spec(spec, &packed);
	if (r == -EMSGSIZE)
		return error_set(error, -E2BIG, "arguments and environment of the session are above %u bytes", SPEC_BYTES_MAX);
	return r ? r : child_input("holder-spec", packed.data, packed.len);
}

static int execute(const char *program, int in, int out, pid_t *ret_pid)
{
	const char *argv[] = { program, NULL };
	struct child child = { .program = program, .argv = argv, .in = in, .out = out, .err = CHILD_SHARED };

	return child_spawn(&child, ret_pid);
}

/* The first process forks and leaves before anything is answered, so this does not wait for long. */
static void reap(struct holder_spawn *spawn)
{
	pid_t pid = spawn->pid;

	spawn->pid = 0;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void tell(struct holder_spawn *spawn, int r, const struct holder_id *id, const char *why)
{
	holder_spawned_fn spawned = spawn->spawned;

	spawn->spawned = NULL;
	spawn->source = sd_event_source_disable_unref(spawn->source);
	spawn->deadline = sd_event_source_disable_unref(spawn->deadline);
	if (spawned)
		spawned(spawn->userdata, r, id, why); /* which may free the spawn */
}

static void tell_hello(struct holder_spawn *spawn, const Maestro__HolderHello *hello)
{
	struct holder_id id = { .task = hello->task, .attempt = hello->attempt, .pid = hello->pid,
		.start_time = hello->start_time };

	if (hello->run_id.len != sizeof(id.run_id) || hello->boot_id.len != sizeof(id.boot_id) - 1) {
		tell(spawn, -EPROTO, NULL, "the holder's answer cannot be understood");
		return;
	}
	memcpy(id.run_id, hello->run_id.data, sizeof(id.run_id));
	memcpy(id.boot_id, hello->boot_id.data, hello->boot_id.len);
	tell(spawn, 0, &id, NULL);
}

static void answer_complete(struct holder_spawn *spawn)
{
	_cleanup_(message_deinit) struct message unpacked = MESSAGE_NULL;
	_cleanup_free_ char *why = NULL;
	const Maestro__HolderMessage *message;
	int r;

	reap(spawn);
	r = message_take_framed(&spawn->answer, &maestro__holder_message__descriptor, ANSWER_BYTES_MAX, &unpacked, NULL);
	message = (const Maestro__HolderMessage *)unpacked.base;
	if (r || !message) {
		tell(spawn, -EPROTO, NULL, "the holder ended before it answered");
	} else if (message->body_case == MAESTRO__HOLDER_MESSAGE__BODY_HELLO) {
		tell_hello(spawn, message->hello);
	} else if (message->body_case == MAESTRO__HOLDER_MESSAGE__BODY_REFUSED) {
		why = bytes_dup(&message->refused->reason);
		r = message->refused->has_exists && message->refused->exists ? HOLDER_E_EXISTS : HOLDER_E_REFUSED;
		tell(spawn, r, NULL, why ? why : "");
	} else {
		tell(spawn, -EPROTO, NULL, "the holder's answer cannot be understood");
	}
}

static int answer_is_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct holder_spawn *spawn = userdata;
	uint8_t data[1024];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0 && buf_append(&spawn->answer, data, (size_t)n) == 0)
		return 0;
	answer_complete(spawn);
	return 0;
}

static int too_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	tell(userdata, -ETIMEDOUT, NULL, "the holder did not answer in 30 s");
	return 0;
}

static int start(struct holder_spawn *spawn, sd_event *event, const struct holder_spec *spec, struct error *error)
{
	_cleanup_free_ char *program = NULL;
	_cleanup_close_ int in_fd = -1, out_fd = -1;
	int r, pipe_fds[2];

	r = install_libexec("maestro-session", &program, error);
	if (r)
		return r;
	in_fd = open_spec(spec, error);
	if (in_fd < 0)
		return in_fd;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	spawn->fd = pipe_fds[0];
	out_fd = pipe_fds[1];
	r = io_set_nonblock(spawn->fd, true);
	if (!r)
		r = sd_event_add_io(event, &spawn->source, spawn->fd, EPOLLIN, answer_is_ready, spawn);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &spawn->deadline, CLOCK_MONOTONIC, SPAWN_DEADLINE_US, 1000, too_late, spawn);
	if (r >= 0)
		r = execute(program, in_fd, out_fd, &spawn->pid);
	if (r < 0)
		return error_set(error, r, "%s cannot be started: %s", program, strerror(-r));
	return 0;
}

int holder_spawn(sd_event *event, const struct holder_spec *spec, holder_spawned_fn spawned, void *userdata,
	struct holder_spawn **ret_spawn, struct error *error)
{
	_cleanup_(holder_spawn_free_p) struct holder_spawn *spawn = NULL;
	int r;

	require(spec->argv && spec->argv[0] && spec->run_id && spec->session_dir && spec->cwd);
	spawn = calloc(1, sizeof(*spawn));
	if (!spawn)
		return -ENOMEM;
	spawn->fd = -1;
	spawn->answer = BUF_LIMIT(ANSWER_BYTES_MAX);
	spawn->spawned = spawned;
	spawn->userdata = userdata;
	r = start(spawn, event, spec, error);
	if (r)
		return r;
	*ret_spawn = take(spawn);
	return 0;
}

void holder_spawn_free(struct holder_spawn *spawn)
{
	if (!spawn)
		return;
	sd_event_source_disable_unref(spawn->source);
	sd_event_source_disable_unref(spawn->deadline);
	if (spawn->fd >= 0)
		close(spawn->fd);
	reap(spawn);
	buf_deinit(&spawn->answer);
	free(spawn);
}
