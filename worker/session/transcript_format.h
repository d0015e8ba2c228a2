/* How a record of a transcript looks in memory and on disk; private to writer and reader. transcript.h describes it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RECORD_MAGIC 0x184D2A5Du
#define RECORD_VERSION 1u
#define RECORD_FIXED_BYTES 32u             /* after magic and size */
#define RECORD_PREFIX_BYTES 8u             /* magic and size of a skippable frame */
#define RECORD_TIMES_MAX 1024u             /* a burst of writes beyond it is told as one */
#define RECORD_CONTENT_MAX (64u * 1024)
#define RECORD_FRAME_MAX (512u * 1024)     /* a compressed chunk can be a little longer than a raw one */

struct record {
	uint8_t kind;
	uint16_t times;
	uint32_t frame_bytes; /* the zstd frame after the header */
	uint64_t offset;
	int64_t wall_ms;
	uint32_t raw_bytes;
	uint32_t crc;
};

static inline void put_le(uint8_t *p, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t get_le(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

/* RECORD_FIXED_BYTES from and to memory. */
static inline void record_put(const struct record *record, uint8_t *p)
{
	p[0] = record->kind;
	p[1] = RECORD_VERSION;
	put_le(p + 2, record->times, 2);
	put_le(p + 4, record->frame_bytes, 4);
	put_le(p + 8, record->offset, 8);
	put_le(p + 16, (uint64_t)record->wall_ms, 8);
	put_le(p + 24, record->raw_bytes, 4);
	put_le(p + 28, record->crc, 4);
}

static inline void record_get(struct record *record, const uint8_t *p)
{
	record->kind = p[0];
	record->times = (uint16_t)get_le(p + 2, 2);
	record->frame_bytes = (uint32_t)get_le(p + 4, 4);
	record->offset = get_le(p + 8, 8);
	record->wall_ms = (int64_t)get_le(p + 16, 8);
	record->raw_bytes = (uint32_t)get_le(p + 24, 4);
	record->crc = (uint32_t)get_le(p + 28, 4);
}

/* CRC-32 (IEEE, reflected), bit by bit: headers are short. Start with 0; chain by handing the last one in. */
static inline uint32_t record_crc(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
	}
	return ~crc;
}
