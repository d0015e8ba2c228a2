/* Paul Williams' state machine (vt100.net/emu/dec_ansi_parser) in a table, with UTF-8 in the ground state and colons
 * between parameters. C1 controls as single bytes do not exist in UTF-8 and are not looked for. */
#include <string.h>
#include "worker/screen/internal.h"

enum state {
	GROUND, /* 0: where a new parser starts */
	ESCAPE,
	ESCAPE_INTERMEDIATE,
	CSI_ENTRY,
	CSI_PARAM,
	CSI_INTERMEDIATE,
	CSI_IGNORE,
	DCS_ENTRY,
	DCS_PARAM,
	DCS_INTERMEDIATE,
	DCS_PASSTHROUGH,
	DCS_IGNORE,
	OSC_STRING,
	OTHER_STRING, /* SOS, PM, APC */
	STATE_COUNT,
};

enum action {
	IGNORE,
	PRINT,
	EXECUTE,
	COLLECT,
	PARAM,
	DISPATCH_ESCAPE,
	DISPATCH_CSI,
	DISPATCH_OSC,
	HOOK,
	PUT,
	CLEAR,
};

#define T(action, state) ((action) << 4 | (state))
#define C0(act, state) [0x00 ... 0x17] = T(act, state), [0x18] = T(EXECUTE, GROUND), [0x19] = T(act, state), \
	[0x1a] = T(EXECUTE, GROUND), [0x1b] = T(CLEAR, ESCAPE), [0x1c ... 0x1f] = T(act, state)

