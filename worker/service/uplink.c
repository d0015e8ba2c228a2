/* The connection to the coordinator: what comes in becomes events of the core, or is answered here. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#define INVENTORY_PAGE 500u
#define NOT_A_WORKER_DRAIN_MS 500u

struct ask {
	struct list link;
	uint64_t request, task;
	uint32_t attempt;
};

int uplink_send(struct service *service, enum channel channel, Maestro__Envelope *envelope)
{
	int r;

	if (!service->peer)
		return LINK_E_CLOSED;
	r = link_peer_send(service->peer, channel, envelope);
	if (r < 0)
		log_error(service->log, "cannot send to the coordinator: %s", strerror(-r));
	return r;
}

#define ENVELOPE(kind, message)                                                                                    \
	(Maestro__Envelope)                                                                                        \
	{                                                                                                          \
		PROTOBUF_C_MESSAGE_INIT(&maestro__envelope__descriptor), .body_case = MAESTRO__ENVELOPE__BODY_##kind, \
			.message                                                                                   \
	}

/* --- answers --- */

void uplink_answer(struct service *service, enum channel channel, uint64_t request, uint64_t peer_number,
	Maestro__Envelope *envelope)
{
	if (!request || peer_number != service->peer_number)
		return;
	envelope->has_reply_to = true;
	envelope->reply_to = request;
	uplink_send(service, channel, envelope);
}

void uplink_done(struct service *service, uint64_t request, uint64_t peer_number)
{
	Maestro__Done done = MAESTRO__DONE__INIT;
	Maestro__Envelope envelope = ENVELOPE(DONE, done = &done);

	uplink_answer(service, CHANNEL_CONTROL, request, peer_number, &envelope);
}

void uplink_failure(struct service *service, uint64_t request, uint64_t peer_number, Maestro__FailureCode code,
	const char *what, const char *why, const char *hint)
{
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	Maestro__Envelope envelope = ENVELOPE(FAILURE, failure = &failure);

	failure.code = code;
	failure.has_what = what != NULL;
	failure.what = bytes_of(what);
	failure.has_why = why != NULL;
	failure.why = bytes_of(why);
	failure.has_hint = hint != NULL;
	failure.hint = bytes_of(hint);
	uplink_answer(service, CHANNEL_CONTROL, request, peer_number, &envelope);
}

/* --- facts --- */

void uplink_report(struct service *service, uint64_t number)
{
	const Maestro__AttemptReport *report = attempts_report(service->core, number);
	Maestro__Envelope envelope =
		ENVELOPE(ATTEMPT_REPORT, attempt_report = (Maestro__AttemptReport *)(uintptr_t)report);

	/* Before the verdicts are in it waits; READY sends all that are not acknowledged. */
	if (report && service->ready_told)
		uplink_send(service, CHANNEL_CONTROL, &envelope);
}

static void forget_ask(struct ask *ask)
{
	list_remove(&ask->link);
	free(ask);
}

void uplink_forget_asks(struct service *service)
{
	struct ask *ask;

	while ((ask = list_first(&service->asks, struct ask, link)))
		forget_ask(ask);
}

static void forget_asks_of(struct service *service, uint64_t task, uint32_t attempt)
{
	struct ask *ask, *next;

	list_for_each_safe (ask, next, &service->asks, link)
		if (ask->task == task && ask->attempt == attempt)
			forget_ask(ask);
}

bool uplink_take_ask(struct service *service, const Maestro__Envelope *answer, uint64_t *ret_task, uint32_t *ret_attempt)
{
	struct ask *ask;

	list_for_each (ask, &service->asks, link) {
		if (!answer->has_reply_to || ask->request != answer->reply_to)
			continue;
		*ret_task = ask->task;
		*ret_attempt = ask->attempt;
		forget_ask(ask);
		return true;
	}
	return false;
}

void uplink_ask(struct service *service, uint64_t task, uint32_t attempt)
{
	const struct attempt *of = attempts_find(service->core, task, attempt);
	Maestro__PushRequest message = MAESTRO__PUSH_REQUEST__INIT;
	Maestro__Envelope envelope = ENVELOPE(PUSH_REQUEST, push_request = &message);
	struct ask *ask;

	if (!of || of->work != WORK_ASK || !service->ready_told)
		return;
	forget_asks_of(service, task, attempt);
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return; /* asked again by a later tick */
	*ask = (struct ask){ .request = ++service->next_request, .task = task, .attempt = attempt };
	list_append(&service->asks, &ask->link);
	message.task = task;
	message.attempt = attempt;
	message.run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)of->run_id };
	message.commit = of->tip;
	envelope.has_request = true;
	envelope.request = ask->request;
	uplink_send(service, CHANNEL_CONTROL, &envelope);
}

