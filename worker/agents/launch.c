/* An adapter and a task make a command line, an environment and files. */
#include "worker/agents/adapter_internal.h"
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"

#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

enum value {
	VALUE_PROMPT,
	VALUE_PROMPT_FILE,
	VALUE_MODEL,
	VALUE_PERMISSION,
	VALUE_SESSION_DIR,
	VALUE_WORKTREE,
	VALUE_PROJECT_DIR,
	VALUE_BRANCH,
	VALUE_AGENT_PROGRAM,
	VALUE_SOCKET,
	VALUE_TASK,
	VALUE_ATTEMPT,
	VALUE_SHELL,
	VALUE_COUNT,
};

static const char *const value_names[VALUE_COUNT] = {
	[VALUE_PROMPT] = "prompt",
	[VALUE_PROMPT_FILE] = "prompt_file",
	[VALUE_MODEL] = "model",
	[VALUE_PERMISSION] = "permission",
	[VALUE_SESSION_DIR] = "session_dir",
	[VALUE_WORKTREE] = "worktree",
	[VALUE_PROJECT_DIR] = "project_dir",
	[VALUE_BRANCH] = "branch",
	[VALUE_AGENT_PROGRAM] = "agent_program",
	[VALUE_SOCKET] = "socket",
	[VALUE_TASK] = "task",
	[VALUE_ATTEMPT] = "attempt",
	[VALUE_SHELL] = "shell",
};

struct values {
	char *text[VALUE_COUNT]; /* NULL: has no value */
};

struct words {
	char **items; /* NULL-terminated */
	size_t count;
};

/* --- placeholders --------------------------------------------------------------------------------------------- */

/* If a placeholder begins at `text`, its length; *ret_quoted: {"name"}; *ret_name points to the name. */
static size_t placeholder_at(const char *text, bool *ret_quoted, const char **ret_name, size_t *ret_name_len)
{
	bool quoted = text[1] == '"';
	const char *name = text + 1 + quoted;
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
	const char *end = name + len;

	if (text[0] != '{' || !len || (quoted && *end != '"') || end[quoted] != '}')
		return 0;
	*ret_quoted = quoted;
	*ret_name = name;
	*ret_name_len = len;
	return (size_t)(end + quoted + 1 - text);
}

static int find_value(const char *name, size_t len)
{
	for (int i = 0; i < VALUE_COUNT; i++)
		if (strlen(value_names[i]) == len && memcmp(value_names[i], name, len) == 0)
			return i;
	return -1;
}

char *adapter_unknown_placeholder(const char *text)
{
	const char *name;
	size_t name_len, len;
	bool quoted;

	for (; *text; text++) {
		len = *text == '{' ? placeholder_at(text, &quoted, &name, &name_len) : 0;
		if (len && find_value(name, name_len) < 0)
			return strndup(text, len);
	}
	return NULL;
}

static int put_quoted(struct buf *out, const char *text)
{
	json_t *string = json_string(text);
	char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	int r = quoted ? buf_append_str(out, quoted) : -EILSEQ;

	free(quoted);
	json_decref(string);
	return r;
}

/* Values are put in as they are: what they hold is never looked at for placeholders. *ret_missing: one has no value. */
static int expand(const char *text, const struct values *values, struct buf *out, bool *ret_missing)
{
	int r = 0;

	while (!r && *text) {
		const char *name;
		size_t name_len, len;
		bool quoted;
		int value;

		len = *text == '{' ? placeholder_at(text, &quoted, &name, &name_len) : 0;
		if (!len) {
			r = buf_append_byte(out, (uint8_t)*text++);
			continue;
		}
		value = find_value(name, name_len);
		text += len;
		if (value < 0 || !values->text[value])
			*ret_missing = true;
		else
			r = quoted ? put_quoted(out, values->text[value]) : buf_append_str(out, values->text[value]);
	}
	return r;
}

/* --- lists ---------------------------------------------------------------------------------------------------- */

static void words_truncate(struct words *words, size_t count)
{
	while (words->count > count)
		free(take(words->items[--words->count]));
}

/* Takes the text, also on failure. */
static int words_add(struct words *words, char *text)
{
	char **items = text ? realloc(words->items, (words->count + 2) * sizeof(*items)) : NULL;

	if (!items) {
		free(text);
		return -ENOMEM;
	}
	words->items = items;
	items[words->count++] = text;
	items[words->count] = NULL;
	return 0;
}

/* All of the group, or nothing of it. */
static int add_group(struct words *words, char *const *group, const struct values *values)
{
	size_t before = words->count;
	bool missing = false;
	int r = 0;

	for (; !r && !missing && group && *group; group++) {
		struct buf text = BUF_NULL;

		r = expand(*group, values, &text, &missing);
		if (!r)
			r = words_add(words, buf_take(&text));
		buf_deinit(&text);
	}
	if (missing)
		words_truncate(words, before);
	return r;
}

/* Environment entries stand for themselves: each is left out alone. */
static int add_each(struct words *words, char *const *entries, const struct values *values)
{
	int r = 0;

	for (; !r && entries && *entries; entries++)
		r = add_group(words, (char *const[]){ *entries, NULL }, values);
	return r;
}

