#include "console/cli/player.h"

#include <string.h>

struct player_entry {
	uint64_t at_ms; /* since the beginning */
	size_t offset, len; /* in bytes */
	uint16_t cols, rows;
	uint8_t kind;
};

/* The screen before the entry `next`. */
struct player_key {
	size_t next, shown_bytes;
	unsigned int cols, rows;
	char *stream;
	size_t len;
};

static size_t key_count(const struct player *player)
{
	return player->keys.len / sizeof(struct player_key);
}

static struct player_key *key_at(const struct player *player, size_t index)
{
	return (struct player_key *)(void *)player->keys.data + index;
}

static size_t count_of(const struct player *player)
{
	return player->entries.len / sizeof(struct player_entry);
}

static const struct player_entry *entry_at(const struct player *player, size_t index)
{
	return (const struct player_entry *)(const void *)player->entries.data + index;
}

int player_init(struct player *player, uint64_t idle_limit_ms)
{
	*player = (struct player){ .idle_limit_ms = idle_limit_ms, .bytes = BUF_NULL, .entries = BUF_NULL, .keys = BUF_NULL };
	return emulator_new(&player->emulator, 80, 24, 0);
}

void player_deinit(struct player *player)
{
	if (player->emulator)
		emulator_free(player->emulator);
	for (size_t i = 0; i < key_count(player); i++)
		free(key_at(player, i)->stream);
	buf_deinit(&player->keys);
	buf_deinit(&player->bytes);
	buf_deinit(&player->entries);
}

int player_add(struct player *player, const struct timeline_item *item)
{
	struct player_entry entry = { .offset = player->bytes.len, .kind = (uint8_t)item->kind, .cols = (uint16_t)item->cols,
		.rows = (uint16_t)item->rows };
	uint64_t since_ms = item->wall_ms > player->wall_ms ? (uint64_t)(item->wall_ms - player->wall_ms) : 0;
	int r = 0;

	if (!count_of(player))
		since_ms = player->first_ms && item->wall_ms > player->first_ms ? (uint64_t)(item->wall_ms - player->first_ms) : 0;
	else if (player->idle_limit_ms && since_ms > player->idle_limit_ms)
		since_ms = player->idle_limit_ms;
	if (player->bytes.len + item->len > PLAYER_BYTES_MAX)
		return PLAYER_E_FULL;
	entry.at_ms = player->end_ms + since_ms;
	if (item->kind == TIMELINE_OUTPUT || item->kind == TIMELINE_KEYFRAME) {
		entry.len = item->len;
		r = buf_append(&player->bytes, item->data, item->len);
	}
	if (!r)
		r = buf_append(&player->entries, &entry, sizeof(entry));
	if (r)
		return r;
	player->end_ms = entry.at_ms;
	if (item->wall_ms > player->wall_ms)
		player->wall_ms = item->wall_ms;
	return 0;
}

static void show_entry(struct player *player, const struct player_entry *entry)
{
	/* a size that finds no memory leaves the old one: the picture is then as the old size shows it */
	if (entry->kind == TIMELINE_RESIZE || entry->kind == TIMELINE_KEYFRAME)
		(void)emulator_resize(player->emulator, entry->cols, entry->rows);
	if (entry->kind == TIMELINE_OUTPUT || entry->kind == TIMELINE_KEYFRAME)
		emulator_write(player->emulator, player->bytes.data + entry->offset, entry->len);
}

/* Remembers the screen when enough was shown since the last time. One that cannot be is only a longer way back. */
static void keep_key(struct player *player)
{
	_cleanup_(buf_deinit) struct buf stream = BUF_NULL;
	const struct screen *screen = emulator_screen(player->emulator);
	struct player_key key = { .next = player->next, .cols = screen->cols, .rows = screen->rows };
	size_t last = key_count(player) ? key_at(player, key_count(player) - 1)->shown_bytes : 0;

	if (player->next == count_of(player) || !emulator_settled(player->emulator))
		return;
	key.shown_bytes = entry_at(player, player->next)->offset;
	if (key.shown_bytes < last + PLAYER_KEY_BYTES || emulator_snapshot(player->emulator, &stream))
		return;
	key.len = stream.len;
	key.stream = buf_take(&stream);
	if (key.stream && buf_append(&player->keys, &key, sizeof(key)))
		free(key.stream);
}

/* To the last remembered screen from which that moment can be shown, if that is a shorter way than from here. */
static void use_key(struct player *player, uint64_t at_ms)
{
	bool back = player->next && entry_at(player, player->next - 1)->at_ms > at_ms;
	size_t i = key_count(player);

	while (i && entry_at(player, key_at(player, i - 1)->next - 1)->at_ms > at_ms)
		i--;
	if (i && (back || key_at(player, i - 1)->next > player->next)) {
		const struct player_key *key = key_at(player, i - 1);

		(void)emulator_resize(player->emulator, key->cols, key->rows);
		emulator_write(player->emulator, key->stream, key->len);
		player->next = key->next;
	} else if (back) {
		emulator_reset(player->emulator);
		player->next = 0;
	}
}

void player_seek(struct player *player, uint64_t at_ms)
{
	use_key(player, at_ms);
	while (player->next < count_of(player) && entry_at(player, player->next)->at_ms <= at_ms) {
		show_entry(player, entry_at(player, player->next++));
		keep_key(player);
	}
}

uint64_t player_next_ms(const struct player *player)
{
	return player->next < count_of(player) ? entry_at(player, player->next)->at_ms : UINT64_MAX;
}

bool player_find_mark(const struct player *player, uint64_t from_ms, bool backwards, uint64_t *ret_ms)
{
	bool found = false;

	for (size_t i = 0; i < count_of(player); i++) {
		const struct player_entry *entry = entry_at(player, i);

		if (entry->kind != TIMELINE_MARK || (backwards ? entry->at_ms >= from_ms : entry->at_ms <= from_ms))
			continue;
		*ret_ms = entry->at_ms;
		found = true;
		if (!backwards)
			break;
	}
	return found;
}

static bool shows(struct player *player, const char *text)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	return emulator_text(player->emulator, &out) == 0 && strstr(buf_text(&out), text);
}

bool player_find_text(struct player *player, uint64_t from_ms, const char *text, uint64_t *ret_ms)
{
	uint64_t generation = emulator_generation(player->emulator);
	bool there;

	player_seek(player, from_ms);
	there = shows(player, text);
	while (player->next < count_of(player)) {
		const struct player_entry *entry = entry_at(player, player->next++);
		bool now;

		show_entry(player, entry);
		if (emulator_generation(player->emulator) == generation)
			continue;
		generation = emulator_generation(player->emulator);
		now = shows(player, text);
		if (now && !there) {
			*ret_ms = entry->at_ms;
			return true;
		}
		there = now;
	}
	player_seek(player, from_ms);
	return false;
}
