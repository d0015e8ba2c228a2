#include "worker/service/probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proto/base/buf.h"
#include "proto/base/child.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#define OUTPUT_MAX_BYTES 4096u
#define ASK_AGAIN_US (300ull * 1000 * 1000)
#define LOW_PRIORITY 10

enum question { QUESTION_VERSION, QUESTION_LOGIN, QUESTION_COUNT };

struct answer {
	char version[PROBE_VERSION_BYTES];
	enum probe_login login;
};

struct probe {
	sd_event *event;
	struct log *log;
	const struct adapter_set *adapters;
	const struct option_list *trusted;
	probe_told_fn told;
	void *userdata;
	struct answer *answers; /* one an adapter */
	/* the one that is being asked */
	size_t adapter;
	enum question question;
	bool login_only, restart;
	pid_t pid;
	int out;
	struct buf text;
	sd_event_source *child, *timer, *next, *again;
};

static const char *const *words(const struct probe *probe)
{
	const struct adapter *adapter = adapter_at(probe->adapters, probe->adapter);

	return probe->question == QUESTION_VERSION ? adapter_version_argv(adapter) : adapter_login_argv(adapter);
}

static void asked(struct probe *probe)
{
	sd_event_source_disable_unref(probe->child);
	sd_event_source_disable_unref(probe->timer);
	probe->child = probe->timer = NULL;
	if (probe->out >= 0)
		close(probe->out);
	probe->out = -1;
	probe->pid = 0;
	buf_deinit(&probe->text);
	probe->text = BUF_LIMIT(OUTPUT_MAX_BYTES);
}

/* What the program printed, as far as we keep it: it is in the pipe, which is larger. */
static void read_output(struct probe *probe)
{
	char chunk[OUTPUT_MAX_BYTES];
	ssize_t n = read(probe->out, chunk, sizeof(chunk));

	if (n > 0)
		buf_append(&probe->text, chunk, (size_t)n);
}

static void take_version(struct probe *probe, struct answer *answer)
{
	_cleanup_(buf_deinit) struct buf clean = BUF_LIMIT(OUTPUT_MAX_BYTES);
	const char *end = memchr(probe->text.data, '\n', probe->text.len);
	size_t len = end ? (size_t)(end - (const char *)probe->text.data) : probe->text.len;

	if (!len || str_clean(&clean, (const char *)probe->text.data, len) || clean.len >= sizeof(answer->version))
		return;
	memcpy(answer->version, clean.data, clean.len);
	answer->version[clean.len] = 0;
}

/* A login command tells of its own kind of login only: where a key stands in the environment, its "no" is none. */
static void take_login(struct probe *probe, struct answer *answer, const siginfo_t *info)
{
	const struct adapter *adapter = adapter_at(probe->adapters, probe->adapter);

	if (info->si_code != CLD_EXITED || info->si_status > 1)
		return;
	answer->login = info->si_status == 0 || adapter_has_credential(adapter) ? PROBE_LOGIN_YES : PROBE_LOGIN_NO;
}

static void begin(struct probe *probe)
{
	probe->adapter = 0;
	probe->question = QUESTION_VERSION;
	probe->login_only = probe->restart = false;
}

static int on_exit_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct probe *probe = userdata;
	struct answer *answer = &probe->answers[probe->adapter], before = *answer;

	read_output(probe);
	child_kill(probe->pid); /* nothing of it outlives it */
	if (probe->question == QUESTION_LOGIN)
		take_login(probe, answer, info);
	else if (info->si_code == CLD_EXITED && info->si_status == 0)
		take_version(probe, answer);
	asked(probe);
	probe->question++;
	if (probe->restart)
		begin(probe);
	sd_event_source_set_enabled(probe->next, SD_EVENT_ONESHOT);
	if (answer->login != before.login || strcmp(answer->version, before.version))
		probe->told(probe->userdata);
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct probe *probe = userdata;

	log_info(probe->log, "%s did not answer in %u s what it was asked",
		adapter_name(adapter_at(probe->adapters, probe->adapter)), PROBE_LIMIT_MS / 1000);
	child_kill(probe->pid);
	return 0;
}

static int spawn(struct probe *probe, const char *program, const char *const *argv)
{
	struct child child = { .program = program, .argv = argv, .in = CHILD_NULL, .err = CHILD_NULL };
	int pair[2], r;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	probe->out = pair[0];
	child.out = pair[1];
	r = io_set_nonblock(probe->out, true);
	if (!r)
		r = child_spawn(&child, &probe->pid);
	close(pair[1]);
	return r;
}

