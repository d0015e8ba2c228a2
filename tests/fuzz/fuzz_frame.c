/* What a stranger can send: a frame's header, an Envelope, and the parts in it. */
#include "proto/link/outbox.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct link_parts parts = LINK_PARTS_NULL;
	enum channel channel;
	uint32_t len;

	while (frame_get_header(data, size, LIMIT_FRAME_BYTES, &channel, &len) == 0 && len <= size - FRAME_HEADER_BYTES) {
		_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
		_cleanup_(error_deinit) struct error error = ERROR_NULL;
		_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
		const Maestro__Envelope *envelope;
		bool whole;

		if (message_unpack(&maestro__envelope__descriptor, data + FRAME_HEADER_BYTES, len, &message, &error) == 0) {
			envelope = (const Maestro__Envelope *)message.base;
			if (envelope->body_case == MAESTRO__ENVELOPE__BODY_PART)
				link_parts_add(&parts, envelope->part, &whole);
			message_pack(envelope, &packed);
		}
		data += FRAME_HEADER_BYTES + len;
		size -= FRAME_HEADER_BYTES + len;
	}
	buf_deinit(&parts.data);
	return 0;
}
