/* The person's own hook: `notify = COMMAND` is run for events that want somebody, with the event as JSON on its
 * standard input. It hears of what is committed only, in order. The coordinator never waits for it: a few run at once,
 * each for a limited time, and what does not fit into the queue is dropped and said so in the log. */
#include "coordinator/service/internal.h"
#include "proto/base/buf.h"
#include "proto/base/child.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNNING_MAX 4u
#define WAITING_MAX 256u
#define TIME_MS (30 * 1000u)
#define PAGE_EVENTS 64u

/* What a person may choose, and the event that it is. */
static const struct {
	const char *name;
	const char *event;
	const char *state; /* the event's text begins with it; NULL: any */
} kinds[] = {
	{ "needs_input", "task.question", NULL },
	{ "review", "task.state", "review" },
	{ "failed", "task.state", "failed" },
	{ "lost", "task.state", "lost" },
	{ "limited", "agent.limited", NULL },
	{ "question", "cluster.question", NULL },
};

struct job {
	struct notify *notify;
	pid_t pid; /* also its process group; 0: free */
	uint64_t task;
	sd_event_source *exit, *timer;
};

struct waiting {
	struct list entry;
	const char *kind;
	struct event_row *row;
};

struct notify {
	struct service *service;
	char *command;
	bool wanted[ARRAY_SIZE(kinds)];
	uint64_t next_seq, time_ms;
	struct list queue;
	unsigned int queued;
	struct job jobs[RUNNING_MAX];
	struct log_limit limit;
};

/* --- what it is told ----------------------------------------------------------------------------------------- */

static json_t *json_text(const char *text)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	json_t *json = text ? json_string(text) : json_null();

	if (json)
		return json;
	str_escape(&clean, text, strlen(text)); /* it was no UTF-8 */
	return json_string(buf_text(&clean));
}

static json_t *json_number(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *describe(const struct notify *notify, const struct waiting *waiting)
{
	const struct event_row *row = waiting->row;
	const struct task_row *task = core_task(service_core(notify->service), row->task);
	const struct attempt_row *attempt = core_attempt(service_core(notify->service), row->task, row->attempt);
	char time[CLOCK_RFC3339_MAX];

	return json_pack("{ss sI ss ss so so so so so so so so so so so}", "event", waiting->kind, "seq",
		(json_int_t)row->seq, "time", clock_format_rfc3339(row->time_ms, time), "kind", row->kind, "task",
		json_number(row->task), "attempt", json_number(row->attempt), "worker", json_text(row->worker), "actor",
		json_text(row->actor), "text", json_text(row->text), "data", json_text(row->data), "title",
		json_text(task ? task->title : NULL), "project", json_text(task ? task->project : NULL), "agent",
		json_text(task ? task->agent : NULL), "branch", json_text(attempt ? attempt->branch : NULL), "commit",
		json_text(attempt ? attempt->commit_id : NULL));
}

/* Returns a descriptor to read the event from. */
static int open_input(const struct notify *notify, const struct waiting *waiting)
{
	_cleanup_free_ char *line = NULL;
	json_t *json = describe(notify, waiting);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int len = text ? asprintf(&line, "%s\n", text) : -1;

	json_decref(json);
	free(text);
	if (len < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return child_input("maestro-event", line, (size_t)len);
}

/* --- running it ---------------------------------------------------------------------------------------------- */

static void run_waiting(struct notify *notify);

static void complain(struct notify *notify, uint64_t task, const char *what, int number)
{
	unsigned int dropped;

	if (log_limit_pass(&notify->limit, clock_boottime_ms(), &dropped))
		log_warning(notify->service->log, "task=%" PRIu64 ": notify %s %d (%u more not said)", task, what, number,
			dropped);
}

static void job_end(struct job *job)
{
	job->exit = sd_event_source_disable_unref(job->exit);
	job->timer = sd_event_source_disable_unref(job->timer);
	job->pid = 0;
}

static int on_job_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct job *job = userdata;
	struct notify *notify = job->notify;

	if (info->si_code != CLD_EXITED)
		complain(notify, job->task, "was ended by signal", info->si_status);
	else if (info->si_status)
		complain(notify, job->task, "ended with exit status", info->si_status);
	child_kill(job->pid); /* what it left behind: its time is over too */
	job_end(job);
	run_waiting(notify);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct job *job = userdata;

	complain(job->notify, job->task, "is stopped, its time is over: seconds", (int)(job->notify->time_ms / 1000));
	child_kill(job->pid); /* its exit is noticed as any other */
	return 0;
}

/* The event on 0, nothing on 1, the log on 2. */
static int spawn(const char *command, int input, pid_t *ret_pid)
{
	const char *argv[] = { "sh", "-c", command, NULL };
	struct child child = { .program = "/bin/sh", .argv = argv, .in = input, .out = CHILD_NULL, .err = CHILD_SHARED };

	return child_spawn(&child, ret_pid);
}

static int watch_job(struct job *job)
{
	sd_event *event = job->notify->service->event;
	int r;

	r = sd_event_add_child(event, &job->exit, job->pid, WEXITED, on_job_end, job);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &job->timer, CLOCK_BOOTTIME, job->notify->time_ms * 1000, 100000, on_time, job);
	return r < 0 ? r : 0;
}

