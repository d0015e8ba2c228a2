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
#define RECORD_KEY_CONTENT_MAX (1024u * 1024) /* of a keyframe */
#define RECORD_KEY_FIXED_BYTES 8u
#define INDEX_ENTRY_BYTES 32u
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

static inline uint32_t record_content_max(uint8_t kind)
{
	return kind == 'K' ? RECORD_KEY_CONTENT_MAX : RECORD_CONTENT_MAX;
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

/* CRC-32 (IEEE, reflected), four bits at a time. Start with 0; chain by handing the last one in. */
static inline uint32_t record_crc(uint32_t crc, const void *data, size_t len)
{
	static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158,
		0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	const uint8_t *p = data;

	crc = ~crc;
	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

/* A line of the index: where a keyframe's record is in the file. */
struct index_entry {
	uint64_t at, offset;
	int64_t wall_ms;
	uint32_t number; /* counted from 0 */
};

static inline void index_entry_put(const struct index_entry *entry, uint8_t *p)
{
	put_le(p, entry->at, 8);
	put_le(p + 8, entry->offset, 8);
	put_le(p + 16, (uint64_t)entry->wall_ms, 8);
	put_le(p + 24, entry->number, 4);
	put_le(p + 28, record_crc(0, p, 28), 4);
}

/* False: damaged. */
static inline int index_entry_get(struct index_entry *entry, const uint8_t *p)
{
	entry->at = get_le(p, 8);
	entry->offset = get_le(p + 8, 8);
	entry->wall_ms = (int64_t)get_le(p + 16, 8);
	entry->number = (uint32_t)get_le(p + 24, 4);
	return record_crc(0, p, 28) == get_le(p + 28, 4);
}
