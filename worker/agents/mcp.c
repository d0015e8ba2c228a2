#include "worker/agents/mcp.h"
#include "worker/agents/until.h"
#include "proto/base/clock.h"
#include "proto/wire/limit.h"
#include "proto/wire/names.h"

#include <jansson.h>
#include <string.h>

enum {
	RPC_PARSE = -32700,
	RPC_INVALID = -32600,
	RPC_METHOD = -32601,
	RPC_PARAMS = -32602,
	RPC_VERSION = -32022,
};

#define META "io.modelcontextprotocol/"
#define VERSION_STATELESS "2026-07-28"
#define LIST_TTL_MS 3600000

/* The newest of the older era first: the answer to a version that is not known. */
static const char *const handshake_versions[] = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05" };

static const char instructions[] =
	"This session runs under Maestro, whose person watches many sessions at once. Call report_status when you begin, "
	"when what you work on changes, when you need an answer (needs_input, with the question as the message), and when "
	"everything asked for is done (complete).";

static const char tool_text[] =
	"{\"name\":\"report_status\",\"title\":\"Report status\","
	"\"description\":\"Tells the person who watches this session what you are doing. Say complete only when everything "
	"asked for is done: your changes are then committed, pushed and reviewed.\","
	"\"inputSchema\":{\"type\":\"object\",\"properties\":{"
	"\"state\":{\"type\":\"string\",\"enum\":[\"idle\",\"working\",\"needs_input\",\"complete\",\"error\",\"limited\"],"
	"\"description\":\"needs_input: you wait for the person. limited: a rate or usage limit stops you.\"},"
	"\"message\":{\"type\":\"string\",\"maxLength\":1024,\"description\":\"One sentence: what you do, or what you ask.\"},"
	"\"file\":{\"type\":\"string\",\"maxLength\":1024,\"description\":\"The file at hand, relative to the worktree.\"},"
	"\"progress\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"description\":\"Percent done.\"},"
	"\"until\":{\"type\":\"string\",\"maxLength\":64,\"description\":\"With limited: when the limit ends, as a time "
	"(2026-11-22T15:00:00Z, 15:00, 3pm) or how long from now (2h 30m).\"}},"
	"\"required\":[\"state\"],\"additionalProperties\":false},"
	"\"annotations\":{\"readOnlyHint\":false,\"destructiveHint\":false,\"idempotentHint\":true,\"openWorldHint\":false}}";

static const char *const argument_names[] = { "state", "message", "file", "progress", "until" };

struct request {
	struct mcp *mcp;
	const json_t *id, *params;
	bool stateless;
	json_t *result;     /* one of result and error */
	json_t *error;
};

/* What is out of memory is found out when the answer is put together. */
static void refuse(struct request *request, int code, const char *message)
{
	json_decref(request->error);
	request->error = json_pack("{s:i, s:s}", "code", code, "message", message);
}

static json_t *server_info(void)
{
	return json_pack("{s:s, s:s, s:s}", "name", "maestro", "title", "Maestro", "version", MAESTRO_VERSION);
}

/* --- the tool ------------------------------------------------------------------------------------------------- */

static int check_names(const json_t *arguments, struct error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)arguments, key, value) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(argument_names); i++)
			known = known || strcmp(key, argument_names[i]) == 0;
		if (!known)
			return error_set(error, -EINVAL, "there is no argument \"%.64s\"; there are state, message, file and "
				"progress", key);
	}
	return 0;
}

