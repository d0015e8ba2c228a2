#include <stdio.h>
#include <string.h>
#include "worker/service/program.h"

static const char help[] =
	"Usage: maestro-worker COMMAND [OPTION]...\n"
	"Runs AI coding sessions on this machine for a coordinator.\n"
	"\n"
	"  join ADDRESS   makes this machine a worker of the coordinator there (once)\n"
	"  run            runs the worker, in the foreground\n"
	"\n"
	"maestro-worker COMMAND --help tells more.\n";

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "run"))
		return program_run(argc - 1, argv + 1);
	if (!strcmp(command, "join"))
		return program_join(argc - 1, argv + 1);
	if (!strcmp(command, "--help") || !strcmp(command, "-h") || !strcmp(command, "help")) {
		fputs(help, stdout);
		return 0;
	}
	if (!strcmp(command, "--version")) {
		puts("maestro-worker " MAESTRO_VERSION);
		return 0;
	}
	if (*command)
		fprintf(stderr, "maestro-worker: '%.64s' is no command; there are join and run\n", command);
	else
		fputs(help, stderr);
	return 2;
}
