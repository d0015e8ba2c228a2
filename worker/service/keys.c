#include "worker/service/keys.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "proto/base/str.h"

struct key_name {
	const char *name, *bytes;
	const char *application; /* with DECCKM, if that differs */
};

static const struct key_name names[] = {
	{ "Enter", "\r", NULL }, { "Return", "\r", NULL }, { "Tab", "\t", NULL }, { "BackTab", "\033[Z", NULL },
	{ "S-Tab", "\033[Z", NULL }, { "Escape", "\033", NULL }, { "Esc", "\033", NULL }, { "Space", " ", NULL },
	{ "Backspace", "\177", NULL }, { "BSpace", "\177", NULL }, { "Delete", "\033[3~", NULL },
	{ "Insert", "\033[2~", NULL }, { "Up", "\033[A", "\033OA" }, { "Down", "\033[B", "\033OB" },
	{ "Right", "\033[C", "\033OC" }, { "Left", "\033[D", "\033OD" }, { "Home", "\033[H", "\033OH" },
	{ "End", "\033[F", "\033OF" }, { "PageUp", "\033[5~", NULL }, { "PgUp", "\033[5~", NULL },
	{ "PageDown", "\033[6~", NULL }, { "PgDn", "\033[6~", NULL }, { "F1", "\033OP", NULL }, { "F2", "\033OQ", NULL },
	{ "F3", "\033OR", NULL }, { "F4", "\033OS", NULL }, { "F5", "\033[15~", NULL }, { "F6", "\033[17~", NULL },
	{ "F7", "\033[18~", NULL }, { "F8", "\033[19~", NULL }, { "F9", "\033[20~", NULL },
	{ "F10", "\033[21~", NULL }, { "F11", "\033[23~", NULL }, { "F12", "\033[24~", NULL },
};

const char keys_names[] = "Enter, Tab, BackTab, Escape, Space, Backspace, Delete, Insert, Up, Down, Left, Right, Home, "
			  "End, PageUp, PageDown, F1 to F12, C-a to C-z, M-x";

static const struct key_name *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == len && !strncasecmp(names[i].name, name, len))
			return &names[i];
	return NULL;
}

/* Control with a letter or one of @[\]^_? */
static int control(struct buf *out, char c)
{
	if (c == '?')
		return buf_append_byte(out, 0x7f);
	if (c == ' ')
		return buf_append_byte(out, 0);
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c < '@' || c > '_')
		return -EINVAL;
	return buf_append_byte(out, (uint8_t)(c - '@'));
}

int keys_named(struct buf *out, const char *name, size_t len, bool app_cursor)
{
	const struct key_name *key = find(name, len);
	uint32_t code;
	int r;

	if (key)
		return buf_append_str(out, app_cursor && key->application ? key->application : key->bytes);
	if (len == 3 && (name[0] == 'C' || name[0] == 'c') && name[1] == '-')
		return control(out, name[2]);
	if (len == 2 && name[0] == '^')
		return control(out, name[1]);
	if (len >= 3 && (name[0] == 'M' || name[0] == 'm') && name[1] == '-') {
		r = buf_append_byte(out, '\033');
		return r ? r : keys_named(out, name + 2, len - 2, app_cursor);
	}
	if (len && str_utf8_next(name, len, &code) == (int)len && code >= ' ' && code != 0x7f)
		return buf_append(out, name, len);
	return -EINVAL;
}

int keys_paste(struct buf *out, const char *text, size_t len, bool bracketed)
{
	int r = bracketed ? buf_append_str(out, "\033[200~") : 0;

	/* Without its ESC no mark can end the paste early, whatever stands around it. */
	for (size_t i = 0; !r && i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (len - i >= 6 && (!memcmp(text + i, "\033[201~", 6) || !memcmp(text + i, "\033[200~", 6))) {
			i += 5;
			continue;
		}
		if ((c < ' ' && c != '\t' && c != '\n') || c == 0x7f)
			continue;
		r = buf_append_byte(out, c == '\n' && !bracketed ? '\r' : c);
	}
	if (!r && bracketed)
		r = buf_append_str(out, "\033[201~");
	return r;
}
