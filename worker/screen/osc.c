/* Operating system commands: titles, colours, links, prompt marks. The clipboard: clipboard.c. Everything else (notifications, working
 * directory) is read and dropped. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"
#include "worker/screen/internal.h"

/* --- titles --- */

/* The longest part of the text that fits and ends at a whole code point. */
static size_t cut_utf8(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max && ((uint8_t)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

/* Only what could stand in a cell; each C0 control or broken byte is left out. */
static size_t clean_title(const char *text, size_t len, char *out, size_t size)
{
	size_t done = 0, step;
	uint32_t code;
	int r;

	for (size_t i = 0; i < len; i += step) {
		r = str_utf8_next(text + i, len - i, &code);
		step = r > 0 ? (size_t)r : 1;
		if (r <= 0 || !(screen_code_allowed(code) || screen_code_joins(code)))
			continue;
		if (done + step > size)
			break;
		memcpy(out + done, text + i, step);
		done += step;
	}
	return cut_utf8(out, done, size);
}

static void set_title(struct emulator *emulator, const char *text, size_t len)
{
	struct screen *screen = &emulator->screen;
	char title[SCREEN_TITLE_BYTES_MAX + 1];

	len = clean_title(text, len, title, SCREEN_TITLE_BYTES_MAX);
	if (len == screen->title_len && !memcmp(title, screen->title, len))
		return;
	memcpy(screen->title, title, len);
	screen->title[len] = 0;
	screen->title_len = (uint16_t)len;
	emulator->title_changes++;
}

void osc_push_title(struct emulator *emulator)
{
	struct title *title;

	if (emulator->title_count == TITLE_STACK_MAX) {
		memmove(emulator->titles, emulator->titles + 1, (TITLE_STACK_MAX - 1) * sizeof(*emulator->titles));
		emulator->title_count--;
	}
	title = &emulator->titles[emulator->title_count++];
	title->len = emulator->screen.title_len;
	memcpy(title->text, emulator->screen.title, sizeof(title->text));
}

void osc_pop_title(struct emulator *emulator)
{
	struct title *title;

	if (emulator->title_count == 0)
		return;
	title = &emulator->titles[--emulator->title_count];
	set_title(emulator, title->text, title->len);
}

/* --- colours --- */

static uint32_t standard_colour(unsigned int index)
{
	static const uint32_t basic[16] = { 0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd,
		0xe5e5e5, 0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff };
	static const uint8_t cube[6] = { 0x00, 0x5f, 0x87, 0xaf, 0xd7, 0xff };

	if (index < 16)
		return basic[index];
	if (index < 232) {
		index -= 16;
		return (uint32_t)cube[index / 36] << 16 | (uint32_t)cube[index / 6 % 6] << 8 | cube[index % 6];
	}
	return (8 + (index - 232) * 10) * 0x010101U;
}

void osc_reset_palette(struct emulator *emulator)
{
	memset(emulator->screen.palette, 0, sizeof(emulator->screen.palette));
}

/* What the colour is: the program's, or what it would be on a terminal like xterm; the person's own is not told. */
static uint32_t current_colour(const struct emulator *emulator, unsigned int index)
{
	if (emulator->screen.palette[index])
		return emulator->screen.palette[index] & 0xffffffU;
	if (index == SCREEN_PALETTE_BACKGROUND)
		return 0x000000;
	return index < 256 ? standard_colour(index) : 0xe5e5e5;
}

static bool parse_hex(const char *text, size_t digits, uint32_t *ret_value)
{
	uint32_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
		value = value << 4 |
			(uint32_t)(isdigit((unsigned char)text[i]) ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10);
	}
	*ret_value = value;
	return digits > 0;
}

/* A component of 1 to 4 hex digits, scaled to 8 bits. */
static bool parse_component(const char *text, size_t digits, uint32_t *ret_value)
{
	static const uint32_t max[] = { 0, 0xf, 0xff, 0xfff, 0xffff };
	uint32_t value;

	if (digits < 1 || digits > 4 || !parse_hex(text, digits, &value))
		return false;
	*ret_value = value * 255 / max[digits];
	return true;
}

/* "rgb:r/g/b" with 1 to 4 digits each, or "#rgb" with the same number of digits each. */
static bool parse_colour(const char *text, uint32_t *ret_colour)
{
	size_t len = strlen(text), digits;
	uint32_t part[3];

	if (text[0] == '#' && (len - 1) % 3 == 0) {
		digits = (len - 1) / 3;
		for (unsigned int i = 0; i < 3; i++)
			if (!parse_component(text + 1 + i * digits, digits, &part[i]))
				return false;
	} else if (str_starts(text, "rgb:")) {
		text += 4;
		for (unsigned int i = 0; i < 3; i++) {
			digits = strcspn(text, "/");
			if (!parse_component(text, digits, &part[i]) || text[digits] != (i < 2 ? '/' : 0))
				return false;
			text += digits + (i < 2);
		}
	} else {
		return false;
	}
	*ret_colour = SCREEN_COLOUR_RGB(part[0] << 16 | part[1] << 8 | part[2]);
	return true;
}

static void report_colour(struct emulator *emulator, const char *name, unsigned int index)
{
	uint32_t rgb = current_colour(emulator, index);

	report_printf(emulator, "\033]%s;rgb:%04x/%04x/%04x\033\\", name, (rgb >> 16) * 0x101, (rgb >> 8 & 0xff) * 0x101,
		(rgb & 0xff) * 0x101);
}

static void palette_command(struct emulator *emulator, char *text)
{
	char *spec, *next, name[16];
	uint64_t index;

	for (; text && *text; text = next) {
		spec = strchr(text, ';');
		if (!spec)
			return;
		*spec++ = 0;
		next = strchr(spec, ';');
		if (next)
			*next++ = 0;
		if (str_parse_u64(text, 0, 255, &index) < 0)
			continue;
		if (!strcmp(spec, "?")) {
			snprintf(name, sizeof(name), "4;%u", (unsigned int)index);
			report_colour(emulator, name, (unsigned int)index);
		} else {
			parse_colour(spec, &emulator->screen.palette[index]);
		}
	}
}

static void palette_reset_command(struct emulator *emulator, char *text)
{
	char *next;
	uint64_t index;

	if (!*text) {
		memset(emulator->screen.palette, 0, 256 * sizeof(*emulator->screen.palette));
		return;
	}
	for (; text && *text; text = next) {
		next = strchr(text, ';');
		if (next)
			*next++ = 0;
		if (str_parse_u64(text, 0, 255, &index) == 0)
			emulator->screen.palette[index] = 0;
	}
}

/* 10, 11, 12: each further colour in the text belongs to the next number. */
static void dynamic_command(struct emulator *emulator, unsigned int number, char *text)
{
	char *next, name[16];

	for (; text && number <= 12; text = next, number++) {
		next = strchr(text, ';');
		if (next)
			*next++ = 0;
		snprintf(name, sizeof(name), "%u", number);
		if (!strcmp(text, "?"))
			report_colour(emulator, name, SCREEN_PALETTE_FOREGROUND + number - 10);
		else
			parse_colour(text, &emulator->screen.palette[SCREEN_PALETTE_FOREGROUND + number - 10]);
	}
}

/* --- links --- */

/* The value of id=… among parameters like a=b:c=d. One that is too long, or not allowed, is none. */
static size_t find_id(const char *parameters, const char *end, const char **ret_id)
{
	for (const char *next; parameters < end; parameters = next + 1) {
		next = memchr(parameters, ':', (size_t)(end - parameters));
		if (!next)
			next = end;
		if (next - parameters < 3 || memcmp(parameters, "id=", 3) != 0)
			continue;
		*ret_id = parameters + 3;
		return screen_link_id_allowed(parameters + 3, (size_t)(next - parameters - 3)) ? (size_t)(next - parameters - 3) : 0;
	}
	return 0;
}

/* OSC 8 ; parameters ; address: what is printed from here on leads there. An address that is not allowed ends the link
 * before it all the same. */
static void link_command(struct emulator *emulator, const char *text)
{
	const char *end = strchr(text, ';');
	struct screen_address address = { .id = "" };

	if (!end)
		return;
	address.text = end + 1;
	address.len = strlen(end + 1);
	address.id_len = find_id(text, end, &address.id);
	emulator->pen.link = address.len ? edit_intern_link(emulator, &address) : 0;
	emulator->pen_stale = true;
}

/* --- prompt marks --- */

/* D ; code: -1 where it is not said. */
static int parse_exit_code(const char *text)
{
	char digits[8] = "";
	uint64_t code;

	if (text[1] != ';')
		return -1;
	snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(text + 2, ";"), text + 2);
	return str_parse_u64(digits, 0, 255, &code) == 0 ? (int)code : -1;
}

