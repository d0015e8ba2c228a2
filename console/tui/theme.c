#include "console/tui/theme.h"
#include "proto/wire/names.h"

#include <langinfo.h>
#include <string.h>
#include <term.h>

struct look_spec {
	short foreground, background; /* of the eight, -1: default */
	attr_t attributes;
	attr_t plain; /* without colours */
};

/* Only the eight basic colours, that people set to suit their background, and no bright or dark ones of our own. */
static const struct look_spec looks[THEME_ROLE_COUNT] = {
	[THEME_TEXT] = { -1, -1, A_NORMAL, A_NORMAL },
	[THEME_DIM] = { -1, -1, A_DIM, A_DIM },
	[THEME_STRONG] = { -1, -1, A_BOLD, A_BOLD },
	[THEME_HEADER] = { -1, -1, A_BOLD, A_BOLD },
	[THEME_TAB] = { -1, -1, A_NORMAL, A_NORMAL },
	[THEME_TAB_OPEN] = { COLOR_CYAN, -1, A_REVERSE | A_BOLD, A_REVERSE | A_BOLD },
	[THEME_BORDER] = { -1, -1, A_DIM, A_NORMAL },
	[THEME_FOCUS] = { COLOR_CYAN, -1, A_BOLD, A_BOLD },
	[THEME_SELECTED] = { -1, -1, A_REVERSE, A_REVERSE },
	[THEME_KEY] = { COLOR_CYAN, -1, A_BOLD, A_BOLD },
	[THEME_GOOD] = { COLOR_GREEN, -1, A_NORMAL, A_NORMAL },
	[THEME_BUSY] = { COLOR_BLUE, -1, A_BOLD, A_NORMAL },
	[THEME_REVIEW] = { COLOR_MAGENTA, -1, A_BOLD, A_BOLD },
	[THEME_WAITING] = { COLOR_YELLOW, -1, A_BOLD, A_BOLD },
	[THEME_ALERT] = { COLOR_YELLOW, -1, A_REVERSE | A_BOLD, A_REVERSE | A_BOLD },
	[THEME_BAD] = { COLOR_RED, -1, A_BOLD, A_BOLD },
	[THEME_ADDED] = { COLOR_GREEN, -1, A_NORMAL, A_NORMAL },
	[THEME_REMOVED] = { COLOR_RED, -1, A_NORMAL, A_NORMAL },
	[THEME_HUNK] = { COLOR_CYAN, -1, A_NORMAL, A_BOLD },
};

static const char *const signs[SIGN_COUNT][3] = {
	[SIGN_HORIZONTAL] = { "-", "─", "─" },
	[SIGN_VERTICAL] = { "|", "│", "│" },
	[SIGN_TOP_LEFT] = { "+", "┌", "╭" },
	[SIGN_TOP_RIGHT] = { "+", "┐", "╮" },
	[SIGN_BOTTOM_LEFT] = { "+", "└", "╰" },
	[SIGN_BOTTOM_RIGHT] = { "+", "┘", "╯" },
	[SIGN_BAR_FULL] = { "#", "█", "█" },
	[SIGN_BAR_EMPTY] = { ".", "░", "░" },
	[SIGN_MORE] = { "~", "~", "…" },
	[SIGN_DOT] = { "-", "·", "·" },
	[SIGN_POINTER] = { ">", ">", "▸" },
	[SIGN_SCROLL] = { "#", "█", "┃" },
};

struct state_spec {
	int value;
	const char *ascii, *full;
	enum theme_role role;
};

static const struct state_spec task_states[] = {
	{ MAESTRO__TASK_STATE__TASK_QUEUED, ".", "○", THEME_DIM },
	{ MAESTRO__TASK_STATE__TASK_STARTING, "o", "◌", THEME_BUSY },
	{ MAESTRO__TASK_STATE__TASK_RUNNING, "*", "●", THEME_GOOD },
	{ MAESTRO__TASK_STATE__TASK_REVIEW, "#", "◆", THEME_REVIEW },
	{ MAESTRO__TASK_STATE__TASK_DONE, "+", "✓", THEME_GOOD },
	{ MAESTRO__TASK_STATE__TASK_FAILED, "x", "✗", THEME_BAD },
	{ MAESTRO__TASK_STATE__TASK_CANCELLED, "-", "−", THEME_DIM },
	{ MAESTRO__TASK_STATE__TASK_LOST, "?", "?", THEME_BAD },
	{ MAESTRO__TASK_STATE__TASK_MERGED, "+", "✓", THEME_GOOD },
	{ MAESTRO__TASK_STATE__TASK_REJECTED, "-", "✗", THEME_DIM },
	{ 0, " ", " ", THEME_DIM },
};

