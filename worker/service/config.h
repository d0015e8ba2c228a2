/* Options of `maestro-worker run`: defaults, then CONFIG/worker.conf, then STATE/workers/NAME/worker.conf, then the
 * command line. Conditions: those of proto/base/option.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/base/option.h"
#include "proto/wire/paths.h"

struct config {
	char *name;             /* of the worker; never NULL after config_load */
	bool system;
	uint64_t slots;         /* 0: one a core, two at least */
	struct option_list labels;
	struct option_list projects, agents; /* allow-lists; empty: all */
	struct option_list logged_in; /* agents that are taken as logged in */
	bool may_merge;
	char *ssh_key, *merge_key, *known_hosts; /* NULL: STATE/workers/NAME/ssh_key … if it is there */
	uint64_t git_jobs;      /* at a time */
	uint64_t keep_output_ms;
	uint64_t ready_fd;      /* 0: none */
	bool accept_epoch;
	char *log_level;
	struct paths paths;
	char *state;            /* STATE/workers/NAME */
};

/* OPTION_E_HELP, OPTION_E_VERSION, OPTION_E_USAGE. */
int config_load(struct config *config, int argc, char **argv, struct error *error);
void config_deinit(struct config *config);
/* This host's name folded to a valid one. Caller frees. */
char *config_host_name(void);