static int take_text(const json_t *arguments, const char *name, const char **ret_text, struct error *error)
{
	const json_t *value = json_object_get(arguments, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return error_set(error, -EINVAL, "%s must be a string", name);
	if (json_string_length(value) > LIMIT_STATUS_BYTES)
		return error_set(error, -EINVAL, "%s has %zu bytes, at most %u are allowed: shorten it", name,
			json_string_length(value), LIMIT_STATUS_BYTES);
	*ret_text = json_string_value(value);
	return 0;
}

static int take_progress(const json_t *arguments, struct mcp_report *report, struct error *error)
{
	const json_t *value = json_object_get(arguments, "progress");
	double number;

	if (!value || json_is_null(value))
		return 0;
	number = json_number_value(value);
	if (!json_is_number(value) || !(number >= 0 && number <= 100))
		return error_set(error, -EINVAL, "progress must be a number from 0 to 100");
	report->has_progress = true;
	report->progress = (uint32_t)number;
	return 0;
}

static int take_until(const json_t *arguments, struct mcp_report *report, struct error *error)
{
	const char *text = NULL;
	int r;

	r = take_text(arguments, "until", &text, error);
	if (r || !text)
		return r;
	return mcp_take_until(text, report, error);
}

int mcp_take_until(const char *text, struct mcp_report *report, struct error *error)
{
	int r;

	if (report->state != MAESTRO__AGENT_STATE__AGENT_LIMITED)
		return error_set(error, -EINVAL, "until goes with limited only");
	r = until_parse(text, strlen(text), clock_wall_ms(), &report->limited_ms);
	if (r == -ERANGE)
		return error_set(error, -EINVAL, "until is not within the next 8 days");
	return r ? error_set(error, -EINVAL, "until is no time: 2026-11-22T15:00:00Z, 15:00, 3pm or 2h 30m") : 0;
}

static int take_arguments(const json_t *arguments, struct mcp_report *report, struct error *error)
{
	const json_t *state = json_object_get(arguments, "state");
	int r;

	r = check_names(arguments, error);
	if (r)
		return r;
	if (!json_is_string(state))
		return error_set(error, -EINVAL, "state is needed: one of idle, working, needs_input, complete, error, limited");
	r = name_parse_agent_state(json_string_value(state), &report->state, error);
	if (!r)
		r = take_text(arguments, "message", &report->message, error);
	if (!r)
		r = take_text(arguments, "file", &report->file, error);
	if (!r)
		r = take_until(arguments, report, error);
	return r ? r : take_progress(arguments, report, error);
}

static void call_tool(struct request *request)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	const char *name = json_string_value(json_object_get(request->params, "name"));
	const json_t *arguments = json_object_get(request->params, "arguments");
	struct mcp_report report = { 0 };
	int r;

	if (!name || strcmp(name, "report_status") != 0) {
		refuse(request, RPC_PARAMS, "there is no such tool; there is report_status");
		return;
	}
	if (arguments && !json_is_object(arguments)) {
		refuse(request, RPC_PARAMS, "arguments must be an object");
		return;
	}
	r = take_arguments(arguments, &report, &error);
	if (!r)
		r = request->mcp->report(request->mcp->userdata, &report, &error);
	request->result = json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text",
		r ? error_text(&error, r) : "The status was told.", "isError", r != 0);
	if (!request->result) /* the sentence was no UTF-8 */
		request->result = json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text",
			"The status could not be told.", "isError", true);
}

static void list_tools(struct request *request)
{
	request->result = json_pack("{s:[o]}", "tools", json_loads(tool_text, 0, NULL));
	if (request->stateless && request->result) {
		(void)json_object_set_new(request->result, "ttlMs", json_integer(LIST_TTL_MS));
		(void)json_object_set_new(request->result, "cacheScope", json_string("private"));
	}
}

/* --- the handshakes ------------------------------------------------------------------------------------------- */

static json_t *capabilities(void)
{
	return json_pack("{s:{}}", "tools");
}

static void initialize(struct request *request)
{
	const char *wanted = json_string_value(json_object_get(request->params, "protocolVersion"));
	const char *version = handshake_versions[0];

	for (size_t i = 0; wanted && i < ARRAY_SIZE(handshake_versions); i++)
		if (strcmp(wanted, handshake_versions[i]) == 0)
			version = handshake_versions[i];
	request->mcp->initialized = true;
	request->result = json_pack("{s:s, s:o, s:o, s:s}", "protocolVersion", version, "capabilities", capabilities(),
		"serverInfo", server_info(), "instructions", instructions);
}

static void discover(struct request *request)
{
	request->result = json_pack("{s:[s], s:o, s:s, s:i, s:s}", "supportedVersions", VERSION_STATELESS, "capabilities",
		capabilities(), "instructions", instructions, "ttlMs", LIST_TTL_MS, "cacheScope", "private");
}

static void ping(struct request *request)
{
	request->result = json_object();
}

static const struct {
	const char *method;
	bool handshake, stateless; /* in which eras it is */
	void (*handle)(struct request *request);
} methods[] = {
	{ "initialize", true, false, initialize },
	{ "ping", true, false, ping },
	{ "server/discover", false, true, discover },
	{ "tools/list", true, true, list_tools },
	{ "tools/call", true, true, call_tool },
};

