#include "console/cli/plain.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"

enum state {
	TEXT,
	UTF8,      /* within a sequence of bytes of one character */
	ESCAPE,    /* after ESC */
	SKIP_ONE,  /* after ESC and an intermediate: one more */
	CSI,
	STRING,    /* OSC, DCS, SOS, PM, APC: until ST or BEL */
	STRING_ESC,
};

static int put_csi(struct plain *plain, uint8_t final, struct buf *out)
{
	int r = 0;

	if (plain->keep_colours && final == 'm' && plain->pending_len < sizeof(plain->pending)) {
		r = buf_append_str(out, "\033[");
		if (!r)
			r = buf_append(out, plain->pending, plain->pending_len);
		if (!r)
			r = buf_append_byte(out, final);
	}
	plain->pending_len = 0;
	return r;
}

static int in_csi(struct plain *plain, uint8_t byte, struct buf *out)
{
	if (byte == 0x1b) {
		plain->pending_len = 0;
		plain->state = ESCAPE;
		return 0;
	}
	if (byte >= 0x40 && byte <= 0x7e) {
		plain->state = TEXT;
		return put_csi(plain, byte, out);
	}
	/* anything but digits and separators makes it no colour: as if it were too long */
	if ((byte >= '0' && byte <= ';') && plain->pending_len < sizeof(plain->pending) - 1)
		plain->pending[plain->pending_len++] = byte;
	else
		plain->pending_len = sizeof(plain->pending);
	return 0;
}

static void in_escape(struct plain *plain, uint8_t byte)
{
	switch (byte) {
	case '[':
		plain->pending_len = 0;
		plain->state = CSI;
		break;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		plain->state = STRING;
		break;
	case 0x1b:
		break;
	default:
		plain->state = byte >= 0x20 && byte <= 0x2f ? SKIP_ONE : TEXT;
	}
}

static int flush_return(struct plain *plain, struct buf *out)
{
	if (!plain->return_seen)
		return 0;
	plain->return_seen = false;
	/* a line that is written over (a progress bar) becomes several lines */
	return out->len && out->data[out->len - 1] == '\n' ? 0 : buf_append_byte(out, '\n');
}

static int in_text(struct plain *plain, uint8_t byte, struct buf *out)
{
	int r;

	if (byte == '\r') {
		plain->return_seen = true;
		return 0;
	}
	if (byte == '\n') {
		plain->return_seen = false;
		return buf_append_byte(out, byte);
	}
	if (byte == 0x1b) {
		plain->state = ESCAPE;
		return 0;
	}
	if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
		return 0;
	r = flush_return(plain, out);
	if (r || byte < 0x80)
		return r ? r : buf_append_byte(out, byte);
	plain->pending[0] = byte;
	plain->pending_len = 1;
	plain->utf8_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : 0;
	if (!plain->utf8_left || byte > 0xf4)
		return buf_append_str(out, "\xef\xbf\xbd");
	plain->state = UTF8;
	return 0;
}

/* The whole character, cleaned: C1 controls and format controls are in there too. */
static int end_utf8(struct plain *plain, struct buf *out)
{
	const char *text = (const char *)plain->pending;

	plain->state = TEXT;
	if (!str_utf8_valid(text, plain->pending_len))
		return buf_append_str(out, "\xef\xbf\xbd");
	if (plain->pending[0] == 0xc2 && plain->pending[1] < 0xa0)
		return 0;
	return str_clean(out, text, plain->pending_len);
}

static int in_utf8(struct plain *plain, uint8_t byte, struct buf *out)
{
	if (byte < 0x80 || byte > 0xbf) {
		int r = buf_append_str(out, "\xef\xbf\xbd");

		plain->state = TEXT;
		return r ? r : in_text(plain, byte, out);
	}
	plain->pending[plain->pending_len++] = byte;
	return --plain->utf8_left ? 0 : end_utf8(plain, out);
}

static int feed_byte(struct plain *plain, uint8_t byte, struct buf *out)
{
	switch ((enum state)plain->state) {
	case TEXT:
		return in_text(plain, byte, out);
	case UTF8:
		return in_utf8(plain, byte, out);
	case ESCAPE:
		in_escape(plain, byte);
		return 0;
	case SKIP_ONE:
		plain->state = TEXT;
		return 0;
	case CSI:
		return in_csi(plain, byte, out);
	case STRING:
		if (byte == 0x07)
			plain->state = TEXT;
		else if (byte == 0x1b)
			plain->state = STRING_ESC;
		return 0;
	case STRING_ESC:
		plain->state = TEXT;
		if (byte != '\\')
			in_escape(plain, byte);
		return 0;
	}
	return 0;
}

int plain_feed(struct plain *plain, const void *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		int r = feed_byte(plain, ((const uint8_t *)data)[i], out);

		if (r)
			return r;
	}
	return 0;
}
