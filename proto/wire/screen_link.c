/* What a picture carries beside its cells: addresses of hyperlinks, marks of prompts, and the colours that a program
 * changed. */
#include "proto/wire/screen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"

/* Not "file": it names the worker's disk, and a console would open it on its own. */
static const char *const schemes[] = { "http://", "https://", "mailto:" };

bool screen_link_id_allowed(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == ':' || text[i] == ';')
			return false;
	return len <= SCREEN_LINK_ID_BYTES_MAX;
}

bool screen_link_allowed(const struct screen_address *address)
{
	const char *text = address->text;
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (address->len > strlen(schemes[i]) && !strncasecmp(text, schemes[i], strlen(schemes[i])))
			known = true;
	for (size_t i = 0; known && i < address->len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return known && address->len <= SCREEN_LINK_BYTES_MAX && screen_link_id_allowed(address->id, address->id_len);
}

size_t screen_link_text(const struct screen *screen, uint16_t link, const char **ret_text)
{
	struct screen_link **items = screen->links.items;

	if (!items || link == 0 || link > SCREEN_LINKS_MAX || !items[link])
		return 0;
	*ret_text = items[link]->text;
	return items[link]->len;
}

size_t screen_link_id(const struct screen *screen, uint16_t link, const char **ret_text)
{
	size_t len = screen_link_text(screen, link, ret_text);

	if (!len)
		return 0;
	*ret_text += len;
	return screen->links.items[link]->id_len;
}

static struct screen_address address_of(const struct screen *screen, uint16_t link)
{
	struct screen_address address = { .text = "", .id = "" };

	address.len = screen_link_text(screen, link, &address.text);
	address.id_len = screen_link_id(screen, link, &address.id);
	return address;
}

static bool addresses_equal(const struct screen_address *a, const struct screen_address *b)
{
	return a->len == b->len && a->id_len == b->id_len &&
		(a->text == b->text || (!memcmp(a->text, b->text, a->len) && !memcmp(a->id, b->id, a->id_len)));
}

bool screen_link_equal(const struct screen *a, uint16_t a_link, const struct screen *b, uint16_t b_link)
{
	struct screen_address a_address = address_of(a, a_link), b_address = address_of(b, b_link);

	return addresses_equal(&a_address, &b_address);
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

int screen_link_define(struct screen *screen, uint16_t link, const struct screen_address *address)
{
	struct screen_link *made;

	require(link >= 1 && link <= SCREEN_LINKS_MAX && screen_link_allowed(address));
	made = links_reserve(&screen->links) < 0 ? NULL : malloc(sizeof(*made) + address->len + address->id_len);
	if (!made)
		return -ENOMEM;
	made->refs = 1;
	made->len = (uint16_t)address->len;
	made->id_len = (uint8_t)address->id_len;
	memcpy(made->text, address->text, address->len);
	if (address->id_len)
		memcpy(made->text + address->len, address->id, address->id_len);
	link_unref(screen->links.items[link]);
	screen->links.items[link] = made;
	return 0;
}

uint16_t screen_link_intern(struct screen *screen, const struct screen_address *address)
{
	uint16_t unused = 0;

	if (!screen_link_allowed(address))
		return 0;
	for (uint16_t i = SCREEN_LINKS_MAX; i; i--) {
		struct screen_address known = address_of(screen, i);

		if (addresses_equal(&known, address))
			return i;
		if (!known.len)
			unused = i;
	}
	return unused && screen_link_define(screen, unused, address) == 0 ? unused : 0;
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

int screen_mark_put(struct screen_mark mark, struct buf *out)
{
	int r = 0;

	/* The end first: it belongs to the command above. */
	if (mark.kinds & SCREEN_MARK_EXIT)
		r = buf_printf(out, "\033]133;D;%u\033\\", mark.exit_code);
	else if (mark.kinds & SCREEN_MARK_END)
		r = buf_append_str(out, "\033]133;D\033\\");
	for (unsigned int i = 0; i < 3 && r == 0; i++)
		if (mark.kinds & 1U << i)
			r = buf_printf(out, "\033]133;%c\033\\", 'A' + (int)i);
	return r;
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