static const uint8_t transitions[STATE_COUNT][128] = {
	[GROUND] = { C0(EXECUTE, GROUND), [0x20 ... 0x7e] = T(PRINT, GROUND), [0x7f] = T(IGNORE, GROUND) },
	[ESCAPE] = { C0(EXECUTE, ESCAPE), [0x20 ... 0x2f] = T(COLLECT, ESCAPE_INTERMEDIATE),
		[0x30 ... 0x4f] = T(DISPATCH_ESCAPE, GROUND), ['P'] = T(CLEAR, DCS_ENTRY),
		[0x51 ... 0x57] = T(DISPATCH_ESCAPE, GROUND), ['X'] = T(IGNORE, OTHER_STRING),
		['Y' ... 'Z'] = T(DISPATCH_ESCAPE, GROUND), ['['] = T(CLEAR, CSI_ENTRY),
		['\\'] = T(DISPATCH_ESCAPE, GROUND), [']'] = T(CLEAR, OSC_STRING),
		['^' ... '_'] = T(IGNORE, OTHER_STRING), [0x60 ... 0x7e] = T(DISPATCH_ESCAPE, GROUND),
		[0x7f] = T(IGNORE, ESCAPE) },
	[ESCAPE_INTERMEDIATE] = { C0(EXECUTE, ESCAPE_INTERMEDIATE), [0x20 ... 0x2f] = T(COLLECT, ESCAPE_INTERMEDIATE),
		[0x30 ... 0x7e] = T(DISPATCH_ESCAPE, GROUND), [0x7f] = T(IGNORE, ESCAPE_INTERMEDIATE) },
	[CSI_ENTRY] = { C0(EXECUTE, CSI_ENTRY), [0x20 ... 0x2f] = T(COLLECT, CSI_INTERMEDIATE),
		[0x30 ... 0x3b] = T(PARAM, CSI_PARAM), [0x3c ... 0x3f] = T(COLLECT, CSI_PARAM),
		[0x40 ... 0x7e] = T(DISPATCH_CSI, GROUND), [0x7f] = T(IGNORE, CSI_ENTRY) },
	[CSI_PARAM] = { C0(EXECUTE, CSI_PARAM), [0x20 ... 0x2f] = T(COLLECT, CSI_INTERMEDIATE),
		[0x30 ... 0x3b] = T(PARAM, CSI_PARAM), [0x3c ... 0x3f] = T(IGNORE, CSI_IGNORE),
		[0x40 ... 0x7e] = T(DISPATCH_CSI, GROUND), [0x7f] = T(IGNORE, CSI_PARAM) },
	[CSI_INTERMEDIATE] = { C0(EXECUTE, CSI_INTERMEDIATE), [0x20 ... 0x2f] = T(COLLECT, CSI_INTERMEDIATE),
		[0x30 ... 0x3f] = T(IGNORE, CSI_IGNORE), [0x40 ... 0x7e] = T(DISPATCH_CSI, GROUND),
		[0x7f] = T(IGNORE, CSI_INTERMEDIATE) },
	[CSI_IGNORE] = { C0(EXECUTE, CSI_IGNORE), [0x20 ... 0x3f] = T(IGNORE, CSI_IGNORE),
		[0x40 ... 0x7e] = T(IGNORE, GROUND), [0x7f] = T(IGNORE, CSI_IGNORE) },
	[DCS_ENTRY] = { C0(IGNORE, DCS_ENTRY), [0x20 ... 0x2f] = T(COLLECT, DCS_INTERMEDIATE),
		[0x30 ... 0x3b] = T(PARAM, DCS_PARAM), [0x3c ... 0x3f] = T(COLLECT, DCS_PARAM),
		[0x40 ... 0x7e] = T(HOOK, DCS_PASSTHROUGH), [0x7f] = T(IGNORE, DCS_ENTRY) },
	[DCS_PARAM] = { C0(IGNORE, DCS_PARAM), [0x20 ... 0x2f] = T(COLLECT, DCS_INTERMEDIATE),
		[0x30 ... 0x3b] = T(PARAM, DCS_PARAM), [0x3c ... 0x3f] = T(IGNORE, DCS_IGNORE),
		[0x40 ... 0x7e] = T(HOOK, DCS_PASSTHROUGH), [0x7f] = T(IGNORE, DCS_PARAM) },
	[DCS_INTERMEDIATE] = { C0(IGNORE, DCS_INTERMEDIATE), [0x20 ... 0x2f] = T(COLLECT, DCS_INTERMEDIATE),
		[0x30 ... 0x3f] = T(IGNORE, DCS_IGNORE), [0x40 ... 0x7e] = T(HOOK, DCS_PASSTHROUGH),
		[0x7f] = T(IGNORE, DCS_INTERMEDIATE) },
	[DCS_PASSTHROUGH] = { C0(PUT, DCS_PASSTHROUGH), [0x20 ... 0x7e] = T(PUT, DCS_PASSTHROUGH),
		[0x7f] = T(IGNORE, DCS_PASSTHROUGH) },
	[DCS_IGNORE] = { C0(IGNORE, DCS_IGNORE), [0x20 ... 0x7f] = T(IGNORE, DCS_IGNORE) },
	[OSC_STRING] = { [0x00 ... 0x06] = T(IGNORE, OSC_STRING), [0x07] = T(DISPATCH_OSC, GROUND),
		[0x08 ... 0x17] = T(IGNORE, OSC_STRING), [0x18] = T(EXECUTE, GROUND), [0x19] = T(IGNORE, OSC_STRING),
		[0x1a] = T(EXECUTE, GROUND), [0x1b] = T(DISPATCH_OSC, ESCAPE), [0x1c ... 0x1f] = T(IGNORE, OSC_STRING),
		[0x20 ... 0x7f] = T(PUT, OSC_STRING) },
	[OTHER_STRING] = { C0(IGNORE, OTHER_STRING), [0x20 ... 0x7f] = T(IGNORE, OTHER_STRING) },
};

static void clear(struct parser *parser)
{
	parser->prefix = parser->intermediate = parser->final = 0;
	parser->param_count = 0;
	parser->sub = 0;
	parser->params_full = false;
	parser->string_len = 0;
	parser->string_cut = false;
	if (parser->rest.data)
		buf_deinit(&parser->rest);
}

static void collect(struct parser *parser, uint8_t byte)
{
	if (byte >= 0x3c)
		parser->prefix = byte;
	else
		parser->intermediate = parser->intermediate ? 0xff : byte;
}

static void add_param(struct parser *parser, uint8_t byte)
{
	uint32_t *value;

	if (parser->param_count == 0) {
		parser->param[0] = 0;
		parser->param_count = 1;
	}
	if (parser->params_full)
		return;
	if (byte >= ':') {
		if (parser->param_count == PARAMS_MAX) {
			parser->params_full = true;
			return;
		}
		if (byte == ':')
			parser->sub |= 1U << parser->param_count;
		parser->param[parser->param_count++] = 0;
		return;
	}
	value = &parser->param[parser->param_count - 1];
	*value = *value * 10 + (byte - '0');
	if (*value > PARAM_VALUE_MAX)
		*value = PARAM_VALUE_MAX;
}

