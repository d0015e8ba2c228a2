#include "tests/bench/fleet.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY(kind) MAESTRO__ENVELOPE__BODY_##kind
#define CONNECTING_MAX 24u /* a coordinator lets 32 strangers of one address in at once */
#define PROMPT "Make the tests of the parser pass again, and say in one paragraph what was wrong with it."

uint64_t fleet_task(const struct fleet *fleet, size_t worker, size_t session)
{
	return worker * fleet->session_count + session + 1;
}

static void run_id_of(uint64_t task, uint8_t run_id[16])
{
	memset(run_id, 7, 16);
	memcpy(run_id, &task, sizeof(task));
}

/* --- the database -------------------------------------------------------------------------------------------- */

static void put_task(struct store *store, uint64_t id, const char *worker)
{
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	_cleanup_(buf_deinit) struct buf packed = BUF_NULL;
	char branch[64], *agent = (char *)"claude";
	uint8_t run_id[16];
	int64_t now = clock_wall_ms();
	struct task_row task = { .id = id, .state = MAESTRO__TASK_STATE__TASK_RUNNING, .attempt = 1, .project = (char *)"p",
		.agent = agent, .title = (char *)"Make the tests of the parser pass again, and say in one paragraph",
		.slug = (char *)"make-the-tests-of-the-parser-pass-again", .created_ms = now, .started_ms = now };
	struct spec_row spec = { .task = id };
	struct attempt_row attempt = { .task = id, .attempt = 1, .run_id = { run_id, sizeof(run_id) },
		.worker = (char *)(uintptr_t)worker, .state = MAESTRO__TASK_STATE__TASK_RUNNING, .branch = branch,
		.base_commit = (char *)"89e6c98d92887913cadf06b2adb97f26cde4849b",
		.session = MAESTRO__SESSION_STATE__SESSION_LIVE, .started_ms = now };

	run_id_of(id, run_id);
	snprintf(branch, sizeof(branch), "maestro/%lu-%s", (unsigned long)id, task.slug);
	submit.project = task.project;
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of(PROMPT);
	submit.has_submitter = true;
	submit.submitter = bytes_of("somebody@example.org");
	require(message_pack(&submit, &packed) == 0);
	spec.submit = (struct row_blob){ packed.data, packed.len };
	require(store_put(store, ROW_TASK, &task, NULL) == 0 && store_put(store, ROW_SPEC, &spec, NULL) == 0 &&
		store_put(store, ROW_ATTEMPT, &attempt, NULL) == 0);
}

static void fill_database(struct fleet *fleet)
{
	struct store *store = cluster_open_store(fleet->cluster);

	require(store_begin(store, NULL) == 0);
	cluster_add_project(store, "p");
	for (size_t i = 0; i < fleet->worker_count; i++) {
		cluster_enroll(store, &fleet->workers[i].key, MAESTRO__ROLE__ROLE_WORKER, fleet->workers[i].name);
		for (size_t k = 0; k < fleet->session_count; k++)
			put_task(store, fleet_task(fleet, i, k), fleet->workers[i].name);
	}
	for (size_t i = 0; i < fleet->console_count; i++)
		cluster_enroll(store, &fleet->consoles[i].key, MAESTRO__ROLE__ROLE_OPERATOR, "console");
	require(store_commit(store, NULL) == 0);
	store_free(store);
}

/* --- workers ------------------------------------------------------------------------------------------------- */

static void tell(struct fleet_worker *worker, Maestro__Envelope *envelope)
{
	if (worker->peer)
		require(link_peer_send(worker->peer, CHANNEL_CONTROL, envelope) == 0);
}

static void tell_info(struct fleet_worker *worker)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__AgentProgram agent = MAESTRO__AGENT_PROGRAM__INIT, *agents[] = { &agent };
	Maestro__Label label = MAESTRO__LABEL__INIT, *labels[] = { &label };

	agent.name = (char *)"claude";
	label.key = (char *)"arch";
	label.value = (char *)"x86_64";
	info.has_slots = true;
	info.slots = (uint32_t)worker->fleet->session_count + 1;
	info.n_agents = info.n_labels = 1;
	info.agents = agents;
	info.labels = labels;
	info.has_load_percent = info.has_memory_free_bytes = info.has_disk_free_bytes = true;
	info.memory_free_bytes = 32ull << 30;
	info.disk_free_bytes = 500ull << 30;
	envelope.body_case = BODY(WORKER_INFO);
	envelope.worker_info = &info;
	tell(worker, &envelope);
}

