/* What a picture carries beside its cells: addresses of hyperlinks, and the colours that a program changed. */
#include "proto/wire/screen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "proto/base/str.h"

/* Not "file": it names the worker's disk, and a console would open it on its own. */
static const char *const schemes[] = { "http://", "https://", "mailto:" };

bool screen_link_allowed(const char *text, size_t len)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (len > strlen(schemes[i]) && !strncasecmp(text, schemes[i], strlen(schemes[i])))
			known = true;
	for (size_t i = 0; known && i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return known && len <= SCREEN_LINK_BYTES_MAX;
}

size_t screen_link_text(const struct screen *screen, uint16_t link, const char **ret_text)
{
	struct screen_link **items = screen->links.items;

	if (!items || link == 0 || link > SCREEN_LINKS_MAX || !items[link])
		return 0;
	*ret_text = items[link]->text;
	return items[link]->len;
}

bool screen_link_equal(const struct screen *a, uint16_t a_link, const struct screen *b, uint16_t b_link)
{
	const char *a_text = NULL, *b_text = NULL;
	size_t len = screen_link_text(a, a_link, &a_text);

	return len == screen_link_text(b, b_link, &b_text) && (a_text == b_text || !memcmp(a_text, b_text, len));
}

static void link_unref(struct screen_link *link)
{
	if (link && --link->refs == 0)
		free(link);
}

void screen_links_deinit(struct screen_links *links)
{
	for (uint32_t i = 1; links->items && i <= SCREEN_LINKS_MAX; i++)
		link_unref(links->items[i]);
	free(links->items);
	*links = (struct screen_links){ 0 };
}

static int links_reserve(struct screen_links *links)
{
	if (!links->items)
		links->items = calloc(SCREEN_LINKS_MAX + 1, sizeof(struct screen_link *));
	return links->items ? 0 : -ENOMEM;
}

int screen_links_copy(struct screen_links *to, const struct screen_links *from)
{
	if (!from->items) {
		screen_links_deinit(to);
		return 0;
	}
	if (links_reserve(to) < 0)
		return -ENOMEM;
	for (uint32_t i = 1; i <= SCREEN_LINKS_MAX; i++) {
		if (from->items[i])
			from->items[i]->refs++;
		link_unref(to->items[i]);
		to->items[i] = from->items[i];
	}
	return 0;
}

int screen_link_define(struct screen *screen, uint16_t link, const char *text, size_t len)
{
	struct screen_link *made;

	require(link >= 1 && link <= SCREEN_LINKS_MAX && screen_link_allowed(text, len));
	made = links_reserve(&screen->links) < 0 ? NULL : malloc(sizeof(*made) + len);
	if (!made)
		return -ENOMEM;
	made->refs = 1;
	made->len = (uint16_t)len;
	memcpy(made->text, text, len);
	link_unref(screen->links.items[link]);
	screen->links.items[link] = made;
	return 0;
}

uint16_t screen_link_intern(struct screen *screen, const char *text, size_t len)
{
	uint16_t unused = 0;
	const char *known;

	if (!screen_link_allowed(text, len))
		return 0;
	for (uint16_t i = SCREEN_LINKS_MAX; i; i--) {
		size_t known_len = screen_link_text(screen, i, &known);

		if (known_len == len && !memcmp(known, text, len))
			return i;
		if (!known_len)
			unused = i;
	}
	return unused && screen_link_define(screen, unused, text, len) == 0 ? unused : 0;
}

void screen_links_sweep(struct screen_links *links, const uint8_t *marks)
{
	for (uint32_t i = 1; links->items && i <= SCREEN_LINKS_MAX; i++) {
		if (marks[i])
			continue;
		link_unref(links->items[i]);
		links->items[i] = NULL;
	}
}

uint32_t screen_colour(const struct screen *screen, uint32_t colour, enum screen_palette standard)
{
	uint32_t changed = 0;

	if (SCREEN_COLOUR_KIND(colour) == 0)
		changed = screen->palette[standard];
	else if (SCREEN_COLOUR_KIND(colour) == 1)
		changed = screen->palette[colour & 0xff];
	return changed ? changed : colour;
}

bool screen_palette_equal(const struct screen *a, const struct screen *b)
{
	return !memcmp(a->palette, b->palette, sizeof(a->palette));
}