/* --- one message ---------------------------------------------------------------------------------------------- */

static bool check_stateless(struct request *request, const json_t *meta)
{
	const json_t *version = json_object_get(meta, META "protocolVersion");

	if (!json_is_string(version)) {
		refuse(request, RPC_PARAMS, "params._meta[\"" META "protocolVersion\"] is no string");
		return false;
	}
	if (strcmp(json_string_value(version), VERSION_STATELESS) != 0) {
		refuse(request, RPC_VERSION, "this version of the protocol is not supported");
		(void)json_object_set_new(request->error, "data", json_pack("{s:[s], s:s}", "supported", VERSION_STATELESS,
			"requested", json_string_value(version)));
		return false;
	}
	if (!json_is_object(json_object_get(meta, META "clientCapabilities"))) {
		refuse(request, RPC_PARAMS, "params._meta[\"" META "clientCapabilities\"] is missing");
		return false;
	}
	return true;
}

static bool check_era(struct request *request, const char *method)
{
	const json_t *meta = json_object_get(request->params, "_meta");

	request->stateless = json_object_get(meta, META "protocolVersion") != NULL;
	if (request->stateless)
		return check_stateless(request, meta);
	if (request->mcp->initialized || strcmp(method, "initialize") == 0 || strcmp(method, "ping") == 0)
		return true;
	refuse(request, RPC_PARAMS, "params._meta with \"" META "protocolVersion\" is missing, and there was no initialize");
	return false;
}

static void dispatch(struct request *request, const char *method)
{
	if (request->params && !json_is_object(request->params)) {
		refuse(request, RPC_PARAMS, "params must be an object");
		return;
	}
	if (!check_era(request, method))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i].method, method) == 0 && (request->stateless ? methods[i].stateless : methods[i].handshake)) {
			methods[i].handle(request);
			return;
		}
	refuse(request, RPC_METHOD, "there is no such method");
}

static void complete(struct request *request)
{
	if (!request->stateless || !request->result)
		return;
	(void)json_object_set_new(request->result, "resultType", json_string("complete"));
	(void)json_object_set_new(request->result, "_meta", json_pack("{s:o}", META "serverInfo", server_info()));
}

static int put_answer(struct request *request, struct buf *out)
{
	json_t *answer = json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", request->id ? request->id : json_null());
	char *text = NULL;
	int r = -ENOMEM;

	if (answer && (request->error || request->result) &&
		json_object_set(answer, request->error ? "error" : "result",
			request->error ? request->error : request->result) == 0)
		text = json_dumps(answer, JSON_COMPACT);
	if (text)
		r = buf_append_str(out, text);
	free(text);
	json_decref(answer);
	return r;
}

/* A request's id, or NULL with the refusal set. */
static void examine(struct request *request, const json_t *message, const char **ret_method)
{
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));
	const json_t *id = json_object_get(message, "id");

	if (json_is_array(message)) {
		refuse(request, RPC_INVALID, "batches are not part of the protocol any more: send one message at a time");
		return;
	}
	if (!json_is_object(message) || !version || strcmp(version, "2.0") != 0) {
		refuse(request, RPC_INVALID, "not a JSON-RPC 2.0 message");
		return;
	}
	if (id && !json_is_string(id) && !json_is_integer(id)) {
		refuse(request, RPC_INVALID, "id must be a string or an integer");
		return;
	}
	request->id = id;
	*ret_method = json_string_value(json_object_get(message, "method"));
	if (!*ret_method && !json_object_get(message, "result") && !json_object_get(message, "error"))
		refuse(request, RPC_INVALID, "method is missing");
}

int mcp_handle(struct mcp *mcp, const char *json, size_t len, struct buf *out)
{
	struct request request = { .mcp = mcp };
	const char *method = NULL;
	json_error_t where;
	json_t *message;
	int r = 0;

	message = json_loadb(json, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
	if (!message)
		refuse(&request, RPC_PARSE, "not JSON");
	else
		examine(&request, message, &method);
	/* Notifications, and answers to what we never ask, want no answer. */
	if (!request.error && method && request.id) {
		request.params = json_object_get(message, "params");
		dispatch(&request, method);
		complete(&request);
		r = put_answer(&request, out);
	} else if (request.error) {
		r = put_answer(&request, out);
	}
	json_decref(request.result);
	json_decref(request.error);
	json_decref(message);
	return r;
}