static const struct state_spec agent_states[] = {
	{ MAESTRO__AGENT_STATE__AGENT_IDLE, ".", "○", THEME_TEXT },
	{ MAESTRO__AGENT_STATE__AGENT_WORKING, "*", "●", THEME_GOOD },
	{ MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT, "!", "▲", THEME_WAITING },
	{ MAESTRO__AGENT_STATE__AGENT_COMPLETE, "+", "✓", THEME_GOOD },
	{ MAESTRO__AGENT_STATE__AGENT_ERROR, "x", "✗", THEME_BAD },
	{ MAESTRO__AGENT_STATE__AGENT_LIMITED, "%", "◔", THEME_WAITING },
	{ 0, " ", " ", THEME_DIM },
};

static const struct state_spec worker_states[] = {
	{ MAESTRO__WORKER_STATE__WORKER_READY, "*", "●", THEME_GOOD },
	{ MAESTRO__WORKER_STATE__WORKER_SUSPECT, "!", "▲", THEME_WAITING },
	{ MAESTRO__WORKER_STATE__WORKER_UNKNOWN, "?", "?", THEME_WAITING },
	{ MAESTRO__WORKER_STATE__WORKER_LOST, "x", "✗", THEME_BAD },
	{ 0, " ", " ", THEME_DIM },
};

static struct theme_state find_state(const struct theme *theme, const struct state_spec *spec, int value,
	const char *word)
{
	while (spec->value && spec->value != value)
		spec++;
	return (struct theme_state){ theme->glyphs == THEME_FULL ? spec->full : spec->ascii, word, spec->role };
}

struct theme_state theme_task_state(const struct theme *theme, Maestro__TaskState state)
{
	return find_state(theme, task_states, (int)state, name_task_state(state));
}

struct theme_state theme_agent_state(const struct theme *theme, Maestro__AgentState state)
{
	return find_state(theme, agent_states, (int)state, name_agent_state(state));
}

struct theme_state theme_worker_state(const struct theme *theme, Maestro__WorkerState state)
{
	return find_state(theme, worker_states, (int)state, name_worker_state(state));
}

const char *theme_sign(const struct theme *theme, enum theme_sign sign)
{
	return signs[sign][theme->glyphs];
}

/* --- pairs --------------------------------------------------------------------------------------------------- */

static struct theme_pair *find_slot(struct theme *theme, int foreground, int background)
{
	uint32_t hash = (uint32_t)foreground * 2654435761u ^ (uint32_t)background * 2246822519u;

	for (uint32_t i = hash >> 7;; i++) {
		struct theme_pair *slot = &theme->pairs[i & (THEME_PAIR_SLOTS - 1)];

		if (!slot->pair || (slot->foreground == foreground && slot->background == background))
			return slot;
	}
}

/* Curses' own alloc_pair() recycles pairs that are still shown; here they are given up all at once, between frames. */
static int pair_for(struct theme *theme, int foreground, int background)
{
	struct theme_pair *slot;

	if (!theme->colour || (foreground < 0 && background < 0))
		return 0;
	slot = find_slot(theme, foreground, background);
	if (slot->pair)
		return slot->pair;
	if (theme->pair_next >= theme->pair_limit) {
		theme->pairs_full = true;
		return 0;
	}
	if (init_extended_pair(theme->pair_next, foreground, background) == ERR)
		return 0;
	*slot = (struct theme_pair){ foreground, background, theme->pair_next++ };
	return slot->pair;
}

static void enter_looks(struct theme *theme)
{
	theme->pair_next = 1;
	memset(theme->pairs, 0, THEME_PAIR_SLOTS * sizeof(*theme->pairs));
	for (size_t i = 0; i < THEME_ROLE_COUNT; i++)
		theme->looks[i] = (struct theme_look){ theme->colour ? looks[i].attributes : looks[i].plain,
			pair_for(theme, looks[i].foreground, looks[i].background) };
	theme->pair_fixed = theme->pair_next;
}

bool theme_begin_frame(struct theme *theme)
{
	if (!theme->pairs_full)
		return false;
	theme->pairs_full = false;
	/* With a terminal of 64 pairs one screen may need more than there are: then giving up all would not help. */
	if (theme->pair_limit < 256)
		return false;
	reset_color_pairs();
	enter_looks(theme);
	return true;
}

static enum theme_glyphs detect_glyphs(void)
{
	const char *type = termname();

	if (strcasecmp(nl_langinfo(CODESET), "UTF-8") != 0)
		return THEME_ASCII;
	return type && strcmp(type, "linux") == 0 ? THEME_CONSOLE : THEME_FULL;
}

