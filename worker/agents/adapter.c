#include "worker/agents/adapter_internal.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ADAPTERS_MAX 64u
#define SUFFIX ".conf"

struct adapter_set {
	struct adapter *items[ADAPTERS_MAX];
	size_t count;
};

void adapter_set_free(struct adapter_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++) {
		adapter_deinit(set->items[i]);
		free(set->items[i]);
	}
	free(set);
}

static int add_file(struct adapter_set *set, const char *dir, const char *file_name, struct error *error)
{
	_cleanup_free_ char *path = io_join(dir, file_name), *name = strndup(file_name, strlen(file_name) - strlen(SUFFIX));
	struct adapter *adapter;
	int r;

	if (!path || !name)
		return -ENOMEM;
	if (!name_valid(name))
		return error_set(error, ADAPTER_E_INVALID, "%s: an adapter's name has lower case letters, digits, . _ -", path);
	if (set->count == ADAPTERS_MAX)
		return error_set(error, ADAPTER_E_INVALID, "%s: more than %u adapters", dir, ADAPTERS_MAX);
	adapter = calloc(1, sizeof(*adapter));
	if (!adapter)
		return -ENOMEM;
	set->items[set->count++] = adapter; /* freed with the set, however far reading comes */
	r = adapter_read(path, name, adapter, error);
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp((*(struct adapter *const *)a)->name, (*(struct adapter *const *)b)->name);
}

int adapter_load_dir(const char *dir, struct adapter_set **ret_set, struct error *error)
{
	_cleanup_(adapter_set_free_p) struct adapter_set *set = calloc(1, sizeof(*set));
	struct dirent *entry;
	DIR *handle;
	int r = 0;

	if (!set)
		return -ENOMEM;
	handle = opendir(dir);
	if (!handle)
		return error_set(error, errno == ENOENT ? ADAPTER_E_NOT_FOUND : -errno, "%s: %s", dir, strerror(errno));
	while (!r && (entry = readdir(handle)))
		if (entry->d_name[0] != '.' && str_ends(entry->d_name, SUFFIX))
			r = add_file(set, dir, entry->d_name, error);
	closedir(handle);
	if (r)
		return r;
	qsort(set->items, set->count, sizeof(set->items[0]), compare);
	*ret_set = take(set);
	return 0;
}

size_t adapter_count(const struct adapter_set *set)
{
	return set->count;
}

const struct adapter *adapter_at(const struct adapter_set *set, size_t index)
{
	return set->items[index];
}

const struct adapter *adapter_find(const struct adapter_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->items[i]->name, name) == 0)
			return set->items[i];
	return NULL;
}

const char *adapter_name(const struct adapter *adapter)
{
	return adapter->name;
}

const char *adapter_title(const struct adapter *adapter)
{
	return *adapter->title ? adapter->title : adapter->name;
}

bool adapter_is_agent(const struct adapter *adapter)
{
	return adapter->agent;
}

bool adapter_is_interactive(const struct adapter *adapter)
{
	return adapter->interactive;
}

enum adapter_prompt adapter_prompt(const struct adapter *adapter)
{
	return adapter->prompt;
}

const char *const *adapter_version_argv(const struct adapter *adapter)
{
	return adapter->version[0] ? (const char *const *)adapter->version : NULL;
}

const char *const *adapter_login_argv(const struct adapter *adapter)
{
	return adapter->login[0] ? (const char *const *)adapter->login : NULL;
}

bool adapter_has_credential(const struct adapter *adapter)
{
	for (size_t i = 0; adapter->pass[i]; i++)
		if ((str_ends(adapter->pass[i], "_KEY") || str_ends(adapter->pass[i], "_TOKEN")) &&
			*str_or(getenv(adapter->pass[i]), ""))
			return true;
	return false;
}

const char *const *adapter_patterns(const struct adapter *adapter, enum adapter_pattern which)
{
	return (const char *const *)adapter->patterns[which];
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As a shell looks for it, but only in absolute directories: what "." is depends on who asks. */
static int search_path(const char *program, const char *path, char **ret_found)
{
	for (const char *dir = path; *dir;) {
		size_t len = strcspn(dir, ":");
		_cleanup_free_ char *candidate = NULL;

		if (asprintf(&candidate, "%.*s/%s", (int)len, dir, program) < 0) {
			candidate = NULL;
			return -ENOMEM;
		}
		if (len && dir[0] == '/' && is_program(candidate)) {
			*ret_found = take(candidate);
			return 0;
		}
		dir += len + (dir[len] == ':');
	}
	return ADAPTER_E_NOT_FOUND;
}

int adapter_detect(const struct adapter *adapter, const char *path, char **ret_program, struct error *error)
{
	_cleanup_free_ char *found = NULL;
	const char *program = strcmp(adapter->program, "{shell}") == 0 ? "sh" : adapter->program;
	int r;

	path = path ? path : str_or(getenv("PATH"), "/usr/local/bin:/usr/bin:/bin");
	if (program[0] == '/')
		r = is_program(program) ? (found = strdup(program)) ? 0 : -ENOMEM : ADAPTER_E_NOT_FOUND;
	else
		r = search_path(program, path, &found);
	if (r == ADAPTER_E_NOT_FOUND) {
		error_set(error, r, "%s is not installed here: no %s on PATH", adapter_title(adapter), program);
		error_hint(error, "install it on this worker, or choose another agent with -a");
	}
	if (!r && ret_program)
		*ret_program = take(found);
	return r;
}
