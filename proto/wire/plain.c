#include "proto/wire/plain.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"

#include <string.h>
#include <utf8proc.h>

#define SPACES_MAX 512u /* of one move */
#define PLACE_MAX 65535u
#define SAVED_FIXED_BYTES 16u
#define REPLACEMENT "\xef\xbf\xbd"

enum state {
	TEXT,
	UTF8,      /* within a sequence of bytes of one character */
	ESCAPE,    /* after ESC */
	SKIP_ONE,  /* after ESC and an intermediate: one more */
	CSI,
	STRING,    /* OSC, DCS, SOS, PM, APC: until ST or BEL */
	STRING_ESC,
};

static void move_right(struct plain *plain, uint32_t columns)
{
	plain->column = plain->column + columns < PLACE_MAX ? plain->column + columns : PLACE_MAX;
}

static void move_to(struct plain *plain, uint32_t row, uint32_t column)
{
	plain->moved |= row != plain->row || column < plain->filled;
	plain->row = row < PLACE_MAX ? row : PLACE_MAX;
	plain->column = column;
}

/* The n-th number of a sequence, counted from 0; 1 where it says none or 0. */
static uint32_t parameter(const struct plain *plain, unsigned int n)
{
	uint32_t value = 0;
	size_t i = 0;

	for (; n && i < plain->pending_len; i++)
		n -= plain->pending[i] == ';';
	for (; i < plain->pending_len && plain->pending[i] >= '0' && plain->pending[i] <= '9'; i++)
		value = value < PLACE_MAX ? value * 10 + plain->pending[i] - '0' : PLACE_MAX;
	return !value ? 1 : value < PLACE_MAX ? value : PLACE_MAX;
}

static int put_colour(const struct plain *plain, struct buf *out)
{
	int r = plain->keep_colours ? buf_append_str(out, "\033[") : 0;

	if (!r && plain->keep_colours)
		r = buf_append(out, plain->pending, plain->pending_len);
	return r || !plain->keep_colours ? r : buf_append_byte(out, 'm');
}

static int put_csi(struct plain *plain, uint8_t final, struct buf *out)
{
	uint32_t first, row = plain->row;

	if (plain->pending_len == sizeof(plain->pending))
		return 0; /* too long, or private */
	first = parameter(plain, 0);
	if (final == 'm')
		return put_colour(plain, out);
	if (final == 'C' || final == 'a')
		move_right(plain, first);
	else if (final == 'G' || final == '`')
		move_to(plain, row, first - 1);
	else if (final == 'H' || final == 'f')
		move_to(plain, first - 1, parameter(plain, 1) - 1);
	else if (final == 'd')
		move_to(plain, first - 1, plain->column);
	else if (final == 'B' || final == 'E')
		move_to(plain, row + first, final == 'E' ? 0 : plain->column);
	else if (final == 'A' || final == 'F')
		move_to(plain, row > first ? row - first : 0, final == 'F' ? 0 : plain->column);
	return 0;
}

