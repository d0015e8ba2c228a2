/* OSC 52 ; which ; base64: what a program wants in the clipboard. Kept until somebody takes it, and asks the person. */
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/internal.h"

#define BASE64_BYTES_MAX ((EMULATOR_CLIPBOARD_BYTES_MAX + 2) / 3 * 4)

bool clipboard_begins(const struct parser *parser)
{
	return memcmp(parser->string, "52;", 3) == 0 && parser->rest.len < BASE64_BYTES_MAX;
}

static int value_of(uint8_t byte)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = byte ? strchr(alphabet, byte) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

/* Whole groups of four, padded or not. False: it is no base64, or too long. */
static bool decode(const uint8_t *text, size_t len, struct buf *out)
{
	uint32_t bits = 0;
	size_t digits;

	while (len && text[len - 1] == '=' && len % 4 != 1)
		len--;
	for (digits = 0; digits < len; digits++) {
		int value = value_of(text[digits]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (digits % 4 && buf_append_byte(out, (uint8_t)(bits >> (6 - 2 * (digits % 4)))))
			return false;
	}
	return digits % 4 != 1 && out->len;
}

void clipboard_command(struct emulator *emulator, const char *text)
{
	_cleanup_(buf_deinit) struct buf encoded = BUF_NULL, decoded = BUF_LIMIT(EMULATOR_CLIPBOARD_BYTES_MAX);
	const struct buf *rest = &emulator->parser.rest;
	const char *data = strchr(text, ';');

	if (!data || buf_append_str(&encoded, data + 1) || (rest->len && buf_append(&encoded, rest->data, rest->len)))
		return;
	if (!decode(encoded.data, encoded.len, &decoded))
		return; /* '?' too: nobody is told what the person has */
	buf_deinit(&emulator->clipboard);
	emulator->clipboard = decoded;
	decoded = BUF_NULL;
}

bool emulator_has_clipboard(const struct emulator *emulator)
{
	return emulator->clipboard.len > 0;
}

void emulator_take_clipboard(struct emulator *emulator, struct buf *out)
{
	buf_deinit(out);
	*out = emulator->clipboard;
	emulator->clipboard = BUF_NULL;
}
