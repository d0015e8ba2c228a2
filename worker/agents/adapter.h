/* Adapters: what Maestro knows of an AI CLI, as data. One file a CLI, DATA/agents/NAME.conf (libconfuse; in single
 * quotes nothing is expanded by it).
 *
 *   title, program, agent, interactive, prompt (argument|file|paste|none), version = {command}, login = {command}
 *   arguments { words = {…} }        a group: left out whole if a placeholder in it has no value
 *   permission NAME { words = {…} environment = {…} }   the modes that --permission may name
 *   environment = {"KEY=VALUE"}, pass = {"KEY"}         set, and handed over from the worker's own environment
 *   file NAME { text = '…' where = session|worktree }   written before the start; NAME relative to that directory
 *   busy, waiting, limited = {"text on the screen"}, until = {"text before the time when the limit ends"}
 *
 * Placeholders: {prompt} {prompt_file} {model} {permission} {session_dir} {worktree} {project_dir} {branch}
 * {agent_program} {socket} {task} {attempt} {shell}, and {"name"}: the same as a JSON (or TOML) string. There is none
 * for the token: it is in the environment, never in argv or a file.
 *
 * Conditions: ADAPTER_E_NOT_FOUND, ADAPTER_E_INVALID (with a sentence). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/error.h"

enum {
	ADAPTER_E_NOT_FOUND = 1,
	ADAPTER_E_INVALID,
};

enum adapter_prompt {
	ADAPTER_PROMPT_ARGUMENT, /* in argv; a long one as a sentence that names the file */
	ADAPTER_PROMPT_FILE,     /* always {prompt_file} */
	ADAPTER_PROMPT_PASTE,    /* pasted into the terminal, then Enter */
	ADAPTER_PROMPT_NONE,     /* takes none */
};

struct adapter;
struct adapter_set;

/* Reads every NAME.conf of a directory. ADAPTER_E_INVALID names file and line; ADAPTER_E_NOT_FOUND: no directory. */
int adapter_load_dir(const char *dir, struct adapter_set **ret_set, struct error *error);
void adapter_set_free(struct adapter_set *set);
DEFINE_CLEANUP(struct adapter_set *, adapter_set_free)
size_t adapter_count(const struct adapter_set *set);
/* In alphabetical order. */
const struct adapter *adapter_at(const struct adapter_set *set, size_t index);
/* NULL if there is none. */
const struct adapter *adapter_find(const struct adapter_set *set, const char *name);

const char *adapter_name(const struct adapter *adapter);
/* "Claude Code": for people. */
const char *adapter_title(const struct adapter *adapter);
/* An AI CLI, rather than `shell` or `command`. */
bool adapter_is_agent(const struct adapter *adapter);
/* Waits for its person when it has finished, rather than ending. */
bool adapter_is_interactive(const struct adapter *adapter);
enum adapter_prompt adapter_prompt(const struct adapter *adapter);

/* Is its program there? Searches `path` ($PATH if NULL). *ret_program (may be NULL): its absolute path, caller frees.
 * ADAPTER_E_NOT_FOUND with a sentence. */
int adapter_detect(const struct adapter *adapter, const char *path, char **ret_program, struct error *error);
/* The command that prints its version, NULL-terminated, NULL if it has none. Run it with a time limit. */
const char *const *adapter_version_argv(const struct adapter *adapter);
/* The command that ends with 0 if somebody is logged in, with 1 if not; NULL if it has none. Run it with a time limit. */
const char *const *adapter_login_argv(const struct adapter *adapter);
/* Whether a key or token that it is handed over stands in our environment. */
bool adapter_has_credential(const struct adapter *adapter);

enum adapter_pattern { ADAPTER_BUSY, ADAPTER_WAITING, ADAPTER_LIMITED, ADAPTER_UNTIL, ADAPTER_PATTERN_COUNT };
/* Texts that its screen shows then, NULL-terminated, maybe none. */
const char *const *adapter_patterns(const struct adapter *adapter, enum adapter_pattern which);

struct adapter_params {
	const char *prompt; /* NULL: none */
	size_t prompt_len;
	const char *model, *permission;        /* NULL: the CLI's own default */
	const char *session_dir, *worktree;    /* absolute */
	const char *project_dir;               /* the repository that the worktree belongs to (mirror) */
	const char *branch;
	const char *agent_program;             /* absolute path of maestro-agent */
	const char *socket;                    /* MAESTRO_SOCKET */
	uint64_t task;
	uint32_t attempt;
};

struct launch_file {
	char *path; /* absolute */
	char *data;
	size_t len;
	mode_t mode;
	bool in_worktree; /* must be excluded from git, and taken away at the end */
};

/* What to run. Hand argv and env to holder_spawn. */
struct launch {
	char **argv; /* NULL-terminated */
	char **env;  /* "KEY=VALUE", NULL-terminated, PATH with maestro-agent's directory in front; MAESTRO_… are the
			worker's to add */
	struct launch_file *files;
	size_t file_count;
	char *paste; /* to be pasted once the program takes input, or NULL */
	size_t paste_len;
};

/* Pure but for $SHELL and the variables that the adapter passes on. ADAPTER_E_INVALID: a prompt is needed, an
 * unknown permission mode, a NUL in the prompt, … */
int adapter_prepare(const struct adapter *adapter, const struct adapter_params *params, struct launch *ret_launch,
	struct error *error);
/* Writes the files (the directories above them too). A file in the worktree that is there already is left alone. */
int launch_write_files(const struct launch *launch, struct error *error);
void launch_deinit(struct launch *launch);
#define LAUNCH_NULL ((struct launch){ NULL, NULL, NULL, 0, NULL, 0 })
