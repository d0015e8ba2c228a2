#include "worker/service/service.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/install.h"
#include "proto/wire/message.h"
#include "worker/service/host.h"
#include "worker/service/probe.h"

char *service_path(const struct service *service, const char *format, ...)
{
	_cleanup_free_ char *name = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&name, format, args);
	va_end(args);
	if (n < 0) {
		name = NULL;
		return NULL;
	}
	return io_join(service->config->state, name);
}

/* --- what agents say --- */

static int on_status(void *userdata, uint64_t task, uint32_t attempt, const Maestro__AgentStatus *status, struct error *error)
{
	struct session *session = session_find(userdata, task, attempt);

	if (!session || session->exited)
		return error_set(error, -ENOENT, "this session is over");
	session_status(session, status);
	return 0;
}

static void on_hook(void *userdata, uint64_t task, uint32_t attempt, const char *name, const char *json, size_t json_len)
{
	struct event event = { .kind = EVENT_ACTIVITY, .task = task, .attempt = attempt };

	service_event(userdata, &event);
}

static const struct endpoint_ops endpoint_ops = { on_status, on_hook };

/* --- starting --- */

static int replay(const Maestro__JournalRecord *record, void *userdata)
{
	return attempts_replay(userdata, record);
}

static int open_journal(struct service *service, struct error *error)
{
	_cleanup_free_ char *path = service_path(service, "journal");
	struct journal_damage damage = { 0, NULL };
	struct moment now = service_now();
	struct effects effects;
	int r;

	if (!path)
		return -ENOMEM;
	r = attempts_new(&service->core);
	if (!r)
		r = error_fold(journal_open(&service->journal, path, NULL, replay, service->core, &damage, error));
	if (r)
		return r;
	if (damage.lost_bytes)
		log_error(service->log, "the journal was damaged: its last %" PRIu64 " bytes are lost to it, the whole file is kept as %s",
			damage.lost_bytes, damage.copy);
	effects_init(&effects);
	attempts_open(service->core, service->boot_id, damage.lost_bytes != 0, &now, &effects);
	/* Done by the first event, when everything that it takes is there. */
	effects_move(&service->queue, &effects);
	free(damage.copy);
	return 0;
}

static int find_programs(struct service *service, char **ret_git, char **ret_agents, struct error *error)
{
	int r = install_bin("maestro-agent", &service->programs[0], error);

	if (!r)
		r = install_libexec("maestro-git", ret_git, error);
	if (!r)
		r = install_libexec("maestro-search", &service->search_program, error);
	if (!r)
		r = install_data("agents", ret_agents, error);
	if (r)
		return error_fold(r);
	service->programs[1] = strdup(service->programs[0]);
	if (!service->programs[1])
		return -ENOMEM;
	dirname(service->programs[1]);
	return 0;
}

static int make_dirs(struct service *service, struct error *error)
{
	static const char *const names[] = { "sessions", "worktrees", "mirrors" };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *dir = service_path(service, "%s", names[i]);

		r = dir ? io_make_dirs(dir, 0700) : -ENOMEM;
		if (r)
			error_set(error, r, "%s: %s", str_or(dir, names[i]), strerror(-r));
	}
	return r;
}

static void on_probe(void *userdata)
{
	struct service *service = userdata;

	if (service->ready_told)
		info_send(service);
}

static int start_parts(struct service *service, struct error *error)
{
	_cleanup_free_ char *git = NULL, *agents = NULL;
	int r = find_programs(service, &git, &agents, error);

	if (!r)
		r = error_fold(adapter_load_dir(agents, &service->adapters, error));
	if (!r)
		r = probe_new(&service->probe, service->event, service->log, service->adapters,
			&service->config->logged_in, on_probe, service);
	if (!r)
		r = jobs_new(&service->jobs, service->event, service->log, git, (unsigned int)service->config->git_jobs);
	if (r)
		return r;
	service->endpoint_path = service_path(service, "agent.sock");
	if (!service->endpoint_path)
		return -ENOMEM;
	r = paths_check_socket(service->endpoint_path, error);
	if (!r)
		r = endpoint_new(&service->endpoint, service->event, service->log, service->endpoint_path, &endpoint_ops,
			service, error);
	return error_fold(r);
}

static int read_key(struct service *service, struct error *error)
{
	_cleanup_free_ char *path = service_path(service, "worker.key");
	int r = path ? key_read(path, &service->key, error) : -ENOMEM;

	if (r != IO_E_NOT_FOUND)
		return r;
	error_set(error, -ENOENT, "this worker (%s) has not joined a coordinator yet", service->config->name);
	error_hint(error, "run: maestro-worker join ADDRESS --name %s", service->config->name);
	return -ENOENT;
}

static void recover(struct service *service)
{
	struct effects none;

	effects_init(&none);
	service_execute(service, &none);
	recover_sessions(service);
	session_prune(service);
}

int service_new(struct service **ret_service, struct config *config, sd_event *event, struct log *log, struct error *error)
{
	_cleanup_(service_free_p) struct service *service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return -ENOMEM;
	service->config = config;
	service->event = event;
	service->log = log;
	effects_init(&service->queue);
	effects_init(&service->written);
	list_init(&service->sessions);
	list_init(&service->asks);
	list_init(&service->streams);
	list_init(&service->searches);
	r = clock_boot_id(service->boot_id);
	if (!r)
		r = read_key(service, error);
	if (!r)
		r = make_dirs(service, error);
	if (!r)
		r = start_parts(service, error);
	if (!r)
		r = open_journal(service, error);
	if (!r)
		r = link_new(&service->link, event, log);
	if (r)
		return r;
	service->has_git_author = host_has_git_author();
	recover(service);
	probe_ask(service->probe);
	r = uplink_start(service, error);
	if (r)
		return r;
	*ret_service = take(service);
	return 0;
}

void service_free(struct service *service)
{
	struct session *session;

	if (!service)
		return;
	service->peer = NULL; /* nothing is sent any more */
	link_dialer_free_p(&service->dialer);
	while ((session = list_first(&service->sessions, struct session, link)))
		session_free(session);
	jobs_free(service->jobs);
	if (service->searches.next)
		searching_clear(service);
	probe_free(service->probe);
	endpoint_free_p(&service->endpoint);
	link_free_p(&service->link);
	uplink_forget_asks(service);
	sd_event_source_disable_unref(service->retry);
	sd_event_source_disable_unref(service->deadline);
	sd_event_source_disable_unref(service->heartbeat);
	sd_event_source_disable_unref(service->pace);
	effects_deinit(&service->queue);
	effects_deinit(&service->written);
	journal_free(service->journal);
	attempts_free(service->core);
	adapter_set_free_p(&service->adapters);
	key_wipe(&service->key);
	free(service->address);
	free(service->endpoint_path);
	free(service->search_program);
	free(service->programs[0]);
	free(service->programs[1]);
	free(service);
}