static void count_mark(struct emulator_prompts *prompts, enum screen_mark_kind kind, int exit_code)
{
	prompts->prompts += kind == SCREEN_MARK_PROMPT;
	prompts->commands_started += kind == SCREEN_MARK_OUTPUT;
	prompts->commands_ended += kind == SCREEN_MARK_END;
	if (kind == SCREEN_MARK_END)
		prompts->last_exit_code = exit_code;
}

/* The row of the cursor is marked; one of the alternate screen, which has no lines above it, is not. */
static void prompt_mark(struct emulator *emulator, const char *text)
{
	static const char letters[] = "ABCD"; /* enum screen_mark_kind */
	const char *letter = *text ? strchr(letters, *text) : NULL;
	struct screen_row *row = cursor_row(emulator);
	enum screen_mark_kind kind;
	int exit_code;

	if (!letter || (text[1] && text[1] != ';'))
		return;
	kind = (enum screen_mark_kind)(1 << (letter - letters));
	exit_code = kind == SCREEN_MARK_END ? parse_exit_code(text) : -1;
	count_mark(&emulator->prompts, kind, exit_code);
	if (emulator_alternate(emulator))
		return;
	row->mark.kinds |= (uint8_t)kind;
	if (kind == SCREEN_MARK_END)
		row->mark = (struct screen_mark){ (uint8_t)((row->mark.kinds & ~SCREEN_MARK_EXIT) |
			(exit_code < 0 ? 0 : SCREEN_MARK_EXIT)), (uint8_t)(exit_code < 0 ? 0 : exit_code) };
	screen_touch(&emulator->screen, row);
}

void osc_dispatch(struct emulator *emulator)
{
	struct parser *parser = &emulator->parser;
	char *text = parser->string;
	unsigned int number = 0, digits = 0;

	for (; isdigit((unsigned char)*text) && digits < 5; text++, digits++)
		number = number * 10 + (unsigned int)(*text - '0');
	if (digits == 0 || (*text && *text != ';'))
		return;
	if (*text)
		text++;
	/* A title that is too long is cut; anything else that is too long is not what it seems. */
	if (number == 0 || number == 2)
		set_title(emulator, text, parser->string_len - (size_t)(text - parser->string));
	if (parser->string_cut)
		return;
	if (number == 52)
		clipboard_command(emulator, text);
	else if (number == 4)
		palette_command(emulator, text);
	else if (number == 104)
		palette_reset_command(emulator, text);
	else if (number >= 10 && number <= 12)
		dynamic_command(emulator, number, text);
	else if (number >= 110 && number <= 112)
		emulator->screen.palette[SCREEN_PALETTE_FOREGROUND + number - 110] = 0;
	else if (number == 8)
		link_command(emulator, text);
	else if (number == 133)
		prompt_mark(emulator, text);
}
