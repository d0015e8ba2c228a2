#include "console/tui/typing.h"
#include "proto/base/buf.h"
#include "proto/wire/screen.h"

#include <string.h>

static const char paste_begin[] = "\033[200~";
static const char paste_end[] = "\033[201~";
#define MARK_BYTES (sizeof(paste_end) - 1)

static bool starts(const char *data, size_t len, const char *mark)
{
	return len >= strlen(mark) && memcmp(data, mark, strlen(mark)) == 0;
}

/* Inside a paste every byte is text; only its end mark counts. It may come in two reads. */
static size_t pasted(struct typing *typing, bool marked, const char *data, size_t len, struct buf *out)
{
	size_t n;

	if (starts(data, len, paste_end)) {
		typing->pasting = false;
		if (marked)
			buf_append_str(out, paste_end);
		return MARK_BYTES;
	}
	n = len < MARK_BYTES ? len : MARK_BYTES;
	if (n < MARK_BYTES && memcmp(data, paste_end, n) == 0) {
		memcpy(typing->held, data, n);
		typing->held_len = n;
		return n;
	}
	/* Another escape inside pasted text could end the paste for the program: it is left out. */
	if (*data != '\033')
		buf_append_byte(out, (uint8_t)*data);
	return 1;
}

/* ESC O A and ESC [ A: the same key in two modes. */
static size_t cursor_key(uint32_t modes, const char *data, size_t len, struct buf *out)
{
	if (len < 3 || data[0] != '\033' || (data[1] != '[' && data[1] != 'O') || !strchr("ABCDHF", data[2]) || !data[2])
		return 0;
	buf_printf(out, "\033%c%c", modes & SCREEN_MODE_APP_CURSOR ? 'O' : '[', data[2]);
	return 3;
}

static size_t typed(struct typing *typing, uint32_t modes, const char *data, size_t len, struct buf *out, bool *ret_detach)
{
	size_t n = cursor_key(modes, data, len, out);

	if (n)
		return n;
	if (starts(data, len, paste_begin)) {
		typing->pasting = true;
		if (modes & SCREEN_MODE_BRACKETED_PASTE)
			buf_append_str(out, paste_begin);
		return MARK_BYTES;
	}
	if (*data == TYPING_DETACH)
		*ret_detach = true;
	else
		buf_append_byte(out, (uint8_t)*data);
	return 1;
}

size_t typing_translate(struct typing *typing, uint32_t modes, const char *data, size_t len, struct buf *out,
	bool *ret_detach)
{
	_cleanup_(buf_deinit) struct buf in = BUF_NULL;
	size_t held = typing->held_len, at = 0;

	*ret_detach = false;
	if (buf_append(&in, typing->held, held) < 0 || buf_append(&in, data, len) < 0)
		return len;
	typing->held_len = 0;
	while (at < in.len && !*ret_detach) {
		const char *rest = (const char *)in.data + at;

		at += typing->pasting ? pasted(typing, modes & SCREEN_MODE_BRACKETED_PASTE, rest, in.len - at, out) :
			typed(typing, modes, rest, in.len - at, out, ret_detach);
	}
	return at - held;
}
