#include "proto/wire/frame.h"

void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], enum channel channel, uint32_t payload_bytes)
{
	put_u32(header, payload_bytes);
	header[4] = (uint8_t)channel;
}

int frame_get_header(const uint8_t *data, size_t len, uint32_t limit_bytes, enum channel *ret_channel,
	uint32_t *ret_payload_bytes)
{
	uint32_t n;

	if (len < FRAME_HEADER_BYTES)
		return FRAME_E_INCOMPLETE;
	n = get_u32(data);
	if (n > limit_bytes)
		return FRAME_E_TOO_LONG;
	if (data[4] >= CHANNEL_COUNT)
		return FRAME_E_CHANNEL;
	*ret_channel = (enum channel)data[4];
	*ret_payload_bytes = n;
	return 0;
}
