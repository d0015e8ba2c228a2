/* What this worker is and has, and whether it may run what it is asked to. */
#include "worker/service/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"
#include "worker/service/host.h"
#include "worker/service/probe.h"

#define DISK_NEEDED_BYTES (64ull * 1024 * 1024)
#define SLOTS_LEAST 2u

static uint32_t slots(const struct service *service)
{
	unsigned int cores = host_cores();

	if (service->config->slots)
		return (uint32_t)service->config->slots;
	return cores > SLOTS_LEAST ? cores : SLOTS_LEAST;
}

static bool allowed(const struct option_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], name))
			return true;
	return list->count == 0;
}

static size_t fill_labels(const struct service *service, Maestro__Label *labels, Maestro__Label **pointers)
{
	const struct option_list *list = &service->config->labels;
	size_t count = 0;

	for (size_t i = 0; i < list->count && count < LIMIT_LABELS; i++) {
		maestro__label__init(&labels[count]);
		if (name_parse_label(list->items[i], &labels[count].key, &labels[count].value, NULL))
			continue;
		pointers[count] = &labels[count];
		count++;
	}
	return count;
}

#define AGENTS_MAX 64u

static bool offered(const struct service *service, const struct adapter *adapter)
{
	return allowed(&service->config->agents, adapter_name(adapter)) && !adapter_detect(adapter, NULL, NULL, NULL);
}

/* One bit each: whether a CLI was installed or removed since. */
static uint64_t agents_found(const struct service *service)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < adapter_count(service->adapters) && i < AGENTS_MAX; i++)
		if (offered(service, adapter_at(service->adapters, i)))
			bits |= 1ull << i;
	return bits;
}

static void fill_probed(const struct service *service, size_t adapter, Maestro__AgentProgram *agent)
{
	const char *version = probe_version(service->probe, adapter);
	enum probe_login login = probe_login(service->probe, adapter);

	agent->has_version = version != NULL;
	if (version)
		agent->version = bytes_of(version);
	agent->has_logged_in = login != PROBE_LOGIN_UNKNOWN;
	agent->logged_in = login == PROBE_LOGIN_YES;
}

static size_t fill_agents(const struct service *service, Maestro__AgentProgram *agents, Maestro__AgentProgram **pointers)
{
	size_t count = 0;

	for (size_t i = 0; i < adapter_count(service->adapters) && count < AGENTS_MAX; i++) {
		const struct adapter *adapter = adapter_at(service->adapters, i);

		if (!offered(service, adapter))
			continue;
		maestro__agent_program__init(&agents[count]);
		agents[count].name = (char *)(uintptr_t)adapter_name(adapter);
		fill_probed(service, i, &agents[count]);
		pointers[count] = &agents[count];
		count++;
	}
	return count;
}

void info_send(struct service *service)
{
	Maestro__Label labels[LIMIT_LABELS], *label_pointers[LIMIT_LABELS];
	Maestro__AgentProgram agents[AGENTS_MAX], *agent_pointers[AGENTS_MAX];
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct host_load load;

	service->agents_found = agents_found(service);
	host_load(service->config->state, &load);
	info.has_slots = info.has_may_merge = info.has_load_percent = true;
	info.has_memory_free_bytes = info.has_disk_free_bytes = true;
	info.slots = slots(service);
	info.may_merge = service->config->may_merge;
	info.load_percent = load.load_percent;
	info.memory_free_bytes = load.memory_free_bytes;
	info.disk_free_bytes = load.disk_free_bytes;
	info.has_epoch_seen = service->disobeyed;
	info.epoch_seen = attempts_epoch(service->core);
	info.labels = label_pointers;
	info.n_labels = fill_labels(service, labels, label_pointers);
	info.agents = agent_pointers;
	info.n_agents = fill_agents(service, agents, agent_pointers);
	info.projects = service->config->projects.items;
	info.n_projects = service->config->projects.count;
	envelope.body_case = MAESTRO__ENVELOPE__BODY_WORKER_INFO;
	envelope.worker_info = &info;
	uplink_send(service, CHANNEL_CONTROL, &envelope);
	for (size_t i = 0; i < info.n_labels; i++) {
		free(labels[i].key);
		free(labels[i].value);
	}
}

void info_heartbeat(struct service *service)
{
	Maestro__Heartbeat heartbeat = MAESTRO__HEARTBEAT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	struct host_load load;

	if (agents_found(service) != service->agents_found) {
		info_send(service);
		probe_ask(service->probe);
	}
	host_load(service->config->state, &load);
	heartbeat.has_load_percent = heartbeat.has_memory_free_bytes = heartbeat.has_disk_free_bytes = true;
	heartbeat.load_percent = load.load_percent;
	heartbeat.memory_free_bytes = load.memory_free_bytes;
	heartbeat.disk_free_bytes = load.disk_free_bytes;
	heartbeat.has_behind = heartbeat.behind = !service_idle(service);
	envelope.body_case = MAESTRO__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &heartbeat;
	uplink_send(service, CHANNEL_CONTROL, &envelope);
}

/* --- may it run here? --- */

static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *text, ...)
{
	char *made = NULL;
	va_list args;

	va_start(args, text);
	if (vasprintf(&made, text, args) < 0)
		made = NULL;
	va_end(args);
	return made;
}

/* A coordinator that was taken over could send anything: what reaches a path or a ref is checked here too. */
static const char *malformed(const Maestro__Start *start)
{
	if (!name_valid(start->project->name))
		return "the project's name is not valid";
	if (!name_valid(start->agent))
		return "the agent's name is not valid";
	if (!name_branch_valid(start->branch) || strncmp(start->branch, "maestro/", 8))
		return "the branch's name is not valid";
	if (!name_branch_valid(start->base_branch))
		return "the base branch's name is not valid";
	if (start->from_commit && !name_commit_valid(start->from_commit))
		return "the commit to go on from is not valid";
	if (start->prompt.len > LIMIT_PROMPT_BYTES)
		return "the prompt is longer than 256 KiB";
	return NULL;
}

static char *agent_refusal(struct service *service, const char *name)
{
	const struct adapter *adapter = adapter_find(service->adapters, name);
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	if (!adapter)
		return format("there is no agent '%s' (maestro agent ls lists them)", name);
	if (adapter_detect(adapter, NULL, NULL, &error))
		return format("%s is not on this worker (%s): install it there or choose another agent (-a)", name,
			service->config->name);
	return NULL;
}

char *info_refusal(struct service *service, const Maestro__Start *start, bool *ret_retryable)
{
	const char *bad = malformed(start);
	struct host_load load;
	char *why;

	*ret_retryable = false;
	if (bad)
		return format("%s", bad);
	if (!allowed(&service->config->projects, start->project->name))
		return format("worker %s does not take project %s (option projects)", service->config->name, start->project->name);
	if (start->has_push_of && start->push_of)
		return NULL; /* runs no agent, and makes no worktree */
	if (!allowed(&service->config->agents, start->agent))
		return format("worker %s does not take agent %s (option agents)", service->config->name, start->agent);
	why = agent_refusal(service, start->agent);
	if (why)
		return why;
	host_load(service->config->state, &load);
	if (load.disk_free_bytes >= DISK_NEEDED_BYTES)
		return NULL;
	*ret_retryable = true;
	return format("the disk of worker %s is full: %" PRIu64 " MiB are left under %s", service->config->name,
		load.disk_free_bytes / (1024 * 1024), service->config->state);
}