static void tell_inventory(struct fleet_worker *worker)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Inventory inventory = MAESTRO__INVENTORY__INIT;
	Maestro__InventoryEntry entries[FLEET_SESSIONS_MAX], *pointers[FLEET_SESSIONS_MAX];
	uint8_t run_ids[FLEET_SESSIONS_MAX][16];
	size_t n = worker->fleet->session_count;

	for (size_t i = 0; i < n; i++) {
		maestro__inventory_entry__init(pointers[i] = &entries[i]);
		entries[i].task = fleet_task(worker->fleet, worker->index, i);
		entries[i].attempt = 1;
		run_id_of(entries[i].task, run_ids[i]);
		entries[i].run_id = (ProtobufCBinaryData){ 16, run_ids[i] };
		entries[i].phase = MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING;
		entries[i].has_session_live = entries[i].session_live = true;
	}
	inventory.n_entries = n;
	inventory.entries = pointers;
	inventory.last = inventory.has_total = true;
	inventory.total = (uint32_t)n;
	envelope.body_case = BODY(INVENTORY);
	envelope.inventory = &inventory;
	tell(worker, &envelope);
}

/* Load and free memory move as a machine's do. */
static int on_beat(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct fleet_worker *worker = userdata;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Heartbeat beat = MAESTRO__HEARTBEAT__INIT;

	beat.has_load_percent = beat.has_memory_free_bytes = beat.has_disk_free_bytes = true;
	beat.load_percent = 40 + (uint32_t)(++worker->beats * 7 + worker->index) % 20;
	beat.memory_free_bytes = (30ull << 30) + (worker->beats * 7919 + worker->index) % 1000 * (1ull << 20);
	beat.disk_free_bytes = (500ull << 30) - worker->beats * (1ull << 20);
	envelope.body_case = BODY(HEARTBEAT);
	envelope.heartbeat = &beat;
	tell(worker, &envelope);
	require(sd_event_source_set_time_relative(source, worker->heartbeat_ms * 1000ull) >= 0);
	return 0;
}

static void start_beating(struct fleet_worker *worker)
{
	uint64_t first_us = worker->heartbeat_ms * 1000ull * (worker->index % 256 + 1) / 256;

	worker->beat = sd_event_source_disable_unref(worker->beat);
	require(sd_event_add_time_relative(worker->fleet->cluster->event, &worker->beat, CLOCK_BOOTTIME, first_us, 1, on_beat,
			worker) >= 0);
	require(sd_event_source_set_enabled(worker->beat, SD_EVENT_ON) >= 0);
}

static void become_ready(struct fleet_worker *worker)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__WorkerReady ready = MAESTRO__WORKER_READY__INIT;
	struct fleet *fleet = worker->fleet;

	envelope.body_case = BODY(WORKER_READY);
	envelope.worker_ready = &ready;
	tell(worker, &envelope);
	worker->ready = true;
	fleet->ready_at[fleet->ready++] = bench_now() - fleet->marked;
	start_beating(worker);
}

static void worker_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct fleet_worker *worker = userdata;

	if (envelope->body_case == BODY(VERDICTS) && envelope->verdicts->last)
		become_ready(worker);
}

static void worker_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct fleet_worker *worker = userdata;

	worker->peer = NULL;
	worker->beat = sd_event_source_disable_unref(worker->beat);
	worker->fleet->ready -= worker->ready;
	worker->ready = false;
}

static const struct link_peer_ops worker_ops = { .message = worker_message, .closed = worker_closed };

static void worker_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct fleet_worker *worker = userdata;

	worker->peer = peer;
	worker->heartbeat_ms = welcome->heartbeat_ms;
	link_peer_set_ops(peer, &worker_ops, worker);
	tell_info(worker);
	tell_inventory(worker);
}

