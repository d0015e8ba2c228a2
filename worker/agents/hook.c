#include "worker/agents/hook.h"
#include "proto/wire/limit.h"

#include <jansson.h>
#include <string.h>

enum detail { DETAIL_NONE, DETAIL_TOOL, DETAIL_PERMISSION, DETAIL_NOTIFICATION, DETAIL_MESSAGE };

/* Claude Code's events; the others' CLIs use the same names for the same things where they have them. */
static const struct {
	const char *event;
	Maestro__AgentState state;
	enum detail detail;
} events[] = {
	{ "SessionStart", MAESTRO__AGENT_STATE__AGENT_IDLE, DETAIL_NONE },
	{ "UserPromptSubmit", MAESTRO__AGENT_STATE__AGENT_WORKING, DETAIL_NONE },
	{ "PreToolUse", MAESTRO__AGENT_STATE__AGENT_WORKING, DETAIL_TOOL },
	{ "PostToolUse", MAESTRO__AGENT_STATE__AGENT_WORKING, DETAIL_NONE },
	{ "PermissionRequest", MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, DETAIL_PERMISSION },
	{ "Notification", MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, DETAIL_NOTIFICATION },
	{ "Stop", MAESTRO__AGENT_STATE__AGENT_IDLE, DETAIL_NONE },
	{ "StopFailure", MAESTRO__AGENT_STATE__AGENT_ERROR, DETAIL_MESSAGE },
};

static char *format_tool(const char *prefix, const char *tool)
{
	char *text = NULL;

	return tool && asprintf(&text, "%s%.200s", prefix, tool) >= 0 ? text : NULL;
}

static char *copy_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? strndup(text, LIMIT_STATUS_BYTES) : NULL;
}

/* A notification that only reminds of an idle prompt is no question. */
static bool notification_counts(const json_t *json)
{
	const char *type = json_string_value(json_object_get(json, "notification_type"));

	return !type || strcmp(type, "permission_prompt") == 0 || strcmp(type, "elicitation_dialog") == 0;
}

static bool add_detail(enum detail detail, const json_t *json, struct hook_meaning *meaning)
{
	const char *tool = json_string_value(json_object_get(json, "tool_name"));

	switch (detail) {
	case DETAIL_TOOL:
		meaning->message = format_tool("", tool);
		meaning->file = copy_text(json_object_get(json, "tool_input"), "file_path");
		return true;
	case DETAIL_PERMISSION:
		meaning->message = format_tool("asks to use ", tool);
		return true;
	case DETAIL_NOTIFICATION:
		meaning->message = copy_text(json, "message");
		return notification_counts(json);
	case DETAIL_MESSAGE:
		meaning->message = copy_text(json, "error");
		return true;
	case DETAIL_NONE:
	default:
		return true;
	}
}

bool hook_understand(const char *event, const char *json, size_t json_len, struct hook_meaning *ret_meaning)
{
	json_t *root = json ? json_loadb(json, json_len, 0, NULL) : NULL;
	struct hook_meaning meaning = { 0 };
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(events) && !known; i++)
		if (strcmp(events[i].event, event) == 0) {
			meaning.state = events[i].state;
			known = add_detail(events[i].detail, root, &meaning);
			break;
		}
	json_decref(root);
	if (known)
		*ret_meaning = meaning;
	else
		hook_meaning_deinit(&meaning);
	return known;
}

void hook_meaning_deinit(struct hook_meaning *meaning)
{
	free(take(meaning->message));
	free(take(meaning->file));
}
