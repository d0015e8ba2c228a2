#include "proto/wire/names.h"
#include "proto/wire/limit.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

struct word {
	int value;
	const char *text;
};

static const struct word task_states[] = {
	{ MAESTRO__TASK_STATE__TASK_QUEUED, "queued" },
	{ MAESTRO__TASK_STATE__TASK_STARTING, "starting" },
	{ MAESTRO__TASK_STATE__TASK_RUNNING, "running" },
	{ MAESTRO__TASK_STATE__TASK_REVIEW, "review" },
	{ MAESTRO__TASK_STATE__TASK_DONE, "done" },
	{ MAESTRO__TASK_STATE__TASK_FAILED, "failed" },
	{ MAESTRO__TASK_STATE__TASK_CANCELLED, "cancelled" },
	{ MAESTRO__TASK_STATE__TASK_LOST, "lost" },
	{ MAESTRO__TASK_STATE__TASK_MERGED, "merged" },
	{ MAESTRO__TASK_STATE__TASK_REJECTED, "rejected" },
	{ 0, NULL },
};

static const struct word agent_states[] = {
	{ MAESTRO__AGENT_STATE__AGENT_IDLE, "idle" },
	{ MAESTRO__AGENT_STATE__AGENT_WORKING, "working" },
	{ MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, "needs_input" },
	{ MAESTRO__AGENT_STATE__AGENT_COMPLETE, "complete" },
	{ MAESTRO__AGENT_STATE__AGENT_ERROR, "error" },
	{ MAESTRO__AGENT_STATE__AGENT_LIMITED, "limited" },
	{ 0, NULL },
};

static const struct word sources[] = {
	{ MAESTRO__STATUS_SOURCE__SOURCE_PROCESS, "process" },
	{ MAESTRO__STATUS_SOURCE__SOURCE_SCREEN, "screen" },
	{ MAESTRO__STATUS_SOURCE__SOURCE_HOOK, "hook" },
	{ MAESTRO__STATUS_SOURCE__SOURCE_MCP, "mcp" },
	{ 0, NULL },
};

static const struct word sessions[] = {
	{ MAESTRO__SESSION_STATE__SESSION_NONE, "none" },
	{ MAESTRO__SESSION_STATE__SESSION_LIVE, "live" },
	{ MAESTRO__SESSION_STATE__SESSION_ENDED, "ended" },
	{ 0, NULL },
};

static const struct word worker_states[] = {
	{ MAESTRO__WORKER_STATE__WORKER_READY, "ready" },
	{ MAESTRO__WORKER_STATE__WORKER_SUSPECT, "suspect" },
	{ MAESTRO__WORKER_STATE__WORKER_UNKNOWN, "unknown" },
	{ MAESTRO__WORKER_STATE__WORKER_LOST, "lost" },
	{ 0, NULL },
};

static const struct word roles[] = {
	{ MAESTRO__ROLE__ROLE_VIEWER, "viewer" },
	{ MAESTRO__ROLE__ROLE_OPERATOR, "operator" },
	{ MAESTRO__ROLE__ROLE_ADMIN, "admin" },
	{ MAESTRO__ROLE__ROLE_WORKER, "worker" },
	{ 0, NULL },
};

static const char *word_text(const struct word *words, int value)
{
	for (; words->text; words++)
		if (words->value == value)
			return words->text;
	return "unknown";
}

static int word_parse(const struct word *words, const char *what, const char *text, int *ret_value, struct error *error)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;
	const char *names[16];
	size_t n = 0;

	for (; words[n].text; n++) {
		if (strcmp(words[n].text, text) == 0) {
			*ret_value = words[n].value;
			return 0;
		}
		names[n] = words[n].text;
		buf_printf(&all, "%s%s", n ? ", " : "", words[n].text);
	}
	error_set(error, -EINVAL, "no %s '%s' (%s)", what, text, buf_text(&all));
	if (str_nearest(text, names, n))
		error_hint(error, "did you mean '%s'?", str_nearest(text, names, n));
	return -EINVAL;
}

const char *name_task_state(Maestro__TaskState state)
{
	return word_text(task_states, (int)state);
}

const char *name_agent_state(Maestro__AgentState state)
{
	return word_text(agent_states, (int)state);
}

const char *name_source(Maestro__StatusSource source)
{
	return word_text(sources, (int)source);
}

const char *name_session(Maestro__SessionState state)
{
	return word_text(sessions, (int)state);
}

const char *name_worker_state(Maestro__WorkerState state)
{
	return word_text(worker_states, (int)state);
}

const char *name_role(Maestro__Role role)
{
	return word_text(roles, (int)role);
}

int name_parse_task_state(const char *text, Maestro__TaskState *ret_state, struct error *error)
{
	int value, r;

	r = word_parse(task_states, "state", text, &value, error);
	if (!r)
		*ret_state = (Maestro__TaskState)value;
	return r;
}

int name_parse_agent_state(const char *text, Maestro__AgentState *ret_state, struct error *error)
{
	int value, r;

	r = word_parse(agent_states, "status", text, &value, error);
	if (!r)
		*ret_state = (Maestro__AgentState)value;
	return r;
}