static void worker_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct fleet_worker *worker = userdata;

	worker->fleet->failures++;
}

static const struct link_dialer_ops worker_dialer_ops = { .connected = worker_connected, .failed = worker_failed };

static struct link_dialer *dial(struct fleet *fleet, bool tls, const struct key *key, Maestro__Role role, const char *name,
	const struct link_dialer_ops *ops, void *userdata)
{
	struct cluster *cluster = fleet->cluster;
	struct link_dialer_config config = { .address = tls ? cluster->tls : cluster->ipc, .ca_pem = cluster->ca_pem,
		.secret_key = key->secret_key, .role = role, .name = name, .ops = ops, .userdata = userdata };
	struct link_dialer *dialer;

	require(link_dialer_new(&dialer, cluster->link, &config, NULL) == 0);
	return dialer;
}

void fleet_connect_workers(struct fleet *fleet, bool tls)
{
	double began = bench_now();

	fleet_mark(fleet);
	for (size_t i = 0; i < fleet->worker_count; i++) {
		struct fleet_worker *worker = &fleet->workers[i];

		worker->dialer = dial(fleet, tls, &worker->key, MAESTRO__ROLE__ROLE_WORKER, worker->name, &worker_dialer_ops,
			worker);
		while (i + 1 - fleet->ready >= CONNECTING_MAX)
			require(sd_event_run(fleet->cluster->event, 1000000) >= 0 && bench_now() - began < 300);
	}
	require(cluster_until(fleet->cluster, &fleet->ready, fleet->worker_count, 60));
}

void fleet_mark(struct fleet *fleet)
{
	fleet->marked = bench_now();
}

/* --- news ---------------------------------------------------------------------------------------------------- */

void fleet_end(struct fleet *fleet, size_t worker, size_t session)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__AttemptReport report = MAESTRO__ATTEMPT_REPORT__INIT;
	uint64_t task = fleet_task(fleet, worker, session);
	uint8_t run_id[16];

	run_id_of(task, run_id);
	report.number = ++fleet->workers[worker].reports;
	report.task = task;
	report.attempt = 1;
	report.run_id = (ProtobufCBinaryData){ 16, run_id };
	report.phase = MAESTRO__ATTEMPT_PHASE__PHASE_EXITED;
	report.has_exit_code = true;
	envelope.body_case = BODY(ATTEMPT_REPORT);
	envelope.attempt_report = &report;
	fleet->ends[task] = (struct fleet_news){ .sent = bench_now() };
	fleet->expected++;
	tell(&fleet->workers[worker], &envelope);
}

void fleet_status(struct fleet *fleet, size_t worker, size_t session, uint32_t progress)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__StatusReport report = MAESTRO__STATUS_REPORT__INIT;
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;

	status.state = MAESTRO__AGENT_STATE__AGENT_WORKING;
	status.has_message = status.has_file = status.has_progress = true;
	status.message = bytes_of("Reading the parser's tests");
	status.file = bytes_of("src/parser/test_parser.c");
	status.progress = progress;
	report.task = fleet_task(fleet, worker, session);
	report.attempt = 1;
	report.status = &status;
	envelope.body_case = BODY(STATUS_REPORT);
	envelope.status_report = &report;
	fleet->statuses[report.task] = (struct fleet_news){ .sent = bench_now() };
	fleet->expected++;
	tell(&fleet->workers[worker], &envelope);
}

static void hear(struct fleet *fleet, struct fleet_news *news)
{
	if (news->sent <= 0 || ++news->heard < fleet->console_count)
		return;
	if (fleet->latency_count < fleet->latency_size)
		fleet->latencies[fleet->latency_count++] = (bench_now() - news->sent) * 1e3;
	news->sent = 0;
}

/* --- consoles ------------------------------------------------------------------------------------------------ */

static void console_events(struct fleet *fleet, const Maestro__EventBatch *batch)
{
	for (size_t i = 0; i < batch->n_events; i++) {
		const Maestro__Event *event = batch->events[i];

		if (event->has_task && event->task <= fleet->worker_count * fleet->session_count &&
			strcmp(event->kind, "task.state") == 0)
			hear(fleet, &fleet->ends[event->task]);
	}
}

