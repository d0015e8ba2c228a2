#include "proto/wire/message.h"
#include "proto/wire/frame.h"
#include "proto/wire/limit.h"
#include "proto/base/str.h"

#include <string.h>

/* Blocks of a bump allocator; freed together. */
struct message_block {
	struct message_block *next;
	size_t used, size;
	bool is_one; /* all of it is one piece */
	max_align_t data[];
};

struct arena {
	struct message_block *blocks;
	size_t left_bytes;
};

/* What is this large has a block of its own, so that it can be given back. */
#define ARENA_LARGE_BYTES 1024u
#define ARENA_SEARCH_MAX 64u

/* Never before the block that is being filled, unless there is none. */
static struct message_block *arena_add(struct arena *arena, size_t size, bool is_one)
{
	struct message_block *block = malloc(sizeof(*block) + size), **place = &arena->blocks;

	if (!block)
		return NULL;
	if (is_one && *place)
		place = &(*place)->next;
	*block = (struct message_block){ .next = *place, .size = size, .used = is_one ? size : 0, .is_one = is_one };
	*place = block;
	return block;
}

static void *arena_alloc(void *userdata, size_t size)
{
	struct arena *arena = userdata;
	struct message_block *block = arena->blocks;
	size_t want = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	void *p;

	if (want < size || want > arena->left_bytes)
		return NULL;
	if (want >= ARENA_LARGE_BYTES) {
		block = arena_add(arena, want, true);
		if (!block)
			return NULL;
		p = block->data;
	} else {
		if (!block || block->size - block->used < want)
			block = arena_add(arena, 2048, false);
		if (!block)
			return NULL;
		p = (char *)block->data + block->used;
		block->used += want;
	}
	arena->left_bytes -= want;
	return p;
}

/* The decoder gives back what it needed to find the fields of a message with more than 16 of them. A list of such
 * messages would use up what the list may take; it is one of the newest blocks. */
static void arena_free(void *userdata, void *pointer)
{
	struct arena *arena = userdata;
	struct message_block **place = &arena->blocks;

	for (unsigned int i = 0; *place && i < ARENA_SEARCH_MAX; i++, place = &(*place)->next) {
		struct message_block *block = *place;

		if (!block->is_one || (void *)block->data != pointer)
			continue;
		*place = block->next;
		arena->left_bytes += block->size;
		free(block);
		return;
	}
}

static bool text_ok(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return str_utf8_valid(text, len);
}

static int check_message(const ProtobufCMessage *message, struct error *error);

static int check_value(const ProtobufCFieldDescriptor *field, const void *value, struct error *error)
{
	const ProtobufCEnumDescriptor *enumeration;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		if (*(char *const *)value && !text_ok(*(char *const *)value))
			return error_set(error, MESSAGE_E_BROKEN, "%s is no clean text", field->name);
		return 0;
	case PROTOBUF_C_TYPE_ENUM:
		enumeration = field->descriptor;
		if (!protobuf_c_enum_descriptor_get_value(enumeration, *(const int *)value))
			return error_set(error, MESSAGE_E_BROKEN, "%s has no value %d", field->name, *(const int *)value);
		return 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(ProtobufCMessage *const *)value ? check_message(*(ProtobufCMessage *const *)value, error) : 0;
	default:
		return 0;
	}
}

static size_t value_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(int);
	default:
		return 0; /* nothing to check in a repeated number or bytes */
	}
}

static int check_repeated(const ProtobufCFieldDescriptor *field, const char *base, struct error *error)
{
	size_t count = *(const size_t *)(base + field->quantifier_offset);
	const char *items = *(char *const *)(base + field->offset);
	size_t size = value_size(field);
	int r = 0;

	if (count > LIMIT_REPEATED)
		return error_set(error, MESSAGE_E_BROKEN, "%s has %zu entries", field->name, count);
	for (size_t i = 0; size && !r && i < count; i++)
		r = check_value(field, items + i * size, error);
	return r;
}

static bool is_present(const ProtobufCFieldDescriptor *field, const char *base)
{
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(base + field->quantifier_offset) == field->id;
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type == PROTOBUF_C_TYPE_ENUM)
		return *(const protobuf_c_boolean *)(base + field->quantifier_offset);
	return true;
}

static int check_message(const ProtobufCMessage *message, struct error *error)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;
	const char *base = (const char *)message;

	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		int r = 0;

		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			r = check_repeated(field, base, error);
		else if (is_present(field, base))
			r = check_value(field, base + field->offset, error);
		if (r)
			return r;
	}
	return 0;
}

/* A list of messages that say little takes many times its bytes. */
static size_t unpack_bytes_max(size_t len)
{
	return len < LIMIT_UNPACK_BYTES / LIMIT_UNPACK_FACTOR - 256 ? (len + 256) * LIMIT_UNPACK_FACTOR : LIMIT_UNPACK_BYTES;
}

int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t len,
	struct message *ret_message, struct error *error)
{
	struct arena arena = { NULL, unpack_bytes_max(len) };
	ProtobufCAllocator allocator = { arena_alloc, arena_free, &arena };
	struct message message = MESSAGE_NULL;
	int r = 0;

	message.base = protobuf_c_message_unpack(descriptor, &allocator, len, data);
	message.blocks = arena.blocks;
	if (!message.base)
		r = error_set(error, MESSAGE_E_BROKEN, "not a %s", descriptor->short_name);
	else
		r = check_message(message.base, error);
	if (r) {
		message_deinit(&message);
		return r;
	}
	*ret_message = message;
	return 0;
}

void message_deinit(struct message *message)
{
	struct message_block *next;

	for (; message->blocks; message->blocks = next) {
		next = message->blocks->next;
		free(message->blocks);
	}
	message->base = NULL;
}

int message_pack(const void *message, struct buf *out)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	int r;

	r = buf_reserve(out, len);
	if (r)
		return r;
	protobuf_c_message_pack(message, out->data + out->len);
	out->len += len;
	out->data[out->len] = 0;
	return 0;
}

int message_pack_framed(const void *message, struct buf *out)
{
	uint8_t header[4];
	int r;

	put_u32(header, (uint32_t)protobuf_c_message_get_packed_size(message));
	r = buf_reserve(out, sizeof(header) + get_u32(header));
	if (!r)
		r = buf_append(out, header, sizeof(header));
	return r ? r : message_pack(message, out);
}

int message_take_framed(struct buf *in, const ProtobufCMessageDescriptor *descriptor, size_t limit_bytes,
	struct message *ret_message, struct error *error)
{
	uint32_t len;
	int r;

	*ret_message = MESSAGE_NULL;
	if (in->len < 4)
		return 0;
	len = get_u32(in->data);
	if (len > limit_bytes)
		return error_set(error, MESSAGE_E_BROKEN, "a message of %u bytes (%zu allowed)", len, limit_bytes);
	if (in->len < 4 + (size_t)len)
		return 0;
	r = message_unpack(descriptor, in->data + 4, len, ret_message, error);
	buf_consume(in, 4 + (size_t)len);
	return r;
}

void *message_copy(const void *message)
{
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;

	if (message_pack(message, &packed) || (!packed.data && buf_reserve(&packed, 1)))
		return NULL;
	return protobuf_c_message_unpack(((const ProtobufCMessage *)message)->descriptor, NULL, packed.len, packed.data);
}

char *bytes_dup(const ProtobufCBinaryData *data)
{
	return strndup(data->data ? (const char *)data->data : "", data->len);
}
