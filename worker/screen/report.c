/* What programs ask a terminal. Answers are made of numbers and of words of our own, never of what was asked. */
#include <stdio.h>
#include <string.h>
#include "worker/screen/internal.h"

#define REPORT_BYTES_MAX 512U

/* Drops what does not fit: a program that asks and never reads gets no more. */
static void report_bytes(struct emulator *emulator, const char *text, size_t len)
{
	buf_append(&emulator->reply, text, len);
}

void report_printf(struct emulator *emulator, const char *format, ...)
{
	char text[REPORT_BYTES_MAX];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len > 0 && (size_t)len < sizeof(text))
		report_bytes(emulator, text, (size_t)len);
}

void report_attributes(struct emulator *emulator)
{
	if (param_value(emulator, 0) != 0 && emulator->parser.final == 'c')
		return;
	switch (emulator->parser.prefix) {
	case '>':
		/* VT420 and a version from which on programs expect SGR mouse reports. */
		report_printf(emulator, "\033[>41;354;0c");
		break;
	case '=':
		report_printf(emulator, "\033P!|00000000\033\\");
		break;
	default:
		/* VT420: 132 columns, selective erase, horizontal scrolling, colour, rectangles. */
		report_printf(emulator, "\033[?64;1;6;21;22;28c");
		break;
	}
}

static void report_cursor(struct emulator *emulator, bool extended)
{
	unsigned int row = emulator->screen.cursor_row, col = emulator->screen.cursor_col;

	if (emulator->modes & MODE_ORIGIN) {
		row -= row >= emulator->top ? emulator->top : 0;
		col -= col >= emulator->left ? emulator->left : 0;
	}
	if (extended)
		report_printf(emulator, "\033[?%u;%u;1R", row + 1, col + 1);
	else
		report_printf(emulator, "\033[%u;%uR", row + 1, col + 1);
}

void report_status(struct emulator *emulator)
{
	static const struct {
		uint8_t number;
		const char *text;
	} answers[] = {
		{ 15, "\033[?13n" },       /* no printer */
		{ 25, "\033[?20n" },       /* user-defined keys are unlocked */
		{ 26, "\033[?27;1;0;0n" }, /* a North American keyboard */
		{ 53, "\033[?50n" },       /* no locator */
		{ 55, "\033[?50n" },
		{ 56, "\033[?57;0n" },
		{ 75, "\033[?70n" },       /* nothing wrong with the data */
	};
	unsigned int number = param_value(emulator, 0);
	bool extended = emulator->parser.prefix == '?';

	if (number == 6)
		report_cursor(emulator, extended);
	else if (number == 5 && !extended)
		report_printf(emulator, "\033[0n");
	for (size_t i = 0; extended && i < ARRAY_SIZE(answers); i++)
		if (answers[i].number == number)
			report_printf(emulator, "%s", answers[i].text);
}

void report_mode(struct emulator *emulator)
{
	bool private_mode = emulator->parser.prefix == '?';
	unsigned int number = param_value(emulator, 0);

	report_printf(emulator, "\033[%s%u;%u$y", private_mode ? "?" : "", number,
		mode_query(emulator, private_mode, number));
}

/* A line of eight bits without parity, at the highest speed that a VT100 could name. */
void report_parameters(struct emulator *emulator)
{
	if (param_value(emulator, 0) <= 1)
		report_printf(emulator, "\033[%u;1;1;128;128;1;0x", param_value(emulator, 0) + 2);
}

void report_version(struct emulator *emulator)
{
	if (param_value(emulator, 0) == 0)
		report_printf(emulator, "\033P>|maestro(%s)\033\\", MAESTRO_VERSION);
}

/* --- DECRQSS --- */

static void report_pen(struct emulator *emulator)
{
	struct buf text = BUF_NULL;

	sgr_report(&emulator->pen, &text);
	report_printf(emulator, "\033P1$r%sm\033\\", buf_text(&text));
	buf_deinit(&text);
}

/* Settings that are one or two numbers. */
static void report_setting(struct emulator *emulator, const char *name)
{
	const struct screen *screen = &emulator->screen;
	const struct {
		const char *name;
		unsigned int first, second; /* second 0: none */
	} settings[] = {
		{ "r", emulator->top + 1, emulator->bottom },
		{ "s", emulator->left + 1, emulator->right },
		{ " q", (unsigned int)screen->cursor_shape, 0 },
		{ "\"q", emulator->pen_flags ? 1U : 0U, 0 },
		{ "\"p", 64, 1 },
		{ "t", screen->rows, 0 },
		{ "$|", screen->cols, 0 },
		{ "*|", screen->rows, 0 },
		{ "*x", emulator->rectangles ? 2U : 1U, 0 },
	};

	if (!strcmp(name, "m")) {
		report_pen(emulator);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (strcmp(settings[i].name, name))
			continue;
		if (settings[i].second)
			report_printf(emulator, "\033P1$r%u;%u%s\033\\", settings[i].first, settings[i].second, settings[i].name);
		else
			report_printf(emulator, "\033P1$r%u%s\033\\", settings[i].first, settings[i].name);
		return;
	}
	report_printf(emulator, "\033P0$r\033\\");
}

/* --- XTGETTCAP: names and values travel as hex --- */

static const char *put_hex(char *out, size_t size, const char *text)
{
	size_t at = 0;

	for (out[0] = 0; *text && at + 3 <= size; text++, at += 2)
		snprintf(out + at, size - at, "%02X", (unsigned char)*text);
	return out;
}

static void report_capability(struct emulator *emulator, const char *hex, size_t len)
{
	static const struct {
		const char *name, *value;
	} known[] = {
		{ "Co", "256" },
		{ "colors", "256" },
		{ "TN", "xterm-256color" },
		{ "name", "xterm-256color" },
		{ "RGB", "8/8/8" },
		{ "Smulx", "\033[4:%p1%dm" },
		{ "Setulc", "\033[58:2::%p1%{65536}%/%d:%p1%{256}%/%{255}%&%d:%p1%{255}%&%dm" },
	};
	char name[32], value[200];

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		put_hex(name, sizeof(name), known[i].name);
		if (strlen(name) != len || strncasecmp(name, hex, len))
			continue;
		report_printf(emulator, "\033P1+r%s=%s\033\\", name, put_hex(value, sizeof(value), known[i].value));
		return;
	}
	report_printf(emulator, "\033P0+r\033\\");
}

void report_dcs(struct emulator *emulator)
{
	const struct parser *parser = &emulator->parser;
	const char *text = parser->string;
	size_t len;

	if (parser->final != 'q' || parser->prefix)
		return;
	if (parser->intermediate == '$') {
		report_setting(emulator, text);
	} else if (parser->intermediate == '+') {
		for (; *text; text += len + (text[len] == ';')) {
			len = strcspn(text, ";");
			report_capability(emulator, text, len);
		}
	}
}
