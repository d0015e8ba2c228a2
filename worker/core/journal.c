#include "worker/core/journal.h"

#include <string.h>
#include "proto/base/id.h"
#include "proto/wire/frame.h"
#include "proto/wire/message.h"

#define LENGTH_BYTES 4u
#define CHECK_BYTES 8u

/* The length is part of what is checked: a flipped bit in it must not make us read into the next record. */
static void record_check(const uint8_t *record, uint32_t payload_bytes, const uint8_t *payload, uint8_t check[CHECK_BYTES])
{
	uint8_t digest[ID_DIGEST_BYTES], inner[LENGTH_BYTES + ID_DIGEST_BYTES];

	memcpy(inner, record, LENGTH_BYTES);
	id_sha256(payload, payload_bytes, inner + LENGTH_BYTES);
	id_sha256(inner, sizeof(inner), digest);
	memcpy(check, digest, CHECK_BYTES);
}

int journal_encode(const Maestro__JournalRecord *record, struct buf *out)
{
	static const uint8_t none[JOURNAL_HEADER_BYTES];
	size_t start = out->len, payload_bytes;
	uint8_t *header;
	int r;

	r = buf_append(out, none, sizeof(none));
	if (!r)
		r = message_pack(record, out);
	payload_bytes = out->len - start - (r ? 0 : JOURNAL_HEADER_BYTES);
	if (!r && payload_bytes > JOURNAL_RECORD_MAX_BYTES)
		r = -EMSGSIZE;
	if (r) {
		out->len = start;
		return r;
	}
	header = out->data + start;
	put_u32(header, (uint32_t)payload_bytes);
	record_check(header, (uint32_t)payload_bytes, header + JOURNAL_HEADER_BYTES, header + LENGTH_BYTES);
	return 0;
}

/* Length of the whole record at the front, 0 if there is none. */
static size_t record_length(const uint8_t *data, size_t len)
{
	uint8_t check[CHECK_BYTES];
	uint32_t payload_bytes;

	if (len < JOURNAL_HEADER_BYTES)
		return 0;
	payload_bytes = get_u32(data);
	if (!payload_bytes || payload_bytes > JOURNAL_RECORD_MAX_BYTES || payload_bytes > len - JOURNAL_HEADER_BYTES)
		return 0;
	record_check(data, payload_bytes, data + JOURNAL_HEADER_BYTES, check);
	if (memcmp(check, data + LENGTH_BYTES, CHECK_BYTES))
		return 0;
	return JOURNAL_HEADER_BYTES + payload_bytes;
}

int journal_decode(const void *data, size_t len, journal_record_fn record, void *userdata, size_t *ret_good)
{
	const uint8_t *bytes = data;
	size_t good = 0, length;
	int r = 0;

	while (!r && (length = record_length(bytes + good, len - good))) {
		_cleanup_(message_deinit) struct message message = MESSAGE_NULL;

		r = message_unpack(&maestro__journal_record__descriptor, bytes + good + JOURNAL_HEADER_BYTES,
			length - JOURNAL_HEADER_BYTES, &message, NULL);
		if (r == MESSAGE_E_BROKEN)
			break; /* the digest was right, so it is no accident: treated as damage all the same */
		if (!r)
			r = record((const Maestro__JournalRecord *)message.base, userdata);
		if (!r)
			good += length;
	}
	*ret_good = good;
	return r == MESSAGE_E_BROKEN ? 0 : r;
}