static void put(struct parser *parser, uint8_t byte)
{
	if (parser->string_len < STRING_BYTES_MAX)
		parser->string[parser->string_len++] = (char)byte;
	else if (parser->state != OSC_STRING || !clipboard_begins(parser) || buf_append_byte(&parser->rest, byte))
		parser->string_cut = true;
}

static void act(struct emulator *emulator, enum action action, uint8_t byte)
{
	struct parser *parser = &emulator->parser;

	switch (action) {
	case IGNORE:
		break;
	case PRINT:
		print_ascii(emulator, &byte, 1);
		break;
	case EXECUTE:
		control_execute(emulator, byte);
		break;
	case COLLECT:
		collect(parser, byte);
		break;
	case PARAM:
		add_param(parser, byte);
		break;
	case DISPATCH_ESCAPE:
		parser->final = byte;
		control_escape(emulator);
		break;
	case DISPATCH_CSI:
		parser->final = byte;
		csi_dispatch(emulator);
		break;
	case DISPATCH_OSC:
		parser->string[parser->string_len] = 0;
		osc_dispatch(emulator);
		clear(parser);
		break;
	case HOOK:
		parser->final = byte;
		break;
	case PUT:
		put(parser, byte);
		break;
	case CLEAR:
		/* ESC ends a device control string. */
		if (parser->state == DCS_PASSTHROUGH && !parser->string_cut) {
			parser->string[parser->string_len] = 0;
			report_dcs(emulator);
		}
		clear(parser);
		break;
	}
}

static void step(struct emulator *emulator, uint8_t byte)
{
	uint8_t transition = transitions[emulator->parser.state][byte];

	act(emulator, (enum action)(transition >> 4), byte);
	emulator->parser.state = transition & 15;
}

/* --- UTF-8: Unicode's table 3-7, one U+FFFD for each maximal broken part --- */

