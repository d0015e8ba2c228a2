/* A call of maestro-agent to its worker's endpoint. Blocking, 10 s at most.
 *
 * Conditions: CALL_E_NO_SESSION, CALL_E_UNREACHABLE, CALL_E_REFUSED, each with a sentence. */
#pragma once

#include "proto/base/error.h"
#include "proto/schema/agent.pb-c.h"

enum {
	CALL_E_NO_SESSION = 1, /* MAESTRO_SOCKET or MAESTRO_TOKEN is not set */
	CALL_E_UNREACHABLE,    /* no worker is there, or it does not answer */
	CALL_E_REFUSED,        /* it said no, and why */
};

/* Takes socket and token from the environment; fills in call->token. */
int call_worker(Maestro__AgentCall *call, struct error *error);
