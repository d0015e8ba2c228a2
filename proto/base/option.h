/* One table of options a program: it is the command-line parser, the reader of the configuration file, `--help`, the
 * sample file and the man page's list at once.
 *
 * The values live in a struct of the program's own; the table names each one's offset. Strings are owned by that
 * struct (option_values_deinit frees them). Order: defaults, then the file, then the command line.
 *
 * Condition: OPTION_E_HELP and OPTION_E_VERSION (the text was printed; exit 0), OPTION_E_USAGE (the error says what
 * is wrong; exit 2). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "proto/base/error.h"

enum {
	OPTION_E_HELP = 1,
	OPTION_E_VERSION,
	OPTION_E_USAGE,
};

enum option_type {
	OPTION_FLAG,     /* bool; no argument on the command line */
	OPTION_STRING,   /* char * */
	OPTION_LIST,     /* struct option_list; may be given several times */
	OPTION_NUMBER,   /* uint64_t within [min, max] */
	OPTION_DURATION, /* uint64_t in milliseconds within [min, max] */
	OPTION_CHOICE,   /* int: index into `choices` */
};

struct option_list {
	char **items;
	size_t count;
};

struct option_spec {
	const char *name;    /* "listen": --listen and `listen = …` */
	char short_name;     /* 0: none */
	enum option_type type;
	size_t offset;       /* of the value in the program's struct */
	const char *arg;     /* "HOST:PORT" in the help; NULL for flags */
	const char *initial; /* the default as text, NULL: none (0, NULL, false) */
	uint64_t min, max;   /* max 0: no limit */
	const char *const *choices; /* NULL-terminated */
	bool in_file;        /* may stand in the configuration file */
	bool file_only;      /* may stand only there */
	const char *help;    /* one line; NULL hides it */
};

struct option_table {
	const char *program; /* "maestro run" */
	const char *usage;   /* "[OPTION]... PROMPT|-" */
	const char *summary; /* one paragraph */
	const struct option_spec *specs;
	size_t count;
};

/* Sets every value to its default. */
int option_set_defaults(const struct option_table *table, void *values);
/* Reads a configuration file with libconfuse. Not there: IO_E_NOT_FOUND only if `needed`, else 0. Unknown keys are
 * errors with file, line and the nearest name. */
int option_read_file(const struct option_table *table, void *values, const char *path, bool needed, struct error *error);
/* Parses argv[1..]: "--name value", "--name=value", "-n value", "-nvalue", "--no-name" for flags, "--" ends. Operands
 * may stand between options unless `stop_at_operand`. *ret_operands points into argv (reordered), *ret_count of them. */
int option_parse(const struct option_table *table, void *values, int argc, char **argv, bool stop_at_operand,
	char ***ret_operands, int *ret_count, struct error *error);
void option_print_help(const struct option_table *table, FILE *out);
/* A commented sample of the configuration file. */
void option_print_sample(const struct option_table *table, FILE *out);
void option_values_deinit(const struct option_table *table, void *values);