static void console_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct fleet_console *console = userdata;
	struct fleet *fleet = console->fleet;

	fleet->messages++;
	if (envelope->body_case == BODY(EVENT_BATCH))
		console_events(fleet, envelope->event_batch);
	else if (envelope->body_case == BODY(CHANGE) && envelope->change->status)
		hear(fleet, &fleet->statuses[envelope->change->status->task]);
	else if (envelope->body_case == BODY(SNAPSHOT) && envelope->snapshot->last && !console->ready) {
		console->ready = true;
		fleet->consoles_ready++;
	}
}

static void console_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct fleet_console *console = userdata;

	console->fleet->consoles_ready -= console->ready;
	console->ready = false;
}

static const struct link_peer_ops console_ops = { .message = console_message, .closed = console_closed };

static void console_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Watch watch = MAESTRO__WATCH__INIT;

	link_peer_set_ops(peer, &console_ops, userdata);
	watch.has_model = watch.has_events = watch.has_follow = true;
	watch.model = watch.events = watch.follow = true;
	envelope.has_request = true;
	envelope.request = 1;
	envelope.body_case = BODY(WATCH);
	envelope.watch = &watch;
	require(link_peer_send(peer, CHANNEL_CONTROL, &envelope) == 0);
}

static const struct link_dialer_ops console_dialer_ops = { .connected = console_connected };

void fleet_connect_consoles(struct fleet *fleet, bool tls)
{
	for (size_t i = 0; i < fleet->console_count; i++) {
		struct fleet_console *console = &fleet->consoles[i];

		console->dialer = dial(fleet, tls, &console->key, MAESTRO__ROLE__ROLE_OPERATOR, "console", &console_dialer_ops,
			console);
		if (i % CONNECTING_MAX == CONNECTING_MAX - 1)
			require(cluster_until(fleet->cluster, &fleet->consoles_ready, i + 1, 120));
	}
	require(cluster_until(fleet->cluster, &fleet->consoles_ready, fleet->console_count, 120));
}

/* --- life ---------------------------------------------------------------------------------------------------- */

void fleet_init(struct fleet *fleet, struct cluster *cluster, size_t workers, size_t sessions, size_t consoles)
{
	*fleet = (struct fleet){ .cluster = cluster, .worker_count = workers, .session_count = sessions,
		.console_count = consoles, .latency_size = 1u << 16 };
	fleet->workers = calloc(workers, sizeof(*fleet->workers));
	fleet->consoles = calloc(consoles + 1, sizeof(*fleet->consoles));
	fleet->ends = calloc(workers * sessions + 1, sizeof(*fleet->ends));
	fleet->statuses = calloc(workers * sessions + 1, sizeof(*fleet->statuses));
	fleet->latencies = calloc(fleet->latency_size, sizeof(double));
	fleet->ready_at = calloc(workers, sizeof(double));
	require(fleet->workers && fleet->consoles && fleet->ends && fleet->statuses && fleet->latencies && fleet->ready_at);
	require(sessions <= FLEET_SESSIONS_MAX);
	for (size_t i = 0; i < workers; i++) {
		fleet->workers[i].fleet = fleet;
		fleet->workers[i].index = (uint32_t)i;
		snprintf(fleet->workers[i].name, sizeof(fleet->workers[i].name), "w%u", (uint32_t)i);
		key_generate(&fleet->workers[i].key);
	}
	for (size_t i = 0; i < consoles; i++) {
		fleet->consoles[i].fleet = fleet;
		key_generate(&fleet->consoles[i].key);
	}
	fill_database(fleet);
}

void fleet_deinit(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->worker_count; i++) {
		sd_event_source_disable_unref(fleet->workers[i].beat);
		if (fleet->workers[i].dialer)
			link_dialer_free(fleet->workers[i].dialer);
	}
	for (size_t i = 0; i < fleet->console_count; i++)
		if (fleet->consoles[i].dialer)
			link_dialer_free(fleet->consoles[i].dialer);
	free(fleet->workers);
	free(fleet->consoles);
	free(fleet->ends);
	free(fleet->statuses);
	free(fleet->latencies);
	free(fleet->ready_at);
}