/* --- values --------------------------------------------------------------------------------------------------- */

static void values_deinit(struct values *values)
{
	for (size_t i = 0; i < VALUE_COUNT; i++)
		free(values->text[i]);
}

static int set(struct values *values, enum value which, const char *text)
{
	if (!text)
		return 0;
	values->text[which] = strdup(text);
	return values->text[which] ? 0 : -ENOMEM;
}

static int set_prompt(struct values *values, const struct adapter_params *params)
{
	char *text = NULL;
	int r;

	values->text[VALUE_PROMPT_FILE] = io_join(params->session_dir, "prompt");
	if (!values->text[VALUE_PROMPT_FILE])
		return -ENOMEM;
	if (params->prompt_len <= LIMIT_PROMPT_ARG_BYTES)
		return set(values, VALUE_PROMPT, params->prompt);
	r = asprintf(&text, "Your task is in the file %s. Read all of it first, then do what it says.",
		values->text[VALUE_PROMPT_FILE]);
	if (r < 0)
		return -ENOMEM;
	values->text[VALUE_PROMPT] = text;
	return 0;
}

static int set_number(struct values *values, enum value which, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return set(values, which, text);
}

static int fill_values(const struct adapter_params *params, struct values *values)
{
	const char *shell = getenv("SHELL");
	const struct {
		enum value which;
		const char *text;
	} plain[] = {
		{ VALUE_MODEL, params->model },
		{ VALUE_PERMISSION, params->permission },
		{ VALUE_SESSION_DIR, params->session_dir },
		{ VALUE_WORKTREE, params->worktree },
		{ VALUE_PROJECT_DIR, params->project_dir },
		{ VALUE_BRANCH, params->branch },
		{ VALUE_AGENT_PROGRAM, params->agent_program },
		{ VALUE_SOCKET, params->socket },
		{ VALUE_SHELL, shell && shell[0] == '/' && access(shell, X_OK) == 0 ? shell : "/bin/sh" },
	};
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(plain); i++)
		r = set(values, plain[i].which, plain[i].text);
	if (!r)
		r = set_number(values, VALUE_TASK, params->task);
	if (!r)
		r = set_number(values, VALUE_ATTEMPT, params->attempt);
	return !r && params->prompt ? set_prompt(values, params) : r;
}

/* --- the parts of a launch -------------------------------------------------------------------------------------- */

static const struct adapter_permission *find_permission(const struct adapter *adapter, const char *name)
{
	for (size_t i = 0; i < adapter->permission_count; i++)
		if (strcmp(adapter->permissions[i].name, name) == 0)
			return &adapter->permissions[i];
	return NULL;
}

static int check_permission(const struct adapter *adapter, const char *name, struct error *error)
{
	_cleanup_(buf_deinit) struct buf modes = BUF_NULL;
	int r = 0;

	if (!name || find_permission(adapter, name))
		return 0;
	for (size_t i = 0; !r && i < adapter->permission_count; i++)
		r = buf_printf(&modes, "%s%s", i ? ", " : "", adapter->permissions[i].name);
	if (r)
		return r;
	error_set(error, ADAPTER_E_INVALID, "%s has no permission mode \"%s\"", adapter_title(adapter), name);
	if (modes.len)
		error_hint(error, "it has: %s", buf_text(&modes));
	else
		error_hint(error, "leave --permission out: it has none");
	return ADAPTER_E_INVALID;
}

static int check_params(const struct adapter *adapter, const struct adapter_params *params, struct error *error)
{
	if (params->prompt && params->prompt_len > LIMIT_PROMPT_BYTES)
		return error_set(error, ADAPTER_E_INVALID, "the prompt has %zu bytes, at most %u are allowed", params->prompt_len,
			LIMIT_PROMPT_BYTES);
	if (params->prompt && memchr(params->prompt, 0, params->prompt_len))
		return error_set(error, ADAPTER_E_INVALID, "the prompt holds a NUL byte");
	if (adapter->prompt == ADAPTER_PROMPT_FILE && (!params->prompt || !params->prompt_len))
		return error_set(error, ADAPTER_E_INVALID, "%s needs a prompt", adapter_title(adapter));
	return check_permission(adapter, params->permission, error);
}

static int make_argv(const struct adapter *adapter, const struct adapter_params *params, const struct values *values,
	struct words *argv)
{
	const struct adapter_permission *permission = params->permission ? find_permission(adapter, params->permission) : NULL;
	int r;

	r = add_group(argv, (char *const[]){ adapter->program, NULL }, values);
	if (!r && permission)
		r = add_group(argv, permission->words, values);
	for (size_t i = 0; !r && i < adapter->group_count; i++)
		r = add_group(argv, adapter->groups[i].words, values);
	return r;
}

/* maestro-agent is found by whatever runs in the session. */
static int add_search_path(struct words *env, const char *agent_program)
{
	_cleanup_free_ char *copy = agent_program ? strdup(agent_program) : NULL;
	char *entry;

	if (!agent_program)
		return 0;
	if (!copy || asprintf(&entry, "PATH=%s:%s", dirname(copy), str_or(getenv("PATH"), "/usr/local/bin:/usr/bin:/bin")) < 0)
		return -ENOMEM;
	return words_add(env, entry);
}