void uplink_status(struct service *service, uint64_t task, uint32_t attempt)
{
	struct session *session = session_find(service, task, attempt);
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__Envelope envelope = ENVELOPE(STATUS_REPORT, status_report = &report);

	if (!session || !service->ready_told || !status_message(&session->status, clock_boottime_ms(), &status))
		return;
	report.task = task;
	report.attempt = attempt;
	report.status = &status;
	uplink_send(service, CHANNEL_CONTROL, &envelope);
}

/* --- coming and going --- */

static void fill_entry(const struct attempt *attempt, Maestro__InventoryEntry *entry)
{
	maestro__inventory_entry__init(entry);
	entry->task = attempt->task;
	entry->attempt = attempt->attempt;
	entry->run_id = (ProtobufCBinaryData){ ATTEMPT_RUN_ID_BYTES, (uint8_t *)(uintptr_t)attempt->run_id };
	entry->phase = attempt->phase;
	entry->has_session_live = true;
	entry->session_live = attempt_live(attempt);
	entry->has_boot_id = attempt->boot_id[0] != 0;
	entry->boot_id = bytes_of(attempt->boot_id);
	entry->commit = attempt->pushed_commit;
	entry->branch = attempt->pushed_branch;
}

void uplink_describe(struct service *service, uint64_t request, uint64_t task, uint32_t number)
{
	const struct attempt *attempt = attempts_find(service->core, task, number);
	Maestro__InventoryEntry entry;
	Maestro__AttemptDescription description = MAESTRO__ATTEMPT_DESCRIPTION__INIT;
	Maestro__Envelope envelope = ENVELOPE(ATTEMPT_DESCRIPTION, attempt_description = &description);

	if (!attempt) {
		uplink_failure(service, request, service->peer_number, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, NULL,
			"this attempt is not on this worker", NULL);
		return;
	}
	fill_entry(attempt, &entry);
	description.start = attempt->start;
	description.entry = &entry;
	uplink_answer(service, CHANNEL_BULK, request, service->peer_number, &envelope);
}

/* The pages end with the one that has the count, even when there is nothing. */
static void send_inventory(struct service *service)
{
	Maestro__InventoryEntry entries[INVENTORY_PAGE], *pointers[INVENTORY_PAGE];
	const struct attempt *attempt = attempts_next(service->core, NULL);
	uint32_t total = 0;

	do {
		Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
		Maestro__Envelope envelope = ENVELOPE(INVENTORY, inventory = &inventory);

		for (; attempt && inventory.n_entries < INVENTORY_PAGE; attempt = attempts_next(service->core, attempt)) {
			if (!attempt_in_inventory(attempt))
				continue;
			pointers[inventory.n_entries] = &entries[inventory.n_entries];
			fill_entry(attempt, &entries[inventory.n_entries++]);
		}
		total += (uint32_t)inventory.n_entries;
		inventory.entries = pointers;
		inventory.last = !attempt;
		inventory.has_total = !attempt;
		inventory.total = total;
		uplink_send(service, CHANNEL_CONTROL, &envelope);
	} while (attempt);
}

static void tell_starter(struct service *service)
{
	static const char line[] = "ready\n";

	if (service->ready_once)
		return;
	service->ready_once = true;
	sd_notify(0, "READY=1\nSTATUS=connected");
	if (service->config->ready_fd) {
		io_write_all((int)service->config->ready_fd, line, sizeof(line) - 1);
		close((int)service->config->ready_fd);
	}
}

void uplink_try_ready(struct service *service)
{
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;
	Maestro__Envelope envelope = ENVELOPE(WORKER_READY, worker_ready = &ready);
	struct event event = { .kind = EVENT_READY };

	if (!service->peer || !service->verdicts_taken || service->ready_told || !service_idle(service))
		return;
	if (uplink_send(service, CHANNEL_CONTROL, &envelope))
		return;
	service->ready_told = true;
	log_info(service->log, "ready");
	service_event(service, &event);
	tell_starter(service);
}

