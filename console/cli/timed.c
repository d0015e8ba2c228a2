#include "console/cli/timed.h"

#include <inttypes.h>

#define PIECE_BYTES (384u * 1024)

static int each_item(const Maestro__SessionBytes *bytes, timed_each each, void *userdata, struct error *error)
{
	struct timeline_reader reader = TIMELINE_READER(bytes->data.data, bytes->data.len);
	struct timeline_item item;
	int r;

	do {
		r = timeline_next(&reader, &item);
		if (!r)
			r = each(userdata, &item);
		else if (r == TIMELINE_E_INVALID)
			return error_set(error, CLIENT_E_FAILED, "the worker sent a transcript that cannot be read");
		else
			return 0;
	} while (!r);
	return r;
}

int timed_read_piece(struct cli *cli, struct timed *timed, timed_each each, void *userdata, bool *ret_more,
	struct error *error)
{
	_cleanup_(message_deinit) struct message reply = MESSAGE_NULL;
	Maestro__ReadTask read = MAESTRO__READ_TASK__INIT;
	const Maestro__SessionBytes *bytes;
	int r;

	read.task = timed->task;
	read.kind = MAESTRO__READ_KIND__READ_TIMED;
	read.has_offset = read.has_max_bytes = true;
	read.offset = timed->position;
	read.max_bytes = PIECE_BYTES;
	read.has_attempt = timed->attempt != 0;
	read.attempt = timed->attempt;
	read.has_since_ms = timed->seek;
	read.since_ms = timed->since_ms;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_READ_TASK, &read, MAESTRO__ENVELOPE__BODY_SESSION_BYTES,
		CLIENT_DEADLINE_MS, &reply, error);
	if (r)
		return r;
	bytes = client_reply_of(&reply)->session_bytes;
	if (bytes->data.len && !bytes->has_next) {
		error_set(error, CLIENT_E_FAILED, "the worker of task %" PRIu64 " is too old to tell when things were printed", timed->task);
		error_hint(error, "'maestro logs %" PRIu64 "' prints its output; a new version of maestro-worker knows the times", timed->task);
		return CLIENT_E_FAILED;
	}
	*ret_more = bytes->has_next && bytes->next > timed->position;
	timed->seek = false;
	timed->ended = bytes->ended;
	if (bytes->has_next)
		timed->position = bytes->next;
	return each_item(bytes, each, userdata, error);
}

int timed_read(struct cli *cli, struct timed *timed, timed_each each, void *userdata, struct error *error)
{
	bool more = true;
	int r = 0;

	while (!r && more)
		r = timed_read_piece(cli, timed, each, userdata, &more, error);
	return r;
}
