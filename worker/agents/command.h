/* The commands of maestro-agent. Each returns an exit status: 0 well, 1 it failed, 2 usage. */
#pragma once

int command_status(int argc, char **argv);
int command_mcp(int argc, char **argv);
int command_hook(int argc, char **argv);

struct error;
/* "maestro-agent: WHAT: WHY", and the hint, on standard error; foreign text made harmless. Returns 1. */
int command_fail(const char *what, const struct error *error, int code);