static int make_env(const struct adapter *adapter, const struct adapter_params *params, const struct values *values,
	struct words *env)
{
	const struct adapter_permission *permission = params->permission ? find_permission(adapter, params->permission) : NULL;
	int r;

	r = add_search_path(env, params->agent_program);
	for (char **name = adapter->pass; !r && *name; name++) {
		const char *value = getenv(*name);
		char *entry;

		if (value)
			r = asprintf(&entry, "%s=%s", *name, value) < 0 ? -ENOMEM : words_add(env, entry);
	}
	if (!r)
		r = add_each(env, adapter->environment, values);
	return !r && permission ? add_each(env, permission->environment, values) : r;
}

static int add_launch_file(struct launch *launch, const char *dir, const char *name, struct buf *data, bool in_worktree)
{
	struct launch_file *file = &launch->files[launch->file_count];

	file->path = io_join(dir, name);
	file->len = data->len;
	file->data = buf_take(data);
	file->mode = 0600;
	file->in_worktree = in_worktree;
	launch->file_count++; /* freed with the launch, whatever of it is there */
	return file->path && file->data ? 0 : -ENOMEM;
}

static int make_file(const struct adapter_file *from, const struct adapter_params *params, const struct values *values,
	struct launch *launch, struct error *error)
{
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	bool missing = false;
	int r;

	r = expand(from->text, values, &text, &missing);
	if (!r && missing)
		r = error_set(error, ADAPTER_E_INVALID, "%s cannot be written: a value for it is missing", from->name);
	if (r)
		return r;
	return add_launch_file(launch, from->in_worktree ? params->worktree : params->session_dir, from->name, &text,
		from->in_worktree);
}

static int make_files(const struct adapter *adapter, const struct adapter_params *params, const struct values *values,
	struct launch *launch, struct error *error)
{
	_cleanup_(buf_deinit) struct buf prompt = BUF_NULL;
	int r = 0;

	launch->files = calloc(adapter->file_count + 1, sizeof(*launch->files));
	if (!launch->files)
		return -ENOMEM;
	if (params->prompt) {
		r = buf_append(&prompt, params->prompt, params->prompt_len);
		if (!r)
			r = add_launch_file(launch, params->session_dir, "prompt", &prompt, false);
	}
	for (size_t i = 0; !r && i < adapter->file_count; i++)
		r = make_file(&adapter->files[i], params, values, launch, error);
	return r;
}

static int make_paste(const struct adapter *adapter, const struct values *values, struct launch *launch)
{
	const char *text = values->text[VALUE_PROMPT];

	if (adapter->prompt != ADAPTER_PROMPT_PASTE || !text)
		return 0;
	launch->paste = strdup(text);
	launch->paste_len = strlen(text);
	return launch->paste ? 0 : -ENOMEM;
}

int adapter_prepare(const struct adapter *adapter, const struct adapter_params *params, struct launch *ret_launch,
	struct error *error)
{
	_cleanup_(values_deinit) struct values values = { 0 };
	_cleanup_(launch_deinit) struct launch launch = LAUNCH_NULL;
	struct words argv = { 0 }, env = { 0 };
	int r;

	r = check_params(adapter, params, error);
	if (!r)
		r = fill_values(params, &values);
	if (!r)
		r = make_argv(adapter, params, &values, &argv);
	launch.argv = argv.items;
	if (!r)
		r = make_env(adapter, params, &values, &env);
	launch.env = env.items;
	if (!r && !launch.env)
		r = (launch.env = calloc(1, sizeof(*launch.env))) ? 0 : -ENOMEM;
	if (!r)
		r = make_files(adapter, params, &values, &launch, error);
	if (!r)
		r = make_paste(adapter, &values, &launch);
	if (r)
		return r;
	*ret_launch = launch;
	launch = LAUNCH_NULL;
	return 0;
}

static int write_file(const struct launch_file *file, struct error *error)
{
	_cleanup_free_ char *dir = strdup(file->path);
	int r;

	if (!dir)
		return -ENOMEM;
	r = io_make_dirs(dirname(dir), 0700);
	if (!r)
		r = file->in_worktree ? io_create_file(file->path, file->data, file->len, file->mode) :
					io_replace_file(file->path, file->data, file->len, file->mode);
	if (r == -EEXIST)
		return 0;
	return r ? error_set(error, r, "%s cannot be written: %s", file->path, strerror(-r)) : 0;
}

int launch_write_files(const struct launch *launch, struct error *error)
{
	int r = 0;

	for (size_t i = 0; !r && i < launch->file_count; i++)
		r = write_file(&launch->files[i], error);
	return r;
}

void launch_deinit(struct launch *launch)
{
	for (size_t i = 0; i < launch->file_count; i++) {
		free(launch->files[i].path);
		free(launch->files[i].data);
	}
	free(launch->files);
	strings_free(launch->argv);
	strings_free(launch->env);
	free(launch->paste);
	*launch = LAUNCH_NULL;
}