static int ask(struct probe *probe, const char *program)
{
	int r = spawn(probe, program, words(probe));

	if (r)
		return r;
	setpriority(PRIO_PROCESS, (id_t)probe->pid, LOW_PRIORITY);
	r = sd_event_add_time_relative(probe->event, &probe->timer, CLOCK_BOOTTIME, PROBE_LIMIT_MS * 1000ull, 1000000,
		on_timeout, probe);
	if (r >= 0)
		r = sd_event_add_child(probe->event, &probe->child, probe->pid, WEXITED, on_exit_child, probe);
	if (r < 0)
		child_end(probe->pid);
	return r < 0 ? r : 0;
}

static bool trusted(const struct probe *probe, const struct adapter *adapter)
{
	for (size_t i = 0; i < probe->trusted->count; i++)
		if (!strcmp(probe->trusted->items[i], adapter_name(adapter)))
			return true;
	return false;
}

/* Whether this question is to be put to this program at all. */
static bool wanted(const struct probe *probe, char **ret_program)
{
	const struct adapter *adapter = adapter_at(probe->adapters, probe->adapter);

	if (!words(probe) || (probe->question == QUESTION_LOGIN && trusted(probe, adapter)))
		return false;
	if (probe->login_only &&
		(probe->question != QUESTION_LOGIN || probe->answers[probe->adapter].login != PROBE_LOGIN_NO))
		return false;
	return !adapter_detect(adapter, NULL, ret_program, NULL);
}

static void plan_again(struct probe *probe)
{
	for (size_t i = 0; i < adapter_count(probe->adapters); i++)
		if (probe->answers[i].login == PROBE_LOGIN_NO) {
			sd_event_source_set_time_relative(probe->again, ASK_AGAIN_US);
			sd_event_source_set_enabled(probe->again, SD_EVENT_ONESHOT);
			return;
		}
}

static int on_next(sd_event_source *source, void *userdata)
{
	struct probe *probe = userdata;

	if (probe->pid)
		return 0;
	for (; probe->adapter < adapter_count(probe->adapters); probe->adapter++, probe->question = 0)
		for (; probe->question < QUESTION_COUNT; probe->question++) {
			_cleanup_free_ char *program = NULL;

			if (!wanted(probe, &program))
				continue;
			if (!ask(probe, program))
				return 0;
			asked(probe);
		}
	plan_again(probe);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct probe *probe = userdata;

	probe_ask(probe);
	probe->login_only = true;
	return 0;
}

int probe_new(struct probe **ret_probe, sd_event *event, struct log *log, const struct adapter_set *adapters,
	const struct option_list *trusted, probe_told_fn told, void *userdata)
{
	_cleanup_(probe_free_p) struct probe *probe = calloc(1, sizeof(*probe));
	int r;

	if (!probe)
		return -ENOMEM;
	*probe = (struct probe){ .event = event, .log = log, .adapters = adapters, .trusted = trusted, .told = told,
		.userdata = userdata, .out = -1, .text = BUF_LIMIT(OUTPUT_MAX_BYTES), .adapter = adapter_count(adapters) };
	probe->answers = calloc(adapter_count(adapters) + 1, sizeof(*probe->answers));
	if (!probe->answers)
		return -ENOMEM;
	r = sd_event_add_defer(event, &probe->next, on_next, probe);
	if (r >= 0)
		r = sd_event_source_set_enabled(probe->next, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &probe->again, CLOCK_BOOTTIME, ASK_AGAIN_US, 10000000, on_again, probe);
	if (r >= 0)
		r = sd_event_source_set_enabled(probe->again, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret_probe = take(probe);
	return 0;
}

void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	child_end(probe->pid);
	asked(probe);
	buf_deinit(&probe->text);
	sd_event_source_disable_unref(probe->next);
	sd_event_source_disable_unref(probe->again);
	free(probe->answers);
	free(probe);
}

void probe_ask(struct probe *probe)
{
	probe->restart = probe->pid > 0; /* the one that is being asked is asked to its end */
	if (probe->restart)
		return;
	begin(probe);
	sd_event_source_set_enabled(probe->next, SD_EVENT_ONESHOT);
}

const char *probe_version(const struct probe *probe, size_t adapter)
{
	return *probe->answers[adapter].version ? probe->answers[adapter].version : NULL;
}

enum probe_login probe_login(const struct probe *probe, size_t adapter)
{
	return probe->answers[adapter].login;
}
