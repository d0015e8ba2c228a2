/* What the coordinator says: each message becomes an event of the core, or is answered by the file that knows. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include "proto/wire/message.h"

static struct event event_of(struct service *service, const Maestro__Envelope *envelope, enum event_kind kind,
	uint64_t task, uint32_t attempt)
{
	return (struct event){ .kind = kind, .task = task, .attempt = attempt,
		.request = envelope->has_request ? REQUEST_KEY(service, envelope->request) : 0 };
}

static void take_verdicts(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__Verdicts *verdicts = envelope->verdicts;

	if (service->disobeyed)
		return; /* it judges by an old database; it only learns what is here */
	for (size_t i = 0; i < verdicts->n_entries; i++) {
		const Maestro__VerdictEntry *entry = verdicts->entries[i];
		struct event event = event_of(service, envelope, EVENT_VERDICT, entry->task, entry->attempt);

		if (entry->run_id.len != ATTEMPT_RUN_ID_BYTES)
			continue;
		event.verdict.verdict = entry->verdict;
		event.verdict.run_id = entry->run_id.data;
		event.request = 0;
		service_event(service, &event);
	}
	if (!verdicts->last)
		return;
	service->verdicts_taken = true;
	uplink_try_ready(service);
}

static void take_start(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__Start *start = envelope->start;
	_cleanup_free_ char *refusal = NULL;
	struct event event = event_of(service, envelope, EVENT_START, start->task, start->attempt);

	refusal = info_refusal(service, start, &event.start.retryable);
	event.start.message = start;
	event.start.refusal = refusal;
	log_info(service->log, "task=%" PRIu64 " attempt=%u: start of %s in project %s%s%s", start->task, start->attempt,
		start->agent, start->project->name, refusal ? " refused: " : "", refusal ? refusal : "");
	service_event(service, &event);
}

static void take_stop(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__Stop *stop = envelope->stop;
	struct event event = event_of(service, envelope, EVENT_STOP, stop->task, stop->attempt);

	event.stop.grace_ms = stop->grace_ms;
	service_event(service, &event);
}

static void take_publish(struct service *service, const Maestro__Envelope *envelope)
{
	struct event event =
		event_of(service, envelope, EVENT_PUBLISH, envelope->publish->task, envelope->publish->attempt);

	service_event(service, &event);
}

static void take_release(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__Release *release = envelope->release;
	struct event event = event_of(service, envelope, EVENT_RELEASE, release->task, release->attempt);

	event.release.remove_worktree = release->has_remove_worktree && release->remove_worktree;
	event.release.force = release->has_force && release->force;
	service_event(service, &event);
}

static void take_ack(struct service *service, const Maestro__Envelope *envelope)
{
	struct event event = { .kind = EVENT_ACK, .ack = { envelope->report_ack->number } };

	if (!service->disobeyed)
		service_event(service, &event);
}

static void take_grant(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__PushGrant *grant = envelope->push_grant;
	_cleanup_free_ char *tag = grant->has_cluster_tag ? bytes_dup(&grant->cluster_tag) : NULL;
	_cleanup_free_ char *suffix = NULL;
	struct event event = { .kind = EVENT_GRANTED };

	if (!uplink_take_ask(service, envelope, &event.task, &event.attempt))
		return;
	if (tag && *tag && asprintf(&suffix, "%s%s", tag[0] == '-' ? "" : "-", tag) < 0)
		suffix = NULL;
	event.granted.lease_ms = grant->lease_ms;
	event.granted.last_pushed = grant->last_pushed && grant->last_pushed[0] ? grant->last_pushed : NULL;
	event.granted.suffix = suffix;
	service_event(service, &event);
}

static void take_failure(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__Failure *failure = envelope->failure;
	_cleanup_free_ char *why = failure->has_why ? bytes_dup(&failure->why) : NULL;
	struct event event = { .kind = EVENT_GRANT_REFUSED };

	if (!uplink_take_ask(service, envelope, &event.task, &event.attempt)) {
		log_warning(service->log, "the coordinator says: %s", why ? why : "it failed");
		return;
	}
	event.grant_refused.why = why ? why : "the coordinator refused it";
	event.grant_refused.later = failure->code == MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE;
	service_event(service, &event);
}

