/* Keys that are typed once, however often they come: the client numbers them, the holder counts them, and this process,
 * which may die at any time, only passes both on. */
#include "worker/service/service.h"

static bool can_count(const struct stream *stream)
{
	return stream->counting && stream->session->greeted && stream->session->counts;
}

void counting_open(struct stream *stream, const Maestro__StreamOpen *open)
{
	stream->counting = open->has_drive && open->drive && open->has_input_source;
	if (!stream->counting)
		return;
	stream->source = open->input_source;
	stream->begin = open->has_input_offset ? open->input_offset : 0;
	counting_ask(stream);
}

void counting_ask(struct stream *stream)
{
	struct session *session = stream->session;

	if (can_count(stream) && session->holder && !session->exited)
		holder_send_typed(session->holder, stream->source, stream->begin, NULL, 0, true);
}

int counting_input(struct stream *stream, const Maestro__StreamInput *input)
{
	struct holder *holder = stream->session->holder;

	if (!stream->counting || !input->has_input_source)
		return holder_send_input(holder, input->data.data, input->data.len);
	if (stream->source != input->input_source) {
		stream->source = input->input_source;
		stream->begin = input->has_input_offset ? input->input_offset : 0;
	}
	return holder_send_typed(holder, input->input_source, input->has_input_offset ? input->input_offset : 0,
		input->data.data, input->data.len, input->has_input_tell && input->input_tell);
}

static int send_frame(struct stream *stream, enum channel channel, Maestro__StreamFrame *frame)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	frame->stream = stream->number;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_STREAM_FRAME;
	envelope.stream_frame = frame;
	return uplink_send(stream->session->service, channel, &envelope);
}

static bool tell_counts(struct stream *stream, enum channel channel)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;

	if (!stream->counting_told && stream->session->greeted) {
		frame.has_input_counts = true;
		frame.input_counts = stream->session->counts;
		stream->counting_told = send_frame(stream, channel, &frame) == 0;
	}
	return stream->counting_told;
}

static bool tell_taken(struct stream *stream, enum channel channel)
{
	Maestro__StreamFrame frame = MAESTRO__STREAM_FRAME__INIT;

	frame.has_input_source = frame.has_input_taken = true;
	frame.input_source = stream->taken.source;
	frame.input_taken = stream->taken.taken;
	frame.has_input_dropped = stream->taken.dropped != 0;
	frame.input_dropped = stream->taken.dropped;
	frame.has_input_gap = frame.input_gap = stream->taken.gap;
	if (send_frame(stream, channel, &frame))
		return false;
	stream->taken.source = 0;
	return true;
}

bool counting_tell(struct stream *stream, enum channel channel)
{
	if (!stream->counting)
		return true;
	return tell_counts(stream, channel) && (!stream->taken.source || tell_taken(stream, channel));
}
