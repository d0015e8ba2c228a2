/* What workers say: answers go to who asked, screens to who watches, the rest is an event of the core. */
#include "coordinator/service/internal.h"

void worker_message(struct conn *conn, enum channel channel, const Maestro__Envelope *envelope)
{
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = conn->name, .envelope = envelope };

	if (conn->replaced || ask_answered(conn->service, conn, envelope))
		return;
	if (envelope->body_case >= BODY(STREAM_OPEN) && envelope->body_case <= BODY(STREAM_INPUT)) {
		stream_from_worker(conn, channel, envelope);
		return;
	}
	executor_handle(conn->service->executor, &event);
	if (envelope->body_case == BODY(WORKER_READY))
		ask_unchecked_projects(conn->service, conn->name);
}
