/* The tables of styles and clusters. Cells hold plain indices and nobody counts them: printing stays a store of
 * eight bytes, and when a table is full, what no cell shows is collected. */
#include "proto/wire/screen.h"

#include <string.h>

#define HASH_SIZE_MIN 256U

bool screen_style_equal(const struct screen_style *a, const struct screen_style *b)
{
	return a->foreground == b->foreground && a->background == b->background &&
		a->underline_colour == b->underline_colour && a->attributes == b->attributes &&
		a->underline == b->underline && a->link == b->link;
}

static uint32_t style_hash(const struct screen_style *style)
{
	uint64_t h = style->foreground;

	h = h * 0x9e3779b97f4a7c15ULL + style->background;
	h = (h ^ (h >> 29)) * 0x9e3779b97f4a7c15ULL + style->underline_colour;
	h = (h ^ (h >> 29)) * 0x9e3779b97f4a7c15ULL + ((uint32_t)style->link << 16 | (uint32_t)style->attributes << 8 | style->underline);
	h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(h >> 32);
}

static uint32_t text_hash(const char *text, size_t len)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * 16777619U;
	return h ^ h >> 15;
}

static void hash_put(uint16_t *hash, uint32_t size, uint32_t key, uint32_t index)
{
	uint32_t at = key & (size - 1);

	while (hash[at])
		at = (at + 1) & (size - 1);
	hash[at] = (uint16_t)(index + 1);
}

/* A table twice as large as what it must hold, so that probing stays short. */
static uint16_t *hash_new(uint32_t live, uint32_t *ret_size)
{
	uint32_t size = HASH_SIZE_MIN;
	uint16_t *hash;

	while (size < live * 2)
		size *= 2;
	hash = calloc(size, sizeof(*hash));
	if (hash)
		*ret_size = size;
	return hash;
}

/* --- styles --- */

static int styles_reserve(struct screen_styles *styles, uint32_t count)
{
	uint32_t size = styles->size ? styles->size : 64;
	struct screen_style *items;
	uint8_t *known;

	if (count <= styles->size)
		return 0;
	while (size < count)
		size *= 2;
	items = realloc(styles->items, size * sizeof(*items));
	if (!items)
		return -ENOMEM;
	styles->items = items;
	known = realloc(styles->known, size);
	if (!known)
		return -ENOMEM;
	memset(known + styles->size, 0, size - styles->size);
	styles->known = known;
	styles->size = size;
	return 0;
}

void screen_styles_deinit(struct screen_styles *styles)
{
	free(styles->items);
	free(styles->known);
	free(styles->hash);
	*styles = (struct screen_styles){ 0 };
}

static void styles_drop_hash(struct screen_styles *styles)
{
	free(styles->hash);
	styles->hash = NULL;
	styles->hash_size = 0;
}

int screen_styles_copy(struct screen_styles *to, const struct screen_styles *from)
{
	int r;

	r = styles_reserve(to, from->count);
	if (r < 0)
		return r;
	styles_drop_hash(to);
	if (from->count) {
		memcpy(to->items, from->items, from->count * sizeof(*to->items));
		memcpy(to->known, from->known, from->count);
	}
	if (to->size)
		memset(to->known + from->count, 0, to->size - from->count);
	to->count = from->count;
	to->live = from->live;
	to->next = from->next;
	return 0;
}

const struct screen_style *screen_style(const struct screen *screen, uint16_t index)
{
	static const struct screen_style standard;

	if (index >= screen->styles.count || !screen->styles.known[index])
		return &standard;
	return &screen->styles.items[index];
}

int screen_style_define(struct screen *screen, uint32_t index, const struct screen_style *style)
{
	struct screen_styles *styles = &screen->styles;
	int r;

	r = styles_reserve(styles, index + 1);
	if (r < 0)
		return r;
	styles_drop_hash(styles);
	styles->items[index] = *style;
	styles->live += !styles->known[index];
	styles->known[index] = 1;
	if (index >= styles->count)
		styles->count = index + 1;
	return 0;
}

