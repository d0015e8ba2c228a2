/* An adapter's file. */
#include "worker/agents/adapter_internal.h"
#include "proto/wire/names.h"

#include <confuse.h>
#include <stdio.h>
#include <string.h>

/* libconfuse does not write to a default, but wants it without const. */
#define WORDS(name) CFG_STR_LIST(name, (char *)(uintptr_t)"{}", CFGF_NONE)

static const char *const prompt_words[] = { "argument", "file", "paste", "none" };

/* libconfuse's error function has no place for a user's pointer; reading happens in one thread, one file at a time. */
static struct error *reading_error;

static void note_error(cfg_t *cfg, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	if (!reading_error || reading_error->why)
		return; /* the first says most */
	error_set(reading_error, ADAPTER_E_INVALID, "%s:%d: %s", cfg && cfg->filename ? cfg->filename : "?",
		cfg ? cfg->line : 0, text);
}

void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

static int copy_list(cfg_t *cfg, const char *name, char ***ret_strings)
{
	unsigned int count = cfg_size(cfg, name);
	_cleanup_(strings_free_p) char **strings = calloc(count + 1, sizeof(*strings));

	if (!strings)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		strings[i] = strdup(cfg_getnstr(cfg, name, i));
		if (!strings[i])
			return -ENOMEM;
	}
	*ret_strings = take(strings);
	return 0;
}

static int copy_text(cfg_t *cfg, const char *name, char **ret_text)
{
	const char *text = cfg_getstr(cfg, name);

	*ret_text = strdup(text ? text : "");
	return *ret_text ? 0 : -ENOMEM;
}

static int read_groups(cfg_t *cfg, struct adapter *adapter)
{
	unsigned int count = cfg_size(cfg, "arguments");
	int r = 0;

	adapter->groups = calloc(count + 1, sizeof(*adapter->groups));
	if (!adapter->groups)
		return -ENOMEM;
	for (; !r && adapter->group_count < count; adapter->group_count++)
		r = copy_list(cfg_getnsec(cfg, "arguments", (unsigned int)adapter->group_count), "words",
			&adapter->groups[adapter->group_count].words);
	return r;
}

static int read_permissions(cfg_t *cfg, struct adapter *adapter)
{
	unsigned int count = cfg_size(cfg, "permission");
	int r = 0;

	adapter->permissions = calloc(count + 1, sizeof(*adapter->permissions));
	if (!adapter->permissions)
		return -ENOMEM;
	for (; !r && adapter->permission_count < count; adapter->permission_count++) {
		struct adapter_permission *permission = &adapter->permissions[adapter->permission_count];
		cfg_t *section = cfg_getnsec(cfg, "permission", (unsigned int)adapter->permission_count);

		permission->name = strdup(cfg_title(section));
		r = permission->name ? copy_list(section, "words", &permission->words) : -ENOMEM;
		if (!r)
			r = copy_list(section, "environment", &permission->environment);
	}
	return r;
}

static int read_files(cfg_t *cfg, struct adapter *adapter, struct error *error)
{
	unsigned int count = cfg_size(cfg, "file");
	int r = 0;

	adapter->files = calloc(count + 1, sizeof(*adapter->files));
	if (!adapter->files)
		return -ENOMEM;
	for (; !r && adapter->file_count < count; adapter->file_count++) {
		struct adapter_file *file = &adapter->files[adapter->file_count];
		cfg_t *section = cfg_getnsec(cfg, "file", (unsigned int)adapter->file_count);
		const char *where = cfg_getstr(section, "where");

		file->name = strdup(cfg_title(section));
		r = file->name ? copy_text(section, "text", &file->text) : -ENOMEM;
		file->in_worktree = strcmp(where, "worktree") == 0;
		if (!r && !file->in_worktree && strcmp(where, "session") != 0)
			r = error_set(error, ADAPTER_E_INVALID, "%s: file \"%s\": where = %s: session or worktree", adapter->name,
				file->name, where);
		if (!r && (file->name[0] == '/' || strstr(file->name, "..")))
			r = error_set(error, ADAPTER_E_INVALID, "%s: file \"%s\": a name inside the directory", adapter->name, file->name);
	}
	return r;
}

static int read_prompt(cfg_t *cfg, struct adapter *adapter, struct error *error)
{
	const char *word = cfg_getstr(cfg, "prompt");

	for (size_t i = 0; i < ARRAY_SIZE(prompt_words); i++)
		if (strcmp(word, prompt_words[i]) == 0) {
			adapter->prompt = (enum adapter_prompt)i;
			return 0;
		}
	return error_set(error, ADAPTER_E_INVALID, "%s: prompt = %s: argument, file, paste or none", adapter->name, word);
}

static int fill(cfg_t *cfg, struct adapter *adapter, struct error *error)
{
	int r;

	adapter->agent = cfg_getbool(cfg, "agent");
	adapter->interactive = cfg_getbool(cfg, "interactive");
	r = copy_text(cfg, "title", &adapter->title);
	if (!r)
		r = copy_text(cfg, "program", &adapter->program);
	if (!r)
		r = read_prompt(cfg, adapter, error);
	if (!r)
		r = copy_list(cfg, "version", &adapter->version);
	if (!r)
		r = copy_list(cfg, "login", &adapter->login);
	if (!r)
		r = copy_list(cfg, "environment", &adapter->environment);
	if (!r)
		r = copy_list(cfg, "pass", &adapter->pass);
	if (!r)
		r = copy_list(cfg, "busy", &adapter->patterns[ADAPTER_BUSY]);
	if (!r)
		r = copy_list(cfg, "waiting", &adapter->patterns[ADAPTER_WAITING]);
	if (!r)
		r = copy_list(cfg, "limited", &adapter->patterns[ADAPTER_LIMITED]);
	if (!r)
		r = copy_list(cfg, "until", &adapter->patterns[ADAPTER_UNTIL]);
	if (!r)
		r = read_groups(cfg, adapter);
	if (!r)
		r = read_permissions(cfg, adapter);
	return r ? r : read_files(cfg, adapter, error);
}