static int start(struct notify *notify, struct job *job, const struct waiting *waiting)
{
	_cleanup_close_ int input = -1;
	pid_t pid;
	int r;

	input = open_input(notify, waiting);
	r = input < 0 ? input : spawn(notify->command, input, &pid);
	if (r)
		return r;
	*job = (struct job){ .notify = notify, .pid = pid, .task = waiting->row->task };
	r = watch_job(job);
	if (r) {
		child_end(pid);
		job_end(job);
	}
	return r;
}

static struct job *free_job(struct notify *notify)
{
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (!notify->jobs[i].pid)
			return &notify->jobs[i];
	return NULL;
}

static void waiting_free(struct notify *notify, struct waiting *waiting)
{
	list_remove(&waiting->entry);
	notify->queued--;
	row_free(ROW_EVENT, waiting->row);
	free(waiting);
}

static void run_waiting(struct notify *notify)
{
	struct job *job;

	while (!list_empty(&notify->queue) && (job = free_job(notify))) {
		struct waiting *waiting = list_first(&notify->queue, struct waiting, entry);
		int r = start(notify, job, waiting);

		if (r)
			complain(notify, waiting->row->task, "cannot be run, error", -r);
		waiting_free(notify, waiting);
	}
}

/* --- what happened ------------------------------------------------------------------------------------------- */

static const char *kind_of(const struct notify *notify, const struct event_row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = kinds[i].state ? strlen(kinds[i].state) : 0;
		const char *text = str_or(row->text, "");

		if (notify->wanted[i] && strcmp(str_or(row->kind, ""), kinds[i].event) == 0 &&
			(!len || (strncmp(text, kinds[i].state, len) == 0 && (!text[len] || text[len] == ':'))))
			return kinds[i].name;
	}
	return NULL;
}

static int take_event(enum row_table table, void *taken, void *userdata, struct error *error)
{
	struct notify *notify = userdata;
	struct event_row *row = taken;
	const char *kind = kind_of(notify, row);
	struct waiting *waiting = NULL;

	notify->next_seq = row->seq + 1;
	if (kind && notify->queued >= WAITING_MAX)
		complain(notify, row->task, "is too slow: this is dropped, and so many wait:", (int)notify->queued);
	else if (kind)
		waiting = calloc(1, sizeof(*waiting));
	if (!waiting) {
		row_free(table, row);
		return 0;
	}
	*waiting = (struct waiting){ .kind = kind, .row = row };
	list_init(&waiting->entry);
	list_append(&notify->queue, &waiting->entry);
	notify->queued++;
	return 0;
}

void notify_settled(struct service *service)
{
	struct notify *notify = service->notify;
	uint64_t before;

	if (!notify)
		return;
	do {
		before = notify->next_seq;
		if (store_each_event(service->store, before, PAGE_EVENTS, take_event, notify, NULL))
			return; /* a broken store is said elsewhere */
	} while (notify->next_seq >= before + PAGE_EVENTS);
	run_waiting(notify);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static int choose_kind(bool wanted[ARRAY_SIZE(kinds)], const char *name, struct error *error)
{
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		buf_printf(&names, "%s%s", i ? ", " : "", kinds[i].name);
		if (strcmp(kinds[i].name, name) == 0) {
			wanted[i] = true;
			return 0;
		}
	}
	error_set(error, -EINVAL, "notify-kinds: '%s' is no kind of event (there is: %s)", name, buf_text(&names));
	return -EINVAL;
}

int notify_init(struct service *service, const struct service_config *config, struct error *error)
{
	bool wanted[ARRAY_SIZE(kinds)] = { false };
	struct notify *notify;
	int r = 0;

	for (size_t i = 0; i < config->notify_kind_count && !r; i++)
		r = choose_kind(wanted, config->notify_kinds[i], error);
	if (r || !config->notify || !*config->notify)
		return r;
	service->notify = notify = calloc(1, sizeof(*notify));
	if (!notify)
		return -ENOMEM;
	notify->service = service;
	notify->time_ms = config->notify_time_ms ? config->notify_time_ms : TIME_MS;
	notify->limit = LOG_LIMIT(10000, 10);
	list_init(&notify->queue);
	notify->command = strdup(config->notify);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		notify->wanted[i] = wanted[i] || !config->notify_kind_count;
	r = store_last_event(service->store, &notify->next_seq, error);
	notify->next_seq++;
	return r ? error_fold(r) : notify->command ? 0 : -ENOMEM;
}

void notify_deinit(struct service *service)
{
	struct notify *notify = take(service->notify);
	struct waiting *waiting, *next;

	if (!notify)
		return;
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		if (notify->jobs[i].pid)
			child_kill(notify->jobs[i].pid); /* nobody would stop it later */
		job_end(&notify->jobs[i]);
	}
	list_for_each_safe(waiting, next, &notify->queue, entry)
		waiting_free(notify, waiting);
	free(notify->command);
	free(notify);
}