int name_parse_role(const char *text, Maestro__Role *ret_role, struct error *error)
{
	int value, r;

	r = word_parse(roles, "role", text, &value, error);
	if (!r)
		*ret_role = (Maestro__Role)value;
	return r;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool name_valid(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (!len || len > LIMIT_NAME_CHARS || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_name_char(name[i]))
			return false;
	return !strstr(name, "..") && !str_ends(name, ".lock") && name[len - 1] != '.';
}

bool name_label_value_valid(const char *value)
{
	size_t len = value ? strlen(value) : 0;

	if (!len || len > LIMIT_NAME_CHARS)
		return false;
	for (size_t i = 0; i < len; i++)
		if (value[i] <= ' ' || value[i] >= 0x7f || value[i] == '=' || value[i] == ',')
			return false;
	return true;
}

/* git-check-ref-format(1), rules 1 to 10, with the option that allows one level. */
bool name_branch_valid(const char *branch)
{
	size_t len = branch ? strlen(branch) : 0;

	if (!len || len > 200 || branch[0] == '-' || branch[0] == '/' || branch[0] == '.' || strcmp(branch, "@") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)branch[i] <= ' ' || branch[i] == 0x7f || strchr("~^:?*[\\", branch[i]))
			return false;
	if (strstr(branch, "..") || strstr(branch, "//") || strstr(branch, "/.") || strstr(branch, "@{") ||
		strstr(branch, ".lock/"))
		return false;
	return branch[len - 1] != '/' && branch[len - 1] != '.' && !str_ends(branch, ".lock") &&
		str_utf8_valid(branch, len);
}

bool name_commit_valid(const char *commit)
{
	return commit && strlen(commit) == 40 && strspn(commit, "0123456789abcdef") == 40;
}

int name_parse_label(const char *text, char **ret_key, char **ret_value, struct error *error)
{
	const char *equals = strchr(text, '=');
	_cleanup_free_ char *key = NULL;

	key = strndup(text, equals ? (size_t)(equals - text) : strlen(text));
	if (!key)
		return -ENOMEM;
	if (!equals || !name_valid(key) || !name_label_value_valid(equals + 1))
		return error_set(error, -EINVAL,
			"'%s' is no label: write KEY=VALUE, the key of a-z 0-9 . _ -, the value without spaces", text);
	*ret_value = strdup(equals + 1);
	if (!*ret_value)
		return -ENOMEM;
	*ret_key = take(key);
	return 0;
}

/* One code point to ASCII letters: decomposed, marks dropped; 0 if there is no such letter. */
static size_t fold_to_ascii(uint32_t code, char out[4])
{
	utf8proc_int32_t parts[8];
	utf8proc_ssize_t n;
	int boundary = 0;
	size_t len = 0;

	if (code == 0xdf) {
		memcpy(out, "ss", 2);
		return 2;
	}
	n = utf8proc_decompose_char((utf8proc_int32_t)code, parts, ARRAY_SIZE(parts),
		UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD, &boundary);
	for (utf8proc_ssize_t i = 0; i < n && i < (utf8proc_ssize_t)ARRAY_SIZE(parts) && len < 4; i++)
		if (parts[i] < 0x80 && isalnum((int)parts[i]))
			out[len++] = (char)tolower((int)parts[i]);
	return len;
}

void name_slug(const char *text, size_t len, char *slug)
{
	bool gap = false;
	size_t n = 0;

	while (len && n < NAME_SLUG_MAX - 1) {
		char letters[4];
		uint32_t code = 0;
		int bytes = str_utf8_next(text, len, &code);
		size_t count = bytes > 0 ? fold_to_ascii(code, letters) : 0;

		if (code == '\n' && n)
			break;
		if (!count)
			gap = n > 0;
		for (size_t i = 0; i < count && n < NAME_SLUG_MAX - 1; i++) {
			if (gap && n < NAME_SLUG_MAX - 2)
				slug[n++] = '-';
			gap = false;
			slug[n++] = letters[i];
		}
		text += bytes > 0 ? bytes : 1;
		len -= bytes > 0 ? (size_t)bytes : 1;
	}
	slug[n] = 0;
	if (!n)
		strcpy(slug, "task");
}

void name_branch(uint64_t task, const char *slug, uint32_t attempt, char *branch)
{
	if (attempt > 1)
		snprintf(branch, NAME_BRANCH_MAX, "maestro/%" PRIu64 "-%s.%" PRIu32, task, slug, attempt);
	else
		snprintf(branch, NAME_BRANCH_MAX, "maestro/%" PRIu64 "-%s", task, slug);
}

bool task_state_over(Maestro__TaskState state)
{
	return state == MAESTRO__TASK_STATE__TASK_DONE || state == MAESTRO__TASK_STATE__TASK_FAILED ||
		state == MAESTRO__TASK_STATE__TASK_CANCELLED || state == MAESTRO__TASK_STATE__TASK_LOST ||
		state == MAESTRO__TASK_STATE__TASK_MERGED || state == MAESTRO__TASK_STATE__TASK_REJECTED;
}

bool task_state_settled(Maestro__TaskState state)
{
	return task_state_over(state) || state == MAESTRO__TASK_STATE__TASK_REVIEW;
}
