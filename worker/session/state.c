#include "worker/session/state.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/schema/holder.pb-c.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <string.h>

#define STATE_FILE_LIMIT_BYTES 8192

void holder_exit_deinit(struct holder_exit *exit)
{
	free(take(exit->reason));
}

char *holder_exit_text(const struct holder_exit *exit)
{
	char *text = NULL;
	int n;

	if (exit->reason)
		return strdup(exit->reason);
	if (exit->signal)
		n = asprintf(&text, "killed by SIG%s", str_or(sigabbrev_np(exit->signal), "?"));
	else
		n = asprintf(&text, "exit %d", exit->code);
	return n < 0 ? NULL : text;
}

/* Field 22 of /proc/PID/stat, counted after the last ')': the second field is the program's name, which may hold
 * anything. *ret_zombie: it has ended and waits for its parent. */
static int read_start_time(uint32_t pid, uint64_t *ret_start_time, bool *ret_zombie)
{
	char path[64], state;
	_cleanup_free_ char *stat = NULL;
	const char *p;
	unsigned long long start;
	int r;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	r = io_read_file(path, STATE_FILE_LIMIT_BYTES, &stat, NULL);
	if (r == IO_E_NOT_FOUND || r == -ESRCH)
		return STATE_E_GONE;
	if (r)
		return error_fold(r);
	p = strrchr(stat, ')');
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			&state, &start) != 2)
		return -EPROTO;
	*ret_start_time = start;
	*ret_zombie = state == 'Z' || state == 'X';
	return 0;
}

int holder_id_self(struct holder_id *id)
{
	uint32_t pid = (uint32_t)getpid();
	bool zombie;
	int r;

	r = read_start_time(pid, &id->start_time, &zombie);
	if (r)
		return error_fold(r);
	id->pid = pid;
	return clock_boot_id(id->boot_id);
}

static int create(const char *session_dir, Maestro__HolderHello *hello)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	_cleanup_free_ char *path = io_join(session_dir, "holder");
	int r;

	if (!path)
		return -ENOMEM;
	hello->version_min = HOLDER_VERSION_MIN;
	hello->version_max = HOLDER_VERSION_MAX;
	r = message_pack(hello, &packed);
	if (!r)
		r = io_create_file(path, packed.data, packed.len, 0600);
	return r == -EEXIST ? STATE_E_EXISTS : r;
}

int holder_state_create(const char *session_dir, const struct holder_id *id)
{
	Maestro__HolderHello hello = MAESTRO__HOLDER_HELLO__INIT;

	hello.task = id->task;
	hello.attempt = id->attempt;
	hello.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, (uint8_t *)(uintptr_t)id->run_id };
	hello.has_pid = hello.has_start_time = hello.has_boot_id = true;
	hello.pid = id->pid;
	hello.start_time = id->start_time;
	hello.boot_id = bytes_of(id->boot_id);
	return create(session_dir, &hello);
}

int holder_state_plant_tombstone(const char *session_dir, uint64_t task, uint32_t attempt, const uint8_t *run_id)
{
	Maestro__HolderHello hello = MAESTRO__HOLDER_HELLO__INIT;

	hello.task = task;
	hello.attempt = attempt;
	hello.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, (uint8_t *)(uintptr_t)run_id };
	hello.has_tombstone = hello.tombstone = true;
	return create(session_dir, &hello);
}

static int id_from_hello(const Maestro__HolderHello *hello, struct holder_id *ret_id)
{
	struct holder_id id = { .task = hello->task, .attempt = hello->attempt };

	if (hello->run_id.len != STATE_RUN_ID_BYTES)
		return STATE_E_BROKEN;
	memcpy(id.run_id, hello->run_id.data, STATE_RUN_ID_BYTES);
	if (hello->has_tombstone && hello->tombstone) {
		*ret_id = id;
		return STATE_E_TOMBSTONE;
	}
	if (!hello->has_pid || !hello->pid || !hello->has_start_time || hello->boot_id.len != sizeof(id.boot_id) - 1)
		return STATE_E_BROKEN;
	id.pid = hello->pid;
	id.start_time = hello->start_time;
	memcpy(id.boot_id, hello->boot_id.data, hello->boot_id.len);
	*ret_id = id;
	return 0;
}

static int read_message(const char *session_dir, const char *name, const ProtobufCMessageDescriptor *descriptor,
	struct message *ret_message)
{
	_cleanup_free_ char *path = io_join(session_dir, name), *data = NULL;
	size_t len;
	int r;

	if (!path)
		return -ENOMEM;
	r = io_read_file(path, STATE_FILE_LIMIT_BYTES, &data, &len);
	if (r == IO_E_NOT_FOUND)
		return STATE_E_NOT_FOUND;
	if (r)
		return r == -EFBIG ? STATE_E_BROKEN : r;
	r = message_unpack(descriptor, data, len, ret_message, NULL);
	return r == MESSAGE_E_BROKEN ? STATE_E_BROKEN : r;
}

int holder_state_read(const char *session_dir, struct holder_id *ret_id)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	int r;

	r = read_message(session_dir, "holder", &maestro__holder_hello__descriptor, &message);
	return r ? r : id_from_hello((const Maestro__HolderHello *)message.base, ret_id);
}

int holder_verify(const struct holder_id *id)
{
	uint64_t start_time;
	char boot_id[33];
	bool zombie;
	int r;

	r = clock_boot_id(boot_id);
	if (r)
		return r;
	if (strcmp(boot_id, id->boot_id) != 0)
		return STATE_E_REBOOTED;
	r = read_start_time(id->pid, &start_time, &zombie);
	if (r)
		return r;
	return start_time == id->start_time && !zombie ? 0 : STATE_E_GONE;
}

int holder_exit_write(const char *session_dir, const struct holder_exit *exit)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	_cleanup_free_ char *path = io_join(session_dir, "exit");
	Maestro__HolderExit message = MAESTRO__HOLDER_EXIT__INIT;
	int r;

	if (!path)
		return -ENOMEM;
	holder_exit_fill(exit, &message);
	r = message_pack(&message, &packed);
	return r ? r : io_replace_file(path, packed.data, packed.len, 0600);
}

void holder_exit_fill(const struct holder_exit *exit, Maestro__HolderExit *message)
{
	message->has_code = exit->code >= 0;
	message->code = exit->code;
	message->has_signal = exit->signal != 0;
	message->signal = exit->signal;
	message->has_reason = exit->reason != NULL;
	message->reason = bytes_of(exit->reason);
	message->has_time_ms = true;
	message->time_ms = exit->time_ms;
}

int holder_exit_take(const Maestro__HolderExit *message, struct holder_exit *ret_exit)
{
	struct holder_exit exit = { .code = -1 };

	if (message->has_code)
		exit.code = message->code;
	if (message->has_signal)
		exit.signal = message->signal;
	if (message->has_time_ms)
		exit.time_ms = message->time_ms;
	if (message->has_reason) {
		exit.reason = bytes_dup(&message->reason);
		if (!exit.reason)
			return -ENOMEM;
	}
	*ret_exit = exit;
	return 0;
}

int holder_exit_read(const char *session_dir, struct holder_exit *ret_exit)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
	int r;

	r = read_message(session_dir, "exit", &maestro__holder_exit__descriptor, &message);
	if (r)
		return r;
	if (!((const Maestro__HolderExit *)message.base)->has_time_ms)
		return STATE_E_BROKEN; /* an empty file is a message too, but none that a holder writes */
	return holder_exit_take((const Maestro__HolderExit *)message.base, ret_exit);
}