static void take_input(struct service *service, const Maestro__Envelope *envelope)
{
	input_send(service, envelope->has_request ? envelope->request : 0, envelope->send_input);
}

static void take_git_ask(struct service *service, const Maestro__Envelope *envelope)
{
	asking_git(service, envelope->has_request ? envelope->request : 0, envelope->git_ask);
}

static void take_read(struct service *service, const Maestro__Envelope *envelope)
{
	reading_ask(service, envelope->has_request ? envelope->request : 0, envelope->read_session);
}

static void take_search(struct service *service, const Maestro__Envelope *envelope)
{
	searching_ask(service, envelope->has_request ? envelope->request : 0, envelope->search_sessions);
}

static void take_describe(struct service *service, const Maestro__Envelope *envelope)
{
	const Maestro__DescribeAttempt *ask = envelope->describe_attempt;

	uplink_describe(service, envelope->has_request ? envelope->request : 0, ask->task, ask->attempt);
}

static void take_stream_open(struct service *service, const Maestro__Envelope *envelope)
{
	streams_open(service, envelope->stream_open);
}

static void take_stream_close(struct service *service, const Maestro__Envelope *envelope)
{
	streams_close(service, envelope->stream_close->stream);
}

static void take_stream_ack(struct service *service, const Maestro__Envelope *envelope)
{
	streams_ack(service, envelope->stream_ack);
}

static void take_stream_input(struct service *service, const Maestro__Envelope *envelope)
{
	streams_input(service, envelope->stream_input);
}

static void take_nothing(struct service *service, const Maestro__Envelope *envelope)
{
}

static const struct {
	int body;
	bool when_ready; /* nothing of it before READY: its sender decides first */
	void (*handle)(struct service *service, const Maestro__Envelope *envelope);
} messages[] = {
	{ MAESTRO__ENVELOPE__BODY_VERDICTS, false, take_verdicts },
	{ MAESTRO__ENVELOPE__BODY_REPORT_ACK, false, take_ack },
	{ MAESTRO__ENVELOPE__BODY_START, true, take_start },
	{ MAESTRO__ENVELOPE__BODY_STOP, true, take_stop },
	{ MAESTRO__ENVELOPE__BODY_PUBLISH, true, take_publish },
	{ MAESTRO__ENVELOPE__BODY_RELEASE, true, take_release },
	{ MAESTRO__ENVELOPE__BODY_PUSH_GRANT, true, take_grant },
	{ MAESTRO__ENVELOPE__BODY_FAILURE, false, take_failure },
	{ MAESTRO__ENVELOPE__BODY_DONE, false, take_nothing },
	{ MAESTRO__ENVELOPE__BODY_SEND_INPUT, true, take_input },
	{ MAESTRO__ENVELOPE__BODY_GIT_ASK, false, take_git_ask },
	{ MAESTRO__ENVELOPE__BODY_READ_SESSION, false, take_read },
	{ MAESTRO__ENVELOPE__BODY_DESCRIBE_ATTEMPT, false, take_describe },
	{ MAESTRO__ENVELOPE__BODY_SEARCH_SESSIONS, false, take_search },
	{ MAESTRO__ENVELOPE__BODY_STREAM_OPEN, false, take_stream_open },
	{ MAESTRO__ENVELOPE__BODY_STREAM_CLOSE, false, take_stream_close },
	{ MAESTRO__ENVELOPE__BODY_STREAM_ACK, false, take_stream_ack },
	{ MAESTRO__ENVELOPE__BODY_STREAM_INPUT, false, take_stream_input },
};

void inbox_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct service *service = userdata;
	uint64_t request = envelope->has_request ? envelope->request : 0;

	if (peer != service->peer)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		if (messages[i].body != (int)envelope->body_case)
			continue;
		if (messages[i].when_ready && !service->ready_told)
			uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE, NULL,
				"this worker is not ready yet", NULL);
		else
			messages[i].handle(service, envelope);
		return;
	}
	uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_UNSUPPORTED, NULL,
		"a worker does not know this message", NULL);
}
