/* See outbox.h. */
#include "proto/link/outbox.h"
#include "proto/link/bridge.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <string.h>

/* Half a window: the second part leaves while the first is being acknowledged. */
#define PART_DATA_BYTES (LIMIT_PART_BYTES / 2 - 64)

struct outgoing {
	struct list entry;
	struct link_packed *packed;
	bool cut;
	uint32_t number, index;
	size_t sent;
};

static void outgoing_free(struct outgoing *message)
{
	list_remove(&message->entry);
	link_packed_unref(message->packed);
	free(message);
}

bool link_body_exempt(Maestro__Envelope__BodyCase body_case)
{
	return body_case == MAESTRO__ENVELOPE__BODY_STREAM_INPUT || body_case == MAESTRO__ENVELOPE__BODY_CREDIT ||
		body_case == MAESTRO__ENVELOPE__BODY_PING || body_case == MAESTRO__ENVELOPE__BODY_PONG;
}

void link_outbox_init(struct link_outbox *outbox, size_t cap_bytes)
{
	*outbox = (struct link_outbox){ .cap_bytes = cap_bytes };
	list_init(&outbox->messages);
}

void link_outbox_deinit(struct link_outbox *outbox)
{
	struct outgoing *message;

	while ((message = list_first(&outbox->messages, struct outgoing, entry)))
		outgoing_free(message);
	outbox->queued_bytes = 0;
}

int link_packed_new(struct link_packed **ret_packed, const Maestro__Envelope *envelope)
{
	_cleanup_(link_packed_unref_p) struct link_packed *packed = NULL;
	int r;

	if (protobuf_c_message_get_packed_size(&envelope->base) > LIMIT_MESSAGE_BYTES)
		return -EMSGSIZE;
	packed = calloc(1, sizeof(*packed));
	if (!packed)
		return -ENOMEM;
	packed->refs = 1;
	packed->exempt = link_body_exempt(envelope->body_case);
	r = message_pack(envelope, &packed->data);
	if (r)
		return r;
	*ret_packed = take(packed);
	return 0;
}

void link_packed_unref(struct link_packed *packed)
{
	if (--packed->refs)
		return;
	buf_deinit(&packed->data);
	free(packed);
}

int link_outbox_add_packed(struct link_outbox *outbox, struct link_packed *packed)
{
	struct outgoing *message;

	if (outbox->queued_bytes && outbox->queued_bytes + packed->data.len > outbox->cap_bytes) {
		outbox->was_full = true;
		return LINK_E_FULL;
	}
	message = calloc(1, sizeof(*message));
	if (!message)
		return -ENOMEM;
	packed->refs++;
	message->packed = packed;
	message->cut = packed->data.len > LIMIT_PART_BYTES - FRAME_HEADER_BYTES;
	if (message->cut)
		message->number = outbox->cut_count++;
	outbox->queued_bytes += packed->data.len;
	list_init(&message->entry);
	list_append(&outbox->messages, &message->entry);
	return 0;
}

int link_outbox_add(struct link_outbox *outbox, const Maestro__Envelope *envelope)
{
	_cleanup_(link_packed_unref_p) struct link_packed *packed = NULL;
	int r;

	r = link_packed_new(&packed, envelope);
	return r ? r : link_outbox_add_packed(outbox, packed);
}

static void make_part(const struct outgoing *message, Maestro__Part *part, Maestro__Envelope *envelope)
{
	size_t left = message->packed->data.len - message->sent;

	*part = (Maestro__Part)MAESTRO__PART__INIT;
	part->message = message->number;
	part->index = message->index;
	part->last = left <= PART_DATA_BYTES;
	part->data = (ProtobufCBinaryData){ part->last ? left : PART_DATA_BYTES, message->packed->data.data + message->sent };
	*envelope = (Maestro__Envelope)MAESTRO__ENVELOPE__INIT;
	envelope->body_case = MAESTRO__ENVELOPE__BODY_PART;
	envelope->part = part;
}

bool link_outbox_peek(const struct link_outbox *outbox, uint32_t *ret_payload_bytes, bool *ret_exempt)
{
	const struct outgoing *message = list_first(&outbox->messages, struct outgoing, entry);
	Maestro__Envelope envelope;
	Maestro__Part part;

	if (!message)
		return false;
	*ret_exempt = message->packed->exempt && !message->cut;
	*ret_payload_bytes = (uint32_t)message->packed->data.len;
	if (message->cut) {
		make_part(message, &part, &envelope);
		*ret_payload_bytes = (uint32_t)protobuf_c_message_get_packed_size(&envelope.base);
	}
	return true;
}

static int append_whole(const struct outgoing *message, enum channel channel, struct buf *out)
{
	uint8_t header[FRAME_HEADER_BYTES];
	int r;

	r = buf_reserve(out, sizeof(header) + message->packed->data.len);
	if (r)
		return r;
	frame_put_header(header, channel, (uint32_t)message->packed->data.len);
	buf_append(out, header, sizeof(header));
	return buf_append(out, message->packed->data.data, message->packed->data.len);
}

int link_outbox_next(struct link_outbox *outbox, enum channel channel, struct buf *out)
{
	struct outgoing *message = list_first(&outbox->messages, struct outgoing, entry);
	Maestro__Envelope envelope;
	Maestro__Part part;
	size_t taken = message->packed->data.len;
	int r;

	if (message->cut) {
		make_part(message, &part, &envelope);
		taken = part.data.len;
		r = link_frame_append(out, channel, &envelope);
	} else {
		r = append_whole(message, channel, out);
	}
	if (r)
		return r;
	outbox->queued_bytes -= taken;
	message->sent += taken;
	message->index++;
	if (message->sent == message->packed->data.len)
		outgoing_free(message);
	return 0;
}

int link_parts_add(struct link_parts *parts, const Maestro__Part *part, bool *ret_whole)
{
	int r;

	if (!part->data.len || part->index != (parts->open ? parts->next_index : 0) ||
		(parts->open && part->message != parts->message))
		return -EPROTO;
	r = buf_append(&parts->data, part->data.data, part->data.len);
	if (r)
		return r;
	parts->message = part->message;
	parts->next_index = part->index + 1;
	parts->open = !part->last;
	*ret_whole = part->last;
	return 0;
}
