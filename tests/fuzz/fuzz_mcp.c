/* Lines that a model's program may send: nothing may break, every answer is one line of JSON. */
#include <string.h>
#include "worker/agents/hook.h"
#include "worker/agents/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int hear(void *userdata, const struct mcp_report *report, struct error *error)
{
	require(!report->has_progress || report->progress <= 100);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct mcp mcp = { .report = hear };
	const char *at = (const char *)data, *end = at + len;
	struct hook_meaning meaning;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = (size_t)((newline ? newline : end) - at);
		_cleanup_(buf_deinit) struct buf out = BUF_NULL;

		require(mcp_handle(&mcp, at, line_len, &out) == 0);
		require(!out.len || (out.data[0] == '{' && out.data[out.len - 1] == '}' && !memchr(out.data, '\n', out.len)));
		if (hook_understand("PreToolUse", at, line_len, &meaning))
			hook_meaning_deinit(&meaning);
		at += line_len + 1;
	}
	return 0;
}
