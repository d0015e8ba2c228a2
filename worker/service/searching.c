/* Searches in the sessions' transcripts: each question is a run of maestro-search, which has a slice of time. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/wire/message.h"
#include "worker/service/helper.h"

#define AT_A_TIME 2u
#define WAITING_MAX 16u
#define SLICE_MS 1500u /* then it tells how far it came */
#define LIMIT_MS 8000u /* of one expression that does not end; the coordinator waits longer */

struct searching {
	struct list link;
	struct service *service;
	uint64_t request, peer_number;
	struct buf job; /* framed; while it waits */
	struct helper *helper;
};

static void searching_free(struct searching *searching)
{
	list_remove(&searching->link);
	helper_free(searching->helper);
	buf_deinit(&searching->job);
	free(searching);
}

static void fail(const struct searching *searching, const char *why)
{
	uplink_failure(searching->service, searching->request, searching->peer_number, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL,
		why, "-F searches for plain text, which always ends");
}

static void on_found(void *userdata, const ProtobufCMessage *answer, const char *why)
{
	struct searching *searching = userdata;
	struct service *service = searching->service;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;

	searching->helper = NULL;
	if (answer) {
		envelope.body_case = MAESTRO__ENVELOPE__BODY_SEARCH_FOUND;
		envelope.search_found = (Maestro__SearchFound *)(uintptr_t)answer;
		uplink_answer(service, CHANNEL_BULK, searching->request, searching->peer_number, &envelope);
	} else {
		log_warning(service->log, "a search came to nothing: %s", why);
		fail(searching, "the search takes more time or memory than it may here");
	}
	searching_free(searching);
	searching_next(service);
}

static int begin(struct searching *searching)
{
	struct service *service = searching->service;

	return helper_start(&searching->helper, service->event, service->search_program, &searching->job,
		&maestro__search_found__descriptor, LIMIT_MS, on_found, searching);
}

void searching_next(struct service *service)
{
	unsigned int running = 0;
	struct searching *searching, *next;

	list_for_each_safe(searching, next, &service->searches, link) {
		if (running == AT_A_TIME)
			return;
		if (!searching->helper && searching->peer_number != service->peer_number) {
			searching_free(searching); /* nobody waits for it any more */
			continue;
		}
		if (!searching->helper && begin(searching)) {
			fail(searching, "maestro-search cannot be started on this worker");
			searching_free(searching);
			continue;
		}
		running++;
	}
}

void searching_clear(struct service *service)
{
	struct searching *searching;

	while ((searching = list_first(&service->searches, struct searching, link)))
		searching_free(searching);
}

/* A transcript of a session that lives may end within a record. */
static int pack_job(struct service *service, const Maestro__SearchSessions *search, struct buf *ret_job)
{
	_cleanup_free_ char *dir = service_path(service, "sessions");
	Maestro__SearchJob job = MAESTRO__SEARCH_JOB__INIT;

	if (!dir)
		return -ENOMEM;
	for (size_t i = 0; i < search->n_places; i++) {
		Maestro__SearchPlace *place = search->places[i];
		const struct attempt *attempt = attempts_find(service->core, place->task, place->attempt);

		place->has_live = true;
		place->live = attempt && (attempt_live(attempt) || attempt->state < ATTEMPT_RUNNING);
	}
	job.sessions_dir = bytes_of(dir);
	job.search = (Maestro__SearchSessions *)(uintptr_t)search;
	job.has_slice_ms = true;
	job.slice_ms = SLICE_MS;
	return message_pack_framed(&job, ret_job);
}

void searching_ask(struct service *service, uint64_t request, const Maestro__SearchSessions *search)
{
	struct searching *searching = calloc(1, sizeof(*searching));
	size_t waiting = 0;
	struct list *entry;

	for (entry = service->searches.next; entry != &service->searches; entry = entry->next)
		waiting++;
	if (searching) {
		*searching = (struct searching){ .service = service, .request = request, .peer_number = service->peer_number };
		list_append(&service->searches, &searching->link);
	}
	if (!searching || waiting >= WAITING_MAX || pack_job(service, search, &searching->job)) {
		uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL,
			"this worker has too many searches under way", "try again in a moment");
		if (searching)
			searching_free(searching);
		return;
	}
	searching_next(service);
}
