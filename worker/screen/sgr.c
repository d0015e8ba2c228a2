/* Select graphic rendition: the pen. */
#include "worker/screen/internal.h"

/* Codes that set and clear attributes. */
static const struct {
	uint8_t code;
	uint8_t set, clear;
} simple[] = {
	{ 1, SCREEN_BOLD, 0 },
	{ 2, SCREEN_FAINT, 0 },
	{ 3, SCREEN_ITALIC, 0 },
	{ 5, SCREEN_BLINK, 0 },
	{ 6, SCREEN_BLINK, 0 },
	{ 7, SCREEN_REVERSE, 0 },
	{ 8, SCREEN_CONCEAL, 0 },
	{ 9, SCREEN_STRIKE, 0 },
	{ 22, 0, SCREEN_BOLD | SCREEN_FAINT },
	{ 23, 0, SCREEN_ITALIC },
	{ 25, 0, SCREEN_BLINK },
	{ 27, 0, SCREEN_REVERSE },
	{ 28, 0, SCREEN_CONCEAL },
	{ 29, 0, SCREEN_STRIKE },
	{ 53, SCREEN_OVERLINE, 0 },
	{ 55, 0, SCREEN_OVERLINE },
};

static bool apply_simple(struct screen_style *pen, uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(simple); i++) {
		if (simple[i].code != code)
			continue;
		pen->attributes = (uint8_t)((pen->attributes | simple[i].set) & ~simple[i].clear);
		return true;
	}
	return false;
}

static bool is_sub(const struct parser *parser, unsigned int index)
{
	return index < parser->param_count && (parser->sub >> index & 1);
}

/* How many parameters after `index` hang on it by colons. */
static unsigned int sub_count(const struct parser *parser, unsigned int index)
{
	unsigned int count = 0;

	while (is_sub(parser, index + 1 + count))
		count++;
	return count;
}

static uint32_t rgb(const uint32_t *part)
{
	return SCREEN_COLOUR_RGB((part[0] & 0xff) << 16 | (part[1] & 0xff) << 8 | (part[2] & 0xff));
}

/* 38, 48, 58: returns how many parameters belong to it, after its own. */
static unsigned int extended_colour(const struct parser *parser, unsigned int index, uint32_t *colour)
{
	const uint32_t *param = parser->param + index + 1;
	unsigned int left = parser->param_count - index - 1, subs = sub_count(parser, index);

	if (subs) {
		if (param[0] == 5 && subs >= 2)
			*colour = SCREEN_COLOUR_PALETTE(param[1]);
		else if (param[0] == 2 && subs >= 5) /* with a colour space */
			*colour = rgb(param + 2);
		else if (param[0] == 2 && subs == 4)
			*colour = rgb(param + 1);
		return subs;
	}
	if (left >= 2 && param[0] == 5) {
		*colour = SCREEN_COLOUR_PALETTE(param[1]);
		return 2;
	}
	if (left >= 4 && param[0] == 2) {
		*colour = rgb(param + 1);
		return 4;
	}
	return left;
}

static unsigned int apply_underline(const struct parser *parser, unsigned int index, struct screen_style *pen)
{
	unsigned int subs = sub_count(parser, index);

	pen->underline = SCREEN_UNDERLINE_SINGLE;
	if (subs && parser->param[index + 1] < SCREEN_UNDERLINE_COUNT)
		pen->underline = (uint8_t)parser->param[index + 1];
	return subs;
}

static void apply_basic_colour(struct screen_style *pen, uint32_t code)
{
	if (code >= 30 && code <= 37)
		pen->foreground = SCREEN_COLOUR_PALETTE(code - 30);
	else if (code >= 40 && code <= 47)
		pen->background = SCREEN_COLOUR_PALETTE(code - 40);
	else if (code >= 90 && code <= 97)
		pen->foreground = SCREEN_COLOUR_PALETTE(code - 90 + 8);
	else if (code >= 100 && code <= 107)
		pen->background = SCREEN_COLOUR_PALETTE(code - 100 + 8);
}

/* Returns how many parameters it took beyond its own. */
static unsigned int apply_one(const struct parser *parser, unsigned int index, struct screen_style *pen)
{
	uint32_t code = parser->param[index];

	switch (code) {
	case 0:
		*pen = (struct screen_style){ .link = pen->link };
		break;
	case 4:
		return apply_underline(parser, index, pen);
	case 21:
		pen->underline = SCREEN_UNDERLINE_DOUBLE;
		break;
	case 24:
		pen->underline = SCREEN_UNDERLINE_NONE;
		break;
	case 38:
		return extended_colour(parser, index, &pen->foreground);
	case 39:
		pen->foreground = SCREEN_COLOUR_DEFAULT;
		break;
	case 48:
		return extended_colour(parser, index, &pen->background);
	case 49:
		pen->background = SCREEN_COLOUR_DEFAULT;
		break;
	case 58:
		return extended_colour(parser, index, &pen->underline_colour);
	case 59:
		pen->underline_colour = SCREEN_COLOUR_DEFAULT;
		break;
	default:
		if (!apply_simple(pen, code))
			apply_basic_colour(pen, code);
		break;
	}
	return sub_count(parser, index);
}

void sgr_apply(struct emulator *emulator)
{
	const struct parser *parser = &emulator->parser;

	emulator->pen_stale = true;
	if (parser->param_count == 0)
		emulator->pen = (struct screen_style){ .link = emulator->pen.link };
	for (unsigned int i = 0; i < parser->param_count; i++)
		i += apply_one(parser, i, &emulator->pen);
}

static int report_colour(struct buf *out, unsigned int base, uint32_t colour)
{
	uint32_t value = colour & 0xffffffU;

	if (SCREEN_COLOUR_KIND(colour) == 1)
		return buf_printf(out, ";%u:5:%u", base, value);
	if (SCREEN_COLOUR_KIND(colour) == 2)
		return buf_printf(out, ";%u:2::%u:%u:%u", base, value >> 16, value >> 8 & 0xff, value & 0xff);
	return 0;
}

void sgr_report(const struct screen_style *pen, struct buf *out)
{
	buf_append_str(out, "0");
	for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
		if (simple[i].code != 6 && (pen->attributes & simple[i].set))
			buf_printf(out, ";%u", simple[i].code);
	if (pen->underline)
		buf_printf(out, ";4:%u", pen->underline);
	report_colour(out, 38, pen->foreground);
	report_colour(out, 48, pen->background);
	report_colour(out, 58, pen->underline_colour);
}
