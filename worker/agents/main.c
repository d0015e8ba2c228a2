/* maestro-agent: what runs inside a session calls this to be heard. */
#include "worker/agents/command.h"
#include "proto/base/error.h"
#include "proto/base/id.h"
#include "proto/base/str.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "status", command_status, "STATE [--message M] [--file F] [--progress P]   what this session does" },
	{ "mcp", command_mcp, "                                                serves the Model Context Protocol on stdio" },
	{ "hook", command_hook, "EVENT                                           passes an AI program's hook on (JSON on stdin)" },
};

static void print_help(FILE *out)
{
	fprintf(out, "usage: maestro-agent COMMAND\n\nInside a Maestro session: tells the person who watches what it does.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-7s %s\n", commands[i].name, commands[i].help);
}

static int unknown(const char *word)
{
	const char *names[ARRAY_SIZE(commands)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = str_nearest(word, names, ARRAY_SIZE(names));
	fprintf(stderr, "maestro-agent: there is no command of that name%s%s%s\n  maestro-agent --help lists them\n",
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return 2;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	(void)signal(SIGPIPE, SIG_IGN);
	if (id_init())
		return 1;
	if (strcmp(word, "--version") == 0) {
		printf("maestro-agent %s\n", MAESTRO_VERSION);
		return 0;
	}
	if (!*word || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		print_help(*word ? stdout : stderr);
		return *word ? 0 : 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, word) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return unknown(word);
}