int theme_init(struct theme *theme, bool colour)
{
	*theme = (struct theme){ .glyphs = detect_glyphs() };
	theme->pairs = calloc(THEME_PAIR_SLOTS, sizeof(*theme->pairs));
	if (!theme->pairs)
		return -ENOMEM;
	if (colour && has_colors() && start_color() == OK) {
		theme->colour = use_default_colors() == OK;
		theme->colours = COLORS;
		theme->direct = COLORS > 256 && tigetflag("RGB") > 0;
		theme->pair_limit = COLOR_PAIRS < (int)THEME_PAIR_SLOTS / 2 ? COLOR_PAIRS : (int)THEME_PAIR_SLOTS / 2;
	}
	enter_looks(theme);
	return 0;
}

void theme_deinit(struct theme *theme)
{
	free(theme->pairs);
	theme->pairs = NULL;
}

/* --- colours of cells ---------------------------------------------------------------------------------------- */

static const uint8_t cube[6] = { 0, 95, 135, 175, 215, 255 };
static const uint32_t basic[16] = { 0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
	0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff };

static uint32_t palette_rgb(unsigned int index)
{
	if (index < 16)
		return basic[index];
	if (index >= 232)
		return (8 + (index - 232) * 10) * 0x010101u;
	index -= 16;
	return (uint32_t)cube[index / 36] << 16 | (uint32_t)cube[index / 6 % 6] << 8 | cube[index % 6];
}

static unsigned int distance(uint32_t a, uint32_t b)
{
	int red = (int)(a >> 16 & 255) - (int)(b >> 16 & 255);
	int green = (int)(a >> 8 & 255) - (int)(b >> 8 & 255);
	int blue = (int)(a & 255) - (int)(b & 255);

	return (unsigned int)(red * red * 3 + green * green * 6 + blue * blue);
}

static unsigned int nearest_level(unsigned int value)
{
	return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40;
}

static int nearest_256(uint32_t rgb)
{
	unsigned int red = rgb >> 16 & 255, green = rgb >> 8 & 255, blue = rgb & 255;
	unsigned int in_cube = 16 + nearest_level(red) * 36 + nearest_level(green) * 6 + nearest_level(blue);
	unsigned int average = (red + green + blue) / 3;
	unsigned int grey = 232 + (average < 8 ? 0 : average > 238 ? 23 : (average - 3) / 10);

	return (int)(distance(palette_rgb(grey), rgb) < distance(palette_rgb(in_cube), rgb) ? grey : in_cube);
}

static int nearest_basic(uint32_t rgb, int count)
{
	int best = 0;

	for (int i = 1; i < count; i++)
		if (distance(basic[i], rgb) < distance(basic[best], rgb))
			best = i;
	return best;
}

/* A session's colour as the terminal's; *ret_bright where an 8-colour terminal must say it with bold. */
static int map_colour(const struct theme *theme, uint32_t colour, bool *ret_bright)
{
	uint32_t value = colour & 0xffffff;

	*ret_bright = false;
	if (SCREEN_COLOUR_KIND(colour) == 0)
		return -1;
	if (theme->direct && (SCREEN_COLOUR_KIND(colour) == 2 || value >= 8))
		return (int)(SCREEN_COLOUR_KIND(colour) == 2 ? (value < 8 ? 8 : value) : palette_rgb(value));
	if (SCREEN_COLOUR_KIND(colour) == 1 && (int)value < theme->colours)
		return (int)value;
	if (SCREEN_COLOUR_KIND(colour) == 1 && value < 16) {
		*ret_bright = true;
		return (int)value - 8;
	}
	if (SCREEN_COLOUR_KIND(colour) == 1)
		value = palette_rgb(value);
	return theme->colours >= 256 ? nearest_256(value) : nearest_basic(value, theme->colours >= 16 ? 16 : 8);
}

static const struct {
	uint16_t from;
	attr_t to;
} attributes[] = {
	{ SCREEN_BOLD, A_BOLD },
	{ SCREEN_FAINT, A_DIM },
	{ SCREEN_ITALIC, A_ITALIC },
	{ SCREEN_BLINK, A_BLINK },
	{ SCREEN_REVERSE, A_REVERSE },
	{ SCREEN_CONCEAL, A_INVIS },
};

struct theme_look theme_cell(struct theme *theme, const struct screen_style *style)
{
	struct theme_look look = { A_NORMAL, 0 };
	bool bright, ignored;
	int foreground, background;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
		if (style->attributes & attributes[i].from)
			look.attributes |= attributes[i].to;
	if (style->underline != SCREEN_UNDERLINE_NONE)
		look.attributes |= A_UNDERLINE;
	if (!theme->colour)
		return look;
	foreground = map_colour(theme, style->foreground, &bright);
	background = map_colour(theme, style->background, &ignored);
	if (bright)
		look.attributes |= A_BOLD;
	look.pair = pair_for(theme, foreground, background);
	return look;
}
