/* What the installed AI CLIs say of themselves: which version they are, and whether somebody is logged in. Each is
 * asked once when the worker starts, again when one was installed since, and every five minutes where nobody is logged
 * in; one program at a time, at a low priority, for PROBE_LIMIT_MS at most. What a program does not answer stays not
 * known, which hinders nothing. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>
#include "proto/base/log.h"
#include "proto/base/option.h"
#include "worker/agents/adapter.h"

#define PROBE_LIMIT_MS 60000u
#define PROBE_VERSION_BYTES 64u

enum probe_login { PROBE_LOGIN_UNKNOWN, PROBE_LOGIN_NO, PROBE_LOGIN_YES };

struct probe;
/* Something became known. Called from the event loop. */
typedef void (*probe_told_fn)(void *userdata);

/* `adapters` and `trusted` (agents that are taken as logged in, whatever they say) are borrowed and must outlive it.
 * Asks nothing before probe_ask. -ENOMEM or an error of sd-event. */
int probe_new(struct probe **ret_probe, sd_event *event, struct log *log, const struct adapter_set *adapters,
	const struct option_list *trusted, probe_told_fn told, void *userdata);
/* Ends a program that is still being asked. */
void probe_free(struct probe *probe);
DEFINE_CLEANUP(struct probe *, probe_free)

/* Asks every installed program anew, from the event loop. */
void probe_ask(struct probe *probe);
/* One clean line, borrowed until the next call into the probe; NULL: not known. */
const char *probe_version(const struct probe *probe, size_t adapter);
enum probe_login probe_login(const struct probe *probe, size_t adapter);
