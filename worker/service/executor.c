/* Effects of the core, done in order, after everything in the journal that they depend on is durable. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/base/clock.h"

#define RETRY_MS 1000u
#define COMPACT_BYTES (4u * 1024 * 1024)

struct moment service_now(void)
{
	return (struct moment){ clock_boottime_ms(), clock_wall_ms() };
}

bool service_idle(const struct service *service)
{
	return list_empty(&service->queue.list) && list_empty(&service->written.list);
}

static void do_git(struct service *service, const struct effect *effect)
{
	const struct attempt *attempt = attempts_find(service->core, effect->task, effect->attempt);

	if (attempt)
		gitwork_start(service, attempt, effect->work, effect->not_after_ms);
}

static void do_git_cancel(struct service *service, const struct effect *effect)
{
	gitwork_cancel(service, effect->task, effect->attempt);
}

static void do_spawn(struct service *service, const struct effect *effect)
{
	const struct attempt *attempt = attempts_find(service->core, effect->task, effect->attempt);

	if (attempt)
		launch_session(service, attempt);
}

static void do_kill(struct service *service, const struct effect *effect)
{
	session_kill(service, effect->task, effect->attempt, effect->grace_ms);
}

static void do_forget(struct service *service, const struct effect *effect)
{
	session_forget(service, effect->task, effect->attempt);
}

static void do_report(struct service *service, const struct effect *effect)
{
	uplink_report(service, effect->number);
}

static void do_ask(struct service *service, const struct effect *effect)
{
	uplink_ask(service, effect->task, effect->attempt);
}

static void do_status(struct service *service, const struct effect *effect)
{
	uplink_status(service, effect->task, effect->attempt);
}

static void do_reply(struct service *service, const struct effect *effect)
{
	uint64_t request = REQUEST_OF(effect->request), peer_number = PEER_OF(effect->request);

	if (effect->ok)
		uplink_done(service, request, peer_number);
	else
		uplink_failure(service, request, peer_number, MAESTRO__FAILURE_CODE__FAILURE_FAILED, NULL, effect->why,
			effect->hint);
}

static void do_clean(struct service *service, const struct effect *effect)
{
	session_clean(service, effect->task, effect->attempt);
}

static void (*const actions[])(struct service *service, const struct effect *effect) = {
	[EFFECT_GIT] = do_git,
	[EFFECT_GIT_CANCEL] = do_git_cancel,
	[EFFECT_SPAWN] = do_spawn,
	[EFFECT_KILL] = do_kill,
	[EFFECT_FORGET] = do_forget,
	[EFFECT_REPORT] = do_report,
	[EFFECT_ASK] = do_ask,
	[EFFECT_STATUS] = do_status,
	[EFFECT_REPLY] = do_reply,
	[EFFECT_CLEAN] = do_clean,
};

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct service *service = userdata;
	struct effects none;

	effects_init(&none);
	service_execute(service, &none);
	return 0;
}

/* A full disk: nothing that depends on it is done, and it is tried again until there is room. */
static void try_later(struct service *service, int r)
{
	log_error(service->log, "cannot write the journal: %s; nothing is started or reported until it can be", strerror(-r));
	sd_event_source_set_time_relative(service->retry, (uint64_t)RETRY_MS * 1000);
	sd_event_source_set_enabled(service->retry, SD_EVENT_ONESHOT);
}

static int write_down(struct service *service)
{
	struct effect *effect;
	int r;

	while ((effect = list_first(&service->queue.list, struct effect, link))) {
		if (effect->kind == EFFECT_JOURNAL) {
			r = journal_append(service->journal, effect->record);
			if (r)
				return r;
		}
		list_remove(&effect->link);
		list_append(&service->written.list, &effect->link);
	}
	return journal_sync(service->journal);
}

static int snapshot(struct buf *out, void *userdata)
{
	return attempts_snapshot(userdata, out);
}

static void compact(struct service *service, uint64_t before_bytes)
{
	int r = journal_compact(service->journal, snapshot, service->core);

	if (r)
		log_warning(service->log, "cannot compact the journal: %s", strerror(-r));
	else
		log_info(service->log, "journal compacted from %llu to %llu bytes", (unsigned long long)before_bytes,
			(unsigned long long)journal_bytes(service->journal));
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct event tick = { .kind = EVENT_TICK };

	service_event(userdata, &tick);
	return 0;
}

static void set_deadline(struct service *service)
{
	uint64_t deadline_ms = attempts_deadline_ms(service->core);

	if (!service->deadline && sd_event_add_time(service->event, &service->deadline, CLOCK_BOOTTIME, UINT64_MAX, 10000,
					 on_deadline, service) < 0)
		return;
	sd_event_source_set_time(service->deadline, deadline_ms == UINT64_MAX ? UINT64_MAX : deadline_ms * 1000);
	sd_event_source_set_enabled(service->deadline, deadline_ms == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void run_all(struct service *service)
{
	struct effect *effect;
	int r;

	while (!list_empty(&service->queue.list) || !list_empty(&service->written.list)) {
		r = write_down(service);
		if (r) {
			try_later(service, r);
			return;
		}
		while ((effect = list_first(&service->written.list, struct effect, link))) {
			list_remove(&effect->link);
			if (effect->kind != EFFECT_JOURNAL)
				actions[effect->kind](service, effect);
			effect_free(effect);
		}
	}
}

void service_execute(struct service *service, struct effects *effects)
{
	uint64_t bytes;

	effects_move(&service->queue, effects);
	if (service->queue.failed) {
		/* The state in memory is ahead of the journal: only starting again makes them one. */
		log_error(service->log, "out of memory; the worker ends, its sessions live on");
		sd_event_exit(service->event, -ENOMEM);
		return;
	}
	if (service->executing)
		return; /* done by the turn that is under way, in order */
	service->executing = true;
	if (!service->retry)
		sd_event_add_time_relative(service->event, &service->retry, CLOCK_BOOTTIME, 0, 1000, on_retry, service);
	if (service->retry)
		sd_event_source_set_enabled(service->retry, SD_EVENT_OFF);
	run_all(service);
	service->executing = false;
	set_deadline(service);
	uplink_try_ready(service);
	bytes = journal_bytes(service->journal);
	if (service_idle(service) && bytes > COMPACT_BYTES && bytes > 4 * service->compacted_bytes) {
		compact(service, bytes);
		service->compacted_bytes = journal_bytes(service->journal);
	}
}

void service_event(struct service *service, const struct event *event)
{
	struct moment now = service_now();
	struct effects effects;

	effects_init(&effects);
	attempts_handle(service->core, event, &now, &effects);
	service_execute(service, &effects);
	effects_deinit(&effects);
}
