/* What a session's silence means: its screen tells whether the agent is busy, waits for its person, or is out of quota. */
#include "worker/service/service.h"

#include <string.h>
#include "proto/base/clock.h"
#include "worker/agents/until.h"

#define QUIET_MS 2000u

static void tell(struct session *session, Maestro__AgentState state, Maestro__StatusSource source, uint64_t limited_ms)
{
	Maestro__AgentStatus status = MAESTRO__AGENT_STATUS__INIT;

	status.state = state;
	status.has_source = true;
	status.source = source;
	status.has_limited_ms = limited_ms != 0;
	status.limited_ms = limited_ms;
	session_status(session, &status);
}

static bool contains(const void *screen, size_t len, const char *const *texts)
{
	for (; texts && *texts; texts++)
		if (**texts && memmem(screen, len, *texts, strlen(*texts)))
			return true;
	return false;
}

/* The first that fits: a limit is also a wait, and a wait may stand beside an old busy line. */
static const struct {
	enum adapter_pattern pattern;
	Maestro__AgentState state;
} meanings[] = {
	{ ADAPTER_LIMITED, MAESTRO__AGENT_STATE__AGENT_LIMITED },
	{ ADAPTER_WAITING, MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT },
	{ ADAPTER_BUSY, MAESTRO__AGENT_STATE__AGENT_WORKING },
};

static const struct adapter *adapter_of(const struct session *session)
{
	const struct attempt *attempt = attempts_find(session->service->core, session->task, session->attempt);

	return attempt ? adapter_find(session->service->adapters, attempt->start->agent) : NULL;
}

void quiet_screen(struct session *session, const void *screen, size_t len)
{
	const struct adapter *adapter = adapter_of(session);
	uint64_t limited_ms = 0;

	for (size_t i = 0; adapter && i < ARRAY_SIZE(meanings); i++) {
		if (!contains(screen, len, adapter_patterns(adapter, meanings[i].pattern)))
			continue;
		if (meanings[i].pattern == ADAPTER_LIMITED) /* its end, where the screen tells it */
			until_find(screen, len, adapter_patterns(adapter, ADAPTER_UNTIL), clock_wall_ms(), &limited_ms);
		tell(session, meanings[i].state, MAESTRO__STATUS_SOURCE__SOURCE_SCREEN, limited_ms);
		return;
	}
	tell(session, MAESTRO__AGENT_STATE__AGENT_IDLE, MAESTRO__STATUS_SOURCE__SOURCE_PROCESS, 0);
}

static int on_quiet(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;

	if (session->modes_asked == MODES_ASKED)
		session->modes_asked = MODES_KNOWN; /* no picture came: as they were last */
	/* A program that is silent may be computing; only what talks with a person is known to wait. */
	if (session->interactive && !session->exited)
		reading_ask_quietly(session);
	input_pump(session);
	return 0;
}

void quiet_arm(struct session *session)
{
	if (!session->quiet && sd_event_add_time_relative(session->service->event, &session->quiet, CLOCK_BOOTTIME, 0,
				       100000, on_quiet, session) < 0)
		return;
	sd_event_source_set_time_relative(session->quiet, (uint64_t)QUIET_MS * 1000);
	sd_event_source_set_enabled(session->quiet, SD_EVENT_ONESHOT);
}

void quiet_activity(struct session *session)
{
	session->activity_ms = clock_boottime_ms();
	quiet_arm(session);
	tell(session, MAESTRO__AGENT_STATE__AGENT_WORKING, MAESTRO__STATUS_SOURCE__SOURCE_PROCESS, 0);
}
