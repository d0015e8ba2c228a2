/* What a person asks the coordinator to do: the request goes out, and the answer becomes a message on the screen. */
#pragma once

#include "console/tui/ui.h"

/* Sends it (borrowed) and says "`done`" when it was done, or why not. */
void action_send(struct ui *ui, Maestro__Envelope *request, uint32_t deadline_ms, const char *done);
void action_on_task(struct ui *ui, uint64_t task, Maestro__TaskAction action, const char *done);
void action_merge(struct ui *ui, uint64_t task, const char *commit);
/* Those that wait get no answer any more. */
void action_forget_all(struct ui *ui);