static int styles_rehash(struct screen_styles *styles)
{
	uint32_t size = 0;
	uint16_t *hash;

	hash = hash_new(styles->live + 1, &size);
	if (!hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < styles->count; i++)
		if (styles->known[i])
			hash_put(hash, size, style_hash(&styles->items[i]), i);
	free(styles->hash);
	styles->hash = hash;
	styles->hash_size = size;
	return 0;
}

/* The lowest free index, so that the table stays dense on both sides of the wire. */
static uint32_t table_find_free(const uint32_t live, const uint32_t count, uint32_t next, const uint8_t *known)
{
	if (live >= count)
		return count;
	while (next < count && known[next])
		next++;
	return next;
}

uint32_t screen_style_intern(struct screen *screen, const struct screen_style *style)
{
	struct screen_styles *styles = &screen->styles;
	uint32_t key = style_hash(style), at, index;

	if (!styles->hash && styles_rehash(styles) < 0)
		return SCREEN_STYLES_MAX;
	for (at = key & (styles->hash_size - 1); styles->hash[at]; at = (at + 1) & (styles->hash_size - 1))
		if (screen_style_equal(&styles->items[styles->hash[at] - 1], style))
			return styles->hash[at] - 1U;
	index = table_find_free(styles->live, styles->count, styles->next, styles->known);
	if (index >= SCREEN_STYLES_MAX || styles_reserve(styles, index + 1) < 0)
		return SCREEN_STYLES_MAX;
	styles->items[index] = *style;
	styles->known[index] = 1;
	styles->live++;
	styles->next = index + 1;
	if (index >= styles->count)
		styles->count = index + 1;
	if (styles->live * 2 > styles->hash_size) {
		if (styles_rehash(styles) < 0)
			styles_drop_hash(styles);
	} else {
		hash_put(styles->hash, styles->hash_size, key, index);
	}
	return index;
}

/* --- clusters --- */

static void cluster_unref(struct screen_cluster *cluster)
{
	if (cluster && --cluster->refs == 0)
		free(cluster);
}

static int clusters_reserve(struct screen_clusters *clusters, uint32_t count)
{
	uint32_t size = clusters->size ? clusters->size : 16;
	struct screen_cluster **items;

	if (count <= clusters->size)
		return 0;
	while (size < count)
		size *= 2;
	items = realloc(clusters->items, size * sizeof(struct screen_cluster *));
	if (!items)
		return -ENOMEM;
	clusters->items = items;
	clusters->size = size;
	return 0;
}

static void clusters_drop_hash(struct screen_clusters *clusters)
{
	free(clusters->hash);
	clusters->hash = NULL;
	clusters->hash_size = 0;
}

void screen_clusters_deinit(struct screen_clusters *clusters)
{
	for (uint32_t i = 0; i < clusters->count; i++)
		cluster_unref(clusters->items[i]);
	free(clusters->items);
	free(clusters->hash);
	*clusters = (struct screen_clusters){ 0 };
}

int screen_clusters_copy(struct screen_clusters *to, const struct screen_clusters *from)
{
	int r;

	r = clusters_reserve(to, from->count);
	if (r < 0)
		return r;
	clusters_drop_hash(to);
	for (uint32_t i = 0; i < from->count; i++)
		if (from->items[i])
			from->items[i]->refs++;
	for (uint32_t i = 0; i < to->count; i++)
		cluster_unref(to->items[i]);
	if (from->count)
		memcpy(to->items, from->items, from->count * sizeof(struct screen_cluster *));
	to->count = from->count;
	to->live = from->live;
	to->next = from->next;
	return 0;
}

static int clusters_rehash(struct screen_clusters *clusters)
{
	uint32_t size = 0;
	uint16_t *hash;

	hash = hash_new(clusters->live + 1, &size);
	if (!hash)
		return -ENOMEM;
	for (uint32_t i = 0; i < clusters->count; i++)
		if (clusters->items[i])
			hash_put(hash, size, clusters->items[i]->hash, i);
	free(clusters->hash);
	clusters->hash = hash;
	clusters->hash_size = size;
	return 0;
}