static int check_words(const struct adapter *adapter, char *const *words, bool *has_prompt, struct error *error)
{
	for (; words && *words; words++) {
		_cleanup_free_ char *unknown = adapter_unknown_placeholder(*words);

		if (unknown)
			return error_set(error, ADAPTER_E_INVALID, "%s: there is no placeholder %s", adapter->name, unknown);
		if (has_prompt && (strstr(*words, "{prompt}") || strstr(*words, "{prompt_file}")))
			*has_prompt = true;
	}
	return 0;
}

static int check(const struct adapter *adapter, struct error *error)
{
	bool has_prompt = false;
	int r = 0;

	if (!*adapter->program || !adapter->group_count)
		return error_set(error, ADAPTER_E_INVALID, "%s: program and arguments are needed", adapter->name);
	for (size_t i = 0; !r && i < adapter->group_count; i++)
		r = check_words(adapter, adapter->groups[i].words, &has_prompt, error);
	for (size_t i = 0; !r && i < adapter->permission_count; i++) {
		r = check_words(adapter, adapter->permissions[i].words, NULL, error);
		if (!r)
			r = check_words(adapter, adapter->permissions[i].environment, NULL, error);
	}
	for (size_t i = 0; !r && i < adapter->file_count; i++)
		r = check_words(adapter, (char *const[]){ adapter->files[i].text, NULL }, NULL, error);
	if (!r)
		r = check_words(adapter, adapter->environment, NULL, error);
	if (r)
		return r;
	if (has_prompt != (adapter->prompt == ADAPTER_PROMPT_ARGUMENT || adapter->prompt == ADAPTER_PROMPT_FILE))
		return error_set(error, ADAPTER_E_INVALID, "%s: prompt = %s, but the arguments %s it", adapter->name,
			prompt_words[adapter->prompt], has_prompt ? "hold" : "do not hold");
	return 0;
}

int adapter_read(const char *path, const char *name, struct adapter *adapter, struct error *error)
{
	cfg_opt_t group[] = { WORDS("words"), CFG_END() };
	cfg_opt_t permission[] = { WORDS("words"), WORDS("environment"),
		CFG_END() };
	cfg_opt_t file[] = { CFG_STR("text", "", CFGF_NONE), CFG_STR("where", "session", CFGF_NONE), CFG_END() };
	cfg_opt_t options[] = {
		CFG_STR("title", "", CFGF_NONE), CFG_STR("program", "", CFGF_NONE), CFG_BOOL("agent", cfg_true, CFGF_NONE),
		CFG_BOOL("interactive", cfg_true, CFGF_NONE), CFG_STR("prompt", "argument", CFGF_NONE),
		WORDS("version"), WORDS("login"), WORDS("environment"),
		WORDS("pass"), WORDS("busy"),
		WORDS("waiting"), WORDS("limited"), WORDS("until"),
		CFG_SEC("arguments", group, CFGF_MULTI), CFG_SEC("permission", permission, CFGF_MULTI | CFGF_TITLE),
		CFG_SEC("file", file, CFGF_MULTI | CFGF_TITLE), CFG_END() };
	cfg_t *cfg;
	int r;

	adapter->name = strdup(name);
	cfg = cfg_init(options, CFGF_NONE);
	if (!cfg || !adapter->name) {
		cfg_free(cfg);
		return -ENOMEM;
	}
	(void)cfg_set_error_function(cfg, note_error);
	reading_error = error;
	r = cfg_parse(cfg, path);
	reading_error = NULL;
	if (r == CFG_FILE_ERROR)
		r = error_set(error, ADAPTER_E_INVALID, "%s: %s", path, strerror(errno));
	else if (r != CFG_SUCCESS)
		r = ADAPTER_E_INVALID; /* note_error has said why */
	else
		r = fill(cfg, adapter, error);
	cfg_free(cfg);
	return r ? r : check(adapter, error);
}

void adapter_deinit(struct adapter *adapter)
{
	for (size_t i = 0; i < adapter->group_count; i++)
		strings_free(adapter->groups[i].words);
	for (size_t i = 0; i < adapter->permission_count; i++) {
		free(adapter->permissions[i].name);
		strings_free(adapter->permissions[i].words);
		strings_free(adapter->permissions[i].environment);
	}
	for (size_t i = 0; i < adapter->file_count; i++) {
		free(adapter->files[i].name);
		free(adapter->files[i].text);
	}
	for (size_t i = 0; i < ADAPTER_PATTERN_COUNT; i++)
		strings_free(adapter->patterns[i]);
	strings_free(adapter->version);
	strings_free(adapter->login);
	strings_free(adapter->environment);
	strings_free(adapter->pass);
	free(adapter->groups);
	free(adapter->permissions);
	free(adapter->files);
	free(adapter->name);
	free(adapter->title);
	free(adapter->program);
}
