/* The table of commands: parser, help, completion and manual page come from it. One file a command. */
#pragma once

#include "console/cli/cli.h"

enum command_group {
	GROUP_START,
	GROUP_TASKS,
	GROUP_SESSIONS,
	GROUP_REVIEW,
	GROUP_FLEET,
	GROUP_ADMIN,
	GROUP_COUNT,
};

struct command {
	const char *name;    /* "run", "project add" */
	enum command_group group;
	const char *brief;   /* one line for `maestro --help` */
	struct option_table table;
	size_t values_size;  /* begins with a struct cli_common */
	int operands_min, operands_max; /* max -1: any number */
	int (*run)(struct cli *cli, const void *values, int count, char **operands, struct error *error);
};

/* All of them, in the order of the help. */
#define COMMANDS(X)                                                                                          \
	X(up) X(down) X(join) X(doctor)                                                                      \
	X(run_) X(ls) X(show) X(wait) X(stop) X(retry) X(rm) X(events)                                       \
	X(attach) X(screen) X(logs) X(send) X(export) X(replay) X(grep)                                                                  \
	X(diff) X(merge) X(reject) X(publish)                                                                \
	X(project_add) X(project_ls) X(project_show) X(project_rm)                                           \
	X(worker_ls) X(worker_show) X(worker_cordon) X(worker_uncordon) X(worker_drain) X(worker_rm)         \
	X(agent_ls) X(queue_pause) X(queue_resume)                                                           \
	X(question_ls) X(question_show) X(question_answer)                                                   \
	X(token_create) X(key_ls) X(key_revoke) X(audit)

#define DECLARE(id) extern const struct command command_##id;
COMMANDS(DECLARE)
#undef DECLARE

extern const struct command *const commands[];
extern const size_t commands_count;

/* "project", "add" -> the command, and how many words it took. NULL if there is none. */
const struct command *command_find(const char *const *words, int count, int *ret_words);
/* An error for words that are no command: with the nearest, or with what may follow "project". CLIENT_E_USAGE. */
int command_unknown(const char *const *words, int count, struct error *error);
/* Parses its options and runs it. argv[0] is not looked at. */
int command_run(const struct command *command, struct cli *cli, int argc, char **argv, struct error *error);

/* `maestro --help`. */
void command_print_overview(FILE *out);
/* For the shells and for man: written when Maestro is built. */
void command_dump_bash(FILE *out);
void command_dump_zsh(FILE *out);
void command_dump_man(FILE *out);

/* The whole program; returns the exit status. */
int command_main(int argc, char **argv);
