/* A frame: u32 length of the payload (big endian), u8 channel, payload (a packed Envelope).
 *
 * Conditions: FRAME_E_INCOMPLETE (more bytes are needed), FRAME_E_TOO_LONG, FRAME_E_CHANNEL (no such channel):
 * the last two end the connection. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_E_INCOMPLETE = 1,
	FRAME_E_TOO_LONG,
	FRAME_E_CHANNEL,
};

enum channel {
	CHANNEL_CONTROL = 0,
	CHANNEL_INTERACTIVE = 1, /* keys, attached screens */
	CHANNEL_BULK = 2,        /* tiles, transcripts, diffs */
	CHANNEL_COUNT,
};

#define FRAME_HEADER_BYTES 5u

void frame_put_header(uint8_t header[FRAME_HEADER_BYTES], enum channel channel, uint32_t payload_bytes);
/* Reads a header from the first bytes of a stream; checks the length against limit_bytes before anything is allocated. */
int frame_get_header(const uint8_t *data, size_t len, uint32_t limit_bytes, enum channel *ret_channel,
	uint32_t *ret_payload_bytes);

static inline void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