/* What may follow each first byte of a code, and how many bytes that are. */
static unsigned int code_shape(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	*ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	return first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static void start_code(struct emulator *emulator, uint8_t byte)
{
	struct parser *parser = &emulator->parser;
	unsigned int bytes = code_shape(byte, &parser->low, &parser->high);

	if (bytes == 1) {
		print_code(emulator, 0xfffd);
		return;
	}
	parser->need = (uint8_t)(bytes - 1);
	parser->code = byte & (0x7fU >> bytes);
}

/* Whether the byte was taken. */
static bool continue_code(struct emulator *emulator, uint8_t byte)
{
	struct parser *parser = &emulator->parser;

	if (byte < parser->low || byte > parser->high) {
		parser->need = 0;
		print_code(emulator, 0xfffd);
		return false;
	}
	parser->code = parser->code << 6 | (byte & 0x3f);
	parser->low = 0x80;
	parser->high = 0xbf;
	if (--parser->need == 0)
		print_code(emulator, parser->code);
	return true;
}

/* A whole code, or the maximal broken part of one, that lies in one piece: what start_code and continue_code do byte by
 * byte. Returns `at` if the end may cut it. */
static const uint8_t *whole_code(struct emulator *emulator, const uint8_t *at, const uint8_t *end)
{
	uint8_t low, high;
	unsigned int need = code_shape(*at, &low, &high);
	uint32_t code = *at & (0x7fU >> need);

	if (end - at < 4)
		return at;
	if (need == 1) {
		print_code(emulator, 0xfffd);
		return at + 1;
	}
	for (unsigned int i = 1; i < need; i++, low = 0x80, high = 0xbf) {
		if (at[i] < low || at[i] > high) {
			print_code(emulator, 0xfffd);
			return at + i;
		}
		code = code << 6 | (at[i] & 0x3f);
	}
	print_code(emulator, code);
	return at + need;
}

static void step_high(struct emulator *emulator, uint8_t byte)
{
	uint8_t state = emulator->parser.state;

	if (state == GROUND)
		start_code(emulator, byte);
	else if (state == OSC_STRING || state == DCS_PASSTHROUGH)
		put(&emulator->parser, byte);
}

/* The upper bits of those of eight bytes that are no printable ASCII: below 0x20, 0x7f, or above. The lowest of them is
 * exact; those after it may be there for a carry. */
static uint64_t ends_text(uint64_t bytes)
{
	const uint64_t ones = 0x0101010101010101ULL, high = 0x80 * ones;

	return (((bytes - 0x20 * ones) & ~bytes) | bytes | (bytes + ones)) & high;
}

static const uint8_t *end_of_text(const uint8_t *at, const uint8_t *end)
{
	uint64_t bytes;

	for (; end - at >= 8; at += 8) {
		memcpy(&bytes, at, sizeof(bytes));
		bytes = ends_text(bytes);
		if (bytes)
			return at + __builtin_ctzll(bytes) / 8;
	}
	while (at < end && *at >= 0x20 && *at < 0x7f)
		at++;
	return at;
}

/* What a byte prints when it does not begin a code of several: itself, U+FFFD, or nothing (0) where it is no text. */
#define REPLACED 0xfffd
#define MIXED_CODES_MAX 128U
static const uint16_t alone[256] = {
#define A(x) [x] = x
#define A8(x) A(x), A((x) + 1), A((x) + 2), A((x) + 3), A((x) + 4), A((x) + 5), A((x) + 6), A((x) + 7)
	A8(0x20), A8(0x28), A8(0x30), A8(0x38), A8(0x40), A8(0x48), A8(0x50), A8(0x58), A8(0x60), A8(0x68), A8(0x70),
	A(0x78), A(0x79), A(0x7a), A(0x7b), A(0x7c), A(0x7d), A(0x7e),
#undef A8
#undef A
	[0x80 ... 0xff] = REPLACED,
};

/* Letters and broken bytes mixed, until something that is neither, or a code of several bytes, or `codes` is full: in what
 * is no UTF-8 every other byte is broken, and cell by cell they would cost what a whole line costs. */
static const uint8_t *mixed_text(const uint8_t *at, const uint8_t *end, uint16_t *codes, size_t size, size_t *ret_count)
{
	size_t count = 0;

	for (; at + 1 < end && count < size; at++) {
		unsigned int begins = (at[0] - 0xc2U <= 0xf4 - 0xc2) & ((at[1] & 0xc0) == 0x80); /* no guess for the CPU */

		codes[count] = alone[*at];
		if (begins | (codes[count] == 0))
			break;
		count++;
	}
	*ret_count = count;
	return at;
}

/* Among the next eight bytes. */
static bool has_high(const uint8_t *at, const uint8_t *end)
{
	uint64_t bytes;

	if (end - at < 8)
		return *at >= 0x80;
	memcpy(&bytes, at, sizeof(bytes));
	return bytes & 0x8080808080808080ULL;
}

/* The parameters of a sequence at once; the table would do the same, one by one. */
static const uint8_t *add_params(struct parser *parser, const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at >= '0' && *at <= ';')
		add_param(parser, *at++);
	return at;
}

/* A piece that the table would take byte by byte to the same end, or nothing. */
static const uint8_t *take_piece(struct emulator *emulator, const uint8_t *at, const uint8_t *end)
{
	struct parser *parser = &emulator->parser;
	uint16_t codes[MIXED_CODES_MAX];
	const uint8_t *text;
	size_t count;

	if (parser->state == CSI_PARAM)
		return add_params(parser, at, end);
	if (parser->state != GROUND)
		return at;
	if (has_high(at, end)) {
		text = mixed_text(at, end, codes, ARRAY_SIZE(codes), &count);
		if (count == 0)
			return *at >= 0x80 ? whole_code(emulator, at, end) : at;
		print_codes(emulator, codes, count);
		return text;
	}
	text = end_of_text(at, end);
	if (text > at)
		print_ascii(emulator, at, (size_t)(text - at));
	return text;
}

size_t parser_write(struct emulator *emulator, const uint8_t *data, size_t len, uint64_t work_limit)
{
	const uint8_t *at = data, *end = data + len, *next;

	while (at < end && (emulator->work < work_limit || at == data)) {
		if (emulator->parser.need) {
			at += continue_code(emulator, *at);
			continue;
		}
		next = take_piece(emulator, at, end);
		if (next > at) {
			at = next;
			continue;
		}
		if (*at < 0x80)
			step(emulator, *at);
		else
			step_high(emulator, *at);
		at++;
	}
	return (size_t)(at - data);
}
