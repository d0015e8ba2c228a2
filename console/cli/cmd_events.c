#include "console/cli/command.h"
#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>

#define PATIENCE_MS 120000u

struct values {
	struct cli_common common;
	bool follow;
	char *since;
};

static const struct option_spec specs[] = {
	{ .name = "follow", .short_name = 'f', .type = OPTION_FLAG, .offset = offsetof(struct values, follow),
		.help = "go on with new ones" },
	{ .name = "since", .type = OPTION_STRING, .offset = offsetof(struct values, since), .arg = "N",
		.help = "from this number on; else all, with -f only new ones" },
	CLI_COMMON_OPTIONS,
};

struct events {
	struct cli *cli;
	struct client_listener listener;
	bool follow, done;
	uint64_t since; /* the next number that is wanted, 0: only new ones */
	size_t printed; /* of the array without -f */
	int r;
	struct error *error;
};

static void print_event(const struct cli *cli, const Maestro__Event *event)
{
	_cleanup_free_ char *text = print_clean_bytes(event->has_text, &event->text);
	_cleanup_free_ char *actor = print_clean_bytes(event->has_actor, &event->actor);
	char time[CLOCK_RFC3339_MAX], task[48] = "";

	if (event->has_task)
		snprintf(task, sizeof(task), event->has_attempt ? " %" PRIu64 ".%u" : " %" PRIu64, event->task, event->attempt);
	printf("%s%6" PRIu64 " %s%s %-16s%s%s%s%s%s%s%s\n", colour_begin(cli->colours, COLOUR_FAINT), event->seq,
		clock_format_rfc3339(event->time_ms, time), colour_end(cli->colours, COLOUR_FAINT),
		event->kind ? event->kind : "-", task, event->worker ? " @" : "", event->worker ? event->worker : "",
		actor && *actor ? " by " : "", actor ? actor : "", text && *text ? ": " : "", text ? text : "");
}

/* Without -f they are one array, with a line each too: there may be many. */
static void print_one(struct events *events, const Maestro__Event *event)
{
	json_t *json;

	if (!events->cli->json) {
		print_event(events->cli, event);
		return;
	}
	if (!events->follow)
		fputs(events->printed++ ? ",\n" : "[\n", stdout);
	json = json_of_event(event);
	if (!json || json_dumpf(json, stdout, JSON_COMPACT) || (events->follow && putchar('\n') == EOF))
		events->r = CLIENT_E_FAILED;
	json_decref(json);
}

/* Numbers have no holes but where the coordinator has deleted old ones. */
static void say_gap(const struct events *events, uint64_t seq)
{
	if (events->since > 1 && seq > events->since)
		fprintf(stderr, "maestro: events %" PRIu64 " to %" PRIu64 " are not kept any more\n", events->since, seq - 1);
}

static void on_message(struct client_listener *listener, const Maestro__Envelope *envelope)
{
	struct events *events = container_of(listener, struct events, listener);
	const Maestro__EventBatch *batch = envelope->event_batch;

	if (envelope->body_case != MAESTRO__ENVELOPE__BODY_EVENT_BATCH)
		return;
	if (batch->has_next && !events->since)
		events->since = batch->next; /* from here on none is missed, whatever happens to the connection */
	for (size_t i = 0; i < batch->n_events; i++) {
		if (batch->events[i]->seq < events->since)
			continue;
		say_gap(events, batch->events[i]->seq);
		events->since = batch->events[i]->seq + 1;
		print_one(events, batch->events[i]);
	}
	if (events->follow && fflush(stdout)) {
		events->done = true; /* whoever read is gone */
		events->r = CLIENT_E_FAILED;
	}
}

static void on_answer(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct events *events = userdata;

	if (r == CLIENT_E_UNREACHABLE && events->follow)
		return; /* asked again on the next connection */
	events->done = !events->follow || r;
	events->r = r;
	if (r && error && error->why) {
		error_set(events->error, r, "%s", error->why);
		if (error->hint)
			error_hint(events->error, "%s", error->hint);
	}
}

static void ask(struct events *events)
{
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	Maestro__Watch watch = MAESTRO__WATCH__INIT;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	watch.has_events = watch.events = true;
	watch.has_since = events->since != 0;
	watch.since = events->since;
	watch.has_follow = true;
	watch.follow = events->follow;
	request.body_case = MAESTRO__ENVELOPE__BODY_WATCH;
	request.watch = &watch;
	client_request(events->cli->client, &request, events->follow ? 0 : CLIENT_DEADLINE_MS, on_answer, events, NULL,
		&error);
}

static void on_connected(struct client_listener *listener)
{
	ask(container_of(listener, struct events, listener));
}

static const struct client_listener_ops listener_ops = { .connected = on_connected, .message = on_message };

static int run_events(struct events *events, struct error *error)
{
	uint64_t lost_ms = 0;

	while (!events->done) {
		int refused = 0, r = sd_event_run(events->cli->event, 5 * 1000000);

		if (r < 0)
			return r;
		if (client_tried(events->cli->client, &refused) && refused == MAESTRO__REFUSED_CODE__REFUSED_IDENTITY)
			return error_set(error, CLIENT_E_NOT_ALLOWED, "the coordinator lets us in no more: %s",
				client_last_failure(events->cli->client));
		if (client_connected(events->cli->client))
			lost_ms = 0;
		else if (!lost_ms)
			lost_ms = clock_boottime_ms();
		else if (clock_boottime_ms() - lost_ms > PATIENCE_MS)
			return error_set(error, CLIENT_E_UNREACHABLE, "no coordinator any more: %s",
				client_last_failure(events->cli->client));
	}
	return events->r;
}

static int run(struct cli *cli, const void *v, int count, char **operands, struct error *error)
{
	const struct values *values = v;
	struct events events = { .cli = cli, .follow = values->follow, .error = error };
	int r;

	if (values->since && str_parse_u64(values->since, 0, INT64_MAX, &events.since))
		return error_set(error, CLIENT_E_USAGE, "since: '%s' is no number of an event", values->since);
	if (!events.since && (values->since || !values->follow))
		events.since = 1;
	r = cli_connect(cli, error);
	if (r)
		return r;
	client_listen(cli->client, &events.listener, &listener_ops);
	ask(&events);
	r = run_events(&events, error);
	client_unlisten(&events.listener);
	if (!r && cli->json && !values->follow)
		puts(events.printed ? "\n]" : "[]");
	return r;
}

const struct command command_events = {
	.name = "events",
	.group = GROUP_TASKS,
	.brief = "what happened, and what happens",
	.table = { "maestro events", "[-f] [--since N]", "Prints what happened, a line each.", specs, ARRAY_SIZE(specs) },
	.values_size = sizeof(struct values),
	.operands_max = 0,
	.run = run,
};