static uint32_t cluster_insert(struct screen_clusters *clusters, struct screen_cluster *cluster)
{
	uint32_t index = clusters->next;

	if (clusters->live >= clusters->count)
		index = clusters->count;
	while (index < clusters->count && clusters->items[index])
		index++;
	if (index >= SCREEN_CLUSTERS_MAX || clusters_reserve(clusters, index + 1) < 0)
		return SCREEN_CLUSTERS_MAX;
	clusters->items[index] = cluster;
	clusters->live++;
	clusters->next = index + 1;
	if (index >= clusters->count)
		clusters->count = index + 1;
	if (clusters->live * 2 > clusters->hash_size) {
		if (clusters_rehash(clusters) < 0)
			clusters_drop_hash(clusters);
	} else {
		hash_put(clusters->hash, clusters->hash_size, cluster->hash, index);
	}
	return index;
}

uint32_t screen_cluster_intern(struct screen *screen, const char *text, size_t len)
{
	struct screen_clusters *clusters = &screen->clusters;
	uint32_t key = text_hash(text, len), at, index;
	struct screen_cluster *cluster;

	require(len > 0 && len <= SCREEN_CLUSTER_BYTES_MAX);
	if (!clusters->hash && clusters_rehash(clusters) < 0)
		return 0;
	for (at = key & (clusters->hash_size - 1); clusters->hash[at]; at = (at + 1) & (clusters->hash_size - 1)) {
		cluster = clusters->items[clusters->hash[at] - 1];
		if (cluster->hash == key && cluster->len == len && !memcmp(cluster->text, text, len))
			return SCREEN_GLYPH_CLUSTER | (clusters->hash[at] - 1U);
	}
	cluster = malloc(sizeof(*cluster) + len);
	if (!cluster)
		return 0;
	cluster->refs = 1;
	cluster->hash = key;
	cluster->len = (uint8_t)len;
	memcpy(cluster->text, text, len);
	index = cluster_insert(clusters, cluster);
	if (index == SCREEN_CLUSTERS_MAX) {
		free(cluster);
		return 0;
	}
	return SCREEN_GLYPH_CLUSTER | index;
}

/* --- collecting --- */

int screen_collect_begin(const struct screen *screen, struct screen_marks *ret_marks)
{
	struct screen_marks marks = { .style_count = screen->styles.count, .cluster_count = screen->clusters.count };

	marks.styles = calloc(1, marks.style_count + 1);
	marks.clusters = calloc(1, marks.cluster_count + 1);
	if (!marks.styles || !marks.clusters) {
		free(marks.styles);
		free(marks.clusters);
		return -ENOMEM;
	}
	marks.styles[0] = 1;
	for (unsigned int i = 0; i < screen->rows; i++)
		screen_collect_mark(&marks, screen->row[i].cells, screen->row[i].used);
	*ret_marks = marks;
	return 0;
}

void screen_collect_mark(struct screen_marks *marks, const struct screen_cell *cells, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t cluster = cells[i].glyph & ~SCREEN_GLYPH_CLUSTER;

		if (cells[i].style < marks->style_count)
			marks->styles[cells[i].style] = 1;
		if ((cells[i].glyph & SCREEN_GLYPH_CLUSTER) && cluster < marks->cluster_count)
			marks->clusters[cluster] = 1;
	}
}

void screen_collect_sweep(struct screen *screen, struct screen_marks *marks)
{
	struct screen_styles *styles = &screen->styles;
	struct screen_clusters *clusters = &screen->clusters;

	for (uint32_t i = 0; i < marks->style_count; i++) {
		if (!styles->known[i])
			continue;
		if (marks->styles[i]) {
			marks->links[styles->items[i].link] = 1;
			continue;
		}
		styles->known[i] = 0;
		styles->live--;
	}
	for (uint32_t i = 0; i < marks->cluster_count; i++) {
		if (marks->clusters[i] || !clusters->items[i])
			continue;
		cluster_unref(clusters->items[i]);
		clusters->items[i] = NULL;
		clusters->live--;
	}
	screen_links_sweep(&screen->links, marks->links);
	styles->next = clusters->next = 0;
	styles_drop_hash(styles);
	clusters_drop_hash(clusters);
	free(marks->styles);
	free(marks->clusters);
	*marks = (struct screen_marks){ 0 };
}
