/* A coordinator that exists only in this process: the functions of console/client's headers, on a scene of made-up
 * tasks and workers whose screens are real (drawn by the emulator). The console under test is linked with it instead
 * of the client. Commands change the scene, one a line on a descriptor. */
#pragma once

#include <systemd/sd-event.h>
#include "console/client/client.h"
#include "console/tui/ui.h"

/* Scenes: "none" (no connection yet), "empty", "three", "many". -EINVAL. */
int fake_new(struct client **ret_client, sd_event *event, const char *scene, int command_fd);
extern const struct ui_clock fake_clock;
