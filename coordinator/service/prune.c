/* Old events are deleted a piece at a time, so that it is never felt. The audit log is not touched. */
#include "coordinator/service/internal.h"
#include "proto/base/clock.h"

#define LOOK_MS (10 * 60 * 1000u)
#define NEXT_PIECE_MS 1000u
#define PIECE_EVENTS 2000u

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct service *service = userdata;
	bool more = false;
	int r = 0;

	executor_flush(service->executor); /* its transaction is its own */
	if (!executor_trouble(service->executor))
		r = store_prune_events(service->store, service->keep_events, PIECE_EVENTS, &more, &error);
	if (r)
		log_warning(service->log, "old events cannot be deleted: %s", error_text(&error, r));
	sd_event_source_set_time(source, (clock_boottime_ms() + (more && !r ? NEXT_PIECE_MS : LOOK_MS)) * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int prune_init(struct service *service, uint64_t keep_events)
{
	int r;

	service->keep_events = keep_events;
	if (!keep_events)
		return 0;
	r = sd_event_add_time(service->event, &service->prune_timer, CLOCK_BOOTTIME,
		(clock_boottime_ms() + NEXT_PIECE_MS) * 1000, 500000, on_timer, service);
	return r < 0 ? r : 0;
}

void prune_deinit(struct service *service)
{
	sd_event_source_disable_unref(service->prune_timer);
}
