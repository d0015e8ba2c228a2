/* An adapter in memory; private to worker/agents. */
#pragma once

#include "worker/agents/adapter.h"

struct adapter_group {
	char **words;
};

struct adapter_permission {
	char *name;
	char **words, **environment;
};

struct adapter_file {
	char *name, *text;
	bool in_worktree;
};

struct adapter {
	char *name, *title, *program;
	bool agent, interactive;
	enum adapter_prompt prompt;
	char **version, **login, **environment, **pass;
	char **patterns[ADAPTER_PATTERN_COUNT];
	struct adapter_group *groups;
	size_t group_count;
	struct adapter_permission *permissions;
	size_t permission_count;
	struct adapter_file *files;
	size_t file_count;
};

/* Fills an adapter from a file; `adapter` is zeroed before. */
int adapter_read(const char *path, const char *name, struct adapter *adapter, struct error *error);
void adapter_deinit(struct adapter *adapter);
/* The first placeholder of the text that is none of ours, or NULL. Caller frees. */
char *adapter_unknown_placeholder(const char *text);

void strings_free(char **strings);
DEFINE_CLEANUP(char **, strings_free)
