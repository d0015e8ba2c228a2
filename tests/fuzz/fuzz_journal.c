/* Whatever lies in a journal, reading it and replaying what is whole of it must be safe, and a snapshot of the result
 * must be readable. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "proto/base/id.h"
#include "worker/core/attempts.h"
#include "worker/core/journal.h"
#include "proto/wire/message.h"

static int replay(const Maestro__JournalRecord *record, void *userdata)
{
	return attempts_replay(userdata, record);
}

static void check_snapshot(struct attempts *attempts)
{
	_cleanup_(attempts_free_p) struct attempts *again = NULL;
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	size_t good = 0;

	require(attempts_snapshot(attempts, &out) == 0);
	require(attempts_new(&again) == 0);
	require(journal_decode(out.data, out.len, replay, again, &good) == 0);
	require(good == out.len);
}

/* The digest keeps a fuzzer out of the records; so the input is also taken as one record's payload. */
static void replay_payload(struct attempts *attempts, const uint8_t *data, size_t size)
{
	_cleanup_(message_deinit) struct message message = MESSAGE_NULL;

	if (message_unpack(&maestro__journal_record__descriptor, data, size, &message, NULL) == 0)
		attempts_replay(attempts, (const Maestro__JournalRecord *)message.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(attempts_free_p) struct attempts *attempts = NULL;
	size_t good = 0;

	if (id_init() || attempts_new(&attempts))
		abort();
	journal_decode(data, size, replay, attempts, &good);
	require(good <= size);
	replay_payload(attempts, data, size);
	check_snapshot(attempts);
	return 0;
}
