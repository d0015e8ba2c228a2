/* The commands of maestro-worker. Each returns the exit status; what it has to say it has said. argv[0] is the
 * command's own name. */
#pragma once

int program_run(int argc, char **argv);
int program_join(int argc, char **argv);
/* "maestro-worker: WHY", and what to do. Returns `status`. */
struct error;
int program_fail(int status, const struct error *error, int code);