static int in_csi(struct plain *plain, uint8_t byte, struct buf *out)
{
	if (byte == 0x1b) {
		plain->pending_len = 0;
		plain->state = ESCAPE;
		return 0;
	}
	if (byte >= 0x40 && byte <= 0x7e) {
		int r = put_csi(plain, byte, out);

		plain->state = TEXT;
		plain->pending_len = 0;
		return r;
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

/* Before text is given out: a line that is written over (a progress bar) becomes several lines. */
static int begin_text(struct plain *plain, struct buf *out)
{
	int r = plain->moved && plain->in_line ? buf_append_byte(out, '\n') : 0;

	if (plain->moved || !plain->in_line)
		plain->filled = 0;
	for (uint32_t i = 0; !r && plain->filled + i < plain->column && i < SPACES_MAX; i++)
		r = buf_append_byte(out, ' ');
	plain->moved = false;
	plain->in_line = true;
	return r;
}

static void end_text(struct plain *plain, uint32_t columns)
{
	move_right(plain, columns);
	plain->filled = plain->column;
}

static int put_newline(struct plain *plain, struct buf *out)
{
	plain->moved = plain->in_line = false;
	plain->column = 0;
	plain->row += plain->row < PLACE_MAX;
	return buf_append_byte(out, '\n');
}

static int begin_utf8(struct plain *plain, uint8_t byte, struct buf *out)
{
	plain->pending[0] = byte;
	plain->pending_len = 1;
	plain->utf8_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : 0;
	if (plain->utf8_left && byte <= 0xf4) {
		plain->state = UTF8;
		return 0;
	}
	end_text(plain, 1);
	return buf_append_str(out, REPLACEMENT);
}

static int in_text(struct plain *plain, uint8_t byte, struct buf *out)
{
	int r;

	if (byte == '\r') {
		plain->moved = true;
		plain->column = 0;
		return 0;
	}
	if (byte == '\n')
		return put_newline(plain, out);
	if (byte == 0x1b) {
		plain->state = ESCAPE;
		return 0;
	}
	if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
		return 0;
	r = begin_text(plain, out);
	if (r || byte >= 0x80)
		return r ? r : begin_utf8(plain, byte, out);
	end_text(plain, byte == '\t' ? 8 - plain->column % 8 : 1);
	return buf_append_byte(out, byte);
}

/* The whole character, cleaned: C1 controls and format controls are in there too. */
static int end_utf8(struct plain *plain, struct buf *out)
{
	const char *text = (const char *)plain->pending;
	uint32_t code;
	int width;

	plain->state = TEXT;
	if (str_utf8_next(text, plain->pending_len, &code) != (int)plain->pending_len) {
		end_text(plain, 1);
		return buf_append_str(out, REPLACEMENT);
	}
	if (code < 0xa0)
		return 0;
	width = utf8proc_charwidth((utf8proc_int32_t)code);
	end_text(plain, width > 0 ? (uint32_t)width : 0);
	return str_clean(out, text, plain->pending_len);
}

static int in_utf8(struct plain *plain, uint8_t byte, struct buf *out)
{
	if (byte < 0x80 || byte > 0xbf) {
		int r = buf_append_str(out, REPLACEMENT);

		plain->state = TEXT;
		end_text(plain, 1);
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

/* --- kept for later ------------------------------------------------------------------------------------------- */

int plain_save(const struct plain *plain, struct buf *out)
{
	uint8_t fixed[SAVED_FIXED_BYTES] = { (uint8_t)plain->state, (uint8_t)plain->utf8_left,
		(uint8_t)(plain->keep_colours | plain->moved << 1 | plain->in_line << 2), (uint8_t)plain->pending_len };
	int r;

	memcpy(fixed + 4, &plain->row, 4); /* only this host reads it again */
	memcpy(fixed + 8, &plain->column, 4);
	memcpy(fixed + 12, &plain->filled, 4);
	r = buf_append(out, fixed, sizeof(fixed));
	return r || !plain->pending_len ? r : buf_append(out, plain->pending, plain->pending_len);
}

/* It came from outside: nothing of it may make the state one that cannot be. */
bool plain_load(struct plain *plain, const void *data, size_t len)
{
	const uint8_t *p = data;
	struct plain loaded = PLAIN_NULL;

	if (len < SAVED_FIXED_BYTES || p[0] > STRING_ESC || p[1] > 3 || p[2] > 7 || p[3] > sizeof(loaded.pending) ||
		len != SAVED_FIXED_BYTES + p[3] || (p[0] == UTF8 && (!p[1] || !p[3] || p[3] > 4)))
		return false;
	loaded.state = p[0];
	loaded.utf8_left = p[1];
	loaded.keep_colours = p[2] & 1;
	loaded.moved = p[2] & 2;
	loaded.in_line = p[2] & 4;
	loaded.pending_len = p[3];
	memcpy(&loaded.row, p + 4, 4);
	memcpy(&loaded.column, p + 8, 4);
	memcpy(&loaded.filled, p + 12, 4);
	if (loaded.row > PLACE_MAX || loaded.column > PLACE_MAX || loaded.filled > PLACE_MAX)
		return false;
	memcpy(loaded.pending, p + SAVED_FIXED_BYTES, loaded.pending_len);
	*plain = loaded;
	return true;
}
