/* What workers say: answers go to who asked, screens to who watches, the rest is an event of the core. */
#include "coordinator/service/internal.h"

#include <string.h>

#define ANSWER_MS 5000u /* in which a worker shows that it is still there, before another process takes its place */

/* A process that dials again says by it that its old link is gone. */
static bool is_same_process(const struct link_identity *claim, const struct link_identity *there)
{
	if (claim->instance || there->instance)
		return claim->instance == there->instance;
	return claim->incarnation == there->incarnation && strcmp(claim->boot_id, there->boot_id) == 0;
}

int worker_check_double(struct service *service, const struct link_identity *claim, struct error *error)
{
	struct conn *conn = conn_find_worker(service, claim->name);
	const struct link_identity *there = conn ? link_peer_identity(conn->peer) : NULL;

	if (!conn || is_same_process(claim, there))
		return 0;
	link_peer_ask(conn->peer, ANSWER_MS);
	return error_set(error, MAESTRO__REFUSED_CODE__REFUSED_BUSY,
		"worker '%s' is connected already, from %s, and only one may be. If its process has ended, this one is let in as "
		"soon as that shows. If this state directory or machine is a copy of the other's, enrol this one under a name of "
		"its own: `maestro-worker join ADDRESS --name OTHER`, and remove the copied directory",
		claim->name, there->address);
}

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