static int on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct service *service = userdata;

	if (!service->peer)
		return 0;
	info_heartbeat(service);
	sd_event_source_set_time_relative(source, (uint64_t)service->heartbeat_ms * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static void start_heartbeat(struct service *service, uint32_t told_ms)
{
	uint8_t jitter;

	id_random(&jitter, 1);
	service->heartbeat_ms = told_ms ? told_ms : 5000;
	/* The first one comes somewhere in the first period, so that a thousand workers do not beat as one. */
	sd_event_source_disable_unref(service->heartbeat);
	service->heartbeat = NULL;
	sd_event_add_time_relative(service->event, &service->heartbeat, CLOCK_BOOTTIME,
		(uint64_t)service->heartbeat_ms * 1000 * (jitter + 1u) / 256, 100000, on_heartbeat, service);
}

static void on_writable(struct link_peer *peer, enum channel channel, void *userdata)
{
	struct service *service = userdata;
	struct event event = { .kind = EVENT_READY };

	/* What did not fit is found out again: reports and asks by the core, frames by their watchers. */
	if (channel == CHANNEL_CONTROL && service->ready_told)
		service_event(service, &event);
	streams_pump(service);
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct service *service = userdata;
	struct event event = { .kind = EVENT_DISCONNECTED };

	if (peer != service->peer)
		return;
	log_warning(service->log, "connection to the coordinator ended: %s; sessions run on", why);
	service->peer = NULL;
	service->verdicts_taken = service->ready_told = false;
	uplink_forget_asks(service);
	streams_drop_all(service);
	service_event(service, &event);
}

static const struct link_peer_ops peer_ops = { inbox_message, on_writable, on_closed };

/* False: a coordinator that is older than one we have obeyed. */
static bool take_epoch(struct service *service, uint64_t epoch)
{
	struct effects effects;
	int r;

	effects_init(&effects);
	r = attempts_take_epoch(service->core, epoch, service->config->accept_epoch, &effects);
	service_execute(service, &effects);
	effects_deinit(&effects);
	if (!r)
		return true;
	log_error(service->log,
		"the coordinator's epoch %" PRIu64 " is older than %" PRIu64
		" that this worker has seen: it was restored from a backup. Nothing of it is obeyed until its admin has answered "
		"(`maestro question ls`), or this worker is started once with --accept-epoch",
		epoch, attempts_epoch(service->core));
	return false;
}

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct service *service = userdata;

	link_peer_set_ops(peer, &peer_ops, service);
	if (welcome->role != MAESTRO__ROLE__ROLE_WORKER) {
		log_error(service->log, "the coordinator does not take this key as a worker's");
		link_peer_close(peer, "not a worker", NOT_A_WORKER_DRAIN_MS);
		return;
	}
	service->disobeyed = !take_epoch(service, welcome->epoch);
	service->peer = peer;
	service->peer_number = (service->peer_number + 1) & 0xffff;
	service->verdicts_taken = service->ready_told = false;
	log_info(service->log, "connected to the coordinator (%s, epoch %" PRIu64 ")", welcome->software, welcome->epoch);
	info_send(service);
	send_inventory(service);
	start_heartbeat(service, welcome->heartbeat_ms);
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct service *service = userdata;

	if (code)
		log_error(service->log, "the coordinator refuses this worker: %s; again in %u s", why, (retry_ms + 500) / 1000);
	else
		log_warning(service->log, "no coordinator reached at %s: %s; again in %u s", service->address, why,
			(retry_ms + 500) / 1000);
}

static const struct link_dialer_ops dialer_ops = { on_connected, on_failed };

static int read_text(struct service *service, const char *name, char **ret_text, struct error *error)
{
	_cleanup_free_ char *path = io_join(service->config->state, name);
	int r;

	if (!path)
		return -ENOMEM;
	r = io_read_file(path, 65536, ret_text, NULL);
	if (r == IO_E_NOT_FOUND)
		return r;
	if (r < 0)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	if (!strchr(name, '.')) /* a PEM file has several lines */
		(*ret_text)[strcspn(*ret_text, "\n")] = 0;
	return 0;
}

int uplink_start(struct service *service, struct error *error)
{
	_cleanup_free_ char *ca_pem = NULL, *text = NULL;
	struct link_dialer_config config = { .role = MAESTRO__ROLE__ROLE_WORKER, .bulk = true, .ops = &dialer_ops };
	int r;

	r = read_text(service, "coordinator", &text, error);
	if (!r) {
		_cleanup_(buf_deinit) struct buf shown = BUF_NULL; /* the file may hold anything by now */

		str_escape(&shown, text, strlen(text));
		service->address = strdup(buf_text(&shown));
		r = service->address ? 0 : -ENOMEM;
	}
	if (!r)
		r = read_text(service, "ca.pem", &ca_pem, error);
	if (r == IO_E_NOT_FOUND && text && str_starts(text, "ipc:"))
		r = 0;
	if (r > 0) {
		error_set(error, -ENOENT, "this worker (%s) has not joined a coordinator yet", service->config->name);
		error_hint(error, "run: maestro-worker join ADDRESS --name %s", service->config->name);
		return -ENOENT;
	}
	if (r)
		return r;
	config.address = text;
	config.ca_pem = ca_pem;
	config.secret_key = service->key.secret_key;
	config.name = service->config->name;
	config.incarnation = attempts_incarnation(service->core);
	config.userdata = service;
	r = link_dialer_new(&service->dialer, service->link, &config, error);
	if (r && r != -ENOMEM) {
		error_prefix(error, "%s/coordinator and ca.pem cannot be used", service->config->state);
		error_hint(error, "put back what was there, or: maestro-worker join ADDRESS --name %s", service->config->name);
	}
	return error_fold(r);
}
